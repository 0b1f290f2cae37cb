/*
 * faults_driver.c - fails each call of a program in turn, and judges what it does then
 *
 *   faults_driver DIRECTORY NAME
 *
 * DIRECTORY holds the program, linked with faults.c. For each of its scenes, sessions in
 * which this driver is the peer, plays one session without a fault, which also tells what
 * the program calls. Then the first call of a kind fails, in one session for each of its
 * errors, then the second, until the program has made no further one.
 *
 * Prints each session that went wrong, how many faults of each kind of call the program
 * survived, and `N passed, N failed`.
 */
#define _POSIX_C_SOURCE 200809L
#include "faults.h"
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

enum { TEXT_SIZE = 32768, DEADLINE_S = 10, MAX_NTH = 40 };
enum { ENOUGH = 3 /* failures of one call in a scene: more would tell nothing new */ };

static const char *const call_name[] = {FAULT_CALLS(FAULT_NAME)};
static const int errors_of[][24] = {FAULT_CALLS(FAULT_ERRORS)};

/* ---- The scenes ----

   In `from` and `shown`, # stands for a number and * for any text. */

#define B(text) text, sizeof(text) - 1

/* Driver and program exchange messages: a server answers `to` with `from`; a client sends
   `from` and is answered with `to`. */
struct exchange {
    const char *to;
    size_t to_length;
    const char *from;
    size_t from_length;
    const char *shown; /* on the program's stdout; NULL after the last exchange */
};
enum { TALK = 6 };

#define TEN(text) text text text text text text text text text text
#define X2000 TEN(TEN(TEN("xx")))
#define NO_MASK "\0\0\0\0"
#define PING "\x89\x84" NO_MASK "ping" /* from a client, as all frames with a mask */
#define PONG "\x8a\x84" NO_MASK "ping"
#define CLOSE "\x88\x82" NO_MASK "\3\xe8"

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
static const struct exchange unix_end_of_input[TALK] = {
    {B("one\n"), B("one\n"), ">> Read: one\n"},
    {NULL, 0, B(""), ">> \n"},
};
/* Frames are cut where a program has to send an answer before it waits for the rest. */
static const struct exchange web_client[TALK] = {
    {B("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
       "Connection: keep-alive , Upgrade\r\n"
       "Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"
       "\x89\4ping\x89\4p"),
     B("GET /ws HTTP/1.1\r\n*\r\n"
       "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n*\r\n\r\n"),
     "Connecting to: *:* at /ws\n"},
    {B("ing\x81\x7e"), B(PONG), ""},
    {B("\x07\xd0" X2000 "\x81\5one\r\n"), B(PONG), "Received: " X2000 "\n"},
    {B("\x88\2\3\xe8"), B("\x81\x83" NO_MASK "one\x81\xfe\x07\xd0" NO_MASK X2000 CLOSE),
     "Received: one\n"},
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
/* Where the second half cannot be read, the response must not have a body either. */
static const struct exchange head_of_page[TALK] = {
    {B("HEAD / HTTP/1.1\r\n"), B(""), ""},
    {B("Host: localhost\r\n\r\n"), B("HTTP/1.1 200 *\r\n\r\n"), ""},
};
static const struct exchange web_echo[TALK] = {
    {B("GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
       "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
       "Sec-WebSocket-Version: 13\r\n\r\n"),
     B("HTTP/1.1 101 *\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n*"),
     "Connection from: *\n"},
    {B(PING "\x81\xfe"), B("\x8a\4ping"), ""},
    {B("\x07\xd0" NO_MASK X2000 PING "\x89\x84" NO_MASK "p"),
     B("\x81\x7e\x07\xd0" X2000 "\x8a\4ping"), "Received (2000 bytes): *\n"},
    {B("ing\x81\x85" NO_MASK "one\r\n"), B("\x8a\4ping\x81\5one\r\n"), "Received: one\n"},
    {B(CLOSE), B("\x88\2\3\xe8"), ""},
};

struct scene { // NOLINT(clang-analyzer-optin.performance.Padding)
    const char *program;
    const char *arguments; /* %s is the peer's port, or its path in the file system */
    const struct exchange *talk;
    const char *typed;    /* into a client; NULL for a server */
    int typed_at;         /* before which exchange */
    const char *farewell; /* printed by a server after STOP; SIGTERM ends the others */
    const char *calls;    /* that fail; NULL for all */
    int family, type;     /* 0 for IPv4 and for streams */
    bool threads;         /* a server with a thread for each client */
    bool second_address;  /* a client may try another one */
    bool stale;           /* PATH is the socket of a server that has ended */
};

#define THREE_LINES "one\ntwo\nSTOP\n"
static const struct scene scenes[] = {
    {"tcpC", "127.0.0.1:%s", tcp_client, .typed = THREE_LINES},
    {"tcpC", "127.0.0.1:%s", tcp_end_of_input, .typed = "one\n"},
    {"tcpC", ":%s", tcp_client, .typed = THREE_LINES, .calls = " socket connect close ",
     .second_address = true},
    {"otherTCPclient", "127.0.0.1:%s 127.0.0.1:0", tcp_client, .typed = THREE_LINES},
    {"udpC", "127.0.0.1:%s", udp_client, .typed = THREE_LINES, .type = SOCK_DGRAM},
    {"unixSocket", "%s", unix_client, .typed = "one\nSTOP\n", .family = AF_UNIX},
    {"unixSocket", "%s", unix_end_of_input, .typed = "one\n", .family = AF_UNIX},
    {"wsClient", "127.0.0.1:%s /ws", web_client, .typed = "one\n" X2000 "\n",
     .typed_at = 3},
    {"wsClient", ":%s /ws", web_client, .typed = "one\n" X2000 "\n", .typed_at = 3,
     .calls = " socket connect close ", .second_address = true},
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
    {"wsServer", ":0", head_of_page, .threads = true},
    {"wsServer", ":0", web_echo, .threads = true},
};

static const char *directory;
static struct sockaddr_un local = {.sun_family = AF_UNIX}; /* in a folder of its own */
static int passed, failed;

/* ---- A session ---- */

struct text {
    size_t length;
    char data[TEXT_SIZE];
};

enum { IN, OUT, ERR, TELL, PIPES };

static struct session {
    const struct scene *scene;
    enum fault_call call; /* the one that fails; CALLS for none */
    int nth, error;

    char arguments[300]; /* of the program, with a space before and after each */
    pid_t pid;
    int pipes[PIPES]; /* our ends of the program's stdin, stdout, stderr and TELL_FD */
    bool hit;         /* the fault has occurred */
    bool slept;       /* the program has called sleep() */
    bool ended;       /* TELL is at its end, so the program has ended */
    int status;
    int made[CALLS];    /* how often the program has made each call */
    bool served, known; /* the server has reported that it listens, and its address */
    union {
        struct sockaddr any;
        struct sockaddr_in inet;
        struct sockaddr_un un;
    } address; /* of the server, which is this driver or the program */
    socklen_t address_size;
    struct text stdout_text, stderr_text, expected;
    int lost;      /* conversations that were not as in the scene */
    char why[400]; /* what is wrong, or "" */
} s;

static bool is_server(void)
{
    return s.scene->typed == NULL;
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

/* Return the result of a call that this driver cannot do without. */
static int must(const char *what, int result)
{
    if (result >= 0)
        return result;
    fprintf(stderr, "faults_driver: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* Note what is wrong with the session, unless something else was before. */
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

static void read_tell_pipe(void)
{
    unsigned char bytes[4096];
    ssize_t n = read(s.pipes[TELL], bytes, sizeof bytes);
    s.ended = n <= 0;
    for (ssize_t i = 0; i < n; i++) {
        s.hit = s.hit || bytes[i] == FAULT_HIT;
        s.slept = s.slept || bytes[i] == FAULT_SLEPT;
        if (bytes[i] < CALLS)
            s.made[bytes[i]]++;
    }
}

/* Wait until fd is readable. Returns false if nothing will arrive, because the program
   has ended, or its answer was lost. With fd -1, wait for the program's end. */
static bool await(int fd)
{
    for (;;) {
        struct pollfd fds[] = {{fd, POLLIN, 0},
                               {s.ended ? -1 : s.pipes[TELL], POLLIN, 0}};
        bool unanswered = fd >= 0 && s.hit && s.lost == 0 &&
                          (fails(" sendto ") ||
                           (!is_server() && fails(" fflush_socket fwrite_socket ")));
        if (poll(fds, 2, s.ended || unanswered ? 0 : -1) == 0)
            return false;
        if (fds[1].revents != 0)
            read_tell_pipe();
        if (fds[0].revents != 0)
            return true;
    }
}

/* Append what arrives next to the text. Returns false if nothing will. */
static bool more(int fd, struct text *t)
{
    char data[16384];
    ssize_t n = await(fd) ? read(fd, data, sizeof data) : 0;
    if (n > 0)
        append(t, data, (size_t)n);
    return n > 0;
}

static void read_all(int fd, struct text *t)
{
    while (more(fd, t))
        continue;
}

enum match { DIFFERS, SO_FAR, ALL };

/* Does the text match the pattern, or its beginning so far? */
static enum match match(const char *p, size_t pattern_length, const char *text,
                        size_t length)
{
    const char *pattern_end = p + pattern_length;
    const char *end = text + length, *star = NULL, *star_text = NULL;
    while (p < pattern_end || text < end) {
        bool number = p < pattern_end && *p == '#';
        if (p < pattern_end && *p == '*') {
            star = ++p; /* on a mismatch, go on here with the star one byte longer */
            star_text = text;
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
            text = ++star_text;
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

/* ---- Starting the program, talking to it, ending it ---- */

static void start(void)
{
    static const int number[] = {0, 1, 2, TELL_FD};
    char fault[100] = "none", port[12], format[100], file[300], words[300];
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

/* The handler of SIGALRM: the deadline has passed. */
static void kill_program(int signal_number)
{
    (void)signal_number;
    kill(s.pid, SIGKILL);
}

/* Wait for the program's end, and read the rest of its output. */
static void finish(void)
{
    await(-1);
    waitpid(s.pid, &s.status, 0);
    alarm(0);
    if (WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGKILL)
        wrong("it hangs");
    read_all(s.pipes[OUT], &s.stdout_text);
    read_all(s.pipes[ERR], &s.stderr_text);
    for (int i = 0; i < PIPES; i++)
        if (s.pipes[i] >= 0)
            close(s.pipes[i]);
}

/* Read what the exchange expects, and no more. */
static bool hear(int fd, const struct exchange *x)
{
    struct text heard = {0};
    enum match m;
    do
        m = match(x->from, x->from_length, heard.data, heard.length);
    while (m == SO_FAR && more(fd, &heard));
    return m == ALL;
}

/* Type what the scene has, and end the input. */
static void type_lines(void)
{
    dprintf(s.pipes[IN], "%s", s.scene->typed);
    close(s.pipes[IN]);
    s.pipes[IN] = -1;
}

/* Have the exchanges from number `first` to before number `end` with the program. Returns
   false if one was not as in the scene, and counts that. When this returns, a server has
   printed what it should, so that the order of its clients' lines is known. */
static bool converse(int fd, int first, int end)
{
    for (int i = first; i < end && s.scene->talk[i].shown != NULL; i++) {
        const struct exchange *x = &s.scene->talk[i];
        if (!is_server() && i > 0 && i == s.scene->typed_at)
            type_lines();
        bool heard = is_server() || hear(fd, x);
        if (heard && x->to != NULL)
            send(fd, x->to, x->to_length, MSG_NOSIGNAL);
        if (!heard || (is_server() && !hear(fd, x))) {
            s.lost++;
            return false;
        }
        if (!is_server())
            continue;
        append(&s.expected, x->shown, strlen(x->shown));
        while (s.call != CALL_fflush && s.lost == 0 && match_stdout() == SO_FAR &&
               more(s.pipes[OUT], &s.stdout_text))
            continue;
    }
    return true;
}

/* Have the conversation from exchange `first` to the end of the connection, before which
   nothing else may arrive. We close first if the program is a server, or if something
   went wrong; then a wsClient gets a Close. */
static void visit(int fd, int first)
{
    struct text rest = {0};
    bool whole = converse(fd, first, TALK);
    if (!whole && is_web() && !is_server())
        send(fd, B("\x88\2\3\xe8"), MSG_NOSIGNAL);
    if (s.scene->type != SOCK_DGRAM) {
        if (is_server() || !whole)
            shutdown(fd, SHUT_WR);
        read_all(fd, &rest);
    }
    if (whole && rest.length > 0)
        s.lost++;
    close(fd);
}

/* Count the entries of /proc/PID/WHAT, descriptors or threads; 0 after the program's
   end. */
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

/* Bind a socket to s.address, and set that to the real one. */
static int open_peer(void)
{
    int fd = open_socket();
    must("bind", bind(fd, &s.address.any, s.address_size));
    getsockname(fd, &s.address.any, &s.address_size);
    return fd;
}

/* ---- A session with a client ---- */

/* Return the client's connection, or the socket of its datagrams. */
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
    if (s.scene->typed_at == 0)
        type_lines();
    for (const struct exchange *x = s.scene->talk; x->shown != NULL; x++)
        append(&s.expected, x->shown, strlen(x->shown));
    if (await(peer))
        visit(accept_client(peer), 0);
    close(peer);
    finish();
}

/* ---- A session with a server ---- */

/* Connect; if the server has ended, nothing will arrive on the connection. */
static int call_server(void)
{
    int fd = open_socket();
    (void)connect(fd, &s.address.any, s.address_size);
    return fd;
}

/* After all clients have disconnected, nothing of them may be left. */
static void check_nothing_left(int descriptors, int threads)
{
    int more_descriptors, more_threads, tries = 0;
    do {
        more_descriptors = count_in_proc("fd") - descriptors;
        more_threads = count_in_proc("task") - threads;
        poll(NULL, 0, 2);
    } while ((more_descriptors > 0 || more_threads > 0) && ++tries < 2000);
    if (more_descriptors > 0 || more_threads > 0)
        wrong("clients have left %d descriptors and %d threads", more_descriptors,
              more_threads);
}

/* Read the server's first line, and set the port that it reports. */
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

/* Send SIGTERM once the server waits for clients: during malloc(), it would deadlock with
   the leak check at the program's end. */
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

/* Send STOP; a second time, too, because the first one may be what a fault loses. */
static void stop(void)
{
    struct text rest = {0};
    append(&s.expected, s.scene->farewell, strlen(s.scene->farewell));
    for (int tries = 0; tries < 2; tries++) {
        int fd = call_server();
        send(fd, "STOP\n", 5, MSG_NOSIGNAL);
        read_all(fd, &rest);
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
        int descriptors = count_in_proc("fd"), threads = count_in_proc("task");
        int bystander = s.scene->threads ? call_server() : -1;
        bool served = s.scene->threads && converse(bystander, 0, 1);
        visit(call_server(), 0);
        visit(call_server(), 0);
        if (served)
            visit(bystander, 1);
        else if (bystander >= 0)
            close(bystander);
        if (s.lost > 0)
            visit(call_server(), 0);
        check_nothing_left(descriptors, threads);
    }
    if (s.known && s.scene->farewell != NULL)
        stop();
    else if (s.served)
        terminate();
    finish();
    if (s.stdout_text.length > 0 && !fails(" lstat unlink ") &&
        access(local.sun_path, F_OK) == 0)
        wrong("the socket file is still there");
}

/* ---- Judging a session ---- */

/* The reason that belongs to the error. EAI_SYSTEM means that it is in errno. */
static const char *reason(void)
{
    if (!fails(" getaddrinfo getnameinfo "))
        return strerror(s.error);
    return s.error == EAI_SYSTEM ? strerror(ENFILE) : gai_strerror(s.error);
}

/* Find `: REASON` in the line, for any REASON that is right. Returns NULL if there is
   none. */
static const char *find_reason(const char *line)
{
    bool reset = s.error == ECONNRESET || s.error == EPIPE;
    const char *reasons[] = {
        reason(),
        fails(" write fflush_socket fwrite_socket ") || (fails(" read ") && reset)
            ? "connection closed"
            : NULL,
        fails(" fflush_socket fwrite_socket ") ? "closed before everything was sent"
                                               : NULL,
        s.call == CALL_realloc ? "1011 out of memory" : NULL,
        s.scene->stale ? strerror(EADDRINUSE) : NULL, /* the file may be in use */
        s.scene->second_address ? strerror(ECONNREFUSED) : NULL,
        s.call == CALL_getaddrinfo && s.error == EAI_SERVICE ? "unknown port" : NULL,
        s.call == CALL_getaddrinfo ? gai_strerror(s.error) : NULL,
        s.call == CALL_read ? "40" /* 400 or 408, and why */ : NULL,
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

/* Check that the text is one line, `NAME: WHAT: REASON`. */
static void check_line(const char *text)
{
    char begin[60], what[300];
    int length = snprintf(begin, sizeof begin, "%s: ", s.scene->program);
    const char *end = strchr(text, '\n'), *why = find_reason(text);
    if (end == NULL || end[1] != '\0')
        wrong("not one line on stderr");
    else if (strncmp(text, begin, (size_t)length) != 0)
        wrong("the line on stderr does not begin with \"%s\"", begin);
    else if (why == NULL)
        wrong("stderr does not give the reason");
    if (s.served || s.why[0] != '\0')
        return;
    const char *right = s.call == CALL_fflush    ? " stdout "
                        : s.call == CALL_pipe    ? " pipe "
                        : fails(" fopen fread ") ? " /dev/urandom "
                        : fails(" read write realloc fflush_socket fwrite_socket ")
                            ? " server stdin "
                            : s.arguments;
    snprintf(what, sizeof what, "%.*s", (int)(why - text) - length, text + length);
    if (!is_one_of(what, right))
        wrong("stderr names \"%s\", not one of:%s", what, right);
}

static bool ended_with(int status)
{
    return WIFEXITED(s.status) && WEXITSTATUS(s.status) == status;
}

/* SIGTERM ends a server that STOP does not end. */
static void check_end(void)
{
    bool by_signal = is_server() && (s.scene->farewell == NULL || !s.known);
    bool right = by_signal ? WIFSIGNALED(s.status) && WTERMSIG(s.status) == SIGTERM
                           : ended_with(0);
    if (!right)
        wrong("it did not end as it should");
}

static void check_stdout(void)
{
    if (match_stdout() != ALL)
        wrong("stdout is not what it should be");
}

/* Check that it ended with 1 and one line with the reason, and had printed the right
   things before. */
static void check_died(void)
{
    if (!ended_with(1))
        wrong("it did not end with 1");
    check_line(s.stderr_text.data);
    bool no_input = s.call == CALL_read && s.nth == 1;
    if (match_stdout() == DIFFERS && !no_input)
        wrong("stdout was not right up to there");
}

/* Must the failure have no effect at all? */
static bool is_harmless(void)
{
    return !s.hit || (s.error == EINTR && fails(" read write poll ")) ||
           (s.error == EAGAIN && fails(" read ") && !is_web()) ||
           fails(" close fclose fcntl getnameinfo getpeername getsockname ") ||
           fails(" setsockopt shutdown ");
}

/* A client may survive what fails only after the conversation, or is tried again. */
static void judge_client(void)
{
    bool good = ended_with(0), silent = s.stderr_text.length == 0;
    bool may_go_on = s.scene->second_address || fails(" read poll fflush_socket ");
    if (s.scene->type == SOCK_DGRAM && fails(" recv send poll ")) { /* as a lost reply */
        if (!silent && !strstr(s.stderr_text.data, ": no reply within 5 s\n"))
            check_line(s.stderr_text.data);
        check_end();
    } else if (is_harmless() || (good && may_go_on)) {
        if (!silent)
            wrong("stderr is not empty");
        check_end();
        check_stdout();
    } else {
        check_died();
    }
}

static void judge_server(void)
{
    bool harmless = is_harmless();
    if (!s.served) {
        if (harmless)
            wrong("it does not serve");
        check_died();
        return;
    }
    const char *rest = strchr(s.stderr_text.data, '\n') + 1;
    if (s.hit && fails(" pthread_attr_setstacksize ")) {
        check_line(rest);
        if (!ended_with(1))
            wrong("it did not end with 1");
        return;
    }
    bool waits = s.hit && s.error != ECONNABORTED &&
                 fails(" accept fdopen malloc pthread_create ");
    bool may_lose = !harmless && fails(" fflush_socket fwrite_socket read write sendto "
                                       "realloc ");
    if ((harmless || s.call == CALL_fflush) && *rest != '\0')
        wrong("stderr has more than one line");
    if (*rest != '\0')
        check_line(rest);
    if (waits && (*rest == '\0' || !s.slept))
        wrong("it did not report that and wait a second");
    if (s.lost > may_lose)
        wrong("%d clients were lost", s.lost);
    if (!s.known && !fails(" getnameinfo getsockname "))
        wrong("it does not know its address");
    check_end();
    if (s.known && s.lost == 0 && s.call != CALL_fflush)
        check_stdout();
}

/* ---- One session after another ---- */

static void report_failure(void)
{
    bool killed = WIFSIGNALED(s.status);
    printf("FAIL %s %s", s.scene->program, s.scene->arguments);
    if (s.call != CALLS)
        printf(": %s no. %d fails with %d, %s", call_name[s.call], s.nth, s.error,
               reason());
    printf(": %s (lost %d, %s %d)\n    stderr: %.200s\n    stdout: %.200s\n", s.why,
           s.lost, killed ? "signal" : "exit",
           killed ? WTERMSIG(s.status) : WEXITSTATUS(s.status), s.stderr_text.data,
           s.stdout_text.data);
}

/* Play the scene once, with the nth `call` failing, or nothing if it is CALLS. Returns
   false if the program has not made so many calls. */
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
    if (is_server()) {
        play_server();
        judge_server();
    } else {
        play_client();
        judge_client();
    }
    if (s.why[0] == '\0') {
        passed += s.hit || call == CALLS;
    } else {
        failed++;
        report_failure();
    }
    return s.hit;
}

/* Can no program of ours see this? The first read() of most clients is of stdin, which
   nobody resets, and only wsClient has a handler that returns, so that poll() does. */
static bool is_impossible(const struct scene *scene, enum fault_call call, int nth,
                          int error)
{
    bool web_client = strcmp(scene->program, "wsClient") == 0;
    return !web_client &&
           ((call == CALL_read && error == ECONNRESET && nth == 1 && scene->typed) ||
            (call == CALL_poll && error == EINTR));
}

/* Fail the nth call of a kind, or each of them if it is 0, with each of its errors, until
   `limit` sessions have failed. Returns false if the program has not made so many. */
static bool fail_call(const struct scene *scene, enum fault_call call, int nth, int limit)
{
    bool hit = true;
    for (const int *error = errors_of[call]; hit && *error != 0 && failed < limit;
         error++)
        if (!is_impossible(scene, call, nth, *error))
            hit = play(scene, call, nth, *error);
    return hit;
}

/* Play the scene without a fault and, if that is right, with a fault in each call. */
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
        int passed_before = passed, limit = failed + ENOUGH, nth = 1;
        while (nth < MAX_NTH && failed < limit && fail_call(scene, call, nth, limit))
            nth++;
        if (is_one_of(call_name[call], " connect getaddrinfo socket "))
            fail_call(scene, call, 0, limit);
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
    const struct sigaction deadline = {.sa_handler = kill_program,
                                       .sa_flags = SA_RESTART};
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
