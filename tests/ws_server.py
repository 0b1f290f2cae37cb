#!/usr/bin/python3
"""ws_server.py PROGRAM... - what wsServer does with time, signals, crowds and its log

Each check starts a server of its own, but for those that only wait: they share one.
"""
import os
import re
import resource
import signal
import socket
import sys
import threading
import time

import ws_cases as ws
from ws_cases import SLACK, SLOW, TEXT, BINARY, CLOSE, PING, PONG, DEADLINE
from ws_checks import Wrong, can, check, run, same, within


# The threads of a server without clients: the one that accepts, the one for signals.
IDLE = int(os.environ.get('TEST_THREADS', '1')) + 1


class Server(ws.Server):
    def prints(self, text):
        try:
            self.wait(lambda: self.printed() == text)
        except Wrong:
            same(text, self.printed(), 'stdout')

    def ends(self, least, most):
        """Sends SIGTERM; it ends with 0 after least to most seconds."""
        since = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        same(0, self.process.wait(DEADLINE), 'exit status')
        within(least, most + SLACK, time.monotonic() - since, 'the end')

    def number(self, kind):
        """How many descriptors or threads it has."""
        return len(os.listdir('/proc/%d/%s' % (self.process.pid, kind)))

    def memory(self):
        with open('/proc/%d/status' % self.process.pid) as f:
            return int(re.search(r'VmRSS:\s*(\d+)', f.read()).group(1))


shared_lock = threading.Lock()
shared = []


def waiting_room(command):
    """The address of the server that the waiting checks share."""
    with shared_lock:
        if not shared:
            shared.append(Server(command, '-q'))
    return shared[0].address


def sends(sock, *frames):
    sock.setblocking(True)
    sock.settimeout(DEADLINE)
    sock.sendall(b''.join(ws.encode(f, True) for f in frames))


def takes(sock, *frames, seconds=DEADLINE):
    """Exactly these frames come."""
    want = b''.join(ws.encode(ws.Frame(o, p), False) for o, p in frames)
    got = b''
    sock.setblocking(True)
    deadline = time.monotonic() + seconds
    while len(got) < len(want):
        sock.settimeout(max(deadline - time.monotonic(), 0.01))
        try:
            data = sock.recv(len(want) - len(got))
        except socket.timeout:
            raise Wrong('expected: %.200r got: %.200r, late' % (want, got)) from None
        if not data:
            break
        got += data
    same(want, got)


def echoed(address):
    with ws.open_websocket(address) as sock:
        sends(sock, ws.text('x'))
        takes(sock, (TEXT, b'x'))


def reset(sock):
    ws.drop(sock)
    sock.close()


# --- Time ---------------------------------------------------------------------------

@check('idle for 30 s: a Ping; answered, another one 30 s later')
def _(command):
    with ws.open_websocket(waiting_room(command)) as sock:
        since = time.monotonic()
        takes(sock, (PING, b''), seconds=35 * SLOW)
        within(29, 32 + SLACK, time.monotonic() - since, 'the Ping')
        sends(sock, ws.Frame(PONG))
        since = time.monotonic()
        takes(sock, (PING, b''), seconds=35 * SLOW)
        within(29, 32 + SLACK, time.monotonic() - since, 'the second Ping')
        sends(sock, ws.text('still here'))
        takes(sock, (TEXT, b'still here'))


@check('idle for 30 s and the Ping not answered for 30 s: dropped')
def _(command):
    with ws.open_websocket(waiting_room(command)) as sock:
        since = time.monotonic()
        takes(sock, (PING, b''), seconds=35 * SLOW)
        same(b'', sock_rest(sock, 35 * SLOW), 'after the Ping')
        within(58, 64 + SLACK, time.monotonic() - since, 'the end')


@check('a message puts the Ping off')
def _(command):
    with ws.open_websocket(waiting_room(command)) as sock:
        time.sleep(10)
        since = time.monotonic()
        sends(sock, ws.text('x'))
        takes(sock, (TEXT, b'x'))
        takes(sock, (PING, b''), seconds=35 * SLOW)
        within(29, 32 + SLACK, time.monotonic() - since, 'the Ping')


def sock_rest(sock, seconds):
    """All that comes up to the end of the connection, however it ends."""
    sock.setblocking(True)
    deadline = time.monotonic() + seconds
    got = b''
    try:
        while True:
            sock.settimeout(max(deadline - time.monotonic(), 0.01))
            data = sock.recv(65536)
            if not data:
                return got
            got += data
    except socket.timeout:
        raise Wrong('the connection is not closed; so far: %.100r' % got) from None
    except ConnectionResetError:
        return got


@check('a client that never reads is dropped after 30 s, the others are served meanwhile')
def _(command):
    with Server(command, '-q') as server:
        sock = ws.open_websocket(server.address)
        sock.setblocking(False)
        data = ws.encode(ws.binary(bytes(100000)), True)
        at, since, full, longest = 0, time.monotonic(), None, 0
        served = since
        while time.monotonic() < since + 50 * SLOW:
            try:
                at = (at + sock.send(data[at:])) % len(data)
                full = None
            except BlockingIOError:
                full = full or time.monotonic()
                longest = max(longest, time.monotonic() - full)
                time.sleep(0.1)
            except OSError:
                break
            if time.monotonic() > served + 5:
                before = time.monotonic()
                echoed(server.address)
                served = time.monotonic()
                within(0, 1 + SLACK, served - before, 'the echo of another client')
        else:
            raise Wrong('it is held for more than 50 s')
        within(25, 36 + SLACK, longest, 'the end')
        echoed(server.address)
        server.wait(lambda: server.number('task') <= IDLE)
        same(2, len(server.log().splitlines()), 'lines on stderr')


@check('one byte a second: a message and a Close come through')
def _(command):
    with ws.open_websocket(waiting_room(command)) as sock:
        for byte in ws.encode(ws.text('slow'), True) + ws.encode(ws.close(1000), True):
            sock.setblocking(True)
            sock.sendall(bytes([byte]))
            time.sleep(1)
        takes(sock, (TEXT, b'slow'), (CLOSE, b'\x03\xe8'))
        same(b'', sock_rest(sock, DEADLINE), 'after the Close')


def times_out(address, drip, sent=b''):
    with ws.connect(address) as sock:
        since = time.monotonic()
        sock.sendall(sent)
        sock.settimeout(1)
        data = b''
        while True:
            if time.monotonic() > since + DEADLINE:
                raise Wrong('no answer: %r' % data)
            try:
                more = sock.recv(4096)
                if not more:
                    break
                data += more
            except socket.timeout:
                if drip:
                    sock.send(b'G')
        within(4.5, 6.1 + SLACK, time.monotonic() - since, 'the 408')
        status, headers, body = ws.split_head(data)
        same('HTTP/1.1 408 ', status[:13])
        same(['close'], headers.get('connection'))
        same(1, body.count(b'\n'), 'lines of the body')


check('nothing sent: 408 after 5 s')(lambda c: times_out(waiting_room(c), False))
check('half a request: 408 after 5 s')(
    lambda c: times_out(waiting_room(c), False, b'GET /ws HTTP/1.1\r\nHost: x\r\n'))
check('a request of one byte a second: 408 after 5 s')(
    lambda c: times_out(waiting_room(c), True))


@check('a refused client that does not close is let go after 2 s')
def _(command):
    with Server(command, '-q') as server:
        with ws.connect(server.address) as sock:
            sock.sendall(b'GET /nope HTTP/1.1\r\nHost: x\r\n\r\n')
            sock_rest(sock, DEADLINE)
            since = time.monotonic()
            server.wait(lambda: server.number('task') <= IDLE)
            within(1, 3 + SLACK, time.monotonic() - since, 'its thread')


@check('a failed client that goes on sending still gets its Close')
def _(command):
    with ws.open_websocket(waiting_room(command)) as sock:
        sends(sock, ws.text('x', rsv=4), *[ws.binary(bytes(60000))] * 20)
        takes(sock, (CLOSE, b'\x03\xea'))
        same(b'', sock_rest(sock, DEADLINE), 'after the Close')


# --- Signals ------------------------------------------------------------------------

@check('SIGTERM: Close 1001 to every client, exit 0 as soon as they have answered')
def _(command):
    with Server(command, '-q') as server:
        socks = [ws.open_websocket(server.address) for _ in range(100)]
        for sock in socks:
            sends(sock, ws.ping(b'there?'))
            takes(sock, (PONG, b'there?'))
        sends(socks[0], ws.text('half', fin=0))
        sends(socks[1], ws.text('half', length=1000))
        sends(socks[2], b'\x81')

        def say_goodbye(sock, how):
            takes(sock, (CLOSE, b'\x03\xe9'))
            if how > 2:
                sends(sock, ws.close(1001))
            sock.shutdown(socket.SHUT_WR)
            same(b'', sock_rest(sock, DEADLINE), 'after the Close')
        threads = [threading.Thread(target=caught, args=(errors := [], say_goodbye, s, i))
                   for i, s in enumerate(socks)]
        for thread in threads:
            thread.start()
        server.ends(0, 1.5)
        for thread in threads:
            thread.join()
        same([], errors[:3])
        same(server.first_line, server.log(), 'stderr')


def caught(errors, function, *args):
    try:
        function(*args)
    except Exception as why:
        errors.append(repr(why))


@check('SIGINT does the same')
def _(command):
    with Server(command, '-q') as server, ws.open_websocket(server.address) as sock:
        sends(sock, ws.ping())
        takes(sock, (PONG, b''))
        server.process.send_signal(signal.SIGINT)
        takes(sock, (CLOSE, b'\x03\xe9'))
        sends(sock, ws.close(1001))
        same(b'', sock_rest(sock, DEADLINE), 'after the Close')
        same(0, server.process.wait(DEADLINE), 'exit status')


@check('SIGTERM without a client: exit 0 at once')
def _(command):
    with Server(command) as server:
        server.ends(0, 0.5)
        same((server.first_line, ''), (server.log(), server.printed()))


@check('SIGTERM, and clients that do not answer: exit 0 after 2 s')
def _(command):
    with Server(command, '-q') as server:
        socks = [ws.open_websocket(server.address) for _ in range(5)]
        for sock in socks:
            sends(sock, ws.ping(b'there?'))
            takes(sock, (PONG, b'there?'))
        server.ends(1.5, 2.5)
        for sock in socks:
            same(b'\x88\x02\x03\xe9', sock_rest(sock, DEADLINE))


@check('SIGTERM, and clients that do not read or have not shaken hands: exit 0 in 2 s')
def _(command):
    with Server(command, '-q') as server:
        with ws.open_websocket(server.address) as sock, ws.connect(server.address) as new:
            new.sendall(b'GET /ws')
            sock.setblocking(False)
            data = ws.encode(ws.binary(bytes(100000)), True)
            at, blocked = 0, 0
            while blocked < 10:
                try:
                    at = (at + sock.send(data[at:])) % len(data)
                    blocked = 0
                except BlockingIOError:
                    blocked += 1
                    time.sleep(0.05)
            server.ends(0, 2.5)


# --- Crowds -------------------------------------------------------------------------

@check('500 clients at once, each answered; nothing is left of them')
def _(command):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Server(command, '-q') as server:
        echoed(server.address)
        server.wait(lambda: server.number('task') <= IDLE)
        files, threads = server.number('fd'), server.number('task')
        socks = [ws.open_websocket(server.address) for _ in range(500)]
        for i, sock in enumerate(socks):
            sends(sock, ws.text('%d' % i), ws.binary(bytes(i)))
        for i, sock in enumerate(socks):
            takes(sock, (TEXT, b'%d' % i), (BINARY, bytes(i)))
        for i, sock in enumerate(socks):
            if i % 5 == 0:
                sends(sock, ws.close(1000))
            elif i % 5 == 1:
                sends(sock, ws.text('half', length=1000))
            elif i % 5 == 2:
                reset(sock)
                continue
            elif i % 5 == 3:
                sends(sock, ws.binary(bytes(100000)))
            sock.close()
        server.wait(lambda: (server.number('fd'), server.number('task')) == (files, threads))
        echoed(server.address)


@check('an idle connection costs 16 kB at most')
def _(command):
    can('memory')
    with Server(command, '-q') as server:
        echoed(server.address)
        before = server.memory()
        socks = [ws.open_websocket(server.address) for _ in range(400)]
        for sock in socks:
            sends(sock, ws.text('x'))
            takes(sock, (TEXT, b'x'))
        each = (server.memory() - before) / len(socks)
        for sock in socks:
            sock.close()
        if each > 16:
            raise Wrong('%.1f kB' % each)


@check('2,000 that come and go cost no memory')
def _(command):
    can('memory')
    with Server(command, '-q') as server:
        def churn(n):
            for i in range(n):
                with ws.open_websocket(server.address) as sock:
                    sends(sock, ws.binary(bytes(i)))
                    takes(sock, (BINARY, bytes(i)))
                    if i % 4:
                        reset(sock)
            server.wait(lambda: server.number('task') <= IDLE)
        churn(1000)
        before = server.memory()
        churn(1000)
        if server.memory() > before + 300:
            raise Wrong('%d kB, then %d kB' % (before, server.memory()))


@check('out of descriptors: said once, and the clients wait to be served')
def _(command):
    few = ['sh', '-c', 'ulimit -n 20 && exec "$@"', 'sh', *command]
    with Server(few, '-q') as server:
        socks = [ws.connect(server.address) for _ in range(30)]
        for sock in socks:
            sock.sendall(ws.request(server.address))
        complaint = 'wsServer: accept: %s: waiting\n' % os.environ.get(
            'NO_FILES', 'Too many open files')
        server.wait(lambda: complaint in server.log())
        for sock in socks:
            ws.check_101(ws.exchange(sock, [], until=b'\r\n\r\n'))
            sends(sock, ws.text('x'), ws.close(1000))
            takes(sock, (TEXT, b'x'), (CLOSE, b'\x03\xe8'))
            sock.close()
        same(server.first_line + complaint, server.log(), 'stderr')


@check('clients that reset at any place harm nobody')
def _(command):
    with Server(command, '-q') as server:
        address = server.address
        whole = ws.request(address) + ws.encode(ws.text('x' * 300), True) * 3
        for at in range(0, len(whole), 3):
            sock = ws.connect(address)
            sock.sendall(whole[:at])
            reset(sock)
        echoed(address)
        server.wait(lambda: server.number('task') <= IDLE)


@check('what a client sent before it left is answered')
def _(command):
    with ws.open_websocket(waiting_room(command)) as sock:
        sends(sock, ws.text('a'), ws.text('b'), ws.text('half', length=100))
        sock.shutdown(socket.SHUT_WR)
        takes(sock, (TEXT, b'a'), (TEXT, b'b'))
        same(b'', sock_rest(sock, DEADLINE), 'after the echoes')


@check('messages that arrive together are answered in one segment')
def _(command):
    can('segments')
    with ws.open_websocket(waiting_room(command)) as sock:
        def segments():
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
            return int.from_bytes(info[152:156], sys.byteorder)
        before = segments()
        sends(sock, *[ws.text('12345')] * 50)
        takes(sock, *[(TEXT, b'12345')] * 50)
        same(1, segments() - before, 'segments')


# --- The log ------------------------------------------------------------------------

def talk(server, *frames):
    """One client that sends the frames and closes. Returns its line in the log."""
    with ws.open_websocket(server.address) as sock:
        name = '127.0.0.1:%d' % sock.getsockname()[1]
        ws.exchange(sock, [b''.join(ws.encode(f, True)
                                    for f in [*frames, ws.close(1000)])])
    return 'Connection from: %s\n' % name


@check('stdout: connections and messages, control bytes as \\xNN, binary as its length')
def _(command):
    with Server(command) as server:
        name = talk(server, ws.text('hello'), ws.text('\x1b[31m\0\ttab 한글 \x9b a\nb \x7f'),
                    ws.text(''), ws.binary(b'\0\1\2'), ws.binary(b''))
        server.prints(name + 'Received: hello\n'
                      'Received: \\x1b[31m\\x00\ttab 한글 \\xc2\\x9b a\\x0ab \\x7f\n'
                      'Received: \nReceived: 3 bytes\nReceived: 0 bytes\n')
        same(server.first_line, server.log(), 'stderr')


@check('stdout: text over 1,024 bytes is cut there, at a whole character, with its length')
def _(command):
    with Server(command) as server:
        name = talk(server, ws.text('x' * 1024), ws.text('x' * 1025),
                    ws.text('x' * 1023 + '한'), ws.text('한' * 5000))
        server.prints(name + 'Received: %s\nReceived: %s... (1025 bytes)\n'
                      'Received: %s... (1026 bytes)\nReceived: %s... (15000 bytes)\n' %
                      ('x' * 1024, 'x' * 1024, 'x' * 1023, '한' * 341))


@check('-q prints nothing of it')
def _(command):
    with Server(command, '-q') as server:
        talk(server, ws.text('hello'), ws.binary(b'x'))
        server.ends(0, 0.5)
        same((server.first_line, ''), (server.log(), server.printed()))


@check('stderr: one line for each refused request and failed connection')
def _(command):
    with Server(command) as server:
        names = []
        for request in (b'GET /nope HTTP/1.1\r\nHost: x\r\n\r\n',
                        ws.request(server.address) + ws.encode(ws.Frame(3), True),
                        b'nonsense \x1b[31m\r\n\r\n'):
            with ws.connect(server.address) as sock:
                names.append('127.0.0.1:%d' % sock.getsockname()[1])
                ws.exchange(sock, [request])
        server.wait(lambda: len(server.log().splitlines()) == 4)
        for name, want, line in zip(names, ('404', '1002', '400'),
                                    server.log().splitlines()[1:]):
            if not line.startswith('wsServer: %s: %s ' % (name, want)) or '\x1b' in line:
                raise Wrong('a line about %s at %s: %r' % (want, name, line))


@check('without -a a foreign Origin is refused, with -a let in')
def _(command):
    for words, want in (((), 'HTTP/1.1 403 '), (('-a',), 'HTTP/1.1 101 ')):
        with Server(command, *words) as server, ws.connect(server.address) as sock:
            request = ws.request(server.address, Origin='http://evil.example')
            answer = ws.exchange(sock, [request], until=b'\r\n\r\n')
            same(want, answer[:13].decode())


if __name__ == '__main__':
    status = run('wsServer', sys.argv[1:])
    for one in shared:
        one.stop()
    sys.exit(status)
