#!/usr/bin/python3
"""client.py PROGRAM... - what wsClient does with stdin, stdout, time and signals

Each check starts the program with a raw server of its own to talk to.
"""
import contextlib
import os
import select
import signal
import socket
import sys
import time

from checks import SLOW, Skip, becomes, can, check, checks, not_before, run, same
from raw import (KEY, PING, PONG, Client, beside, binary, close, closed, encode, first,
                 last, ping, response, text)

NO_CLOSE = 'wsClient: server: no Close within 2 s'
UNSENT = 'wsClient: server: not everything was sent'
NOT_UTF8 = 'wsClient: stdin: not UTF-8, not sent'
REMINDER = 'Please give me input!\n'
PATIENCE = 40 * SLOW


class Session(Client):
    """The program with the handshake done: its keyboard, and the server's end, `ws`."""

    def __init__(self, command, *words, keyboard='pipe', **more):
        super().__init__(command, *words, keyboard=keyboard, **more)
        self.started = time.monotonic()
        self.ws, key = self.accept()
        self.ws.sock.sendall(response(key))
        self.typing, self.screen = None, b''

    def type(self, data):
        while data:
            data = data[os.write(self.keys, data):]

    def type_beside(self, data):
        """Types in a thread, until all is typed or the program has ended."""
        self.typing = beside(self.type, data)

    def hang_up(self):
        if self.typing:
            self.typing.join()
        super().hang_up()

    def flood(self, frame):
        """Sends the frame again and again until the connection ends."""
        def send():
            while True:
                self.ws.send(*[frame] * 20)
        beside(send)

    def answers_ping(self):
        """The next thing that it sends: so it has read all that we have sent."""
        self.ws.send(ping(b'there?'))
        self.ws.expect((PONG, b'there?'))

    def state(self):
        with open(self.proc('stat')) as stat:
            return stat.read().split()[2]

    def interrupt(self):
        """While it waits in poll(): TSan may lose one that arrives on the way there."""
        self.answers_ping()
        becomes('S', self.state)
        self.process.send_signal(signal.SIGINT)

    def is_stuck(self):
        """It waits, though its keyboard is full: so it waits to send."""
        return self.state() == 'S' and not select.select([], [self.keys], [], 0)[1]

    def shows(self, words):
        """This is on stdout after the first line, and soon."""
        becomes('Connecting to: %s at /ws\n%s' % (self.address, words), self.printed)

    def on_screen(self):
        """What the terminal shows, the typed text included."""
        while select.select([self.keys], [], [], 0)[0]:
            self.screen += os.read(self.keys, 65536)
        return self.screen.decode().replace('\r\n', '\n')

    def says_goodbye(self, words='', *late, status=0, complaint=''):
        """It sends its Close; we send what is late, and ours. It ends with the status, and
        this on stdout."""
        self.ws.expect(closed())
        self.ws.send(*late, close(1000))
        same([], self.ws.rest())
        self.ends(status, complaint)
        self.shows(words)


@check('a line is a message without its newline, as soon as it is complete')
def _(command):
    with Session(command) as s:
        s.type(b'hel')
        s.answers_ping()
        s.type('lo\n\n \tblanks \r\n한글\n'.encode())
        s.ws.expect('hello', '', ' \tblanks \r', '한글')
        s.type(b'y' * 65535 + b'\n' + b'x\n')
        s.ws.expect('y' * 65535, 'x')


@check('a line over 64 KiB: what was typed before arrives, then a Close, exit 1')
def _(command):
    with Session(command) as s:
        lines = ['%d' % i for i in range(5000)]
        s.type_beside('\n'.join(lines).encode() + b'\n' + b'y' * 70000 + b'\nmore\n')
        s.ws.expect(*lines)
        s.says_goodbye(status=1, complaint='wsClient: stdin: line too long')


@check('a line that is not UTF-8 is not sent, exit 1 at the end; an unfinished last one is')
def _(command):
    with Session(command) as s:
        s.type(b'good\nbad \xff\nsurrogate \xed\xa0\x80\ncut \xe1\x80\nlast')
        s.hang_up()
        s.ws.expect('good', 'last')
        s.says_goodbye('Received: late\nReceived: 5 bytes\n', 'late', ping(b'ignored'),
                       b'12345', status=1, complaint='\n'.join([NOT_UTF8] * 3))


@check('a server that needs 3 s to answer all that was sent before the Close: all answers')
def _(command):
    with Session(command) as s:
        lines = ['%d' % i for i in range(1500)]
        s.type('\n'.join(lines).encode())
        s.hang_up()
        for line in lines:
            s.ws.expect(line)
            s.ws.send(line)
            time.sleep(0.002)
        s.says_goodbye(''.join('Received: %s\n' % line for line in lines))


@check('a server that answers each line with three before it reads on: all arrive')
def _(command):
    with Session(command) as s:
        lines = [c * 60000 for c in 'abcdefghij' * 10]
        s.ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.type_beside('\n'.join(lines).encode() + b'\n')
        for line in lines:
            s.ws.expect(line)
            s.ws.send(*[line] * 3)
        s.hang_up()
        s.says_goodbye(''.join(('Received: %s\n' % line) * 3 for line in lines))


@check('a server that writes without a pause: lines are sent, SIGINT closes')
def _(command):
    can('signals')
    with Session(command, stdout=os.open('/dev/null', os.O_WRONLY)) as s:
        s.flood(binary(bytes(60001)))
        s.type(b'through\n')
        s.ws.expect('through')
        s.process.send_signal(signal.SIGINT)
        s.ws.expect(closed())


@check('writing fails: what has arrived is printed, its close code decides')
def _(command):
    for code, status, complaint in ((4000, 1, 'wsClient: closed with 4000'),
                                    (1000, 1, UNSENT)):
        with Session(command) as s:
            s.type_beside(b'x\n' * 5000000)
            s.ws.expect('x')
            becomes(True, s.is_stuck, 'it cannot send')
            s.process.send_signal(signal.SIGSTOP)
            s.ws.send(*['m' * 180] * 300, close(code))  # more than one read()
            s.ws.sock.close()  # with unread lines: a reset
            s.process.send_signal(signal.SIGCONT)
            s.ends(status, complaint)
            s.shows(('Received: %s\n' % ('m' * 180)) * 300)


@check('the server closes with 1000 while input waits: said, exit 1; without: exit 0')
def _(command):
    for typed, status, complaint in ((b'', 0, ''), (b'half', 1, UNSENT)):
        with Session(command) as s:
            s.type(typed)
            s.ws.send(close(1000))
            s.ws.rest()
            s.ends(status, complaint)


@check('messages are printed as they arrive, in full, their control characters as \\xNN')
def _(command):
    with Session(command) as s:
        shown = 'Received: first\n'
        s.ws.send('first')
        s.shows(shown)
        s.ws.send('\x1b[31m\a\0\ttab 한글 \x9b a\nb \x7f', 'z' * 100000, '', b'',
                  bytes(70000), first('half'))
        s.answers_ping()
        shown += ('Received: \\x1b[31m\\x07\\x00\ttab 한글 \\xc2\\x9b a\\x0ab \\x7f\n'
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
        s.answers_ping()
        s.ws.send('a', b'bc', *['x'] * 254, close(1000))
        s.ws.expect('a', b'bc', *['x'] * 254, closed())
        s.ends(0, '')
        s.shows('Received: a\nReceived: 2 bytes\n' + 'Received: x\n' * 254)
        same(258, len(set(s.ws.masks)), 'different masks')
        same(True, all(len(set(place)) > 100 for place in zip(*s.ws.masks)), 'random')


@check('-e and a server that reads nothing: it gives up, exit 1')
def _(command):
    with Session(command, '-e') as s:
        s.ws.fill()
        becomes(True, lambda: s.process.poll() is not None, 'over', 120 * SLOW)
        s.ends(1, 'wsClient: server: it takes no data')


@check('stdout full or closed: one line on stderr, exit 1; what has been sent arrives')
def _(command):
    with open('/dev/full', 'w') as full, Client(command, stdout=full) as client:
        client.ends(1, 'wsClient: stdout: *')
    for keyboard, typed, *messages in (
            ('pipe', b'', 'x'), ('pipe', b'', 'x' * 100000, close(1000)),
            ('pipe', (b'x' * 1000 + b'\n') * 5000, *['y' * 1000] * 60),
            ('terminal', b'')):  # what is printed then is a reminder
        reader, writer = os.pipe()
        with Session(command, '-i', '1', keyboard=keyboard, stdout=writer) as s:
            os.close(writer)
            os.close(reader)
            s.type_beside(typed)
            if typed:
                becomes(True, s.is_stuck, 'it cannot send')
            s.ws.send(*messages)
            while s.ws.sock.recv(1 << 20):
                pass  # to the end, without a reset
            s.ends(1, 'wsClient: stdout: *e*')  # Broken pipe, or write failed


@check('SIGINT: what was typed is sent, Close 1000, what still arrives, exit 0; a second '
       'one ends it at once')
def _(command):
    for words in ((), ('-e',)):
        with Session(command, *words) as s:
            s.interrupt()
            s.says_goodbye('Received: late\n', 'late')
    with Session(command) as s:
        s.hang_up()
        s.ws.expect(closed())
        s.process.send_signal(signal.SIGINT)
        s.ends(-signal.SIGINT, '')
    with Session(command) as s:
        s.type_beside(b'x\n' * 5000000)
        becomes(True, s.is_stuck, 'it cannot send')

        def interrupted():
            s.process.send_signal(signal.SIGINT)
            return s.process.poll() is not None
        becomes(True, interrupted, 'over')
        s.ends(-signal.SIGINT, '')


@check('SIGINT after half a line of a pipe: the half is not sent, exit 1')
def _(command):
    with Session(command) as s:
        s.type(b'one\ntwo\nhalf')
        s.ws.expect('one', 'two')
        s.interrupt()
        s.says_goodbye(status=1, complaint=UNSENT)


@check('SIGINT that was ignored at the start stays ignored')
def _(command):
    with Session(['sh', '-c', 'trap "" INT; exec "$@"', 'sh', *command]) as s:
        s.interrupt()
        s.interrupt()
        s.answers_ping()
        s.hang_up()
        s.says_goodbye()


for _half in (b'\x81', b'\x81\x02h'):
    @check('silence for 30 s after %r: a Ping; for 30 s more: exit 1' % _half)
    def _(command, half=_half):
        with Session(command) as s:
            since = time.monotonic()
            s.ws.sock.sendall(half)
            s.ws.expect((PING, b''), seconds=PATIENCE)
            not_before(since, 29.9, 'the Ping')
            s.type(b'typed\n')
            s.ws.expect('typed')
            same(None, s.ws.frame(PATIENCE), 'after the Ping')
            not_before(since, 59.8, 'the end')
            s.ends(1, 'wsClient: server: silent inside a frame')


for _answer, _how, _seconds, _complaint in (
        ('nothing', lambda s: None, 1.9, NO_CLOSE),
        ('half a frame', lambda s: s.ws.send(text('x', length=9)), 1.9, NO_CLOSE),
        ('Pings', lambda s: s.flood(ping(b'on and on')), 1.9, NO_CLOSE),
        ('the end', lambda s: s.ws.reset(), 0, 'wsClient: server: connection*')):
    @check('its Close is answered by %s: exit 1' % _answer)
    def _(command, how=_how, seconds=_seconds, complaint=_complaint):
        for leave in (Session.hang_up, Session.interrupt):
            with Session(command) as s:
                since = time.monotonic()
                leave(s)
                s.ws.expect(closed())
                how(s)
                s.ends(1, complaint)
                not_before(since, seconds, 'the end')


@check('the server closes or resets at any place: exit 1, whole messages are printed')
def _(command):
    size = len(response(KEY))
    frames = b''.join(encode(frame, False) for frame in ('first', bytes(300), 'x' * 200))
    for at in range(0, size + len(frames), 7):
        with Client(command, keyboard='pipe') as client:
            ws, key = client.accept()
            ws.sock.sendall((response(key) + frames)[:at])
            if at % 2:
                ws.reset()
            else:
                ws.shut()
            client.ends(1, 'wsClient: server: *')
            if at % 2 == 0:  # a reset may destroy what is on its way
                same(at >= size + 7, 'first' in client.printed())


for _name, _drip in (('nothing', b''), ('a response byte by byte', b'H')):
    @check('%s for 30 s: exit 1' % _name)
    def _(command, drip=_drip):
        since = time.monotonic()
        with Client(command) as client:
            ws, _ = client.accept()
            with ws:
                def over():
                    ws.pour(drip)
                    return client.process.poll() is not None
                becomes(True, over, 'over', PATIENCE)
                client.ends(1, 'wsClient: server: * timed out')
                not_before(since, 29.9, 'the end')


@check('-i 1 on a terminal: six reminders, then a Close; a line begins the count again')
def _(command):
    with Session(command, '-i', '1', keyboard='terminal') as s:
        becomes(True, lambda: s.printed().count(REMINDER) >= 2, 'two reminders')
        s.type(b'here\n')
        s.ws.expect('here')
        s.ws.send('and there')
        s.ws.expect(closed())
        not_before(s.started, 7.8, 'the Close')
        s.ws.send(close(1000))
        s.ends(0, 'wsClient: stdin: no input, closing the connection')
        reminders = s.printed().partition('and there')[2].count(REMINDER)
        same(True, reminders <= 6, s.printed())  # fewer, if one came just before it


@check('without -i: a reminder after 4 s; ctrl-D ends the input')
def _(command):
    with Session(command, keyboard='terminal') as s:
        s.shows(REMINDER)
        not_before(s.started, 3.9, 'the reminder')
        s.type(b'\x04')
        s.says_goodbye(REMINDER)


for _words, _keyboard in ((('-i', '0'), 'terminal'), (('-i', '1'), 'pipe')):
    @check('%s, stdin a %s: no reminder, and half a frame and the rest 6 s later' %
           (' '.join(_words), _keyboard))
    def _(command, words=_words, keyboard=_keyboard):
        with Session(command, *words, keyboard=keyboard) as s:
            s.ws.sock.sendall(b'\x81\x02h')
            same([], s.ws.readable(6))
            s.ws.sock.sendall(b'i')
            s.shows('Received: hi\n')


@check('a terminal: a message starts on a line of its own; the half-typed line is sent')
def _(command):
    with Session(command, '-i', '0', keyboard='screen') as s:
        shown = 'Connecting to: %s at /ws\n' % s.address
        s.type(b'hal')
        becomes(shown + 'hal', s.on_screen)
        s.ws.send('message')
        shown += 'hal\nReceived: message\n'
        becomes(shown, s.on_screen)
        s.type(b'f\n')
        s.ws.expect('half')
        s.ws.send('half')
        becomes(shown + 'f\nReceived: half\n', s.on_screen)  # no blank line before it
        s.type(b'\x04')
        s.ws.expect(closed())
        s.ws.send(close(1000))
        s.ends(0, '')


@check('a terminal: ctrl-C closes, a second one ends it at once')
def _(command):
    can('signals')
    with Session(command, keyboard='screen') as s:
        s.answers_ping()
        s.type(b'\x03')
        s.ws.expect(closed())
        s.type(b'\x03')
        s.ends(-signal.SIGINT, '')


@check('Host: localhost for no host, a number for a named port')
def _(command):
    with Client(command, target=':{port} /ws') as client:
        client.accept(host='localhost' + client.address[9:])[0].reset()
    for port in range(1024, 10000):
        with contextlib.suppress(OSError):
            name = socket.getservbyport(port, 'tcp')
            listener = socket.create_server(('127.0.0.1', port))
            break
    else:
        raise Skip('no port has a name here')
    with Client(command, target='localhost:%s /ws' % name, listener=listener) as client:
        client.accept(host='localhost:%d' % port)[0].reset()


@check('the path that it asks for')
def _(command):
    for target, path in (('{address} ws', '/ws'), ('{address} /a/b?c=d&e', '/a/b?c=d&e'),
                         ('ws://{address}', '/'), ('WS://{address}?x=y', '/?x=y')):
        with Client(command, target=target) as client:
            client.accept(path)[0].reset()
            client.ends(1)
            same('Connecting to: %s at %s\n' % (client.address, path), client.printed())


if __name__ == '__main__':
    sys.exit(run('wsClient', checks, sys.argv[1:]))
