/* load.c - puts load on a server and checks every byte that it sends back
 *
 *     cc -std=c11 -O2 -o load load.c
 *     load WORK PORT|/PATH PID CONNECTIONS PIPELINE SIZE SECONDS
 *
 * WORK is line (the reply is Client number: N), udp (a datagram; the reply is a number),
 * text or echo (letters or bytes, echoed), binary, ascii or korean (WebSocket messages,
 * binary or text, echoed), or raw (their frames, echoed unchanged). Each connection sends
 * PIPELINE requests at once, and again as soon as all are answered. SIZE is the number of
 * bytes in a request, or in the payload of a message. After SECONDS load prints the
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
    REPLY = 64,           /* of a server for lines, at most */
    HEADER = 14           /* of the largest frame */
};

static const uint64_t SECOND = 1000000000;

static const struct work {
    const char *name;
    const char *words;    /* that are mixed into the letters of a request */
    bool binary;          /* requests are random bytes, not letters */
    unsigned char opcode; /* of WebSocket frames, 0 if there are none */
} works[] = {
    {.name = "line"},
    {.name = "udp"},
    {.name = "text"},
    {.name = "echo", .binary = true},
    {.name = "raw", .opcode = 2, .binary = true},
    {.name = "binary", .opcode = 2, .binary = true},
    {.name = "ascii", .opcode = 1},
    {.name = "korean",
     .opcode = 1,
     .words = "네트워크 프로그래밍, TCP/IP and UDP: 웹소켓 message 하나. "},
};

struct bytes {
    unsigned char *data;
    size_t size;
};

struct conn {
    int fd;
    bool blocked;      /* until the socket is writable */
    size_t out, in;    /* bytes of the requests sent, of the replies received */
    struct bytes want; /* the replies */
};

static const struct work *work;
static struct address address;
static unsigned conns, pipeline;
static size_t size;
static double seconds;
static pid_t server;

static struct conn *all;
static int epoll;
static struct bytes requests, echoes;
static uint64_t begin, end; /* of the measured time */
static unsigned unanswered; /* connections of this process that wait for replies */

/* Counted by all processes, in shared memory. */
static struct tally {
    _Atomic uint64_t replies, bytes; /* received in the measured time */
    _Atomic size_t errors;           /* replies that never arrived */
} * tally;

static bool is(const char *name)
{
    return strcmp(work->name, name) == 0;
}

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

/* Wait until the server is idle. Returns its resident memory in KiB. smaps_rollup counts
   pages; VmRSS in status may be some 100 KiB off, as the kernel adds up each CPU's share
   only now and then. */
static long settled_kib(void)
{
    uint64_t before, cpu = 0;
    do {
        before = cpu;
        sleep_until(now_ns() + SECOND / 5);
        cpu = server_cpu_ns();
    } while (cpu - before > SECOND / 500);
    char path[64];
    long kib;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)server);
    FILE *f = fopen(path, "r");
    if (f == NULL || fscanf(f, "%*[^\n] Rss: %ld", &kib) != 1)
        err(1, "%s", path);
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

/* Lay out the requests and echoes of them. Each has bytes and a mask of its own, so that
   no reply passes for another. */
static void lay_out_requests(void)
{
    unsigned char *out = requests.data = malloc((pipeline + 1) * (size + HEADER));
    unsigned char *in = echoes.data = malloc((pipeline + 1) * (size + HEADER));
    if (out == NULL || in == NULL)
        err(1, "malloc");
    for (unsigned k = 0; k < pipeline; k++) {
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
        if (is("line"))
            in[size - 1] = '\n';
        for (size_t i = 0; i < size; i++)
            *out++ = in[i] ^ mask[i % 4];
        in += size;
    }
    requests.size = (size_t)(out - requests.data);
    echoes.size = (size_t)(in - echoes.data);
    if (is("raw"))
        echoes = requests;
}

/* The replies to lines. A new server numbers its clients as they connect. */
static struct bytes numbers(unsigned client)
{
    char *data = malloc((pipeline + 1) * REPLY), *p = data;
    if (data == NULL)
        err(1, "malloc");
    for (unsigned k = 0; k < pipeline; k++)
        p += snprintf(p, REPLY, "Client number: %u\n", client);
    return (struct bytes){(unsigned char *)data, (size_t)(p - data)};
}

static void upgrade(int fd)
{
    static const char request[] =
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char response[1024];
    if (write(fd, request, strlen(request)) != (ssize_t)strlen(request))
        err(1, "write");
    ssize_t n = read(fd, response, sizeof response);
    if (n < 13 || memcmp(response, "HTTP/1.1 101 ", 13) != 0)
        errx(1, "the response to the handshake is wrong");
}

static void open_all(void)
{
    all = calloc(conns, sizeof *all);
    if (all == NULL)
        err(1, "calloc");
    for (unsigned i = 0; i < conns; i++) {
        int fd = socket(address.any.sa_family, is("udp") ? SOCK_DGRAM : SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, &address.any, address.length) != 0)
            err(1, "connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        if (work->opcode != 0 && !is("raw"))
            upgrade(fd);
        all[i].fd = fd;
        all[i].want = is("line") ? numbers(i + 1) : echoes;
    }
}

/* Send what is left of the requests until the socket would block; datagrams one by one. */
static void send_out(struct conn *c)
{
    bool blocked = false;
    while (c->out < requests.size && !blocked) {
        size_t n = is("udp") ? size : requests.size - c->out;
        ssize_t w = send(c->fd, requests.data + c->out, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (w < 0 && errno != EAGAIN)
            err(1, "send");
        c->out += w > 0 ? (size_t)w : 0;
        blocked = w < (ssize_t)n;
    }
    if (blocked != c->blocked) {
        struct epoll_event e = {.events = blocked ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
        c->blocked = blocked;
    }
}

/* Read once, check every byte, and start again when all replies are there. */
static void receive(struct conn *c)
{
    static unsigned char buffer[RECEIVE + 1];
    ssize_t r = recv(c->fd, buffer, RECEIVE, MSG_DONTWAIT);
    if (r < 0 && errno == EAGAIN)
        return;
    if (r <= 0)
        errx(1, "a connection has ended: %s", r < 0 ? strerror(errno) : "closed");
    size_t n = (size_t)r;
    if (n > c->want.size - c->in)
        errx(1, "more replies than requests");
    if (is("udp")) {
        buffer[n] = '\0';
        long number = strtol((char *)buffer, NULL, 10);
        if (number < 1 || number > 1000)
            errx(1, "a reply is not a number from 1 to 1000");
        n = size; /* as if it were an echo */
    } else if (memcmp(buffer, c->want.data + c->in, n) != 0) {
        errx(1, "a reply is wrong");
    }
    c->in += n;
    bool complete = c->in == c->want.size;
    uint64_t now = now_ns();
    if (begin <= now && now < end) {
        tally->replies += complete ? pipeline : 0;
        tally->bytes += n;
    }
    if (complete && now < end) {
        c->in = c->out = 0;
        send_out(c);
    } else if (complete) {
        unanswered--;
    }
}

/* Send the first requests and serve all connections until no reply is missing; those
   still missing 3 s after `end` are lost. */
static void converse(void)
{
    static struct epoll_event events[512];
    epoll = epoll_create1(0);
    unanswered = pipeline > 0 ? conns : 0;
    for (unsigned i = 0; i < conns; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e) != 0)
            err(1, "epoll_ctl");
        send_out(&all[i]);
    }
    uint64_t start = now_ns(), deadline = (end > start ? end : start) + 3 * SECOND;
    while (unanswered > 0 && now_ns() < deadline) {
        int n = epoll_wait(epoll, events, 512, 10);
        for (int i = 0; i < n; i++) {
            if (events[i].events & ~(unsigned)EPOLLOUT)
                receive(events[i].data.ptr);
            if (events[i].events & EPOLLOUT)
                send_out(events[i].data.ptr);
        }
    }
    for (unsigned i = 0; i < conns && pipeline > 0; i++)
        tally->errors += pipeline - all[i].in / (all[i].want.size / pipeline);
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
        printf("conn_kb=%.3f", (double)(settled_kib() - before) * 1.024 / conns);
    }
    printf(" errors=%zu\n", tally->errors);
}
