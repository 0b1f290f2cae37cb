/*
 * faults_driver.c - fails each call of each program in turn, and sees what comes of it
 *
 *   faults_driver DIRECTORY [NAME ...]
 *
 * DIRECTORY holds the programs, built with faults.c inside. Each program plays its scenes
 * (a session with a peer that this driver plays) first with nothing failing, which also
 * tells which calls it makes; then with the first call of a kind failing with each error
 * that POSIX has for it, then the second, until the scene has no further one.
 *
 * Prints a line for each fault that was not survived, a table program x call with the
 * number of those that were, and `N passed, N failed`.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */ // NOLINT(bugprone-reserved-identifier)
#include "faults.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_SIZE = 65536, DEADLINE_MS = 10000, WORKERS = 4, MOST_NTH = 200 };
enum { ENOUGH = 8 /* failures of one call in one scene: the rest would say no more */ };
enum { LONG_LINE = 9000 /* makes a reader's buffer grow twice */ };

/* ---- The errors of each call: POSIX.1-2008, and what Linux adds to it ---- */

struct error_name {
    int value;
    const char *name;
};

// clang-format off
#define E(name) {name, #name}
// clang-format on
#define ERRORS(call, ...)                                                                \
    static const struct error_name errors_of_##call[] = {__VA_ARGS__, {0, NULL}};

ERRORS(accept, E(EAGAIN), E(EBADF), E(ECONNABORTED), E(EHOSTUNREACH), E(EINTR), E(EINVAL),
       E(EMFILE), E(ENETDOWN), E(ENETUNREACH), E(ENFILE), E(ENOBUFS), E(ENOMEM),
       E(ENOTSOCK), E(EOPNOTSUPP), E(EPERM), E(EPROTO), E(ETIMEDOUT))
ERRORS(bind, E(EACCES), E(EADDRINUSE), E(EADDRNOTAVAIL), E(EAFNOSUPPORT), E(EBADF),
       E(EINVAL), E(EIO), E(ELOOP), E(ENAMETOOLONG), E(ENOBUFS), E(ENOENT), E(ENOTDIR),
       E(ENOTSOCK), E(EOPNOTSUPP), E(EROFS))
ERRORS(calloc, E(ENOMEM))
ERRORS(close, E(EINTR), E(EIO))
ERRORS(connect, E(EACCES), E(EADDRINUSE), E(EADDRNOTAVAIL), E(EAFNOSUPPORT), E(EBADF),
       E(ECONNREFUSED), E(ECONNRESET), E(EHOSTUNREACH), E(EINTR), E(EINVAL), E(EIO),
       E(ELOOP), E(ENETDOWN), E(ENETUNREACH), E(ENOBUFS), E(ENOENT), E(ENOTSOCK),
       E(EOPNOTSUPP), E(EPERM), E(EPROTOTYPE), E(ETIMEDOUT))
ERRORS(fcntl, E(EACCES), E(EBADF), E(EINTR), E(EINVAL), E(EMFILE))
ERRORS(fflush, E(EAGAIN), E(EBADF), E(EFBIG), E(EIO), E(ENOMEM), E(ENOSPC), E(ENXIO),
       E(EPIPE))
ERRORS(getaddrinfo, E(EAI_AGAIN), E(EAI_BADFLAGS), E(EAI_FAIL), E(EAI_FAMILY),
       E(EAI_MEMORY), E(EAI_NONAME), E(EAI_SERVICE), E(EAI_SOCKTYPE), E(EAI_SYSTEM))
ERRORS(getnameinfo, E(EAI_AGAIN), E(EAI_BADFLAGS), E(EAI_FAIL), E(EAI_FAMILY),
       E(EAI_MEMORY), E(EAI_NONAME), E(EAI_OVERFLOW), E(EAI_SYSTEM))
ERRORS(getsockname, E(EBADF), E(EINVAL), E(ENOBUFS), E(ENOTSOCK), E(EOPNOTSUPP))
ERRORS(getsockopt, E(EACCES), E(EBADF), E(EINVAL), E(ENOBUFS), E(ENOPROTOOPT),
       E(ENOTSOCK))
ERRORS(listen, E(EACCES), E(EADDRINUSE), E(EBADF), E(EDESTADDRREQ), E(EINVAL), E(ENOBUFS),
       E(ENOTSOCK), E(EOPNOTSUPP))
ERRORS(localtime_r, E(EOVERFLOW))
ERRORS(lstat, E(EACCES), E(EIO), E(ELOOP), E(ENAMETOOLONG), E(ENOENT), E(ENOMEM),
       E(ENOTDIR), E(EOVERFLOW))
ERRORS(malloc, E(ENOMEM))
ERRORS(nanosleep, E(EINTR), E(EINVAL))
ERRORS(open, E(EACCES), E(EIO), E(ELOOP), E(EMFILE), E(ENAMETOOLONG), E(ENFILE),
       E(ENODEV), E(ENOENT), E(ENOMEM), E(ENXIO), E(EPERM))
ERRORS(pipe, E(EMFILE), E(ENFILE))
ERRORS(poll, E(EAGAIN), E(EINTR), E(EINVAL), E(ENOMEM), {FAULT_TIMEOUT, "timeout"})
ERRORS(pthread_attr_init, E(ENOMEM))
ERRORS(pthread_attr_setstacksize, E(EINVAL))
ERRORS(pthread_create, E(EAGAIN), E(EPERM))
ERRORS(pthread_mutex_init, E(EAGAIN), E(ENOMEM))
ERRORS(read, E(EAGAIN), E(EBADF), E(EBADMSG), E(ECONNRESET), E(EINTR), E(EINVAL), E(EIO),
       E(EISDIR), E(ENOBUFS), E(ENOMEM), E(ENOTCONN), E(ENXIO), E(ETIMEDOUT))
ERRORS(realloc, E(ENOMEM))
ERRORS(recv, E(EBADF), E(ECONNREFUSED), E(ECONNRESET), E(EHOSTUNREACH), E(EINTR),
       E(EINVAL), E(EIO), E(ENETDOWN), E(ENOBUFS), E(ENOMEM), E(ENOTCONN), E(ENOTSOCK),
       E(EOPNOTSUPP), E(ETIMEDOUT))
#define errors_of_recvfrom errors_of_recv
ERRORS(send, E(EACCES), E(EBADF), E(ECONNREFUSED), E(ECONNRESET), E(EDESTADDRREQ),
       E(EHOSTUNREACH), E(EINTR), E(EIO), E(EMSGSIZE), E(ENETDOWN), E(ENETUNREACH),
       E(ENOBUFS), E(ENOMEM), E(ENOTCONN), E(ENOTSOCK), E(EOPNOTSUPP), E(EPERM), E(EPIPE))
#define errors_of_sendto errors_of_send
ERRORS(setsockopt, E(EBADF), E(EDOM), E(EINVAL), E(EISCONN), E(ENOBUFS), E(ENOMEM),
       E(ENOPROTOOPT), E(ENOTSOCK))
ERRORS(shutdown, E(EBADF), E(EINVAL), E(ENOBUFS), E(ENOTCONN), E(ENOTSOCK))
ERRORS(socket, E(EACCES), E(EAFNOSUPPORT), E(EMFILE), E(ENFILE), E(ENOBUFS), E(ENOMEM),
       E(EPROTONOSUPPORT), E(EPROTOTYPE))
ERRORS(unlink, E(EACCES), E(EBUSY), E(EIO), E(ELOOP), E(ENAMETOOLONG), E(ENOENT),
       E(ENOTDIR), E(EPERM), E(EROFS))
ERRORS(write, E(EAGAIN), E(EBADF), E(ECONNRESET), E(EFBIG), E(EINTR), E(EINVAL), E(EIO),
       E(ENETDOWN), E(ENETUNREACH), E(ENOBUFS), E(ENOSPC), E(ENXIO), E(EPIPE))
#define errors_of_writev errors_of_write

#define FAULT_ERRORS(call) errors_of_##call,
static const struct error_name *const errors_of[] = {FAULT_CALLS(FAULT_ERRORS)};
static const char *const call_name[] = {FAULT_CALLS(FAULT_NAME)};

/* ---- The scenes ---- */

enum kind {
    TCP_CLIENT,
    UDP_CLIENT,
    UNIX_CLIENT,
    WEB_CLIENT,
    TCP_SERVER,
    UDP_SERVER,
    UNIX_SERVER,
    WEB_SERVER
};

struct scene { // NOLINT(clang-analyzer-optin.performance.Padding)
    const char *program;
    const char *arguments; /* PORT and PATH stand for the peer's or its own */
    const char *label;     /* before each line that is printed */
    const char *fixed;     /* a fault that comes in any case, so that others can */
    const char *only;      /* the calls to fail; all of them without it */
    enum kind kind;
    bool threads;   /* a server that serves clients side by side */
    bool stops;     /* a server that STOP ends */
    bool forgiving; /* a client with a second address to try */
    bool stale;     /* a server that finds a socket nobody serves at PATH */
};

static const struct scene scenes[] = {
    {.program = "tcpC",
     .kind = TCP_CLIENT,
     .arguments = "127.0.0.1:PORT",
     .label = "->: "},
    {.program = "tcpC",
     .kind = TCP_CLIENT,
     .arguments = "localhost:PORT",
     .label = "->: ",
     .only = "socket connect close",
     .forgiving = true},
    {.program = "tcpC",
     .kind = TCP_CLIENT,
     .arguments = "127.0.0.1:PORT",
     .label = "->: ",
     .fixed = "connect 1 EINTR",
     .only = "poll getsockopt"},
    {.program = "otherTCPclient",
     .kind = TCP_CLIENT,
     .arguments = "127.0.0.1:PORT 127.0.0.1:0",
     .label = "->: "},
    {.program = "otherTCPclient",
     .kind = TCP_CLIENT,
     .arguments = "127.0.0.1:PORT",
     .label = "->: ",
     .fixed = "connect 1 EINTR",
     .only = "poll getsockopt"},
    {.program = "tcpS",
     .kind = TCP_SERVER,
     .arguments = "0",
     .label = "-> ",
     .stops = true},
    {.program = "tcpS",
     .kind = TCP_SERVER,
     .arguments = "0",
     .label = "-> ",
     .fixed = "socket 1 EAFNOSUPPORT",
     .only = "socket bind listen getsockname setsockopt",
     .stops = true},
    {.program = "tcpS",
     .kind = TCP_SERVER,
     .arguments = "0",
     .label = "-> ",
     .fixed = "accept 1 EMFILE",
     .only = "nanosleep accept",
     .stops = true},
    {.program = "otherTCPserver",
     .kind = TCP_SERVER,
     .arguments = "0",
     .label = "> ",
     .stops = true},
    {.program = "otherTCPserver",
     .kind = TCP_SERVER,
     .arguments = "0",
     .label = "> ",
     .fixed = "accept 1 ENOBUFS",
     .only = "nanosleep accept",
     .stops = true},
    {.program = "otherTCPserver",
     .kind = TCP_SERVER,
     .arguments = ":0",
     .label = "> ",
     .fixed = "socket 1 EAFNOSUPPORT",
     .only = "socket bind listen",
     .stops = true},
    {.program = "udpC",
     .kind = UDP_CLIENT,
     .arguments = "127.0.0.1:PORT",
     .label = "Reply: "},
    {.program = "udpC",
     .kind = UDP_CLIENT,
     .arguments = "127.0.0.1:PORT",
     .label = "Reply: ",
     .fixed = "poll 2 timeout",
     .only = "close socket connect"},
    {.program = "udpS",
     .kind = UDP_SERVER,
     .arguments = "0",
     .label = "-> ",
     .stops = true},
    {.program = "udpS",
     .kind = UDP_SERVER,
     .arguments = "0",
     .label = "-> ",
     .fixed = "recvfrom 1 ENOMEM",
     .only = "nanosleep recvfrom",
     .stops = true},
    {.program = "concTCP",
     .kind = TCP_SERVER,
     .arguments = "0",
     .label = "",
     .threads = true},
    {.program = "concTCP",
     .kind = TCP_SERVER,
     .arguments = "0",
     .label = "",
     .fixed = "pthread_create 1 EAGAIN",
     .only = "nanosleep pthread_create",
     .threads = true},
    {.program = "unixSocket",
     .kind = UNIX_SERVER,
     .arguments = "-l PATH",
     .label = "Server got: ",
     .threads = true},
    {.program = "unixSocket",
     .kind = UNIX_SERVER,
     .arguments = "-l PATH",
     .label = "Server got: ",
     .only = "lstat socket fcntl connect close unlink bind listen",
     .threads = true,
     .stale = true},
    {.program = "unixSocket",
     .kind = UNIX_SERVER,
     .arguments = "-l PATH",
     .label = "Server got: ",
     .fixed = "connect 1 EINTR",
     .only = "poll getsockopt",
     .threads = true,
     .stale = true},
    {.program = "unixSocket",
     .kind = UNIX_SERVER,
     .arguments = "-l PATH",
     .label = "Server got: ",
     .fixed = "accept 1 ENFILE",
     .only = "nanosleep accept",
     .threads = true},
    {.program = "unixSocket",
     .kind = UNIX_CLIENT,
     .arguments = "PATH",
     .label = "Read: "},
    {.program = "unixSocket",
     .kind = UNIX_CLIENT,
     .arguments = "PATH",
     .label = "Read: ",
     .fixed = "connect 1 EINTR",
     .only = "poll getsockopt"},
    {.program = "wsServer",
     .kind = WEB_SERVER,
     .arguments = ":0",
     .label = "Received: ",
     .threads = true},
    {.program = "wsServer",
     .kind = WEB_SERVER,
     .arguments = ":0",
     .label = "Received: ",
     .fixed = "accept 1 EMFILE",
     .only = "nanosleep accept",
     .threads = true},
    {.program = "wsClient",
     .kind = WEB_CLIENT,
     .arguments = "127.0.0.1:PORT /ws",
     .label = "Received: "},
    {.program = "wsClient",
     .kind = WEB_CLIENT,
     .arguments = "127.0.0.1:PORT /ws",
     .label = "Received: ",
     .fixed = "connect 1 EINTR",
     .only = "poll getsockopt"},
};
enum { SCENES = sizeof scenes / sizeof *scenes };

static const char *directory;
static char work_directory[] = "/tmp/faults.XXXXXX";
static char long_line[LONG_LINE + 1];

/* A byte that is not UTF-8, and a character near those that are not; and how it is shown. */
static const char odd_line[] = "odd \xc3(\xed\x9f\xbf";
static const char odd_shown[] = "odd \\xc3(\xed\x9f\xbf";

/* ---- A text that grows, and a session's state ---- */

struct text {
    size_t length;
    char data[TEXT_SIZE];
};

struct session {
    const struct scene *scene;
    const char *program;
    enum fault_call call; /* CALLS: none is to fail */
    int nth, error;

    pid_t pid;
    int in, out, err, tell; /* the program's stdin, stdout, stderr and TELL_FD */
    bool hit;               /* the fault that is tried has come */
    bool ended;             /* tell is at its end, so the program is */
    int status;
    int made[CALLS]; /* with "trace": how often each call was made */

    int listener, udp;
    struct sockaddr_storage address; /* of the server, this driver's or the program's */
    socklen_t address_size;
    char path[100];
    struct text stdout_text, stderr_text, expected;
    char answer[40]; /* the last, of concTCP */
    int talks;       /* with clients of wsServer: the first fetches the page */
    bool nameless;   /* a client's address may be printed as unknown */
    int lost;        /* connections that were not served whole */
    char *why;       /* what is wrong, or NULL */
    long until;      /* the deadline, in ms */
};

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "faults_driver: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* Note what is wrong with the session; the first fault found stands. */
__attribute__((format(printf, 2, 3))) static void wrong(struct session *s,
                                                        const char *format, ...)
{
    if (s->why != NULL)
        return;
    static char why[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    s->why = why;
}

static void append(struct text *t, const char *data, size_t length)
{
    if (length > sizeof t->data - 1 - t->length)
        length = sizeof t->data - 1 - t->length;
    memcpy(t->data + t->length, data, length);
    t->length += length;
    t->data[t->length] = '\0';
}

static void append_string(struct text *t, const char *string)
{
    append(t, string, strlen(string));
}

/* Take what can be read without waiting. Returns false at the end of the stream. */
static bool take(int fd, struct text *t)
{
    char data[16384];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (poll(&ready, 1, 0) > 0) {
        ssize_t n = read(fd, data, sizeof data);
        if (n <= 0)
            return false;
        append(t, data, (size_t)n);
    }
    return true;
}

/* Hear what the program told about its calls. */
static void listen_to_tell(struct session *s)
{
    struct pollfd ready = {.fd = s->tell, .events = POLLIN};
    while (!s->ended && poll(&ready, 1, 0) > 0) {
        unsigned char bytes[512];
        ssize_t n = read(s->tell, bytes, sizeof bytes);
        s->ended = n <= 0;
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] < CALLS)
                s->made[bytes[i]]++;
            else if (bytes[i] == FAULT_HIT)
                s->hit = true;
        }
    }
}

enum event { READY, ENDED, LATE };

/* Wait until `fd` is ready or the program has ended, whichever is first. */
static enum event await(struct session *s, int fd, short events)
{
    for (;;) {
        struct pollfd list[] = {{.fd = fd, .events = events},
                                {.fd = s->ended ? -1 : s->tell, .events = POLLIN}};
        long left = s->ended ? 0 : s->until - now_ms();
        if (poll(list, 2, left > 0 ? (int)left : 0) == 0) {
            if (s->ended)
                return ENDED;
            wrong(s, "it hangs");
            return LATE;
        }
        if (list[1].revents != 0)
            listen_to_tell(s);
        if (list[0].revents != 0)
            return READY;
        if (s->ended)
            return ENDED;
    }
}

/* ---- Starting a program, and its end ---- */

static void replace(char *text, size_t size, const char *word, const char *with)
{
    char *at = strstr(text, word);
    if (at == NULL)
        return;
    char rest[200];
    snprintf(rest, sizeof rest, "%s", at + strlen(word));
    snprintf(at, size - (size_t)(at - text), "%s%s", with, rest);
}

static void pipe_apart(int fds[2])
{
    if (pipe(fds) < 0)
        give_up("pipe");
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
}

static int port_of(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)address)->sin6_port
                     : ((const struct sockaddr_in *)address)->sin_port);
}

static void start(struct session *s, const char *faults)
{
    char port[12], arguments[300], file[300], variable[300];
    snprintf(port, sizeof port, "%d", port_of(&s->address));
    snprintf(arguments, sizeof arguments, "%s", s->scene->arguments);
    replace(arguments, sizeof arguments, "PORT", port);
    replace(arguments, sizeof arguments, "PATH", s->path);
    char *argv[10] = {file};
    int argc = 1;
    for (char *word = strtok(arguments, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    snprintf(file, sizeof file, "%s/%s", directory, s->program);
    snprintf(variable, sizeof variable, "%s", faults);

    int in[2], out[2], err[2], tell[2];
    pipe_apart(in);
    pipe_apart(out);
    pipe_apart(err);
    pipe_apart(tell);
    s->pid = fork();
    if (s->pid < 0)
        give_up("fork");
    if (s->pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        dup2(tell[1], TELL_FD);
        setenv("FAULTS", variable, 1);
        signal(SIGPIPE, SIG_DFL);
        execv(file, argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    close(tell[1]);
    s->in = in[1];
    s->out = out[0];
    s->err = err[0];
    s->tell = tell[0];
}

/* Wait for the program's end, or make one to it, and take all that it has said. */
static void finish(struct session *s)
{
    while (!s->ended && s->why == NULL && await(s, -1, 0) != LATE)
        continue;
    listen_to_tell(s);
    if (!s->ended)
        kill(s->pid, SIGKILL);
    waitpid(s->pid, &s->status, 0);
    take(s->out, &s->stdout_text);
    take(s->err, &s->stderr_text);
    listen_to_tell(s);
    if (s->in >= 0)
        close(s->in);
    close(s->out);
    close(s->err);
    close(s->tell);
}

/* ---- Playing the server to a client ---- */

static void expect(struct session *s, const char *label, const char *text)
{
    append_string(&s->expected, label);
    append_string(&s->expected, text);
    append_string(&s->expected, "\n");
}

/* What is typed: a line, a long one, an odd one, STOP. */
static void type_all(struct session *s)
{
    struct text typed = {0};
    append_string(&typed, "one\n");
    append_string(&typed, long_line);
    append_string(&typed, "\n");
    append_string(&typed, odd_line);
    append_string(&typed, "\nSTOP\n");
    for (size_t sent = 0; sent < typed.length;) {
        ssize_t n = write(s->in, typed.data + sent, typed.length - sent);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    close(s->in);
    s->in = -1;
}

/* Echo each line; behind STOP say `farewell` and leave. */
static void serve_stream(struct session *s, const char *farewell)
{
    if (await(s, s->listener, POLLIN) != READY)
        return;
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0)
        give_up("accept");
    struct text come = {0};
    size_t echoed = 0;
    bool stop = false;
    while (!stop && await(s, fd, POLLIN) == READY) {
        bool more = take(fd, &come);
        for (char *end; (end = memchr(come.data + echoed, '\n', come.length - echoed));) {
            size_t length = (size_t)(end + 1 - come.data) - echoed;
            stop = length == 5 && memcmp(come.data + echoed, "STOP\n", 5) == 0;
            if (stop)
                break;
            send(fd, come.data + echoed, length, MSG_NOSIGNAL);
            echoed += length;
        }
        if (!more)
            break;
    }
    if (stop)
        send(fd, farewell, strlen(farewell), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    while (stop && await(s, fd, POLLIN) == READY && take(fd, &come))
        continue;
    close(fd);
}

/* ---- WebSocket, as far as a session needs it ---- */

static uint32_t rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

/* SHA-1 (RFC 3174) of a text of 64 to 118 bytes, which makes two blocks. */
static void sha1(const char *text, unsigned char *digest)
{
    unsigned char blocks[128] = {0};
    size_t length = strlen(text);
    for (size_t i = 0; i < length; i++)
        blocks[i] = (unsigned char)text[i];
    blocks[length] = 0x80;
    blocks[126] = (unsigned char)(length * 8 >> 8);
    blocks[127] = (unsigned char)(length * 8);
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (const unsigned char *b = blocks; b < blocks + sizeof blocks; b += 64) {
        uint32_t w[80], v[5];
        for (int t = 0; t < 16; t++)
            w[t] = (uint32_t)b[4 * t] << 24 | (uint32_t)b[4 * t + 1] << 16 |
                   (uint32_t)b[4 * t + 2] << 8 | b[4 * t + 3];
        for (int t = 16; t < 80; t++)
            w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
        memcpy(v, h, sizeof v);
        for (int t = 0; t < 80; t++) {
            uint32_t f = t < 20   ? (v[1] & v[2]) | (~v[1] & v[3])
                         : t < 40 ? v[1] ^ v[2] ^ v[3]
                         : t < 60 ? (v[1] & v[2]) | (v[1] & v[3]) | (v[2] & v[3])
                                  : v[1] ^ v[2] ^ v[3];
            static const uint32_t k[] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
            uint32_t next = rotate(v[0], 5) + f + v[4] + w[t] + k[t / 20];
            memmove(v + 1, v, 4 * sizeof *v);
            v[2] = rotate(v[2], 30);
            v[0] = next;
        }
        for (int i = 0; i < 5; i++)
            h[i] += v[i];
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* The answer to a Sec-WebSocket-Key (RFC 6455, section 4.2.2): base64 of a SHA-1. */
static void accept_key(const char *key, char *answer)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[100];
    unsigned char digest[21] = {0};
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    digest[20] = 0;
    sha1(text, digest);
    for (int i = 0; i < 28; i++) {
        int bit = i * 6, byte = bit / 8;
        unsigned two = (unsigned)digest[byte] << 8 | (byte < 20 ? digest[byte + 1] : 0);
        answer[i] = digits[two >> (10 - bit % 8) & 63];
    }
    snprintf(answer + 27, 2, "=");
}

/* Send one frame; a client's is masked. */
static bool send_web_frame(int fd, int first, const char *payload, size_t length,
                           bool masked)
{
    static const unsigned char mask[] = {0x12, 0xa5, 0x00, 0xff};
    unsigned char frame[LONG_LINE + 14] = {(unsigned char)first};
    size_t used = 2;
    frame[1] = (unsigned char)(length < 126 ? length : 126);
    if (length >= 126) {
        frame[used++] = (unsigned char)(length >> 8);
        frame[used++] = (unsigned char)length;
    }
    if (masked) {
        frame[1] |= 0x80;
        memcpy(frame + used, mask, sizeof mask);
        used += sizeof mask;
    }
    for (size_t i = 0; i < length; i++)
        frame[used + i] = (unsigned char)payload[i] ^ (masked ? mask[i % 4] : 0);
    used += length;
    return send(fd, frame, used, MSG_NOSIGNAL) == (ssize_t)used;
}

/* Take the first frame out of what has come. Returns its first byte, with its payload
   unmasked, or -1 if it is not whole yet. */
static int take_web_frame(struct text *come, struct text *payload)
{
    const unsigned char *data = (unsigned char *)come->data;
    if (come->length < 2)
        return -1;
    size_t length = data[1] & 0x7f, used = 2;
    if (length == 126) {
        if (come->length < 4)
            return -1;
        length = (size_t)data[2] << 8 | data[3];
        used = 4;
    }
    const unsigned char *mask = data + used;
    bool masked = data[1] & 0x80;
    used += masked ? 4 : 0;
    if (come->length < used + length)
        return -1;
    payload->length = 0;
    append(payload, come->data + used, length);
    for (size_t i = 0; i < length && masked; i++)
        payload->data[i] = (char)(payload->data[i] ^ (char)mask[i % 4]);
    int first = data[0];
    come->length -= used + length;
    memmove(come->data, come->data + used + length, come->length);
    return first;
}

/* Wait for the next frame. A Ping of a peer that thinks it has waited long is passed
   over. Returns its first byte, or -1 at the end of the connection. */
static int read_web_frame(struct session *s, int fd, struct text *come,
                          struct text *payload)
{
    for (bool more = true;;) {
        int first = take_web_frame(come, payload);
        if (first >= 0 && first != 0x89)
            return first;
        if (first < 0 && (!more || await(s, fd, POLLIN) != READY))
            return -1;
        if (first < 0)
            more = take(fd, come);
    }
}

/* Read up to the empty line that ends a head, and leave in *come what is behind it. */
static bool read_head(struct session *s, int fd, struct text *come, struct text *head)
{
    char *end;
    while ((end = strstr(come->data, "\r\n\r\n")) == NULL)
        if (await(s, fd, POLLIN) != READY || !take(fd, come))
            return false;
    size_t length = (size_t)(end + 4 - come->data);
    append(head, come->data, length);
    come->length -= length;
    memmove(come->data, end + 4, come->length + 1);
    return true;
}

/* Wait until the program has printed what is expected of it by now. */
static bool await_stdout(struct session *s)
{
    while (s->stdout_text.length < s->expected.length)
        if (await(s, s->out, POLLIN) != READY || !take(s->out, &s->stdout_text))
            return false;
    return true;
}

/* Play the server to wsClient: a line is typed when the one before it has been printed. */
static void serve_web(struct session *s)
{
    const char *lines[] = {"one", long_line, "two"};
    if (await(s, s->listener, POLLIN) != READY)
        return;
    int fd = accept(s->listener, NULL, NULL);
    if (fd < 0)
        give_up("accept");
    static struct text come, head, payload;
    come.length = head.length = payload.length = 0;
    come.data[0] = '\0';
    char answer[40], text[200];
    bool good = read_head(s, fd, &come, &head);
    const char *key = strstr(head.data, "Sec-WebSocket-Key: ");
    good = good && key != NULL;
    if (good) {
        accept_key(key + 19, answer);
        snprintf(text, sizeof text,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                 answer);
        send(fd, text, strlen(text), MSG_NOSIGNAL);
    }
    for (int i = 0; good && i < 3; i++) {
        expect(s, s->scene->label, lines[i]);
        if (write(s->in, lines[i], strlen(lines[i])) < 0 || write(s->in, "\n", 1) < 0)
            break;
        good = read_web_frame(s, fd, &come, &payload) == 0x81 &&
               strcmp(payload.data, lines[i]) == 0 &&
               send_web_frame(fd, 0x81, lines[i], strlen(lines[i]), false) &&
               await_stdout(s);
    }
    close(s->in);
    s->in = -1;
    if (good && read_web_frame(s, fd, &come, &payload) == 0x88)
        send_web_frame(fd, 0x88, payload.data, payload.length, false);
    shutdown(fd, SHUT_WR);
    while (await(s, fd, POLLIN) == READY && take(fd, &come))
        continue;
    close(fd);
}

static void serve_datagrams(struct session *s)
{
    char data[65536];
    while (await(s, s->udp, POLLIN) == READY) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        ssize_t n =
            recvfrom(s->udp, data, sizeof data, 0, (struct sockaddr *)&peer, &size);
        if (n == 5 && memcmp(data, "STOP\n", 5) == 0)
            break;
        if (n >= 0)
            sendto(s->udp, data, (size_t)n, 0, (struct sockaddr *)&peer, size);
    }
}

static void open_peer(struct session *s)
{
    bool local = s->scene->kind == UNIX_CLIENT;
    int type = s->scene->kind == UDP_CLIENT ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(local ? AF_UNIX : AF_INET, type | SOCK_CLOEXEC, 0);
    struct sockaddr_in inet = {.sin_family = AF_INET};
    inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", s->path);
    unlink(s->path);
    if (bind(fd, local ? (void *)&un : (void *)&inet, local ? sizeof un : sizeof inet) <
        0)
        give_up("bind");
    if (type == SOCK_STREAM && listen(fd, 8) < 0)
        give_up("listen");
    s->address_size = sizeof s->address;
    getsockname(fd, (struct sockaddr *)&s->address, &s->address_size);
    s->listener = type == SOCK_STREAM ? fd : -1;
    s->udp = type == SOCK_STREAM ? -1 : fd;
}

static void play_client(struct session *s, const char *faults)
{
    open_peer(s);
    start(s, faults);
    if (s->scene->kind == WEB_CLIENT) {
        char where[60];
        snprintf(where, sizeof where, "127.0.0.1:%d at /ws", port_of(&s->address));
        expect(s, "Connecting to: ", where);
        serve_web(s);
        close(s->listener);
        finish(s);
        return;
    }
    type_all(s);
    const char *label = s->scene->label;
    if (s->scene->kind == UDP_CLIENT) {
        char name[60];
        snprintf(name, sizeof name, "127.0.0.1:%d", port_of(&s->address));
        expect(s, "The UDP server is ", name);
    }
    const char *lines[] = {"one", long_line, odd_shown};
    for (int i = 0; i < 3; i++) {
        append_string(&s->expected, ">> ");
        expect(s, label, lines[i]);
    }
    append_string(&s->expected, ">> ");
    switch (s->scene->kind) {
    case TCP_CLIENT:
        append_string(&s->expected, "->: bye\nTCP client exiting...\n");
        serve_stream(s, "bye\n");
        break;
    case UNIX_CLIENT:
        append_string(&s->expected, "Read: STOP\nExiting UNIX domain socket client!\n");
        serve_stream(s, "STOP\n");
        break;
    default:
        append_string(&s->expected, "Exiting UDP client!\n");
        serve_datagrams(s);
        break;
    }
    close(s->listener >= 0 ? s->listener : s->udp);
    finish(s);
}

/* ---- Playing the clients of a server ---- */

/* A connection, or -1 when the server has ended. */
static int call_server(struct session *s)
{
    int fd = socket(s->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        give_up("socket");
    if (s->scene->kind != UNIX_SERVER) /* or the pieces of a line wait for each other */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(fd, (struct sockaddr *)&s->address, s->address_size) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Whether the answer of `length` bytes to `line` (the whole one, its newline included) is
   right as far as it goes, and *whole if there is nothing to come. */
static bool right_answer(const struct session *s, const char *line, const char *answer,
                         size_t length, bool *whole)
{
    char want[40];
    *whole = length > 0 && answer[length - 1] == '\n';
    if (strcmp(s->program, "tcpS") == 0)
        return !*whole || (length >= 21 && answer[4] == '-' && answer[10] == 'T');
    if (strcmp(s->program, "concTCP") == 0) {
        int used = 0;
        snprintf(want, sizeof want, "Client number: ");
        if (length < strlen(want))
            return strncmp(want, answer, length) == 0;
        sscanf(answer, "Client number: %*u%n", &used);
        return !*whole || (used > 0 && (size_t)used + 1 == length);
    }
    *whole = length == strlen(line);
    return length <= strlen(line) && memcmp(line, answer, length) == 0;
}

/* Send a line, in pieces, and wait for its answer. */
static bool ask_line(struct session *s, int fd, const char *line, size_t first_piece)
{
    struct text answer = {0};
    size_t length = strlen(line);
    if (send(fd, line, first_piece, MSG_NOSIGNAL) < 0 ||
        send(fd, line + first_piece, length - first_piece, MSG_NOSIGNAL) < 0)
        return false;
    for (bool whole = false; !whole;) {
        if (await(s, fd, POLLIN) != READY || !take(fd, &answer))
            return false;
        if (!right_answer(s, line, answer.data, answer.length, &whole))
            return false;
    }
    snprintf(s->answer, sizeof s->answer, "%.39s", answer.data);
    return true;
}

/* Wait for the end of the connection, with nothing before it but what is at `rest`. */
static bool see_end(struct session *s, int fd, const char *rest)
{
    struct text last = {0};
    while (await(s, fd, POLLIN) == READY)
        if (!take(fd, &last))
            return strcmp(last.data, rest) == 0;
    return false;
}

/* One client's whole session. Returns whether it was served whole. */
static bool talk_stream(struct session *s)
{
    int fd = call_server(s);
    if (fd < 0)
        return false;
    char line[LONG_LINE + 2], odd[sizeof odd_line + 1];
    snprintf(line, sizeof line, "%s\n", long_line);
    snprintf(odd, sizeof odd, "%s\n", odd_line);
    bool whole = ask_line(s, fd, "one\n", 2) && ask_line(s, fd, line, 700) &&
                 ask_line(s, fd, odd, strlen(odd));
    bool echo =
        strcmp(s->program, "otherTCPserver") == 0 || s->scene->kind == UNIX_SERVER;
    bool number = strcmp(s->program, "concTCP") == 0;
    const char *last = number ? "end\nSTOP\n" : echo ? "end" : "";
    whole = whole && send(fd, last, strlen(last), MSG_NOSIGNAL) >= 0;
    whole = whole && (number || shutdown(fd, SHUT_WR) == 0) &&
            see_end(s, fd, number ? s->answer : last);
    close(fd);
    if (whole) {
        expect(s, s->scene->label, "one");
        expect(s, s->scene->label, long_line);
        expect(s, s->scene->label, odd_shown);
        if (*last != '\0')
            expect(s, s->scene->label, "end");
    }
    return whole;
}

/* One datagram and its answer. It is lost when the server has complained instead. */
static bool ask_datagram(struct session *s, const char *text, const char *shown)
{
    int fd = socket(s->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&s->address, s->address_size) < 0)
        give_up("connect");
    send(fd, text, strlen(text), MSG_NOSIGNAL);
    char answer[16] = "";
    ssize_t n = -1;
    const char *said = s->stderr_text.data + s->stderr_text.length;
    while (n < 0 && strstr(said, ": sendto ") == NULL) {
        struct pollfd list[] = {{.fd = fd, .events = POLLIN},
                                {.fd = s->err, .events = POLLIN}};
        if (poll(list, 2, DEADLINE_MS) == 0) {
            wrong(s, "it hangs");
            break;
        }
        if (list[0].revents != 0)
            n = recv(fd, answer, sizeof answer - 1, 0);
        else if (!take(s->err, &s->stderr_text))
            break;
    }
    listen_to_tell(s);
    close(fd);
    if (n > 0 && strspn(answer, "0123456789") == (size_t)n) {
        expect(s, s->scene->label, shown);
        expect(s, "data: ", answer);
        return true;
    }
    return false;
}

/* Ask wsServer for a WebSocket. Returns the connection, or -1. */
static int call_web(struct session *s, struct text *come)
{
    int fd = call_server(s);
    struct sockaddr_in local;
    socklen_t size = sizeof local;
    char head[200], name[40];
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&local, &size) < 0)
        return -1;
    snprintf(head, sizeof head,
             "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n");
    struct text answer = {0};
    if (send(fd, head, strlen(head), MSG_NOSIGNAL) >= 0 &&
        read_head(s, fd, come, &answer) &&
        strncmp(answer.data, "HTTP/1.1 101 ", 13) == 0 &&
        strstr(answer.data, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")) {
        snprintf(name, sizeof name, "127.0.0.1:%d", ntohs(local.sin_port));
        if (s->call == CALL_getnameinfo && s->hit && s->error != FAULT_SIGTERM)
            s->nameless = true;
        expect(s, "Connection from: ", name);
        return fd;
    }
    close(fd);
    return -1;
}

/* Send a message, in two frames with a Ping between them, and wait for Pong and echo. It is
   printed as `shown`. */
static bool ask_web(struct session *s, int fd, const char *text, const char *shown,
                    struct text *come)
{
    static struct text payload;
    size_t length = strlen(text);
    if (!send_web_frame(fd, 0x01, text, 1, true) ||
        !send_web_frame(fd, 0x89, "ping", 4, true) ||
        !send_web_frame(fd, 0x80, text + 1, length - 1, true) ||
        read_web_frame(s, fd, come, &payload) != 0x8a ||
        strcmp(payload.data, "ping") != 0 ||
        read_web_frame(s, fd, come, &payload) != 0x81 || strcmp(payload.data, text) != 0)
        return false;
    expect(s, s->scene->label, shown);
    return true;
}

/* Send Pings by the hundred in one go, so that their Pongs are more than is sent at once. */
static bool ask_pongs(struct session *s, int fd, struct text *come)
{
    enum { PINGS = 600, SIZE = 12 };
    static const unsigned char ping[SIZE] = {0x89, 0x86, 0,   0,   0,   0,
                                             'p',  'u',  'l', 's', 'e', 's'};
    unsigned char pings[PINGS * SIZE];
    struct text payload = {0};
    for (size_t i = 0; i < sizeof pings; i++)
        pings[i] = ping[i % SIZE];
    bool good = send(fd, pings, sizeof pings, MSG_NOSIGNAL) == (ssize_t)sizeof pings;
    for (int i = 0; i < PINGS && good; i++)
        good = read_web_frame(s, fd, come, &payload) == 0x8a &&
               strcmp(payload.data, "pulses") == 0;
    return good;
}

/* The closing handshake. */
static bool close_web(struct session *s, int fd, struct text *come)
{
    struct text payload = {0};
    return send_web_frame(fd, 0x88, "\x03\xe8", 2, true) &&
           read_web_frame(s, fd, come, &payload) == 0x88 && payload.length == 2 &&
           memcmp(payload.data, "\x03\xe8", 2) == 0 && shutdown(fd, SHUT_WR) == 0 &&
           see_end(s, fd, "");
}

static bool talk_web(struct session *s)
{
    struct text come = {0};
    int fd = call_web(s, &come);
    if (fd < 0)
        return false;
    char cut[1100];
    snprintf(cut, sizeof cut, "%.1024s... (%zu bytes)", long_line, strlen(long_line));
    bool whole = ask_web(s, fd, "one \xc2\x9b", "one \\xc2\\x9b", &come) &&
                 ask_web(s, fd, long_line, cut, &come) && ask_pongs(s, fd, &come) &&
                 close_web(s, fd, &come);
    close(fd);
    return whole;
}

/* Fetch the page. */
static bool talk_page(struct session *s)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    int fd = call_server(s);
    struct text page = {0};
    if (fd < 0)
        return false;
    bool whole = send(fd, request, strlen(request), MSG_NOSIGNAL) >= 0;
    while (whole && await(s, fd, POLLIN) == READY && take(fd, &page))
        continue;
    const char *length = strstr(page.data, "\r\nContent-Length: ");
    const char *body = strstr(page.data, "\r\n\r\n");
    whole = strncmp(page.data, "HTTP/1.1 200 ", 13) == 0 && length != NULL &&
            body != NULL && strlen(body + 4) == (size_t)atoi(length + 18);
    close(fd);
    return whole;
}

static bool talk(struct session *s)
{
    bool whole;
    switch (s->scene->kind) {
    case UDP_SERVER:
        whole = ask_datagram(s, "one", "one") && ask_datagram(s, "", "") &&
                ask_datagram(s, odd_line, odd_shown);
        break;
    case WEB_SERVER:
        whole = s->talks++ == 0 ? talk_page(s) : talk_web(s);
        break;
    default:
        whole = talk_stream(s);
        break;
    }
    listen_to_tell(s);
    if (!whole)
        s->lost++;
    return whole;
}

/* How many entries /proc/PID/WHAT has: descriptors or threads. */
static int count_in_proc(const struct session *s, const char *what)
{
    char name[60];
    snprintf(name, sizeof name, "/proc/%ld/%s", (long)s->pid, what);
    DIR *list = opendir(name);
    int count = 0;
    while (list != NULL && readdir(list) != NULL)
        count++;
    if (list != NULL)
        closedir(list);
    return count;
}

/* All clients have left: nothing may remain of them. */
static void check_nothing_left(struct session *s, int descriptors, int threads)
{
    for (long until = now_ms() + 3000; !s->ended; listen_to_tell(s)) {
        int more = count_in_proc(s, "fd") - descriptors;
        int more_threads = count_in_proc(s, "task") - threads;
        if (more <= 0 && more_threads <= 0)
            return;
        if (now_ms() > until) {
            wrong(s, "%d descriptors and %d threads left behind", more, more_threads);
            return;
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}

/* Read the server's first line, and its address out of it. Returns whether it serves. */
static bool read_address(struct session *s)
{
    const char *end;
    while ((end = memchr(s->stderr_text.data, '\n', s->stderr_text.length)) == NULL)
        if (await(s, s->err, POLLIN) != READY || !take(s->err, &s->stderr_text))
            return false;
    char begin[60];
    snprintf(begin, sizeof begin, "%s: listening on ", s->program);
    if (strncmp(s->stderr_text.data, begin, strlen(begin)) != 0)
        return false;
    if (s->scene->kind == UNIX_SERVER) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        snprintf(un.sun_path, sizeof un.sun_path, "%s", s->path);
        memcpy(&s->address, &un, sizeof un);
        s->address_size = sizeof un;
        return true;
    }
    while (end[-1] != ':' && end[-1] != ' ')
        end--;
    int port = atoi(end);
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
    inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(&s->address, &inet, sizeof inet);
    s->address_size = sizeof inet;
    return port != 0;
}

/* Send SIGTERM, once the server waits for clients. The leak check that the handler makes
   would wait for ever where the signal came in the middle of malloc(). */
static void ask_to_end(const struct session *s)
{
    char name[60], line[300] = "";
    snprintf(name, sizeof name, "/proc/%ld/stat", (long)s->pid);
    for (long until = now_ms() + 2000;
         strstr(line, ") S ") == NULL && now_ms() < until;) {
        FILE *file = fopen(name, "r");
        if (file == NULL || fgets(line, sizeof line, file) == NULL)
            line[0] = '\0';
        if (file != NULL)
            fclose(file);
    }
    kill(s->pid, SIGTERM);
}

/* Have the server end: by STOP, as often as STOP is lost, or by a signal. */
static void end_server(struct session *s)
{
    if (!s->scene->stops) {
        ask_to_end(s);
        return;
    }
    const char *farewell =
        strcmp(s->program, "udpS") == 0 ? "Exiting UDP server!" : "Exiting TCP server!";
    if (s->scene->kind == UDP_SERVER)
        expect(s, s->scene->label, "STOP");
    expect(s, "", farewell);
    for (int tries = 0; tries < 2 && !s->ended; tries++) {
        int type = s->scene->kind == UDP_SERVER ? SOCK_DGRAM : SOCK_STREAM;
        int fd = socket(s->address.ss_family, type | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&s->address, s->address_size) == 0 &&
            send(fd, "STOP\n", 5, MSG_NOSIGNAL) == 5) {
            struct text rest = {0};
            while (await(s, type == SOCK_DGRAM ? -1 : fd, POLLIN) == READY)
                if (!take(fd, &rest))
                    break;
        }
        close(fd);
        /* A connection that ended may be the server's end, or one that was lost. */
        if (!s->ended && s->hit && s->lost == 0) {
            int again = call_server(s);
            if (again < 0)
                break;
            close(again);
        }
    }
}

static void make_stale_socket(const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
    if (bind(fd, (struct sockaddr *)&un, sizeof un) < 0)
        give_up("bind");
    close(fd);
}

/* A server may end by itself only of what no peer and no lack of means can bring about. */
static bool may_die_of_own_fault(const struct session *s)
{
    return (s->call == CALL_accept || s->call == CALL_recvfrom) &&
           (s->error == EBADF || s->error == EINVAL || s->error == ENOTSOCK ||
            s->error == EOPNOTSUPP || s->error == ENOTCONN);
}

static void play_server(struct session *s, const char *faults)
{
    struct stat stale = {0}, left;
    unlink(s->path);
    if (s->scene->stale) {
        make_stale_socket(s->path);
        lstat(s->path, &stale);
    }
    start(s, faults);
    if (read_address(s)) {
        int descriptors = count_in_proc(s, "fd"), threads = count_in_proc(s, "task");
        bool web = s->scene->kind == WEB_SERVER;
        if (web && threads == 3) /* ".", ".." and one: the second is just starting */
            threads++;
        struct text come = {0};
        int bystander = !s->scene->threads ? -1
                        : web              ? call_web(s, &come)
                                           : call_server(s);
        bool served = bystander >= 0 && (web ? ask_web(s, bystander, "hi", "hi", &come)
                                             : ask_line(s, bystander, "hi\n", 3));
        if (served && !web)
            expect(s, s->scene->label, "hi");
        talk(s);
        talk(s);
        if (s->lost > 0 && s->why == NULL && !s->ended)
            talk(s);
        if (served && web) {
            served = ask_web(s, bystander, "hi", "hi", &come) &&
                     close_web(s, bystander, &come);
        } else if (served && (served = ask_line(s, bystander, "hi\n", 3))) {
            expect(s, s->scene->label, "hi");
            shutdown(bystander, SHUT_WR);
            served = see_end(s, bystander, "");
        }
        if (s->scene->threads && !served)
            s->lost++;
        if (bystander >= 0)
            close(bystander);
        if (s->why == NULL && !s->ended)
            check_nothing_left(s, descriptors, threads);
        if (s->why == NULL && !s->ended)
            end_server(s);
    } else if (strstr(s->stderr_text.data, "listening on unknown address") != NULL) {
        ask_to_end(s);
    }
    finish(s);
    bool listened = strstr(s->stderr_text.data, ": listening on ") != NULL;
    bool excused = s->call == CALL_unlink || (s->call == CALL_lstat && listened) ||
                   may_die_of_own_fault(s);
    if (s->scene->kind == UNIX_SERVER && !excused && lstat(s->path, &left) == 0 &&
        (left.st_ctim.tv_sec != stale.st_ctim.tv_sec ||
         left.st_ctim.tv_nsec != stale.st_ctim.tv_nsec))
        wrong(s, "its socket file stays behind");
}

/* ---- What must come of a fault ---- */

static bool is_one_of(const char *word, const char *list)
{
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

static bool is_server(const struct session *s)
{
    return s->scene->kind >= TCP_SERVER;
}

/* The text by which a line on stderr gives the reason of the fault. */
static const char *reason_of(const struct session *s)
{
    int e = s->error;
    if (s->call == CALL_getnameinfo)
        return "unknown address";
    if (s->call == CALL_getaddrinfo)
        return e == EAI_SYSTEM ? strerror(ENFILE) : gai_strerror(e);
    if (!is_server(s) && (e == ECONNRESET || e == EPIPE) &&
        (s->call == CALL_read || s->call == CALL_write))
        return "connection closed by server";
    if (s->call == CALL_write && (e == EAGAIN || e == EWOULDBLOCK))
        return strerror(ETIMEDOUT);
    return strerror(e);
}

/* The words of which one names what the call was for. */
static const char *purpose_of(enum fault_call call)
{
    switch (call) {
    case CALL_socket:
    case CALL_connect:
    case CALL_bind:
    case CALL_listen:
    case CALL_getsockopt:
    case CALL_lstat:
    case CALL_unlink:
        return "connect listen DialTCP DialUDP";
    case CALL_getaddrinfo:
        return "address ResolveTCPAddr ResolveUDPAddr";
    case CALL_read:
        return "read";
    case CALL_malloc:
        return "read malloc";
    case CALL_fflush:
    case CALL_write:
        return "write";
    default:
        return NULL;
    }
}

static int lines_in(const struct text *t)
{
    int lines = 0;
    for (size_t i = 0; i < t->length; i++)
        lines += t->data[i] == '\n';
    return lines;
}

/* The line must be `NAME: purpose ...: reason`. */
static void check_line(struct session *s, const char *line)
{
    char begin[60], word[40] = "";
    snprintf(begin, sizeof begin, "%s: ", s->program);
    if (strncmp(line, begin, strlen(begin)) != 0) {
        wrong(s, "a line on stderr does not begin with \"%s\"", begin);
        return;
    }
    const char *reason = reason_of(s);
    if (s->error == FAULT_TIMEOUT)
        return;
    if (strstr(line, ": read stdin: ") != NULL || strstr(line, "/dev/urandom: ") != NULL)
        reason = strerror(s->error);
    /* Found gone and then there: somebody else's. Its server too busy: a server's. */
    if (s->scene->stale &&
        ((s->call == CALL_lstat && s->nth == 1 && s->error == ENOENT) ||
         (s->call == CALL_poll && s->error == EAGAIN)))
        reason = strerror(EADDRINUSE);
    if (s->error == ENOMEM && strstr(line, ": 1011 out of memory\n") != NULL)
        return;
    if (strstr(line, reason) == NULL)
        wrong(s, "stderr does not say \"%s\"", reason);
    sscanf(line + strlen(begin), "%39[^: ]", word);
    const char *purpose = purpose_of(s->call);
    bool closed = strcmp(reason, "connection closed by server") == 0;
    if (purpose != NULL && !closed && !is_one_of(word, purpose))
        wrong(s, "stderr names \"%s\", not one of: %s", word, purpose);
}

/* Nothing came of it: the session is whole. */
static void check_whole(struct session *s)
{
    if (!WIFEXITED(s->status) || WEXITSTATUS(s->status) != 0)
        wrong(s, "it did not end with 0");
    if (!s->nameless &&
        (s->stdout_text.length != s->expected.length ||
         memcmp(s->stdout_text.data, s->expected.data, s->expected.length) != 0))
        wrong(s, "stdout is not what it should be");
    if (s->lost > 0)
        wrong(s, "%d clients were lost", s->lost);
}

/* It ended with 1 and one line that says why, and what it printed before is right. */
static void check_died(struct session *s, const char *line)
{
    if (!WIFEXITED(s->status) || WEXITSTATUS(s->status) != 1)
        wrong(s, "it did not end with 1");
    const char *end = strchr(line, '\n');
    if (end == NULL || end[1] != '\0')
        wrong(s, "not one line on stderr");
    check_line(s, line);
    if (is_server(s))
        return;
    if (s->stdout_text.length > s->expected.length ||
        memcmp(s->stdout_text.data, s->expected.data, s->stdout_text.length) != 0)
        wrong(s, "stdout was not right up to there");
}

/* The calls whose failure is passed over by design, whatever it is. */
static bool passed_over(const struct session *s)
{
    return s->error == EINTR || s->call == CALL_setsockopt || s->call == CALL_shutdown ||
           s->call == CALL_close || s->call == CALL_getnameinfo ||
           s->call == CALL_nanosleep || s->call == CALL_pthread_attr_setstacksize ||
           s->call == CALL_fcntl || (s->call == CALL_open && s->nth == 1);
}

/* A client may go on after these: a second address, a read that only looked whether there
   was anything, a write that is tried again. */
static bool may_go_on(const struct session *s)
{
    return s->scene->forgiving || s->call == CALL_read ||
           (s->call == CALL_poll && s->scene->kind == UDP_CLIENT) ||
           s->error == FAULT_TIMEOUT || (s->call == CALL_write && s->error == EAGAIN);
}

static void judge_client(struct session *s)
{
    static const char farewell[] = "TCP client exiting...\n";
    bool good = WIFEXITED(s->status) && WEXITSTATUS(s->status) == 0;
    if (good && s->call == CALL_read && s->error == ECONNRESET &&
        strstr(s->expected.data, farewell) != NULL &&
        strstr(s->stdout_text.data, farewell) != NULL)
        return; /* after STOP a reset is a fine end */
    if (!s->hit || passed_over(s) || (good && may_go_on(s))) {
        if (s->call == CALL_getnameinfo && s->scene->kind == UDP_CLIENT && s->hit) {
            char *end = memchr(s->expected.data, '\n', s->expected.length);
            struct text rest = {0};
            append(&rest, end, s->expected.length - (size_t)(end - s->expected.data));
            s->expected.length = 0;
            append_string(&s->expected, "The UDP server is unknown address");
            append(&s->expected, rest.data, rest.length);
        }
        if (s->stderr_text.length > 0)
            wrong(s, "stderr is not empty");
        check_whole(s);
    } else {
        check_died(s, s->stderr_text.data);
    }
}

/* A timeout where there was something to wait for: one reply is not printed, and stderr
   says so; the rest of the session is whole. */
static void judge_missing_reply(struct session *s)
{
    if (s->stderr_text.length == 0) {
        check_whole(s);
        return;
    }
    if (WIFEXITED(s->status) && WEXITSTATUS(s->status) == 1 && s->scene->fixed != NULL) {
        const char *more = strchr(s->stderr_text.data, '\n') + 1;
        check_died(s, *more == '\0' ? s->stderr_text.data : more);
        return;
    }
    if (!WIFEXITED(s->status) || WEXITSTATUS(s->status) != 0)
        wrong(s, "it did not end with 0");
    if (lines_in(&s->stderr_text) != 1 ||
        strstr(s->stderr_text.data, ": no reply in 2 s\n") == NULL)
        wrong(s, "stderr does not say that there was no reply");
    struct text without = {0};
    const char *at = s->expected.data;
    bool found = false;
    for (const char *label; !found && (label = strstr(at, "Reply: ")) != NULL;) {
        const char *end = strchr(label, '\n') + 1;
        without.length = 0;
        append(&without, s->expected.data, (size_t)(label - s->expected.data));
        append_string(&without, end);
        found = strcmp(without.data, s->stdout_text.data) == 0;
        at = end;
    }
    if (!found)
        wrong(s, "stdout lacks not just one reply");
}

static void judge_server(struct session *s)
{
    char *first_end = strchr(s->stderr_text.data, '\n');
    bool listened = strstr(s->stderr_text.data, ": listening on ") != NULL;
    const char *more = first_end == NULL ? "" : first_end + 1;
    if (s->error == FAULT_SIGTERM && s->hit) {
        bool before =
            !listened && WIFSIGNALED(s->status) && WTERMSIG(s->status) == SIGTERM;
        if (!before && (!WIFEXITED(s->status) || WEXITSTATUS(s->status) != 0))
            wrong(s, "SIGTERM did not end it in good order");
        return;
    }
    if (!s->hit) {
        if (*more != '\0' && s->scene->fixed == NULL)
            wrong(s, "stderr has more than one line");
        check_whole(s);
        return;
    }
    if (!listened) {
        if (passed_over(s) && s->call != CALL_getnameinfo)
            wrong(s, "it does not serve");
        check_died(s, s->stderr_text.data);
        return;
    }
    if (strstr(s->stderr_text.data, "listening on unknown address") != NULL) {
        if (!WIFEXITED(s->status) || WEXITSTATUS(s->status) != 0)
            wrong(s, "it did not end with 0");
        return;
    }
    if (may_die_of_own_fault(s) && WIFEXITED(s->status) && WEXITSTATUS(s->status) == 1) {
        const char *second = s->scene->fixed == NULL ? NULL : strchr(more, '\n');
        check_died(s, second == NULL ? more : second + 1);
        return;
    }
    if (lines_in(&s->stderr_text) > 2 + (s->scene->fixed != NULL))
        wrong(s, "more than one line on stderr");
    if (*more != '\0' && s->scene->fixed == NULL)
        check_line(s, more);
    bool nobody_hit = passed_over(s) || s->call == CALL_fflush ||
                      s->call == CALL_accept || s->call == CALL_recvfrom ||
                      s->call == CALL_pthread_create || s->call == CALL_pthread_attr_init;
    if (s->lost == 0 && s->call != CALL_fflush) {
        check_whole(s);
        return;
    }
    if (!WIFEXITED(s->status) || WEXITSTATUS(s->status) != 0)
        wrong(s, "it did not end with 0");
    if (s->lost > 1 || (s->lost == 1 && nobody_hit))
        wrong(s, "%d clients were lost", s->lost);
    if (passed_over(s) && *more != '\0')
        wrong(s, "stderr has more than one line");
}

/* ---- One session after another ---- */

static int error_value(const char *name)
{
    for (int call = 0; call < CALLS; call++)
        for (const struct error_name *e = errors_of[call]; e->name != NULL; e++)
            if (strcmp(e->name, name) == 0)
                return e->value;
    give_up(name);
}

/* Show what was said; a run of one byte is cut short. */
static void show_text(const char *what, const struct text *t)
{
    printf("    %s: \"", what);
    for (size_t i = 0, run = 0; i < t->length; i++) {
        unsigned char c = (unsigned char)t->data[i];
        run = i > 0 && t->data[i] == t->data[i - 1] ? run + 1 : 0;
        if (run == 4)
            printf("...");
        else if (c == '\n')
            printf("\\n");
        else if (run < 4)
            putchar(isprint(c) ? c : '?');
    }
    printf("\"\n");
}

/* Play the scene once with the nth `call` failing by `error`; CALLS: nothing fails beyond
   what the scene has fixed, and made[] is set. Returns whether it passed; *hit says
   whether the scene has such a call at all. */
static bool play(const struct scene *scene, int worker, enum fault_call call, int nth,
                 const struct error_name *error, bool *hit, int *made)
{
    static struct session s;
    memset(&s, 0, sizeof s);
    s.scene = scene;
    s.program = scene->program;
    s.call = call;
    s.nth = nth;
    s.error = call == CALLS ? 0 : error->value;
    s.in = s.listener = s.udp = -1;
    s.until = now_ms() + DEADLINE_MS;
    snprintf(s.path, sizeof s.path, "%s/%d", work_directory, worker);

    char faults[200] = "trace";
    if (call != CALLS) {
        snprintf(faults, sizeof faults, "%s %d %d", call_name[call], nth, s.error);
        char fixed_call[40], fixed_error[40];
        int fixed_nth;
        if (scene->fixed != NULL && sscanf(scene->fixed, "%39s %d %39s", fixed_call,
                                           &fixed_nth, fixed_error) == 3) {
            size_t used = strlen(faults);
            snprintf(faults + used, sizeof faults - used, " %s %d %d", fixed_call,
                     fixed_nth, error_value(fixed_error));
        }
    }
    if (is_server(&s))
        play_server(&s, faults);
    else
        play_client(&s, faults);
    if (is_server(&s))
        judge_server(&s);
    else if (scene->kind == UDP_CLIENT &&
             (s.error == FAULT_TIMEOUT ||
              (scene->fixed && strstr(scene->fixed, "timeout"))))
        judge_missing_reply(&s);
    else
        judge_client(&s);
    *hit = s.hit;
    if (made != NULL)
        memcpy(made, s.made, sizeof s.made);
    if (s.why == NULL)
        return true;
    printf("FAIL %s %s", scene->program, scene->arguments);
    if (call != CALLS)
        printf(": %s no. %d fails with %s", call_name[call], nth, error->name);
    if (scene->fixed != NULL && call != CALLS)
        printf(" (and %s)", scene->fixed);
    printf(": %s\n", s.why);
    if (WIFSIGNALED(s.status))
        printf("    signal %d", WTERMSIG(s.status));
    else
        printf("    exit %d", WEXITSTATUS(s.status));
    printf(", lost %d\n", s.lost);
    show_text("stderr", &s.stderr_text);
    show_text("stdout", &s.stdout_text);
    fflush(stdout);
    return false;
}

static struct shared {
    atomic_int next_job;
    atomic_int survived[SCENES][CALLS + 1], failed[SCENES][CALLS + 1];
} * shared;

/* What POSIX lists for the call but not for what the scene does with it. The connect() of
   a datagram socket waits for nothing, so no signal can interrupt it. */
static bool never(const struct scene *scene, enum fault_call call, int error)
{
    return scene->kind == UDP_CLIENT && call == CALL_connect && error == EINTR;
}

/* The first call to fail: behind the one that fails in any case. */
static int first_nth(const struct scene *scene, const char *call)
{
    char fixed[40];
    int nth = 0;
    if (scene->fixed != NULL && sscanf(scene->fixed, "%39s %d", fixed, &nth) == 2 &&
        strcmp(fixed, call) != 0)
        nth = 0;
    return nth + 1;
}

/* A job is one scene with one kind of call failing. */
static void work(int worker, char **names)
{
    static int made[SCENES][CALLS];
    static bool known[SCENES];
    for (int job;
         (job = atomic_fetch_add(&shared->next_job, 1)) < SCENES * (CALLS + 1);) {
        int number = job / (CALLS + 1), call = CALLS - job % (CALLS + 1);
        const struct scene *scene = &scenes[number];
        bool wanted = *names == NULL;
        for (char **name = names; *name != NULL; name++)
            wanted = wanted || strcmp(*name, scene->program) == 0;
        if (!wanted)
            continue;
        bool hit;
        if (!known[number]) {
            bool good = play(scene, worker, CALLS, 0, NULL, &hit, made[number]);
            known[number] = true;
            if (call == CALLS)
                atomic_fetch_add(
                    &(good ? shared->survived : shared->failed)[number][CALLS], 1);
        }
        if (call == CALLS || (made[number][call] == 0 && scene->fixed == NULL) ||
            (scene->only != NULL && !is_one_of(call_name[call], scene->only)))
            continue;
        static const struct error_name term[] = {{FAULT_SIGTERM, "SIGTERM"}, {0, NULL}};
        bool server = scene->kind >= TCP_SERVER;
        for (int group = 0; group < 1 + server; group++) {
            hit = true;
            int nth = first_nth(scene, call_name[call]);
            for (; hit && nth < MOST_NTH && shared->failed[number][call] < ENOUGH;
                 nth++) {
                const struct error_name *e = group == 0 ? errors_of[call] : term;
                for (; hit && e->name != NULL; e++) {
                    if (never(scene, (enum fault_call)call, e->value))
                        continue;
                    if (shared->failed[number][call] >= ENOUGH)
                        break;
                    bool good =
                        play(scene, worker, (enum fault_call)call, nth, e, &hit, NULL);
                    if (hit || !good)
                        atomic_fetch_add(
                            &(good ? shared->survived : shared->failed)[number][call], 1);
                }
            }
        }
    }
}

/* The table: a row for each call, a column for each program. */
static void print_table(int *passed, int *failed)
{
    const char *programs[SCENES] = {NULL};
    int columns = 0;
    for (int i = 0; i < SCENES; i++)
        if (i == 0 || strcmp(scenes[i].program, scenes[i - 1].program) != 0)
            programs[columns++] = scenes[i].program;
    printf("%-26s", "faults survived");
    for (int c = 0; c < columns; c++)
        printf(" %*s", (int)strlen(programs[c]) < 6 ? 6 : (int)strlen(programs[c]),
               programs[c]);
    printf("\n");
    for (int call = 0; call <= CALLS; call++) {
        int cells[SCENES] = {0}, all = 0;
        for (int i = 0; i < SCENES; i++) {
            *failed += shared->failed[i][call];
            *passed += shared->survived[i][call];
            all += shared->failed[i][call] + shared->survived[i][call];
            for (int c = 0; c < columns; c++)
                if (strcmp(programs[c], scenes[i].program) == 0)
                    cells[c] += shared->survived[i][call];
        }
        if (all == 0)
            continue;
        printf("%-26s", call == CALLS ? "(none fails)" : call_name[call]);
        for (int c = 0; c < columns; c++)
            printf(" %*d", (int)strlen(programs[c]) < 6 ? 6 : (int)strlen(programs[c]),
                   cells[c]);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: faults_driver DIRECTORY [NAME ...]\n");
        return 2;
    }
    directory = argv[1];
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    setenv("LC_ALL", "C", 1);
    memset(long_line, 'x', LONG_LINE);
    if (mkdtemp(work_directory) == NULL)
        give_up("mkdtemp");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        give_up("mmap");
    for (int worker = 0; worker < WORKERS; worker++) {
        pid_t pid = fork();
        if (pid < 0)
            give_up("fork");
        if (pid == 0) {
            work(worker, argv + 2);
            fflush(stdout);
            _exit(0);
        }
    }
    bool broken = false;
    int status;
    while (wait(&status) > 0)
        broken = broken || status != 0;
    rmdir(work_directory);
    int passed = 0, failed = broken;
    print_table(&passed, &failed);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
