/* load.c - the suite's load generator: epoll, batches, every answer checked
 *
 *     cc -std=c11 -O2 -o load load.c
 *     load [OPTION...] MODE WORK PORT|/PATH PID
 *     load start PROGRAM [ARG...]
 *
 * MODE is closed (a request goes out when an answer has come), paced (one a second from
 * each connection) or once (all requests, then all answers; tells what memory of the
 * server, PID, the connections take). WORK is line (answered by Client number: N), date
 * (by date and time), udp (a datagram, by a number), text or echo (letters or bytes), ws,
 * ascii or korean (WebSocket messages, binary or text, echoed), or raw (their frames come back as they went). start
 * tells how long PROGRAM took to its first line on stderr, and its memory.
 *     -c N    connections, 1
 *     -p N    requests in flight on each, 1
 *     -t N    seconds that are measured, 1
 *     -s N    bytes in a request, or in the payload of a message, 6
 *
 * Prints one line of key=value pairs, where errors is the number of answers that have not
 * come. The first that is wrong ends it. All this may use what only Linux has; the
 * programs it measures may not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <regex.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    JOBS = 2,             /* processes of the closed loop */
    RECEIVE = 256 * 1024, /* bytes taken in one read */
    RING = 4096,          /* small requests are laid out in a ring of about this size */
    LONGEST = 1 << 20     /* latency in us that is told from longer ones */
};

static const uint64_t SECOND = 1000000000;

/* Lines up to DATE, binary from ECHO to WS, frames from RAW on. */
enum work { LINE, DATE, UDP, TEXT, ECHO, RAW, WS, ASCII, KOREAN };
static char *const work_names[] = {"line", "date", "udp",   "text",   "echo",
                                   "raw",  "ws",   "ascii", "korean", NULL};
enum mode { CLOSED, PACED, ONCE };
static char *const mode_names[] = {"closed", "paced", "once", NULL};

/* What is said first on a connection, how the answer ends, and what it is. Of lines all
   later answers are the same; the WebSocket's key is that of RFC 6455, section 1.3. */
static const struct first {
    const char *hello, *end, *answer;
} firsts[] = {
    [LINE] = {"hello\n", "\n", "^Client number: [1-9][0-9]{0,8}\n$"},
    [DATE] = {"hello\n", "\n",
              "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
              "(Z|[+-][0-9]{2}:[0-9]{2})\n$"},
    [WS] = {"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            "\r\n\r\n", "^HTTP/1.1 101 .*: s3pPLMBiTxaQ9kYGzzhZRbK[+]xOo=\r\n"},
};

struct ring {
    unsigned char *bytes;
    size_t size, one; /* of all of it, of one request or answer */
};

struct conn {
    int fd;
    bool waiting;       /* for room to write */
    unsigned in_flight; /* requests issued and not yet answered */
    unsigned answered;  /* counted if paced */
    size_t unsent;      /* bytes issued and not yet written */
    size_t out;         /* where in the ring of requests the next byte is */
    size_t in;          /* where in want the next byte is */
    struct ring want;   /* what the server has to send, over and over */
};

static enum work work;
static enum mode mode;
static const char *address;
static unsigned conns, pipeline;
static size_t size;
static double seconds;
static pid_t server;

static struct conn *all;
static int epoll;
static struct ring requests, answers;
static uint64_t begin, end = UINT64_MAX; /* of the measured time */
static unsigned in_flight;               /* on all connections of this process */
static unsigned histogram[LONGEST];      /* of latencies in us, if paced */

/* What all processes have counted, in memory that they share. */
struct tally {
    _Atomic uint64_t answers, bytes; /* that came in the measured time */
    _Atomic unsigned errors;         /* answers that never came */
};
static struct tally *tally;

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

/* CPU time of the server, all its threads, those that have ended too. */
static uint64_t server_cpu_ns(void)
{
    clockid_t clock;
    if (clock_getcpuclockid(server, &clock) != 0)
        errx(1, "the server has ended");
    return clock_ns(clock);
}

/* Wait until the server has not run for 0.2 s, 5 s at most. Returns its resident memory
   in KiB. smaps_rollup counts pages; VmRSS in status may be some 100 KiB off, as the
   kernel adds up each CPU's share only now and then. */
static long settled_kib(void)
{
    char path[64], line[256];
    long kib = 0;
    uint64_t last = 0;
    for (int i = 0, still = 0; i < 100 && still < 4; i++) {
        sleep_until(now_ns() + SECOND / 20);
        uint64_t cpu = server_cpu_ns();
        still = cpu - last < SECOND / 2000 ? still + 1 : 0;
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

/* Bytes that differ from one call to the next; ASCII letters in a text, with Korean words
   among them. */
static void fill(unsigned char *p, size_t n)
{
    static const char words[] =
        "네트워크 프로그래밍, TCP/IP and UDP: 웹소켓 message 하나. ";
    bool binary = work >= ECHO && work <= WS;
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(binary ? random() : 'a' + random() % 26);
    size_t length = sizeof words - 1;
    for (size_t i = 0; work == KOREAN && i + length <= n; i += length + 1)
        memcpy(p + i, words, length);
}

/* Lay out a ring of requests and one of echoes of them. Each has its own bytes and mask,
   so that one answer cannot pass for another's. */
static void lay_out_requests(void)
{
    unsigned n = size >= RING ? 2 : (unsigned)(RING / size);
    unsigned char *out = requests.bytes = malloc(n * (size + 14));
    unsigned char *in = answers.bytes = malloc(n * (size + 14));
    if (out == NULL || in == NULL)
        err(1, "malloc");
    size_t width = size < 126 ? 0 : size < 65536 ? 2 : 8; /* of a frame's longer length */
    unsigned char header[10] = {work < ASCII ? 0x82 : 0x81};
    header[1] = (unsigned char)(width == 0 ? size : width == 2 ? 126 : 127);
    for (size_t i = 0; i < width; i++)
        header[1 + width - i] = (unsigned char)((uint64_t)size >> (8 * i));
    for (unsigned k = 0; k < n; k++) {
        unsigned char mask[4] = {0};
        if (work >= RAW) {
            fill(mask, sizeof mask);
            memcpy(in, header, 2 + width);
            memcpy(out, header, 2 + width);
            out[1] |= 0x80;
            memcpy(out + 2 + width, mask, sizeof mask);
            in += 2 + width;
            out += 2 + width + sizeof mask;
        }
        fill(in, size);
        if (work <= DATE)
            in[size - 1] = '\n';
        for (size_t i = 0; i < size; i++)
            *out++ = in[i] ^ mask[i % 4];
        in += size;
    }
    requests.size = (size_t)(out - requests.bytes);
    requests.one = requests.size / n;
    answers.size = (size_t)(in - answers.bytes);
    answers.one = answers.size / n;
    if (work == RAW)
        answers = requests;
}

static int dial(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((in_port_t)strtoul(address, NULL, 10))};
    bool path = *address == '/';
    snprintf(un.sun_path, sizeof un.sun_path, "%s", address);
    int fd = socket(path ? AF_UNIX : AF_INET, work == UDP ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, path ? (struct sockaddr *)&un : (struct sockaddr *)&in,
                          path ? sizeof un : sizeof in) != 0)
        err(1, "%s", address);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return fd;
}

/* The first exchange on a connection. */
static void introduce(struct conn *c)
{
    regex_t pattern;
    const struct first *f = &firsts[work < WS ? work : WS];
    char text[1024] = "";
    size_t have = 0;
    if (write(c->fd, f->hello, strlen(f->hello)) != (ssize_t)strlen(f->hello))
        err(1, "write");
    for (ssize_t n; strstr(text, f->end) == NULL; have += (size_t)n) {
        n = read(c->fd, text + have, sizeof text - 1 - have);
        if (n <= 0)
            errx(1, "the first answer is not whole: %s", text);
    }
    if (regcomp(&pattern, f->answer, REG_EXTENDED) != 0 ||
        regexec(&pattern, text, 0, NULL, 0) != 0)
        errx(1, "the first answer is wrong: %s", text);
    regfree(&pattern);
    if (work <= DATE)
        c->want = (struct ring){(unsigned char *)strdup(text), have, have};
}

static void open_all(void)
{
    all = calloc(conns, sizeof *all);
    if (all == NULL)
        err(1, "calloc");
    for (unsigned i = 0; i < conns; i++) {
        all[i].fd = dial();
        all[i].want = answers;
        if (work >= WS || (work <= DATE && pipeline > 0))
            introduce(&all[i]);
    }
}

/* Write what was issued, as far as the socket takes it; datagrams one by one. */
static void send_out(struct conn *c)
{
    while (c->unsent > 0) {
        size_t n = requests.size - c->out;
        n = n < c->unsent ? n : c->unsent;
        n = work == UDP ? requests.one : n;
        ssize_t w = send(c->fd, requests.bytes + c->out, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (w < 0 && errno != EAGAIN)
            err(1, "send");
        size_t sent = w > 0 ? (size_t)w : 0;
        c->unsent -= sent;
        c->out = (c->out + sent) % requests.size;
        if (sent < n)
            break;
    }
    if (c->waiting != (c->unsent > 0)) {
        c->waiting = c->unsent > 0;
        struct epoll_event e = {.events = c->waiting ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
    }
}

static void issue(struct conn *c, unsigned n)
{
    in_flight += n;
    c->in_flight += n;
    c->unsent += n * requests.one;
    if (!c->waiting)
        send_out(c);
}

/* Watch all connections and issue so many requests on each. */
static void start_all(unsigned n)
{
    epoll = epoll_create1(0);
    for (unsigned i = 0; i < conns; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e) != 0)
            err(1, "epoll_ctl");
        issue(&all[i], n);
    }
}

/* Are the bytes the wanted ones? In dates each digit may be another. */
static bool same(const unsigned char *p, const unsigned char *want, size_t n)
{
    size_t i = work == DATE ? 0 : n;
    while (i < n && (p[i] == want[i] || (isdigit(p[i]) && isdigit(want[i]))))
        i++;
    return work == DATE ? i == n : memcmp(p, want, n) == 0;
}

/* Check bytes of a stream. Returns how many answers are whole now. */
static size_t count_answers(struct conn *c, const unsigned char *p, size_t left)
{
    size_t whole = 0;
    while (left > 0) {
        size_t n = c->want.size - c->in;
        n = n < left ? n : left;
        if (!same(p, c->want.bytes + c->in, n))
            errx(1, "an answer is wrong");
        whole += (c->in + n) / c->want.one - c->in / c->want.one;
        c->in = (c->in + n) % c->want.size;
        p += n;
        left -= n;
    }
    return whole;
}

/* The same for a datagram, a number from 1 to 1000. */
static size_t count_datagram(const char *text, size_t n)
{
    char *rest;
    unsigned long value = strtoul(text, &rest, 10);
    if (*text < '1' || *text > '9' || value > 1000 || rest != text + n)
        errx(1, "an answer is wrong: %s", text);
    return 1;
}

/* When the request of this number is due, counted over all connections. */
static uint64_t due(uint64_t number)
{
    return begin + number * SECOND / conns;
}

/* Read once, check every byte, and ask anew for each answer that has come whole. The
   latency of a paced one counts from when its request was due, so that a stall shows in
   all that it held up. */
static void take(struct conn *c)
{
    static unsigned char buffer[RECEIVE + 1];
    ssize_t r = recv(c->fd, buffer, RECEIVE, MSG_DONTWAIT);
    if (r < 0 && errno == EAGAIN)
        return;
    if (r <= 0)
        errx(1, "a connection has ended: %s", r < 0 ? strerror(errno) : "closed");
    buffer[r] = '\0';
    uint64_t now = now_ns();
    size_t n = work == UDP ? count_datagram((char *)buffer, (size_t)r)
                           : count_answers(c, buffer, (size_t)r);
    if (n > c->in_flight)
        errx(1, "an answer came to what was not asked");
    c->in_flight -= (unsigned)n;
    in_flight -= (unsigned)n;
    if (begin <= now && now < end) {
        tally->answers += n;
        tally->bytes += (uint64_t)r;
    }
    for (size_t i = 0; mode == PACED && i < n; i++) {
        uint64_t number = (uint64_t)c->answered++ * conns + (uint64_t)(c - all);
        uint64_t us = (now - due(number)) / 1000;
        histogram[us < LONGEST ? us : LONGEST - 1]++;
    }
    if (mode == CLOSED && now < end && n > 0)
        issue(c, (unsigned)n);
}

static void serve_events(int timeout)
{
    static struct epoll_event events[512];
    int n = epoll_wait(epoll, events, 512, timeout);
    for (int i = 0; i < n; i++) {
        if (events[i].events & ~(unsigned)EPOLLOUT)
            take(events[i].data.ptr);
        if (events[i].events & EPOLLOUT)
            send_out(events[i].data.ptr);
    }
}

/* Take the answers until none is missing; those that have not come by then are lost. */
static void drain(uint64_t deadline)
{
    while (in_flight > 0 && now_ns() < deadline)
        serve_events(10);
    tally->errors += in_flight;
}

/* A fifth of the time warms up, then the measured time begins. What is in flight at its
   end must come in 3 s. Processes of one thread each share the connections: one alone is
   paced by its own rounds, which hides how a server does when clients come as they
   please. */
static void run_closed(void)
{
    open_all();
    begin = now_ns() + (uint64_t)(seconds * 1e9 / 5);
    end = begin + (uint64_t)(seconds * 1e9);
    for (unsigned i = 0; i < JOBS; i++) {
        pid_t pid = fork();
        if (pid < 0)
            err(1, "fork");
        if (pid == 0) {
            all += conns * i / JOBS;
            conns = conns * (i + 1) / JOBS - conns * i / JOBS;
            start_all(pipeline);
            drain(end + 3 * SECOND);
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
    double n = (double)tally->answers;
    printf("rps=%.1f mbps=%.3f cpu_us=%.4f", n / seconds,
           (double)tally->bytes / 1e6 / seconds, (double)cpu / 1e3 / n);
}

/* Each connection sends once a second, all of them spread over the second. */
static void run_paced(void)
{
    open_all();
    start_all(0);
    begin = now_ns();
    for (uint64_t next = 0, total = (uint64_t)(seconds * conns); next < total;) {
        for (; next < total && due(next) <= now_ns(); next++)
            issue(&all[next % conns], 1);
        serve_events(1);
    }
    drain(now_ns() + 3 * SECOND);
    uint64_t seen = 0;
    unsigned us = 0;
    while (us < LONGEST - 1 && (seen += histogram[us]) * 100 < tally->answers * 99)
        us++;
    printf("p99_us=%u", us);
}

static void run_once(void)
{
    long before = settled_kib();
    open_all();
    start_all(pipeline);
    drain(now_ns() + 3 * SECOND);
    printf("conn_bytes=%.0f", (double)(settled_kib() - before) * 1024 / conns);
}

/* How long from its spawn to the first line on stderr, which a server writes when it
   listens. */
static void run_start(char **command)
{
    int ends[2];
    char line[256] = "";
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (pipe(ends) != 0)
        err(1, "pipe");
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    begin = now_ns();
    errno = posix_spawn(&server, command[0], &actions, NULL, command, environ);
    if (errno != 0)
        err(1, "%s", command[0]);
    close(ends[1]);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    double us = (double)(now_ns() - begin) / 1000;
    long kib = settled_kib();
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    if (n <= 0 || strstr(line, "listening on ") == NULL)
        errx(1, "%s does not listen", command[0]);
    printf("start_us=%.1f rss_kib=%ld\n", us, kib);
}

static void take_arguments(int argc, char **argv)
{
    char *word;
    double value[128] = {['c'] = 1, ['p'] = 1, ['s'] = 6, ['t'] = 1};
    for (int c; (c = getopt(argc, argv, "c:p:s:t:")) != -1;)
        if (c == '?' || (value[c] = strtod(optarg, NULL)) < 0)
            exit(2);
    if (optind != argc - 4)
        errx(2, "usage: load [OPTION...] MODE WORK PORT|/PATH PID");
    int m = getsubopt(&argv[optind], mode_names, &word);
    int w = getsubopt(&argv[optind + 1], work_names, &word);
    if (m < 0 || w < 0)
        errx(2, "no such mode or work");
    mode = (enum mode)m;
    work = (enum work)w;
    address = argv[optind + 2];
    server = (pid_t)strtol(argv[optind + 3], NULL, 10);
    conns = (unsigned)value['c'];
    pipeline = (unsigned)value['p'];
    size = (size_t)value['s'];
    seconds = value['t'];
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "start") == 0) {
        run_start(argv + 2);
        return 0;
    }
    take_arguments(argc, argv);
    tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                 -1, 0);
    if (tally == MAP_FAILED)
        err(1, "mmap");
    lay_out_requests();
    if (mode == CLOSED)
        run_closed();
    else if (mode == PACED)
        run_paced();
    else
        run_once();
    printf(" errors=%u\n", tally->errors);
}
