#!/usr/bin/python3
"""cases.py - the rules of RFC 6455 as bytes: what is sent, and what must be sent back

    cases.py server PROGRAM...         as a raw client of `PROGRAM -q 127.0.0.1:0`
    cases.py client PROGRAM...         as a raw server of `PROGRAM -e`
    cases.py streams server|client     the streams, for unit.c

Prints a line for each case: a stream of frames, sent with the handshake in one segment,
byte by byte and in pieces, and the frames that must be sent back, to the last bit.
"""
import os
import random
import re
import sys
from collections import namedtuple
from functools import partial

from checks import Wrong, run, same
from raw import (BINARY, CLOSE, KEY, PING, PONG, TEXT, Client, Frame, Server, accept_of,
                 as_bytes, binary, check_welcome, close, closed, code_bytes,
                 connect, encode, first, last, more, ping, pong, request,
                 response, message_of, text)

NAMES = ['continuation', 'text', 'binary', *[''] * 5, 'close', 'ping', 'pong']
LIMIT = 16 << 20


# --- The cases ----------------------------------------------------------------------

# The right reply to what is sent is `back`, and a Close with `code`.
Case = namedtuple('Case', 'name sent back code failed')


def passes(name, *sent):
    """All is right: messages are echoed, fragments as one, Pings answered, and a Close,
    which is added where there is none."""
    if not any(isinstance(one, Frame) and one.opcode == CLOSE for one in sent):
        sent = (*sent, close(1000))
    back, message, opcode = [], bytearray(), None
    for frame in sent:
        frame = frame if isinstance(frame, Frame) else Frame(*message_of(frame))
        payload = as_bytes(frame.payload)
        if frame.opcode == CLOSE:
            code = int.from_bytes(payload[:2], 'big') if payload else None
            return Case(name, sent, back, code, False)
        if frame.opcode == PING:
            back.append((PONG, payload))
        if frame.opcode in (TEXT, BINARY):
            message, opcode = bytearray(), frame.opcode
        if frame.opcode <= BINARY:
            message += payload
            if frame.fin:
                back.append((opcode, bytes(message)))


def fails(name, *sent, code=1002, back=None):
    """A frame is wrong; of what is sent before it only whole messages are echoed."""
    if back is None:
        back = [message_of(one) for one in sent if not isinstance(one, Frame)]
    return Case(name, sent, back, code, True)


def title(frame):
    return '%s of %d bytes, FIN %d' % (NAMES[frame.opcode], len(frame.payload), frame.fin)


def pattern(n):
    return bytes(i * 7 + (i >> 8) & 0xff for i in range(n))


def split(message, size):
    """The message in fragments of `size` bytes."""
    opcode, data = message_of(message)
    parts = [data[i:i + size] for i in range(0, len(data), size)]
    return [Frame(opcode, parts[0], 0), *map(more, parts[1:-1]), last(parts[-1])]


def framing():
    for name, *messages in (
            ('text', 'Hello'), ('binary', b'\0\xff\x80\r\n'), ('empty text', ''),
            ('empty binary', b''), ('NUL in text', 'a\0b\0'),
            ('line ends and escapes in text', 'a\r\n\x1b[31m'),
            ('nothing but the closing handshake',),
            ('text and binary in turn', 'a', b'b', 'c', b'd'),
            ('1,000 messages', *('message %d' % i for i in range(1000))),
            ('1,000 empty messages', *[''] * 1000)):
        yield passes(name, *messages)
    for mask in ('00000000', 'ffffffff', '37fa213d', '00000001', '01000000', '00ff0000',
                 '80808080'):
        yield passes('the mask ' + mask, text('Hello, 세계! 0123456789abcdef',
                                              mask=bytes.fromhex(mask)))
    for frame in (text('Hello'), text(), binary(b'abc'), ping(b'abc'), pong(b'x'),
                  close(1000), close(), first('part')):
        yield fails('wrongly masked ' + title(frame), frame._replace(wrong=True))
    yield fails('wrongly masked continuation', first('a'), last('b', wrong=True))
    yield fails('wrongly masked after a good one', 'good', text('bad', wrong=True))


def lengths():
    powers = [(1 << i) + d for i in (2, 3, 4, 5, 6, 7, 8, 10, 12, 13, 14, 16)
              for d in (-1, 0, 1)]
    for n in sorted({1, 2, 6, 124, 125, 126, 65534, 1 << 17, 1 << 20, *powers}):
        yield passes('binary of %d bytes' % n, pattern(n))
        yield passes('text of %d bytes' % n, '*' * n)
    for n in range(1000, 1021):  # its echo leaves little room for the next header
        yield passes('%d bytes, then 126' % n, '*' * n, '*' * 126)
    big = os.urandom(LIMIT)
    yield passes('binary of 16 MiB', big)
    yield passes('text of 16 MiB', '유니코드' * (LIMIT // 12) + '....')
    yield passes('16 MiB in fragments of 1 MiB', *split(big, 1 << 20))
    yield passes('16 MiB and an empty last fragment', binary(big, fin=0), last())
    yield passes('4 MiB in fragments of 64 bytes', *split(pattern(4 << 20), 64))
    for opcode in (TEXT, BINARY):
        for n in (LIMIT + 1, LIMIT * 2, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 5,
                  1 << 62, (1 << 63) - 1):
            yield fails('%s of %d bytes, refused by the header' % (NAMES[opcode], n),
                        'before', Frame(opcode, length=n), code=1009)
    for n in (LIMIT - 4, 1 << 62, (1 << 63) - 1):
        yield fails('a fragment of %d bytes after 5, refused by the header' % n,
                    first('12345'), more(length=n), code=1009)
    yield fails('16 MiB and one byte more', binary(big, fin=0), more(length=1), code=1009)
    for n in (1 << 63, (1 << 63) + 5, (1 << 64) - 1):
        yield fails('a length of %d: the highest bit is 0' % n, binary(length=n))
    for width, sizes in ((2, (0, 1, 5, 125)), (8, (0, 5, 125, 126, 127, 65535))):
        for n in sizes:
            yield fails('%d bytes, the length in %d' % (n, width),
                        'ok', binary(pattern(n), width=width))
    yield fails('a continuation with a length not minimal', first('a'), more('b', width=2))


def opcodes():
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        odd = Frame(opcode, b'data')
        for how, *sent in (
                ('', odd), (', empty, after a message', 'before', Frame(opcode)),
                (', more after it', odd, ping(b'x'), text('after')),
                (' inside a message', first('be'), odd, last('fore')),
                (' in fragments', odd._replace(fin=0))):
            yield fails('opcode %d%s' % (opcode, how), *sent)


def reserved():
    for rsv in range(1, 8):
        for frame in (text('bits'), binary(b'bits'), ping(b'bits'), pong(b'bits'),
                      close(1000), close(), text()):
            yield fails('bits %d on %s' % (rsv, title(frame)), frame._replace(rsv=rsv))
        yield fails('bits %d on a continuation' % rsv, first('a'), last('b', rsv=rsv))
        yield fails('bits %d after a good message, then a Ping' % rsv,
                    'good', text('bits', rsv=rsv), ping())


def fragmentation():
    for size in (1, 3, 4, 6):
        yield passes('text in fragments of %d bytes' % size, *split('Hello world', size))
    a, b = first('a'), last('b')
    for name, *sent in (
            ('binary', binary(b'\0\xff', fin=0), more(b'\x80'), last(b'\n')),
            ('1,000 of one byte', *split('x' * 1000, 1)),
            ('1,000 empty', first(), *[more()] * 1000, last('x')),
            ('all empty', first(), more(), last()),
            ('all empty, binary', binary(fin=0), last()),
            ('the first empty', first(), b), ('the middle empty', a, more(), b),
            ('the last empty', a, last()),
            ('uneven sizes', binary(pattern(1), fin=0), more(pattern(126)),
             more(pattern(3)), more(pattern(65536)), last(pattern(7))),
            ('messages one after another', a, b, binary(b'c', fin=0), last(b'd'), 'e'),
            ('a Ping between', a, ping(b'p'), b), ('a Pong between', a, pong(b'p'), b),
            ('Pings between many', a, ping(b'1'), more('b'), ping(b'2'), more('c'),
             ping(b'3'), b),
            ('a Ping of 125 bytes between 200 and 200', binary(pattern(200), fin=0),
             ping(pattern(125)), last(pattern(200))),
            ('Close between', a, close(1000), b)):
        yield passes(name, *sent)
    yield fails('a Ping with a reserved bit between', a, ping(rsv=4), b)
    yield fails('a new message after a Ping inside a message', a, ping(b'p'), text('b'),
                back=[(PONG, b'p')])
    for fin in (0, 1):
        for name, *sent in (
                ('a lone continuation', more('x', fin=fin), text('y')),
                ('a lone empty continuation', more(fin=fin)),
                ('a continuation after a message', 'a', more('x', fin=fin))):
            yield fails('%s, FIN %d' % (name, fin), *sent)
        yield fails('a continuation after fragments, FIN %d' % fin,
                    a, b, more('x', fin=fin), back=[message_of('ab')])
        for outer in (TEXT, BINARY):
            for inner in (TEXT, BINARY):
                yield fails('%s inside %s, FIN %d' % (NAMES[inner], NAMES[outer], fin),
                            Frame(outer, b'a', 0), Frame(inner, b'b', fin), last('c'))


def control():
    for payload in (b'', b'Hello', b'\0\xff\xfe', pattern(124), pattern(125)):
        n = len(payload)
        yield passes('a Ping of %d bytes' % n, ping(payload))
        yield passes('an unsolicited Pong of %d bytes' % n, pong(payload))
        yield passes('a Pong of %d bytes, then a Ping' % n, pong(payload), ping(b'after'))
    for name, *sent in (
            ('ten Pings', *(ping(b'%d' % i) for i in range(10))),
            ('1,000 Pings', *[ping(pattern(125))] * 1000),
            ('Pings and messages in turn', ping(b'1'), 'a', ping(b'2'), 'b'),
            ('a Ping after Close', close(1000), ping(b'x')),
            ('a message after Close', close(1000), text('late')),
            ('a second Close after Close', close(1001), close(1000)),
            ('no frame after Close', close(1000), Frame(15, b'\xff' * 30, rsv=7))):
        yield passes(name, *sent)
    for opcode in (CLOSE, PING, PONG):
        body = code_bytes(1000) if opcode == CLOSE else b''
        whole, part = Frame(opcode, body + b'abc'), Frame(opcode, body, 0)
        for how, *sent in (
                *(('of %d bytes' % n, 'ok', Frame(opcode, body + b'x' * (n - len(body))))
                  for n in (126, 127, 1000, 65536)),
                ('of 2^62 bytes', Frame(opcode, length=1 << 62)),
                ('with its length in 2 bytes', whole._replace(width=2)),
                ('with its length in 8 bytes', whole._replace(width=8)),
                ('in fragments', part, last('x')),
                ('in fragments inside a message', first('a'), part, last('x'))):
            yield fails('a %s %s' % (NAMES[opcode], how), *sent)


VALID = [
    'κόσμε', '한글, 日本語, العربية', 'Hello-µ@ßöäüàá-UTF-8!!', '\u0000', '\u007f',
    '\u0080', '\u07ff', '\u0800', '\u0fff', '\u1000', '\ucfff', '\ud000', '\ud7ff',
    '\ue000', '\ufdd0', '\ufffd', '\ufffe', '\uffff', '\ufeff with a mark',
    '\U00010000', '\U0003ffff', '\U00040000', '\U000fffff', '\U00100000', '\U0010ffff',
    '\U0001fffe\U0010fffe', '👩\u200d👩\u200d👧', 'e\u0301', '\u202eright to left',
]

# What is wrong is the last byte.
INVALID = '''80 bf c0 c1 f5 f6 f7 f8 fb fc fd fe ff c200 c241 c27f c2c0 c2c2 c2e0 c2ff df7f
    dfc0 e080 e09f e0c0 e000 e0a000 e0a07f e0a0c0 e180c0 e18041 e1c0 e17f ec80ff eda0 edaf
    edb0 edbf edc0 ed7f ed9fc0 ee7f ee80c0 ef7f efbfc0 efbfff f080 f08f f0c0 f07f f0907f
    f090c0 f0908041 f09080c0 f17f f1c0 f18041 f1807f f180807f f18080ff f37f f480807f f490
    f4bf f4c0 f47f f48f7f f48fc0 f48fbfc0'''

# The beginning of a character and no more.
CUT = 'c2 df e0 e1 ed ef e0a0 e180 ed9f efbf f0 f1 f4 f090 f48f f09080 f48fbf'


def utf8():
    for word in VALID:
        data = word.encode()
        name = data.hex() if len(data) < 5 else word.replace('\ufeff', 'BOM')
        yield passes('valid: ' + name, word)
        if len(data) > 1:
            yield passes('valid in fragments of a byte: ' + name, *split(word, 1))
            yield passes('valid, in the middle of ASCII: ' + name,
                         '0123456789ab' + word + '0123456789ab')
    yield passes('valid: every code point',
                 ''.join(map(chr, [*range(0xd800), *range(0xe000, 0x110000)])))
    yield passes('a Ping in the middle of a character',
                 first(b'\xf0\x9f'), ping(b'\xff'), last(b'\x98\x80'))
    yield passes('an empty fragment in the middle of a character',
                 first(b'\xf0\x9f'), more(), last(b'\x98\x80'))
    yield passes('binary is not checked', b'\xff\xfe\xed\xa0\x80')
    yield passes('binary in fragments is not checked', *split(b'\xff\xc0', 1))
    for name in INVALID.split():
        bad = bytes.fromhex(name)
        for how, *sent in (
                ('', 'ok', text(b'abc' + bad + b'more')),
                (', at once', text(b'0123456789' + bad, length=len(bad) + 1010)),
                (', at once, in the next fragment', first('κόσμε'.encode() + bad[:-1]),
                 more(bad[-1:], length=200))):
            yield fails('invalid%s: %s' % (how, name), *sent, code=1007)
    for name in CUT.split():
        bad = bytes.fromhex(name)
        for how, *sent in (
                ('', text(b'abc' + bad)),
                (' at the end of the last fragment', first('abc'), more('é'), last(bad)),
                (', then an empty last fragment', first(bad), last()),
                (', then the next message begins', text(bad), text(b'\x80'))):
            yield fails('cut off%s: %s' % (how, name), *sent, code=1007)
    yield fails('overlong slash', text(b'..\xc0\xaf..'), code=1007)
    yield fails('a surrogate pair', text(b'\xed\xa0\xbd\xed\xb8\x80'), code=1007)
    yield fails('invalid far into a long message, at once',
                text(b'*' * 70000 + b'\xff', length=LIMIT), code=1007)


def codes():
    for code in (1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999):
        yield passes('%d' % code, close(code))
        yield passes('%d with a reason' % code, 'x', close(code, 'going'))
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1099, 1100, 1999, 2000,
                 2999, 5000, 5001, 10000, 65535):
        yield fails('%d is not allowed' % code, close(code))
        yield fails('%d with a reason is not allowed' % code, close(code, 'why'))
    yield passes('none', close())
    yield fails('a payload of one byte', Frame(CLOSE, b'\x03'))
    yield fails('a payload of one byte, after a Ping that has the other',
                ping(b'\x03\xe8'), Frame(CLOSE, b'\x03'), back=[(PONG, b'\x03\xe8')])
    yield passes('a reason of 123 bytes', close(1000, '*' * 123))
    yield fails('a reason of 124 bytes', close(1000, '*' * 124))
    yield passes('a reason in Korean', close(1000, '안녕히'))
    for bad in (b'\xff', b'bye\x80', b'\xed\xa0\x80', b'\xc0\xaf', b'cut \xe1\x80',
                '안녕'.encode()[:-1], b'\xf4\x90\x80\x80'):
        yield fails('a reason that is not UTF-8: ' + bad.hex(), close(1000, bad), code=1007)
    yield passes('messages, a Ping, then Close in one go',
                 'a', ping(b'p'), b'b', close(4321, 'x'))


FAMILIES = [framing, lengths, opcodes, reserved, fragmentation, control, utf8, codes]


# --- Running them -------------------------------------------------------------------

def deliveries(case, head, masked):
    """The case's stream, and where it, after a head of `head` bytes, is cut: not at all,
    everywhere, at three places."""
    stream = b''.join(encode(frame, masked) for frame in case.sent)
    n = head + len(stream)
    step = 1 if n <= 4096 else 997
    cuts = random.Random(case.name)
    three = sorted(cuts.randint(*place) for place in (
        (1, head), (head, min(n, head + 40)), (head, n)))
    return stream, [[]] if n > 1 << 20 else [[], range(step, n, step), three]


def check_frames(case, frames, places):
    """The reply to a stream that was cut there is what the case wants, then a Close, and
    nothing else. Where the connection has failed, the Close may say why."""
    if case.failed and frames and frames[-1][0] == CLOSE:
        _, payload = frames.pop()
        payload[2:].decode()
        frames.append((CLOSE, payload[:2]))
    same([*case.back, closed(case.code)], frames, 'cut at %s' % list(places[:5]))


def against_server(address, case, head=None):
    """The case after a good request, or after this one, delivered in each way."""
    head = head or request(address)
    stream, ways = deliveries(case, len(head), True)
    for places in ways:
        with connect(address) as ws:
            ws.pour(head + stream, places)
            check_welcome(ws)
            check_frames(case, ws.rest(), places)


def against_client(command, case, build=response):
    """The case after a good response, or what is built from the key, in each way."""
    stream, ways = deliveries(case, len(build(KEY)), False)
    for places in ways:
        with Client(command, '-e') as client:
            ws, key = client.accept()
            with ws:
                ws.pour(build(key) + stream, places)
                check_frames(case, ws.rest(), places)
            if case.failed:
                client.ends(1, 'wsClient: ANY%dANY' % case.code)
            elif case.code in (1000, 1001, None):
                client.ends(0, '')
            else:
                client.ends(1, 'wsClient: closed with %d' % case.code)


# --- Handshakes ---------------------------------------------------------------------

# Changes to a good request, as head() has them, by the status of the response.
REQUESTS = {
    101: ['Upgrade: WebSocket', 'Upgrade: foo, websocket', '+Upgrade: h2c',
          'Connection: UPGRADE,keep-alive', 'Connection:   keep-alive\t, ,upgrade \t',
          'Connection: keep-alive\n+Connection: Upgrade', 'Connection: keep-alive, Upgrade',
          'X-Empty:', 'User-Agent: test\nAccept: */*\nCookie: a=b; c="d:e"',
          "!#$%&'*+-.^_`|~09: a token", 'Content-Length: 0', '+Connection: keep-alive',
          'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
          'Sec-WebSocket-Protocol: chat, v2', 'Host: example.com', 'Host: EXAMPLE.com:8080',
          'Host: a-b_c.d', 'Host: [::1]', 'Origin: http://ADDRESS',
          'Host: example.com\nOrigin: http://example.com',
          'Host: example.com\nOrigin: http://Example.COM',
          'Host: example.com\nOrigin: http://example.com:80',
          'Host: example.com:80\nOrigin: http://example.com',
          'Host: [::1]:99\nOrigin: http://[::1]:99',
          'Host: example.com:8443\nOrigin: https://example.com:8443',
          'Host: example.com:443\nOrigin: https://example.com',
          '=GET /ws?x=1 HTTP/1.1', '=GET http://ADDRESS/ws HTTP/1.1',
          '=GET http://ADDRESS/ws?x HTTP/1.1', '=GET https://ADDRESS/ws HTTP/1.1',
          '=GET WS://ADDRESS/ws HTTP/1.1', '=GET wss://ADDRESS/ws HTTP/1.1',
          '=GET /ws?u=http://a/ HTTP/1.1', '=GET /ws HTTP/1.2',
          '=GET http://a/ws HTTP/1.1\nHost: b\nOrigin: http://a',
          '=GET https://a/ws HTTP/1.1\nHost: b\nOrigin: https://a'],
    403: ['Origin: http://evil.example', 'Origin: null', 'Origin:', 'Origin: ADDRESS',
          'Origin: http://127.0.0.1:1', 'Origin: http://127.0.0.1',
          'Origin: http://ADDRESS.evil.example', 'Origin: http://evilADDRESS',
          'Origin: http://evil.example/http://ADDRESS', 'Origin: http://user@evil.example',
          'Host: example.com\nOrigin: http://example.com:81',
          'Host: example.com:80\nOrigin: https://example.com',
          'Host: example.com\nOrigin: http://example.co',
          'Host: example.co\nOrigin: http://example.com',
          'Host: example.com:8080\nOrigin: http://example.com',
          '=GET http://a/ws HTTP/1.1\nHost: b\nOrigin: http://b'],
    404: ['=%s HTTP/1.1' % target for target in (
        'POST /nope', 'GET /nope', 'GET /ws/', 'GET /wsx', 'GET /w', 'GET /WS', 'GET //ws',
        'GET /ws%20', 'GET /index.html', 'GET /nope?/ws', 'GET /../ws',
        'GET http://ADDRESS/nope', 'GET *', 'HEAD /nope')],
    405: ['=%s %s HTTP/1.1' % (method, path) for path in ('/', '/ws')
          for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'get', 'GETX')],
    426: ['-Upgrade', '=HEAD /ws HTTP/1.1', 'Upgrade: h2c', 'Upgrade: websockets',
          '-Sec-WebSocket-Version',
          *('Sec-WebSocket-Version: ' + version for version in
            ('8', '12', '14', '0', '', '130', '1', '13x', '-13')),
          '-Upgrade\n-Connection\n-Sec-WebSocket-Key\n-Sec-WebSocket-Version'],
    400: ['-Connection', 'Connection: keep-alive', 'Connection: upgraded',
          '-Sec-WebSocket-Key', '+Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
          *('Sec-WebSocket-Key: ' + key for key in (
              '', 'A' * 20, 'A' * 22, 'A' * 24, 'A' * 22 + '=', 'A' * 23 + '=',
              'A' * 21 + '===', '==' + 'A' * 22, 'A' * 11 + '*AAAAAAAAAA==', KEY + 'AAAA',
              'A' * 11 + '-AAAAAAAAAA==', 'A' * 11 + ' AAAAAAAAAA==')),
          '-Host', '+Host: other', 'Host: a b', 'Host: a/b', 'Host: u@a', 'Host: a?b',
          'Host: a#b', 'Host: a<b', 'Host: a\xe4', 'Content-Length: 5', 'Content-Length: x',
          'Transfer-Encoding: chunked', 'nonsense', ': no name', 'X-Y : z', 'X Y: z',
          ' folded', '\tfolded', 'X: a\0b', 'X: a\rb', 'X(Y: z', 'X"Y: z', 'X/Y: z',
          'X\x7fY: z', 'X\xe4Y: z',
          '=GET /ws HTTP/1.0', '=GET /ws', '=GET HTTP/1.1', '=GET', '=GET  /ws HTTP/1.1',
          '=GET /ws HTTP/1.1 x', '= GET /ws HTTP/1.1', '=GET /ws HTTP/1', '=hello',
          '=GET /ws http/1.1', '=GET /ws HTTP/1.x', '=GET /ws HTTPS/1.1',
          '=GET /ws?\x1b HTTP/1.1', '=GET /ws?a\rb HTTP/1.1', '=GET /ws?\xff HTTP/1.1',
          '=GET /ws?\x7f HTTP/1.1', '=GET http://u@a/ws HTTP/1.1',
          '=GET http:///ws HTTP/1.1',
          '=GET http://a/ws HTTP/1.1\n-Host', '=G(T /ws HTTP/1.1', '=G"T /ws HTTP/1.1',
          '=G\xc4T /ws HTTP/1.1'],
}
REFUSALS = {405: {'allow': 'GET, HEAD'},
            426: {'upgrade': 'websocket', 'sec-websocket-version': '13'}}

# Changes to a good response that a client accepts, or refuses. ACCEPT is the right value.
GOOD_RESPONSES = [
    'Upgrade: WebSocket', 'Connection: upgrade', 'Connection: keep-alive, Upgrade',
    'X:\nServer: test', '=HTTP/1.1 101 Web Socket Protocol Handshake', '=HTTP/1.1 101 ']
BAD_RESPONSES = {
    'wrong Sec-WebSocket-Accept in the response': [
        'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'Sec-WebSocket-Accept:',
        'Sec-WebSocket-Accept: SWAPPED', 'Sec-WebSocket-Accept: ACCEPTA',
        'Sec-WebSocket-Accept: CUT', '+Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=',
        '+Sec-WebSocket-Accept: ACCEPT'],
    'no Upgrade, Connection or Sec-WebSocket-Accept in the response': [
        '-Sec-WebSocket-Accept', '-Upgrade', '-Connection', 'Connection: close',
        'Connection: upgraded'],
    'upgrade to another protocol': ['Upgrade: h2c', 'Upgrade: websockets'],
    'an extension that was not requested': ['Sec-WebSocket-Extensions: permessage-deflate'],
    'a subprotocol that was not requested': ['Sec-WebSocket-Protocol: chat'],
    'malformed header in the response': [
        'nonsense', ' folded', 'X-Y : z', 'X: a\rb'],
    'not an HTTP response': ['=hello', '=ICY 101 x'],
    'Bad message': ['X: a\0b', '=HTTP/1.1 404 a\0b']}

# Status lines that refuse. The client shows them.
REFUSING = [
    'HTTP/1.1 404 Not Found', 'HTTP/1.1 200 OK', 'HTTP/1.1 301 Moved Permanently',
    'HTTP/1.1 401 Unauthorized', 'HTTP/1.0 400 Bad Request', 'HTTP/1.1 101x y',
    'HTTP/1.0 101 Switching Protocols', 'HTTP/1.1 1010 x', 'HTTP/1.1 10 x',
    'HTTP/1.1  101 x', 'HTTP/2 101 x', 'HTTP/1.1 503', 'HTTP/1.1 404 \x1b[31m\x7fred',
    'HTTP/1.1 404 \xff\xc3(']


def recased(head, change):
    first, *lines = head.split(b'\r\n')
    return b'\r\n'.join([first, *(change(name) + colon + value for name, colon, value in
                                  (line.partition(b':') for line in lines))])


def padded(head, size):
    return head[:-2] + b'X: ' + b'x' * (size - len(head) - 5) + b'\r\n\r\n'


# Other ways to write a head that mean the same.
REWRITTEN = {
    'as it is': lambda head: head,
    'names in small letters': lambda head: recased(head, bytes.lower),
    'names in capitals': lambda head: recased(head, bytes.upper),
    'no space after the colons': lambda head: head.replace(b': ', b':'),
    'white space after the colons': lambda head: head.replace(b': ', b': \t '),
    'white space after the values': lambda head: re.sub(rb'(: .*)\r\n', rb'\1 \t\r\n', head),
    'lines that end in LF alone': lambda head: head.replace(b'\r\n', b'\n'),
    '8,192 bytes': lambda head: padded(head, 8192),
    '8,192 bytes in many headers': lambda head: head[:-2] + b'A: b\r\n' * (
        (8192 - len(head)) // 6) + b'\r\n',
}


def requests(address):
    """(name, request, the status of the response)"""
    for status, rows in REQUESTS.items():
        for row in rows:
            changes = row.replace('ADDRESS', address).split('\n')
            yield '%a' % row, request(address, *changes), status
    good = request(address)
    for name, change in REWRITTEN.items():
        yield name, change(good), 101
    yield 'an empty line before', b'\r\n' + good, 101
    yield 'two empty lines before', b'\r\n\r\n' + good, 400
    yield 'a TLS hello', b'\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n', 400
    yield 'no Host at /', b'GET / HTTP/1.1\r\n\r\n', 400
    yield '8,193 bytes', padded(good, 8193), 431
    yield '100,000 bytes and no line', b'x' * 100000, 431


def refused_by_server(address, data, status):
    with connect(address) as ws:
        ws.pour(data)
        first, headers = ws.head()
        same('HTTP/1.1 %d ' % status, first[:13])
        body = ws.body()
        for name, value in REFUSALS.get(status, {}).items():
            same(value, headers.get(name), name)
        if not data.startswith(b'HEAD '):
            same(str(len(body)), headers['content-length'])
        same(True, 'close' in headers['connection'] and headers['date'].endswith(' GMT'))
        if data.startswith(b'HEAD '):
            same(b'', body, 'the body')
        elif not re.fullmatch(rb'.{5,}\n', body):
            raise Wrong('expected: one line that says why, got: %r' % body)


def responses():
    """(name, how the response is built from the key, the words that refuse it or None)"""
    def changed(row, key):
        accept = accept_of(key)
        words = row.replace('ACCEPT', accept).replace('SWAPPED', accept.swapcase())
        return response(key, *words.replace('CUT', accept[:-1]).split('\n'))

    for complaint, rows in {None: GOOD_RESPONSES, **BAD_RESPONSES}.items():
        for row in rows:
            yield '%a' % row, partial(changed, row), complaint
    for line in REFUSING:
        shown = ''.join(c if ' ' <= c <= '~' else '?' for c in line)
        yield '%a' % line, partial(changed, '=' + line), shown
    for name, change in REWRITTEN.items():
        yield name, lambda key, change=change: change(response(key)), None
    interim = b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'
    yield 'interim responses before it', lambda key: interim + response(key), None
    long, cut = os.environ.get('TOO_LONG', 'Message too long'), 'connection closed'
    yield '8,193 bytes', lambda key: padded(response(key), 8193), long
    yield '100,000 bytes and no line', lambda _: b'x' * 100000, long
    yield 'the end in the middle of a header', lambda key: response(key)[:60], cut
    yield 'the end before the empty line', lambda key: response(key)[:-2], cut
    yield 'interim responses and no more', lambda _: interim, cut
    yield 'nothing', lambda _: b'', cut


def refused_by_client(command, build, complaint):
    with Client(command, '-e') as client:
        ws, key = client.accept()
        with ws:
            ws.pour(build(key))
            ws.sender.join()
            ws.shut()
            same([], ws.rest())
            client.ends(1, 'wsClient: server: ' + complaint)


# --- The run ------------------------------------------------------------------------

def streams(cases, masked):
    """name, bytes and outcome of each, for unit.c."""
    kinds = {TEXT: 't', BINARY: 'b', PONG: 'p'}
    for name, case in cases:
        stream, _ = deliveries(case, 1, masked)
        outcome = ['%s:%s' % (kinds[opcode], data.hex()) for opcode, data in case.back]
        outcome.append('%s:%d' % ('f' if case.failed else 'c', case.code or 0))
        if len(stream) <= 5000:
            print('\t'.join((name, stream.hex(), ' '.join(outcome))))


def main():
    role, *command = sys.argv[1:]
    cases = [('%s: %s' % (family.__name__, case.name), case)
             for family in FAMILIES for case in family()]
    hi = passes('hi', 'hi')
    if role == 'streams':
        return streams(cases, command[0] == 'server')
    if role == 'client':
        jobs = [(name, partial(against_client, command, case)) for name, case in cases]
        jobs += [('handshake: ' + name,
                  partial(refused_by_client, command, build, why) if why
                  else partial(against_client, command, hi, build))
                 for name, build, why in responses()]
        return run('wsClient', jobs, at_once=4)
    with Server(command, '-q') as server:
        to = server.address
        jobs = [(name, partial(against_server, to, case)) for name, case in cases]
        jobs += [('handshake: %d for %s' % (status, name),
                  partial(against_server, to, hi, data) if status == 101
                  else partial(refused_by_server, to, data, status))
                 for name, data, status in requests(to)]
        return run('wsServer', jobs, at_once=4)


if __name__ == '__main__':
    sys.exit(main())
