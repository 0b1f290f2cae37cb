/* soak.c - many clients of one server: they connect, talk and disconnect
 *
 *     cc -std=c11 -O2 -pthread -o soak soak.c
 *     soak NAME PORT|/PATH churn N     N clients disconnect in six ways
 *     soak NAME PORT|/PATH hold N      N clients stay until stdin ends
 *
 * NAME is concTCP, unixSocket or wsServer. Exits with 1 and a message on stderr unless
 * every reply is right. Needs Linux.
 */
#define _GNU_SOURCE
#include "../bench/address.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum {
    WORKERS = 64,          /* connections that talk at the same time */
    TIMEOUT = 20,          /* seconds for any one step */
    MOST_SENT = 256 << 20, /* bytes after which the server must be stuck */
    NUMBERS = 1 << 22,     /* clients of one concTCP */
    SOURCES = 20 /* addresses to connect from, 127.0.0.2 and on: each has its own ports */
};

/* How a client ends: with the protocol's goodbye; by close(); by a reset, after it has sent
   without reading until the server was stuck; by a half-close; in the middle of a line or
   frame; without having sent a byte. */
enum way { GOODBYE, FIN, RESET, HALF_CLOSE, MIDDLE, MUTE, WAYS };

/* What clients send and expect. A masked frame has "mask" as its mask; none contains a
   NUL. A reply that is NULL is `Client number: N`. */
static const struct protocol {
    const char *name;
    const char *open, *opened; /* a handshake, if any, and the end of its response */
    const char *ask, *reply;
    const char *bye, *farewell; /* after which the server closes; NULL if it does not */
} protocols[] = {
    {.name = "concTCP", .ask = "hello\n", .bye = "STOP\n", .farewell = ""},
    {.name = "unixSocket", .ask = "hello\n", .reply = "hello\n"},
    {.name = "wsServer",
     .open = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
             "Sec-WebSocket-Version: 13\r\n\r\n",
     .opened = "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
     .ask = "\x81\x85mask\x05\x04\x1f\x07\x02",
     .reply = "\x81\x05hello",
     .bye = "\x88\x82mask\x6e\x89",
     .farewell = "\x88\x02\x03\xe8"},
};

struct client {
    int fd;
    unsigned long number; /* its number at concTCP, 0 until it is known */
};

static const struct protocol *protocol;
static struct address address;
static atomic_bool given[NUMBERS]; /* the numbers that concTCP has given */
static atomic_size_t next, last;   /* the workers' next client, and how many there are */

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    _exit(1);
}

static struct client dial(void)
{
    static atomic_uint count;
    const int on = 1;
    const struct timeval timeout = {.tv_sec = TIMEOUT};
    struct client c = {.fd = socket(address.any.sa_family, SOCK_STREAM, 0)};
    setsockopt(c.fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    setsockopt(c.fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    if (address.any.sa_family == AF_INET) {
        struct address source = parse_address("0");
        source.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + count++ % SOURCES);
        setsockopt(c.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (bind(c.fd, &source.any, source.length) < 0)
            fail("bind", strerror(errno));
    }
    if (connect(c.fd, &address.any, address.length) < 0)
        fail("connect", strerror(errno));
    return c;
}

static void send_text(const struct client *c, const char *text, size_t length)
{
    ssize_t n = send(c->fd, text, length, MSG_NOSIGNAL);
    if (n != (ssize_t)length)
        fail("send", n < 0 ? strerror(errno) : "only part of it");
}

static void ask(const struct client *c)
{
    send_text(c, protocol->ask, strlen(protocol->ask));
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
        send_text(c, protocol->open, strlen(protocol->open));
        receive(c, response, sizeof response, protocol->opened);
        if (strncmp(response, "HTTP/1.1 101 ", 13) != 0)
            fail("refused", response);
    }
    ask(c);
    expect(c, protocol->reply);
}

/* Ask without reading until the server has not read for 20 ms, because its replies fill
   the buffers, which are small: the kernel would keep 2 MiB for each client. */
static void ask_until_stuck(const struct client *c)
{
    const int small = 4096;
    char text[4096];
    size_t unit = strlen(protocol->ask), size = sizeof text / unit * unit, sent = 0;
    for (size_t i = 0; i < size; i++)
        text[i] = protocol->ask[i % unit];
    setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    while (poll(&(struct pollfd){.fd = c->fd, .events = POLLOUT}, 1, 20) > 0) {
        size_t from = sent % unit;
        ssize_t n = send(c->fd, text + from, size - from, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN)
            fail("a client that does not read", strerror(errno));
        sent += n > 0 ? (size_t)n : 0;
        if (sent > MOST_SENT)
            fail("a client that does not read", "the server goes on reading");
    }
}

/* Connect, talk, and disconnect in one of the ways. */
static void visit(enum way way)
{
    const struct linger reset = {.l_onoff = 1};
    struct client c = dial();
    if (way != MUTE)
        greet(&c);
    switch (way) {
    case GOODBYE:
        if (protocol->bye != NULL) {
            send_text(&c, protocol->bye, strlen(protocol->bye));
            expect(&c, protocol->farewell);
            expect_eof(&c);
        }
        break;
    case RESET: /* over a Unix domain socket, the unread replies make it one */
        ask_until_stuck(&c);
        setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        break;
    case HALF_CLOSE:
        shutdown(c.fd, SHUT_WR);
        expect_eof(&c);
        break;
    case MIDDLE:
        send_text(&c, protocol->ask, strlen(protocol->ask) - 1);
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

/* All connect and get a reply; then all ask, and each gets another. */
static void hold(size_t count)
{
    struct client *clients = calloc(count, sizeof *clients);
    if (clients == NULL)
        fail("calloc", strerror(errno));
    for (size_t i = 0; i < count; i++) {
        clients[i] = dial();
        greet(&clients[i]);
    }
    for (size_t i = 0; i < count; i++)
        ask(&clients[i]);
    for (size_t i = 0; i < count; i++)
        expect(&clients[i], protocol->reply);
    puts("all have their replies");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    free(clients);
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
    else
        hold(count);
    return 0;
}
