"""raw.py - WebSockets by hand: frames as bytes, one end of a connection, the programs

A message that is whole and right is written as its text or its bytes: 'Hello', b'Hello'.
All else that is sent is a Frame. What is received is (opcode, payload).
"""
import base64
import contextlib
import functools
import hashlib
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from collections import namedtuple
from fnmatch import fnmatchcase

from checks import DEADLINE, Wrong, becomes, same

signal.signal(signal.SIGINT, signal.SIG_DFL)  # sh has what it starts with & ignore it

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = 'dGhlIHNhbXBsZSBub25jZQ=='


# --- Frames -------------------------------------------------------------------------

# `length` is what the header says, where that is not the payload's; `width` the bytes in
# which it says so, where not the fewest; `wrong` masks what should not be, or not.
Frame = namedtuple('Frame', 'opcode payload fin rsv length width wrong',
                   defaults=(b'', 1, 0, None, None, False))
text = functools.partial(Frame, TEXT)
binary = functools.partial(Frame, BINARY)
first = functools.partial(Frame, TEXT, fin=0)
last = functools.partial(Frame, CONTINUATION)
more = functools.partial(Frame, CONTINUATION, fin=0)
ping = functools.partial(Frame, PING)
pong = functools.partial(Frame, PONG)


def as_bytes(words):
    return words.encode() if isinstance(words, str) else words


def code_bytes(code):
    return b'' if code is None else struct.pack('>H', code)


def close(code=None, reason=b''):
    return Frame(CLOSE, code_bytes(code) + as_bytes(reason))


def apply_mask(mask, payload):
    n = len(payload)
    pad = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, 'big') ^ int.from_bytes(pad, 'big')).to_bytes(n, 'big')


def encode(frame, masked):
    """The frame's bytes; `masked` is what the sender's role asks for."""
    if not isinstance(frame, Frame):
        frame = Frame(*message_of(frame))
    payload = as_bytes(frame.payload)
    masked = masked != frame.wrong
    length = len(payload) if frame.length is None else frame.length
    width = frame.width or (0 if length < 126 else 2 if length < 65536 else 8)
    head = bytes([frame.fin << 7 | frame.rsv << 4 | frame.opcode,
                  masked << 7 | {0: length, 2: 126, 8: 127}[width]])
    if width:
        head += length.to_bytes(width, 'big')
    if not masked:
        return head + payload
    mask = hashlib.md5(head + payload[:64]).digest()[:4]
    return head + mask + apply_mask(mask, payload)


def message_of(message):
    """(opcode, payload) of a message that is written as its text or its bytes."""
    if isinstance(message, str):
        return TEXT, message.encode()
    return (BINARY, message) if isinstance(message, bytes) else message


def closed(code=1000):
    return CLOSE, code_bytes(code)


# --- Heads --------------------------------------------------------------------------

def head(first, headers, changes):
    """The head of a request or a response. A change `Name: value` replaces that header or
    adds it, `+Name: value` adds a line, `-Name` removes one, and `=` stands before another
    first line."""
    for change in changes:
        name = change.lstrip('+-').partition(':')[0]
        if change[0] == '=':
            first = change[1:]
            continue
        if change[0] != '+':
            headers = [line for line in headers if line.partition(':')[0] != name]
        if change[0] != '-':
            headers = [*headers, change.lstrip('+')]
    return '\r\n'.join([first, *headers, '', '']).encode('latin-1')


def request(host, *changes):
    return head('GET /ws HTTP/1.1',
                ['Host: ' + host, 'Upgrade: websocket', 'Connection: Upgrade',
                 'Sec-WebSocket-Key: ' + KEY, 'Sec-WebSocket-Version: 13'], changes)


def accept_of(key):
    joined = key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
    return base64.b64encode(hashlib.sha1(joined.encode()).digest()).decode()


def response(key, *changes):
    return head('HTTP/1.1 101 Switching Protocols',
                ['Upgrade: websocket', 'Connection: Upgrade',
                 'Sec-WebSocket-Accept: ' + accept_of(key)], changes)


# --- One end of a connection --------------------------------------------------------

def beside(function, *args):
    """Runs the function in a thread until it is done or the other end has closed."""
    def work():
        with contextlib.suppress(OSError):
            function(*args)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class WebSocket:
    """Our end: it sends what it is told to, and accepts only what is right. That of a
    client masks."""

    def __init__(self, sock, masking):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(DEADLINE)
        self.sock, self.masking = sock, masking
        self.data, self.masks, self.sender = bytearray(), [], None

    def send(self, *frames):
        self.sock.sendall(b''.join(encode(frame, self.masking) for frame in frames))

    def fill(self):
        """Sends without reading until the other end stops reading, too."""
        self.sock.settimeout(1)
        with contextlib.suppress(socket.timeout):
            while True:
                self.send(bytes(100000))

    def pour(self, data, places=()):
        """Sends the data, cut at these places, while we receive."""
        def send():
            for a, b in zip([0, *places], [*places, len(data)]):
                self.sock.sendall(data[a:b])
        self.sender = beside(send)

    def readable(self, seconds):
        return select.select([self.sock], [], [], seconds)[0]

    def receive(self, seconds=DEADLINE):
        """Receives what is there. Returns False at the end. A server must not reset: what
        it has sent could be lost by that. A client that is done may leave as it likes."""
        if not self.readable(seconds):
            raise Wrong('nothing in %g s; before: %.200r' % (seconds, bytes(self.data)))
        try:
            new = self.sock.recv(1 << 20)
        except ConnectionResetError:
            if self.masking:
                raise Wrong('reset by the server') from None
            return False
        self.data += new
        return new != b''

    def head(self):
        """Receives a head. Returns its first line and its headers."""
        while b'\r\n\r\n' not in self.data:
            if not self.receive():
                raise Wrong('no whole head: %.200r' % bytes(self.data))
        lines, _, self.data = self.data.partition(b'\r\n\r\n')
        first, *lines = lines.decode('latin-1').split('\r\n')
        headers = {}
        for line in lines:
            name, _, value = line.partition(': ')
            if not re.fullmatch(r'[\w-]+', name):
                raise Wrong('a header line %r' % line)
            before = headers.get(name.lower())
            headers[name.lower()] = before + ', ' + value if before else value
        return first, headers

    def body(self):
        """All bytes up to the end."""
        while self.receive():
            pass
        return bytes(self.data)

    def exactly(self, n, seconds):
        while len(self.data) < n:
            if not self.receive(seconds):
                raise Wrong('the last frame is cut: %.200r' % bytes(self.data))
        data = bytes(self.data[:n])
        del self.data[:n]
        return data

    def frame(self, seconds=DEADLINE):
        """Receives a frame: (opcode, payload). None at the end."""
        if not self.data and not self.receive(seconds):
            return None
        first, second = self.exactly(2, seconds)
        opcode, length = first & 0x0f, second & 0x7f
        if first & 0xf0 != 0x80 or opcode not in (TEXT, BINARY, CLOSE, PING, PONG):
            raise Wrong('a frame begins with %02x' % first)
        if second >> 7 == self.masking:
            raise Wrong('a frame that is %smasked' % ('' if self.masking else 'un'))
        if length > 125:
            width, least = (2, 126) if length == 126 else (8, 65536)
            length = int.from_bytes(self.exactly(width, seconds), 'big')
            if opcode >= CLOSE or length < least:
                raise Wrong('a length of %d in %d bytes' % (length, width))
        if self.masking:
            return opcode, self.exactly(length, seconds)
        self.masks.append(self.exactly(4, seconds))
        return opcode, apply_mask(self.masks[-1], self.exactly(length, seconds))

    def expect(self, *messages, seconds=DEADLINE):
        """Receives exactly these."""
        for message in messages:
            same(message_of(message), self.frame(seconds))

    def rest(self):
        """Receives all frames up to the end. After a Close, and once all that we pour has
        been sent, we half-close, too."""
        frames = []
        while frame := self.frame():
            frames.append(frame)
            if frame[0] == CLOSE:
                if self.sender:
                    self.sender.join(DEADLINE)
                self.shut()
        return frames

    def shut(self):
        with contextlib.suppress(OSError):  # the other end may have closed already
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        if self.sock.fileno() >= 0:
            no_time = struct.pack('ii', 1, 0)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_time)
            self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Else thousands stay in TIME_WAIT, and slow down who lists connections.
        self.reset()


def connect(address):
    """A connection to a server, before its handshake."""
    host, port = address.rsplit(':', 1)
    return WebSocket(socket.create_connection((host, int(port)), DEADLINE), True)


def check_welcome(ws):
    """The response is 101 with all that it needs and no more: no extension, no body."""
    first, headers = ws.head()
    headers['date'] = re.sub(r'\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT', 'DATE',
                             headers.get('date', ''))
    same(('HTTP/1.1 101 Switching Protocols',
          {'date': 'DATE', 'upgrade': 'websocket', 'connection': 'Upgrade',
           'sec-websocket-accept': accept_of(KEY)}), (first, headers))


def open_websocket(address):
    ws = connect(address)
    ws.sock.sendall(request(address))
    check_welcome(ws)
    return ws


# --- The programs -------------------------------------------------------------------

class Program:
    """A program under test, with its stdout and stderr in files. Its keyboard is a pipe,
    a terminal, a terminal that is stdout, too ('screen'), or nothing."""

    def __init__(self, command, keyboard=None, stdout=None):
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        stdin, self.keys = subprocess.DEVNULL, None
        if keyboard:
            self.keys, stdin = os.pipe()[::-1] if keyboard == 'pipe' else pty.openpty()
        if keyboard == 'screen':  # the shell makes it the one whose ctrl-C is a signal
            stdout = stdin
            command = ['setsid', '-c', *command]
        self.process = subprocess.Popen(command, stdin=stdin, stdout=stdout or self.out,
                                        stderr=self.err)
        if keyboard:
            os.close(stdin)

    @staticmethod
    def contents(file):
        """What is in the file, whose place to write at does not move by this."""
        data = os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)
        return data.decode(errors='surrogateescape')

    def printed(self):
        return self.contents(self.out)

    def complaints(self):
        return self.contents(self.err)

    def ends(self, status, complaint=None):
        """Its exit status, and a pattern for what is on stderr, if that matters."""
        got = self.process.wait(DEADLINE)
        said = self.complaints()
        if complaint is None or fnmatchcase(said, complaint + '\n' * bool(complaint)):
            complaint = said
        same((status, complaint), (got, said))

    def proc(self, name):
        return '/proc/%d/%s' % (self.process.pid, name)

    def hang_up(self):
        """The end of its input."""
        if self.keys is not None:
            os.close(self.keys)
            self.keys = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()


class Server(Program):
    """wsServer, listening at `address`. Whatever has been done to it, only SIGTERM ends
    it."""

    def __init__(self, command, *words):
        super().__init__([*command, *words, '127.0.0.1:0'])
        becomes(1, lambda: self.complaints().count('\n'), 'lines on stderr')
        self.first_line = self.complaints()
        self.address = self.first_line.split()[-1]
        same('wsServer: listening on %s\n' % self.address, self.first_line)

    def __exit__(self, failed, *_):
        try:
            if not failed and self.process.poll() is None:
                self.process.terminate()
                self.ends(-signal.SIGTERM)
        finally:
            super().__exit__()


class Client(Program):
    """wsClient, and the server that it talks to: ours, at `address`."""
    seen = set()  # the keys of all of them: each is a new one

    def __init__(self, command, *words, target='{address} /ws', listener=None, **more):
        self.listener = listener or socket.create_server(('127.0.0.1', 0))
        self.listener.settimeout(DEADLINE)
        port = self.listener.getsockname()[1]
        self.address = '127.0.0.1:%d' % port
        words += tuple(target.format(address=self.address, port=port).split())
        super().__init__([*command, *words], **more)

    def accept(self, path='/ws', host=None):
        """Receives its request, which must be right. Returns our end, and the key."""
        with self.listener:
            ws = WebSocket(self.listener.accept()[0], False)
        first, headers = ws.head()
        key = headers.pop('sec-websocket-key', '')
        want = {'host': host or self.address, 'upgrade': 'websocket',
                'connection': 'Upgrade', 'sec-websocket-version': '13'}
        same(('GET %s HTTP/1.1' % path, want, b''), (first, headers, bytes(ws.data)))
        same((24, 16, False),
             (len(key), len(base64.b64decode(key)), key in self.seen), 'the key')
        self.seen.add(key)
        return ws, key
