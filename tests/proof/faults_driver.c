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
#include <unistd.h>

enum { TEXT_SIZE = 32768, DEADLINE_S = 10, MOST_NTH = 40 };
enum { ENOUGH = 3 /* failures of one call in a scene: the rest would say no more */ };

/* The errors of each call: POSIX.1-2008, and what Linux adds to it. EINTR is there for
   read(), write() and wsClient's poll(): the programs have no handler that returns to
   another call. */
static const struct call_errors {
    const char *calls;
    int errors[24];
} errors_of[] = {
    {" accept ",
     {EAGAIN, EBADF, ECONNABORTED, EHOSTUNREACH, EINVAL, EMFILE, ENETDOWN, ENETUNREACH,
      ENFILE, ENOBUFS, ENOMEM, ENOTSOCK, EOPNOTSUPP, EPERM, EPROTO, ETIMEDOUT}},
    {" bind ",
     {EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EBADF, EINVAL, EIO, ELOOP,
      ENAMETOOLONG, ENOBUFS, ENOENT, ENOTDIR, ENOTSOCK, EOPNOTSUPP, EROFS}},
    {" close ", {EINTR, EIO}},
    {" connect ", {EACCES,       EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EBADF,
                   ECONNREFUSED, ECONNRESET, EHOSTUNREACH,  EINVAL,       EIO,
                   ELOOP,        ENETDOWN,   ENETUNREACH,   ENOBUFS,      ENOENT,
                   ENOTSOCK,     EOPNOTSUPP, EPERM,         EPROTOTYPE,   ETIMEDOUT}},
    {" fclose ", {EIO, EPIPE}},
    {" fcntl ", {EACCES, EBADF, EINVAL, EMFILE}},
    {" fdopen ", {EMFILE, ENOMEM}},
    {" fflush ", {EAGAIN, EBADF, EFBIG, EIO, ENOMEM, ENOSPC, ENXIO, EPIPE}},
    {" fflush_socket ", {EBADF, ECONNRESET, EIO, ENOBUFS, EPIPE, ETIMEDOUT}},
    {" fopen ", {EACCES, EINVAL, EMFILE, ENFILE, ENOENT, ENOMEM}},
    {" fread ", {EAGAIN, EBADF, EIO, ENOMEM}},
    {" getaddrinfo ",
     {EAI_AGAIN, EAI_BADFLAGS, EAI_FAIL, EAI_FAMILY, EAI_MEMORY, EAI_NONAME, EAI_SERVICE,
      EAI_SOCKTYPE, EAI_SYSTEM}},
    {" getnameinfo ",
     {EAI_AGAIN, EAI_BADFLAGS, EAI_FAIL, EAI_FAMILY, EAI_MEMORY, EAI_NONAME, EAI_OVERFLOW,
      EAI_SYSTEM}},
    {" getsockname ", {EBADF, EINVAL, ENOBUFS, ENOTSOCK, EOPNOTSUPP}},
    {" getpeername shutdown ", {EBADF, EINVAL, ENOBUFS, ENOTCONN, ENOTSOCK}},
    {" listen ",
     {EACCES, EADDRINUSE, EBADF, EDESTADDRREQ, EINVAL, ENOBUFS, ENOTSOCK, EOPNOTSUPP}},
    {" lstat ", {EACCES, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EOVERFLOW}},
    {" malloc realloc ", {ENOMEM}},
    {" open ",
     {EACCES, EIO, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENODEV, ENOENT, ENOMEM, ENXIO,
      EPERM}},
    {" pipe ", {EMFILE, ENFILE}},
    {" poll ", {EAGAIN, EINTR, EINVAL, ENOMEM}},
    {" pthread_attr_setstacksize ", {EINVAL}},
    {" pthread_create ", {EAGAIN, EPERM}},
    {" read ",
     {EAGAIN, EBADF, EBADMSG, ECONNRESET, EINTR, EINVAL, EIO, EISDIR, ENOBUFS, ENOMEM,
      ENOTCONN, ENXIO, ETIMEDOUT}},
    {" recv recvfrom ",
     {EBADF, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL, EIO, ENETDOWN, ENOBUFS,
      ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, ETIMEDOUT}},
    {" send sendto ",
     {EACCES, EBADF, ECONNREFUSED, ECONNRESET, EDESTADDRREQ, EHOSTUNREACH, EIO, EMSGSIZE,
      ENETDOWN, ENETUNREACH, ENOBUFS, ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPERM,
      EPIPE}},
    {" setsockopt ",
     {EBADF, EDOM, EINVAL, EISCONN, ENOBUFS, ENOMEM, ENOPROTOOPT, ENOTSOCK}},
    {" socket ",
     {EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT,
      EPROTOTYPE}},
    {" unlink ",
     {EACCES, EBUSY, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM, EROFS}},
    {" write ",
     {EAGAIN, EBADF, ECONNRESET, EFBIG, EINTR, EINVAL, EIO, ENETDOWN, ENETUNREACH,
      ENOBUFS, ENOSPC, ENXIO, EPIPE}},
    {NULL, {0}},
};

static const char *const call_name[] = {FAULT_CALLS(FAULT_NAME)};

/* ---- The scenes ----

   What a program is sent, what has to come of it, and what it prints of it. In what has
   to come and in what is printed # stands for a number, * for any text. */

#define B(text) text, sizeof(text) - 1

struct exchange {
    const char *to; /* the program */
    size_t to_length;
    const char *from;
    size_t from_length;
    const char *shown; /* NULL ends a conversation of less than TALK exchanges */
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
    {NULL, 0, B("STOP\n"), ">> ->: TCP client exiting...\n"},
};
static const struct exchange tcp_end_of_input[TALK] = {
    {B("one\n"), B("one\n"), ">> ->: one\n"},
    {NULL, 0, B(""), ">> \n"},
};
static const struct exchange udp_client[TALK] = {
    {B("one\n"), B("one\n"), "The UDP server is 127.0.0.1:*\n>> Reply: one\n"},
    {B("two\n"), B("two\n"), ">> Reply: two\n"},
    {NULL, 0, B("STOP\n"), ">> Exiting UDP client!\n"},
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
static const struct exchange unix_end_of_input[TALK] = {
    {B("one\n"), B("one\n"), ">> Read: one\n"},
    {NULL, 0, B(""), ">> \n"},
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
    const char *typed;    /* into a client; a server without it */
    const char *farewell; /* of a server that STOP ends; SIGTERM ends the others */
    const char *calls;    /* to fail; all of them without it */
    int family, type;     /* IPv4 and a stream without it */
    bool threads;         /* a server that serves clients side by side */
    bool forgiving;       /* a client with a second address to try */
    bool stale;           /* a server that finds a socket nobody serves at PATH */
};

static const struct scene scenes[] = {
    {"tcpC", "127.0.0.1:%s", tcp_client, .typed = "one\ntwo\nSTOP\n"},
    {"tcpC", "127.0.0.1:%s", tcp_end_of_input, .typed = "one\n"},
    {"tcpC", ":%s", tcp_client, .typed = "one\ntwo\nSTOP\n",
     .calls = " socket connect close ", .forgiving = true},
    {"otherTCPclient", "127.0.0.1:%s 127.0.0.1:0", tcp_client,
     .typed = "one\ntwo\nSTOP\n"},
    {"udpC", "127.0.0.1:%s", udp_client, .typed = "one\ntwo\nSTOP\n", .type = SOCK_DGRAM},
    {"unixSocket", "%s", unix_client, .typed = "one\nSTOP\n", .family = AF_UNIX},
    {"unixSocket", "%s", unix_end_of_input, .typed = "one\n", .family = AF_UNIX},
    {"wsClient", "127.0.0.1:%s /ws", web_client, .typed = "one\n" X2000 "\n"},
    {"tcpS", "0", time_server, .farewell = "Exiting TCP server!\n"},
    {"tcpS", "127.0.0.1:0", time_server, .farewell = "Exiting TCP server!\n",
     .calls = " socket getaddrinfo "},
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
static struct sockaddr_un local = {.sun_family = AF_UNIX}; /* in a folder of its own */
static int passed, failed;

/* ---- The session that is played ---- */

struct text {
    size_t length;
    char data[TEXT_SIZE];
};

enum { IN, OUT, ERR, TELL, PIPES };

static struct session {
    const struct scene *scene;
    enum fault_call call; /* CALLS: none is to fail */
    int nth, error;

    char arguments[300]; /* of the program, a space before and behind each */
    pid_t pid;
    int pipes[PIPES]; /* our ends of the program's stdin, stdout, stderr and TELL_FD */
    bool hit;         /* the fault that is tried has come */
    bool slept;       /* the program has called sleep() */
    bool ended;       /* tell is at its end, so the program is */
    int status;
    int made[CALLS];    /* with "trace": how often each call was made */
    int descriptors;    /* when it has connected, or listens */
    bool served, known; /* a server has said that it listens, and at which address */
    union {
        struct sockaddr any;
        struct sockaddr_in inet;
        struct sockaddr_un un;
    } address; /* of the server, this driver's or the program's */
    socklen_t address_size;
    struct text stdout_text, stderr_text, expected;
    int lost;      /* conversations that were not whole */
    char why[400]; /* what is wrong, or "" */
} s;

static bool is_web_client(void)
{
    return strcmp(s.scene->program, "wsClient") == 0;
}

static bool is_web(void)
{
    return strncmp(s.scene->program, "ws", 2) == 0;
}

static bool is_one_of(const char *word, const char *words)
{
    char spaced[100];
    snprintf(spaced, sizeof spaced, " %s ", word);
    return strstr(words, spaced) != NULL;
}

static bool fails(const char *calls)
{
    return s.call != CALLS && is_one_of(call_name[s.call], calls);
}

/* Pass on the result of a call that this driver cannot do without. */
static int must(const char *what, int result)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "faults_driver: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* Note what is wrong with the session; the first fault found stands. */
__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (s.why[0] == '\0')
        vsnprintf(s.why, sizeof s.why, format, arguments);
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

/* Wait until there is something to read from fd; hear meanwhile what the program tells of
   its calls. Returns false if nothing will come: it has ended, or failed to answer. */
static bool await(int fd)
{
    for (;;) {
        struct pollfd list[] = {{.fd = fd, .events = POLLIN},
                                {.fd = s.ended ? -1 : s.pipes[TELL], .events = POLLIN}};
        bool unanswered = s.call == CALL_sendto && s.hit && s.lost == 0;
        if (poll(list, 2, s.ended || unanswered ? 0 : -1) == 0)
            return false;
        if (list[1].revents != 0) {
            unsigned char told[4096];
            ssize_t n = read(s.pipes[TELL], told, sizeof told);
            s.ended = n <= 0;
            for (ssize_t i = 0; i < n; i++) {
                s.hit = s.hit || told[i] == FAULT_HIT;
                s.slept = s.slept || told[i] == FAULT_SLEPT;
                if (told[i] < CALLS)
                    s.made[told[i]]++;
            }
        }
        if (list[0].revents != 0)
            return true;
    }
}

/* Wait for more, and take it. Returns false if nothing will come. */
static bool more(int fd, struct text *t)
{
    char data[16384];
    ssize_t n = await(fd) ? read(fd, data, sizeof data) : 0;
    if (n > 0)
        append(t, data, (size_t)n);
    return n > 0;
}

enum match { DIFFERS, SO_FAR, ALL };

/* Whether the text matches the pattern, all of it or its beginning. */
static enum match match(const char *p, size_t pattern_length, const char *text,
                        size_t length)
{
    const char *pattern_end = p + pattern_length;
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

static enum match match_stdout(void)
{
    return match(s.expected.data, s.expected.length, s.stdout_text.data,
                 s.stdout_text.length);
}

/* ---- The engine: a program is started, spoken to, ended ---- */

static void start(void)
{
    static const int number[] = {0, 1, 2, TELL_FD};
    char fault[100] = "trace", port[12], format[100], file[300], words[300];
    char *argv[10] = {file};
    int argc = 1, theirs[PIPES], fds[2];
    if (s.call != CALLS)
        snprintf(fault, sizeof fault, "%s %d %d", call_name[s.call], s.nth, s.error);
    snprintf(file, sizeof file, "%s/%s", directory, s.scene->program);
    snprintf(port, sizeof port, "%d", ntohs(s.address.inet.sin_port));
    snprintf(format, sizeof format, " %s ", s.scene->arguments);
    snprintf(s.arguments, sizeof s.arguments, format,
             s.scene->family == AF_UNIX ? local.sun_path : port);
    snprintf(words, sizeof words, "%s", s.arguments);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;

    for (int i = 0; i < PIPES; i++) {
        must("pipe", pipe(fds));
        theirs[i] = fds[i == IN ? 0 : 1];
        s.pipes[i] = fds[i == IN ? 1 : 0];
        fcntl(theirs[i], F_SETFD, FD_CLOEXEC);
        fcntl(s.pipes[i], F_SETFD, FD_CLOEXEC);
    }
    s.pid = must("fork", fork());
    if (s.pid == 0) {
        for (int i = 0; i < PIPES; i++)
            dup2(theirs[i], number[i]);
        setenv("FAULT", fault, 1);
        signal(SIGPIPE, SIG_DFL);
        execv(file, argv);
        _exit(127);
    }
    alarm(DEADLINE_S);
    for (int i = 0; i < PIPES; i++)
        close(theirs[i]);
}

/* The handler of SIGALRM: the deadline is over. */
static void end_program(int signal_number)
{
    (void)signal_number;
    kill(s.pid, SIGKILL);
}

/* Wait for the program's end, and take all that it has said. */
static void finish(void)
{
    while (!s.ended)
        await(-1);
    waitpid(s.pid, &s.status, 0);
    alarm(0);
    if (WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGKILL)
        wrong("it hangs");
    while (more(s.pipes[OUT], &s.stdout_text) || more(s.pipes[ERR], &s.stderr_text))
        continue;
    for (int i = 0; i < PIPES; i++)
        close(s.pipes[i]);
}

/* Wait for what is wanted, and nothing more. */
static bool hear(int fd, const char *want, size_t length)
{
    struct text come = {0};
    enum match m;
    do
        m = match(want, length, come.data, come.length);
    while (m == SO_FAR && more(fd, &come));
    return m == ALL;
}

/* Have the exchanges from `first` to before `end` with the program. Returns false, and
   counts it, if one did not come about as it should. A server has printed what it is to
   print when this returns, so that its clients' lines have an order. */
static bool converse(int fd, int first, int end)
{
    bool server = s.scene->typed == NULL;
    const struct exchange *x = s.scene->talk + first;
    for (; first < end && x->shown != NULL; x++, first++) {
        bool heard = server || hear(fd, x->from, x->from_length);
        if (heard && x->to != NULL)
            send(fd, x->to, x->to_length, MSG_NOSIGNAL);
        if (!heard || (server && !hear(fd, x->from, x->from_length))) {
            s.lost++;
            return false;
        }
        if (!server)
            continue;
        append(&s.expected, x->shown, strlen(x->shown));
        while (s.call != CALL_fflush && s.lost == 0 && match_stdout() == SO_FAR &&
               more(s.pipes[OUT], &s.stdout_text))
            continue;
    }
    return true;
}

/* The conversation from `first` on, to the end of the connection, before which nothing
   more may come. A server sees our end first; a client ends its own, unless something
   went wrong. */
static void visit(int fd, int first)
{
    struct text rest = {0};
    bool whole = converse(fd, first, TALK);
    if (s.scene->type != SOCK_DGRAM) {
        if (s.scene->typed == NULL || !whole)
            shutdown(fd, SHUT_WR);
        while (more(fd, &rest))
            continue;
    }
    if (whole && rest.length > 0)
        s.lost++;
    close(fd);
}

/* How many entries /proc/PID/WHAT has: descriptors or threads; 0 if the program ended. */
static int count_in_proc(const char *what)
{
    char name[60];
    snprintf(name, sizeof name, "/proc/%ld/%s", (long)s.pid, what);
    DIR *list = opendir(name);
    int count = 0;
    if (list == NULL)
        return 0;
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

static int open_socket(void)
{
    int type = s.scene->type != 0 ? s.scene->type : SOCK_STREAM;
    return must("socket", socket(s.address.any.sa_family, type | SOCK_CLOEXEC, 0));
}

/* Bind a socket at s.address, which becomes the real one. */
static int open_peer(void)
{
    int fd = open_socket();
    must("bind", bind(fd, &s.address.any, s.address_size));
    getsockname(fd, &s.address.any, &s.address_size);
    return fd;
}

/* ---- Playing the server to a client ---- */

/* The client's connection, or the socket of its datagrams. */
static int accept_client(int peer)
{
    if (s.scene->type != SOCK_DGRAM)
        return accept(peer, NULL, NULL);
    recvfrom(peer, NULL, 0, MSG_PEEK, &s.address.any, &s.address_size);
    must("connect", connect(peer, &s.address.any, s.address_size));
    return dup(peer);
}

static void play_client(void)
{
    int peer = open_peer();
    if (s.scene->type != SOCK_DGRAM)
        must("listen", listen(peer, 8));
    start();
    dprintf(s.pipes[IN], "%s", s.scene->typed);
    close(s.pipes[IN]);
    s.pipes[IN] = -1;
    for (const struct exchange *x = s.scene->talk; x->shown != NULL; x++)
        append(&s.expected, x->shown, strlen(x->shown));
    if (await(peer)) {
        int fd = accept_client(peer);
        s.descriptors = count_in_proc("fd");
        visit(fd, 0);
    }
    close(peer);
    finish();
}

/* ---- Playing the clients of a server ---- */

/* A connection; one on which nothing comes when the server has ended. */
static int call_server(void)
{
    int fd = open_socket();
    (void)connect(fd, &s.address.any, s.address_size);
    return fd;
}

/* All clients have left: nothing may remain of them. */
static void check_nothing_left(int threads)
{
    int descriptors, more_threads, tries = 0;
    do {
        descriptors = count_in_proc("fd") - s.descriptors;
        more_threads = count_in_proc("task") - threads;
        poll(NULL, 0, 2);
    } while ((descriptors > 0 || more_threads > 0) && ++tries < 2000);
    if (descriptors > 0 || more_threads > 0)
        wrong("%d descriptors and %d threads left behind", descriptors, more_threads);
}

/* Read the server's first line, and its port out of it. */
static void read_address(void)
{
    const char *end;
    while ((end = strchr(s.stderr_text.data, '\n')) == NULL)
        if (!more(s.pipes[ERR], &s.stderr_text))
            return;
    s.served = strstr(s.stderr_text.data, ": listening on ") != NULL;
    s.known = s.served && strstr(s.stderr_text.data, ": listening on ?") == NULL;
    while (*end != ':')
        end--;
    if (s.scene->family != AF_UNIX)
        s.address.inet.sin_port = htons((in_port_t)atoi(end + 1));
}

/* Send SIGTERM, once the server waits for clients: the leak check before its end would
   wait for ever where the signal came in the middle of malloc(). */
static void terminate(void)
{
    char name[60], line[300] = "";
    snprintf(name, sizeof name, "/proc/%ld/stat", (long)s.pid);
    while (strstr(line, ") S ") == NULL && strstr(line, ") Z ") == NULL) {
        int fd = must(name, open(name, O_RDONLY));
        must(name, (int)read(fd, line, sizeof line - 1));
        close(fd);
    }
    kill(s.pid, SIGTERM);
}

/* Have the server end by STOP; once more where the first STOP may be lost. */
static void stop(void)
{
    struct text rest = {0};
    append(&s.expected, s.scene->farewell, strlen(s.scene->farewell));
    for (int tries = 0; tries < 2; tries++) {
        int fd = call_server();
        send(fd, "STOP\n", 5, MSG_NOSIGNAL);
        while (more(fd, &rest))
            continue;
        close(fd);
    }
}

static void play_server(void)
{
    if (s.scene->stale)
        close(open_peer());
    start();
    read_address();
    if (s.known) {
        int threads = count_in_proc("task");
        s.descriptors = count_in_proc("fd");
        int bystander = s.scene->threads ? call_server() : -1;
        bool had = s.scene->threads && converse(bystander, 0, 1);
        visit(call_server(), 0);
        visit(call_server(), 0);
        if (had)
            visit(bystander, 1);
        else if (bystander >= 0)
            close(bystander);
        if (s.lost > 0)
            visit(call_server(), 0);
        check_nothing_left(threads);
    }
    if (s.known && s.scene->farewell != NULL)
        stop();
    else if (s.served)
        terminate();
    finish();
    if (s.stdout_text.length > 0 && !fails(" lstat unlink ") &&
        access(local.sun_path, F_OK) == 0)
        wrong("the socket's file is still there");
}

/* ---- What is right ---- */

/* The reason that the program has for the error; EAI_SYSTEM leaves it to errno. */
static const char *reason(void)
{
    if (!fails(" getaddrinfo getnameinfo "))
        return strerror(s.error);
    return s.error == EAI_SYSTEM ? strerror(ENFILE) : gai_strerror(s.error);
}

/* Find `: REASON` in the line, REASON being one that is right. */
static const char *find_reason(const char *line)
{
    bool gone = s.error == ECONNRESET || s.error == EPIPE;
    const char *reasons[] = {
        reason(),
        fails(" write ") || (fails(" read ") && (gone || is_web_client()))
            ? "connection closed"
            : NULL,
        s.call == CALL_realloc ? "1011 out of memory" : NULL,
        s.scene->stale ? strerror(EADDRINUSE) : NULL,       /* not known to be free */
        s.scene->forgiving ? strerror(ECONNREFUSED) : NULL, /* by the first address */
        s.call == CALL_getaddrinfo && s.error == EAI_SERVICE ? "unknown port" : NULL,
        s.call == CALL_getaddrinfo ? gai_strerror(s.error) : NULL,
        s.call == CALL_fread ? "cannot be read" : NULL,
        s.call == CALL_read ? "400 Bad Request: The request is not complete." : NULL,
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
static void check_line(const char *line, bool started)
{
    char begin[60], what[300];
    int length = snprintf(begin, sizeof begin, "%s: ", s.scene->program);
    const char *end = strchr(line, '\n'), *why = find_reason(line);
    if (end == NULL || end[1] != '\0')
        wrong("not one line on stderr");
    else if (strncmp(line, begin, (size_t)length) != 0)
        wrong("the line on stderr does not begin with \"%s\"", begin);
    else if (why == NULL)
        wrong("stderr does not say the reason");
    if (started || s.why[0] != '\0')
        return;
    snprintf(what, sizeof what, "%.*s", (int)(why - line) - length, line + length);
    const char *right = s.call == CALL_fflush         ? " stdout "
                        : fails(" fopen fread pipe ") ? " /dev/urandom "
                        : fails(" read write ")       ? " server stdin "
                                                      : s.arguments;
    if (s.call != CALL_realloc && !is_one_of(what, right))
        wrong("stderr names \"%s\", not one of:%s", what, right);
}

static bool ended_with(int status)
{
    return WIFEXITED(s.status) && WEXITSTATUS(s.status) == status;
}

/* A server that STOP does not end dies of our SIGTERM. */
static bool ended_well(void)
{
    bool by_stop = s.scene->farewell != NULL && s.known;
    bool by_signal = s.scene->typed == NULL && !by_stop && !is_web();
    return by_signal ? WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGTERM
                     : ended_with(0);
}

/* Nothing came of it: the session is whole. */
static void check_whole(void)
{
    if (!ended_well())
        wrong("it did not end as it should");
    if (match_stdout() != ALL)
        wrong("stdout is not what it should be");
}

/* It ended with 1 and one line that says why, and what it printed before is right. */
static void check_died(void)
{
    if (!ended_with(1))
        wrong("it did not end with 1");
    check_line(s.stderr_text.data, false);
    bool no_input = s.call == CALL_read && s.nth == 1;
    if (match_stdout() == DIFFERS && !no_input)
        wrong("stdout was not right up to there");
}

/* It has as many descriptors, where it serves or is served, as in the first scene in
   which nothing fails. */
static void check_descriptors(void)
{
    static int right;
    if (!s.hit && !s.scene->forgiving && !s.scene->stale)
        right = s.descriptors;
    if (ended_with(0) && s.descriptors > right)
        wrong("%d descriptors too many", s.descriptors - right);
}

/* The calls whose failure is passed over by design, whatever it is. */
static bool passed_over(void)
{
    return !s.hit || (s.error == EINTR && fails(" read write poll ")) ||
           (s.error == EAGAIN && fails(" read ") && !is_web()) ||
           fails(" close fclose fcntl getnameinfo getpeername getsockname open ") ||
           fails(" setsockopt shutdown ") ||
           (fails(" pthread_attr_setstacksize ") && is_web());
}

/* A client may go on after a failed connect() to one of two addresses, a poll(), a read()
   that only looked whether there was anything, or a read() with a time limit. A udpC may
   miss a reply, and a wsClient leaves in any case after its goodbye, its seventh write(). */
static void judge_client(void)
{
    bool good = ended_with(0), silent = s.stderr_text.length == 0;
    bool may_go_on = fails(" read poll ") || s.scene->forgiving;
    bool may_leave =
        is_web_client() && (s.lost == 0 || (s.call == CALL_write && s.nth >= 7));
    check_descriptors();
    if (s.scene->type == SOCK_DGRAM && fails(" recv send poll ")) {
        if (!good)
            wrong("it did not end with 0");
        if (!silent && !strstr(s.stderr_text.data, ": no reply within 5 s\n"))
            check_line(s.stderr_text.data, true);
        return;
    }
    if (good && may_leave && silent && match_stdout() != DIFFERS)
        return;
    if (!passed_over() && !(good && may_go_on)) {
        check_died();
        return;
    }
    if (!silent)
        wrong("stderr is not empty");
    check_whole();
}

static void judge_server(void)
{
    check_descriptors();
    if (!s.served) {
        if (passed_over())
            wrong("it does not serve");
        check_died();
        return;
    }
    const char *rest = strchr(s.stderr_text.data, '\n') + 1;
    if (s.hit && fails(" pthread_attr_setstacksize ") && !is_web()) {
        check_line(rest, true);
        if (!ended_with(1))
            wrong("it did not end with 1");
        return;
    }
    bool silent = passed_over() || s.call == CALL_fflush;
    bool waits = s.hit && s.error != ECONNABORTED &&
                 fails(" accept fdopen malloc pthread_create ");
    if (silent && *rest != '\0')
        wrong("stderr has more than one line");
    if (!silent && *rest != '\0')
        check_line(rest, true);
    if (waits && (*rest == '\0' || !s.slept))
        wrong("it did not say so and wait a second");
    if (s.lost >
        (s.hit && s.error != EINTR && fails(" fflush_socket read write sendto realloc ")))
        wrong("%d clients were lost", s.lost);
    if (!s.known && !fails(" getnameinfo getsockname "))
        wrong("it does not know its address");
    if (!ended_well())
        wrong("it did not end as it should");
    if (s.known && s.lost == 0 && s.call != CALL_fflush)
        check_whole();
}

/* ---- One session after another ---- */

/* Play the scene once with the nth `call` failing by `error`; CALLS: nothing fails, and
   s.made is filled. Returns whether the scene has such a call at all. */
static bool play(const struct scene *scene, enum fault_call call, int nth, int error)
{
    s = (struct session){.scene = scene, .call = call, .nth = nth, .error = error};
    s.address.inet = (struct sockaddr_in){.sin_family = AF_INET};
    s.address.inet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s.address_size = sizeof s.address.inet;
    if (scene->family == AF_UNIX) {
        s.address.un = local;
        s.address_size = sizeof s.address.un;
    }
    unlink(local.sun_path);
    if (scene->typed == NULL) {
        play_server();
        judge_server();
    } else {
        play_client();
        judge_client();
    }
    if (s.why[0] == '\0') {
        passed += s.hit || call == CALLS;
        return s.hit;
    }
    failed++;
    printf("FAIL %s %s", scene->program, scene->arguments);
    if (call != CALLS)
        printf(": %s no. %d fails with %d, %s", call_name[call], nth, error, reason());
    bool killed = WIFSIGNALED(s.status);
    printf(": %s (lost %d, %s %d)\n    stderr: %.200s\n    stdout: %.200s\n", s.why,
           s.lost, killed ? "signal" : "exit",
           killed ? WTERMSIG(s.status) : WEXITSTATUS(s.status), s.stderr_text.data,
           s.stdout_text.data);
    return s.hit;
}

/* Fail the nth call of a kind, each of them if it is 0, with each error, until so many
   have failed. Returns whether the scene has such a call. */
static bool fail_call(const struct scene *scene, enum fault_call call, int nth, int most)
{
    bool hit = true;
    const struct call_errors *row = errors_of;
    while (row->calls != NULL && !is_one_of(call_name[call], row->calls))
        row++;
    for (const int *e = row->errors; hit && *e != 0 && failed < most; e++) {
        /* A client's first read() is of its stdin, which nobody resets. */
        bool stdin_reset =
            call == CALL_read && *e == ECONNRESET && nth == 1 && scene->typed;
        bool never =
            call == CALL_poll && *e == EINTR && strcmp(scene->program, "wsClient") != 0;
        if (!stdin_reset && !never)
            hit = play(scene, call, nth, *e);
    }
    return hit;
}

/* Play the scene with nothing failing and, if that is right, with each of its calls. */
static void play_all(const struct scene *scene)
{
    int made[CALLS];
    play(scene, CALLS, 0, 0);
    memcpy(made, s.made, sizeof made);
    if (s.why[0] != '\0')
        return;
    for (enum fault_call call = 0; call < CALLS; call++) {
        if (made[call] == 0 ||
            (scene->calls != NULL && !is_one_of(call_name[call], scene->calls)))
            continue;
        int passed_before = passed, most = failed + ENOUGH, nth = 1;
        while (nth < MOST_NTH && failed < most && fail_call(scene, call, nth, most))
            nth++;
        if (is_one_of(call_name[call], " connect getaddrinfo open socket "))
            fail_call(scene, call, 0, most);
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
    const struct sigaction deadline = {.sa_handler = end_program, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &deadline, NULL);
    signal(SIGPIPE, SIG_IGN);
    setenv("LC_ALL", "C", 1);
    setenv("TZ", "UTC0", 1);
    char folder[] = "/tmp/faults.XXXXXX";
    must("mkdtemp", mkdtemp(folder) == NULL ? -1 : 0);
    snprintf(local.sun_path, sizeof local.sun_path, "%s/socket", folder);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        if (strcmp(scenes[i].program, argv[2]) == 0)
            play_all(&scenes[i]);
    unlink(local.sun_path);
    rmdir(folder);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}
