// node.js server ADDRESS | client PROGRAM... - as library.py, with the `ws` of Node
//
// Prints a line for each check, as the test scripts do.
'use strict';
const assert = require('assert');
const { once } = require('events');
const { spawn } = require('child_process');
const WebSocket = require('ws');

const messages = ['hello', '', '안녕하세요', '\0', '😀'.repeat(1000), 'x'.repeat(70000),
    Buffer.alloc(0), Buffer.alloc(125, 1), Buffer.alloc(126, 2), Buffer.alloc(65535, 3),
    Buffer.alloc(65536, 4), Buffer.alloc(16 << 20, 5)];

// Has everything echoed, and closes.
async function converse(socket) {
    const received = [];
    const all = new Promise((resolve, reject) => {
        socket.on('message', (data, isBinary) => {
            received.push(isBinary ? data : data.toString());
            if (received.length === messages.length + 1)
                resolve();
        });
        socket.on('close', (code) => reject(new Error(`closed with ${code}`)));
    });
    messages.forEach((message) => socket.send(message));
    socket.send('frag', { fin: false });
    socket.send('ments', { fin: true });
    socket.ping('there?');
    const [pong] = await once(socket, 'pong');
    assert.equal(pong.toString(), 'there?');
    await all;
    assert.deepStrictEqual(received, [...messages, 'fragments']);
    socket.removeAllListeners('close');
    socket.close(1000, 'because');
    const [code] = await once(socket, 'close');
    assert.equal(code, 1000);
}

async function call(address) {
    const socket = new WebSocket(`ws://${address}/ws`); // offers an extension
    await once(socket, 'open');
    assert.equal(socket.extensions, '');
    await converse(socket);
}

// A message over the limit: the code arrives, though the client is still sending.
async function tooBig(address) {
    for (let i = 0; i < 20; i++) {
        const socket = new WebSocket(`ws://${address}/ws`, { perMessageDeflate: false });
        await once(socket, 'open');
        socket.on('error', () => {}); // of a write, once the server has closed
        socket.send(Buffer.alloc((16 << 20) + 1 + i));
        const [code] = await once(socket, 'close');
        assert.equal(code, 1009);
    }
}

async function serve(command) {
    const server = new WebSocket.Server({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    const words = [...command.slice(1), '-e', `127.0.0.1:${server.address().port}`, '/ws'];
    const program = spawn(command[0], words, { stdio: ['ignore', 'ignore', 'inherit'] });
    const exit = once(program, 'exit');
    const [socket] = await once(server, 'connection');
    await converse(socket);
    const [status] = await exit;
    assert.equal(status, 0);
    server.close();
}

async function check(what, promise) {
    try {
        await promise;
        console.log(`ok ${what}`);
    } catch (error) {
        console.log(`FAIL ${what}\n    ${error}`);
        process.exit(1);
    }
}

async function main([role, ...words]) {
    if (role === 'client')
        return check("wsClient: Node's ws: messages, a Ping and a Close", serve(words));
    await check("wsServer: Node's ws: messages, a Ping and a Close", call(words[0]));
    await check("wsServer: Node's ws: over 16 MiB, 20 times: 1009", tooBig(words[0]));
    process.exit(0);
}

main(process.argv.slice(2));
