#!/usr/bin/python3
"""server.py PROGRAM... - what wsServer does with time, signals, crowds and its log

Each check starts a server of its own, but for those that only wait: they share one.
"""
import errno
import os
import resource
import signal
import socket
import sys
import time

from checks import SLOW, Wrong, becomes, can, check, checks, not_before, run, same
from raw import (PING, PONG, Server, check_welcome, close, closed, connect, encode, first,
                 open_websocket, ping, pong, request, taken, text)

IDLE = int(os.environ.get('TEST_THREADS', '1'))  # the threads of a server without clients
SILENCE = 30  # seconds until the Ping, and from there until the end
PATIENCE = 40 * SLOW


def echoed(address):
    with open_websocket(address) as ws:
        ws.send('x')
        ws.takes('x')


def left_alone(server, seconds=10 * SLOW):
    """No client has left a thread behind."""
    becomes(True, lambda: len(os.listdir(server.proc('task'))) <= IDLE, 'idle', seconds)


def fill(ws):
    """Sends until the server, which can send no more, takes no more."""
    ws.sock.settimeout(1)
    try:
        while True:
            ws.send(bytes(100000))
    except socket.timeout:
        pass


@check('idle for 30 s: a Ping; answered, another one 30 s later')
def _(_, shared):
    since = time.monotonic()
    with open_websocket(shared.address) as ws:
        ws.takes((PING, b''), seconds=PATIENCE)
        not_before(since, SILENCE, 'the Ping')
        since = time.monotonic()
        ws.send(pong())
        ws.takes((PING, b''), seconds=PATIENCE)
        not_before(since, SILENCE, 'the second Ping')
        ws.send('still here')
        ws.takes('still here')


@check('idle for 30 s and the Ping not answered for 30 s: dropped')
def _(_, shared):
    since = time.monotonic()
    with open_websocket(shared.address) as ws:
        ws.takes((PING, b''), seconds=PATIENCE)
        same(None, ws.frame(PATIENCE), 'after the Ping')
        not_before(since, 2 * SILENCE, 'the end')


@check('an idle client does not keep the memory of its last large message')
def _(command, _):
    can('memory')
    size = 8 << 20
    with Server(command, '-q') as server, open_websocket(server.address) as ws:
        def memory():
            with open(server.proc('statm')) as f:
                return int(f.read().split()[1]) * resource.getpagesize()
        ws.send(bytes(size))
        ws.takes(bytes(size))
        same(True, memory() > size, 'with the message')
        ws.takes((PING, b''), seconds=PATIENCE)
        becomes(True, lambda: memory() < size, 'without it')


@check('a client that takes nothing is dropped, the others are served meanwhile')
def _(command, _):
    with Server(command, '-q') as server, open_websocket(server.address) as ws:
        fill(ws)
        echoed(server.address)
        left_alone(server, 100 * SLOW)
        echoed(server.address)
        same(errno.ECONNRESET, ws.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR),
             'reset, so that the kernel forgets what was to be sent')


for _name, _sent, _drip in (('nothing', b'', b''), ('a request byte by byte', b'', b'G'),
                            ('half a request', b'GET /ws HTTP/1.1\r\nHost: x\r\n', b'')):
    @check('%s: 408 after 5 s' % _name)
    def _(_, shared, sent=_sent, drip=_drip):
        since = time.monotonic()
        with connect(shared.address) as ws:
            def answered():
                ws.pour(drip)
                return bool(ws.readable(0))
            ws.pour(sent)
            becomes(True, answered, 'answered')
            first, headers = ws.head()
            same(('HTTP/1.1 408 ', 'close'), (first[:13], headers['connection']))
            not_before(since, 4.9, 'the answer')


@check('SIGINT and SIGTERM end it at once, whatever its clients are about')
def _(command, _):
    for number in (signal.SIGINT, signal.SIGTERM):
        with Server(command, '-q') as server:
            clients = [open_websocket(server.address) for _ in range(4)]
            clients[0].send(text('half', length=1000))
            clients[1].send(first('half'), ping())
            clients[1].takes((PONG, b''))
            fill(clients[2])
            clients.append(connect(server.address))
            clients[4].pour(b'GET /ws')
            server.process.send_signal(number)
            server.ends(0, server.first_line.strip())


@check('out of descriptors: said, and the clients wait to be served')
def _(command, _):
    few = ['sh', '-c', 'ulimit -n 20 && exec "$@"', 'sh', *command]
    with Server(few, '-q') as server:
        crowd = [connect(server.address) for _ in range(30)]
        for ws in crowd:
            ws.sock.sendall(request(server.address))
        why = os.environ.get('NO_FILES', 'Too many open files')
        complaint = 'wsServer: accept: %s\n' % why
        becomes(True, lambda: complaint in server.complaints(), complaint)
        for ws in crowd:
            check_welcome(ws)
            ws.send('x', close(1000))
            same([taken('x'), closed()], ws.rest())
            ws.sock.close()
        same(server.first_line, server.complaints().replace(complaint, ''))


@check('clients that reset at any place, or do not leave when refused, harm nobody')
def _(command, _):
    with Server(command, '-q') as server, connect(server.address) as refused:
        refused.sock.sendall(request(server.address, '=GET /nope HTTP/1.1'))
        refused.body()
        left_alone(server)
        files = os.listdir(server.proc('fd'))
        whole = request(server.address) + encode('x' * 300, True) * 3
        for at in range(0, len(whole), 3):
            with connect(server.address) as ws:
                ws.sock.sendall(whole[:at])
        echoed(server.address)
        left_alone(server)
        same(files, os.listdir(server.proc('fd')), 'descriptors')


@check('one that has left is answered, and one that has failed and goes on sending')
def _(_, shared):
    for sent, want in ((['a', 'b', text('half', length=100)], [taken('a'), taken('b')]),
                       ([text('x', rsv=4), *[bytes(60000)] * 20], [closed(1002)])):
        with open_websocket(shared.address) as ws:
            ws.send(*sent)
            ws.shut()
            same(want, ws.rest())


@check('messages that arrive together are answered in one segment')
def _(_, shared):
    can('segments')
    with open_websocket(shared.address) as ws:
        def segments():
            info = ws.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
            return int.from_bytes(info[152:156], sys.byteorder)
        before = segments()
        ws.send(*['12345'] * 50)
        ws.takes(*['12345'] * 50)
        same(1, segments() - before, 'segments')


def name_of(ws):
    return '127.0.0.1:%d' % ws.sock.getsockname()[1]


@check('stdout: control bytes as \\xNN, of text over 1,024 bytes the beginning in whole '
       'characters, binary as its length')
def _(command, _):
    with Server(command) as server, open_websocket(server.address) as ws:
        ws.send('hello', '\x1b[31m\0\ttab 한글 \x9b a\nb \x7f', '', bytes(3), 'x' * 1024,
                'x' * 1025, 'x' * 1023 + '한', '한' * 5000, close(1000))
        ws.rest()
        lines = server.printed().splitlines()
        same(['Connection from: ' + name_of(ws), 'Received: hello',
              'Received: \\x1b[31m\\x00\ttab 한글 \udcc2\\x9b a\\x0ab \\x7f', 'Received: ',
              'Received: 3 bytes', 'Received: ' + 'x' * 1024], lines[:6])
        for line, size, part in zip(lines[6:], (1025, 1026, 15000),
                                    ('x' * 1024, 'x' * 1023, '한' * 341)):
            rest = line.replace(part, '', 1)
            if '%d bytes' % size not in rest or part[0] in rest or not line.isprintable():
                raise Wrong('expected: %.30r and %d bytes got: %r' % (part, size, line))
        same((9, server.first_line), (len(lines), server.complaints()))


@check('stderr: one line for each refused request and failed connection')
def _(command, _):
    with Server(command) as server:
        want = server.first_line
        for data, why in (
                (request('x', '=GET /nope HTTP/1.1'),
                 '404 Not Found: There are only / and /ws here.'),
                (b'\x1b[31m\r\n\r\n', '400 Bad Request: This is not an HTTP request.'),
                (request('x') + encode(text('x', rsv=4), True), '1002 reserved bit set')):
            with connect(server.address) as ws:
                ws.sock.sendall(data)
                ws.body()
                want += 'wsServer: %s: %s\n' % (name_of(ws), why)
        becomes(want, server.complaints)


@check('-a lets any Origin in, -q prints nothing')
def _(command, _):
    with Server(command, '-a', '-q') as server, connect(server.address) as ws:
        ws.sock.sendall(request(server.address, 'Origin: http://evil.example'))
        check_welcome(ws)
        ws.send('hello', close(1000))
        ws.rest()
        same((server.first_line, ''), (server.complaints(), server.printed()))


if __name__ == '__main__':
    with Server(sys.argv[1:], '-q') as waiting_room:
        status = run('wsServer', checks, sys.argv[1:], waiting_room)
    sys.exit(status)
