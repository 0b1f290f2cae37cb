"""faults_driver.py - fails each call of a program in turn, and judges what it does then

    python3 faults_driver.py DIRECTORY NAME

DIRECTORY holds the program, linked with faults.c. For each of its scenes, sessions in
which this driver is the peer, plays one session without a fault. Then the first call of
a kind fails, in one session for each of its errors, then the second, until the program
makes no further one.

Prints each session that went wrong, how many faults of each kind of call the program
survived, and `N passed, N failed`.
"""
import collections
import ctypes
import errno
import functools
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile

DEADLINE = 10  # seconds for a session
MAX_NTH = 40
ENOUGH = 3  # failures of one call in a scene: more would tell nothing new

# The errors of each call according to POSIX.1-2008 and Linux. fflush_socket and
# fwrite_socket are fflush() and fwrite() of a FILE other than stdout and stderr.
PATH = 'EACCES EIO ELOOP ENAMETOOLONG ENOENT ENOTDIR '
SOCKET = 'EBADF EINVAL ENOBUFS ENOTSOCK '
ADDRESS = 'EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT '
NETWORK = 'ECONNREFUSED ECONNRESET EHOSTUNREACH ENETDOWN ENETUNREACH ETIMEDOUT '
RECEIVE = SOCKET + NETWORK + 'EIO ENOMEM ENOTCONN EOPNOTSUPP '
SEND = RECEIVE + 'EACCES EDESTADDRREQ EMSGSIZE EPERM EPIPE'
STREAM = 'EBADF ECONNRESET EIO ENOBUFS EPIPE ETIMEDOUT'
EAI = 'EAI_AGAIN EAI_BADFLAGS EAI_FAIL EAI_FAMILY EAI_MEMORY EAI_NONAME EAI_SYSTEM '
ERRORS = {
    'accept': SOCKET + NETWORK + 'EAGAIN ECONNABORTED EMFILE ENFILE ENOMEM EOPNOTSUPP '
              'EPERM EPROTO',
    'bind': SOCKET + PATH + ADDRESS + 'EOPNOTSUPP EROFS',
    'close': 'EINTR EIO',
    'connect': SOCKET + PATH + ADDRESS + NETWORK + 'EOPNOTSUPP EPERM EPROTOTYPE',
    'fclose': 'EIO EPIPE',
    'fcntl': 'EACCES EBADF EINVAL EMFILE',
    'fdopen': 'EMFILE ENOMEM',
    'fflush': 'EAGAIN EBADF EFBIG EIO ENOMEM ENOSPC ENXIO EPIPE',
    'fflush_socket': STREAM,
    'fopen': 'EACCES EINVAL EMFILE ENFILE ENOENT ENOMEM',
    'fread': 'EAGAIN EBADF EIO ENOMEM',
    'fwrite': 'EIO ENOSPC',
    'fwrite_socket': STREAM,
    'getaddrinfo': EAI + 'EAI_SERVICE EAI_SOCKTYPE',
    'getnameinfo': EAI + 'EAI_OVERFLOW',
    'getpeername': SOCKET + 'ENOTCONN',
    'getsockname': SOCKET + 'EOPNOTSUPP',
    'listen': SOCKET + 'EACCES EADDRINUSE EDESTADDRREQ EOPNOTSUPP',
    'lstat': PATH + 'ENOMEM EOVERFLOW',
    'malloc': 'ENOMEM',
    'pipe': 'EMFILE ENFILE',
    'poll': 'EAGAIN EINTR EINVAL ENOMEM',
    'pthread_attr_setstacksize': 'EINVAL',
    'pthread_create': 'EAGAIN EPERM',
    'read': 'EAGAIN EBADF EBADMSG ECONNRESET EINTR EINVAL EIO EISDIR ENOBUFS ENOMEM '
            'ENOTCONN ENXIO ETIMEDOUT',
    'realloc': 'ENOMEM',
    'recv': RECEIVE,
    'recvfrom': RECEIVE,
    'send': SEND,
    'sendto': SEND,
    'setsockopt': SOCKET + 'EDOM EISCONN ENOMEM ENOPROTOOPT',
    'shutdown': SOCKET + 'ENOTCONN',
    'socket': 'EACCES EAFNOSUPPORT EMFILE ENFILE ENOBUFS ENOMEM EPROTONOSUPPORT '
              'EPROTOTYPE',
    'unlink': PATH + 'EBUSY EPERM EROFS',
    'write': 'EAGAIN EBADF ECONNRESET EFBIG EINTR EINVAL EIO ENETDOWN ENETUNREACH '
             'ENOBUFS ENOSPC ENXIO EPIPE'}


# --- The scenes ---------------------------------------------------------------------

# A talk is a list of exchanges (to, answer, shown). A server answers `to` with `answer`;
# a client sends `answer`, and gets `to`, unless that is None. The program prints `shown`.
# In the last two, # stands for a number and * for any text.
X2000 = b'x' * 2000
NO_MASK = b'\0\0\0\0'
PING = b'\x89\x84' + NO_MASK + b'ping'  # from a client, as all frames with a mask
PONG = b'\x8a\x84' + NO_MASK + b'ping'
CLOSE = b'\x88\x82' + NO_MASK + b'\3\xe8'
SERVER_CLOSE = b'\x88\2\3\xe8'

TCP_CLIENT = [(b'one\n', b'one\n', b'>> ->: one\n'),
              (b'two\n', b'two\n', b'>> ->: two\n'),
              (None, b'STOP\n', b'>> ->: TCP client exiting...\n')]
UDP_CLIENT = [(b'one\n', b'one\n', b'The UDP server is 127.0.0.1:*\n>> Reply: one\n'),
              (b'two\n', b'two\n', b'>> Reply: two\n'),
              (None, b'STOP\n', b'>> Exiting UDP client!\n')]
UNIX_CLIENT = [(b'one\n', b'one\n', b'>> Read: one\n'),
               (b'STOP\n', b'STOP\n',
                b'>> Read: STOP\nExiting UNIX domain socket client!\n')]
UNIX_END_OF_INPUT = [(b'one\n', b'one\n', b'>> Read: one\n'), (None, b'', b'>> \n')]
REQUEST = (b'GET /ws HTTP/1.1\r\n*\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n'
           b'*\r\n\r\n')
RESPONSE = (b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'
            b'Connection: keep-alive , Upgrade\r\n'
            b'Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n')
# Frames are cut where a program has to send an answer before it waits for the rest.
WEB_CLIENT = [
    (RESPONSE + b'\x89\4ping\x89\4p', REQUEST, b'Connecting to: *:* at /ws\n'),
    (b'ing\x81\x7e', PONG, b''),
    (b'\x07\xd0' + X2000 + b'\x81\5one\r\n', PONG, b'Received: ' + X2000 + b'\n'),
    (SERVER_CLOSE,
     b'\x81\x83' + NO_MASK + b'one\x81\xfe\x07\xd0' + NO_MASK + X2000 + CLOSE,
     b'Received: one\n')]
WEB_CLOSED_AT_ONCE = [(RESPONSE + SERVER_CLOSE, REQUEST, b'Connecting to: *:* at /ws\n'),
                      (None, CLOSE, b'')]
TIME_SERVER = [(b'one\n', b'#-#-#T#:#:#Z\n', b'-> one\n'),
               (b'two\n', b'#-#-#T#:#:#Z\n', b'-> two\n')]
TCP_ECHO = [(b'one\n', b'one\n', b'> one\n'), (b'two\n', b'two\n', b'> two\n')]
NUMBER_SERVER = [(b'one', b'#', b'-> one\ndata: #\n'), (b'', b'#', b'-> \ndata: #\n')]
COUNTING_SERVER = [(b'one\n', b'Client number: #\n', b'one\n'),
                   (b'two\nSTOP\n', b'Client number: #\n', b'two\n')]
UNIX_ECHO = [(b'one\n', b'one\n', b'Server got: one\n'),
             (b'two\n', b'two\n', b'Server got: two\n')]
# Where the second half cannot be read, the response must not have a body either.
HEAD_OF_PAGE = [(b'HEAD / HTTP/1.1\r\n', b'', b''),
                (b'Host: localhost\r\n\r\n', b'HTTP/1.1 200 *\r\n\r\n', b'')]
WEB_ECHO = [
    (b'GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n'
     b'Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
     b'Sec-WebSocket-Version: 13\r\n\r\n',
     b'HTTP/1.1 101 *\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n*',
     b'Connection from: *\n'),
    (PING + b'\x81\xfe', b'\x8a\4ping', b''),
    (b'\x07\xd0' + NO_MASK + X2000 + PING + b'\x89\x84' + NO_MASK + b'p',
     b'\x81\x7e\x07\xd0' + X2000 + b'\x8a\4ping', b'Received (2000 bytes): *\n'),
    (b'ing\x81\x85' + NO_MASK + b'one\r\n', b'\x8a\4ping\x81\5one\r\n',
     b'Received: one\n'),
    (CLOSE, SERVER_CLOSE, b'')]

# The driver types `typed` into a client before exchange number `typed_at`. A server
# prints `farewell` after STOP; one that has none serves several clients at a time, until
# SIGTERM ends it. Only `calls` fail.
Scene = collections.namedtuple(
    'Scene', 'program arguments talk typed typed_at farewell calls family type '
    'second_address '  # the client may try another one
    'stale',  # at `path` is the socket of a server that has ended
    defaults=(None, 0, None, ERRORS, socket.AF_INET, socket.SOCK_STREAM, False, False))
UDP = functools.partial(Scene, type=socket.SOCK_DGRAM)
UNIX = functools.partial(Scene, 'unixSocket', family=socket.AF_UNIX)
SECOND = functools.partial(Scene, second_address=True,
                           calls=['socket', 'connect', 'close'])
LINES = b'one\ntwo\nSTOP\n'
LONG_LINES = b'one\n' + X2000 + b'\n'
TCP_FAREWELL = b'Exiting TCP server!\n'
SCENES = [
    Scene('tcpC', '127.0.0.1:PORT', TCP_CLIENT, LINES),
    SECOND('tcpC', ':PORT', TCP_CLIENT, LINES),
    Scene('otherTCPclient', '127.0.0.1:PORT 127.0.0.1:0', TCP_CLIENT, LINES),
    UDP('udpC', '127.0.0.1:PORT', UDP_CLIENT, LINES),
    UNIX('path', UNIX_CLIENT, b'one\nSTOP\n'),
    UNIX('path', UNIX_END_OF_INPUT, b'one\n'),
    Scene('wsClient', '127.0.0.1:PORT /ws', WEB_CLIENT, LONG_LINES, 3),
    SECOND('wsClient', ':PORT /ws', WEB_CLIENT, LONG_LINES, 3),
    Scene('wsClient', '127.0.0.1:PORT /ws', WEB_CLOSED_AT_ONCE, b'',
          calls=['read', 'poll']),
    Scene('tcpS', '0', TIME_SERVER, farewell=TCP_FAREWELL),
    Scene('tcpS', '127.0.0.1:0', TIME_SERVER, farewell=TCP_FAREWELL,
          calls=['socket', 'getaddrinfo']),
    Scene('otherTCPserver', ':0', TCP_ECHO, farewell=TCP_FAREWELL),
    UDP('udpS', '0', NUMBER_SERVER, farewell=b'-> STOP\nExiting UDP server!\n'),
    Scene('concTCP', '0', COUNTING_SERVER),
    UNIX('-l path', UNIX_ECHO),
    UNIX('-l path', UNIX_ECHO, stale=True,
         calls='lstat socket fcntl connect close unlink bind listen'.split()),
    Scene('wsServer', ':0', HEAD_OF_PAGE),
    Scene('wsServer', ':0', WEB_ECHO)]

# What a program names on stderr when a call fails, if that is not one of its arguments.
WHAT = {'fflush': ['stdout'], 'fwrite': ['stdout'], 'pipe': ['pipe'],
        'fopen': ['/dev/urandom'], 'fread': ['/dev/urandom'], 'read': ['server', 'stdin'],
        'write': ['server', 'stdin'], 'realloc': ['server'], 'fflush_socket': ['server'],
        'fwrite_socket': ['server']}
# Reasons that it may give besides the error's own.
REASONS = {'fwrite': ['write failed'], 'realloc': ['1011 out of memory'],
           'read': ['400 Bad Request: ', '408 Request Timeout: '],
           'write': ['connection closed'],
           'fflush_socket': ['connection closed', 'not everything was sent'],
           'fwrite_socket': ['connection closed', 'not everything was sent']}


def matches(pattern, data):
    """Does the data match the pattern? None: not yet, but with more data it may."""
    regex = re.escape(pattern).replace(rb'\*', b'.*').replace(rb'\#', b'[0-9]+')
    if re.fullmatch(regex, data, re.DOTALL):
        return True
    for part in re.split(rb'([*#])', pattern):
        rest = data.lstrip(b'0123456789') if part == b'#' else data.removeprefix(part)
        if part == b'*' or part.startswith(data):
            return None
        if rest == data and part:
            return False
        data = rest
    return False


def ignore_errors(call, *arguments):
    """Call something whose failure shows elsewhere; returns None then."""
    try:
        return call(*arguments)
    except OSError:
        return None


class Fault(collections.namedtuple('Fault', 'call nth error')):
    """The nth call fails with an error, given by its name; every one, if nth is 0."""

    def value(self):
        return getattr(errno, self.error, None) or getattr(socket, self.error)

    def reasons(self):
        """The reasons that belong to the error. EAI_SYSTEM means that errno has it."""
        if not self.error.startswith('EAI_'):
            return [os.strerror(self.value())]
        gai_strerror = ctypes.CDLL(None).gai_strerror
        gai_strerror.restype = ctypes.c_char_p
        reasons = [gai_strerror(self.value()).decode()]
        if self.error == 'EAI_SYSTEM':
            reasons.append(os.strerror(errno.ENFILE))
        if self.error == 'EAI_SERVICE':
            reasons.append('unknown port')
        return reasons


# --- A session ----------------------------------------------------------------------

class Session:
    """Plays a scene once, with or without a fault, and notes in `wrong` what is wrong."""

    def __init__(self, directory, scene, fault):
        self.directory, self.scene, self.fault = directory, scene, fault
        self.server = scene.typed is None
        self.hit = False  # the fault has occurred
        self.slept = False  # the program has called sleep()
        self.ended = False  # the program has
        self.served = False  # the server has reported that it listens
        self.known = False  # and at which address
        self.stdout, self.stderr, self.expected = b'', '', b''
        self.lost = 0  # conversations that were not as in the scene
        self.wrong = ''
        self.address = 'path' if scene.family == socket.AF_UNIX else ('127.0.0.1', 0)
        if self.server:
            self.play_server()
            self.judge_server()
        else:
            self.play_client()
            self.judge_client()

    def check(self, good, why):
        if not good and not self.wrong:
            self.wrong = why

    def fails(self, calls):
        return self.fault is not None and self.fault.call in calls.split()

    # --- Starting the program, talking to it, ending it ---

    def start(self):
        self.arguments = self.scene.arguments.replace(
            'PORT', str(self.address[1])).split()
        self.tell, told = os.pipe()
        fault = f'{told}'
        if self.fault:
            fault += f' {self.fault.call} {self.fault.nth} {self.fault.value()}'
        self.program = subprocess.Popen(
            [f'{self.directory}/{self.scene.program}', *self.arguments], bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=[told], env=dict(os.environ, FAULT=fault, TZ='UTC0', LC_ALL='C'))
        os.close(told)
        signal.signal(signal.SIGALRM, lambda *_: self.program.kill())
        signal.alarm(DEADLINE)

    def await_input(self, stream):
        """Wait until the stream is readable or, without one, for the program's end.
        Returns False if nothing will arrive: it has ended, or its answer is lost."""
        while True:
            unanswered = stream and self.hit and self.lost == 0 and (
                self.fails('sendto') or
                not self.server and self.fails('fflush_socket fwrite_socket'))
            streams = [stream] if stream else []
            streams += [] if self.ended else [self.tell]
            timeout = 0 if self.ended or unanswered else None
            ready = select.select(streams, [], [], timeout)[0]
            if self.tell in ready:
                told = os.read(self.tell, 4096)
                self.ended = not told
                self.hit = self.hit or b'H' in told
                self.slept = self.slept or b'S' in told
            if stream in ready:
                return True
            if not ready:
                return False

    def more(self, stream):
        """Return what arrives next, or b'' if nothing will."""
        if not self.await_input(stream):
            return b''
        return ignore_errors(os.read, stream.fileno(), 16384) or b''

    def read_all(self, stream):
        return b''.join(iter(functools.partial(self.more, stream), b''))

    def read(self, stream, pattern, data=b''):
        """Read more data, until all of it matches the pattern or never will."""
        while matches(pattern, data) is None and (part := self.more(stream)):
            data += part
        return data

    def finish(self):
        """Wait for the program's end, and read the rest of its output."""
        self.await_input(None)
        output, errors = self.program.communicate()
        signal.alarm(0)
        os.close(self.tell)
        self.stdout += output
        self.stderr += errors.decode(errors='replace')
        self.check(self.program.returncode != -signal.SIGKILL,
                   'it hangs, or clients have left descriptors or threads')

    def hears(self, peer, answer):
        return matches(answer, self.read(peer, answer))

    def type_lines(self):
        ignore_errors(self.program.stdin.write, self.scene.typed)
        self.program.stdin.close()
        self.program.stdin = None

    def converse(self, peer, first, end):
        """Have the exchanges from number `first` to before `end`. Returns False if one is
        not as in the scene, and counts that. At the end a server has printed what it
        should, so that the order of its clients' lines is known."""
        for number, (to, answer, shown) in enumerate(self.scene.talk[first:end], first):
            if 0 < number == self.scene.typed_at:
                self.type_lines()
            if self.server and self.scene.type == socket.SOCK_DGRAM:
                self.await_sleep()  # so that it is poll() that waits
            heard = self.server or self.hears(peer, answer)
            if heard and to is not None:
                ignore_errors(peer.send, to)
            if not heard or self.server and not self.hears(peer, answer):
                self.lost += 1
                return False
            if self.server:
                self.expected += shown
            if self.server and not self.fails('fflush fwrite') and self.lost == 0:
                self.stdout = self.read(self.program.stdout, self.expected, self.stdout)
        return True

    def visit(self, peer, first=0):
        """Have the conversation to its end, before which nothing else may arrive. The
        driver closes first if the program is a server, or something went wrong; then a
        wsClient gets a Close."""
        whole = self.converse(peer, first, None)
        if not whole and self.scene.talk == WEB_CLIENT:
            ignore_errors(peer.send, SERVER_CLOSE)
        if self.scene.type == socket.SOCK_STREAM:
            if self.server or not whole:
                ignore_errors(peer.shutdown, socket.SHUT_WR)
            if self.read_all(peer) and whole:
                self.lost += 1
        peer.close()

    # --- A session with a client ---

    def play_client(self):
        peer = self.open_peer()
        self.start()
        if self.scene.typed_at == 0:
            self.type_lines()
        self.expected = b''.join(shown for _, _, shown in self.scene.talk)
        if self.await_input(peer):
            if self.scene.type == socket.SOCK_STREAM:
                client = peer.accept()[0]
            else:
                client = peer.dup()
                client.connect(peer.recvfrom(0, socket.MSG_PEEK)[1])
            self.visit(client)
        peer.close()
        self.finish()

    def open_peer(self):
        peer = socket.socket(self.scene.family, self.scene.type)
        peer.bind(self.address)
        self.address = peer.getsockname()
        if self.scene.type == socket.SOCK_STREAM and not self.scene.stale:
            peer.listen()
        return peer

    # --- A session with a server ---

    def call_server(self):
        """Connect; if the server has ended, nothing will arrive on the connection."""
        peer = socket.socket(self.scene.family, self.scene.type)
        ignore_errors(peer.connect, self.address)
        return peer

    def count(self, what):
        """Count the entries of /proc/PID/WHAT; 0 after the program's end."""
        return len(ignore_errors(os.listdir, f'/proc/{self.program.pid}/{what}') or [])

    def read_address(self):
        """Read the server's first line, and the port that it reports."""
        self.stderr = self.read(self.program.stderr, b'*\n').decode()
        self.served = ': listening on ' in self.stderr
        self.known = self.served and ': listening on ?' not in self.stderr
        if self.known and self.scene.family == socket.AF_INET:
            self.address = ('127.0.0.1', int(re.search(r':(\d+)\n', self.stderr)[1]))

    def await_sleep(self):
        """Wait until the server waits for clients, or has ended."""
        state = ''
        while state not in ('S', 'Z'):
            with open(f'/proc/{self.program.pid}/stat', encoding='ascii') as stat:
                state = stat.read().rpartition(')')[2].split()[0]

    def stop(self):
        """Send STOP; a second time, too, because a fault may lose the first one."""
        self.expected += self.scene.farewell
        for _ in range(2):
            peer = self.call_server()
            ignore_errors(peer.send, b'STOP\n')
            self.read_all(peer)
            peer.close()

    def serve_clients(self):
        """Have two clients served, if possible while a third one is connected. After a
        client that a fault has lost, another one must be served. When all have
        disconnected, nothing of them may be left."""
        descriptors, threads = self.count('fd'), self.count('task')
        bystander = None if self.scene.farewell else self.call_server()
        served = bystander and self.converse(bystander, 0, 1)
        self.visit(self.call_server())
        self.visit(self.call_server())
        if served:
            self.visit(bystander, 1)
        elif bystander:
            bystander.close()
        if self.lost:
            self.visit(self.call_server())
        while self.count('fd') > descriptors or self.count('task') > threads:
            select.select([], [], [], 0.002)

    def play_server(self):
        if self.scene.stale:
            self.open_peer().close()
        self.start()
        self.read_address()
        if self.known:
            self.serve_clients()
        if self.known and self.scene.farewell:
            self.stop()
        elif self.served:
            self.await_sleep()  # in malloc(), it would deadlock with the leak check
            self.program.send_signal(signal.SIGTERM)
        self.finish()
        self.check(not self.stdout or self.fails('lstat unlink') or
                   not os.path.exists('path'), 'the socket file is still there')

    # --- Judging it ---

    def check_line(self, text):
        """Check that the text is one line, NAME: WHAT: REASON."""
        if self.wrong:
            return
        reasons = self.fault.reasons() + REASONS.get(self.fault.call, [])
        if self.fails('read') and self.fault.error == 'ECONNRESET':
            reasons.append('connection closed')
        if self.scene.stale:
            reasons.append(os.strerror(errno.EADDRINUSE))  # the file may be in use
        if self.scene.second_address:
            reasons.append(os.strerror(errno.ECONNREFUSED))
        end = '|'.join(map(re.escape, reasons))
        line = re.fullmatch(f'{self.scene.program}: (.*?): ({end}).*\n', text)
        self.check(line, 'stderr is not one line NAME: WHAT: REASON')
        what = WHAT.get(self.fault.call, self.arguments)
        self.check(self.served or line and line[1] in what,
                   f'stderr names none of {what}')

    def check_end(self):
        """Check how it ended: SIGTERM ends a server that STOP does not end."""
        by_signal = self.server and not (self.scene.farewell and self.known)
        self.check(self.program.returncode == (-signal.SIGTERM if by_signal else 0),
                   'it did not end as it should')

    def check_stdout(self):
        self.check(matches(self.expected, self.stdout), 'stdout is not as it should be')

    def check_died(self):
        """Check that it ended with 1 and a line with the reason, and what it printed."""
        self.check(self.program.returncode == 1, 'it did not end with 1')
        self.check_line(self.stderr)
        output_lost = self.fails('fwrite') or self.fails('read') and self.fault.nth == 1
        self.check(output_lost or matches(self.expected, self.stdout) is not False,
                   'stdout was not right up to there')

    def is_harmless(self):
        """Must the failure have no effect at all?"""
        return not self.hit or (
            self.fault.error == 'EINTR' and self.fails('read write poll') or
            self.fault.error == 'EAGAIN' and self.fails('read') and
            not self.scene.program.startswith('ws') or
            self.fails('close fclose fcntl getnameinfo getpeername getsockname '
                       'setsockopt shutdown'))

    def judge_client(self):
        """A client may survive what fails after the conversation, or is tried again."""
        survived = self.program.returncode == 0 and (
            self.scene.second_address or self.fails('read poll fflush_socket'))
        if self.scene.type == socket.SOCK_DGRAM and self.fails('recv send poll'):
            if self.stderr and ': no reply within 5 s\n' not in self.stderr:
                self.check_line(self.stderr)
            self.check_end()
        elif self.is_harmless() or survived:
            self.check(not self.stderr, 'stderr is not empty')
            self.check_end()
            self.check_stdout()
        else:
            self.check_died()

    def judge_server(self):
        harmless = self.is_harmless()
        if not self.served:
            self.check(not harmless, 'it does not serve')
            self.check_died()
            return
        rest = self.stderr.partition('\n')[2]
        if self.hit and self.fails('pthread_attr_setstacksize'):
            self.check_line(rest)
            self.check(self.program.returncode == 1, 'it did not end with 1')
            return
        output_lost = self.fails('fflush fwrite')
        self.check(not rest or not (harmless or output_lost),
                   'stderr has more than one line')
        if rest:
            self.check_line(rest)
        if (self.hit and self.fails('accept fdopen malloc pthread_create') and
                self.fault.error != 'ECONNABORTED'):
            self.check(rest and self.slept, 'it did not report that and wait a second')
        may_lose = not harmless and self.fails('fflush_socket fwrite_socket read write '
                                               'sendto realloc')
        self.check(self.lost <= may_lose, 'too many clients were lost')
        self.check(self.known or self.fails('getnameinfo getsockname'),
                   'it does not know its address')
        self.check_end()
        if self.known and self.lost == 0 and not output_lost:
            self.check_stdout()


# --- One session after another ------------------------------------------------------

class Driver:
    """Plays sessions, and counts them."""

    def __init__(self, directory):
        self.directory = directory
        self.passed = self.failed = 0

    def play(self, scene, fault=None):
        ignore_errors(os.unlink, 'path')
        session = Session(self.directory, scene, fault)
        if session.wrong:
            self.failed += 1
            print(f'FAIL {scene.program} {scene.arguments} {fault}: {session.wrong} '
                  f'(lost {session.lost}, exit {session.program.returncode})\n    stderr: '
                  f'{session.stderr[:200]}\n    stdout: {session.stdout[:200]}')
        else:
            self.passed += session.hit or fault is None
        return session

    def fail_call(self, scene, call, nth, limit):
        """Fail the nth call with each of its errors, until `limit` sessions have failed.
        Returns False if the program has not made so many calls."""
        hit = True
        for error in ERRORS[call].split():
            # The first read() of most clients is of stdin, which nobody resets; and only
            # wsClient has a handler that returns, so that poll() does.
            impossible = scene.program != 'wsClient' and (
                scene.typed and (call, nth, error) == ('read', 1, 'ECONNRESET') or
                (call, error) == ('poll', 'EINTR'))
            if hit and not impossible and self.failed < limit:
                hit = self.play(scene, Fault(call, nth, error)).hit
        return hit

    def play_scene(self, scene):
        """Play it without a fault and, if that is right, with a fault in each call."""
        if self.play(scene).wrong:
            return
        for call in scene.calls:
            passed, limit, nth = self.passed, self.failed + ENOUGH, 1
            while (nth < MAX_NTH and self.failed < limit and
                   self.fail_call(scene, call, nth, limit)):
                nth += 1
            if call in ('connect', 'getaddrinfo', 'socket'):
                self.fail_call(scene, call, 0, limit)
            if self.passed > passed:
                print('survived', scene.program, call, self.passed - passed)


def main():
    directory, name = sys.argv[1:]
    driver = Driver(os.path.abspath(directory))
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for scene in SCENES:
            if scene.program == name:
                driver.play_scene(scene)
    print(f'{driver.passed} passed, {driver.failed} failed')
    return driver.failed > 0 or driver.passed == 0


sys.exit(main())
