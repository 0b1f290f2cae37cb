/* soak.c - many clients of one server: they connect, talk and disconnect
 *
 *     cc -std=c11 -O2 -pthread -o soak soak.c
 *     soak NAME PORT|/PATH churn N     N clients disconnect in six ways
 *     soak NAME PORT|/PATH hold N      N clients stay until stdin ends
 *     soak NAME PORT|/PATH deaf N      N clients never read, while others do
 *
 * NAME is concTCP, unixSocket or wsServer. Exits with 1 and a message on stderr unless
 * every reply is right. Needs Linux.
 */
#define _GNU_SOURCE
#include "../bench/address.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 64,      /* connections that talk at the same time */
    READERS = 50,      /* clients that read beside deaf ones, */
    ROUNDS = 200,      /* and how often each of them asks */
    TIMEOUT = 20,      /* seconds for any one step */
    NUMBERS = 1 << 22, /* clients of one concTCP */
    SOURCES = 20 /* addresses to connect from, 127.0.0.2 and on: each has its own ports */
};

/* How a client ends: with the protocol's goodbye, by close(), by a reset, by a half-close,
   in the middle of a line or frame, or without having sent a byte. */
enum way { GOODBYE, FIN, RESET, HALF_CLOSE, MIDDLE, MUTE, WAYS };

/* What clients send and expect. A masked frame has "mask" as its mask; none contains a
   NUL. A reply that is NULL is `Client number: N`. */
static const struct protocol {
    const char *name;
    const char *open, *opened; /* a handshake, if any, and the end of its response */
    const char *ask, *reply;
    const char *bye, *farewell;
    bool bye_ends;    /* the server closes after the farewell */
    const char *half; /* the start of a line or frame of more than 1,500 bytes */
} protocols[] = {
    {.name = "concTCP",
     .ask = "hello\n",
     .bye = "STOP\n",
     .farewell = "",
     .bye_ends = true,
     .half = "hel"},
    {.name = "unixSocket",
     .ask = "hello\n",
     .reply = "hello\n",
     .bye = "STOP\n",
     .farewell = "STOP\n",
     .half = "hel"},
    {.name = "wsServer",
     .open = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n",
     .opened = "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
     .ask = "\x81\x85mask\x05\x04\x1f\x07\x02",
     .reply = "\x81\x05hello",
     .bye = "\x88\x82mask\x6e\x89",
     .farewell = "\x88\x02\x03\xe8",
     .bye_ends = true,
     .half = "\x81\xfe\x07\xd0mask"},
};

struct client {
    int fd;
    unsigned long number; /* its number at concTCP, 0 until it is known */
};

static const struct protocol *protocol;
static struct address address;
static atomic_bool given[NUMBERS]; /* the numbers that concTCP has given */
static atomic_size_t next, last;   /* the workers' next client, and how many there are */

/* Monotonic time in seconds. */
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

/* Connect. A deaf client has small buffers, or the kernel would keep 2 MiB for each. */
static struct client dial(bool deaf)
{
    static atomic_uint count;
    const int on = 1, small = 4096, segment = 536;
    const struct timeval timeout = {.tv_sec = TIMEOUT};
    bool tcp = address.any.sa_family == AF_INET;
    struct client c = {.fd = socket(address.any.sa_family, SOCK_STREAM, 0)};
    setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (deaf)
        setsockopt(c.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (tcp) {
        struct address source = parse_address("0");
        source.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + count++ % SOURCES);
        setsockopt(c.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (deaf)
            setsockopt(c.fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment);
        if (bind(c.fd, &source.any, source.length) < 0)
            fail("bind", strerror(errno));
    }
    if (connect(c.fd, &address.any, address.length) < 0)
        fail("connect", strerror(errno));
    return c;
}

static void send_text(const struct client *c, const char *text)
{
    ssize_t n = send(c->fd, text, strlen(text), MSG_NOSIGNAL);
    if (n != (ssize_t)strlen(text))
        fail("send", n < 0 ? strerror(errno) : "only part of it");
}

/* Read until `end` arrives; nothing may follow it. */
static void receive(const struct client *c, char *data, size_t size, const char *end)
{
    size_t length = 0;
    data[0] = '\0';
    while (strstr(data, end) == NULL) {
        ssize_t n = recv(c->fd, data + length, size - 1 - length, 0);
        if (n <= 0)
            fail("no reply", n < 0 ? strerror(errno) : "the connection is closed");
        length += (size_t)n;
        data[length] = '\0';
    }
}

/* Wait for a reply, which must be the expected one and nothing more. */
static void expect(struct client *c, const char *expected)
{
    char data[256], numbered[60];
    receive(c, data, sizeof data, expected != NULL ? expected : "\n");
    if (expected == NULL && c->number == 0) {
        c->number = strtoul(data + strcspn(data, "0123456789"), NULL, 10);
        if (c->number >= NUMBERS || atomic_exchange(&given[c->number], true))
            fail("given twice", data);
    }
    snprintf(numbered, sizeof numbered, "Client number: %lu\n", c->number);
    if (strcmp(data, expected != NULL ? expected : numbered) != 0)
        fail("a wrong reply", data);
}

/* Wait until the server closes the connection; it may send nothing before. */
static void expect_eof(const struct client *c)
{
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, 0);
    if (n != 0)
        fail("the server does not close", n < 0 ? strerror(errno) : "it sends a byte");
}

static void greet(struct client *c)
{
    if (protocol->open != NULL) {
        char response[512];
        send_text(c, protocol->open);
        receive(c, response, sizeof response, protocol->opened);
        if (strncmp(response, "HTTP/1.1 101 ", 13) != 0)
            fail("refused", response);
    }
    send_text(c, protocol->ask);
    expect(c, protocol->reply);
}

/* Connect, talk, and disconnect in one of the ways. */
static void visit(enum way way)
{
    const struct linger reset = {.l_onoff = 1};
    char letters[1501] = "";
    memset(letters, 'h', sizeof letters - 1);
    struct client c = dial(false);
    if (way != MUTE)
        greet(&c);
    switch (way) {
    case GOODBYE:
        send_text(&c, protocol->bye);
        expect(&c, protocol->farewell);
        if (protocol->bye_ends)
            expect_eof(&c);
        break;
    case RESET: /* over a Unix domain socket, the unread reply makes it one */
        setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        send_text(&c, protocol->ask);
        break;
    case HALF_CLOSE:
        shutdown(c.fd, SHUT_WR);
        expect_eof(&c);
        break;
    case MIDDLE:
        send_text(&c, protocol->half);
        send_text(&c, letters);
        break;
    default: /* FIN, MUTE */
        break;
    }
    close(c.fd);
}

/* A thread that makes one client after another. */
static void *work(void *argument)
{
    for (size_t i; (i = next++) < last;)
        visit((enum way)(i % WAYS));
    return argument;
}

static void churn(size_t count)
{
    pthread_t workers[WORKERS];
    last = count;
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&workers[i], NULL, work, NULL) != 0)
            fail("pthread_create", "failed");
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
}

/* Connect this many clients; each gets a reply and stays. Returns them. */
static struct client *gather(size_t count, bool deaf)
{
    struct client *group = calloc(count, sizeof *group);
    if (group == NULL)
        fail("calloc", strerror(errno));
    for (size_t i = 0; i < count; i++) {
        group[i] = dial(deaf);
        greet(&group[i]);
    }
    return group;
}

/* All ask, then each receives its reply. */
static void ask_all(struct client *group, size_t count)
{
    for (size_t i = 0; i < count; i++)
        send_text(&group[i], protocol->ask);
    for (size_t i = 0; i < count; i++)
        expect(&group[i], protocol->reply);
}

static void hold(size_t count)
{
    struct client *clients = gather(count, false);
    ask_all(clients, count);
    puts("all have their replies");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    free(clients);
}

/* Clients send without reading until all are stuck: for half a second the server has read
   nothing more. */
static void send_until_stuck(const struct client *group, size_t count)
{
    char text[4096];
    size_t unit = strlen(protocol->ask), size = sizeof text / unit * unit;
    size_t *sent = calloc(count, sizeof *sent);
    for (size_t i = 0; i < size; i++)
        text[i] = protocol->ask[i % unit];
    double start = now(), progress = start;
    while (now() - progress < 0.5) {
        if (now() - start > TIMEOUT)
            fail("clients that never read", "can send without end");
        for (size_t i = 0; i < count; i++) {
            size_t from = sent[i] % unit;
            ssize_t n =
                send(group[i].fd, text + from, size - from, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN)
                fail("a client that never reads", strerror(errno));
            if (n > 0) {
                sent[i] += (size_t)n;
                progress = now();
            }
        }
    }
    free(sent);
}

/* Clients that never read do not keep others from their replies. */
static void be_deaf(size_t count)
{
    struct client *readers = gather(READERS, false), *deaf = gather(count, true);
    send_until_stuck(deaf, count);
    for (int i = 0; i < ROUNDS; i++)
        ask_all(readers, READERS);
    free(readers);
    free(deaf);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 5 && i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(argv[1], protocols[i].name) == 0)
            protocol = &protocols[i];
    if (protocol == NULL)
        return 2;
    address = parse_address(argv[2]);
    size_t count = strtoul(argv[4], NULL, 10);
    if (strcmp(argv[3], "churn") == 0)
        churn(count);
    else if (strcmp(argv[3], "hold") == 0)
        hold(count);
    else
        be_deaf(count);
    return 0;
}
