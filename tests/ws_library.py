#!/usr/bin/python3
"""ws_library.py - wsServer and wsClient against the library that Python programs use

    ws_library.py server ADDRESS          the library's client talks to wsServer
    ws_library.py client PROGRAM...       the library's server talks to wsClient
"""
import asyncio
import os
import sys

import websockets

from ws_checks import Wrong, check, run, same

SLOW = int(os.environ.get('TEST_SLOW', '1'))
LIMIT = 16 << 20
WORDS = ['hello', '', '안녕하세요', '\0', '😀' * 1000, 'x' * 70000]


def patiently(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30 * SLOW))


def as_client(what, **options):
    """Registers a check that is given an open connection to wsServer."""
    def register(function):
        async def talk(address):
            options.setdefault('max_size', None)
            async with websockets.connect('ws://%s/ws' % address, **options) as socket:
                await function(socket)
        check(what)(lambda address: patiently(talk(address)))
    return register


def register_client_checks():
    @as_client('texts come back')
    async def _(socket):
        for word in WORDS:
            await socket.send(word)
            same(word, await socket.recv())

    @as_client('bytes come back')
    async def _(socket):
        for n in (0, 1, 125, 126, 65535, 65536, LIMIT):
            data = os.urandom(n)
            await socket.send(data)
            if await socket.recv() != data:
                raise Wrong('%d bytes came back changed' % n)

    @as_client('fragments come back whole')
    async def _(socket):
        await socket.send(['안녕', '', '하', '세요'])
        same('안녕하세요', await socket.recv())
        await socket.send([b'a', b'b' * 70000, b'c'])
        same(b'a' + b'b' * 70000 + b'c', await socket.recv())

    @as_client('1,000 messages in a row')
    async def _(socket):
        await asyncio.gather(*(socket.send('message %d' % i) for i in range(1000)))
        same(['message %d' % i for i in range(1000)],
             [await socket.recv() for _ in range(1000)])

    @as_client('Pings are answered')
    async def _(socket):
        for payload in (b'', b'x', bytes(range(125))):
            await (await socket.ping(payload or None))

    @as_client('extensions and subprotocols offered are not taken',
               compression='deflate', subprotocols=['chat'])
    async def _(socket):
        same(([], None), (socket.extensions, socket.subprotocol))
        await socket.send('plain')
        same('plain', await socket.recv())

    @as_client('closed with 1000')
    async def _(socket):
        await socket.close()
        same(1000, socket.close_code)

    @as_client('closed with 4321 and a reason')
    async def _(socket):
        await socket.close(4321, 'because')
        same(4321, socket.close_code)

    @as_client('a message over 16 MiB: closed with 1009')
    async def _(socket):
        try:
            await socket.send(bytes(LIMIT + 1))
            await socket.recv()
        except websockets.ConnectionClosed:
            pass
        same(1009, socket.close_code)


async def serve_program(command, words, handler, stdin=b''):
    """Runs the program against the handler. Returns its status, stdout, stderr, with
    ADDRESS for the server's, and what the handler gave."""
    result = asyncio.get_running_loop().create_future()

    async def handle(socket):
        try:
            result.set_result(await handler(socket))
        except Exception as why:
            result.set_exception(why)

    async with websockets.serve(handle, '127.0.0.1', 0, max_size=None) as server:
        address = '127.0.0.1:%d' % server.sockets[0].getsockname()[1]
        program = await asyncio.create_subprocess_exec(
            *command, *words, address, '/ws', stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        try:
            out, err = await program.communicate(stdin)
            given = await result
        finally:
            if program.returncode is None:
                program.kill()
                await program.wait()
    return (program.returncode, out.decode().replace(address, 'ADDRESS'),
            err.decode().replace(address, 'ADDRESS'), given)


BANNER = 'Connecting to: ADDRESS at /ws\n'


def register_server_checks():
    @check('-e gives back texts, bytes and fragments, and answers Pings')
    def _(*command):
        async def handler(socket):
            for word in WORDS[:3]:
                await socket.send(word)
                same(word, await socket.recv())
            for n in (0, 126, 65536, LIMIT):
                data = os.urandom(n)
                await socket.send(data)
                if await socket.recv() != data:
                    raise Wrong('%d bytes came back changed' % n)
            await socket.send(['안녕', '하세요'])
            same('안녕하세요', await socket.recv())
            await (await socket.ping(b'there?'))
            await asyncio.gather(*(socket.send('%d' % i) for i in range(1000)))
            same(['%d' % i for i in range(1000)], [await socket.recv() for _ in range(1000)])
            await socket.close(1000, 'done')
            return socket.close_code
        status, out, err, code = patiently(serve_program(command, ['-e'], handler))
        same((0, 1000, 'wsClient: ADDRESS: closed by server: 1000 done\n'),
             (status, code, err))
        same(BANNER + ''.join('Received: %s\n' % word for word in
                              [*WORDS[:3], '0 bytes', '126 bytes', '65536 bytes',
                               '%d bytes' % LIMIT, '안녕하세요', *map(str, range(1000))]), out)

    @check('lines on stdin arrive as messages, then Close 1000')
    def _(*command):
        async def handler(socket):
            await socket.send('welcome')
            return [message async for message in socket], socket.close_code
        status, out, err, (got, code) = patiently(
            serve_program(command, [], handler, 'one\n안녕\n\nlast'.encode()))
        same(['one', '안녕', '', 'last'], got)
        same((0, 1000, ''), (status, code, err))
        same(BANNER + 'Received: welcome\n', out)

    @check('a message over 16 MiB is refused: 1009, exit 1')
    def _(*command):
        async def handler(socket):
            try:
                await socket.send(bytes(LIMIT + 1))
                await socket.recv()
            except websockets.ConnectionClosed:
                return socket.close_code
        status, out, err, code = patiently(serve_program(command, ['-e'], handler))
        same((1, 1009, BANNER), (status, code, out))
        same('wsClient: ADDRESS: 1009 ', err[:24], 'stderr')


if __name__ == '__main__':
    if sys.argv[1] == 'server':
        register_client_checks()
        sys.exit(run('wsServer: websockets', *sys.argv[2:]))
    register_server_checks()
    sys.exit(run('wsClient: websockets', *sys.argv[2:]))
