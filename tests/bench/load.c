/* load.c - the suite's load generator: epoll, batches, every answer checked
 *
 *     cc -O2 -o load load.c
 *     load line -c 64 -p 16 -t 1 -P PID 127.0.0.1:1234
 *     load -h
 *
 * It keeps PIPELINE requests in flight on each of CONNS connections (a closed loop: the
 * next request goes out when an answer has come), and prints one line of key=value pairs.
 * The connections are shared out among JOBS processes of one thread each: one alone is
 * paced by its own rounds, which hides how a server does when clients come as they please.
 * It may use what only Linux has; the programs it measures may not.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
    RECEIVE = 256 * 1024, /* bytes taken in one read */
    RING = 4096,          /* small requests are laid out in a ring of about this size */
    BATCH = 64,           /* datagrams moved in one call */
    EVENTS = 512,
    ANSWER = 48,       /* room for one line of an answer */
    PACED_DEPTH = 16,  /* requests a paced client may have in flight */
    BUCKETS = 32 * 64, /* of the latency histogram: 32 to a power of two */
    BURST = 1000,      /* datagrams in a burst */
    BURST_SOCKETS =
        20, /* from so many sockets, so that no answer is lost at our own end */
};

static const uint64_t SECOND = 1000000000;
static const uint64_t DATAGRAM_LOST = 500000000; /* ns without an answer */
static const uint64_t DRAIN = 3000000000;        /* ns to wait for the last answers */

enum work { LINE, DATE, ECHO, UDP, WS };

static const char *const work_names[] = {"line", "date", "echo", "udp", "ws"};

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
    unsigned char answer[ANSWER];
};

/* What one process has counted, in memory that all of them share. */
struct tally {
    uint64_t answers, bytes, wrong, lost;
    uint64_t measured, measured_bytes; /* those that came in the measured time */
    uint64_t own_cpu;                  /* ns this process used in it */
    uint64_t histogram[BUCKETS];
};

/* What the command line says. */
static enum work work;
static const char *mode = "closed", *kind = "binary", *address;
static unsigned conns = 1, pipeline = 1, jobs = 2;
static size_t size = 6;
static double seconds = 1;
static pid_t server;
static bool raw, talk;

static struct conn *all;
static unsigned depth; /* places in a connection's ring of stamps */
static int epoll;
static unsigned char *requests, *echoes; /* rings of whole requests and their answers */
static size_t request_size, request_ring, echo_size, echo_ring;
static unsigned char *buffer;
static struct tally *tallies, *tally; /* one for each process; this one's own */
static bool stopping;

static void take_arguments(int argc, char **argv);
static void lay_out_requests(void);
static void run_closed(void);
static void run_paced(void);
static void run_idle(void);
static void run_burst(void);
static void run_start(char **command);

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc > 2 && strcmp(argv[1], "start") == 0) {
        run_start(argv + 2);
        return 0;
    }
    take_arguments(argc, argv);
    tallies = mmap(NULL, jobs * sizeof *tallies, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tallies == MAP_FAILED) {
        return 1;
    }
    tally = tallies;
    lay_out_requests();
    if (strcmp(mode, "closed") == 0) {
        run_closed();
    } else if (strcmp(mode, "paced") == 0) {
        run_paced();
    } else if (strcmp(mode, "idle") == 0) {
        run_idle();
    } else {
        run_burst();
    }
    return tally->wrong + tally->lost > 0;
}

/* ---------------------------------------------------------------- the command line */

static _Noreturn void usage(FILE *out)
{
    fputs(
        "usage: load WORK [OPTION...] HOST:PORT | /PATH\n"
        "       load start PROGRAM [ARG...]\n"
        "WORK is line (hello, answered by Client number: N), date (hello, answered by date\n"
        "and time), echo, udp (a datagram, answered by a number) or ws (WebSocket echo).\n"
        "  -m MODE     closed (default), paced (a request a second from each connection),\n"
        "              idle (open the connections, report memory, hold till stdin ends),\n"
        "              burst (udp: 1,000 datagrams sent at once)\n"
        "  -c CONNS    connections, 1\n"
        "  -p N        requests in flight on each, 1\n"
        "  -t SECONDS  measured time, 1\n"
        "  -s SIZE     bytes in an echo or in the payload of a message, 6\n"
        "  -j JOBS     processes that share the connections in the closed loop, 2\n"
        "  -k KIND     ws: binary (default), ascii, korean (text, Korean and ASCII mixed)\n"
        "  -r          ws: no handshake, and frames come back as they went (a floor)\n"
        "  -x          idle: one request and answer on each connection first\n"
        "  -P PID      the server: report its CPU time and resident memory\n"
        "start prints how long PROGRAM took to its first line on stderr, and its memory.\n",
        out);
    exit(out == stdout ? 0 : 2);
}

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "load: %s: %s\n", what, why);
    exit(1);
}

static double number(const char *text, double low, double high)
{
    char *end;
    double n = strtod(text, &end);
    if (end == text || *end != '\0' || !(n >= low && n <= high)) {
        die(text, "number out of range");
    }
    return n;
}

static void take_arguments(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "-h") == 0) {
        usage(stdout);
    }
    if (argc < 3) {
        usage(stderr);
    }
    while (strcmp(argv[1], work_names[work]) != 0) {
        if (work == WS) {
            usage(stderr);
        }
        work++;
    }
    optind = 2;
    for (int c; (c = getopt(argc, argv, "m:c:p:t:s:k:j:rxP:")) != -1;) {
        switch (c) {
        case 'm':
            mode = optarg;
            break;
        case 'c':
            conns = (unsigned)number(optarg, 1, 100000);
            break;
        case 'p':
            pipeline = (unsigned)number(optarg, 1, 4096);
            break;
        case 't':
            seconds = number(optarg, 0.01, 100000);
            break;
        case 's':
            size = (size_t)number(optarg, 1, 16 << 20);
            break;
        case 'k':
            kind = optarg;
            break;
        case 'j':
            jobs = (unsigned)number(optarg, 1, 64);
            break;
        case 'r':
            raw = true;
            break;
        case 'x':
            talk = true;
            break;
        case 'P':
            server = (pid_t)number(optarg, 1, 1 << 30);
            break;
        default:
            usage(stderr);
        }
    }
    bool known = strcmp(mode, "closed") == 0 || strcmp(mode, "paced") == 0 ||
                 strcmp(mode, "idle") == 0 || strcmp(mode, "burst") == 0;
    if (optind != argc - 1 || !known || (strcmp(mode, "burst") == 0 && work != UDP)) {
        usage(stderr);
    }
    address = argv[optind];
    if (work == LINE || work == DATE || work == UDP) {
        size = 6;
    }
    if (strcmp(mode, "closed") != 0) {
        jobs = 1;
    } else if (jobs > conns) {
        jobs = conns;
    }
    depth = strcmp(mode, "paced") == 0 ? PACED_DEPTH : pipeline;
}

/* ---------------------------------------------------------------- clocks and memory */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) {
        return 0;
    }
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* CPU time of the server, all its threads, those that have ended too; 0 without -P. */
static uint64_t server_cpu_ns(void)
{
    clockid_t clock;
    if (server == 0 || clock_getcpuclockid(server, &clock) != 0) {
        return 0;
    }
    return clock_ns(clock);
}

/* Resident memory in KiB. smaps_rollup counts pages; VmRSS in status may be some 100 KiB
 * off, as the kernel adds up each CPU's share only now and then. */
static long resident_kib(pid_t pid)
{
    const char *const files[][2] = {{"smaps_rollup", "Rss: %ld"},
                                    {"status", "VmRSS: %ld"}};
    long kib = 0;
    for (int i = 0; i < 2 && kib == 0 && pid > 0; i++) {
        char line[256];
        snprintf(line, sizeof line, "/proc/%d/%s", (int)pid, files[i][0]);
        FILE *f = fopen(line, "r");
        while (f != NULL && kib == 0 && fgets(line, sizeof line, f) != NULL) {
            if (sscanf(line, files[i][1], &kib) != 1) {
                kib = 0;
            }
        }
        if (f != NULL) {
            fclose(f);
        }
    }
    return kib;
}

/* The same for the server of -P, which has to be there still. */
static long server_kib(void)
{
    long kib = resident_kib(server);
    if (server > 0 && kib == 0) {
        die("server", "has ended");
    }
    return kib;
}

static void pause_ns(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / SECOND), (long)(ns % SECOND)};
    nanosleep(&t, NULL);
}

/* Waits until the server has not run for 0.2 s (5 s at most), then says how much memory it
 * holds. */
static long settled_kib(void)
{
    uint64_t last_cpu = 0;
    int still = 0;
    for (int i = 0; i < 100 && still < 4; i++) {
        pause_ns(SECOND / 20);
        uint64_t cpu = server_cpu_ns();
        still = cpu - last_cpu < SECOND / 2000 ? still + 1 : 0;
        last_cpu = cpu;
    }
    return server_kib();
}

/* ---------------------------------------------------------------- the latency histogram */

static unsigned bucket(uint64_t ns)
{
    unsigned shift = 0;
    while (ns >> shift >= 64) {
        shift++;
    }
    return shift * 32 + (unsigned)(ns >> shift);
}

static void record(uint64_t ns)
{
    tally->histogram[bucket(ns)]++;
}

/* The time under which a share of the answers came, in us. */
static double percentile(double share)
{
    const uint64_t *histogram = tally->histogram;
    uint64_t sum = 0, seen = 0;
    for (int i = 0; i < BUCKETS; i++) {
        sum += histogram[i];
    }
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen > 0 && (double)seen >= share * (double)sum) {
            unsigned shift = i < 64 ? 0 : i / 32 - 1;
            return (double)((uint64_t)(i - shift * 32) << shift) / 1000;
        }
    }
    return 0;
}

/* ---------------------------------------------------------------- requests and answers */

/* Text of exactly n bytes, ending on a whole character; differs from one k to the next. */
static void fill_text(unsigned char *p, size_t n, unsigned k, bool korean)
{
    static const char words[] =
        "네트워크 프로그래밍, TCP/IP and UDP: 웹소켓 message 하나. ";
    size_t i = 0;
    while (i < n) {
        const char *c = words;
        while (korean && *c != '\0' && i < n) {
            size_t bytes = (unsigned char)*c < 0x80 ? 1 : 3;
            if (i + bytes > n) {
                break;
            }
            memcpy(p + i, c, bytes);
            i += bytes;
            c += bytes;
        }
        if (i < n) {
            p[i] = (unsigned char)('a' + (i + k) % 26);
            i++;
        }
    }
}

static void fill_random(unsigned char *p, size_t n, unsigned k)
{
    uint32_t x = 2463534242U + k * 7919;
    for (size_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        p[i] = (unsigned char)x;
    }
}

/* Writes a frame's header for a payload of n bytes; returns its length. */
static size_t frame_header(unsigned char *p, size_t n, bool text, bool masked)
{
    size_t at = 2, bytes = n < 126 ? 0 : n < 65536 ? 2 : 8;
    p[0] = text ? 0x81 : 0x82;
    p[1] = (unsigned char)(bytes == 0 ? n : bytes == 2 ? 126 : 127);
    for (size_t i = bytes; i > 0; i--) {
        p[at++] = (unsigned char)((uint64_t)n >> (8 * (i - 1)));
    }
    p[1] = (unsigned char)(p[1] | (masked ? 0x80 : 0));
    return at;
}

/* Lays out a ring of requests, and a ring of the answers to them where they are known. Each has
 * its own bytes and mask, so that one answer cannot pass for another's. */
static void lay_out_requests(void)
{
    bool text = strcmp(kind, "binary") != 0, korean = strcmp(kind, "korean") == 0;
    unsigned n = size >= RING ? 2 : (unsigned)(RING / size);
    requests = malloc(n * (size + 14));
    echoes = malloc(n * (size + 14));
    buffer = malloc(RECEIVE);
    if (requests == NULL || echoes == NULL || buffer == NULL) {
        die("malloc", strerror(errno));
    }
    static const char line[] = "hello\n";
    unsigned char *out = requests, *in = echoes;
    for (unsigned k = 0; k < n; k++) {
        unsigned char *start = in;
        if (work == WS) {
            unsigned char mask[4];
            fill_random(mask, 4, k);
            in += frame_header(in, size, text, false);
            out += frame_header(out, size, text, true);
            memcpy(out, mask, 4);
            out += 4;
            if (text) {
                fill_text(in, size, k, korean);
            } else {
                fill_random(in, size, k);
            }
            for (size_t i = 0; i < size; i++) {
                out[i] = in[i] ^ mask[i % 4];
            }
        } else if (work == ECHO) {
            fill_random(in, size, k);
            memcpy(out, in, size);
        } else {
            memcpy(out, line, size);
        }
        out += size;
        in += size;
        echo_size = (size_t)(in - start);
    }
    request_ring = (size_t)(out - requests);
    request_size = request_ring / n;
    echo_ring = (size_t)(in - echoes);
    if (raw) {
        echoes = requests;
        echo_size = request_size;
        echo_ring = request_ring;
    }
}

/* ---------------------------------------------------------------- opening connections */

static int dial(void)
{
    int fd;
    if (strchr(address, '/') != NULL) {
        struct sockaddr_un sun = {.sun_family = AF_UNIX};
        if (strlen(address) >= sizeof sun.sun_path) {
            die(address, "path too long");
        }
        snprintf(sun.sun_path, sizeof sun.sun_path, "%s", address);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof sun) != 0) {
            die(address, strerror(errno));
        }
        return fd;
    }
    static struct addrinfo *found;
    if (found == NULL) {
        static char host[256];
        const char *colon = strrchr(address, ':');
        if (colon == NULL || (size_t)(colon - address) >= sizeof host) {
            die(address, "not HOST:PORT");
        }
        memcpy(host, address, (size_t)(colon - address));
        struct addrinfo hints = {.ai_family = AF_INET,
                                 .ai_socktype = work == UDP ? SOCK_DGRAM : SOCK_STREAM};
        int error = getaddrinfo(host, colon + 1, &hints, &found);
        if (error != 0) {
            die(address, gai_strerror(error));
        }
    }
    fd = socket(found->ai_family, found->ai_socktype, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        die(address, strerror(errno));
    }
    if (work != UDP) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    }
    return fd;
}

static void write_whole(int fd, const void *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w < 0) {
            die("write", strerror(errno));
        }
        p = (const char *)p + w;
        n -= (size_t)w;
    }
}

/* Opens a WebSocket with the key of RFC 6455 section 1.3, whose answer is known. */
static void shake_hands(int fd)
{
    char text[1024];
    int n = snprintf(text, sizeof text,
                     "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                     address);
    write_whole(fd, text, (size_t)n);
    size_t have = 0;
    text[0] = '\0';
    while (strstr(text, "\r\n\r\n") == NULL) {
        ssize_t r = read(fd, text + have, sizeof text - 1 - have);
        if (r <= 0) {
            die("handshake", r < 0 ? strerror(errno) : "no whole answer");
        }
        have += (size_t)r;
        text[have] = '\0';
    }
    if (strncmp(text, "HTTP/1.1 101 ", 13) != 0 ||
        strstr(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") == NULL) {
        die("handshake", "refused or wrong");
    }
}

/* Is it the answer that concTCP or tcpS gives? p holds a line and a NUL behind it. */
static bool right_form(const unsigned char *p, size_t n)
{
    static const unsigned char date[] = "dddd-dd-ddTdd:dd:dd", zone[] = "sdd:dd\n";
    unsigned number_given;
    int end = 0;
    if (work == LINE) {
        return sscanf((const char *)p, "Client number: %9u%n", &number_given, &end) ==
                   1 &&
               isdigit(p[15]) && number_given > 0 && n == (size_t)end + 1;
    }
    for (size_t i = 0; i < n - 1; i++) {
        int want = i < sizeof date - 1 ? date[i] : n == 21 ? 'Z' : zone[i - 19];
        bool good = want == 'd'   ? isdigit(p[i])
                    : want == 's' ? p[i] == '+' || p[i] == '-'
                                  : p[i] == want;
        if (!good) {
            return false;
        }
    }
    return n == 21 || n == 26;
}

/* The first line on a connection: its answer is what every later one has to be. */
static void learn_answer(struct conn *c)
{
    write_whole(c->fd, requests, request_size);
    size_t have = 0;
    while (have == 0 || c->answer[have - 1] != '\n') {
        ssize_t r =
            have < ANSWER - 1 ? read(c->fd, c->answer + have, ANSWER - 1 - have) : 0;
        if (r <= 0) {
            die("first answer", r < 0 ? strerror(errno) : "not one line");
        }
        have += (size_t)r;
    }
    if (!right_form(c->answer, have)) {
        die("first answer", "not what this work answers");
    }
    c->want = c->answer;
    c->want_size = c->answer_size = have;
}

static void open_conn(struct conn *c)
{
    c->fd = dial();
    c->want = echoes;
    c->want_size = echo_ring;
    c->answer_size = echo_size;
    if (work == WS && !raw) {
        shake_hands(c->fd);
    } else if ((work == LINE || work == DATE) && strcmp(mode, "idle") != 0) {
        learn_answer(c);
    }
}

static void open_all(void)
{
    if (conns == 0) {
        die("connections", "none");
    }
    epoll = epoll_create1(0);
    all = calloc(conns, sizeof *all);
    uint64_t *stamps = calloc((size_t)conns * depth, sizeof *stamps);
    if (epoll < 0 || all == NULL || stamps == NULL) {
        die("start", strerror(errno));
    }
    for (unsigned i = 0; i < conns; i++) {
        struct conn *c = &all[i];
        open_conn(c);
        c->stamps = stamps + (size_t)i * depth;
        fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) != 0) {
            die("epoll_ctl", strerror(errno));
        }
    }
}

/* ---------------------------------------------------------------- the loop */

/* The connection's answers cannot be trusted any more: what is in flight on it is lost. */
static void drop(struct conn *c)
{
    tally->wrong++;
    tally->lost += c->in_flight;
    c->in_flight = 0;
    c->unsent = 0;
    close(c->fd);
    c->fd = -1;
}

static void watch(struct conn *c, bool room)
{
    if (c->waiting != room) {
        struct epoll_event e = {.events = room ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
        c->waiting = room;
    }
}

/* Writes what was issued, as far as the socket takes it. */
static void send_out(struct conn *c)
{
    while (c->unsent > 0) {
        size_t n = request_ring - c->out;
        n = n < c->unsent ? n : c->unsent;
        ssize_t w = send(c->fd, requests + c->out, n, MSG_NOSIGNAL);
        if (w < 0 && errno != EAGAIN) {
            drop(c);
            return;
        }
        if (w > 0) {
            c->unsent -= (size_t)w;
            c->out = (c->out + (size_t)w) % request_ring;
        }
        if (w < (ssize_t)n) {
            break;
        }
    }
    watch(c, c->unsent > 0);
}

static void send_datagrams(struct conn *c, unsigned n)
{
    static struct iovec piece;
    static struct mmsghdr messages[BATCH];
    piece = (struct iovec){requests, request_size};
    for (unsigned i = 0; i < BATCH; i++) {
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &piece, .msg_iovlen = 1};
    }
    while (n > 0) {
        unsigned batch = n < BATCH ? n : BATCH;
        int sent = sendmmsg(c->fd, messages, batch, 0);
        if (sent < 0) {
            tally->wrong++;
            return;
        }
        n -= (unsigned)sent;
    }
}

static void issue(struct conn *c, unsigned n, uint64_t now)
{
    for (unsigned i = 0; i < n; i++) {
        c->stamps[(c->oldest + c->in_flight) % depth] = now;
        c->in_flight++;
    }
    if (work == UDP) {
        send_datagrams(c, n);
    } else {
        c->unsent += n * request_size;
        if (!c->waiting) {
            send_out(c);
        }
    }
}

/* n answers have come; false if fewer were asked for. */
static bool answered(struct conn *c, unsigned n, uint64_t now)
{
    if (n > c->in_flight) {
        return false;
    }
    c->in_flight -= n;
    tally->answers += n;
    for (; n > 0; n--) {
        record(now - c->stamps[c->oldest]);
        c->oldest = c->oldest + 1 == depth ? 0 : c->oldest + 1;
    }
    return true;
}

static bool same(const unsigned char *p, const unsigned char *want, size_t n)
{
    if (work != DATE) {
        return memcmp(p, want, n) == 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (p[i] != want[i] && !(isdigit(p[i]) && isdigit(want[i]))) {
            return false;
        }
    }
    return true;
}

/* Reads once and checks every byte. Returns how many answers are whole now. */
static unsigned take_stream(struct conn *c, uint64_t now)
{
    ssize_t r = recv(c->fd, buffer, RECEIVE, 0);
    if (r <= 0) {
        if (r == 0 || errno != EAGAIN) {
            drop(c);
        }
        return 0;
    }
    size_t left = (size_t)r, whole = 0;
    tally->bytes += left;
    const unsigned char *p = buffer;
    while (left > 0) {
        size_t n = c->want_size - c->in;
        n = n < left ? n : left;
        if (!same(p, c->want + c->in, n)) {
            drop(c);
            return 0;
        }
        whole += (c->in + n) / c->answer_size - c->in / c->answer_size;
        c->in = c->in + n == c->want_size ? 0 : c->in + n;
        p += n;
        left -= n;
    }
    if (!answered(c, (unsigned)whole, now)) {
        drop(c);
        return 0;
    }
    return (unsigned)whole;
}

/* A decimal number from 1 to 1000, nothing else? */
static bool right_number(const unsigned char *p, size_t n)
{
    unsigned value = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit(p[i])) {
            return false;
        }
        value = value * 10 + (unsigned)(p[i] - '0');
    }
    return n > 0 && n < 5 && p[0] != '0' && value <= 1000;
}

static unsigned take_datagrams(struct conn *c, uint64_t now)
{
    static unsigned char bytes[BATCH][ANSWER];
    static struct iovec pieces[BATCH];
    static struct mmsghdr messages[BATCH];
    for (int i = 0; i < BATCH; i++) {
        pieces[i] = (struct iovec){bytes[i], ANSWER};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(c->fd, messages, c->in_flight < BATCH ? c->in_flight + 1 : BATCH,
                     MSG_DONTWAIT, NULL);
    if (n < 0) {
        tally->wrong += errno != EAGAIN;
        return 0;
    }
    for (int i = 0; i < n; i++) {
        tally->wrong += !right_number(bytes[i], messages[i].msg_len);
    }
    if (!answered(c, (unsigned)n, now)) {
        tally->wrong++; /* two answers to one datagram, or one that was given up */
        return 0;
    }
    return (unsigned)n;
}

/* Takes what has come and, in the closed loop, asks anew for each answer. Returns whether the
 * wait was worth it. */
static void serve_events(int timeout, bool closed)
{
    static struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll, events, EVENTS, timeout);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        uint64_t now = now_ns();
        unsigned whole = 0;
        if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
            whole = work == UDP ? take_datagrams(c, now) : take_stream(c, now);
        }
        if (c->fd >= 0 && (events[i].events & EPOLLOUT)) {
            send_out(c);
        }
        if (closed && !stopping && whole > 0) {
            issue(c, whole, now);
        }
    }
}

/* Datagrams may be lost: after a while they are counted so, and others take their place. */
static void give_up_datagrams(uint64_t now)
{
    for (unsigned i = 0; i < conns; i++) {
        struct conn *c = &all[i];
        if (c->in_flight > 0 && now - c->stamps[c->oldest] > DATAGRAM_LOST) {
            unsigned n = c->in_flight;
            tally->lost += n;
            c->in_flight = 0;
            if (!stopping) {
                issue(c, n, now);
            }
        }
    }
}

static uint64_t all_in_flight(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < conns; i++) {
        n += all[i].in_flight;
    }
    return n;
}

/* After the measured time: no new request; what is still in flight must come. */
static void drain(void)
{
    stopping = true;
    for (uint64_t end = now_ns() + DRAIN; all_in_flight() > 0 && now_ns() < end;) {
        serve_events(10, false);
    }
    tally->lost += all_in_flight();
}

/* Adds up what the processes counted and prints it. cpu_ns is what the server used while it was
 * watched, for watched ns. */
static void report(double took, double cpu_ns, double watched)
{
    for (unsigned i = 1; i < jobs; i++) {
        tally->measured += tallies[i].measured;
        tally->measured_bytes += tallies[i].measured_bytes;
        tally->own_cpu += tallies[i].own_cpu;
        tally->wrong += tallies[i].wrong;
        tally->lost += tallies[i].lost;
        for (int k = 0; k < BUCKETS; k++) {
            tally->histogram[k] += tallies[i].histogram[k];
        }
    }
    double n = (double)tally->measured, rate = n * 1e9 / took;
    printf(
        "work=%s mode=%s conns=%u pipeline=%u size=%zu seconds=%.3f answers=%.0f rps=%.1f "
        "mbps=%.3f p50_us=%.1f p99_us=%.1f p999_us=%.1f cpu_us=%.4f load_cpu=%.2f "
        "rss_kib=%ld wrong=%" PRIu64 " lost=%" PRIu64 " errors=%" PRIu64 "\n",
        work_names[work], mode, conns, pipeline, size, took / 1e9, n, rate,
        (double)tally->measured_bytes * 1e3 / took, percentile(0.5), percentile(0.99),
        percentile(0.999), rate > 0 ? cpu_ns / watched / rate * 1e6 : 0,
        (double)tally->own_cpu / took, server_kib(), tally->wrong, tally->lost,
        (tally->wrong + tally->lost));
}

/* ---------------------------------------------------------------- the modes */

static void sleep_until(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / SECOND), (long)(ns % SECOND)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

/* One process of the closed loop: load from now on, measured from begin to end. */
static void load_until(uint64_t begin, uint64_t end)
{
    uint64_t now = now_ns(), check = now, from_answers = 0;
    uint64_t from_bytes = 0, from_cpu = 0;
    bool measuring = false;
    for (unsigned i = 0; i < conns; i++) {
        issue(&all[i], pipeline, now);
    }
    while (now < end) {
        serve_events(10, true);
        now = now_ns();
        if (!measuring && now >= begin) {
            measuring = true;
            memset(tally->histogram, 0, sizeof tally->histogram);
            from_answers = tally->answers;
            from_bytes = tally->bytes;
            from_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        }
        if (work == UDP && now - check > DATAGRAM_LOST / 5) {
            give_up_datagrams(now);
            check = now;
        }
    }
    tally->measured = tally->answers - from_answers;
    tally->measured_bytes = tally->bytes - from_bytes;
    tally->own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - from_cpu;
    drain();
}

/* A process of the closed loop: opens its share of the connections, says so on ready, and
 * begins when it has read the times from go. */
static _Noreturn void run_job(unsigned job, int ready, int go)
{
    uint64_t times[2];
    tally = &tallies[job];
    conns = conns / jobs + (job < conns % jobs);
    open_all();
    write_whole(ready, "", 1);
    if (read(go, times, sizeof times) != sizeof times) {
        _exit(1);
    }
    load_until(times[0], times[1]);
    _exit(0);
}

/* A fifth of the time warms up, then the measured time begins. */
static void run_closed(void)
{
    int ready[2], go[2];
    if (pipe(ready) != 0 || pipe(go) != 0) {
        die("pipe", strerror(errno));
    }
    for (unsigned i = 0; i < jobs; i++) {
        pid_t pid = fork();
        if (pid < 0) {
            die("fork", strerror(errno));
        }
        if (pid == 0) {
            run_job(i, ready[1], go[0]);
        }
    }
    close(ready[1]);
    for (unsigned i = 0; i < jobs; i++) {
        char byte;
        if (read(ready[0], &byte, 1) != 1) {
            exit(1);
        }
    }
    uint64_t length = (uint64_t)(seconds * 1e9), begin = now_ns() + length / 5;
    uint64_t times[2] = {begin, begin + length};
    for (unsigned i = 0; i < jobs; i++) {
        write_whole(go[1], times, sizeof times);
    }
    sleep_until(times[0]);
    uint64_t watched = now_ns(), cpu = server_cpu_ns();
    sleep_until(times[1]);
    cpu = server_cpu_ns() - cpu;
    watched = now_ns() - watched;
    bool good = true;
    for (int status; wait(&status) > 0;) {
        good = good && status == 0;
    }
    if (!good) {
        exit(1);
    }
    report((double)length, (double)cpu, (double)watched);
}

/* For the modes of one process that measure all they do. */
static void report_all_since(uint64_t begin, uint64_t cpu)
{
    double took = (double)(now_ns() - begin);
    tally->measured = tally->answers;
    tally->measured_bytes = tally->bytes;
    tally->own_cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    report(took, (double)(server_cpu_ns() - cpu), took);
}

/* Each connection sends once a second, all of them spread over the second. An answer's latency
 * counts from when its request was due, so that a stall shows in all that it held up. */
static void run_paced(void)
{
    open_all();
    uint64_t begin = now_ns(), cpu = server_cpu_ns();
    uint64_t rounds = (uint64_t)(seconds + 0.5),
             total = (rounds > 0 ? rounds : 1) * conns;
    for (uint64_t next = 0; next < total;) {
        uint64_t now = now_ns() - begin;
        for (uint64_t due; next < total && (due = next * SECOND / conns) <= now; next++) {
            struct conn *c = &all[next % conns];
            if (c->fd < 0 || c->in_flight == depth) {
                tally->lost++;
            } else {
                issue(c, 1, begin + due);
            }
        }
        serve_events(1, false);
    }
    drain();
    report_all_since(begin, cpu);
}

static void run_idle(void)
{
    long before = settled_kib();
    open_all();
    for (unsigned i = 0; talk && i < conns; i++) {
        if (work == LINE || work == DATE) {
            fcntl(all[i].fd, F_SETFL, fcntl(all[i].fd, F_GETFL) & ~O_NONBLOCK);
            learn_answer(&all[i]);
        } else {
            issue(&all[i], 1, now_ns());
        }
    }
    drain();
    long after = settled_kib();
    printf(
        "work=%s mode=idle conns=%u talked=%d before_kib=%ld after_kib=%ld conn_bytes=%.0f "
        "wrong=%" PRIu64 " lost=%" PRIu64 " errors=%" PRIu64 "\n",
        work_names[work], conns, talk, before, after,
        (double)(after - before) * 1024 / conns, tally->wrong, tally->lost,
        (tally->wrong + tally->lost));
    fflush(stdout);
    while (getchar() != EOF) {
    }
}

/* All datagrams first, then the answers. */
static void run_burst(void)
{
    conns = BURST_SOCKETS;
    pipeline = depth = BURST / BURST_SOCKETS;
    open_all();
    uint64_t begin = now_ns(), cpu = server_cpu_ns();
    for (unsigned i = 0; i < conns; i++) {
        issue(&all[i], depth, now_ns());
    }
    drain();
    report_all_since(begin, cpu);
}

/* How long from its spawn to the first line on stderr, which a server writes when it listens. */
static void run_start(char **command)
{
    int ends[2];
    char line[256];
    if (pipe(ends) != 0) {
        die("pipe", strerror(errno));
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    uint64_t begin = now_ns();
    int error = posix_spawn(&server, command[0], &actions, NULL, command, environ);
    if (error != 0) {
        die(command[0], strerror(error));
    }
    close(ends[1]);
    ssize_t n = read(ends[0], line, sizeof line - 1);
    uint64_t end = now_ns();
    line[n > 0 ? n : 0] = '\0';
    bool listening = strstr(line, "listening on ") != NULL;
    long kib = settled_kib();
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    if (!listening) {
        die(command[0], "does not listen");
    }
    printf("work=start start_us=%.1f rss_kib=%ld errors=0\n",
           (double)(end - begin) / 1000, kib);
}
