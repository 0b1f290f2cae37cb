#!/usr/bin/python3
"""server.py PROGRAM... - what wsServer does with time, signals, crowds and its log

Each check starts a server of its own, but for those that only wait: they share one.
"""
import os
import resource
import socket
import sys
import time

from checks import SLOW, Wrong, becomes, can, check, checks, not_before, run, same
from raw import (PING, PONG, Server, binary, check_welcome, close, closed,
                 connect, encode, message_of, open_websocket, ping, pong, request,
                 text)

IDLE = int(os.environ.get('TEST_THREADS', '1'))  # the threads of a server without clients
SILENCE = 30  # seconds until the Ping, and from there until the end
WRITE_TIMEOUT = 90
PATIENCE = 40 * SLOW


def echoed(address):
    with open_websocket(address) as ws:
        ws.send('x')
        ws.expect('x')


def left_alone(server, seconds=10 * SLOW):
    """No thread of a client is left."""
    becomes(True, lambda: len(os.listdir(server.proc('task'))) <= IDLE, 'idle', seconds)


def memory(server, field):
    """Bytes of memory, by the field of statm: 1 is resident, 5 is allocated."""
    with open(server.proc('statm')) as f:
        return int(f.read().split()[field]) * resource.getpagesize()


@check('idle for 30 s and the Ping not answered for 30 s: dropped')
def _(_, shared):
    since = time.monotonic()
    with open_websocket(shared.address) as ws:
        ws.expect((PING, b''), seconds=PATIENCE)
        not_before(since, SILENCE, 'the Ping')
        since = time.monotonic()
        ws.send(pong())
        ws.expect((PING, b''), seconds=PATIENCE)
        same(None, ws.frame(PATIENCE), 'after the second Ping')
        not_before(since, 2 * SILENCE, 'the end')


@check('an idle client that only pings does not keep the memory of a large message')
def _(command, _):
    can('memory')
    size = 8 << 20
    with Server(command, '-q') as server, open_websocket(server.address) as ws:
        ws.send(bytes(size))
        ws.expect(bytes(size))
        same(True, memory(server, 1) > size, 'with the message')
        ws.send(ping())
        ws.expect((PONG, b''))
        becomes(True, lambda: memory(server, 1) < size, 'without it')


@check('a header that announces 16 MiB allocates nothing like it')
def _(command, _):
    can('memory')
    with Server(command, '-q') as server:
        echoed(server.address)
        before = memory(server, 5)
        clients = [open_websocket(server.address) for _ in range(100)]
        for ws in clients:
            ws.send(ping(), binary(b'x', length=16 << 20))
            ws.expect((PONG, b''))
        more = memory(server, 5) - before
        same(True, more < 100 << 20, '%d bytes' % more)


@check('a client that takes nothing for 90 s is dropped, the others are served meanwhile')
def _(command, _):
    with Server(command, '-q') as server, open_websocket(server.address) as ws:
        since = time.monotonic()
        ws.fill()
        echoed(server.address)
        left_alone(server, 130 * SLOW)
        not_before(since, WRITE_TIMEOUT - 5, 'the end')
        echoed(server.address)


@check('a client that takes nothing for 90 s is dropped, though it goes on sending')
def _(command, _):
    with Server(command, '-q') as server, open_websocket(server.address) as ws:
        ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        since = time.monotonic()
        ws.send(bytes(200000))
        try:
            while time.monotonic() < since + 130 * SLOW:
                ws.send('')
                time.sleep(5)
            raise Wrong('it is not dropped')
        except OSError:
            not_before(since, WRITE_TIMEOUT - 5, 'the end')


@check('a client that reads 20 kB/s is kept')
def _(command, _):
    with Server(command, '-q') as server, open_websocket(server.address) as ws:
        ws.fill()
        since = time.monotonic()
        while time.monotonic() < since + WRITE_TIMEOUT + 10:
            same(True, len(ws.sock.recv(10000)) > 0, 'bytes')
            time.sleep(0.5)


for _name, _sent, _drip, _status in (
        ('nothing', b'', b'', b''), ('a request byte by byte', b'', b'G', b'HTTP/1.1 408 '),
        ('half a request', b'GET /ws HTTP/1.1\r\nHost: x\r\n', b'', b'HTTP/1.1 408 ')):
    @check('%s for 30 s: %s' % (_name, '408' if _status else 'closed without a word'))
    def _(command, _, sent=_sent, drip=_drip, status=_status):
        since = time.monotonic()
        with Server(command) as server, connect(server.address) as ws:
            def answered():
                ws.pour(drip)
                return bool(ws.readable(0.1))
            ws.pour(sent)
            becomes(True, answered, 'answered', PATIENCE)
            not_before(since, SILENCE - 0.1, 'the end')
            same(status, ws.body()[:13])
            same(2 if status else 1, server.complaints().count('\n'), 'lines on stderr')


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
            same([message_of('x'), closed()], ws.rest())
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
        same(False, '?' in server.complaints(), 'an unknown address')


@check('a client that has half-closed is answered; one that has failed and goes on sending'
       ' gets the Close')
def _(_, shared):
    for sent, want in ((['a', 'b', text('half', length=100)],
                        [message_of('a'), message_of('b')]),
                       ([text('x', rsv=4), *[bytes(60000)] * 20], [closed(1002)]),
                       ([bytes(17 << 20)], [closed(1009)])):
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
        ws.expect(*['12345'] * 50)
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
        same(['Connection from: ' + name_of(ws), 'Received: hello',
              'Received: \\x1b[31m\\x00\ttab 한글 \\xc2\\x9b a\\x0ab \\x7f', 'Received: ',
              'Received: 3 bytes', 'Received: ' + 'x' * 1024,
              'Received (1025 bytes): ' + 'x' * 1024,
              'Received (1026 bytes): ' + 'x' * 1023,
              'Received (15000 bytes): ' + '한' * 341, ''], server.printed().split('\n'))
        same(server.first_line, server.complaints())


@check('stderr: one line for each refused request and failed connection')
def _(command, _):
    with Server(command) as server:
        want = server.first_line
        for data, why in (
                (request('x', '=GET /nope HTTP/1.1'),
                 '404 Not Found: Only / and /ws exist here.'),
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
