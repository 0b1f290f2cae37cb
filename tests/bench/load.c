/* load.c - puts load on a server and checks every byte that it sends back
 *
 *     cc -std=c11 -O2 -o load load.c
 *     load WORK PORT|/PATH PID CONNECTIONS PIPELINE SIZE SECONDS
 *
 * WORK is line (the reply is Client number: N), udp (a datagram; the reply is a number),
 * text or echo (letters or bytes, echoed), ws, ascii or korean (WebSocket messages, binary
 * or text, echoed), or raw (their frames, echoed unchanged). PIPELINE is the number of
 * requests in flight on each connection, SIZE the bytes in a request, or in the payload of
 * a message. For SECONDS it sends a new request after each reply, then prints the
 * throughput and the CPU time of the server, process PID, for each request. With 0 it
 * sends the first requests only and prints how much memory of the server a connection
 * takes.
 *
 * Prints one line of key=value pairs; errors is the number of replies that never arrived.
 * Exits with 1 at the first wrong reply. Needs Linux.
 */
#define _GNU_SOURCE
#include "address.h"
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    PROCESSES = 2,        /* that share the connections */
    RECEIVE = 256 * 1024, /* bytes in one recv() */
    RING = 4096,          /* about the size of a ring of small requests */
    HEADER = 14           /* of the largest frame */
};

static const uint64_t SECOND = 1000000000;

#define UPGRADE                                                                          \
    "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"                      \
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                               \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

/* The first exchange on a connection sends hello; the response begins with `first` and
   ends with `end`. All later replies to lines equal the first. */
static const struct work {
    const char *name, *hello, *first, *end;
    const char *words;    /* that are mixed into the letters of a request */
    bool datagrams;       /* over UDP */
    bool binary;          /* requests are random bytes, not letters */
    unsigned char opcode; /* of WebSocket frames, 0 if there are none */
} works[] = {
    {.name = "line", .hello = "hello\n", .first = "Client number: ", .end = "\n"},
    {.name = "udp", .datagrams = true},
    {.name = "text"},
    {.name = "echo", .binary = true},
    {.name = "raw", .opcode = 2, .binary = true},
    {"ws", UPGRADE, "HTTP/1.1 101 ", "\r\n\r\n", .opcode = 2, .binary = true},
    {"ascii", UPGRADE, "HTTP/1.1 101 ", "\r\n\r\n", .opcode = 1},
    {"korean", UPGRADE, "HTTP/1.1 101 ", "\r\n\r\n", .opcode = 1,
     .words = "네트워크 프로그래밍, TCP/IP and UDP: 웹소켓 message 하나. "},
};

struct ring {
    unsigned char *bytes;
    size_t size, one; /* of the whole ring, of one request or reply */
};

struct conn {
    int fd;
    bool blocked;       /* until the socket is writable */
    unsigned in_flight; /* requests issued and not yet answered */
    size_t unsent;      /* bytes issued and not yet written */
    size_t out;         /* position in the ring of requests */
    size_t in;          /* position in want */
    struct ring want;   /* what the server must send, over and over */
};

static const struct work *work;
static struct address address;
static unsigned conns, pipeline;
static size_t size;
static double seconds;
static pid_t server;

static struct conn *all;
static int epoll;
static struct ring requests, replies;
static uint64_t begin, end; /* of the measured time */
static unsigned in_flight;  /* on all connections of this process */

/* Counted by all processes, in shared memory. */
static struct tally {
    _Atomic uint64_t replies, bytes; /* received in the measured time */
    _Atomic unsigned errors;         /* replies that never arrived */
} * tally;

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static void sleep_until(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / SECOND), (long)(ns % SECOND)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* The CPU time of all threads of the server, dead ones included. */
static uint64_t server_cpu_ns(void)
{
    clockid_t clock;
    if (clock_getcpuclockid(server, &clock) != 0)
        errx(1, "the server has ended");
    return clock_ns(clock);
}

/* Wait until the server has not run for 0.2 s, but 5 s at most. Returns its resident
   memory in KiB. smaps_rollup counts pages; VmRSS in status may be some 100 KiB off, as
   the kernel adds up each CPU's share only now and then. */
static long settled_kib(void)
{
    char path[64], line[256];
    long kib = 0;
    uint64_t last = 0;
    for (int i = 0, idle = 0; i < 100 && idle < 4; i++) {
        sleep_until(now_ns() + SECOND / 20);
        uint64_t cpu = server_cpu_ns();
        idle = cpu - last < SECOND / 2000 ? idle + 1 : 0;
        last = cpu;
    }
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)server);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        err(1, "%s", path);
    while (kib == 0 && fgets(line, sizeof line, f) != NULL)
        sscanf(line, "Rss: %ld", &kib);
    fclose(f);
    return kib;
}

/* Fill with bytes that differ from call to call. */
static void fill(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(work->binary ? random() : 'a' + random() % 26);
    size_t length = work->words != NULL ? strlen(work->words) : n;
    for (size_t i = 0; work->words != NULL && i + length <= n; i += length + 1)
        memcpy(p + i, work->words, length);
}

/* Write the header of an unmasked frame (RFC 6455, section 5.2). Returns its length. */
static size_t put_header(unsigned char *p)
{
    size_t width = size < 126 ? 0 : size < 65536 ? 2 : 8;
    p[0] = 0x80 | work->opcode;
    p[1] = (unsigned char)(width == 0 ? size : width == 2 ? 126 : 127);
    for (size_t i = 0; i < width; i++)
        p[1 + width - i] = (unsigned char)((uint64_t)size >> (8 * i));
    return 2 + width;
}

/* Lay out a ring of requests and one of echoes of them. Each has bytes and a mask of its
   own, so that no reply passes for another. */
static void lay_out_requests(void)
{
    size_t n = size >= RING ? 2 : RING / size;
    unsigned char *out = requests.bytes = malloc(n * (size + HEADER));
    unsigned char *in = replies.bytes = malloc(n * (size + HEADER));
    if (out == NULL || in == NULL)
        err(1, "malloc");
    for (size_t k = 0; k < n; k++) {
        unsigned char mask[4] = {0};
        if (work->opcode != 0) {
            fill(mask, sizeof mask);
            size_t length = put_header(in);
            put_header(out);
            out[1] |= 0x80;
            memcpy(out + length, mask, sizeof mask);
            in += length;
            out += length + sizeof mask;
        }
        fill(in, size);
        if (work->hello != NULL && work->opcode == 0)
            in[size - 1] = '\n';
        for (size_t i = 0; i < size; i++)
            *out++ = in[i] ^ mask[i % 4];
        in += size;
    }
    requests.size = (size_t)(out - requests.bytes);
    replies.size = (size_t)(in - replies.bytes);
    requests.one = requests.size / n;
    replies.one = replies.size / n;
    if (strcmp(work->name, "raw") == 0)
        replies = requests;
}

/* The first exchange on a connection. */
static void introduce(struct conn *c)
{
    char text[1024] = "";
    size_t length = 0;
    if (write(c->fd, work->hello, strlen(work->hello)) != (ssize_t)strlen(work->hello))
        err(1, "write");
    while (strstr(text, work->end) == NULL) {
        ssize_t n = read(c->fd, text + length, sizeof text - 1 - length);
        if (n <= 0)
            errx(1, "the first reply is incomplete: %s", text);
        length += (size_t)n;
    }
    if (strncmp(text, work->first, strlen(work->first)) != 0)
        errx(1, "the first reply is wrong: %s", text);
    if (work->opcode == 0)
        c->want = (struct ring){(unsigned char *)strdup(text), length, length};
}

static void open_all(void)
{
    all = calloc(conns, sizeof *all);
    if (all == NULL)
        err(1, "calloc");
    for (unsigned i = 0; i < conns; i++) {
        struct conn *c = &all[i];
        c->want = replies;
        c->fd =
            socket(address.any.sa_family, work->datagrams ? SOCK_DGRAM : SOCK_STREAM, 0);
        if (c->fd < 0 || connect(c->fd, &address.any, address.length) != 0)
            err(1, "connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (work->hello != NULL && (work->opcode != 0 || pipeline > 0))
            introduce(c);
    }
}

/* Write what was issued until the socket would block; datagrams one by one. */
static void send_out(struct conn *c)
{
    while (c->unsent > 0) {
        size_t n = requests.size - c->out;
        n = n < c->unsent ? n : c->unsent;
        n = work->datagrams ? requests.one : n;
        ssize_t w = send(c->fd, requests.bytes + c->out, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (w < 0 && errno != EAGAIN)
            err(1, "send");
        size_t sent = w > 0 ? (size_t)w : 0;
        c->unsent -= sent;
        c->out = (c->out + sent) % requests.size;
        if (sent < n)
            break;
    }
    if (c->blocked != (c->unsent > 0)) {
        c->blocked = c->unsent > 0;
        struct epoll_event e = {.events = c->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
    }
}

static void issue(struct conn *c, unsigned n)
{
    in_flight += n;
    c->in_flight += n;
    c->unsent += n * requests.one;
    if (!c->blocked)
        send_out(c);
}

/* Watch all connections and issue the first requests. */
static void start_all(void)
{
    epoll = epoll_create1(0);
    for (unsigned i = 0; i < conns; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e) != 0)
            err(1, "epoll_ctl");
        issue(&all[i], pipeline);
    }
}

/* Check bytes of a stream. Returns how many replies they complete. */
static size_t count_replies(struct conn *c, const unsigned char *p, size_t left)
{
    size_t complete = 0;
    while (left > 0) {
        size_t n = c->want.size - c->in;
        n = n < left ? n : left;
        if (memcmp(p, c->want.bytes + c->in, n) != 0)
            errx(1, "a reply is wrong");
        complete += (c->in + n) / c->want.one - c->in / c->want.one;
        c->in = (c->in + n) % c->want.size;
        p += n;
        left -= n;
    }
    return complete;
}

/* Check a datagram, a number from 1 to 1000. */
static size_t count_datagram(const char *text, size_t n)
{
    char *rest;
    unsigned long value = strtoul(text, &rest, 10);
    if (*text < '1' || *text > '9' || value > 1000 || rest != text + n)
        errx(1, "a reply is wrong: %s", text);
    return 1;
}

/* Read once, check every byte, and issue a request for each complete reply. */
static void receive(struct conn *c)
{
    static unsigned char buffer[RECEIVE + 1];
    ssize_t r = recv(c->fd, buffer, RECEIVE, MSG_DONTWAIT);
    if (r < 0 && errno == EAGAIN)
        return;
    if (r <= 0)
        errx(1, "a connection has ended: %s", r < 0 ? strerror(errno) : "closed");
    buffer[r] = '\0';
    uint64_t now = now_ns();
    size_t n = work->datagrams ? count_datagram((char *)buffer, (size_t)r)
                               : count_replies(c, buffer, (size_t)r);
    if (n > c->in_flight)
        errx(1, "more replies than requests");
    c->in_flight -= (unsigned)n;
    in_flight -= (unsigned)n;
    if (begin <= now && now < end) {
        tally->replies += n;
        tally->bytes += (uint64_t)r;
    }
    if (now < end && n > 0)
        issue(c, (unsigned)n);
}

/* Issue the first requests and serve all connections until no reply is missing; those
   still missing 3 s after `end` are lost. */
static void converse(void)
{
    static struct epoll_event events[512];
    start_all();
    uint64_t start = now_ns(), deadline = (end > start ? end : start) + 3 * SECOND;
    while (in_flight > 0 && now_ns() < deadline) {
        int n = epoll_wait(epoll, events, 512, 10);
        for (int i = 0; i < n; i++) {
            if (events[i].events & ~(unsigned)EPOLLOUT)
                receive(events[i].data.ptr);
            if (events[i].events & EPOLLOUT)
                send_out(events[i].data.ptr);
        }
    }
    tally->errors += in_flight;
}

/* A fifth of the time warms up, then the measured time begins. The processes share the
   connections: a single one works in rounds and so would set the server's pace, unlike
   independent clients. */
static void measure_throughput(void)
{
    begin = now_ns() + (uint64_t)(seconds * 1e9 / 5);
    end = begin + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < PROCESSES; i++) {
        pid_t pid = fork();
        if (pid < 0)
            err(1, "fork");
        if (pid == 0) {
            all += conns * i / PROCESSES;
            conns = conns * (i + 1) / PROCESSES - conns * i / PROCESSES;
            converse();
            exit(0);
        }
    }
    sleep_until(begin);
    uint64_t cpu = server_cpu_ns();
    sleep_until(end);
    cpu = server_cpu_ns() - cpu;
    for (int status; wait(&status) > 0;)
        if (status != 0)
            exit(1);
    double n = (double)tally->replies;
    printf("rps=%.1f mbps=%.3f cpu_us=%.4f", n / seconds,
           (double)tally->bytes / 1e6 / seconds, (double)cpu / 1e3 / n);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 8 && i < sizeof works / sizeof *works; i++)
        if (strcmp(argv[1], works[i].name) == 0)
            work = &works[i];
    if (work == NULL)
        return 2;
    address = parse_address(argv[2]);
    server = (pid_t)strtol(argv[3], NULL, 10);
    conns = (unsigned)strtoul(argv[4], NULL, 10);
    pipeline = (unsigned)strtoul(argv[5], NULL, 10);
    size = strtoul(argv[6], NULL, 10);
    seconds = strtod(argv[7], NULL);
    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    if (tally == MAP_FAILED)
        err(1, "mmap");
    lay_out_requests();
    long before = seconds > 0 ? 0 : settled_kib();
    open_all();
    if (seconds > 0) {
        measure_throughput();
    } else {
        converse();
        printf("conn_bytes=%.0f", (double)(settled_kib() - before) * 1024 / conns);
    }
    printf(" errors=%u\n", tally->errors);
}
