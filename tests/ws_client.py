#!/usr/bin/python3
"""ws_client.py PROGRAM... - what wsClient does with stdin, stdout, time and signals

Each check starts the program with a raw server of its own to talk to.
"""
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time

import ws_cases as ws
from ws_cases import SLACK, TEXT, BINARY, CLOSE, PING, PONG, DEADLINE
from ws_checks import Wrong, check, run, same, within

CLOSE_1000 = (CLOSE, b'\x03\xe8')


class Session:
    """The program with the handshake done, and its stdin in our hands: a pipe, or a
    terminal."""

    def __init__(self, command, words=(), terminal=False, answer=True,
                 target=('ADDRESS', '/ws'), stdout=None):
        self.out_file, out = os.pipe()
        if terminal:
            self.keys, stdin = pty.openpty()
        else:
            stdin, self.keys = os.pipe()
        self.client = ws.Client(command, words, stdin=stdin, target=target,
                                stdout=out if stdout is None else stdout)
        os.close(stdin)
        os.close(out)
        self.out = b''
        self.masks = []
        self.data = b''
        self.started = time.monotonic()
        self.sock = None
        if answer:
            self.sock, key = self.client.accept()
            self.sock.sendall(ws.answer_to(key))
            self.banner = 'Connecting to: %s at /ws\n' % self.client.address

    def type(self, data):
        while data:
            data = data[os.write(self.keys, data):]

    def end_input(self):
        os.close(self.keys)
        self.keys = None

    def send(self, *frames):
        self.sock.setblocking(True)
        self.sock.sendall(b''.join(ws.encode(f, False) for f in frames))

    def frames(self, count, seconds=DEADLINE):
        """The next frames, so many, as they come."""
        deadline = time.monotonic() + seconds
        while True:
            frames, used = whole_frames(self.data)
            if len(frames) >= count:
                self.data = self.data[sum(used[:count]):]
                return frames[:count]
            self.sock.setblocking(True)
            self.sock.settimeout(max(deadline - time.monotonic(), 0.01))
            try:
                more = self.sock.recv(1 << 20)
            except socket.timeout:
                raise Wrong('%d frames, not %d' % (len(frames), count)) from None
            if not more:
                raise Wrong('%d frames, not %d, and the end' % (len(frames), count))
            self.data += more

    def printed(self, until=None, seconds=DEADLINE):
        """What is on stdout, once `until` is its end; all of it without."""
        deadline = time.monotonic() + seconds
        until = until and until.encode()
        while until is None or not self.out.endswith(until):
            ready, _, _ = select.select([self.out_file], [], [],
                                        max(deadline - time.monotonic(), 0))
            data = os.read(self.out_file, 1 << 20) if ready else b''
            if not data:
                break
            self.out += data
        return self.out.decode()

    def stdout_is(self, text):
        same(self.banner + text, self.printed(self.banner + text), 'stdout')

    def settle(self):
        """Returns once the program has taken the handshake."""
        self.send(ws.ping(b'there?'))
        same([(PONG, b'there?')], self.frames(1))

    def close_back(self, payload=b'\x03\xe8'):
        """The peer's part of a closing handshake that the program has begun."""
        self.send(ws.Frame(CLOSE, payload))
        self.sock.close()

    def ends(self, status, stdout=None, stderr=''):
        got, text = self.client.ends()
        same(stderr.replace('ADDRESS', self.client.address), text, 'stderr')
        same(status, got, 'exit status')
        if stdout is not None:
            same(self.banner + stdout, self.printed(), 'stdout')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.__exit__()
        for descriptor in (self.keys, self.out_file):
            if descriptor is not None:
                os.close(descriptor)
        if self.sock:
            self.sock.close()


def whole_frames(data):
    """The whole frames at the front of what came, and how long each is."""
    frames, used = [], []
    at = 0
    while at + 2 <= len(data):
        length = data[at + 1] & 0x7f
        head = 2 + {126: 2, 127: 8}.get(length, 0) + 4
        if at + head > len(data):
            break
        if length >= 126:
            length = int.from_bytes(data[at + 2:at + head - 4], 'big')
        if at + head + length > len(data):
            break
        frames += ws.decode(data[at:at + head + length], True, [])
        used.append(head + length)
        at += head + length
    return frames, used


@check('messages are printed as they come, without input')
def _(command):
    with Session(command) as s:
        s.send(ws.text('first'))
        s.stdout_is('Received: first\n')
        s.send(ws.text('second'), ws.text('third'))
        s.stdout_is('Received: first\nReceived: second\nReceived: third\n')
        s.send(ws.text('half', fin=0))
        s.send(ws.ping(b'p'))
        same([(PONG, b'p')], s.frames(1))
        s.send(ws.last(b' done'))
        s.stdout_is('Received: first\nReceived: second\nReceived: third\n'
                    'Received: half done\n')


@check('a line is a message without its newline, as soon as it is whole')
def _(command):
    with Session(command) as s:
        s.type(b'hel')
        s.send(ws.ping(b'still here'))
        same([(PONG, b'still here')], s.frames(1))
        s.type(b'lo\n\n \tblanks \r\n')
        same([(TEXT, b'hello'), (TEXT, b''), (TEXT, b' \tblanks \r')], s.frames(3))
        s.type('한글\none\ntwo\n'.encode())
        same([(TEXT, '한글'.encode()), (TEXT, b'one'), (TEXT, b'two')], s.frames(3))


@check('the end of stdin: the last line without its newline, Close 1000, exit 0')
def _(command):
    with Session(command) as s:
        s.type(b'one\nlast')
        s.end_input()
        same([(TEXT, b'one'), (TEXT, b'last'), CLOSE_1000], s.frames(3))
        s.send(ws.text('one'), ws.text('last'))
        s.close_back()
        s.ends(0, 'Received: one\nReceived: last\n')


@check('an empty stdin: Close 1000, exit 0')
def _(command):
    with Session(command) as s:
        s.end_input()
        same([CLOSE_1000], s.frames(1))
        s.close_back()
        s.ends(0, '')


@check('what arrives after its Close is printed, a Ping is not answered any more')
def _(command):
    with Session(command) as s:
        s.type(b'x\n')
        s.end_input()
        same([(TEXT, b'x'), CLOSE_1000], s.frames(2))
        s.send(ws.text('late'), ws.ping(b'p'), ws.binary(b'12345'))
        s.stdout_is('Received: late\nReceived: 5 bytes\n')
        s.send(ws.close(1000))
        s.sock.shutdown(socket.SHUT_WR)
        same(b'', ws.exchange(s.sock, [], s.data))
        s.ends(0, 'Received: late\nReceived: 5 bytes\n')


@check('a peer that does not answer the Close: 2 s, exit 0')
def _(command):
    with Session(command) as s:
        s.end_input()
        same([CLOSE_1000], s.frames(1))
        since = time.monotonic()
        s.ends(0, '')
        within(1.5, 2.5 + SLACK, time.monotonic() - since, 'the end')


@check('a peer that closes the connection instead of answering the Close: exit 0')
def _(command):
    with Session(command) as s:
        s.end_input()
        same([CLOSE_1000], s.frames(1))
        s.sock.close()
        s.ends(0, '')


@check('SIGINT: Close 1000, what still arrives, exit 0')
def _(command):
    with Session(command) as s:
        s.send(ws.text('first'))
        s.stdout_is('Received: first\n')
        s.client.process.send_signal(signal.SIGINT)
        same([CLOSE_1000], s.frames(1))
        s.send(ws.text('late'))
        s.close_back()
        s.ends(0, 'Received: first\nReceived: late\n')


@check('SIGINT, and a peer that does not answer the Close: 2 s, exit 0')
def _(command):
    with Session(command) as s:
        s.settle()
        s.client.process.send_signal(signal.SIGINT)
        same([CLOSE_1000], s.frames(1))
        since = time.monotonic()
        s.ends(0, '')
        within(1.5, 2.5 + SLACK, time.monotonic() - since, 'the end')


@check('a peer that goes on sending instead of answering the Close: 2 s, exit 0')
def _(command):
    with Session(command) as s:
        s.end_input()
        same([CLOSE_1000], s.frames(1))
        since = time.monotonic()
        while s.client.process.poll() is None and time.monotonic() < since + DEADLINE:
            try:
                s.send(*[ws.ping(b'on and on')] * 1000)
            except OSError:
                break
        s.ends(0, '')
        within(1.5, 2.5 + SLACK, time.monotonic() - since, 'the end')


@check('a second SIGINT changes nothing')
def _(command):
    with Session(command) as s:
        s.settle()
        s.client.process.send_signal(signal.SIGINT)
        same([CLOSE_1000], s.frames(1))
        s.client.process.send_signal(signal.SIGINT)
        s.send(ws.text('late'))
        s.stdout_is('Received: late\n')
        s.close_back()
        s.ends(0, 'Received: late\n')


@check('SIGINT with -e: Close 1000, exit 0')
def _(command):
    with Session(command, ['-e']) as s:
        s.send(ws.text('first'))
        same([(TEXT, b'first')], s.frames(1))
        s.client.process.send_signal(signal.SIGINT)
        same([CLOSE_1000], s.frames(1))
        s.close_back()
        s.ends(0, 'Received: first\n')


@check('SIGINT while the server does not read: exit 0 within 2 s')
def _(command):
    with Session(command) as s:
        line = b'x' * 4000 + b'\n'  # a pipe takes so much whole or not at all
        os.set_blocking(s.keys, False)
        blocked = 0
        while blocked < 20:
            _, ready, _ = select.select([], [s.keys], [], 0.05)
            try:
                blocked = 0 if ready and os.write(s.keys, line) else blocked + 1
            except BlockingIOError:
                blocked += 1
        since = time.monotonic()
        s.client.process.send_signal(signal.SIGINT)
        s.ends(0)
        within(0, 2.5 + SLACK, time.monotonic() - since, 'the end')


@check('a server that does not read does not keep messages from being printed')
def _(command):
    with Session(command) as s:
        os.set_blocking(s.keys, False)
        line = b'x' * 4000 + b'\n'  # a pipe takes so much whole or not at all
        blocked = 0
        while blocked < 10:
            _, ready, _ = select.select([], [s.keys], [], 0.05)
            try:
                blocked = 0 if ready and os.write(s.keys, line) else blocked + 1
            except BlockingIOError:
                blocked += 1
        s.send(ws.text('hello'))
        s.stdout_is('Received: hello\n')


@check('a line that is not UTF-8: said, not sent, and the next one is')
def _(command):
    with Session(command) as s:
        s.type(b'good\nbad \xff\nsurrogate \xed\xa0\x80\ncut \xe1\x80\nafter\n')
        same([(TEXT, b'good'), (TEXT, b'after')], s.frames(2))
        s.type(b'\xc0\xaf')
        s.end_input()
        same([CLOSE_1000], s.frames(1))
        s.close_back()
        s.ends(0, '', 'wsClient: stdin: line is not UTF-8: not sent\n' * 4)


@check('a line of 65,536 bytes is sent')
def _(command):
    with Session(command) as s:
        s.type(b'y' * 65536 + b'\n')
        same([(TEXT, b'y' * 65536)], s.frames(1))


@check('a line of 65,537 bytes: one line on stderr, exit 1')
def _(command):
    with Session(command) as s:
        s.type(b'y' * 65537 + b'\n')
        s.ends(1, '', 'wsClient: read stdin: line longer than 65536 bytes\n')


@check('text: control bytes as \\xNN, UTF-8 as it is, in full')
def _(command):
    with Session(command) as s:
        s.send(ws.text('\x1b[31m\a\0\ttab 한글 \x9b a\nb \x7f'), ws.text('z' * 100000),
               ws.text(''))
        s.stdout_is('Received: \\x1b[31m\\x07\\x00\ttab 한글 \\xc2\\x9b a\\x0ab \\x7f\n'
                    'Received: %s\nReceived: \n' % ('z' * 100000))


@check('binary is printed as its length')
def _(command):
    with Session(command) as s:
        s.send(ws.binary(b''), ws.binary(b'\0\1\2'), ws.binary(bytes(70000)))
        s.stdout_is('Received: 0 bytes\nReceived: 3 bytes\nReceived: 70000 bytes\n')


@check('-e: echoes and prints, and leaves stdin alone')
def _(command):
    with Session(command, ['-e']) as s:
        s.type(b'typed\n')
        s.send(ws.text('a'), ws.binary(b'bc'), ws.text('z' * 2000))
        same([(TEXT, b'a'), (BINARY, b'bc'), (TEXT, b'z' * 2000)], s.frames(3))
        s.send(ws.close(1000))
        same([CLOSE_1000], s.frames(1))
        s.sock.close()
        s.ends(0, 'Received: a\nReceived: 2 bytes\nReceived: %s\n' % ('z' * 2000),
               'wsClient: ADDRESS: closed by server: 1000\n')


@check('without -e nothing is echoed')
def _(command):
    with Session(command) as s:
        s.send(ws.text('a'), ws.binary(b'b'), ws.ping(b'end'))
        same([(PONG, b'end')], s.frames(1))


@check('closed by the server at the prompt: 1001 and a reason, exit 0')
def _(command):
    with Session(command) as s:
        s.send(ws.text('bye'), ws.close(1001, 'going 안녕 \x1b[31m'.encode()))
        same([(CLOSE, b'\x03\xe9')], s.frames(1))
        s.sock.close()
        s.ends(0, 'Received: bye\n',
               'wsClient: ADDRESS: closed by server: 1001 going 안녕 \\x1b[31m\n')


@check('closed by the server at the prompt: 1011, exit 1')
def _(command):
    with Session(command) as s:
        s.send(ws.close(1011, b'oops'))
        same([(CLOSE, b'\x03\xf3')], s.frames(1))
        s.sock.close()
        s.ends(1, '', 'wsClient: ADDRESS: closed by server: 1011 oops\n')


@check('the connection ends without a Close: exit 1')
def _(command):
    with Session(command) as s:
        s.send(ws.text('x'))
        s.sock.close()
        s.ends(1, 'Received: x\n', 'wsClient: ADDRESS: connection closed by server\n')


@check('the connection ends in the middle of a frame: exit 1')
def _(command):
    with Session(command) as s:
        s.send(ws.text('x', length=100))
        s.sock.close()
        s.ends(1, '', 'wsClient: ADDRESS: connection closed by server\n')


@check('the connection is reset: exit 1')
def _(command):
    with Session(command) as s:
        ws.drop(s.sock)
        s.sock.close()
        s.ends(1, '', 'wsClient: ADDRESS: connection closed by server\n')


@check('a protocol error at the prompt: Close with the code, exit 1')
def _(command):
    with Session(command) as s:
        s.send(ws.text('ok'), ws.Frame(3, b'x'))
        same([(CLOSE, b'\x03\xea')], s.frames(1))
        s.sock.close()
        ws.check_end(s.client, 1, '1002 ' + ws.ANY)
        same(s.banner + 'Received: ok\n', s.printed(), 'stdout')


@check('one byte a second: a message and a Close come through')
def _(command):
    with Session(command) as s:
        for byte in ws.encode(ws.text('slow'), False) + ws.encode(ws.close(1000), False):
            s.sock.sendall(bytes([byte]))
            time.sleep(1)
        same([CLOSE_1000], s.frames(1))
        s.sock.close()
        s.ends(0, 'Received: slow\n', 'wsClient: ADDRESS: closed by server: 1000\n')


def no_answer(s, seconds, drip=False):
    sock, _ = s.client.accept()
    with sock:
        while s.client.process.poll() is None and time.monotonic() < s.started + DEADLINE:
            if drip:
                try:
                    sock.send(b'H')
                except OSError:
                    pass
            try:
                s.client.process.wait(1)
            except subprocess.TimeoutExpired:
                pass
        within(seconds - 0.5, seconds + 1 + SLACK, time.monotonic() - s.started, 'the end')
        ws.check_end(s.client, 1, ws.ANY)


@check('no answer in 5 s: exit 1')
def _(command):
    with Session(command, answer=False) as s:
        no_answer(s, 5)


@check('an answer of one byte a second: exit 1 after 5 s')
def _(command):
    with Session(command, answer=False) as s:
        no_answer(s, 5, True)


ASK = 'Please give me input!\n'


@check('-i 1 on a terminal: asks six times, then Close 1000, exit 0')
def _(command):
    with Session(command, ['-i', '1'], terminal=True) as s:
        s.stdout_is(ASK)
        within(0.7, 1.5 + SLACK, time.monotonic() - s.started, 'the first asking')
        s.stdout_is(ASK * 3)
        within(2.7, 4 + SLACK, time.monotonic() - s.started, 'the third asking')
        same([CLOSE_1000], s.frames(1))
        within(5.6, 8 + SLACK, time.monotonic() - s.started, 'the Close')
        s.close_back()
        s.ends(0, ASK * 6)


@check('-i 1: a line begins the count again, a message does not')
def _(command):
    with Session(command, ['-i', '1'], terminal=True) as s:
        s.stdout_is(ASK * 4)
        s.type(b'here\n')
        same([(TEXT, b'here')], s.frames(1))
        s.send(ws.text('here'))
        same([CLOSE_1000], s.frames(1))
        within(9.5, 13 + SLACK, time.monotonic() - s.started, 'the Close')
        s.close_back()
        s.ends(0, ASK * 4 + 'Received: here\n' + ASK * 6)


@check('without -i: asks after 4 s')
def _(command):
    with Session(command, terminal=True) as s:
        s.stdout_is(ASK)
        within(3.7, 4.3 + SLACK, time.monotonic() - s.started, 'the asking')


def never_asks(s, seconds=6):
    """Negative, so there is nothing to wait for but time."""
    same(s.banner, s.printed(s.banner + ASK, seconds), 'stdout')
    same(None, s.client.process.poll(), 'exit status')


@check('-i 0: never asks')
def _(command):
    with Session(command, ['-i', '0'], terminal=True) as s:
        never_asks(s)


@check('stdin not a terminal: never asks')
def _(command):
    with Session(command, ['-i', '1']) as s:
        never_asks(s)


@check('ctrl-D on a terminal ends the input')
def _(command):
    with Session(command, terminal=True) as s:
        s.type(b'typed\n')
        same([(TEXT, b'typed')], s.frames(1))
        s.type(b'\x04')
        same([CLOSE_1000], s.frames(1))
        s.close_back()
        s.ends(0, '')


@check('stdout full: said, exit 1')
def _(command):
    with open('/dev/full', 'w') as full, Session(command, answer=False, stdout=full) as s:
        same((1, 'wsClient: write stdout: No space left on device\n'), s.client.ends())


@check('stdout gone: said, exit 1')
def _(command):
    with Session(command) as s:
        s.printed(s.banner)
        os.close(s.out_file)
        s.out_file = None
        s.send(ws.text('x'))
        s.ends(1, stderr='wsClient: write stdout: Broken pipe\n')


def asks_for(command, target, path, banner=None):
    with Session(command, answer=False, target=target) as s:
        s.sock, key = s.client.accept()
        ws.check_request(s.client, path)
        s.sock.sendall(ws.answer_to(key))
        banner = (banner or 'Connecting to: ADDRESS at ' + path + '\n')
        banner = banner.replace('ADDRESS', s.client.address)
        same(banner, s.printed(banner), 'stdout')
        s.end_input()
        same([CLOSE_1000], s.frames(1))
        s.close_back()
        s.ends(0)


for _words, _path in ((('ADDRESS', '/ws'), '/ws'), (('ADDRESS', 'ws'), '/ws'),
                      (('ADDRESS', '/'), '/'), (('ADDRESS', '/a/b?c=d&e'), '/a/b?c=d&e'),
                      (('ws://ADDRESS/ws',), '/ws'), (('WS://ADDRESS/ws',), '/ws'),
                      (('ws://ADDRESS',), '/'), (('ws://ADDRESS/',), '/'),
                      (('ws://ADDRESS/a/b?x=y',), '/a/b?x=y'),
                      (('ws://ADDRESS?x=y',), '/?x=y')):
    check('wsClient %s asks for %s' % (' '.join(_words), _path))(
        lambda command, words=_words, path=_path: asks_for(command, words, path))


if __name__ == '__main__':
    sys.exit(run('wsClient', sys.argv[1:]))
