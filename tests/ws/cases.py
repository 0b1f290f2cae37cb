#!/usr/bin/python3
"""cases.py - the rules of RFC 6455 as bytes: what is sent, and what must be sent back

    cases.py server PROGRAM...     as a raw client of `PROGRAM -q 127.0.0.1:0`
    cases.py client PROGRAM...     as a raw server of `PROGRAM -e`

Prints a line for each case: a stream of frames, sent with the handshake in one segment
and byte by byte, and the frames that must be sent back, to the last bit.
"""
import glob
import os
import re
import sys
from collections import namedtuple
from functools import partial

from checks import run, same
from raw import (BINARY, CLOSE, KEY, PING, PONG, TEXT, Client, Frame, Server, accept_of,
                 as_bytes, binary, check_welcome, close, closed, code_bytes,
                 connect, encode, first, last, more, ping, pong, request,
                 response, message_of, text)

OPCODES = TEXT, BINARY, CLOSE, PING, PONG
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


def fails(name, *sent, code=1002):
    """A frame is wrong; of what is sent before it only whole messages are echoed."""
    back = [message_of(one) for one in sent if not isinstance(one, Frame)]
    return Case(name, sent, back, code, True)


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
            ('empty binary', b''), ('control characters in text', 'a\0\r\n\x1b[31m'),
            ('nothing but the closing handshake',),
            ('text and binary in turn', 'a', b'b', 'c', b'd'),
            ('1,000 messages', *('message %d' % i for i in range(1000))),
            ('1,000 empty messages', *[''] * 1000)):
        yield passes(name, *messages)
    for opcode in OPCODES:
        yield fails('wrongly masked ' + NAMES[opcode],
                    Frame(opcode, code_bytes(1000), wrong=True))
    yield fails('wrongly masked continuation', first('a'), last('b', wrong=True))


def lengths():
    for n in (*range(1, 18), 124, 125, 126, 127, 128, 255, 256, 257, 1023, 1024, 1025,
              4096, 16384, 65534, 65535, 65536, 65537, 1 << 17, 1 << 20):
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
        for n in (LIMIT + 1, 1 << 31, 1 << 32, (1 << 32) + 5, (1 << 63) - 1):
            yield fails('%s of %d bytes, refused by the header' % (NAMES[opcode], n),
                        'before', Frame(opcode, length=n), code=1009)
    for n in (LIMIT - 4, (1 << 63) - 1):
        yield fails('a fragment of %d bytes after 5, refused by the header' % n,
                    first('12345'), more(length=n), code=1009)
    for n in (1 << 63, (1 << 64) - 1):
        yield fails('a length of %d: the highest bit is 0' % n, binary(length=n))
    for n, width in ((0, 2), (125, 2), (0, 8), (125, 8), (126, 8), (65535, 8)):
        yield fails('%d bytes, the length in %d' % (n, width),
                    'ok', binary(pattern(n), width=width))


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
        for opcode in OPCODES:
            yield fails('bits %d on a %s' % (rsv, NAMES[opcode]),
                        Frame(opcode, code_bytes(1000), rsv=rsv))
        yield fails('bits %d on a continuation' % rsv, first('a'), last('b', rsv=rsv))


def fragmentation():
    for size in (1, 3, 4, 6):
        yield passes('text in fragments of %d bytes' % size, *split('Hello world', size))
    a, b = first('a'), last('b')
    for name, *sent in (
            ('1,000 of one byte', *split('x' * 1000, 1)),
            ('1,000 empty', first(), *[more()] * 1000, last('x')),
            ('all empty', first(), more(), last()),
            ('the first empty', first(), b), ('the last empty', a, last()),
            ('messages one after another', a, b, binary(b'c', fin=0), last(b'd'), 'e'),
            ('a Ping between', a, ping(b'p'), b), ('a Pong between', a, pong(b'p'), b),
            ('a Ping of 125 bytes between 200 and 200', binary(pattern(200), fin=0),
             ping(pattern(125)), last(pattern(200))),
            ('Close between', a, close(1000), b)):
        yield passes(name, *sent)
    for fin in (0, 1):
        for name, *sent in (
                ('a lone continuation', more('x', fin=fin), text('y')),
                ('a lone empty continuation', more(fin=fin)),
                ('a continuation after a message', 'a', more('x', fin=fin)),
                ('text inside text', a, text('x', fin=fin), b),
                ('binary inside text', a, binary(b'x', fin=fin), b)):
            yield fails('%s, FIN %d' % (name, fin), *sent)


def control():
    for payload in (b'', b'Hello', b'\0\xff\xfe', pattern(124), pattern(125)):
        n = len(payload)
        yield passes('a Ping of %d bytes' % n, ping(payload))
        yield passes('an unsolicited Pong of %d bytes' % n, pong(payload))
    for name, *sent in (
            ('1,000 Pings', *[ping(pattern(125))] * 1000),
            ('a Ping after Close', close(1000), ping(b'x')),
            ('a message after Close', close(1000), text('late')),
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


VALID = '''00 7f c280 dfbf e0a080 e0bfbf e18080 ecbfbf ed8080 ed959c ed9fbf ee8080 efbbbf
    efbfbd efbfbf f0908080 f0bfbfbf f1808080 f3bfbfbf f4808080 f48fbfbf'''

# What is wrong is the last byte.
INVALID = '''80 bf c0 c1 f5 f8 ff c200 c27f c2c0 c2ff dfc0 e000 e080 e09f e0c0 e0a07f
    e0a0c0 e17f e1c0 e18041 e180c0 ed7f eda0 edbf edc0 ed9fc0 ee7f ee80c0 efbfc0 f07f f080
    f08f f0c0 f0907f f090c0 f0908041 f09080c0 f17f f1c0 f18041 f1807f f180807f f18080ff
    f47f f490 f4bf f4c0 f48f7f f48fc0 f48fbfc0'''

# The beginning of a character and no more.
CUT = 'c2 df e0 e1 ed ef e0a0 e180 ed9f efbf f0 f1 f4 f090 f48f f09080 f48fbf'


def utf8():
    for name in VALID.split():
        word = bytes.fromhex(name).decode()
        yield passes('valid: ' + name, word)
        yield passes('valid in fragments of a byte: ' + name, *split(word * 2, 1))
        yield passes('valid in ASCII: ' + name, '0123456789ab%s0123456789ab' % word)
    yield passes('valid: every code point',
                 ''.join(map(chr, [*range(0xd800), *range(0xe000, 0x110000)])))
    yield passes('a Ping in the middle of a character',
                 first(b'\xf0\x9f'), ping(b'\xff'), last(b'\x98\x80'))
    yield passes('an empty fragment in the middle of a character',
                 first(b'\xf0\x9f'), more(), last(b'\x98\x80'))
    yield passes('binary is not checked', b'\xff\xfe\xed\xa0\x80', *split(b'\xff\xc0', 1))
    for name in INVALID.split():
        bad = bytes.fromhex(name)
        for how, *sent in (
                ('', 'ok', text(b'abc' + bad + b' and more')),
                (', more of it', text(b'abc' + bad + b'\x80 and more')),
                (', at once', text(b'0123456789' + bad, length=len(bad) + 1010)),
                (', at once, in the next fragment', first('κόσμε'.encode() + bad[:-1]),
                 more(bad[-1:], length=200))):
            yield fails('invalid%s: %s' % (how, name), *sent, code=1007)
    for name in CUT.split():
        bad = bytes.fromhex(name)
        for how, *sent in (
                ('', text(b'abc' + bad)),
                (' at the end of the last fragment', first('abc'), more('é'), last(bad)),
                (', then an empty last fragment', first(bad), last())):
            yield fails('cut off%s: %s' % (how, name), *sent, code=1007)
    yield fails('half a character before whole ones',
                text(b'\xc2' + '한글한글'.encode() + b'\x80 and more'), code=1007)
    yield fails('invalid far into a long message, at once',
                text(b'*' * 70000 + b'\xff', length=LIMIT), code=1007)


def codes():
    for code in (1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999):
        yield passes('%d' % code, close(code))
        yield passes('%d with a reason' % code, 'x', close(code, '안녕히'))
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield fails('%d is not allowed' % code, close(code))
        yield fails('%d with a reason is not allowed' % code, close(code, 'why'))
    yield passes('none', close())
    yield fails('a payload of one byte', Frame(CLOSE, b'\x03'))
    yield passes('a reason of 123 bytes', close(1000, '*' * 123))
    yield fails('a reason of 124 bytes', close(1000, '*' * 124))
    for bad in (b'\xff', b'bye\x80', b'\xed\xa0\x80', b'cut \xe1\x80'):
        yield fails('a reason that is not UTF-8: ' + bad.hex(), close(1000, bad), code=1007)


FAMILIES = [framing, lengths, opcodes, reserved, fragmentation, control, utf8, codes]


# --- Running them -------------------------------------------------------------------

def deliveries(case, head, masked):
    """The case's stream, and where it, after a head of `head` bytes, is cut: not at all,
    and everywhere, or if it is long at many places."""
    stream = b''.join(encode(frame, masked) for frame in case.sent)
    n = head + len(stream)
    step = 1 if n <= 4096 else 997
    return stream, [[]] if n > 1 << 20 else [[], range(step, n, step)]


def check_frames(case, frames, places):
    """What is sent back is what the case wants, then a Close, and nothing else."""
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
            if not case.failed and case.code in (1000, 1001, None):
                client.ends(0, '')
            else:
                how = 'server: %d *' if case.failed else 'closed with %d'
                client.ends(1, 'wsClient: ' + how % case.code)


# --- Handshakes ---------------------------------------------------------------------

# Changes to a good request, as head() has them, by the status of the response.
REQUESTS = {
    101: ['Upgrade: WebSocket', 'Upgrade: foo, websocket', '+Upgrade: h2c',
          'Connection: UPGRADE,keep-alive', 'Connection:   keep-alive\t, ,upgrade \t',
          'Connection: keep-alive\n+Connection: Upgrade', '+Connection: keep-alive',
          "X-Empty:\n!#$%&'*+-.^_`|~09: a token", 'Content-Length: 0',
          'Sec-WebSocket-Extensions: permessage-deflate\nSec-WebSocket-Protocol: a, b',
          'Host: a-b_c.d', 'Origin: http://ADDRESS',
          'Host: example.com\nOrigin: http://Example.COM',
          'Host: example.com\nOrigin: http://example.com:80',
          'Host: example.com:80\nOrigin: http://example.com',
          'Host: example.com:443\nOrigin: https://example.com',
          'Host: [::1]:99\nOrigin: http://[::1]:99',
          '=GET /ws?u=http://a/ HTTP/1.1', '=GET /ws HTTP/1.2',
          '=GET http://ADDRESS/ws?x HTTP/1.1', '=GET WSS://ADDRESS/ws HTTP/1.1',
          '=GET http://a/ws HTTP/1.1\nHost: b\nOrigin: http://a'],
    403: [*('Origin: ' + origin for origin in (
              'http://evil.example', 'null', '', 'ADDRESS', 'http://127.0.0.1:1',
              'http://127.0.0.1', 'http://ADDRESS.evil.example', 'http://evilADDRESS',
              'http://evil.example/http://ADDRESS', 'http://user@evil.example')),
          'Host: example.com\nOrigin: http://example.com:81',
          'Host: example.com:80\nOrigin: https://example.com',
          'Host: example.com\nOrigin: http://example.co',
          'Host: example.co\nOrigin: http://example.com',
          '=GET http://a/ws HTTP/1.1\nHost: b\nOrigin: http://b'],
    404: ['=%s HTTP/1.1' % target for target in (
        'POST /nope', 'HEAD /nope', 'GET /ws/', 'GET /wsx', 'GET /w', 'GET /WS', 'GET *',
        'GET /a://b/ws', 'GET /nope?/ws', 'GET http://ADDRESS/nope')],
    405: ['=%s %s HTTP/1.1' % (method, path) for path in ('/', '/ws')
          for method in ('POST', 'OPTIONS', 'get', 'GETX')],
    426: ['-Upgrade', '=HEAD /ws HTTP/1.1', 'Upgrade: web', 'Upgrade: websockets',
          '-Sec-WebSocket-Version',
          *('Sec-WebSocket-Version: ' + version for version in
            ('8', '14', '0', '', '130', '1', '13x', '-13')),
          '-Upgrade\n-Connection\n-Sec-WebSocket-Key\n-Sec-WebSocket-Version'],
    400: ['-Connection', 'Connection: keep-alive', 'Connection: upgraded',
          '-Host', '+Host: other',
          *('Host: ' + host for host in ('a b', 'a/b', 'u@a', 'a?b', 'a#b', 'a\xe4')),
          '-Sec-WebSocket-Key', '+Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
          *('Sec-WebSocket-Key: ' + key for key in (
              '', 'A' * 20, 'A' * 22, 'A' * 24, 'A' * 22 + '=', 'A' * 23 + '=',
              'A' * 21 + '===', '==' + 'A' * 22, 'A' * 21 + '*==', KEY + 'AAAA')),
          'Content-Length: 5', 'Content-Length: x', 'Transfer-Encoding: chunked',
          'nonsense', ': no name', 'X-Y : z', 'X Y: z', 'X(Y: z', 'X\x7fY: z',
          'X\xe4Y: z', ' folded', '\tfolded', 'X: a\0b', 'X: a\rb',
          '=hello', '=GET', '=GET /ws',
          *('=GET /ws ' + version for version in (
              'HTTP/1.0', 'HTTP/1', 'http/1.1', 'HTTP/1.x', 'HTTP/x.1', 'HTTP/1.1 x')),
          *('=%s HTTP/1.1' % line for line in (
              'GET', 'GET  /ws', ' GET /ws', 'G(T /ws', 'G\xc4T /ws',
              'GET /ws?\x1b', 'GET /ws?a\rb', 'GET /ws?\x7f', 'GET /ws?\xff',
              'GET http:///ws', 'GET http://u@a/ws')),
          '=GET http://a/ws HTTP/1.1\n-Host'],
}
REFUSALS = {405: {'allow': 'GET, HEAD'},
            426: {'upgrade': 'websocket', 'sec-websocket-version': '13'}}

# Changes to a good response that a client accepts, or refuses. ACCEPT is the right value.
GOOD_RESPONSES = [
    'Upgrade: WebSocket', 'Connection: upgrade', 'Connection: keep-alive, Upgrade',
    '+Connection: keep-alive', 'X:', '=HTTP/1.1 101 Web Socket', '=HTTP/1.1 101 ']
BAD_RESPONSES = {
    'wrong Sec-WebSocket-Accept in the response': [
        'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'Sec-WebSocket-Accept:',
        'Sec-WebSocket-Accept: SWAPPED', 'Sec-WebSocket-Accept: ACCEPTA',
        'Sec-WebSocket-Accept: CUT', '+Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=',
        '+Sec-WebSocket-Accept: ACCEPT'],
    'no Upgrade, Connection or Sec-WebSocket-Accept in the response': [
        '-Sec-WebSocket-Accept', '-Upgrade', '-Connection', 'Connection: up',
        'Connection: upgraded'],
    'upgrade to another protocol': ['Upgrade: h2c', 'Upgrade: websockets'],
    'an extension that was not requested': ['Sec-WebSocket-Extensions: permessage-deflate'],
    'a subprotocol that was not requested': ['Sec-WebSocket-Protocol: chat'],
    'malformed header in the response': ['nonsense', ' folded', 'X-Y : z', 'X: a\rb'],
    'not an HTTP response': ['=hello', '=ICY 101 x'],
    'Bad message': ['X: a\0b', '=HTTP/1.1 404 a\0b']}

# Status lines that refuse. The client shows them.
REFUSING = [
    'HTTP/1.1 404 Not Found', 'HTTP/1.1 200 OK', 'HTTP/1.0 101 Switching Protocols',
    'HTTP/1.1 101x y', 'HTTP/1.1 1x1 y', 'HTTP/1.1 10 x', 'HTTP/1.1  101 x',
    'HTTP/2 101 x', 'HTTP/1.1 503', 'HTTP/1.1 404 \x1b[31m\x7fred \xff\xc3(']


def padded(head, size):
    return head[:-2] + b'X: ' + b'x' * (size - len(head) - 5) + b'\r\n\r\n'


# Other ways to write a head that mean the same.
REWRITTEN = {
    'names in capitals': lambda head: re.sub(
        rb'\n.*?:', lambda name: name[0].upper(), head),
    'no space after the colons': lambda head: head.replace(b': ', b':'),
    'white space after the colons': lambda head: head.replace(b': ', b': \t '),
    'white space after the values': lambda head: re.sub(rb'(: .*)\r\n', rb'\1 \t\r\n', head),
    'lines that end in LF alone': lambda head: head.replace(b'\r\n', b'\n'),
    '8,192 bytes': lambda head: padded(head, 8192),
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
    yield 'a TLS hello', b'\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n', 400
    yield 'no Host at /', b'GET / HTTP/1.1\r\n\r\n', 400
    yield '8,193 bytes', padded(good, 8193), 431
    yield '100,000 bytes and no line', b'x' * 100000, 431


def refused_by_server(address, data, status):
    with connect(address) as ws:
        ws.pour(data)
        first, headers = ws.head()
        body = ws.body()
        same('HTTP/1.1 %d ' % status, first[:13])
        same(True, 'close' in headers['connection'] and headers['date'].endswith(' GMT'))
        for name, value in REFUSALS.get(status, {}).items():
            same(value, headers.get(name), name)
        if data.startswith(b'HEAD '):
            same(b'', body, 'the body')
        else:
            same(str(len(body)), headers['content-length'])
            same(True, bool(re.fullmatch(rb'.{5,}\n', body)), 'a line that says why')


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
    yield 'the end before the empty line', lambda key: response(key)[:-2], cut
    yield 'interim responses and no more', lambda _: interim, cut


def refused_by_client(command, build, complaint):
    with Client(command, '-e') as client:
        ws, key = client.accept()
        with ws:
            ws.pour(build(key))
            ws.sender.join()
            ws.shut()
            same([], ws.rest())
            client.ends(1, 'wsClient: server: ' + glob.escape(complaint))


# --- The run ------------------------------------------------------------------------

def main():
    role, *command = sys.argv[1:]
    cases = [('%s: %s' % (family.__name__, case.name), case)
             for family in FAMILIES for case in family()]
    hi = passes('hi', 'hi')
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
