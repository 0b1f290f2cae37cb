#!/usr/bin/python3
"""ws_cases.py - the rules of RFC 6455 as bytes: what is sent, what must come back

    ws_cases.py [-s] server PROGRAM...      as a raw client of `PROGRAM -q 127.0.0.1:0`
    ws_cases.py [-s] client PROGRAM...      as a raw server of `PROGRAM -e`
    ws_cases.py streams server|client       the streams, for ws_unit

Prints a line for each case; with -s for each family, and what failed. A case is a stream of
frames sent whole, byte by byte and in pieces, alone and behind the handshake, and
the frames that must come back for it, to the last bit. Exit status 1 where one failed.
"""
import base64
import concurrent.futures
import hashlib
import os
import random
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import namedtuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = {TEXT: 'text', BINARY: 'binary', CLOSE: 'close', PING: 'ping', PONG: 'pong',
         CONTINUATION: 'continuation'}
LIMIT = 16 << 20
SLOW = int(os.environ.get('TEST_SLOW', '1'))
DEADLINE = 10 * SLOW
SLACK = 2 * SLOW  # seconds that a busy machine may add
GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
KEY = b'dGhlIHNhbXBsZSBub25jZQ=='
ANY = '<any>'
LOST = 'connection closed by server'


# --- Frames -------------------------------------------------------------------------

# `length` is what the header says, where that is not the payload's; `form` is 7, 16 or
# 64 where the header is not to be minimal; `wrong` masks what should not be, or not.
Frame = namedtuple('Frame', 'opcode payload fin rsv length form wrong mask',
                   defaults=(b'', 1, 0, None, None, False, None))


def apply_mask(mask, payload):
    if not any(mask):
        return payload
    n = len(payload)
    pad = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, 'big') ^ int.from_bytes(pad, 'big')).to_bytes(n, 'big')


def encode(frame, masked):
    """The frame's bytes; `masked` is what the sender's role asks for."""
    if isinstance(frame, bytes):
        return frame
    masked = masked != frame.wrong
    length = len(frame.payload) if frame.length is None else frame.length
    form = frame.form or (7 if length < 126 else 16 if length < 65536 else 64)
    first = frame.fin << 7 | frame.rsv << 4 | frame.opcode
    bit = 0x80 if masked else 0
    if form == 7:
        head = struct.pack('>BB', first, bit | length)
    elif form == 16:
        head = struct.pack('>BBH', first, bit | 126, length)
    else:
        head = struct.pack('>BBQ', first, bit | 127, length)
    if not masked:
        return head + frame.payload
    mask = frame.mask or hashlib.md5(head + frame.payload[:64]).digest()[:4]
    return head + mask + apply_mask(mask, frame.payload)


def text(payload, **more):
    if isinstance(payload, str):
        payload = payload.encode()
    return Frame(TEXT, payload, **more)


def binary(payload, **more):
    return Frame(BINARY, payload, **more)


def more(payload, fin=0):
    return Frame(CONTINUATION, payload, fin=fin)


def last(payload):
    return more(payload, fin=1)


def ping(payload=b'', **rest):
    return Frame(PING, payload, **rest)


def close(code=None, reason=b'', **rest):
    return Frame(CLOSE, b'' if code is None else struct.pack('>H', code) + reason, **rest)


class Wrong(Exception):
    """What came is not what had to come."""


def decode(data, masked, masks):
    """The frames in what a peer sent: [(opcode, payload)]. Strict; collects the masks."""
    frames = []
    at = 0
    while at < len(data):
        def need(n):
            if at + n > len(data):
                raise Wrong('the last frame is cut: %s' % data[start:start + 40].hex())
        start = at
        need(2)
        first, length = data[at], data[at + 1] & 0x7f
        if first & 0x70 or not first & 0x80 or first & 0xf not in (TEXT, BINARY, CLOSE,
                                                                   PING, PONG):
            raise Wrong('a frame begins with %02x' % first)
        if bool(data[at + 1] & 0x80) != masked:
            raise Wrong('a frame that is %smasked' % ('un' if masked else ''))
        at += 2
        if length >= 126:
            size, least = (2, 126) if length == 126 else (8, 65536)
            need(size)
            length = int.from_bytes(data[at:at + size], 'big')
            if length < least or first & 0x8:
                raise Wrong('a length of %d in %d bytes' % (length, size))
            at += size
        mask = b'\0\0\0\0'
        if masked:
            need(4)
            mask = data[at:at + 4]
            masks.append(mask)
            at += 4
        need(length)
        frames.append((first & 0xf, apply_mask(mask, data[at:at + length])))
        at += length
    return frames


# --- The cases ----------------------------------------------------------------------

# `sent` are frames (or raw bytes), `back` the frames that must come for them, without the
# Close. `end` is None where the connection must still be open: the test then closes it.
# Else ('close', code) answers the peer's Close, ('fail', code) fails the connection.
# `fast`: what fails must do so at the last byte of `sent` and not before.
Case = namedtuple('Case', 'family name sent back end fast', defaults=(None, False))

cases = []


def case(family, name, sent, back=(), end=None, fast=False):
    cases.append(Case(family, name, list(sent), list(back), end, fast))


def echoes(*payloads):
    return [(TEXT, p.encode()) if isinstance(p, str) else (BINARY, p) for p in payloads]


def fails(code):
    return ('fail', code)


def pattern(n):
    return bytes(i * 7 + (i >> 8) & 0xff for i in range(n))


def framing():
    f = 'framing'
    case(f, 'text Hello', [text('Hello')], echoes('Hello'))
    case(f, 'binary', [binary(b'\0\xff\x80\r\n')], echoes(b'\0\xff\x80\r\n'))
    case(f, 'empty text', [text('')], echoes(''))
    case(f, 'empty binary', [binary(b'')], echoes(b''))
    case(f, 'NUL in text', [text('a\0b\0')], echoes('a\0b\0'))
    case(f, 'line ends and escapes in text', [text('a\r\n\x1b[31m')],
         echoes('a\r\n\x1b[31m'))
    case(f, 'nothing but the closing handshake', [])
    case(f, 'text and binary in turn', [text('a'), binary(b'b'), text('c'), binary(b'd')],
         echoes('a', b'b', 'c', b'd'))
    case(f, '1,000 messages in a row', [text('message %d' % i) for i in range(1000)],
         echoes(*('message %d' % i for i in range(1000))))
    case(f, '1,000 empty messages in a row', [text('')] * 1000, echoes(*[''] * 1000))
    for mask in ('00000000', 'ffffffff', '37fa213d', '00000001', '01000000', '00ff0000',
                 '80808080'):
        case(f, 'the mask %s' % mask,
             [text('Hello, 세계! 0123456789abcdef', mask=bytes.fromhex(mask))],
             echoes('Hello, 세계! 0123456789abcdef'))
    for frame in (text('Hello'), text(''), binary(b'abc'), ping(b'abc'), Frame(PONG, b'x'),
                  close(1000), close(), text('part', fin=0)):
        case(f, 'wrongly masked %s%s' % ('empty ' * (not frame.payload),
                                         NAMES[frame.opcode]),
             [frame._replace(wrong=True)], end=fails(1002))
    case(f, 'wrongly masked continuation',
         [text('a', fin=0), last(b'b')._replace(wrong=True)], end=fails(1002))
    case(f, 'wrongly masked after a good one',
         [text('good'), text('bad', wrong=True)], echoes('good'), fails(1002))


def lengths():
    f = 'lengths'
    for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 124, 125, 126,
              127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097, 8191, 8192,
              8193, 16383, 16384, 16385, 65534, 65535, 65536, 65537, 131072, 1 << 20):
        case(f, 'binary of %d bytes' % n, [binary(pattern(n))], echoes(pattern(n)))
        case(f, 'text of %d bytes' % n, [text('*' * n)], echoes('*' * n))
    big = os.urandom(LIMIT)
    case(f, 'binary of 16 MiB', [binary(big)], echoes(big))
    words = '유니코드' * (LIMIT // 12) + '....'
    case(f, 'text of 16 MiB', [text(words)], echoes(words))
    case(f, '16 MiB in fragments of 1 MiB',
         [binary(big[:1 << 20], fin=0)] +
         [more(big[i << 20:i + 1 << 20], fin=int(i == 15)) for i in range(1, 16)],
         echoes(big))
    part = pattern(4 << 20)
    case(f, '4 MiB in fragments of 64 bytes',
         [binary(part[:64], fin=0)] +
         [more(part[i:i + 64]) for i in range(64, len(part) - 64, 64)] +
         [last(part[-64:])], echoes(part))
    for opcode in (TEXT, BINARY):
        for n in (LIMIT + 1, LIMIT * 2, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 5,
                  1 << 62, (1 << 63) - 1):
            case(f, '%s of %d bytes, refused by the header' % (NAMES[opcode], n),
                 [text('before'), Frame(opcode, length=n)], echoes('before'), fails(1009))
    case(f, 'a fragment that takes the message over 16 MiB, refused by its header',
         [binary(b'12345', fin=0), Frame(CONTINUATION, length=LIMIT - 4)], end=fails(1009))
    case(f, 'a fragment of 2^62 bytes after others',
         [binary(b'12345', fin=0), Frame(CONTINUATION, length=1 << 62)], end=fails(1009))
    case(f, 'a fragment of 2^63 - 1 bytes after others',
         [binary(b'12345', fin=0), Frame(CONTINUATION, length=(1 << 63) - 1)],
         end=fails(1009))
    case(f, '16 MiB and one byte more',
         [binary(big, fin=0), Frame(CONTINUATION, length=1)], end=fails(1009))
    case(f, '16 MiB and an empty last fragment', [binary(big, fin=0), last(b'')],
         echoes(big))
    for n in (1 << 63, (1 << 63) + 5, (1 << 64) - 1):
        case(f, 'a length of %d: the highest bit is 0' % n, [Frame(BINARY, length=n)],
             end=fails(1002))
    for form, sizes in ((16, (0, 1, 5, 125)), (64, (0, 5, 125, 126, 127, 65535))):
        for n in sizes:
            case(f, '%d bytes in a length of %d bits' % (n, form),
                 [text('ok'), binary(pattern(n), form=form)], echoes('ok'), fails(1002))
    case(f, 'a continuation with a length not minimal',
         [text('a', fin=0), Frame(CONTINUATION, b'b', form=16)], end=fails(1002))


def opcodes():
    f = 'opcodes'
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        case(f, 'opcode %d' % opcode, [Frame(opcode, b'data')], end=fails(1002))
        case(f, 'opcode %d, empty, after a message' % opcode,
             [text('before'), Frame(opcode)], echoes('before'), fails(1002))
        case(f, 'opcode %d, more after it' % opcode,
             [Frame(opcode, b'data'), ping(b'x'), text('after')], end=fails(1002))
        case(f, 'opcode %d inside a message' % opcode,
             [text('be', fin=0), Frame(opcode, b'data'), last(b'fore')], end=fails(1002))
        case(f, 'opcode %d in fragments' % opcode, [Frame(opcode, b'data', fin=0)],
             end=fails(1002))


def reserved():
    f = 'reserved bits'
    for rsv in range(1, 8):
        for frame in (text('bits'), binary(b'bits'), ping(b'bits'), Frame(PONG, b'bits'),
                      close(1000), close(), text('')):
            case(f, 'bits %d on %s%s' % (rsv, 'empty ' * (not frame.payload),
                                         NAMES[frame.opcode]),
                 [frame._replace(rsv=rsv)], end=fails(1002))
        case(f, 'bits %d on a continuation' % rsv,
             [text('a', fin=0), last(b'b')._replace(rsv=rsv)], end=fails(1002))
        case(f, 'bits %d after a good message, a Ping behind' % rsv,
             [text('good'), text('bits', rsv=rsv), ping()], echoes('good'), fails(1002))


def fragmentation():
    f = 'fragmentation'
    for n in (2, 3, 5, 11):
        word = 'Hello world'
        size = -(-len(word) // n)
        parts = [word[i:i + size].encode() for i in range(0, len(word), size)]
        case(f, 'text in %d fragments' % len(parts),
             [text(parts[0], fin=0)] + [more(p) for p in parts[1:-1]] + [last(parts[-1])],
             echoes(word))
    case(f, 'binary in fragments', [binary(b'\0\xff', fin=0), more(b'\x80'), last(b'\n')],
         echoes(b'\0\xff\x80\n'))
    case(f, '1,000 fragments of one byte',
         [text('x', fin=0)] + [more(b'x')] * 998 + [last(b'x')], echoes('x' * 1000))
    case(f, 'empty fragments only', [text('', fin=0), more(b''), last(b'')], echoes(''))
    case(f, 'empty fragments only, binary', [binary(b'', fin=0), last(b'')], echoes(b''))
    case(f, '1,000 empty fragments', [text('', fin=0)] + [more(b'')] * 1000 + [last(b'x')],
         echoes('x'))
    case(f, 'an empty first fragment', [text('', fin=0), last(b'ab')], echoes('ab'))
    case(f, 'an empty fragment in the middle', [text('a', fin=0), more(b''), last(b'b')],
         echoes('ab'))
    case(f, 'an empty last fragment', [text('ab', fin=0), last(b'')], echoes('ab'))
    case(f, 'fragments of uneven sizes',
         [binary(pattern(1), fin=0), more(pattern(126)), more(pattern(3)),
          more(pattern(65536)), last(pattern(7))],
         echoes(pattern(1) + pattern(126) + pattern(3) + pattern(65536) + pattern(7)))
    case(f, 'two messages in fragments, one after another',
         [text('a', fin=0), last(b'b'), binary(b'c', fin=0), last(b'd'), text('e')],
         echoes('ab', b'cd', 'e'))
    case(f, 'a Ping between fragments', [text('a', fin=0), ping(b'p'), last(b'b')],
         [(PONG, b'p'), (TEXT, b'ab')])
    case(f, 'Pings between many fragments',
         [text('a', fin=0), ping(b'1'), more(b'b'), ping(b'2'), more(b'c'), ping(b'3'),
          last(b'd')],
         [(PONG, b'1'), (PONG, b'2'), (PONG, b'3'), (TEXT, b'abcd')])
    case(f, 'a Pong between fragments', [text('a', fin=0), Frame(PONG, b'p'), last(b'b')],
         echoes('ab'))
    case(f, 'a Ping of 125 bytes between fragments of 200',
         [binary(pattern(200), fin=0), ping(pattern(125)), last(pattern(200))],
         [(PONG, pattern(125)), (BINARY, pattern(200) * 2)])
    case(f, 'Close between fragments', [text('a', fin=0), close(1000), last(b'b')],
         end=('close', 1000))
    case(f, 'a Ping with a bad reserved bit between fragments',
         [text('a', fin=0), ping(rsv=4), last(b'b')], end=fails(1002))
    for fin in (0, 1):
        case(f, 'a lone continuation, FIN %d' % fin, [more(b'x', fin), text('y')],
             end=fails(1002))
        case(f, 'a lone empty continuation, FIN %d' % fin, [more(b'', fin)],
             end=fails(1002))
        case(f, 'a continuation after a whole message, FIN %d' % fin,
             [text('whole'), more(b'x', fin)], echoes('whole'), fails(1002))
        case(f, 'a continuation after a message in fragments, FIN %d' % fin,
             [text('a', fin=0), last(b'b'), more(b'x', fin)], echoes('ab'), fails(1002))
        for first in (text, binary):
            for second in (text, binary):
                case(f, '%s inside a message of %s, FIN %d' %
                     (second.__name__, first.__name__, fin),
                     [first(b'a', fin=0), second(b'b', fin=fin), last(b'c')],
                     end=fails(1002))
    case(f, 'a new message after a Ping inside a message',
         [text('a', fin=0), ping(b'p'), text('b')], [(PONG, b'p')], fails(1002))


def control():
    f = 'control frames'
    for payload, name in ((b'', 'empty'), (b'Hello', 'with text'), (b'\0\xff\xfe', 'bytes'),
                          (pattern(124), 'of 124 bytes'), (pattern(125), 'of 125 bytes')):
        case(f, 'a Ping, %s' % name, [ping(payload)], [(PONG, payload)])
        case(f, 'an unsolicited Pong, %s' % name, [Frame(PONG, payload)])
        case(f, 'a Pong, %s, then a Ping' % name, [Frame(PONG, payload), ping(b'after')],
             [(PONG, b'after')])
    case(f, 'ten Pings', [ping(b'%d' % i) for i in range(10)],
         [(PONG, b'%d' % i) for i in range(10)])
    case(f, '1,000 Pings', [ping(pattern(125))] * 1000, [(PONG, pattern(125))] * 1000)
    case(f, 'Pings and messages in turn', [ping(b'1'), text('a'), ping(b'2'), text('b')],
         [(PONG, b'1'), (TEXT, b'a'), (PONG, b'2'), (TEXT, b'b')])
    for opcode in (CLOSE, PING, PONG):
        name = NAMES[opcode]
        body = struct.pack('>H', 1000) if opcode == CLOSE else b''
        for n in (126, 127, 1000, 65536):
            case(f, 'a %s of %d bytes' % (name, n),
                 [text('ok'), Frame(opcode, body + b'x' * (n - len(body)))], echoes('ok'),
                 fails(1002))
        case(f, 'a %s of 2^62 bytes' % name, [Frame(opcode, length=1 << 62)],
             end=fails(1002))
        for form in (16, 64):
            case(f, 'a %s with a length of %d bits' % (name, form),
                 [Frame(opcode, body + b'abc', form=form)], end=fails(1002))
        case(f, 'a %s in fragments' % name,
             [Frame(opcode, body, fin=0), last(b'x')], end=fails(1002))
        case(f, 'a %s in fragments inside a message' % name,
             [text('a', fin=0), Frame(opcode, body, fin=0), last(b'x')], end=fails(1002))
    case(f, 'a Ping behind Close', [text('a'), close(1000), ping(b'x')], echoes('a'),
         ('close', 1000))
    case(f, 'a message behind Close', [close(1000), text('late')], end=('close', 1000))
    case(f, 'a second Close behind Close', [close(1001), close(1000)], end=('close', 1001))
    case(f, 'bytes that are no frame behind Close', [close(1000), b'\xff' * 30],
         end=('close', 1000))


VALID = [
    'κόσμε', '한글, 日本語, العربية', 'Hello-µ@ßöäüàá-UTF-8!!', '\u0000', '\u007f',
    '\u0080', '\u07ff', '\u0800', '\u0fff', '\u1000', '\ucfff', '\ud000', '\ud7ff',
    '\ue000', '\ufdd0', '\ufffd', '\ufffe', '\uffff', '\ufeff with a mark',
    '\U00010000', '\U0003ffff', '\U00040000', '\U000fffff', '\U00100000', '\U0010ffff',
    '\U0001fffe\U0010fffe', '👩\u200d👩\u200d👧', 'e\u0301', '\u202eright to left',
]

# What is wrong is the last byte.
INVALID = [bytes.fromhex(h) for h in (
    '80 bf c0 c1 f5 f6 f7 f8 fb fc fd fe ff c200 c241 c27f c2c0 c2c2 c2e0 c2ff df7f dfc0 '
    'e080 e09f e0c0 e000 e0a000 e0a07f e0a0c0 e180c0 e18041 e1c0 e17f ec80ff ed a0 eda0 edaf '
    'edb0 edbf edc0 ed7f ed9fc0 ee7f ee80c0 ef7f efbfc0 efbfff f080 f08f f0c0 f07f f0907f '
    'f090c0 f0908041 f09080c0 f17f f1c0 f18041 f1807f f180807f f18080ff f37f f480807f f490 '
    'f4bf f4c0 f47f f48f7f f48fc0 f48fbfc0').split() if h not in ('ed', 'a0')]

# The beginning of a character and no more.
CUT = [bytes.fromhex(h) for h in
       'c2 df e0 e1 ed ef e0a0 e180 ed9f efbf f0 f1 f4 f090 f48f f09080 f48fbf'.split()]


def utf8():
    f = 'UTF-8'
    for word in VALID:
        data = word.encode()
        name = data.hex(' ') if len(data) < 5 else word.replace('\ufeff', 'BOM')
        case(f, 'valid: %s' % name, [text(data)], echoes(word))
        if len(data) > 1:
            case(f, 'valid in fragments of a byte: %s' % name,
                 [text(data[:1], fin=0)] + [more(data[i:i + 1])
                                            for i in range(1, len(data) - 1)] +
                 [last(data[-1:])], echoes(word))
            case(f, 'valid, behind and before ASCII: %s' % name,
                 [text(b'0123456789ab' + data + b'0123456789ab')],
                 echoes('0123456789ab' + word + '0123456789ab'))
    every = ''.join(map(chr, [*range(0xd800), *range(0xe000, 0x110000)]))
    case(f, 'valid: every code point', [text(every)], echoes(every))
    case(f, 'a Ping in the middle of a character',
         [text(b'\xf0\x9f', fin=0), ping(b'\xff'), last(b'\x98\x80')],
         [(PONG, b'\xff'), (TEXT, '😀'.encode())])
    case(f, 'an empty fragment in the middle of a character',
         [text(b'\xf0\x9f', fin=0), more(b''), last(b'\x98\x80')], echoes('😀'))
    case(f, 'binary is not checked', [binary(b'\xff\xfe\xed\xa0\x80')],
         echoes(b'\xff\xfe\xed\xa0\x80'))
    case(f, 'binary in fragments is not checked', [binary(b'\xff', fin=0), last(b'\xc0')],
         echoes(b'\xff\xc0'))
    for bad in INVALID:
        name = bad.hex(' ')
        case(f, 'invalid: %s' % name, [text('ok'), text(b'abc' + bad + b'more')],
             echoes('ok'), fails(1007))
        case(f, 'invalid, at once: %s' % name,
             [text(b'0123456789' + bad, length=10 + len(bad) + 1000)], end=fails(1007),
             fast=True)
        case(f, 'invalid, at once, in the next fragment: %s' % name,
             [text('κόσμε'.encode() + bad[:-1], fin=0),
              Frame(CONTINUATION, bad[-1:], fin=0, length=200)], end=fails(1007), fast=True)
    for bad in CUT:
        name = bad.hex(' ')
        case(f, 'cut off: %s' % name, [text(b'abc' + bad)], end=fails(1007), fast=True)
        case(f, 'cut off at the end of the last fragment: %s' % name,
             [text('abc', fin=0), more('é'.encode()), last(bad)], end=fails(1007),
             fast=True)
        case(f, 'cut off, then an empty last fragment: %s' % name,
             [text(bad, fin=0), last(b'')], end=fails(1007), fast=True)
        case(f, 'cut off, then the next message begins: %s' % name,
             [text(bad), text(b'\x80')], end=fails(1007))
    case(f, 'overlong slash', [text(b'..\xc0\xaf..')], end=fails(1007))
    case(f, 'a surrogate pair', [text(b'\xed\xa0\xbd\xed\xb8\x80')], end=fails(1007))
    case(f, 'invalid far into a long message, at once',
         [text(b'*' * 70000 + b'\xff', length=LIMIT)], end=fails(1007), fast=True)


def close_codes():
    f = 'close codes'
    case(f, 'no code', [close()], end=('close', None))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
                 3000, 3999, 4000, 4999):
        case(f, '%d' % code, [close(code)], end=('close', code))
        case(f, '%d with a reason' % code, [text('x'), close(code, b'going')], echoes('x'),
             ('close', code))
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1099, 1100, 1999, 2000,
                 2999, 5000, 5001, 10000, 65535):
        case(f, '%d is not allowed' % code, [close(code)], end=fails(1002))
        case(f, '%d with a reason is not allowed' % code, [close(code, b'why')],
             end=fails(1002))
    case(f, 'a payload of one byte', [Frame(CLOSE, b'\x03')], end=fails(1002))
    case(f, 'a payload of one byte, behind a Ping that has the other',
         [ping(b'\x03\xe8'), Frame(CLOSE, b'\x03')], [(PONG, b'\x03\xe8')], fails(1002))
    case(f, 'a reason of 123 bytes', [close(1000, b'*' * 123)], end=('close', 1000))
    case(f, 'a reason of 124 bytes', [close(1000, b'*' * 124)], end=fails(1002))
    case(f, 'a reason in Korean', [close(1000, '안녕히'.encode())], end=('close', 1000))
    for bad in (b'\xff', b'bye\x80', b'\xed\xa0\x80', b'\xc0\xaf', b'cut \xe1\x80',
                '안녕'.encode()[:-1], b'\xf4\x90\x80\x80'):
        case(f, 'a reason that is not UTF-8: %s' % bad.hex(' '), [close(1000, bad)],
             end=fails(1007))
    case(f, 'messages, a Ping, then Close in one go',
         [text('a'), ping(b'p'), binary(b'b'), close(4321, b'x')],
         [(TEXT, b'a'), (PONG, b'p'), (BINARY, b'b')], ('close', 4321))


FAMILIES = [framing, lengths, opcodes, reserved, fragmentation, control, utf8, close_codes]


# --- Sending and taking -------------------------------------------------------------

def exchange(sock, chunks, received=b'', until=None, lead=False):
    """Sends the chunks and takes what comes, at once, until the peer closes, or until
    `until` is there and all is sent. With `lead`, closes first, as a server does: once
    all is sent and a masked Close has come. Returns what came."""
    got = [received]
    chunks = [memoryview(c) for c in reversed(chunks) if c]
    deadline = time.monotonic() + DEADLINE
    sock.setblocking(False)
    closing = False
    while True:
        if lead and closing and not chunks:
            sock.shutdown(socket.SHUT_WR)
            lead = False
        if until and not chunks:
            got = [b''.join(got)]
            if until in got[0]:
                return got[0]
        poll = select.poll()
        poll.register(sock, select.POLLIN | (select.POLLOUT if chunks else 0))
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise Wrong('nothing more in %d s; so far: %s' % (DEADLINE, short(got)))
        if chunks:
            try:
                n = sock.send(chunks[-1])
                chunks[-1] = chunks[-1][n:]
                if not chunks[-1]:
                    chunks.pop()
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                chunks = []
        try:
            data = sock.recv(1 << 20)
            if not data:
                return b''.join(got)
            got.append(data)
            tail = got[-1] if len(got[-1]) >= 8 else b''.join(got[-8:])
            closing = tail[-8:-6] == b'\x88\x82' or tail[-6:-4] == b'\x88\x80'
        except BlockingIOError:
            pass
        except ConnectionResetError:
            raise Wrong('reset by the peer; so far: %s' % short(got)) from None


def short(got):
    data = b''.join(got)
    return repr(data[:200]) + ('... (%d bytes)' % len(data) if len(data) > 200 else '')


def deliveries(case, stream):
    """[(how, chunks)]: the ways in which a stream is sent; 'joined' goes with the
    handshake in one segment."""
    ways = [('joined', [stream]), ('whole', [stream])]
    if len(stream) > 1 << 20:
        return ways[:1]
    if len(stream) <= 4096:
        ways.append(('byte by byte', [stream[i:i + 1] for i in range(len(stream))]))
    else:
        ways.append(('997 bytes at a time',
                     [stream[i:i + 997] for i in range(0, len(stream), 997)]))
    if len(stream) > 2:
        cuts = random.Random(case.name)
        at = sorted({cuts.randrange(1, min(len(stream), 40)), cuts.randrange(1, len(stream)),
                     cuts.randrange(1, len(stream))})
        ways.append(('cut at %s' % at,
                     [stream[a:b] for a, b in zip([0] + at, at + [len(stream)])]))
    return ways


def shown(frames):
    def one(opcode, payload):
        if opcode == CLOSE:
            code = struct.unpack('>H', payload[:2])[0] if len(payload) >= 2 else ''
            return 'close %s %r' % (code, payload[2:])
        return '%s %r%s' % (NAMES[opcode], payload[:40],
                            '... (%d bytes)' % len(payload) if len(payload) > 40 else '')
    text = ', '.join(one(*f) for f in frames[:12])
    return '[%s%s]' % (text, ', ... (%d frames)' % len(frames) if len(frames) > 12 else '')


def check_frames(case, frames):
    """What came back is what the case wants, and Close behind it, and nothing else."""
    kind, code = case.end or ('close', 1000)
    good = len(frames) == len(case.back) + 1 and frames[:-1] == case.back
    if good:
        opcode, payload = frames[-1]
        good = opcode == CLOSE and payload[:2] == (b'' if code is None
                                                   else struct.pack('>H', code))
        try:
            payload[2:].decode()
        except UnicodeDecodeError:
            good = False
        if kind == 'close' and payload[2:]:
            good = False
    if not good:
        want = case.back + [(CLOSE, b'' if code is None else struct.pack('>H', code))]
        raise Wrong('expected: %s got: %s' % (shown(want), shown(frames)))


def stream_of(case, masked):
    sent = case.sent if case.end else case.sent + [close(1000)]
    return b''.join(encode(f, masked) for f in sent)


def listen():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(('127.0.0.1', 0))
    sock.listen(8)
    sock.settimeout(DEADLINE)
    return sock


# --- Against wsServer ---------------------------------------------------------------

class Server:
    """The program, started; at `address` it can be connected to."""

    def __init__(self, command, *words):
        self.stdout, self.stderr = tempfile.NamedTemporaryFile(), tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen([*command, *words, '127.0.0.1:0'],
                                        stdin=subprocess.DEVNULL, stdout=self.stdout,
                                        stderr=self.stderr)
        pattern = r'wsServer: listening on (127\.0\.0\.1:\d+)\n'
        self.address = self.wait(lambda: re.match(pattern, self.log())).group(1)
        self.first_line = 'wsServer: listening on %s\n' % self.address

    def wait(self, condition):
        """What the condition gives, once that is something."""
        deadline = time.monotonic() + DEADLINE
        while not condition():
            if time.monotonic() > deadline:
                raise Wrong('it did not come: stdout %.300r, stderr %.300r' %
                            (self.printed(), self.log()))
            time.sleep(0.01)
        return condition()

    def printed(self):
        with open(self.stdout.name, 'rb') as f:
            return f.read().decode()

    def log(self):
        with open(self.stderr.name, 'rb') as f:
            return f.read().decode()

    def stop(self):
        """Ends it by SIGTERM, which it takes with 0 whatever it has been through."""
        self.process.terminate()
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = 'none'
        if status != 0:
            raise Wrong('SIGTERM at the end: exit status %s, stderr %s' %
                        (status, self.log()[-3000:]))

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        try:
            if failed:
                self.process.kill()
                self.process.wait()
            else:
                self.stop()
        finally:
            self.stdout.close()
            self.stderr.close()


def request(host, path='/ws', more=b'', **change):
    """An opening request; a header set to None is left out."""
    headers = {'Host': host, 'Upgrade': 'websocket', 'Connection': 'Upgrade',
               'Sec-WebSocket-Key': KEY.decode(), 'Sec-WebSocket-Version': '13'}
    headers.update({k.replace('_', '-'): v for k, v in change.items()})
    lines = ['GET %s HTTP/1.1' % path]
    lines += ['%s: %s' % (k, v) for k, v in headers.items() if v is not None]
    return '\r\n'.join(lines).encode() + b'\r\n' + more + b'\r\n'


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def split_head(data):
    head, found, rest = data.partition(b'\r\n\r\n')
    if not found:
        raise Wrong('no whole head: %s' % short([data]))
    lines = head.split(b'\r\n')
    headers = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b':')
        if not colon or name != name.strip() or not name:
            raise Wrong('a header line %r' % line)
        headers.setdefault(name.decode('latin-1').lower(), []).append(
            value.strip().decode('latin-1'))
    return lines[0].decode('latin-1'), headers, rest


def check_101(data):
    status, headers, rest = split_head(data)
    if not status.startswith('HTTP/1.1 101 '):
        raise Wrong('refused: %s %r' % (status, rest[:200]))
    want = {'upgrade': 'websocket', 'connection': 'upgrade',
            'sec-websocket-accept': accept_of(KEY).decode()}
    for name, value in want.items():
        got = headers.get(name, [])
        if len(got) != 1 or (got[0] if name.endswith('accept') else got[0].lower()) != value:
            raise Wrong('%s: %r, not %r' % (name, got, value))
    for name in ('sec-websocket-extensions', 'sec-websocket-protocol', 'content-length',
                 'transfer-encoding'):
        if name in headers:
            raise Wrong('the answer has %s: %s' % (name, headers[name]))
    return rest


def connect(address):
    host, port = address.rsplit(':', 1)
    sock = socket.create_connection((host.strip('[]'), int(port)), DEADLINE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def drop(sock):
    """Has close() reset the connection, which is over: ten thousand of them would stay in
    TIME_WAIT, and slow down whoever reads the list of connections."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))


def open_websocket(address):
    """A connection after its opening handshake."""
    sock = connect(address)
    data = exchange(sock, [request(address)], until=b'\r\n\r\n')
    if check_101(data):
        raise Wrong('frames before anything was sent')
    return sock


def against_server(address, case):
    for how, chunks in deliveries(case, stream_of(case, True)):
        try:
            with connect(address) as sock:
                if how == 'joined':
                    data = exchange(sock, [request(address) + chunks[0]])
                else:
                    head = exchange(sock, [request(address)], until=b'\r\n\r\n')
                    data = exchange(sock, chunks, head)
                drop(sock)
                check_frames(case, decode(check_101(data), False, []))
        except (Wrong, OSError) as why:
            raise Wrong('%s: %s' % (how, why)) from None


# A refusal: (status, {header: value}), or None where the request is good.
def server_handshakes(address):
    good = request(address)
    table = []

    def is_good(name, data, way='whole'):
        table.append((name, data, 101, {}, way))

    def refused(name, data, status, **headers):
        table.append((name, data, status, headers, 'whole'))

    def with_(path='/ws', more=b'', **change):
        return request(address, path, more, **change)

    is_good('the request of section 1.2', good)
    is_good('byte by byte', good, 'bytes')
    is_good('cut at every place', good, 'splits')
    is_good('header names in small letters',
            b'\r\n'.join(n.lower() + c + v for n, c, v in
                         (line.partition(b':') for line in good.split(b'\r\n')))
            .replace(b'get /ws http', b'GET /ws HTTP'))
    is_good('header names in capitals',
            b'\r\n'.join(n.upper() + c + v for n, c, v in
                         (line.partition(b':') for line in good.split(b'\r\n')))
            .replace(b'GET /WS', b'GET /ws'))
    is_good('Upgrade: WebSocket', with_(Upgrade='WebSocket'))
    is_good('Upgrade in a list', with_(Upgrade='foo, websocket'))
    is_good('Connection: keep-alive, Upgrade', with_(Connection='keep-alive, Upgrade'))
    is_good('Connection: UPGRADE,keep-alive', with_(Connection='UPGRADE,keep-alive'))
    is_good('Connection with blanks and an empty member',
            with_(Connection='  keep-alive\t, ,upgrade \t'))
    is_good('Connection in two lines',
            with_(Connection='keep-alive', more=b'Connection: Upgrade\r\n'))
    is_good('Connection in two lines, the other way',
            with_(more=b'Connection: keep-alive\r\n'))
    is_good('no blank behind the colons', good.replace(b': ', b':'))
    is_good('blanks and tabs around the values',
            good.replace(b': ', b': \t ').replace(b'\r\n', b' \t\r\n')
            .replace(b' HTTP/1.1 \t', b' HTTP/1.1').replace(b'\r\n \t\r\n', b'\r\n\r\n'))
    is_good('an empty header', with_(X_Empty=''))
    is_good('headers that mean nothing here',
            with_(User_Agent='test', Accept='*/*', Cookie='a=b; c="d:e"', Pragma='no-cache'))
    is_good('an extension offered, none taken',
            with_(Sec_WebSocket_Extensions='permessage-deflate; client_max_window_bits'))
    is_good('a subprotocol offered, none taken', with_(Sec_WebSocket_Protocol='chat, v2'))
    is_good('/ws?x=1', with_('/ws?x=1'))
    is_good('the absolute form', with_('http://%s/ws' % address))
    is_good('the absolute form with a query', with_('http://%s/ws?x' % address))
    is_good('any Host', with_(Host='example.com'))
    is_good('HTTP/1.2', good.replace(b'HTTP/1.1', b'HTTP/1.2'))
    is_good('lines that end in LF alone', good.replace(b'\r\n', b'\n'))
    is_good('an empty line before', b'\r\n' + good)
    is_good('Content-Length: 0', with_(Content_Length='0'))
    for origin, host in (('http://' + address, None), ('http://example.com', 'example.com'),
                         ('http://Example.COM', 'example.com'),
                         ('http://example.com:80', 'example.com'),
                         ('http://example.com', 'example.com:80'),
                         ('http://[::1]:99', '[::1]:99'),
                         ('https://example.com:8443', 'example.com:8443')):
        is_good('Origin: %s at Host: %s' % (origin.replace(address, 'ADDRESS'),
                                            host or 'ADDRESS'),
                with_(Host=host or address, Origin=origin))
    for origin, host in (('http://evil.example', None), ('null', None), ('', None),
                         ('http://127.0.0.1:1', None), ('http://127.0.0.1', None),
                         ('http://%s.evil.example' % address, None),
                         ('http://evil%s' % address, None),
                         ('http://evil.example/http://' + address, None),
                         ('http://user@evil.example', None),
                         (address, None),
                         ('http://example.com:81', 'example.com'),
                         ('http://example.co', 'example.com'),
                         ('http://example.com', 'example.co'),
                         ('http://example.com', 'example.com:8080')):
        refused('Origin: %s at Host: %s' % (origin.replace(address, 'ADDRESS'),
                                            host or 'ADDRESS'),
                with_(Host=host or address, Origin=origin), 403)
    pad = 8192 - len(good) - len(b'X: \r\n')
    is_good('8,192 bytes', with_(more=b'X: ' + b'x' * pad + b'\r\n'))
    is_good('8,192 bytes in a thousand headers',
            with_(more=b'A: b\r\n' * ((8192 - len(good)) // 6)))
    refused('8,193 bytes', with_(more=b'X: ' + b'x' * (pad + 1) + b'\r\n'), 431)
    refused('100,000 bytes of headers', with_(more=b'X: y\r\n' * 16000), 431)
    refused('100,000 bytes and no line', b'x' * 100000, 431)
    refused('8,193 bytes of a target', b'GET /' + b'a' * 9000, 431)
    for path in ('/nope', '/ws/', '/wsx', '/w', '/WS', '/ws%20', '//ws', '/index.html',
                 '/nope?/ws', '*', '/../ws'):
        if path != '*':
            refused('GET %s' % path, with_(path), 404)
    refused('POST /nope', good.replace(b'GET /ws', b'POST /nope'), 404)
    for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'get', 'GETX'):
        for path in ('/', '/ws'):
            refused('%s %s' % (method, path),
                    with_(path).replace(b'GET', method.encode(), 1), 405, allow='GET')
    refused('no Upgrade', with_(Upgrade=None), 426, upgrade='websocket',
            sec_websocket_version='13')
    refused('Upgrade: h2c', with_(Upgrade='h2c'), 426, upgrade='websocket',
            sec_websocket_version='13')
    refused('Upgrade: websockets', with_(Upgrade='websockets'), 426)
    refused('a plain GET /ws', b'GET /ws HTTP/1.1\r\nHost: x\r\n\r\n', 426,
            upgrade='websocket', sec_websocket_version='13')
    refused('no Connection', with_(Connection=None), 400)
    refused('Connection: keep-alive', with_(Connection='keep-alive'), 400)
    refused('Connection: upgraded', with_(Connection='upgraded'), 400)
    for version in (None, '8', '12', '14', '0', '', '130', '1', '13x', '-13'):
        refused('version %s' % version, with_(Sec_WebSocket_Version=version), 426,
                sec_websocket_version='13', upgrade='websocket')
    for name, key in (('none', None), ('empty', ''), ('15 bytes', 'AAAAAAAAAAAAAAAAAAAA'),
                      ('17 bytes', 'AAAAAAAAAAAAAAAAAAAAAAA='),
                      ('18 bytes', 'AAAAAAAAAAAAAAAAAAAAAAAA'),
                      ('no padding', 'AAAAAAAAAAAAAAAAAAAAAA'),
                      ('one =', 'AAAAAAAAAAAAAAAAAAAAAA='),
                      ('padding first', '==AAAAAAAAAAAAAAAAAAAAAA'),
                      ('not base64', 'AAAAAAAAAAA*AAAAAAAAAA=='),
                      ('base64url', 'AAAAAAAAAAA-AAAAAAAAAA=='),
                      ('a blank in it', 'AAAAAAAAAAA AAAAAAAAAA=='),
                      ('3 =', 'AAAAAAAAAAAAAAAAAAAAA==='),
                      ('longer', KEY.decode() + 'AAAA')):
        refused('the key: %s' % name, with_(Sec_WebSocket_Key=key), 400)
    refused('two keys', with_(more=b'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'), 400)
    refused('no Host', with_(Host=None), 400)
    refused('two Hosts', with_(more=b'Host: other\r\n'), 400)
    refused('no Host at /', b'GET / HTTP/1.1\r\n\r\n', 400)
    refused('HTTP/1.0', good.replace(b'HTTP/1.1', b'HTTP/1.0'), 400)
    for name, line in (('no version', b'GET /ws'), ('no target', b'GET HTTP/1.1'),
                       ('one word', b'GET'), ('two blanks', b'GET  /ws HTTP/1.1'),
                       ('a fourth word', b'GET /ws HTTP/1.1 x'),
                       ('a blank before', b' GET /ws HTTP/1.1'),
                       ('HTTP/1', b'GET /ws HTTP/1'), ('http/1.1', b'GET /ws http/1.1'),
                       ('HTTP/1.x', b'GET /ws HTTP/1.x'), ('HTTPS/1.1', b'GET /ws HTTPS/1.1'),
                       ('nonsense', b'hello')):
        refused('the request line: %s' % name, good.replace(b'GET /ws HTTP/1.1', line), 400)
    for name, line in (('no colon', b'nonsense'), ('no name', b': value'),
                       ('a blank before the colon', b'X-Y : z'),
                       ('a blank in the name', b'X Y: z'), ('folded', b' folded'),
                       ('folded by a tab', b'\tfolded'), ('NUL', b'X: a\0b'),
                       ('CR', b'X: a\rb')):
        refused('a header line: %s' % name, with_(more=line + b'\r\n'), 400)
    refused('two empty lines before', b'\r\n\r\n' + good, 400)
    refused('a TLS hello', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', 400)
    return table


def check_handshake(address, name, data, status, headers, way):
    ends = b'' if status != 101 else encode(text('hi'), True) + encode(close(1000), True)
    if way == 'whole':
        ways = [[data + ends]]
    elif way == 'bytes':
        ways = [[data[i:i + 1] for i in range(len(data))] + [ends]]
    else:
        ways = [[data[:i], data[i:] + ends] for i in range(1, len(data))]
    for chunks in ways:
        with connect(address) as sock:
            answer = exchange(sock, chunks)
            drop(sock)
        if status == 101:
            frames = decode(check_101(answer), False, [])
            if frames != [(TEXT, b'hi'), (CLOSE, b'\x03\xe8')]:
                raise Wrong('after the handshake: %s' % shown(frames))
            continue
        line, got, body = split_head(answer)
        if not line.startswith('HTTP/1.1 %d ' % status):
            raise Wrong('expected: %d got: %s %r' % (status, line, body[:200]))
        for field, value in headers.items():
            field = field.replace('_', '-')
            if got.get(field) != [value]:
                raise Wrong('expected: %s: %s got: %s' % (field, value, got.get(field)))
        if 'close' not in ','.join(got.get('connection', [])).lower().split(','):
            raise Wrong('expected: Connection: close got: %s' % got.get('connection'))
        if got.get('content-length') != [str(len(body))]:
            raise Wrong('Content-Length %s, body %r' % (got.get('content-length'), body))
        if body.count(b'\n') != 1 or not body.endswith(b'\n') or len(body) < 5:
            raise Wrong('expected: one line that says why, got: %r' % body)


# --- Against wsClient ---------------------------------------------------------------

class Client:
    """The program, started with its own server to talk to."""

    def __init__(self, command, words=('-e',), stdin=subprocess.DEVNULL,
                 stdout=subprocess.DEVNULL, target=('ADDRESS', '/ws')):
        self.listener = listen()
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.stderr = tempfile.TemporaryFile()
        target = [word.replace('ADDRESS', self.address) for word in target]
        self.process = subprocess.Popen([*command, *words, *target], stdin=stdin,
                                        stdout=stdout, stderr=self.stderr)

    def accept(self):
        """Takes the request. Returns the connection and the request's key."""
        sock, _ = self.listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request = exchange(sock, [], until=b'\r\n\r\n')
        _, headers, rest = split_head(self.request)
        if rest:
            raise Wrong('frames before the handshake was over: %r' % rest)
        return sock, headers['sec-websocket-key'][0].encode()

    def ends(self):
        """Waits for the end. Returns the exit status and stderr."""
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            raise Wrong('the program does not end') from None
        self.stderr.seek(0)
        return status, self.stderr.read().decode('utf-8', 'replace')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.stderr.close()


def answer_to(key, status='HTTP/1.1 101 Switching Protocols', more=b'', **change):
    headers = {'Upgrade': 'websocket', 'Connection': 'Upgrade',
               'Sec-WebSocket-Accept': accept_of(key).decode()}
    headers.update({k.replace('_', '-'): v for k, v in change.items()})
    lines = [status] + ['%s: %s' % (k, v) for k, v in headers.items() if v is not None]
    return '\r\n'.join(lines).encode() + b'\r\n' + more + b'\r\n'


def check_end(client, status, line):
    """The exit status, and stderr: `line` behind the address, ANY for what may vary."""
    got_status, got = client.ends()
    want = 'wsClient: %s: %s\n' % (client.address, line) if line else ''
    if ANY in want:
        head, tail = want.split(ANY)
        same = (got.startswith(head) and got.endswith(tail) and got.count('\n') == 1
                and len(got) > len(head) + len(tail))
    else:
        same = got == want
    if got_status != status or not same:
        raise Wrong('expected: exit %d, stderr %r got: exit %d, stderr %r' %
                    (status, want, got_status, got))


def against_client(command, case, masks):
    for how, chunks in deliveries(case, stream_of(case, False)):
        if how == 'whole':
            continue
        try:
            with Client(command) as client:
                sock, key = client.accept()
                with sock:
                    answer = answer_to(key)
                    if how == 'joined':
                        data = exchange(sock, [answer + chunks[0]], lead=True)
                    else:
                        data = exchange(sock, [answer] + chunks, lead=True)
                check_frames(case, decode(data, True, masks))
                kind, code = case.end or ('close', 1000)
                if kind == 'fail':
                    check_end(client, 1, '%d %s' % (code, ANY))
                elif code is None:
                    check_end(client, 0, 'closed by server')
                else:
                    reason = next(f.payload[2:] for f in case.sent + [close(1000)]
                                  if f.opcode == CLOSE).decode()
                    check_end(client, 0 if code in (1000, 1001) else 1,
                              ('closed by server: %d %s' % (code, reason)).rstrip())
        except (Wrong, OSError) as why:
            raise Wrong('%s: %s' % (how, why)) from None


# How the client takes an answer: None, or the line that refuses it.
def client_handshakes():
    table = []

    def is_good(name, build, way='whole'):
        table.append((name, build, None, way))

    def refused(name, build, line=ANY):
        table.append((name, build, line, 'whole'))

    def with_(*args, **change):
        return lambda key: answer_to(key, *args, **change)

    def changed(change):
        return lambda key: change(answer_to(key))

    def padded(size):
        def build(key):
            n = size - len(answer_to(key, more=b'X: \r\n'))
            return answer_to(key, more=b'X: ' + b'x' * n + b'\r\n')
        return build

    is_good('the answer of section 1.2', with_())
    is_good('byte by byte', with_(), 'bytes')
    is_good('cut at every tenth place', with_(), 'splits')
    is_good('names in small letters', changed(lambda a: b'\r\n'.join(
        n.lower() + c + v for n, c, v in (line.partition(b':') for line in a.split(b'\r\n')))
        .replace(b'http/1.1 101 switching protocols', b'HTTP/1.1 101 Switching Protocols')))
    is_good('names in capitals', changed(lambda a: b'\r\n'.join(
        n.upper() + c + v for n, c, v in (line.partition(b':') for line in a.split(b'\r\n')))))
    is_good('Upgrade: WebSocket', with_(Upgrade='WebSocket'))
    is_good('Connection: upgrade', with_(Connection='upgrade'))
    is_good('Connection: keep-alive, Upgrade', with_(Connection='keep-alive, Upgrade'))
    is_good('another reason phrase', with_('HTTP/1.1 101 Web Socket Protocol Handshake'))
    is_good('an empty reason phrase', with_('HTTP/1.1 101 '))
    is_good('more headers', with_(more=b'Server: test\r\nDate: today\r\nX:\r\n'))
    is_good('no blank behind the colons', changed(lambda a: a.replace(b': ', b':')))
    is_good('blanks behind the values',
            changed(lambda a: a.replace(b'\r\n', b' \t\r\n').replace(b'\r\n \t\r\n',
                                                                    b'\r\n\r\n')))
    is_good('lines that end in LF alone', changed(lambda a: a.replace(b'\r\n', b'\n')))
    is_good('8,192 bytes', padded(8192))
    refused('8,193 bytes', padded(8193))
    refused('100,000 bytes and no line', lambda key: b'x' * 100000)
    for line in ('HTTP/1.1 404 Not Found', 'HTTP/1.1 200 OK', 'HTTP/1.1 403 Forbidden',
                 'HTTP/1.1 301 Moved Permanently', 'HTTP/1.1 500 Internal Server Error',
                 'HTTP/1.1 401 Unauthorized', 'HTTP/1.0 400 Bad Request',
                 'HTTP/1.1 426 Upgrade Required', 'HTTP/1.1 102 Processing',
                 'HTTP/1.1 503'):
        refused(line, with_(line), line)
        refused(line + ', with a body',
                lambda key, line=line: line.encode() + b'\r\nContent-Length: 2\r\n\r\nno',
                line)
    refused('control bytes in the status line', with_('HTTP/1.1 404 \x1b[31mred'),
            'HTTP/1.1 404 \\x1b[31mred')
    refused('bytes that are not UTF-8 in the status line',
            lambda key: b'HTTP/1.1 404 \xff\xc3(\r\n\r\n', 'HTTP/1.1 404 \\xff\\xc3(')
    refused('NUL in the status line', lambda key: b'HTTP/1.1 404 a\0b\r\n\r\n')
    refused('NUL in a header', with_(more=b'X: a\0b\r\n'))
    refused('CR in a header', with_(more=b'X: a\rb\r\n'))
    for name, line in (('HTTP/1.0', 'HTTP/1.0 101 Switching Protocols'),
                       ('1010', 'HTTP/1.1 1010 x'), ('10', 'HTTP/1.1 10 x'),
                       ('two blanks', 'HTTP/1.1  101 x'), ('nonsense', 'hello'),
                       ('no HTTP', 'ICY 101 x'), ('HTTP/2.0', 'HTTP/2 101 x')):
        refused('the status line: %s' % name, with_(line))
    refused('no Accept', with_(Sec_WebSocket_Accept=None))
    refused('a wrong Accept', with_(Sec_WebSocket_Accept='s3pPLMBiTxaQ9kYGzzhZRbK+xOo='))
    refused('an empty Accept', with_(Sec_WebSocket_Accept=''))
    refused('the Accept in other letters', lambda key: answer_to(
        key, Sec_WebSocket_Accept=accept_of(key).decode().swapcase()))
    refused('more behind the Accept', lambda key: answer_to(
        key, Sec_WebSocket_Accept=accept_of(key).decode() + 'A'))
    refused('the Accept cut off', lambda key: answer_to(
        key, Sec_WebSocket_Accept=accept_of(key).decode()[:-1]))
    refused('two Accepts', with_(more=b'Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n'))
    refused('two Accepts, the right one last', lambda key: answer_to(
        key, Sec_WebSocket_Accept='AAAAAAAAAAAAAAAAAAAAAAAAAAA=',
        more=b'Sec-WebSocket-Accept: ' + accept_of(key) + b'\r\n'))
    refused('no Upgrade', with_(Upgrade=None))
    refused('Upgrade: h2c', with_(Upgrade='h2c'))
    refused('Upgrade: websockets', with_(Upgrade='websockets'))
    refused('no Connection', with_(Connection=None))
    refused('Connection: close', with_(Connection='close'))
    refused('Connection: upgraded', with_(Connection='upgraded'))
    refused('an extension', with_(Sec_WebSocket_Extensions='permessage-deflate'))
    refused('a subprotocol', with_(Sec_WebSocket_Protocol='chat'))
    refused('a header without a colon', with_(more=b'nonsense\r\n'))
    refused('a folded header', with_(more=b' folded\r\n'))
    refused('a blank before the colon', with_(more=b'X-Y : z\r\n'))
    refused('the end in the middle of a header', changed(lambda a: a[:60]), LOST)
    refused('the end before the empty line', changed(lambda a: a[:-2]), LOST)
    refused('nothing', lambda key: b'', LOST)
    return table


def check_request(client, path='/ws'):
    line, headers, _ = split_head(client.request)
    if line != 'GET %s HTTP/1.1' % path:
        raise Wrong('the request line is %r' % line)
    want = {'host': client.address, 'upgrade': 'websocket', 'connection': 'Upgrade',
            'sec-websocket-version': '13'}
    for name, value in want.items():
        if headers.get(name) != [value]:
            raise Wrong('expected: %s: %s got: %s' % (name, value, headers.get(name)))
    key = headers['sec-websocket-key']
    if len(key) != 1 or len(key[0]) != 24 or len(base64.b64decode(key[0], validate=True)) != 16:
        raise Wrong('the key is %s' % key)
    for name in ('sec-websocket-extensions', 'sec-websocket-protocol', 'origin'):
        if name in headers:
            raise Wrong('the request has %s' % name)
    return key[0]


def check_answer(command, build, line, way, keys):
    ends = encode(text('hi'), False) + encode(close(1000), False) if line is None else b''
    tries = range(10, 130, 10) if way == 'splits' else [0]
    for at in tries:
        with Client(command) as client:
            sock, key = client.accept()
            with sock:
                keys.append(check_request(client))
                answer = build(key)
                if way == 'bytes':
                    chunks = [answer[i:i + 1] for i in range(len(answer))] + [ends]
                else:
                    chunks = [answer[:at], answer[at:] + ends]
                if line is None:
                    got = exchange(sock, chunks, lead=True)
                    frames = decode(got, True, [])
                    if frames != [(TEXT, b'hi'), (CLOSE, b'\x03\xe8')]:
                        raise Wrong('after the handshake: %s' % shown(frames))
                else:
                    sock.setblocking(True)
                    sock.sendall(answer)
                    if line == LOST:
                        sock.shutdown(socket.SHUT_WR)
                    client.process.wait(DEADLINE)
                    try:
                        if got := sock.recv(1):
                            raise Wrong('sent on a refused connection: %r' % got)
                    except ConnectionResetError: # it has not read all of the answer
                        pass
            if line is None:
                check_end(client, 0, 'closed by server: 1000')
            else:
                check_end(client, 1, line)


def check_masks(command):
    """One connection, 256 messages: 256 masks, all different, of random bytes."""
    masks = []
    many = Case('', '', [text('x')] * 256, [(TEXT, b'x')] * 256)
    against_client(command, many, masks)
    masks = masks[:256]
    if len(set(masks)) < 255 or b'\0\0\0\0' in masks:
        raise Wrong('%d different masks in 256 frames' % len(set(masks)))
    for place in range(4):
        if len({m[place] for m in masks}) < 100:
            raise Wrong('byte %d of the masks is not random' % place)


def check_keys(keys):
    if len(keys) < 50 or len(set(keys)) < len(keys):
        raise Wrong('%d different keys in %d requests' % (len(set(keys)), len(keys)))


# --- The run ------------------------------------------------------------------------

def streams(role):
    """name, bytes, outcome, and whether it fails at the last byte: for ws_unit."""
    kinds = {TEXT: 't', BINARY: 'b', PONG: 'p'}
    for case in cases:
        stream = stream_of(case, role == 'server')
        if len(stream) > 5000:
            continue
        outcome = ['%s:%s' % (kinds[o], p.hex()) for o, p in case.back]
        kind, code = case.end or ('close', 1000)
        outcome.append('%s:%d' % (kind[0], code or 0))
        print('%s: %s\t%s\t%s\t%s' % (case.family, case.name, stream.hex(),
                                      ' '.join(outcome), 'fast' if case.fast else 'slow'))


def main():
    args = sys.argv[1:]
    short_report = args[0] == '-s'
    role, *command = args[short_report:]
    for family in FAMILIES:
        family()
    if role == 'streams':
        streams(*command)
        return 0
    if role == 'server':
        with Server(command, '-q') as server:
            jobs = [(one.family, one.name, against_server, server.address, one)
                    for one in cases]
            jobs += [('handshake', row[0], check_handshake, server.address, *row)
                     for row in server_handshakes(server.address)]
            jobs.append(('framing', 'after all of it SIGTERM ends it with 0', server.stop))
            return report('wsServer', jobs, short_report)
    masks, keys = [], []
    jobs = [(one.family, one.name, against_client, command, one, masks) for one in cases]
    jobs.append(('framing', 'the masks change and are random', check_masks, command))
    jobs += [('handshake', name, check_answer, command, *row, keys)
             for name, *row in client_handshakes()]
    jobs.append(('handshake', 'a new key each time', check_keys, keys))
    return report('wsClient', jobs, short_report)


def report(program, jobs, short_report):
    """Runs the jobs, four at a time, the last one after all the others, and prints how they
    went. Returns the exit status."""
    def run(job):
        try:
            if job is jobs[-1]:
                concurrent.futures.wait(results[:-1])
            job[2](*job[3:])
            return None
        except Wrong as why:
            return str(why)
        except Exception as why:
            return repr(why)

    counts, results = {}, []
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        results += [pool.submit(run, job) for job in jobs]
        for (family, name, *_), result in zip(jobs, results):
            why = result.result()
            good, total = counts.get(family, (0, 0))
            counts[family] = good + (why is None), total + 1
            if why is not None:
                failed += 1
                print('FAIL %s: %s: %s\n    %s' % (program, family, name, why))
            elif not short_report:
                print('ok %s: %s: %s' % (program, family, name))
            sys.stdout.flush()
    if short_report:
        for family, (good, total) in counts.items():
            print('%-10s %-16s %4d of %4d' % (program, family, good, total))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
