/* soak.c - many clients of one server, that come, talk and leave
 *
 *     cc -std=c11 -O2 -pthread -o soak soak.c
 *     soak NAME PORT|/PATH churn N     N clients come and leave in six ways
 *     soak NAME PORT|/PATH hold N      N stay until stdin is at its end
 *     soak NAME PORT|/PATH deaf N      N that never read, beside some that do
 *
 * NAME is concTCP, unixSocket or wsServer. Each client is answered rightly, or what was
 * wrong is said on stderr and the exit status is 1. Written for Linux.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 64,      /* connections that talk at the same time */
    SILENT = 4,        /* a worker's, that stay without a word until so many more have */
    READERS = 50,      /* clients that read beside those that do not, */
    ROUNDS = 200,      /* and how often each of them asks */
    PATIENCE = 20,     /* seconds in which something must happen */
    NUMBERS = 1 << 22, /* clients of one concTCP */
    SOURCES = 20 /* addresses to connect from, 127.0.0.2 and on: each has its own ports */
};

enum way { GOODBYE, FIN, RESET, HALF_CLOSE, SILENCE, MIDDLE, WAYS };

/* What clients of a server say and hear. A masked frame is "mask" and the payload with it;
   none has a NUL in it. An answer that is NULL is `Client number: N`. */
static const struct protocol {
    const char *name;
    const char *open, *opened; /* what is said first, if anything, and its answer, */
    const char *ask, *answer;  /* what is said then, more than once, */
    const char *bye, *farewell;
    bool bye_ends;    /* the server closes after the farewell */
    const char *half; /* the beginning of what has no end, before 1,500 letters */
    const char *mute; /* how the server sends away who never says a word, if it does */
} protocols[] = {
    {.name = "concTCP",
     .ask = "hello\n",
     .bye = "STOP\n",
     .farewell = "",
     .bye_ends = true,
     .half = "hel"},
    {.name = "unixSocket",
     .ask = "hello\n",
     .answer = "hello\n",
     .bye = "STOP\n",
     .farewell = "STOP\n",
     .half = "hel"},
    {.name = "wsServer",
     .open = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n",
     .opened = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
               "Connection: Upgrade\r\nSec-WebSocket-Accept: "
               "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
     .ask = "\x81\x85mask\x05\x04\x1f\x07\x02",
     .answer = "\x81\x05hello",
     .bye = "\x88\x82mask\x6e\x89",
     .farewell = "\x88\x02\x03\xe8",
     .bye_ends = true,
     .half = "\x81\xfe\x07\xd0mask",
     .mute = "HTTP/1.1 408 "},
};

struct client {
    int fd;
    unsigned long number; /* what concTCP has told it, 0 before that */
};

static const struct protocol *protocol;
static const char *address;
static atomic_bool given[NUMBERS]; /* the numbers that concTCP has given */
static atomic_size_t next, last;   /* which client the workers make next; how many */

/* Monotonic seconds. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    _exit(1);
}

/* Connect. A deaf client has small buffers: else the kernel keeps 2 MiB for each. */
static struct client come(bool deaf)
{
    static atomic_uint count;
    const int on = 1, small = 4096, segment = 536;
    bool path = *address == '/';
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in source = {.sin_family = AF_INET}, in = source;
    struct client c = {.fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM, 0)};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", address);
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons((in_port_t)strtoul(address, NULL, 10));
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + count++ % SOURCES);
    if (deaf)
        setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (deaf && !path)
        setsockopt(c.fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
    setsockopt(c.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!path && bind(c.fd, (struct sockaddr *)&source, sizeof source) < 0)
        fail("bind", strerror(errno));
    struct timeval patience = {.tv_sec = PATIENCE};
    setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(c.fd, path ? (struct sockaddr *)&un : (struct sockaddr *)&in,
                path ? sizeof un : sizeof in) < 0)
        fail("connect", strerror(errno));
    return c;
}

static void say(const struct client *c, const char *text)
{
    ssize_t n = send(c->fd, text, strlen(text), MSG_NOSIGNAL);
    if (n != (ssize_t)strlen(text))
        fail("send", n < 0 ? strerror(errno) : "not all of it");
}

/* Wait for an answer. It must be the one that is wanted, with nothing behind it. */
static void hear(struct client *c, const char *wanted)
{
    char heard[256] = "", numbered[60];
    size_t length = 0;
    while (wanted ? length < strlen(wanted) : strchr(heard, '\n') == NULL) {
        ssize_t n = recv(c->fd, heard + length, sizeof heard - 1 - length, 0);
        if (n <= 0)
            fail("no answer", n < 0 ? strerror(errno) : "it closes the connection");
        length += (size_t)n;
        heard[length] = '\0';
    }
    if (wanted == NULL && c->number == 0) {
        c->number = strtoul(heard + strcspn(heard, "0123456789"), NULL, 10);
        if (c->number >= NUMBERS || atomic_exchange(&given[c->number], true))
            fail("given twice", heard);
    }
    snprintf(numbered, sizeof numbered, "Client number: %lu\n", c->number);
    if (strcmp(heard, wanted ? wanted : numbered) != 0)
        fail("a wrong answer", heard);
}

/* Wait until the server closes the connection. Before that it says something that begins
   with `first`, or nothing if that is empty. */
static void hear_end(const struct client *c, const char *first)
{
    char heard[1024] = "";
    size_t length = 0;
    ssize_t n;
    while ((n = recv(c->fd, heard + length, sizeof heard - 1 - length, 0)) > 0)
        length += (size_t)n;
    if (n < 0)
        fail("it does not close the connection", strerror(errno));
    if (strncmp(heard, first, strlen(first)) != 0 || (*first == '\0' && length > 0))
        fail("it says before it closes the connection", heard);
}

static void greet(struct client *c)
{
    if (protocol->open != NULL) {
        say(c, protocol->open);
        hear(c, protocol->opened);
    }
    say(c, protocol->ask);
    hear(c, protocol->answer);
}

/* Come, say hello, and leave in one of the ways; or stay silent and leave in place of the
   one that was so before. */
static void visit(enum way way, struct client *silent)
{
    char letters[1501] = "";
    struct client c = come(false), before = *silent;
    memset(letters, 'h', sizeof letters - 1);
    greet(&c);
    switch (way) {
    case GOODBYE:
        say(&c, protocol->bye);
        hear(&c, protocol->farewell);
        if (protocol->bye_ends)
            hear_end(&c, "");
        break;
    case RESET: {
        /* Over a Unix domain socket, what has come and was not read makes a reset. */
        const struct linger at_once = {.l_onoff = 1};
        setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        say(&c, protocol->ask);
        break;
    }
    case HALF_CLOSE:
        shutdown(c.fd, SHUT_WR);
        hear_end(&c, "");
        break;
    case SILENCE:
        *silent = c;
        c = before;
        break;
    case MIDDLE:
        say(&c, protocol->half);
        say(&c, letters);
        break;
    default: /* FIN */
        break;
    }
    close(c.fd);
}

/* The thread of one connection at a time, as long as some have to come. Beside them is one
   that never says a word, where the server sends it away. */
static void *work(void *argument)
{
    struct client silent[SILENT], mute;
    memset(silent, -1, sizeof silent);
    if (protocol->mute != NULL)
        mute = come(false);
    for (size_t i; (i = next++) < last;)
        visit((enum way)(i % WAYS), &silent[i / WAYS % SILENT]);
    for (int i = 0; i < SILENT; i++)
        close(silent[i].fd);
    if (protocol->mute != NULL) {
        hear_end(&mute, protocol->mute);
        close(mute.fd);
    }
    return argument;
}

/* So many connections come, talk, and leave in the six ways by turns. */
static void churn(size_t count)
{
    pthread_t workers[WORKERS];
    next = 0;
    last = count;
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&workers[i], NULL, work, NULL) != 0)
            fail("pthread_create", "failed");
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
}

/* So many clients come, are answered, and stay until all are there. Returns them. */
static struct client *gather(size_t count, bool deaf)
{
    struct client *group = calloc(count, sizeof *group);
    if (group == NULL)
        fail("calloc", strerror(errno));
    for (size_t i = 0; i < count; i++) {
        group[i] = come(deaf);
        greet(&group[i]);
    }
    return group;
}

/* All ask, then each hears its answer. */
static void ask_all(struct client *group, size_t count)
{
    for (size_t i = 0; i < count; i++)
        say(&group[i], protocol->ask);
    for (size_t i = 0; i < count; i++)
        hear(&group[i], protocol->answer);
}

/* Clients talk on and on and never read, until each is stuck: nothing that they say is
   taken any more, for half a second. */
static void talk_on(const struct client *group, size_t count)
{
    char talk[4096];
    size_t unit = strlen(protocol->ask), size = sizeof talk / unit * unit;
    size_t *said = calloc(count, sizeof *said);
    for (size_t i = 0; i < size; i++)
        talk[i] = protocol->ask[i % unit];
    double start = now(), taken = start;
    while (now() - taken < 0.5) {
        if (now() - start > PATIENCE)
            fail("clients that never read", "can talk on and on");
        for (size_t i = 0; i < count; i++) {
            size_t from = said[i] % unit;
            ssize_t n =
                send(group[i].fd, talk + from, size - from, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN)
                fail("a client that does not read", strerror(errno));
            if (n > 0) {
                said[i] += (size_t)n;
                taken = now();
            }
        }
    }
    free(said);
}

/* Clients that never read, beside others that are answered as ever. */
static void be_deaf(size_t count)
{
    struct client *readers = gather(READERS, false);
    talk_on(gather(count, true), count);
    for (int i = 0; i < ROUNDS; i++)
        ask_all(readers, READERS);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 5 && i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(argv[1], protocols[i].name) == 0)
            protocol = &protocols[i];
    if (protocol == NULL)
        return 2;
    address = argv[2];
    size_t count = strtoul(argv[4], NULL, 10);
    if (strcmp(argv[3], "churn") == 0) {
        churn(count);
    } else if (strcmp(argv[3], "hold") == 0) {
        static struct client *clients; /* that stay */
        clients = gather(count, false);
        ask_all(clients, count);
        puts("all are answered");
        fflush(stdout);
        while (getchar() != EOF)
            ;
    } else {
        be_deaf(count);
    }
    return 0;
}
