#!/usr/bin/python3
"""library.py - wsServer and wsClient against the library that Python programs use

    library.py server ADDRESS          the library's client talks to wsServer
    library.py client PROGRAM...       the library's server talks to wsClient
"""
import asyncio
import os
import sys

import websockets

from checks import SLOW, run, same

MESSAGES = ['hello', '', '안녕하세요', '\0', '😀' * 1000, 'x' * 70000, b'', b'\0',
            *map(os.urandom, (125, 126, 65535, 65536, 16 << 20)),
            ['안녕', '', '하', '세요'], [b'a', b'b' * 70000, b'c']]


async def converse(socket):
    """Has everything echoed, and closes."""
    for message in MESSAGES:
        await socket.send(message)
        whole = message[0][:0].join(message) if isinstance(message, list) else message
        same(whole, await socket.recv())
    for payload in (None, b'x', bytes(range(125))):
        await (await socket.ping(payload))
    await socket.close(1000, 'because')
    same(1000, socket.close_code)


async def call(address):
    """Talks to wsServer. The server accepts no extension and no subprotocol."""
    async with websockets.connect('ws://%s/ws' % address, max_size=None,
                                  compression='deflate', subprotocols=['chat']) as socket:
        holder = socket if hasattr(socket, 'extensions') else socket.protocol  # since 14
        same(([], None), (list(holder.extensions), socket.subprotocol))
        await converse(socket)


async def serve(command):
    """Talks to `wsClient -e`. If the talk breaks off, by a Close 1011, it ends with 1."""
    async with websockets.serve(converse, '127.0.0.1', 0, max_size=None) as server:
        address = '127.0.0.1:%d' % server.sockets[0].getsockname()[1]
        program = await asyncio.create_subprocess_exec(
            'timeout', '-k', '2', str(20 * SLOW), *command, '-e', address, '/ws',
            stdout=asyncio.subprocess.DEVNULL)
        same(0, await program.wait(), 'exit status')


def main():
    role, *words = sys.argv[1:]
    talk = call(words[0]) if role == 'server' else serve(words)
    return run('ws%s: websockets' % role.title(), [
        ('messages, fragments, Pings and a Close',
         lambda: asyncio.run(asyncio.wait_for(talk, 30 * SLOW)))])


if __name__ == '__main__':
    sys.exit(main())
