#!/usr/bin/python3
"""chart.py - draws what two programs call and what crosses between them, in 80 columns

Reads what strace -ff -ttt -T -xx says: of the program on the left in log0.*, of the one
on the right in log1.*, in the current folder. Left out are what libc opens for itself,
socket options, output to the terminal, and poll: the read after it shows what came.
"""
import glob
import re
import sys
import unicodedata

LEFT, RIGHT = 0, 1
SIDE, MIDDLE = 23, 30  # columns
LABEL = MIDDLE - 4
OPCODES = {0: 'CONTINUATION', 1: 'TEXT', 2: 'BINARY', 8: 'CLOSE', 9: 'PING', 10: 'PONG'}
CALL = re.compile(r'(\w+)\((.*)\) += (.*?)(?: <[0-9.]+>)?$')


# --- Text ---------------------------------------------------------------------------

def width(c):
    if unicodedata.category(c) in ('Cc', 'Cf', 'Me', 'Mn', 'Zl', 'Zp'):
        return 0
    return 2 if unicodedata.east_asian_width(c) in 'WF' else 1


def columns(text):
    return sum(map(width, text))


def visible(data):
    """The text of these bytes, without what cannot be shown or has no width."""
    return ''.join(c for c in data.decode(errors='ignore') if c == '\n' or width(c) > 0)


def fit(text, space):
    """As much of the text as fits, up to the end of a word if there is one."""
    n = len(text)
    while columns(text[:n]) > space:
        n -= 1
    if n < len(text) and ' ' in text[:n]:
        n = text.rindex(' ', 0, n) + 1
    return text[:n]


# --- Rows ---------------------------------------------------------------------------

def row(side, call, middle='', arrow=False):
    """What one program calls, if anything, and what stands between their two lines."""
    if fit(call, SIDE) != call:
        call = fit(call, SIDE - 1) + '…'
    mark = '│' if not call else '├' if arrow == (side == LEFT) else '┤'
    middle += ' ' * (MIDDLE - columns(middle))
    if side == LEFT:
        print(' ' * (SIDE - columns(call)) + call, mark + middle + '│')
    else:
        print((' ' * (SIDE + 1) + '│' + middle + mark + ' ' + call).rstrip())


def draw(side, call, label='', dash='─'):
    """A call and, if there is a label, the arrow of what it sends."""
    if not label:
        row(side, call)
        return
    label = ' ' + fit(label, LABEL) + ' '
    dashes = MIDDLE - 1 - columns(label)
    line = dash * (dashes // 2) + label + dash * (dashes - dashes // 2)
    row(side, call, line + '▶' if side == LEFT else '◀' + line, arrow=True)


def below(text):
    """Lines of text below an arrow; what is too long goes on in the next row."""
    for line in text.split('\n'):
        indent = ' '
        while line:
            part = fit(line, MIDDLE - len(indent))
            row(RIGHT, '', indent + part)
            line = line[len(part):]
            indent = '  '


def draw_text(side, call, what, data, dash):
    """Data, with its line ends: on its arrow, or below one that says what it is."""
    text = visible(data.replace(b'\r', b'\\r').replace(b'\n', b'\\n\n')).rstrip('\n')
    if '\n' not in text and columns(text) <= LABEL:
        draw(side, call, text or what, dash)
    else:
        draw(side, call, what, dash)
        below(text)


def draw_frames(side, call, data):
    """Frames of a WebSocket (RFC 6455, section 5.2), with what each carries below it."""
    while len(data) >= 2:
        opcode, masked, length = OPCODES[data[0] % 16], data[1] >= 128, data[1] % 128
        head, mask = 2, bytes(4)
        if length == 126:  # it is in the next two bytes
            head, length = 4, int.from_bytes(data[2:4], 'big')
        if masked:
            mask = data[head:head + 4]
            head += 4
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(data[head:head + length]))
        draw(side, call, f'{opcode} {length} bytes, {"" if masked else "un"}masked')
        closing = opcode == 'CLOSE'
        below(str(int.from_bytes(payload, 'big')) if closing else visible(payload))
        call, data = '', data[head + length:]


# --- Calls --------------------------------------------------------------------------

def logged(side):
    """Yields (time, order, side, line). A call that waits for the other end has to stand
    below what woke it, so it has the time of what its thread did next."""
    for name in glob.glob(f'log{side}.*'):
        waited = ''
        for line in open(name, encoding='ascii').read().splitlines():
            time, line = line.split(' ', 1)
            if waited:
                yield time, 0, side, waited
            waited = line if re.match(r'(accept|read|recvfrom|poll)\(', line) else ''
            if not waited:
                yield time, 1, side, line


def quoted(args):
    """All strings among the arguments, as bytes."""
    return [bytes.fromhex(s.replace('\\x', '')) for s in re.findall('"(.*?)"', args)]


def address(args):
    """The address among the arguments, HOST:PORT or a path."""
    host = quoted(args)[-1].decode()
    port = re.search(r'port=htons\((\d+)\)', args)
    if not port:
        return host
    host = re.sub('^::ffff:', '', host)
    return f'[{host}]:{port[1]}' if ':' in host else f'{host}:{port[1]}'


class Program:
    def __init__(self, side):
        self.side = side
        self.kinds = {}  # of its sockets: datagrams, socket, connected, or the last call
        self.framed = False  # it has sent its half of the handshake

    def event(self, line):
        call = CALL.match(line)
        if call:
            self.call(*call.groups())
        elif re.match('--- SIGTERM .*SI_USER', line):
            draw(self.side, '(ctrl-C)')  # as the script does it

    def call(self, name, args, result):
        fd = re.search(r'-?\d+|$', result if name == 'socket' else args)[0]
        if name == 'socket' and 'SOCK_CLOEXEC' not in args:  # libc sets it on its own
            self.kinds[fd] = 'datagrams' if 'SOCK_DGRAM' in args else 'socket'
            draw(self.side, f'socket({args.split(",")[0]}) = {fd}')
        elif name.startswith('clone'):
            draw(self.side, 'pthread_create')
        elif name.startswith('unlink'):
            draw(self.side, f'unlink({address(args)})')
        elif name == 'read' and fd == '0':
            line = visible(quoted(args)[0].replace(b'\n', b'\\n'))
            draw(self.side, f'read(0): {line}' if line else 'read(0) = 0, the end')
        elif name == 'exit_group':
            connected = 'connected' in self.kinds.values()
            draw(self.side, f'exit({args})', 'end of stream' if connected else '')
        elif self.kinds.get(fd) and not result.startswith('?'):
            self.socket_call(name, fd, args, result)

    def socket_call(self, name, fd, args, result):
        kind = self.kinds[fd]
        if name in ('bind', 'connect'):
            connected = name == 'connect' and kind == 'socket' and result == '0'
            self.kinds[fd] = 'connected' if connected else kind
            draw(self.side, f'{name}({address(args)})', 'connection' if connected else '')
        elif name == 'accept':
            self.kinds[result] = 'connected'
            draw(self.side, f'accept({fd}) = {result}')
        elif name == 'poll' and result.startswith('0') and not args.endswith(', 0'):
            draw(self.side, f'poll({fd}, {args.split(", ")[-1]} ms) = 0')
        elif name in ('read', 'recvfrom') and not result.startswith('-1'):
            name = 'recv' if args.endswith('NULL, NULL') else name
            end = ', the end' if result == '0' else ''
            draw(self.side, f'{name}({fd}) = {result}{end}')
        elif name in ('write', 'sendto'):
            name = 'send' if args.endswith('NULL, 0') else name
            to = f'({address(args)})' if name == 'sendto' else f'({fd}) = {result}'
            self.send(name + to, kind, quoted(args)[0])
        elif name in ('listen', 'shutdown', 'close'):
            label = 'end of stream' if kind == 'connected' else ''
            draw(self.side, f'{name}({args})', label)
            self.kinds[fd] = '' if name == 'close' else name

    def send(self, call, kind, data):
        if self.framed:
            draw_frames(self.side, call, data)
            return
        what = 'text'
        if data.endswith(b'\r\n\r\n'):
            self.framed = True
            what = 'HTTP response' if data.startswith(b'HTTP') else 'HTTP request'
        draw_text(self.side, call, what, data, '╌' if kind == 'datagrams' else '─')


sys.stdout.reconfigure(encoding='utf-8')
programs = [Program(LEFT), Program(RIGHT)]
for _, _, program, line in sorted([*logged(LEFT), *logged(RIGHT)], key=lambda e: e[:3]):
    programs[program].event(line)
