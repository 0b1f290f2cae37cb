#!/usr/bin/python3
"""client.py PROGRAM... - what wsClient does with stdin, stdout, time and signals

Each check starts the program with a raw server of its own to talk to.
"""
import contextlib
import os
import re
import select
import signal
import sys
import threading
import time

from checks import becomes, can, check, checks, not_before, run, same
from raw import PONG, Client, answer, close, closed, first, last, ping, text

LOST = 'wsClient: server: connection closed'
ASK = 'Please give me input!\n'


class Session(Client):
    """The program with the handshake done: its keyboard, and the server's end, `ws`."""

    def __init__(self, command, *words, keyboard='pipe', **more):
        super().__init__(command, *words, keyboard=keyboard, **more)
        self.started = time.monotonic()
        self.ws, key = self.accept()
        self.ws.sock.sendall(answer(key))

    def type(self, data):
        while data:
            data = data[os.write(self.keys, data):]

    def answers_ping(self):
        """The next thing that it sends: so it has taken all that we have sent."""
        self.ws.send(ping(b'there?'))
        self.ws.takes((PONG, b'there?'))

    def state(self):
        with open(self.proc('stat')) as stat:
            return stat.read().split()[2]

    def interrupt(self):
        """While it waits in poll(): TSan may lose a signal that comes on the way there."""
        self.answers_ping()
        becomes('S', self.state)
        self.process.send_signal(signal.SIGINT)

    def waits(self):
        """How often it has waited for something."""
        with open(self.proc('status')) as status:
            return int(re.search(r'\nvoluntary_ctxt_switches:\t(\d+)', status.read())[1])

    def is_stuck(self):
        """It waits, though its keyboard has more than it takes: so it waits to send."""
        return self.state() == 'S' and not select.select([], [self.keys], [], 0)[1]

    def shows(self, words):
        """This is on stdout behind the first line, and soon."""
        becomes('Connecting to: %s at /ws\n%s' % (self.address, words), self.printed)

    def says_goodbye(self, words='', *late, complaint=''):
        """It sends its Close; we send what is late, and ours. It ends with 0, and this on
        stdout."""
        self.ws.takes(closed())
        self.ws.send(*late, close(1000))
        same([], self.ws.rest())
        self.ends(0, complaint)
        self.shows(words)


@check('a line is a message without its newline, as soon as it is whole')
def _(command):
    with Session(command) as s:
        s.type(b'hel')
        s.answers_ping()
        s.type('lo\n\n \tblanks \r\n한글\n'.encode())
        s.ws.takes('hello', '', ' \tblanks \r', '한글')
        s.type(b'y' * 65535 + b'\n' + b'x\n')
        s.ws.takes('y' * 65535, 'x')
        s.type(b'y' * 65536 + b'\n')
        s.ends(1, 'wsClient: stdin: ' + os.environ.get('TOO_LONG', 'Message too long'))


@check('a line that is not UTF-8 is not sent, an unfinished last one is, then Close')
def _(command):
    with Session(command) as s:
        s.type(b'good\nbad \xff\nsurrogate \xed\xa0\x80\ncut \xe1\x80\nlast')
        s.hang_up()
        s.ws.takes('good', 'last')
        s.says_goodbye('Received: late\nReceived: 5 bytes\n', 'late', ping(b'ignored'),
                       b'12345', complaint='\n'.join(['wsClient: stdin: not UTF-8, not sent'] * 3))


@check('2 MB of lines, and a server that reads nothing for a while: nothing is lost')
def _(command):
    with Session(command) as s:
        lines = ['%d %s' % (i, 'x' * (i % 100)) for i in range(40000)]
        data = '\n'.join(lines).encode()
        typing = threading.Thread(target=s.type, args=[data], daemon=True)
        typing.start()
        typing.join(2)
        s.ws.send('meanwhile')
        s.ws.takes(*lines[:-1])
        typing.join()
        s.hang_up()
        s.ws.takes(lines[-1])
        s.says_goodbye('Received: meanwhile\n')


@check('the server refuses in the middle of 50 MB of lines: closed with 1009, exit 1')
def _(command):
    def typing():
        with contextlib.suppress(OSError):
            s.type((b'x' * 1000 + b'\n') * 50000)

    with Session(command) as s:
        keyboard = threading.Thread(target=typing, daemon=True)
        keyboard.start()
        s.ws.takes('x' * 1000)
        becomes(True, s.is_stuck, 'it cannot send')
        s.ws.send(close(1009))
        s.ws.sock.close()
        s.ends(1, 'wsClient: closed with 1009')
        keyboard.join()


@check('messages are printed as they come, in full, their control bytes as \\xNN')
def _(command):
    with Session(command) as s:
        shown = 'Received: first\n'
        s.ws.send('first')
        s.shows(shown)
        s.ws.send('\x1b[31m\a\0\ttab 한글 \x9b a\nb \x7f', 'z' * 100000, '', b'',
                  bytes(70000), first('half'))
        s.answers_ping()
        shown += ('Received: \\x1b[31m\\x07\\x00\ttab 한글 \udcc2\\x9b a\\x0ab \\x7f\n'
                  'Received: %s\nReceived: \nReceived: 0 bytes\nReceived: 70000 bytes\n' %
                  ('z' * 100000))
        s.shows(shown)
        s.ws.send(last(' done'))
        s.shows(shown + 'Received: half done\n')


@check('-e: echoes and prints, leaves stdin alone; the masks are new and random')
def _(command):
    with Session(command, '-e') as s:
        s.type(b'typed\n')
        s.hang_up()
        s.ws.send('a', b'bc', *['x'] * 254, close(1000))
        s.ws.takes('a', b'bc', *['x'] * 254, closed())
        s.ends(0, '')
        s.shows('Received: a\nReceived: 2 bytes\n' + 'Received: x\n' * 254)
        same(257, len(set(s.ws.masks)), 'different masks')
        same(True, all(len(set(place)) > 100 for place in zip(*s.ws.masks)), 'random')


@check('stdout full or gone: said, exit 1')
def _(command):
    with open('/dev/full', 'w') as full, Client(command, stdout=full) as client:
        client.ends(1, 'wsClient: stdout: No space left on device')
    for keyboard, message in (('pipe', 'x'), ('terminal', None)): # printed, or asked for
        reader, writer = os.pipe()
        with Session(command, '-i', '1', keyboard=keyboard, stdout=writer) as s:
            os.close(writer)
            os.close(reader)
            if message:
                s.ws.send(message)
            s.ends(1, 'wsClient: stdout: Broken pipe')


@check('SIGINT: Close 1000, what still arrives, exit 0; a second one ends it at once')
def _(command):
    for words in ((), ('-e',)):
        with Session(command, *words) as s:
            s.interrupt()
            s.says_goodbye('Received: late\n', 'late')
    with Session(command) as s:
        s.interrupt()
        s.ws.takes(closed())
        s.process.send_signal(signal.SIGINT)
        s.ends(-signal.SIGINT, '')


@check('SIGINT in the middle of a frame: exit 0')
def _(command):
    can('signals')
    with Session(command) as s:
        s.answers_ping()
        idle = s.waits()
        s.ws.send(text('half', length=100))
        becomes(True, lambda: s.waits() > idle, 'it has begun to read')
        s.process.send_signal(signal.SIGINT)
        s.ends(0, '')


def go_on(s):
    try:
        while True:
            s.ws.send(*[ping(b'on and on')] * 1000)
    except OSError:
        pass  # it has left


for _answer, _how, _seconds in (('nothing', lambda s: None, 1.9), ('Pings', go_on, 1.9),
                                ('the end', lambda s: s.ws.reset(), 0)):
    @check('the answer to its Close is %s: exit 0' % _answer)
    def _(command, how=_how, seconds=_seconds):
        for leave in (Session.hang_up, Session.interrupt):
            with Session(command) as s:
                leave(s)
                since = time.monotonic()
                s.ws.takes(closed())
                how(s)
                s.ends(0, '')
                not_before(since, seconds, 'the end')


for _name, _sent, _leave, _complaint in (
        ('with half a frame', text('x', length=100), 'shut', LOST),
        ('with nothing', ping(), 'shut', LOST),
        ('by a reset', ping(), 'reset', 'wsClient: server: ANY')):
    @check('the connection ends %s: exit 1' % _name)
    def _(command, sent=_sent, leave=_leave, complaint=_complaint):
        with Session(command) as s:
            s.ws.send('x')
            s.answers_ping()
            s.ws.send(sent)
            getattr(s.ws, leave)()
            s.ends(1, complaint)
            s.shows('Received: x\n')


@check('an answer that comes byte by byte and does not end: exit 1 after 5 s')
def _(command):
    since = time.monotonic()
    with Client(command) as client:
        ws, _ = client.accept()
        with ws:
            def over():
                ws.pour(b'H')
                return client.process.poll() is not None
            becomes(True, over, 'over')
            client.ends(1, 'wsClient: server: ANY')
            not_before(since, 4.9, 'the end')


@check('-i 1 on a terminal: asks six times, then Close; a line begins the count again')
def _(command):
    with Session(command, '-i', '1', keyboard='terminal') as s:
        becomes(True, lambda: s.printed().count(ASK) >= 2, 'asked twice')
        s.type(b'here\n')
        s.ws.takes('here')
        s.ws.send('and there')
        s.ws.takes(closed())
        s.ws.send(close(1000))
        s.ends(0, '')
        not_before(s.started, 7.8, 'the Close')
        asked = s.printed().partition('and there')[2].count(ASK)
        same(True, asked <= 6, s.printed())  # less, if one came before 'and there'


@check('without -i: asks after 4 s; ctrl-D ends the input')
def _(command):
    with Session(command, keyboard='terminal') as s:
        s.shows(ASK)
        not_before(s.started, 3.9, 'the asking')
        s.type(b'\x04')
        s.says_goodbye(ASK)


for _words, _keyboard in ((('-i', '0'), 'terminal'), (('-i', '1'), 'pipe')):
    @check('%s, stdin a %s: never asks, and takes half a frame and the rest 6 s later' %
           (' '.join(_words), _keyboard))
    def _(command, words=_words, keyboard=_keyboard):
        with Session(command, *words, keyboard=keyboard) as s:
            s.ws.sock.sendall(b'\x81\x02h')
            same([], s.ws.readable(6))
            s.ws.sock.sendall(b'i')
            s.shows('Received: hi\n')


@check('the path that it asks for')
def _(command):
    for target, path in (('ADDRESS ws', '/ws'), ('ADDRESS /a/b?c=d&e', '/a/b?c=d&e'),
                         ('ws://ADDRESS', '/'), ('WS://ADDRESS?x=y', '/?x=y')):
        with Client(command, target=target) as client:
            client.accept(path)[0].reset()
            client.ends(1)
            same('Connecting to: %s at %s\n' % (client.address, path), client.printed())


if __name__ == '__main__':
    sys.exit(run('wsClient', checks, sys.argv[1:]))
