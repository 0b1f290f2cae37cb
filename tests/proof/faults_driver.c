/*
 * faults_driver.c - fails each call of a program in turn, and sees what comes of it
 *
 *   faults_driver DIRECTORY NAME
 *
 * DIRECTORY holds the program, built with faults.c inside. It plays its scenes (a session
 * with a peer that this driver plays) first with nothing failing, which also tells which
 * calls it makes; then with the first call of a kind failing with each error that POSIX
 * has for it, then the second, until the scene has no further one.
 *
 * Prints a line for each fault that was not survived, for each kind of call the number of
 * those that were, and `N passed, N failed`.
 */
#define _POSIX_C_SOURCE 200809L
#include "faults.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_SIZE = 32768, DEADLINE_MS = 10000, MOST_NTH = 40 };
enum { ENOUGH = 3 /* failures of one call in a scene: the rest would say no more */ };

/* ---- The errors of each call: POSIX.1-2008, and what Linux adds to it ----

   EINTR is there for read(), write() and wsClient's poll(): the programs have no handler
   that returns to another call. */

struct error_name {
    int value;
    const char *name;
};

// clang-format off
#define E(name) {name, #name}
// clang-format on
#define ERRORS(call, ...)                                                                \
    static const struct error_name errors_of_##call[] = {__VA_ARGS__, {0, NULL}};

ERRORS(accept, E(EAGAIN), E(EBADF), E(ECONNABORTED), E(EHOSTUNREACH), E(EINVAL),
       E(EMFILE), E(ENETDOWN), E(ENETUNREACH), E(ENFILE), E(ENOBUFS), E(ENOMEM),
       E(ENOTSOCK), E(EOPNOTSUPP), E(EPERM), E(EPROTO), E(ETIMEDOUT))
ERRORS(bind, E(EACCES), E(EADDRINUSE), E(EADDRNOTAVAIL), E(EAFNOSUPPORT), E(EBADF),
       E(EINVAL), E(EIO), E(ELOOP), E(ENAMETOOLONG), E(ENOBUFS), E(ENOENT), E(ENOTDIR),
       E(ENOTSOCK), E(EOPNOTSUPP), E(EROFS))
ERRORS(close, E(EINTR), E(EIO))
ERRORS(connect, E(EACCES), E(EADDRINUSE), E(EADDRNOTAVAIL), E(EAFNOSUPPORT), E(EBADF),
       E(ECONNREFUSED), E(ECONNRESET), E(EHOSTUNREACH), E(EINVAL), E(EIO), E(ELOOP),
       E(ENETDOWN), E(ENETUNREACH), E(ENOBUFS), E(ENOENT), E(ENOTSOCK), E(EOPNOTSUPP),
       E(EPERM), E(EPROTOTYPE), E(ETIMEDOUT))
ERRORS(fcntl, E(EACCES), E(EBADF), E(EINVAL), E(EMFILE))
ERRORS(fflush, E(EAGAIN), E(EBADF), E(EFBIG), E(EIO), E(ENOMEM), E(ENOSPC), E(ENXIO),
       E(EPIPE))
ERRORS(fopen, E(EACCES), E(EINVAL), E(EMFILE), E(ENFILE), E(ENOENT), E(ENOMEM))
ERRORS(fread, E(EAGAIN), E(EBADF), E(EIO), E(ENOMEM))
ERRORS(getaddrinfo, E(EAI_AGAIN), E(EAI_BADFLAGS), E(EAI_FAIL), E(EAI_FAMILY),
       E(EAI_MEMORY), E(EAI_NONAME), E(EAI_SERVICE), E(EAI_SOCKTYPE), E(EAI_SYSTEM))
ERRORS(getnameinfo, E(EAI_AGAIN), E(EAI_BADFLAGS), E(EAI_FAIL), E(EAI_FAMILY),
       E(EAI_MEMORY), E(EAI_NONAME), E(EAI_OVERFLOW), E(EAI_SYSTEM))
ERRORS(getsockname, E(EBADF), E(EINVAL), E(ENOBUFS), E(ENOTSOCK), E(EOPNOTSUPP))
ERRORS(getpeername, E(EBADF), E(EINVAL), E(ENOBUFS), E(ENOTCONN), E(ENOTSOCK))
ERRORS(listen, E(EACCES), E(EADDRINUSE), E(EBADF), E(EDESTADDRREQ), E(EINVAL), E(ENOBUFS),
       E(ENOTSOCK), E(EOPNOTSUPP))
ERRORS(lstat, E(EACCES), E(EIO), E(ELOOP), E(ENAMETOOLONG), E(ENOENT), E(ENOMEM),
       E(ENOTDIR), E(EOVERFLOW))
ERRORS(malloc, E(ENOMEM))
ERRORS(open, E(EACCES), E(EIO), E(ELOOP), E(EMFILE), E(ENAMETOOLONG), E(ENFILE),
       E(ENODEV), E(ENOENT), E(ENOMEM), E(ENXIO), E(EPERM))
ERRORS(pipe, E(EMFILE), E(ENFILE))
ERRORS(poll, E(EAGAIN), E(EINTR), E(EINVAL), E(ENOMEM))
ERRORS(pthread_attr_setstacksize, E(EINVAL))
ERRORS(pthread_create, E(EAGAIN), E(EPERM))
ERRORS(read, E(EAGAIN), E(EBADF), E(EBADMSG), E(ECONNRESET), E(EINTR), E(EINVAL), E(EIO),
       E(EISDIR), E(ENOBUFS), E(ENOMEM), E(ENOTCONN), E(ENXIO), E(ETIMEDOUT))
ERRORS(realloc, E(ENOMEM))
ERRORS(recv, E(EBADF), E(ECONNREFUSED), E(ECONNRESET), E(EHOSTUNREACH), E(EINVAL), E(EIO),
       E(ENETDOWN), E(ENOBUFS), E(ENOMEM), E(ENOTCONN), E(ENOTSOCK), E(EOPNOTSUPP),
       E(ETIMEDOUT))
#define errors_of_recvfrom errors_of_recv
ERRORS(send, E(EACCES), E(EBADF), E(ECONNREFUSED), E(ECONNRESET), E(EDESTADDRREQ),
       E(EHOSTUNREACH), E(EIO), E(EMSGSIZE), E(ENETDOWN), E(ENETUNREACH), E(ENOBUFS),
       E(ENOMEM), E(ENOTCONN), E(ENOTSOCK), E(EOPNOTSUPP), E(EPERM), E(EPIPE))
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

#define FAULT_ERRORS(call) errors_of_##call,
static const struct error_name *const errors_of[] = {FAULT_CALLS(FAULT_ERRORS)};
static const char *const call_name[] = {FAULT_CALLS(FAULT_NAME)};

/* ---- The scenes ----

   What a program is sent, what has to come of it, and what it prints of it. In what has
   to come and in what is printed # stands for a number, * for any text. */

struct bytes {
    const char *data;
    size_t length;
};

// clang-format off
#define B(text) {text, sizeof(text) - 1}
// clang-format on

struct exchange {
    struct bytes to, from; /* the program */
    const char *shown;     /* NULL ends a conversation of less than TALK exchanges */
};
enum { TALK = 6 };

#define TEN(text) text text text text text text text text text text
#define HUNDRED(text) TEN(TEN(text))
#define X2000 HUNDRED(TEN("xx"))
#define NO_MASK "\0\0\0\0"
#define PING "\x89\x84" NO_MASK "ping"
#define PONG "\x8a\x84" NO_MASK "ping"

static const struct exchange tcp_client[TALK] = {
    {B("one\n"), B("one\n"), ">> ->: one\n"},
    {B("two\n"), B("two\n"), ">> ->: two\n"},
    {{NULL, 0}, B("STOP\n"), ">> ->: TCP client exiting...\n"},
};
static const struct exchange udp_client[TALK] = {
    {B("one\n"), B("one\n"), "The UDP server is 127.0.0.1:*\n>> Reply: one\n"},
    {B("two\n"), B("two\n"), ">> Reply: two\n"},
    {{NULL, 0}, B("STOP\n"), ">> Exiting UDP client!\n"},
};
static const struct exchange unix_client[TALK] = {
    {B("one\n"), B("one\n"), ">> Read: one\n"},
    {B("STOP\n"), B("STOP\n"), ">> Read: STOP\nExiting UNIX domain socket client!\n"},
};
/* Frames that are cut where a program has an answer to send before it waits for the rest;
   Pings whose Pongs are more than is sent at once. */
static const struct exchange web_client[TALK] = {
    {B("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
       "Connection: keep-alive , Upgrade\r\n"
       "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n" HUNDRED("\x89\4ping")
           TEN("\x89\4ping") "\x89\4p"),
     B("GET /ws HTTP/1.1\r\n*\r\n"
       "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n*\r\n\r\n"),
     "Connecting to: 127.0.0.1:* at /ws\n"},
    {B("ing\x89\4ping\x81\x7e"), B(HUNDRED(PONG) TEN(PONG)), ""},
    {B("\x07\xd0" X2000 "\x81\5one\r\n"), B(PONG PONG),
     "Received: " X2000 "\nReceived: one\n"},
    {B("\x88\2\3\xe8"),
     B("\x81\x83" NO_MASK "one\x81\xfe\x07\xd0" NO_MASK X2000 "\x88\x82" NO_MASK
       "\3\xe8"),
     ""},
};
static const struct exchange time_server[TALK] = {
    {B("one\n"), B("#-#-#T#:#:#Z\n"), "-> one\n"},
    {B("two\n"), B("#-#-#T#:#:#Z\n"), "-> two\n"},
};
static const struct exchange tcp_echo[TALK] = {
    {B("one\n"), B("one\n"), "> one\n"},
    {B("two\n"), B("two\n"), "> two\n"},
};
static const struct exchange number_server[TALK] = {
    {B("one"), B("#"), "-> one\ndata: #\n"},
    {B(""), B("#"), "-> \ndata: #\n"},
};
static const struct exchange counting_server[TALK] = {
    {B("one\n"), B("Client number: #\n"), "one\n"},
    {B("two\nSTOP\n"), B("Client number: #\n"), "two\n"},
};
static const struct exchange unix_echo[TALK] = {
    {B("one\n"), B("one\n"), "Server got: one\n"},
    {B("two\n"), B("two\n"), "Server got: two\n"},
};
static const struct exchange page[TALK] = {
    {B("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
     B("HTTP/1.1 200 *\r\n\r\n*</script>\n"), ""},
};
static const struct exchange web_echo[TALK] = {
    {B("GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
       "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
       "Sec-WebSocket-Version: 13\r\n\r\n"),
     B("HTTP/1.1 101 *\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n*"),
     "Connection from: *\n"},
    {B(PING "\x81\xfe"), B("\x8a\4ping"), ""},
    {B("\x07\xd0" NO_MASK X2000 PING "\x89\x84" NO_MASK "p"),
     B("\x81\x7e\x07\xd0" X2000 "\x8a\4ping"), "Received*\n"},
    {B("ing" HUNDRED(PING) HUNDRED(PING) "\x81\x85" NO_MASK "one\r\n"),
     B("\x8a\4ping" HUNDRED("\x8a\4ping") HUNDRED("\x8a\4ping") "\x81\5one\r\n"),
     "Received: one\n"},
    {B("\x88\x82" NO_MASK "\3\xe8"), B("\x88\2\3\xe8"), ""},
};

struct scene { // NOLINT(clang-analyzer-optin.performance.Padding)
    const char *program;
    const char *arguments; /* %s is the peer's port, or its own path */
    const struct exchange *talk;
    const char *typed;    /* into a client */
    const char *farewell; /* of a server that STOP ends; SIGTERM ends the others */
    const char *calls;    /* to fail; all of them without it */
    int family, type;     /* IPv4 and a stream without it */
    bool threads;         /* a server that serves clients side by side */
    bool forgiving;       /* a client with a second address to try */
    bool stale;           /* a server that finds a socket nobody serves at PATH */
};

static const struct scene scenes[] = {
    {"tcpC", "127.0.0.1:%s", tcp_client, .typed = "one\ntwo\nSTOP\n"},
    {"tcpC", ":%s", tcp_client, .typed = "one\ntwo\nSTOP\n",
     .calls = " socket connect close ", .forgiving = true},
    {"otherTCPclient", "127.0.0.1:%s 127.0.0.1:0", tcp_client,
     .typed = "one\ntwo\nSTOP\n"},
    {"udpC", "127.0.0.1:%s", udp_client, .typed = "one\ntwo\nSTOP\n", .type = SOCK_DGRAM},
    {"unixSocket", "%s", unix_client, .typed = "one\nSTOP\n", .family = AF_UNIX},
    {"wsClient", "127.0.0.1:%s /ws", web_client, .typed = "one\n" X2000 "\n"},
    {"tcpS", "0", time_server, .farewell = "Exiting TCP server!\n"},
    {"otherTCPserver", ":0", tcp_echo, .farewell = "Exiting TCP server!\n"},
    {"udpS", "0", number_server, .farewell = "-> STOP\nExiting UDP server!\n",
     .type = SOCK_DGRAM},
    {"concTCP", "0", counting_server, .threads = true},
    {"unixSocket", "-l %s", unix_echo, .family = AF_UNIX, .threads = true},
    {"unixSocket", "-l %s", unix_echo, .family = AF_UNIX, .threads = true,
     .calls = " lstat socket fcntl connect close unlink bind listen ", .stale = true},
    {"wsServer", ":0", page, .threads = false},
    {"wsServer", ":0", web_echo, .threads = true},
};

static const char *directory;
static char work_directory[] = "/tmp/faults.XXXXXX", path[sizeof work_directory + 7];

/* ---- A session's state ---- */

struct text {
    size_t length;
    char data[TEXT_SIZE];
};

enum { IN, OUT, ERR, TELL, PIPES };

struct session {
    const struct scene *scene;
    enum fault_call call; /* CALLS: none is to fail */
    int nth, error;

    pid_t pid;
    int pipes[PIPES]; /* our ends of the program's stdin, stdout, stderr and TELL_FD */
    bool hit;         /* the fault that is tried has come */
    bool slept;       /* the program has called sleep() */
    bool ended;       /* tell is at its end, so the program is */
    int status;
    int made[CALLS]; /* with "trace": how often each call was made */
    int descriptors; /* when it has connected, or listens */
    union {
        struct sockaddr any;
        struct sockaddr_in inet;
        struct sockaddr_un un;
    } address; /* of the server, this driver's or the program's */
    socklen_t address_size;
    struct text stdout_text, stderr_text, expected;
    int lost;      /* conversations that were not whole */
    char why[400]; /* what is wrong, or "" */
    long until;    /* the deadline, in ms */
};

static bool is_server(const struct session *s)
{
    return s->scene->typed == NULL;
}

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
    va_list arguments;
    va_start(arguments, format);
    if (s->why[0] == '\0')
        vsnprintf(s->why, sizeof s->why, format, arguments);
    va_end(arguments);
}

static void append(struct text *t, const char *data, size_t length)
{
    if (length > sizeof t->data - 1 - t->length)
        length = sizeof t->data - 1 - t->length;
    memcpy(t->data + t->length, data, length);
    t->length += length;
    t->data[t->length] = '\0';
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
    struct text told = {0};
    if (!s->ended)
        s->ended = !take(s->pipes[TELL], &told);
    for (size_t i = 0; i < told.length; i++) {
        unsigned char byte = (unsigned char)told.data[i];
        s->hit = s->hit || byte == FAULT_HIT;
        s->slept = s->slept || byte == FAULT_SLEPT;
        if (byte < CALLS)
            s->made[byte]++;
    }
}

/* Wait until there is something to read from fd. Returns false if nothing will come: the
   program has ended, or has failed to send the answer, or the time is over. */
static bool await(struct session *s, int fd)
{
    while (s->call != CALL_sendto || !s->hit || s->lost > 0) {
        struct pollfd list[] = {{.fd = fd, .events = POLLIN},
                                {.fd = s->ended ? -1 : s->pipes[TELL], .events = POLLIN}};
        long left = s->ended ? 0 : s->until - now_ms();
        int n = poll(list, 2, left > 0 ? (int)left : 0);
        if (n == 0 && !s->ended)
            wrong(s, "it hangs");
        if (n == 0)
            return false;
        if (list[1].revents != 0)
            listen_to_tell(s);
        if (list[0].revents != 0)
            return true;
    }
    return false;
}

enum match { DIFFERS, SO_FAR, ALL };

/* Whether the text matches the pattern, all of it or its beginning. */
static enum match match(struct bytes pattern, const char *text, size_t length)
{
    const char *p = pattern.data, *pattern_end = p + pattern.length;
    const char *end = text + length, *star = NULL, *taken = NULL;
    while (p < pattern_end || text < end) {
        bool number = p < pattern_end && *p == '#';
        if (p < pattern_end && *p == '*') {
            star = ++p; /* what is behind it, and the text up to which it stands for */
            taken = text;
        } else if (text == end) {
            return SO_FAR;
        } else if (number ? isdigit((unsigned char)*text) != 0
                          : p < pattern_end && *p == *text) {
            p++;
            do
                text++;
            while (number && text < end && isdigit((unsigned char)*text));
        } else if (star != NULL) {
            p = star;
            text = ++taken;
        } else {
            return DIFFERS;
        }
    }
    return ALL;
}

static enum match match_stdout(const struct session *s)
{
    return match((struct bytes){s->expected.data, s->expected.length},
                 s->stdout_text.data, s->stdout_text.length);
}

/* ---- The engine: a program is started, spoken to, ended ---- */

/* The command line as it is, its words apart. */
static void fill_in(const struct session *s, char *arguments, size_t size)
{
    char port[12];
    bool local = s->scene->family == AF_UNIX;
    snprintf(port, sizeof port, "%d", ntohs(s->address.inet.sin_port));
    snprintf(arguments, size, s->scene->arguments, local ? s->address.un.sun_path : port);
}

static void start(struct session *s, const char *fault)
{
    static const int number[PIPES] = {0, 1, 2, TELL_FD};
    char arguments[300], file[300], *argv[10] = {file};
    int argc = 1, theirs[PIPES], fds[2];
    fill_in(s, arguments, sizeof arguments);
    for (char *word = strtok(arguments, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    snprintf(file, sizeof file, "%s/%s", directory, s->scene->program);

    for (int i = 0; i < PIPES; i++) {
        if (pipe(fds) < 0)
            give_up("pipe");
        theirs[i] = fds[i == IN ? 0 : 1];
        s->pipes[i] = fds[i == IN ? 1 : 0];
        fcntl(theirs[i], F_SETFD, FD_CLOEXEC);
        fcntl(s->pipes[i], F_SETFD, FD_CLOEXEC);
    }
    s->pid = fork();
    if (s->pid < 0)
        give_up("fork");
    if (s->pid == 0) {
        for (int i = 0; i < PIPES; i++)
            dup2(theirs[i], number[i]);
        setenv("FAULT", fault, 1);
        signal(SIGPIPE, SIG_DFL);
        execv(file, argv);
        _exit(127);
    }
    for (int i = 0; i < PIPES; i++)
        close(theirs[i]);
}

/* Wait for the program's end, or make one to it, and take all that it has said. */
static void finish(struct session *s)
{
    while (!s->ended && s->why[0] == '\0')
        await(s, -1);
    if (!s->ended)
        kill(s->pid, SIGKILL);
    waitpid(s->pid, &s->status, 0);
    take(s->pipes[OUT], &s->stdout_text);
    take(s->pipes[ERR], &s->stderr_text);
    for (int i = 0; i < PIPES; i++)
        close(s->pipes[i]);
}

/* Wait for what is wanted, and nothing more. */
static bool hear(struct session *s, int fd, struct bytes want)
{
    struct text come = {0};
    enum match m = want.length == 0 ? ALL : SO_FAR;
    for (bool more = true; m == SO_FAR && more;) {
        if (!await(s, fd))
            return false;
        more = take(fd, &come);
        m = match(want, come.data, come.length);
    }
    return m == ALL;
}

/* Have the exchanges from `first` to before `end` with the program. Returns false, and
   counts it, if one did not come about as it should. A server has printed what it is to
   print when this returns, so that its clients' lines have an order. */
static bool converse(struct session *s, int fd, int first, int end)
{
    bool server = is_server(s);
    const struct exchange *x = s->scene->talk + first;
    for (; first < end && x->shown != NULL; x++, first++) {
        bool heard = server || hear(s, fd, x->from);
        if (heard && x->to.data != NULL)
            send(fd, x->to.data, x->to.length, MSG_NOSIGNAL);
        if (!heard || (server && !hear(s, fd, x->from))) {
            s->lost++;
            return false;
        }
        if (!server)
            continue;
        append(&s->expected, x->shown, strlen(x->shown));
        while (s->call != CALL_fflush && s->lost == 0 && match_stdout(s) == SO_FAR)
            if (!await(s, s->pipes[OUT]) || !take(s->pipes[OUT], &s->stdout_text))
                break;
    }
    return true;
}

/* Wait for the end of the connection, of which the peer sees the end first. Returns
   whether nothing came before it. */
static bool hang_up(struct session *s, int fd)
{
    struct text rest = {0};
    if (s->scene->type == SOCK_DGRAM)
        return true;
    shutdown(fd, SHUT_WR);
    while (await(s, fd) && take(fd, &rest))
        continue;
    return rest.length == 0;
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

/* ---- Playing the server to a client ---- */

static int open_socket(const struct session *s)
{
    int type = s->scene->type != 0 ? s->scene->type : SOCK_STREAM;
    int fd = socket(s->address.any.sa_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        give_up("socket");
    return fd;
}

/* Bind a socket at s->address, which becomes the real one. */
static int open_peer(struct session *s)
{
    int fd = open_socket(s);
    if (bind(fd, &s->address.any, s->address_size) < 0)
        give_up("bind");
    getsockname(fd, &s->address.any, &s->address_size);
    return fd;
}

/* The client's connection, or the socket of its datagrams. */
static int accept_client(struct session *s, int peer)
{
    if (s->scene->type != SOCK_DGRAM)
        return accept(peer, NULL, NULL);
    struct sockaddr_storage client;
    socklen_t size = sizeof client;
    char byte;
    recvfrom(peer, &byte, 1, MSG_PEEK, (struct sockaddr *)&client, &size);
    (void)connect(peer, (struct sockaddr *)&client, size);
    return dup(peer);
}

static void play_client(struct session *s, const char *fault)
{
    const char *typed = s->scene->typed;
    int peer = open_peer(s);
    if (s->scene->type != SOCK_DGRAM && listen(peer, 8) < 0)
        give_up("listen");
    start(s, fault);
    if (write(s->pipes[IN], typed, strlen(typed)) < 0 && errno != EPIPE)
        give_up("write");
    close(s->pipes[IN]);
    s->pipes[IN] = -1;
    for (const struct exchange *x = s->scene->talk; x->shown != NULL; x++)
        append(&s->expected, x->shown, strlen(x->shown));
    if (await(s, peer)) {
        int fd = accept_client(s, peer);
        s->descriptors = count_in_proc(s, "fd");
        converse(s, fd, 0, TALK);
        hang_up(s, fd);
        close(fd);
    }
    close(peer);
    finish(s);
}

/* ---- Playing the clients of a server ---- */

/* A connection, or -1 when the server has ended. */
static int call_server(const struct session *s)
{
    int fd = open_socket(s);
    if (connect(fd, &s->address.any, s->address_size) == 0)
        return fd;
    close(fd);
    return -1;
}

/* One client's whole session, but for what it has had already. */
static void visit(struct session *s, int fd, int had)
{
    if (fd < 0 || (converse(s, fd, had, TALK) && !hang_up(s, fd)))
        s->lost++;
    if (fd >= 0)
        close(fd);
    listen_to_tell(s);
}

/* All clients have left: nothing may remain of them. */
static void check_nothing_left(struct session *s, int threads)
{
    int more, more_threads;
    do {
        more = count_in_proc(s, "fd") - s->descriptors;
        more_threads = count_in_proc(s, "task") - threads;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        listen_to_tell(s);
    } while ((more > 0 || more_threads > 0) && !s->ended && now_ms() < s->until);
    if (!s->ended && (more > 0 || more_threads > 0))
        wrong(s, "%d descriptors and %d threads left behind", more, more_threads);
}

/* Read the server's first line, and its address out of it. Returns whether it serves. */
static bool read_address(struct session *s)
{
    const char *end, *colon;
    while ((end = strchr(s->stderr_text.data, '\n')) == NULL)
        if (!await(s, s->pipes[ERR]) || !take(s->pipes[ERR], &s->stderr_text))
            return false;
    for (colon = end; *colon != ':';)
        colon--;
    if (s->scene->family != AF_UNIX)
        s->address.inet.sin_port = htons((in_port_t)atoi(colon + 1));
    return strstr(s->stderr_text.data, ": listening on ") != NULL && colon[1] != '?';
}

/* Send SIGTERM, once the server waits for clients: the leak check that the handler makes
   would wait for ever where the signal came in the middle of malloc(). */
static void terminate(const struct session *s)
{
    char name[60], line[300] = "";
    snprintf(name, sizeof name, "/proc/%ld/stat", (long)s->pid);
    while (strstr(line, ") S ") == NULL && now_ms() < s->until) {
        FILE *file = fopen(name, "r");
        if (file == NULL || fgets(line, sizeof line, file) == NULL)
            line[0] = '\0';
        if (file != NULL)
            fclose(file);
    }
    kill(s->pid, SIGTERM);
}

/* Have the server end by STOP; once more where the first STOP may be lost. */
static void stop(struct session *s)
{
    struct text rest = {0};
    append(&s->expected, s->scene->farewell, strlen(s->scene->farewell));
    for (int tries = 0, fd; tries < 2 && (fd = call_server(s)) >= 0; tries++) {
        send(fd, "STOP\n", 5, MSG_NOSIGNAL);
        while (await(s, s->scene->type == SOCK_DGRAM ? -1 : fd) && take(fd, &rest))
            continue;
        close(fd);
    }
}

static void play_server(struct session *s, const char *fault)
{
    if (s->scene->stale)
        close(open_peer(s));
    start(s, fault);
    if (read_address(s)) {
        int threads = count_in_proc(s, "task");
        s->descriptors = count_in_proc(s, "fd");
        int bystander = s->scene->threads ? call_server(s) : -1;
        int had = bystander >= 0 && converse(s, bystander, 0, 1);
        visit(s, call_server(s), 0);
        visit(s, call_server(s), 0);
        if (had)
            visit(s, bystander, 1);
        else if (bystander >= 0)
            close(bystander);
        if (s->lost > 0)
            visit(s, call_server(s), 0);
        check_nothing_left(s, threads);
        if (s->scene->farewell != NULL)
            stop(s);
        else
            terminate(s);
    } else if (strstr(s->stderr_text.data, ": listening on ") != NULL) {
        terminate(s);
    }
    finish(s);
    if (s->stdout_text.length > 0 && s->call != CALL_unlink && access(path, F_OK) == 0)
        wrong(s, "the socket's file is still there");
}

/* ---- What is right ---- */

static bool is_one_of(const char *word, const char *words)
{
    char spaced[100];
    snprintf(spaced, sizeof spaced, " %s ", word);
    return strstr(words, spaced) != NULL;
}

static bool fails(const struct session *s, const char *calls)
{
    return s->call != CALLS && is_one_of(call_name[s->call], calls);
}

static bool is_web_client(const struct scene *scene)
{
    return strcmp(scene->program, "wsClient") == 0;
}

/* Find `: REASON` in the line, REASON being one that is right. */
static const char *find_reason(const struct session *s, const char *line)
{
    int e = s->error;
    bool lookup = s->call == CALL_getaddrinfo && e != EAI_SYSTEM;
    bool closed = e == ECONNRESET || e == EPIPE || is_web_client(s->scene);
    const char *reasons[] = {
        lookup ? gai_strerror(e) : strerror(s->call == CALL_getaddrinfo ? ENFILE : e),
        fails(s, " read write ") && closed ? "connection closed" : NULL,
        s->call == CALL_realloc ? "1011 out of memory" : NULL,
        s->scene->stale ? strerror(EADDRINUSE) : NULL, /* not known to be free */
        s->call == CALL_fread ? "cannot be read" : NULL,
        s->call == CALL_read ? "400 Bad Request: The request is not complete." : NULL,
    };
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        char text[100];
        snprintf(text, sizeof text, ": %s", reasons[i] == NULL ? "\n" : reasons[i]);
        const char *at = strstr(line, text);
        if (at != NULL)
            return at;
    }
    return NULL;
}

/* There is one line, `NAME: WHAT: REASON`. */
static void check_line(struct session *s, const char *line, bool started)
{
    char begin[60], what[300], arguments[300], words[310];
    int length = snprintf(begin, sizeof begin, "%s: ", s->scene->program);
    const char *end = strchr(line, '\n'), *reason = find_reason(s, line);
    if (end == NULL || end[1] != '\0')
        wrong(s, "not one line on stderr");
    else if (strncmp(line, begin, (size_t)length) != 0)
        wrong(s, "the line on stderr does not begin with \"%s\"", begin);
    else if (reason == NULL)
        wrong(s, "stderr does not say the reason");
    if (started || s->why[0] != '\0')
        return;
    snprintf(what, sizeof what, "%.*s", (int)(reason - line) - length, line + length);
    fill_in(s, arguments, sizeof arguments);
    snprintf(words, sizeof words, " %s ", arguments);
    const char *right = s->call == CALL_fflush           ? " stdout "
                        : fails(s, " fopen fread pipe ") ? " /dev/urandom "
                        : fails(s, " read write ")       ? " server stdin "
                                                         : words;
    if (s->call != CALL_realloc && !is_one_of(what, right))
        wrong(s, "stderr names \"%s\", not one of:%s", what, right);
}

static bool ended_with(const struct session *s, int status)
{
    return WIFEXITED(s->status) && WEXITSTATUS(s->status) == status;
}

/* Nothing came of it: the session is whole. */
static void check_whole(struct session *s)
{
    if (!ended_with(s, 0))
        wrong(s, "it did not end with 0");
    if (match_stdout(s) != ALL)
        wrong(s, "stdout is not what it should be");
}

/* It ended with 1 and one line that says why, and what it printed before is right. */
static void check_died(struct session *s)
{
    if (!ended_with(s, 1))
        wrong(s, "it did not end with 1");
    check_line(s, s->stderr_text.data, false);
    if (match_stdout(s) == DIFFERS)
        wrong(s, "stdout was not right up to there");
}

/* It has as many descriptors, where it serves or is served, as in the first scene in
   which nothing fails. */
static void check_descriptors(struct session *s)
{
    static int right;
    if (!s->hit && !s->scene->forgiving && !s->scene->stale)
        right = s->descriptors;
    if (ended_with(s, 0) && s->descriptors > right)
        wrong(s, "%d descriptors too many", s->descriptors - right);
}

/* The calls whose failure is passed over by design, whatever it is. */
static bool passed_over(const struct session *s)
{
    return !s->hit || (s->error == EINTR && fails(s, " read write poll ")) ||
           fails(
               s,
               " close fcntl getnameinfo getpeername getsockname open setsockopt shutdown "
               "pthread_attr_setstacksize ");
}

/* A client may go on after a failed connect() to one of two addresses, a poll(), a read()
   that only looked whether there was anything, or a read() with a time limit. A udpC may
   miss a reply, and a wsClient leaves in any case after its goodbye, its seventh write(). */
static void judge_client(struct session *s)
{
    bool good = ended_with(s, 0), silent = s->stderr_text.length == 0;
    bool may_go_on = fails(s, " read poll ") || s->scene->forgiving;
    bool may_leave = is_web_client(s->scene) &&
                     (s->lost == 0 || (s->call == CALL_write && s->nth >= 7));
    check_descriptors(s);
    if (good && fails(s, " poll ") && strstr(s->stderr_text.data, ": no reply in 2 s\n"))
        return;
    if (good && may_leave && silent && match_stdout(s) != DIFFERS)
        return;
    if (!passed_over(s) && !(good && may_go_on)) {
        check_died(s);
        return;
    }
    if (!silent)
        wrong(s, "stderr is not empty");
    check_whole(s);
}

static void judge_server(struct session *s)
{
    bool served = strstr(s->stderr_text.data, ": listening on ") != NULL;
    bool known = strstr(s->stderr_text.data, ": listening on ?") == NULL;
    const char *more = strchr(s->stderr_text.data, '\n');
    more = more == NULL ? "" : more + 1;
    check_descriptors(s);
    if (!served) {
        if (passed_over(s))
            wrong(s, "it does not serve");
        check_died(s);
        return;
    }
    bool silent = passed_over(s) || s->call == CALL_fflush;
    bool waits = s->hit && s->error != ECONNABORTED &&
                 fails(s, " accept recvfrom malloc pthread_create ");
    if (silent && *more != '\0')
        wrong(s, "stderr has more than one line");
    if (!silent && *more != '\0')
        check_line(s, more, true);
    if (waits && (*more == '\0' || !s->slept))
        wrong(s, "it did not say so and wait a second");
    if (s->lost >
        (s->hit && s->error != EINTR && fails(s, " read write sendto realloc ")))
        wrong(s, "%d clients were lost", s->lost);
    if (!known && !fails(s, " getnameinfo getsockname "))
        wrong(s, "it does not know its address");
    if (!ended_with(s, 0))
        wrong(s, "it did not end with 0");
    if (known && s->lost == 0 && s->call != CALL_fflush)
        check_whole(s);
}

/* ---- One session after another ---- */

static int passed, failed;

/* Play the scene once with the nth `call` failing by `error`; CALLS: nothing fails, and
   made[] is filled. Returns whether the scene has such a call at all. */
static bool play(const struct scene *scene, enum fault_call call, int nth,
                 const struct error_name *error, int *made)
{
    static struct session s;
    memset(&s, 0, sizeof s);
    s.scene = scene;
    s.call = call;
    s.nth = nth;
    s.error = error->value;
    s.until = now_ms() + DEADLINE_MS;
    unlink(path);
    s.address.inet = (struct sockaddr_in){.sin_family = AF_INET};
    s.address.inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s.address_size = sizeof s.address.inet;
    if (scene->family == AF_UNIX) {
        s.address.un.sun_family = AF_UNIX;
        snprintf(s.address.un.sun_path, sizeof s.address.un.sun_path, "%s", path);
        s.address_size = sizeof s.address.un;
    }

    char fault[100] = "trace";
    if (call != CALLS)
        snprintf(fault, sizeof fault, "%s %d %d", call_name[call], nth, s.error);
    if (is_server(&s)) {
        play_server(&s, fault);
        judge_server(&s);
    } else {
        play_client(&s, fault);
        judge_client(&s);
    }
    if (call == CALLS)
        memcpy(made, s.made, sizeof s.made);
    bool good = s.why[0] == '\0';
    passed += good && (s.hit || call == CALLS);
    failed += !good;
    if (good)
        return s.hit;
    printf("FAIL %s %s", scene->program, scene->arguments);
    if (call != CALLS)
        printf(": %s no. %d fails with %s", call_name[call], nth, error->name);
    printf(": %s (lost %d, %s %d)\n    stderr: %.200s\n    stdout: %.200s\n", s.why,
           s.lost, WIFSIGNALED(s.status) ? "signal" : "exit",
           WIFSIGNALED(s.status) ? WTERMSIG(s.status) : WEXITSTATUS(s.status),
           s.stderr_text.data, s.stdout_text.data);
    return s.hit;
}

/* Fail the nth call of a kind, each of them if it is 0, with each error, until so many
   have failed. Returns whether the scene has such a call. */
static bool fail_call(const struct scene *scene, enum fault_call call, int nth, int most,
                      int *made)
{
    bool hit = true;
    for (const struct error_name *e = errors_of[call];
         hit && e->name != NULL && failed < most; e++)
        if (call != CALL_poll || e->value != EINTR || is_web_client(scene))
            hit = play(scene, call, nth, e, made);
    return hit;
}

/* Play the scene with nothing failing and, if that is right, with each of its calls. */
static void play_all(const struct scene *scene)
{
    const struct error_name none = {0, ""};
    int made[CALLS];
    int failed_before = failed;
    play(scene, CALLS, 0, &none, made);
    if (failed > failed_before)
        return;
    for (enum fault_call call = 0; call < CALLS; call++) {
        if (made[call] == 0 ||
            (scene->calls != NULL && !is_one_of(call_name[call], scene->calls)))
            continue;
        int passed_before = passed, most = failed + ENOUGH, nth = 1;
        while (nth < MOST_NTH && failed < most && fail_call(scene, call, nth, most, made))
            nth++;
        if (is_one_of(call_name[call], " connect getaddrinfo open socket "))
            fail_call(scene, call, 0, most, made);
        if (passed > passed_before)
            printf("survived %s %s %d\n", scene->program, call_name[call],
                   passed - passed_before);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: faults_driver DIRECTORY NAME\n");
        return 2;
    }
    directory = argv[1];
    signal(SIGPIPE, SIG_IGN);
    setenv("LC_ALL", "C", 1);
    setenv("TZ", "UTC0", 1);
    if (mkdtemp(work_directory) == NULL)
        give_up("mkdtemp");
    snprintf(path, sizeof path, "%s/socket", work_directory);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        if (strcmp(scenes[i].program, argv[2]) == 0)
            play_all(&scenes[i]);
    unlink(path);
    rmdir(work_directory);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
