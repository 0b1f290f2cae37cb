/* soak.c - a server under many clients that come, talk and leave
 *
 *     cc -std=c11 -O2 -pthread -o soak soak.c
 *     soak concTCP|unixSocket|wsServer PROGRAM CONNECTIONS HELD
 *
 * Starts the program as a server and holds it to this: each of so many connections is
 * answered rightly, in whichever of six ways it leaves; afterwards the server has the
 * descriptors, threads and resident memory that it had; HELD clients at once are each
 * answered; clients that never read cost the others no time. Prints a line for each check,
 * as the test scripts do; the first that fails is the last.
 *
 * Written for Linux: it looks into /proc, and waits with epoll.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WINDOW = 128,    /* connections that talk at the same time */
    SILENT = 256,    /* connections that stay without a word until so many more have */
    MUTES = 64,      /* connections that never say a word, at most */
    READERS = 50,    /* clients whose answers are timed, */
    ANSWERS = 10000, /* and so many answers */
    STUCK = 1000,    /* clients that never read */
    MOST = 65536,    /* descriptors */
    PATIENCE = 20,   /* seconds in which something must happen */
    SOURCES = 20 /* addresses to connect from, 127.0.0.2 and on: each has its own ports */
};

/* The ways to leave, and what else a client may be here for. */
enum way {
    GOODBYE,
    FIN,
    RESET,
    HALF_CLOSE,
    SILENCE,
    MIDDLE,
    WAYS,
    MUTE,
    HOLD,
    DEAF,
    TIMED
};

/* What clients of a server say and hear. A masked frame is "mask" and the payload with it;
   none has a NUL in it. */
static const struct protocol {
    const char *name, *option, *address;
    size_t threads;              /* of the server when no client is there */
    const char *hello, *welcome; /* the first thing said, and its answer, */
    const char *ask, *answer;    /* what is said then; NULL: `Client number: N` */
    const char *bye, *farewell;
    bool bye_ends;     /* the server closes after the farewell */
    const char *half;  /* the beginning of what has no end, before 1,500 letters */
    const char *flood; /* what a client says on and on that never reads */
} protocols[] = {
    {.name = "concTCP",
     .option = "--",
     .address = "127.0.0.1:0",
     .threads = 1,
     .hello = "hello\n",
     .ask = "hello\n",
     .bye = "STOP\n",
     .farewell = "",
     .bye_ends = true,
     .half = "hel",
     .flood = "\n"},
    {.name = "unixSocket",
     .option = "-l",
     .threads = 1,
     .hello = "hello\n",
     .welcome = "hello\n",
     .ask = "again\n",
     .answer = "again\n",
     .bye = "STOP\n",
     .farewell = "STOP\n",
     .half = "hel",
     .flood = "flood\n"},
    {.name = "wsServer",
     .option = "--",
     .address = "127.0.0.1:0",
     .threads = 2,
     .hello = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
              "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
              "Sec-WebSocket-Version: 13\r\n\r\n"
              "\x81\x85mask\x05\x04\x1f\x07\x02",
     .welcome = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Accept: "
                "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x05hello",
     .ask = "\x81\x85mask\x05\x04\x1f\x07\x02",
     .answer = "\x81\x05hello",
     .bye = "\x88\x82mask\x6e\x89",
     .farewell = "\x88\x02\x03\xe8",
     .bye_ends = true,
     .half = "\x81\xfe\x07\xd0mask",
     .flood = "\x81\x85mask\x05\x04\x1f\x07\x02"},
};

struct client {
    int fd;
    enum way way;
    bool parting; /* it has said goodbye, or shut its side */
    bool greeted; /* it has had the answer to its hello */
    char come[256];
    size_t length;        /* of what has come and has not been looked at */
    unsigned long number; /* what concTCP has told it */
    long long asked;      /* when, on the clock of now() */
};

static struct client clients[MOST]; /* by descriptor */

static const struct protocol *protocol;
static struct sockaddr_storage server_address;
static socklen_t address_size;
static pid_t server;
static size_t descriptors; /* of the server when no client is there */
static char socket_path[100];

static int events;     /* the epoll descriptor */
static size_t talking; /* connections that are being talked to, */
static size_t mutes;   /* and those that wait to be sent away */
static struct client *silent[SILENT];
static size_t silences;             /* how many there have been in this round */
static unsigned char seen[1 << 22]; /* a bit for each number that concTCP has given */

static size_t left_to_time; /* answers that have yet to be asked for, */
static size_t timed;        /* and those that have come, */
static long long longest;   /* the slowest of them in this round, in ns */

static pthread_t line_reader;  /* reads the server's stderr; joined before one looks at */
static char strange_line[300]; /* the first line that should not be there, */
static size_t complaints;      /* and the number of those that may */

/* Monotonic nanoseconds. */
static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void pause_for(int milliseconds)
{
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000L}, NULL);
}

static void print_check(const char *result, const char *format, va_list arguments)
{
    printf("%s soak %s: ", result, protocol->name);
    vprintf(format, arguments);
    putchar('\n');
    fflush(stdout);
}

/* Print a check that holds. */
__attribute__((format(printf, 1, 2))) static void ok(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_check("ok", format, arguments);
    va_end(arguments);
}

static _Noreturn void give_up(void)
{
    if (server > 0)
        kill(server, SIGKILL);
    if (*socket_path != '\0')
        unlink(socket_path);
    exit(1);
}

/* Print a check that does not hold, and end. */
__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_check("FAIL", format, arguments);
    va_end(arguments);
    give_up();
}

/* Print a check, and end if it does not hold. */
__attribute__((format(printf, 2, 3))) static void check(bool good, const char *format,
                                                        ...)
{
    va_list arguments;
    va_start(arguments, format);
    print_check(good ? "ok" : "FAIL", format, arguments);
    va_end(arguments);
    if (!good)
        give_up();
}

/* --- The server ----------------------------------------------------------------------- */

/* The number behind `name` in /proc/PID/FILE. */
static size_t proc_number(const char *file_name, const char *name)
{
    char path[64], line[200];
    snprintf(path, sizeof path, "/proc/%ld/%s", (long)server, file_name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("the server has ended: %s: %s", path, strerror(errno));
    size_t value = 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtoul(line + strlen(name), NULL, 10);
    fclose(file);
    return value;
}

static size_t count_threads(void)
{
    return proc_number("status", "Threads:");
}

static size_t count_descriptors(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)server);
    DIR *directory = opendir(path);
    if (directory == NULL)
        fail("the server has ended: %s: %s", path, strerror(errno));
    size_t count = 0;
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2; /* . and .. */
}

/* The resident memory in KiB, counted by page: in /proc/PID/status it is an estimate. */
static size_t resident(void)
{
    return proc_number("smaps_rollup", "Rss:");
}

/* Read the server's stderr to its end. It may tell of clients that were gone. */
static void *read_lines(void *argument)
{
    static const char *const known[] = {"Connection reset by peer", "Broken pipe",
                                        "408 Request Timeout"};
    FILE *file = argument;
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) >= 0) {
        bool fine = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++)
            fine = fine || strstr(line, known[i]) != NULL;
        complaints += fine;
        if (!fine && *strange_line == '\0')
            snprintf(strange_line, sizeof strange_line, "%s", line);
    }
    free(line);
    fclose(file);
    return NULL;
}

/* Start the server and take its address from its first line. A `bare` one has a glibc that
   keeps no stack of a thread that has ended, and nothing that was freed: so the memory that
   it has is what the program holds. Any other is quiet, and as its users have it. */
static void start_server(const char *program, bool bare)
{
    int output[2];
    if (pipe(output) < 0)
        fail("pipe: %s", strerror(errno));
    const char *address = protocol->address;
    if (address == NULL) {
        snprintf(socket_path, sizeof socket_path, "%s/soak.%ld", P_tmpdir,
                 (long)getpid());
        address = socket_path;
    }
    server = fork();
    if (server < 0)
        fail("fork: %s", strerror(errno));
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (bare)
            setenv("GLIBC_TUNABLES",
                   "glibc.pthread.stack_cache_size=0:glibc.malloc.mmap_threshold=1:"
                   "glibc.malloc.arena_max=1",
                   1);
        int null = open("/dev/null", O_RDWR);
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(output[1], STDERR_FILENO);
        close(null);
        close(output[0]);
        close(output[1]);
        if (bare)
            execl(program, program, protocol->option, address, (char *)NULL);
        else
            execl(program, program, "-q", protocol->option, address, (char *)NULL);
        _exit(127);
    }
    close(output[1]);
    FILE *file = fdopen(output[0], "r");
    char line[300] = "";
    const char *at = NULL;
    if (file == NULL || fgets(line, sizeof line, file) == NULL ||
        (at = strstr(line, ": listening on ")) == NULL)
        fail("it does not start: %s", line);
    if (protocol->address == NULL) {
        struct sockaddr_un *a = (struct sockaddr_un *)&server_address;
        a->sun_family = AF_UNIX;
        snprintf(a->sun_path, sizeof a->sun_path, "%s", socket_path);
        address_size = sizeof *a;
    } else {
        struct sockaddr_in *a = (struct sockaddr_in *)&server_address;
        a->sin_family = AF_INET;
        a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a->sin_port = htons((in_port_t)strtoul(strrchr(at, ':') + 1, NULL, 10));
        address_size = sizeof *a;
    }
    descriptors = count_descriptors();
    memset(seen, 0, sizeof seen);
    *strange_line = '\0';
    complaints = 0;
    if (pthread_create(&line_reader, NULL, read_lines, file) != 0)
        fail("pthread_create: %s", strerror(errno));
}

/* Wait until the server has the descriptors and threads of its start, and those of `count`
   clients more. */
static void settle(size_t count, const char *after)
{
    long long deadline = now() + PATIENCE * 1000000000LL;
    size_t d = 0, t = 0;
    while (now() < deadline) {
        d = count_descriptors();
        t = count_threads();
        if (d == descriptors + count && t == protocol->threads + count)
            return;
        pause_for(10);
    }
    fail("after %s: %zu descriptors and %zu threads, not %zu and %zu", after, d, t,
         descriptors + count, protocol->threads + count);
}

/* --- Clients -------------------------------------------------------------------------- */

static struct client *open_client(enum way way)
{
    static unsigned count;
    int fd = socket(server_address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || fd >= MOST)
        fail("socket: %s", fd < 0 ? strerror(errno) : "too many");
    struct client *c = &clients[fd];
    *c = (struct client){.fd = fd, .way = way};
    int small = 4096, segment = 536; /* else the kernel keeps 2 MiB for each */
    if (way == DEAF)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (way == DEAF && server_address.ss_family == AF_INET)
        setsockopt(c->fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    if (server_address.ss_family == AF_INET) {
        struct sockaddr_in source = {.sin_family = AF_INET};
        source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + count++ % SOURCES);
        int on = 1;
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (bind(c->fd, (struct sockaddr *)&source, sizeof source) < 0)
            fail("bind: %s", strerror(errno));
    }
    struct timeval patience = {.tv_sec = PATIENCE};
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(c->fd, (struct sockaddr *)&server_address, address_size) < 0)
        fail("connect: %s", strerror(errno));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(events, EPOLL_CTL_ADD, c->fd, &event);
    return c;
}

static void close_client(const struct client *c)
{
    close(c->fd);
}

static void say(struct client *c, const char *text)
{
    size_t length = strlen(text);
    c->asked = now();
    ssize_t n = send(c->fd, text, length, MSG_NOSIGNAL);
    if (n != (ssize_t)length)
        fail("send: %s", n < 0 ? strerror(errno) : "not all of it");
}

/* Whether an answer has come whole. It must be the right one, and nothing behind it. */
static bool answered(struct client *c)
{
    const char *wanted = c->parting   ? protocol->farewell
                         : c->greeted ? protocol->answer
                                      : protocol->welcome;
    char numbered[60];
    if (wanted == NULL) {
        if (c->length == 0 || c->come[c->length - 1] != '\n')
            return false;
        c->come[c->length] = '\0';
        unsigned long number =
            strtoul(c->come + strcspn(c->come, "0123456789"), NULL, 10);
        if (!c->greeted) {
            c->number = number;
            if (number >= sizeof seen * 8 || (seen[number / 8] >> number % 8 & 1) != 0)
                fail("the number %lu was given before", number);
            seen[number / 8] |= (unsigned char)(1 << number % 8);
        }
        snprintf(numbered, sizeof numbered, "Client number: %lu\n", c->number);
        wanted = numbered;
    }
    size_t length = strlen(wanted);
    if (c->length < length)
        return false;
    if (c->length > length || memcmp(c->come, wanted, length) != 0)
        fail("a wrong answer: %.*s", (int)c->length, c->come);
    c->length = 0;
    c->greeted = true;
    return true;
}

static const char *many_letters(void)
{
    static char text[1501];
    memset(text, 'h', sizeof text - 1);
    return text;
}

/* The client has its answer: leave in its way, or do what else it is for. */
static void go_on(struct client *c)
{
    switch (c->way) {
    case GOODBYE:
        if (c->parting && !protocol->bye_ends) {
            talking--;
            close_client(c);
        } else if (!c->parting) {
            c->parting = true;
            say(c, protocol->bye);
        }
        break;
    case HALF_CLOSE:
        c->parting = true;
        shutdown(c->fd, SHUT_WR);
        break;
    case SILENCE: {
        struct client **place = &silent[silences++ % SILENT];
        if (*place != NULL)
            close_client(*place);
        *place = c;
        talking--;
        break;
    }
    case RESET: {
        /* Over a Unix domain socket, what has come and was not read makes a reset. */
        struct linger at_once = {.l_onoff = 1};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        say(c, protocol->ask);
        talking--;
        close_client(c);
        break;
    }
    case MIDDLE:
        say(c, protocol->half);
        say(c, many_letters());
        talking--;
        close_client(c);
        break;
    case FIN:
        talking--;
        close_client(c);
        break;
    case TIMED: {
        long long took = now() - c->asked;
        if (took > longest)
            longest = took;
        timed++;
        talking--;
        if (left_to_time > 0) {
            left_to_time--;
            talking++;
            say(c, protocol->ask);
        }
        break;
    }
    default:
        talking--;
        break;
    }
}

/* The server has closed the connection: that must be due. */
static void part(struct client *c)
{
    if (c->way == MUTE && c->length > 13 && memcmp(c->come, "HTTP/1.1 408 ", 13) == 0)
        mutes--;
    else if (c->parting && c->length == 0 && (c->way == HALF_CLOSE || protocol->bye_ends))
        talking--;
    else
        fail("it closes a connection, way %d, where none should be closed", (int)c->way);
    close_client(c);
}

/* Wait for something to come, and deal with all that has. */
static void serve_clients(void)
{
    struct epoll_event ready[256];
    int n = epoll_wait(events, ready, 256, PATIENCE * 1000);
    if (n == 0)
        fail("nothing comes for %d s, and %zu clients wait", PATIENCE, talking + mutes);
    for (int i = 0; i < n; i++) {
        struct client *c = ready[i].data.ptr;
        ssize_t come =
            recv(c->fd, c->come + c->length, sizeof c->come - 1 - c->length, 0);
        if (come < 0)
            fail("recv, way %d: %s", (int)c->way, strerror(errno));
        c->length += (size_t)come;
        if (come == 0)
            part(c);
        else if (c->way != MUTE && answered(c))
            go_on(c);
    }
}

/* So many connections come, talk, and leave in the six ways by turns. One in ten of the
   silent ones at a WebSocket server has never said a word, and is sent away after 5 s. */
static void churn(size_t count)
{
    for (size_t i = 0; i < count || talking > 0 || mutes > 0;) {
        while (i < count && talking < WINDOW) {
            enum way way = (enum way)(i++ % WAYS);
            if (way == SILENCE && i / WAYS % 10 == 0 && mutes < MUTES &&
                protocol->welcome != NULL && *protocol->welcome == 'H') {
                open_client(MUTE);
                mutes++;
                continue;
            }
            talking++;
            say(open_client(way), protocol->hello);
        }
        if (talking > 0 || mutes > 0)
            serve_clients();
    }
    for (size_t i = 0; i < SILENT; i++) {
        if (silent[i] != NULL)
            close_client(silent[i]);
        silent[i] = NULL;
    }
    silences = 0;
}

/* So many clients come, are answered, stay until all are there, and are answered again.
   Returns them. */
static struct client **gather(size_t count)
{
    struct client **group = calloc(count, sizeof(struct client *));
    if (group == NULL)
        fail("no memory for clients");
    for (size_t i = 0; i < count; i++) {
        group[i] = open_client(HOLD);
        talking++;
        say(group[i], protocol->hello);
        while (talking >= WINDOW)
            serve_clients();
    }
    while (talking > 0)
        serve_clients();
    for (size_t i = 0; i < count; i++) {
        talking++;
        say(group[i], protocol->ask);
    }
    while (talking > 0)
        serve_clients();
    return group;
}

static void dismiss(struct client **group, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close_client(group[i]);
    free(group);
}

/* The time in ns in which the clients, each of which asks again when it is answered, get
   ANSWERS answers. */
static long long time_answers(struct client **group)
{
    timed = 0;
    left_to_time = ANSWERS - READERS;
    long long start = now();
    for (size_t i = 0; i < READERS; i++) {
        group[i]->way = TIMED;
        talking++;
        say(group[i], protocol->ask);
    }
    while (timed < ANSWERS)
        serve_clients();
    return now() - start;
}

/* The best of five such times: what the machine does besides makes them longer. */
static long long best_time(struct client **group)
{
    long long best = time_answers(group);
    for (int i = 0; i < 4; i++) {
        long long time = time_answers(group);
        if (time < best)
            best = time;
    }
    return best;
}

/* Clients that talk on and on and never read, until each is stuck: nothing that they say
   is taken any more, for half a second. */
static struct client **deafen(void)
{
    static char talk[4096];
    struct client **group = calloc(STUCK, sizeof(struct client *));
    size_t *said = calloc(STUCK, sizeof *said), unit = strlen(protocol->flood), size = 0;
    int writable = epoll_create1(EPOLL_CLOEXEC);
    if (group == NULL || said == NULL || writable < 0)
        fail("no means for deaf clients");
    for (; size + unit <= sizeof talk; size += unit)
        memcpy(talk + size, protocol->flood, unit);
    for (size_t i = 0; i < STUCK; i++) {
        group[i] = open_client(DEAF);
        talking++;
        say(group[i], protocol->hello);
        while (talking >= WINDOW)
            serve_clients();
    }
    while (talking > 0)
        serve_clients();
    for (size_t i = 0; i < STUCK; i++) {
        epoll_ctl(events, EPOLL_CTL_DEL, group[i]->fd, NULL);
        struct epoll_event event = {.events = EPOLLOUT, .data.u64 = i};
        epoll_ctl(writable, EPOLL_CTL_ADD, group[i]->fd, &event);
    }
    struct epoll_event ready[256];
    long long deadline = now() + PATIENCE * 1000000000LL;
    for (int n; (n = epoll_wait(writable, ready, 256, 500)) != 0;) {
        if (now() > deadline)
            fail("clients that never read can talk on and on");
        for (int i = 0; i < n; i++) {
            size_t which = ready[i].data.u64, from = said[which] % unit;
            ssize_t sent = send(group[which]->fd, talk + from, size - from,
                                MSG_NOSIGNAL | MSG_DONTWAIT);
            if (sent < 0 && errno != EAGAIN)
                fail("a client that does not read: %s", strerror(errno));
            said[which] += sent > 0 ? (size_t)sent : 0;
        }
    }
    close(writable);
    free(said);
    return group;
}

/* --- The checks ----------------------------------------------------------------------- */

static double seconds_since(long long start)
{
    return (double)(now() - start) / 1e9;
}

static void check_end(void)
{
    long long start = now();
    int status = 0;
    kill(server, SIGTERM);
    while (waitpid(server, &status, WNOHANG) == 0) {
        if (seconds_since(start) > PATIENCE)
            fail("it does not end on SIGTERM");
        pause_for(10);
    }
    server = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail("it ends on SIGTERM with status %d", status);
    if (*socket_path != '\0' && access(socket_path, F_OK) == 0)
        fail("its socket file stays");
    pthread_join(line_reader, NULL);
    if (*strange_line != '\0')
        fail("it says %s", strange_line);
    ok("it has said nothing but of %zu clients that were gone, and ends with exit 0",
       complaints);
}

/* The memory of the server when no client is there. One that comes alone before has the
   stacks given back of threads that were the last to end. */
static size_t memory_at_rest(void)
{
    for (int i = 0; i < 3; i++) {
        dismiss(gather(1), 1);
        settle(0, "a client alone");
    }
    return resident();
}

static void check_churn(const char *program, size_t count)
{
    start_server(program, true);
    churn(count / 10 + 60 * WAYS);
    settle(0, "the first clients");
    size_t before = memory_at_rest();
    long long start = now();
    churn(count);
    ok("%zu connections came, talked and left in six ways, in %.1f s", count,
       seconds_since(start));
    settle(0, "they left");
    size_t after = memory_at_rest();
    ok("after that it has its %zu descriptors again, and threads: %zu", descriptors,
       protocol->threads);
    /* A page may be touched late that had to be touched once; a leak goes on. */
    for (int again = 0; again < 2 && after > before; again++) {
        before = after;
        churn(count);
        settle(0, "they left again");
        after = memory_at_rest();
    }
    check(after <= before, "and no more memory: %zu KiB, before it %zu KiB", after,
          before);
    check_end();
}

static void check_held(size_t count)
{
    size_t before = resident();
    long long start = now();
    struct client **group = gather(count);
    double took = seconds_since(start);
    settle(count, "so many clients came");
    double each = ((double)resident() - (double)before) / (double)count;
    dismiss(group, count);
    settle(0, "so many clients left");
    ok("%zu clients at once, each answered twice, in %.1f s; %.1f KiB each, %.1f MiB kept",
       count, took, each, (double)(resident() - before) / 1024);
}

static void check_deaf(void)
{
    struct client **readers = gather(READERS);
    best_time(readers);
    long long without = best_time(readers);
    struct client **deaf = deafen();
    longest = 0;
    long long beside = best_time(readers), slowest = longest;
    settle(STUCK + READERS, "clients that never read came");
    dismiss(deaf, STUCK);
    settle(READERS, "clients that never read left");
    long long afterwards = best_time(readers);
    if (afterwards < without)
        without = afterwards;
    double ratio = (double)beside / (double)without;
    check(
        ratio <= 2 && slowest < 3000000000LL,
        "beside %d clients that never read others have %d answers in %.3f s, without them "
        "in %.3f s, ratio %.2f; the slowest of %d took %.1f ms",
        STUCK, ANSWERS, (double)beside / 1e9, (double)without / 1e9, ratio, 5 * ANSWERS,
        (double)slowest / 1e6);
    dismiss(readers, READERS);
    settle(0, "all clients left");
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 5 && i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(argv[1], protocols[i].name) == 0)
            protocol = &protocols[i];
    if (protocol == NULL) {
        fprintf(stderr,
                "usage: soak concTCP|unixSocket|wsServer PROGRAM CONNECTIONS HELD\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    events = epoll_create1(EPOLL_CLOEXEC);
    check_churn(argv[2], strtoul(argv[3], NULL, 10));
    start_server(argv[2], false);
    check_held(strtoul(argv[4], NULL, 10));
    check_deaf();
    check_end();
    return 0;
}
