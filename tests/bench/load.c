/* load.c - the suite's load generator: epoll, batches, every answer checked
 *
 *     cc -std=c11 -O2 -o load load.c
 *     load -P PID [OPTION...] MODE WORK PORT|/PATH
 *     load start PROGRAM [ARG...]
 *
 * MODE is closed (a request goes out when an answer has come), paced (one a second from each
 * connection), idle or talked (connections, of which each has had an answer: their memory),
 * or burst (all requests at once, then the answers). WORK is line (hello, answered by Client
 * number: N), date (hello, answered by date and time), echo, udp (a datagram, answered by a
 * number), ws, ascii or korean (WebSocket messages, binary or text, echoed), or raw (their
 * frames come back as they went). start tells how long PROGRAM took to its first line on
 * stderr, and its memory.
 *     -c N    connections, 1
 *     -p N    requests in flight on each, 1; if paced, at most
 *     -t N    seconds that are measured, 1
 *     -s N    bytes in an echo or in the payload of a message, 6
 *     -P PID  the server, whose CPU time and resident memory are told
 *
 * Prints one line of key=value pairs. In the closed loop the connections are shared out
 * among processes of one thread each: one alone is paced by its own rounds, which hides how
 * a server does when clients come as they please. All this may use what only Linux has; the
 * programs it measures may not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <regex.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
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
    JOBS = 2,             /* processes that share the connections in the closed loop */
    RECEIVE = 256 * 1024, /* bytes taken in one read */
    RING = 4096,          /* small requests are laid out in a ring of about this size */
    LONGEST = 1 << 20     /* latency in us that is told from longer ones */
};

static const uint64_t SECOND = 1000000000;

enum work { LINE, DATE, ECHO, UDP, RAW, WS, ASCII, KOREAN }; /* frames from RAW on */
static char *const work_names[] = {"line", "date",  "echo",   "udp", "raw",
                                   "ws",   "ascii", "korean", NULL};
enum mode { CLOSED, PACED, IDLE, TALKED, BURST };
static char *const mode_names[] = {"closed", "paced", "idle", "talked", "burst", NULL};

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

struct conn {
    int fd;
    bool waiting;              /* for room to write */
    unsigned in_flight;        /* requests issued and not yet answered */
    unsigned oldest;           /* index of the oldest of them in stamps */
    uint64_t *stamps;          /* when each request in flight was issued, a ring */
    size_t unsent;             /* bytes issued and not yet written */
    size_t out;                /* where in the ring of requests the next byte is */
    size_t in;                 /* where in want the next byte is */
    const unsigned char *want; /* what the server has to send, over and over */
    size_t want_size;
    size_t answer_size; /* bytes of one answer */
};

/* What one process has counted, in memory that all of them share; nothing but counts. */
struct tally {
    uint64_t answers, bytes; /* that came in the measured time */
    uint64_t wrong, lost;
    uint64_t histogram[LONGEST]; /* of latencies in us */
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
static unsigned char *requests, *echoes; /* rings of whole requests and their answers */
static size_t request_size, request_ring, echo_size, echo_ring;
static struct tally *tally;                  /* this process's own */
static bool measuring = true, asking = true; /* answers count; each is asked for anew */

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    exit(1);
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

/* CPU time of the server, all its threads, those that have ended too. */
static uint64_t server_cpu_ns(void)
{
    clockid_t clock;
    if (clock_getcpuclockid(server, &clock) != 0)
        die("server", "has ended");
    return clock_ns(clock);
}

/* The server's resident memory in KiB. smaps_rollup counts pages; VmRSS in status may be
   some 100 KiB off, as the kernel adds up each CPU's share only now and then. */
static long server_kib(void)
{
    char path[64], line[256];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)server);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        die(path, strerror(errno));
    while (kib == 0 && fgets(line, sizeof line, f) != NULL)
        sscanf(line, "Rss: %ld", &kib);
    fclose(f);
    return kib;
}

/* Wait until the server has not run for 0.2 s, 5 s at most. Returns its memory. */
static long settled_kib(void)
{
    uint64_t last = 0;
    for (int i = 0, still = 0; i < 100 && still < 4; i++) {
        sleep_until(now_ns() + SECOND / 20);
        uint64_t cpu = server_cpu_ns();
        still = cpu - last < SECOND / 2000 ? still + 1 : 0;
        last = cpu;
    }
    return server_kib();
}

/* The time under which a share of the answers came, in us. */
static unsigned percentile(double share)
{
    uint64_t seen = 0;
    unsigned us = 0;
    while (us < LONGEST - 1 &&
           (double)(seen += tally->histogram[us]) < share * (double)tally->answers)
        us++;
    return us;
}

/* Print what was counted in so many ns, in which the server used cpu ns. */
static void report(uint64_t took, uint64_t cpu)
{
    double n = (double)tally->answers, s = (double)took / 1e9;
    printf("work=%s mode=%s conns=%u pipeline=%u size=%zu seconds=%.3f answers=%.0f "
           "rps=%.1f mbps=%.3f p50_us=%u p99_us=%u cpu_us=%.4f rss_kib=%ld",
           work_names[work], mode_names[mode], conns, pipeline, size, s, n, n / s,
           (double)tally->bytes / 1e6 / s, percentile(0.5), percentile(0.99),
           n > 0 ? (double)cpu / 1e3 / n : 0, server_kib());
}

/* Bytes that differ from one k to the next; ASCII letters in a text, with Korean words
   among them. */
static void fill(unsigned char *p, size_t n, unsigned k)
{
    static const char words[] =
        "네트워크 프로그래밍, TCP/IP and UDP: 웹소켓 message 하나. ";
    uint32_t x = 2463534242U + k * 7919;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        p[i] = (unsigned char)(work < ASCII ? x : 'a' + x % 26);
    }
    size_t length = sizeof words - 1;
    for (size_t i = 0; work == KOREAN && i + length <= n; i += length + 1)
        memcpy(p + i, words, length);
}

/* Write a frame's header for a payload of n bytes; returns its length. */
static size_t frame_header(unsigned char *p, size_t n, bool masked)
{
    size_t at = 2, bytes = n < 126 ? 0 : n < 65536 ? 2 : 8;
    p[0] = work < ASCII ? 0x82 : 0x81;
    p[1] = (unsigned char)(bytes == 0 ? n : bytes == 2 ? 126 : 127);
    p[1] = (unsigned char)(p[1] | (masked ? 0x80 : 0));
    for (size_t i = bytes; i > 0; i--)
        p[at++] = (unsigned char)((uint64_t)n >> (8 * (i - 1)));
    return at;
}

/* Lay out a ring of requests, and a ring of the answers to them where they are known. Each
   has its own bytes and mask, so that one answer cannot pass for another's. */
static void lay_out_requests(void)
{
    unsigned n = size >= RING ? 2 : (unsigned)(RING / size);
    requests = malloc(n * (size + 14));
    echoes = malloc(n * (size + 14));
    if (requests == NULL || echoes == NULL)
        die("malloc", strerror(errno));
    unsigned char *out = requests, *in = echoes;
    for (unsigned k = 0; k < n; k++) {
        unsigned char mask[4] = {0};
        if (work >= RAW) {
            in += frame_header(in, size, false);
            out += frame_header(out, size, true);
            fill(mask, sizeof mask, k);
            memcpy(out, mask, sizeof mask);
            out += sizeof mask;
        }
        if (work == ECHO || work >= RAW)
            fill(in, size, k);
        else
            memcpy(in, "hello\n", size);
        for (size_t i = 0; i < size; i++)
            *out++ = in[i] ^ mask[i % 4];
        in += size;
    }
    request_ring = (size_t)(out - requests);
    request_size = request_ring / n;
    echo_ring = (size_t)(in - echoes);
    echo_size = echo_ring / n;
    if (work == RAW) {
        echoes = requests;
        echo_size = request_size;
        echo_ring = request_ring;
    }
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
        die(address, strerror(errno));
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
        die("write", strerror(errno));
    while (strstr(text, f->end) == NULL) {
        ssize_t n = read(c->fd, text + have, sizeof text - 1 - have);
        if (n <= 0)
            die("first answer", n < 0 ? strerror(errno) : "not whole");
        have += (size_t)n;
        text[have] = '\0';
    }
    if (regcomp(&pattern, f->answer, REG_EXTENDED) != 0 ||
        regexec(&pattern, text, 0, NULL, 0) != 0)
        die("first answer", "not what this work answers");
    regfree(&pattern);
    if (work < WS) {
        c->want = (unsigned char *)strdup(text);
        c->want_size = c->answer_size = have;
    }
}

static void open_all(void)
{
    all = calloc(conns, sizeof *all);
    uint64_t *stamps = calloc((size_t)conns * pipeline, sizeof *stamps);
    if (all == NULL || stamps == NULL)
        die("calloc", strerror(errno));
    for (unsigned i = 0; i < conns; i++) {
        struct conn *c = &all[i];
        *c = (struct conn){.fd = dial(),
                           .stamps = stamps + (size_t)i * pipeline,
                           .want = echoes,
                           .want_size = echo_ring,
                           .answer_size = echo_size};
        if (work >= WS || (work < ECHO && mode != IDLE))
            introduce(c);
    }
}

static void watch_all(void)
{
    epoll = epoll_create1(0);
    for (unsigned i = 0; i < conns; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &e) != 0)
            die("epoll_ctl", strerror(errno));
    }
}

/* The connection's answers cannot be trusted any more: what is in flight on it is lost. */
static void drop(struct conn *c)
{
    tally->wrong++;
    tally->lost += c->in_flight;
    c->in_flight = 0;
    c->unsent = 0;
    epoll_ctl(epoll, EPOLL_CTL_DEL, c->fd, NULL);
    shutdown(c->fd, SHUT_RDWR);
    c->fd = -1;
}

/* Write what was issued, as far as the socket takes it; datagrams one by one. */
static void send_out(struct conn *c)
{
    while (c->unsent > 0) {
        size_t n = request_ring - c->out;
        n = n < c->unsent ? n : c->unsent;
        n = work == UDP ? request_size : n;
        ssize_t w = send(c->fd, requests + c->out, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (w < 0 && errno != EAGAIN) {
            drop(c);
            return;
        }
        if (w > 0) {
            c->unsent -= (size_t)w;
            c->out += (size_t)w;
            c->out = c->out == request_ring ? 0 : c->out;
        }
        if (w < (ssize_t)n)
            break;
    }
    if (c->waiting != (c->unsent > 0)) {
        c->waiting = c->unsent > 0;
        struct epoll_event e = {.events = c->waiting ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
    }
}

static void issue(struct conn *c, unsigned n, uint64_t now)
{
    c->unsent += n * request_size;
    for (; n > 0; n--)
        c->stamps[(c->oldest + c->in_flight++) % pipeline] = now;
    if (!c->waiting)
        send_out(c);
}

/* Are the bytes the wanted ones? In dates each digit may be another. */
static bool same(const unsigned char *p, const unsigned char *want, size_t n)
{
    size_t i = work == DATE ? 0 : n;
    while (i < n && (p[i] == want[i] || (isdigit(p[i]) && isdigit(want[i]))))
        i++;
    return work == DATE ? i == n : memcmp(p, want, n) == 0;
}

/* Check bytes of a stream. Returns how many answers are whole now, -1 if any is wrong. */
static int count_answers(struct conn *c, const unsigned char *p, size_t left)
{
    size_t whole = 0;
    while (left > 0) {
        size_t n = c->want_size - c->in;
        n = n < left ? n : left;
        if (!same(p, c->want + c->in, n))
            return -1;
        whole += (c->in + n) / c->answer_size - c->in / c->answer_size;
        c->in = c->in + n == c->want_size ? 0 : c->in + n;
        p += n;
        left -= n;
    }
    return (int)whole;
}

/* The same for a datagram, a number from 1 to 1000. */
static int count_datagram(const unsigned char *p, size_t n)
{
    unsigned value = 0;
    int end = 0;
    sscanf((const char *)p, "%4u%n", &value, &end);
    return isdigit(*p) && *p != '0' && value <= 1000 && (size_t)end == n ? 1 : -1;
}

/* Read once, check every byte, and ask anew for each answer that has come whole. An answer
   to what was not asked is wrong. */
static void take(struct conn *c)
{
    static unsigned char buffer[RECEIVE + 1];
    uint64_t now = now_ns();
    int n = -1;
    ssize_t r = recv(c->fd, buffer, RECEIVE, MSG_DONTWAIT);
    if (r < 0 && errno == EAGAIN)
        return;
    buffer[r > 0 ? r : 0] = '\0';
    if (r > 0)
        n = work == UDP ? count_datagram(buffer, (size_t)r)
                        : count_answers(c, buffer, (size_t)r);
    if (n < 0 || (unsigned)n > c->in_flight) {
        drop(c);
        return;
    }
    c->in_flight -= (unsigned)n;
    tally->answers += measuring ? (uint64_t)n : 0;
    tally->bytes += measuring ? (uint64_t)r : 0;
    for (int i = 0; i < n; i++) {
        uint64_t us = (now - c->stamps[c->oldest]) / 1000;
        tally->histogram[us < LONGEST ? us : LONGEST - 1] += measuring;
        c->oldest = c->oldest + 1 == pipeline ? 0 : c->oldest + 1;
    }
    if (asking && n > 0)
        issue(c, (unsigned)n, now);
}

static void serve_events(int timeout)
{
    static struct epoll_event events[512];
    int n = epoll_wait(epoll, events, 512, timeout);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (events[i].events & ~(unsigned)EPOLLOUT)
            take(c);
        if (c->fd >= 0 && (events[i].events & EPOLLOUT))
            send_out(c);
    }
}

/* No new request; what is still in flight must come in 3 s. */
static void drain(void)
{
    asking = false;
    uint64_t end = now_ns() + 3 * SECOND, in_flight = 1;
    while (in_flight > 0 && now_ns() < end) {
        serve_events(10);
        in_flight = 0;
        for (unsigned i = 0; i < conns; i++)
            in_flight += all[i].in_flight;
    }
    tally->lost += in_flight;
}

/* One process of the closed loop: load from now on, measured from begin to end. */
static _Noreturn void load_until(uint64_t begin, uint64_t end)
{
    watch_all();
    for (unsigned i = 0; i < conns; i++)
        issue(&all[i], pipeline, now_ns());
    for (uint64_t now; (now = now_ns()) < end;) {
        measuring = now >= begin;
        serve_events(10);
    }
    measuring = false;
    drain();
    exit(0);
}

/* A fifth of the time warms up, then the measured time begins. */
static void run_closed(void)
{
    struct tally *tallies = mmap(NULL, JOBS * sizeof *tallies, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tallies == MAP_FAILED)
        die("mmap", strerror(errno));
    open_all();
    uint64_t length = (uint64_t)(seconds * 1e9), begin = now_ns() + length / 5;
    for (unsigned i = 0; i < JOBS; i++) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork", strerror(errno));
        if (pid == 0) {
            tally = &tallies[i];
            all += conns * i / JOBS;
            conns = conns * (i + 1) / JOBS - conns * i / JOBS;
            load_until(begin, begin + length);
        }
    }
    sleep_until(begin);
    uint64_t cpu = server_cpu_ns();
    sleep_until(begin + length);
    cpu = server_cpu_ns() - cpu;
    for (int status; wait(&status) > 0;)
        if (status != 0)
            exit(1);
    for (unsigned i = 0; i < JOBS; i++)
        for (size_t k = 0; k < sizeof *tally / sizeof(uint64_t); k++)
            ((uint64_t *)tally)[k] += ((uint64_t *)&tallies[i])[k];
    report(length, cpu);
}

/* Each connection sends once a second, all of them spread over the second. An answer's
   latency counts from when its request was due, so that a stall shows in all that it held
   up. */
static void send_paced(uint64_t begin)
{
    uint64_t total = (uint64_t)(seconds + 0.5) * conns;
    for (uint64_t next = 0; next < total;) {
        uint64_t now = now_ns() - begin;
        for (uint64_t due; next < total && (due = next * SECOND / conns) <= now; next++) {
            struct conn *c = &all[next % conns];
            if (c->fd < 0 || c->in_flight == pipeline)
                tally->lost++;
            else
                issue(c, 1, begin + due);
        }
        serve_events(1);
    }
}

/* The modes in which all counts from the beginning: paced, and the burst, of which all goes
   out before an answer is read. */
static void run_once(void)
{
    asking = false;
    open_all();
    watch_all();
    uint64_t begin = now_ns(), cpu = server_cpu_ns();
    if (mode == PACED)
        send_paced(begin);
    else
        for (unsigned i = 0; i < conns; i++)
            issue(&all[i], pipeline, now_ns());
    drain();
    report(now_ns() - begin, server_cpu_ns() - cpu);
}

static void run_idle(void)
{
    asking = false;
    long before = settled_kib();
    open_all();
    watch_all();
    for (unsigned i = 0; mode == TALKED && i < conns; i++)
        issue(&all[i], 1, now_ns());
    drain();
    long after = settled_kib();
    printf("work=%s mode=%s conns=%u before_kib=%ld after_kib=%ld conn_bytes=%.0f",
           work_names[work], mode_names[mode], conns, before, after,
           (double)(after - before) * 1024 / conns);
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
        die("pipe", strerror(errno));
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    uint64_t begin = now_ns();
    int error = posix_spawn(&server, command[0], &actions, NULL, command, environ);
    if (error != 0)
        die(command[0], strerror(error));
    close(ends[1]);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    uint64_t took = now_ns() - begin;
    long kib = settled_kib();
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    if (n <= 0 || strstr(line, "listening on ") == NULL)
        die(command[0], "does not listen");
    printf("work=start start_us=%.1f rss_kib=%ld", (double)took / 1000, kib);
}

static void take_arguments(int argc, char **argv)
{
    char *word;
    double value[128] = {['c'] = 1, ['p'] = 1, ['s'] = 6, ['t'] = 1};
    for (int c; (c = getopt(argc, argv, "c:p:s:t:P:")) != -1;)
        if (c == '?' || (value[c] = strtod(optarg, NULL)) <= 0)
            exit(2);
    if (optind != argc - 3 || value['P'] == 0)
        die("usage", "load -P PID [OPTION...] MODE WORK PORT|/PATH");
    int m = getsubopt(&argv[optind], mode_names, &word);
    int w = getsubopt(&argv[optind + 1], work_names, &word);
    if (m < 0 || w < 0)
        die(word, "no such mode or work");
    mode = (enum mode)m;
    work = (enum work)w;
    address = argv[optind + 2];
    conns = (unsigned)value['c'];
    pipeline = (unsigned)value['p'];
    size = work == ECHO || work >= RAW ? (size_t)value['s'] : strlen("hello\n");
    seconds = value['t'];
    server = (pid_t)value['P'];
}

int main(int argc, char **argv)
{
    static struct tally counted;
    tally = &counted;
    if (argc > 2 && strcmp(argv[1], "start") == 0) {
        run_start(argv + 2);
    } else {
        take_arguments(argc, argv);
        lay_out_requests();
        if (mode == CLOSED)
            run_closed();
        else if (mode == IDLE || mode == TALKED)
            run_idle();
        else
            run_once();
    }
    printf(" wrong=%" PRIu64 " lost=%" PRIu64 " errors=%" PRIu64 "\n", tally->wrong,
           tally->lost, tally->wrong + tally->lost);
    return tally->wrong + tally->lost > 0;
}
