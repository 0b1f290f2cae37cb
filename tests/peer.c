/* peer.c - the other end, scripted: what the tests need and shell and nc cannot do
 *
 *     cc -std=c11 -O2 -pthread -o peer peer.c
 *     peer connect 127.0.0.1:1234 send 'hel' drain send 'lo\n' expect 'hello\n' shut eof
 *
 * The words of the command line are carried out one after another, on the newest
 * connection. The first that fails says so on stderr and the exit status is 1; all
 * of them done is 0. TEXT knows \n \r \t \0 \\ and \xNN. A WHERE with a slash in it
 * is a Unix domain socket, any other HOST:PORT with a numeric host. tests/README.md
 * has the list of words.
 *
 * Written for Linux: it looks into /proc and asks the kernel what only Linux tells.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 64, SHOWN = 2000, CHUNK = 65536 };

struct bytes {
    char *data;
    size_t len;
};

static const char *word = ""; /* the one being carried out, for messages */
static const char *word_arg = "";
static int conns[MAX_CONNECTIONS]; /* all that were opened, -1 once closed */
static int nconns;
static int conn = -1; /* the current one */
static int listener = -1;
static int backlog = 128;
static int rcvbuf;
static const char *from;
static bool datagrams; /* the current connection keeps message borders */
static struct sockaddr_storage askers[MAX_CONNECTIONS]; /* who sent datagrams */
static socklen_t asker_lens[MAX_CONNECTIONS];
static int naskers;

static void show(FILE *out, const char *data, size_t len)
{
    size_t n = len < SHOWN ? len : SHOWN;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '\n')
            fputs("\\n", out);
        else if (c == '\\')
            fputs("\\\\", out);
        else if (c < 32 || c > 126)
            fprintf(out, "\\x%02x", c);
        else
            putc(c, out);
    }
    if (n < len)
        fprintf(out, "... (%zu bytes)", len);
}

static _Noreturn void fail(const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "peer: %s %s: ", word, word_arg);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    putc('\n', stderr);
    exit(1);
}

static _Noreturn void fail_bytes(const char *expected, size_t expected_len,
                                 const char *got, size_t got_len, const char *note)
{
    fflush(stdout);
    fprintf(stderr, "peer: %s: expected \"", word);
    show(stderr, expected, expected_len);
    fputs("\" got \"", stderr);
    show(stderr, got, got_len);
    fprintf(stderr, "\"%s\n", note);
    exit(1);
}

/* write(2) and not stdio: this runs in a signal handler. */
static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(1);
}

static void on_alarm(int sig)
{
    (void)sig;
    say("peer: ");
    say(word);
    say(" ");
    say(word_arg);
    say(": nothing came of it before the deadline\n");
    _exit(1);
}

/* The whole run may take this long, times TEST_SLOW. */
static void set_deadline(double seconds)
{
    const char *slow = getenv("TEST_SLOW");
    double factor = slow != NULL && atof(slow) > 0 ? atof(slow) : 1;
    alarm((unsigned)(seconds * factor + 0.999));
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void pause_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static void *get_memory(size_t n)
{
    void *p = malloc(n > 0 ? n : 1);
    if (p == NULL)
        fail("out of memory");
    return p;
}

static struct bytes unescape(const char *text)
{
    struct bytes b = {get_memory(strlen(text) + 1), 0};
    for (const char *p = text; *p != '\0'; p++) {
        char c = *p;
        if (c == '\\') {
            unsigned value = 0;
            switch (*++p) {
            case 'n':
                c = '\n';
                break;
            case 'r':
                c = '\r';
                break;
            case 't':
                c = '\t';
                break;
            case 'v':
                c = '\v';
                break;
            case 'f':
                c = '\f';
                break;
            case '0':
                c = '\0';
                break;
            case '\\':
                c = '\\';
                break;
            case 'x':
                if (sscanf(p + 1, "%2x", &value) != 1)
                    fail("bad \\x");
                c = (char)value;
                p += 2;
                break;
            default:
                fail("bad escape");
            }
        }
        b.data[b.len++] = c;
    }
    return b;
}

static struct bytes read_file(const char *path)
{
    struct bytes b = {NULL, 0};
    size_t room = 0;
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        fail("%s", strerror(errno));
    for (;;) {
        if (b.len == room) {
            room = room * 2 + CHUNK;
            b.data = realloc(b.data, room);
            if (b.data == NULL)
                fail("out of memory");
        }
        size_t n = fread(b.data + b.len, 1, room - b.len, f);
        if (n == 0)
            break;
        b.len += n;
    }
    fclose(f);
    return b;
}

static long number(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end != '\0')
        fail("not a number");
    return n;
}

/* WHERE to a socket address. "127.0.0.1:80", "[::1]:80", "/tmp/s". */
static socklen_t parse_where(const char *where, struct sockaddr_storage *sa)
{
    memset(sa, 0, sizeof *sa);
    if (strchr(where, '/') != NULL) {
        struct sockaddr_un *un = (struct sockaddr_un *)sa;
        un->sun_family = AF_UNIX;
        if (strlen(where) > sizeof un->sun_path)
            fail("path too long");
        memcpy(un->sun_path, where, strlen(where));
        return (socklen_t)sizeof *un;
    }
    char host[128];
    const char *colon = strrchr(where, ':');
    if (colon == NULL || (size_t)(colon - where) >= sizeof host)
        fail("not HOST:PORT");
    size_t n = (size_t)(colon - where);
    memcpy(host, where, n);
    host[n] = '\0';
    if (host[0] == '[') {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
        host[n - 1] = '\0';
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)number(colon + 1));
        if (inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1)
            fail("not an IPv6 address");
        return (socklen_t)sizeof *in6;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)sa;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)number(colon + 1));
    if (inet_pton(AF_INET, host, &in->sin_addr) != 1)
        fail("not an IPv4 address");
    return (socklen_t)sizeof *in;
}

static int port_of(const struct sockaddr_storage *sa)
{
    if (sa->ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)sa)->sin_port);
    if (sa->ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)sa)->sin6_port);
    return 0;
}

static void add_connection(int fd)
{
    if (nconns == MAX_CONNECTIONS)
        fail("too many connections");
    conns[nconns++] = fd;
    conn = fd;
}

static int open_socket(const struct sockaddr_storage *sa, int type)
{
    int one = 1;
    int fd = socket(sa->ss_family, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket: %s", strerror(errno));
    if (rcvbuf > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (type == SOCK_STREAM && sa->ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int dial(const char *where, int type)
{
    struct sockaddr_storage sa, local;
    socklen_t len = parse_where(where, &sa);
    int fd = open_socket(&sa, type);
    if (from != NULL) {
        socklen_t local_len = parse_where(from, &local);
        if (bind(fd, (struct sockaddr *)&local, local_len) < 0)
            fail("bind %s: %s", from, strerror(errno));
    }
    if (connect(fd, (struct sockaddr *)&sa, len) < 0)
        fail("%s", strerror(errno));
    return fd;
}

/* Listens, and prints the port: the script's first line of stdout. */
static int listen_on(const char *where, int type)
{
    struct sockaddr_storage sa;
    socklen_t len = parse_where(where, &sa);
    int one = 1;
    int fd = open_socket(&sa, type);
    if (type == SOCK_STREAM)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&sa, len) < 0)
        fail("bind: %s", strerror(errno));
    if (type == SOCK_STREAM && listen(fd, backlog) < 0)
        fail("listen: %s", strerror(errno));
    getsockname(fd, (struct sockaddr *)&sa, &len);
    printf("%d\n", port_of(&sa));
    fflush(stdout);
    return fd;
}

/* False where the other end is gone. */
static bool send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return false;
        if (n < 0)
            fail("send: %s", strerror(errno));
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static void must_send(const char *data, size_t len)
{
    if (datagrams) {
        if (send(conn, data, len, 0) != (ssize_t)len)
            fail("send: %s", strerror(errno));
    } else if (!send_all(conn, data, len)) {
        fail("the other end is gone: %s", strerror(errno));
    }
}

/* Reads exactly len bytes, or one datagram. */
static void must_come(int fd, const char *expected, size_t len)
{
    size_t room = datagrams ? CHUNK : len;
    char *got = get_memory(room + 1);
    size_t have = 0;
    do {
        ssize_t n = recv(fd, got + have, room - have, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            fail_bytes(expected, len, got, have, strerror(errno));
        have += (size_t)n;
        if (datagrams)
            break;
        if (n == 0 && have < len)
            fail_bytes(expected, len, got, have, " and the end");
        if (memcmp(got, expected, have) != 0)
            fail_bytes(expected, len, got, have, "");
    } while (have < len);
    if (have != len || memcmp(got, expected, len) != 0)
        fail_bytes(expected, len, got, have, "");
    free(got);
}

/* A line, without its "\n"; byte by byte, so that nothing behind it is taken. */
static size_t take_line(int fd, char *line, size_t room)
{
    size_t n = 0;
    for (;;) {
        char c;
        ssize_t r = recv(fd, &c, 1, 0);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            fail("line: %s", strerror(errno));
        if (r == 0)
            fail_bytes("a line", 6, line, n, " and the end");
        if (c == '\n')
            break;
        if (n + 1 == room)
            fail("line too long");
        line[n++] = c;
    }
    line[n] = '\0';
    return n;
}

/* The other end must close in good order and send nothing more. */
static void must_end(int fd)
{
    char rest[512];
    ssize_t n = recv(fd, rest, sizeof rest, 0);
    if (n < 0)
        fail("%s", strerror(errno));
    if (n > 0)
        fail_bytes("", 0, rest, (size_t)n, " instead of the end");
}

/* The other end must close; how, and what it says before, does not matter. */
static void must_go(int fd)
{
    char rest[4096];
    while (recv(fd, rest, sizeof rest, 0) > 0)
        ;
}

static void close_conn(int fd)
{
    for (int i = 0; i < nconns; i++) {
        if (conns[i] == fd)
            conns[i] = -1;
    }
    close(fd);
}

static void reset_conn(int fd)
{
    struct linger hard = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close_conn(fd);
}

/* Bytes of ours that the other program has not read yet, by its kernel's own book;
 * 0 too where its end of the connection is no more. */
static unsigned long unread_in(const char *table, int local_port, int remote_port)
{
    char row[512];
    unsigned long unread = 0;
    FILE *f = fopen(table, "r");
    if (f == NULL)
        return 0;
    while (fgets(row, sizeof row, f) != NULL) {
        int lport, rport;
        unsigned state;
        unsigned long tx, rx;
        if (sscanf(row, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%x %x %lx:%lx",
                   (unsigned *)&lport, (unsigned *)&rport, &state, &tx, &rx) == 5 &&
            lport == remote_port && rport == local_port && state != 6)
            unread += rx;
    }
    fclose(f);
    return unread;
}

/* The same by one question to the kernel (sock_diag(7)), which costs as little among ten
 * thousand connections as alone. -1 where the kernel does not answer such questions. */
static long ask_unread(const struct sockaddr_storage *local,
                       const struct sockaddr_storage *remote)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 query;
    } request;
    struct {
        struct nlmsghdr header;
        union {
            struct nlmsgerr error;
            struct inet_diag_msg socket;
            char room[1024];
        } body;
    } reply;
    memset(&request, 0, sizeof request);
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    request.query.sdiag_family = (unsigned char)local->ss_family;
    request.query.sdiag_protocol = IPPROTO_TCP;
    request.query.id.idiag_sport = htons((uint16_t)port_of(remote));
    request.query.id.idiag_dport = htons((uint16_t)port_of(local));
    request.query.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    request.query.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    if (local->ss_family == AF_INET) {
        memcpy(request.query.id.idiag_src,
               &((const struct sockaddr_in *)remote)->sin_addr, 4);
        memcpy(request.query.id.idiag_dst, &((const struct sockaddr_in *)local)->sin_addr,
               4);
    } else {
        memcpy(request.query.id.idiag_src,
               &((const struct sockaddr_in6 *)remote)->sin6_addr, 16);
        memcpy(request.query.id.idiag_dst,
               &((const struct sockaddr_in6 *)local)->sin6_addr, 16);
    }
    static int kernel = -2;
    if (kernel == -2)
        kernel = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (kernel < 0 || send(kernel, &request, sizeof request, 0) < 0 ||
        recv(kernel, &reply, sizeof reply, 0) < (ssize_t)sizeof reply.header)
        return -1;
    if (reply.header.nlmsg_type == NLMSG_ERROR)
        return reply.body.error.error == -ENOENT ? 0 : -1; /* it is no more */
    enum { ESTABLISHED = 1, FIN_WAIT1 = 4, FIN_WAIT2 = 5, CLOSE_WAIT = 8 };
    int state = reply.body.socket.idiag_state;
    if (state != ESTABLISHED && state != FIN_WAIT1 && state != FIN_WAIT2 &&
        state != CLOSE_WAIT)
        return 0;
    return (long)reply.body.socket.idiag_rqueue;
}

static void drain(int fd)
{
    struct sockaddr_storage local, remote;
    socklen_t len = sizeof local;
    getsockname(fd, (struct sockaddr *)&local, &len);
    len = sizeof remote;
    if (local.ss_family != AF_UNIX &&
        getpeername(fd, (struct sockaddr *)&remote, &len) < 0)
        return;
    for (;;) {
        int unsent = 0;
        unsigned long unread = 0;
        ioctl(fd, SIOCOUTQ, &unsent);
        if (local.ss_family != AF_UNIX) {
            long answer = ask_unread(&local, &remote);
            if (answer >= 0)
                unread = (unsigned long)answer;
            else
                unread = unread_in("/proc/net/tcp", port_of(&local), port_of(&remote)) +
                         unread_in("/proc/net/tcp6", port_of(&local), port_of(&remote));
        }
        if (unsent == 0 && unread == 0)
            return;
        pause_ms(1);
    }
}

/* Sends a pattern and reads its echo at the same time. */
static void pump(size_t total)
{
    size_t sent = 0, back = 0;
    unsigned char buf[CHUNK];
    while (back < total) {
        struct pollfd p = {conn, POLLIN, 0};
        if (sent < total)
            p.events |= POLLOUT;
        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            fail("poll: %s", strerror(errno));
        if ((p.revents & POLLOUT) != 0) {
            size_t n = total - sent < sizeof buf ? total - sent : sizeof buf;
            for (size_t i = 0; i < n; i++)
                buf[i] = (unsigned char)((sent + i) * 31 + ((sent + i) >> 8));
            ssize_t w = send(conn, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (w < 0 && errno != EAGAIN && errno != EINTR)
                fail("send after %zu bytes: %s", sent, strerror(errno));
            sent += w > 0 ? (size_t)w : 0;
        }
        if ((p.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            ssize_t r = recv(conn, buf, sizeof buf, MSG_DONTWAIT);
            if (r == 0)
                fail("the end after %zu of %zu bytes", back, total);
            if (r < 0 && errno != EAGAIN && errno != EINTR)
                fail("recv after %zu bytes: %s", back, strerror(errno));
            for (ssize_t i = 0; i < r; i++, back++) {
                unsigned char want = (unsigned char)(back * 31 + (back >> 8));
                if (buf[i] != want)
                    fail("byte %zu is %02x and not %02x", back, buf[i], want);
                if (back >= sent)
                    fail("more bytes came back than were sent");
            }
        }
    }
}

/* Sends one endless line; the other end must hang up before `most` bytes are through. */
static void flood(size_t most)
{
    static char block[CHUNK];
    size_t sent = 0;
    memset(block, 'x', sizeof block);
    while (sent < most) {
        if (!send_all(conn, block, sizeof block))
            return;
        sent += sizeof block;
    }
    fail("all of %zu bytes were taken", most);
}

/* TEXT again and again, for what sends a lot. */
static struct bytes repeated(struct bytes text)
{
    struct bytes b = {get_memory(CHUNK), 0};
    while (b.len + text.len <= CHUNK) {
        memcpy(b.data + b.len, text.data, text.len);
        b.len += text.len;
    }
    return b;
}

/* Sends TEXT for ever and never reads. The other end must hang up, and must not before
 * `least` seconds, nor after `most`, of a standstill. */
static void stall(struct bytes text, double least, double most)
{
    double still = now();
    text = repeated(text);
    for (;;) {
        struct pollfd p = {conn, POLLOUT, 0};
        poll(&p, 1, 100);
        if ((p.revents & (POLLERR | POLLHUP)) != 0)
            break;
        if ((p.revents & POLLOUT) != 0) {
            ssize_t n = send(conn, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
                break;
            if (n > 0)
                still = now();
        }
        if (now() - still > most)
            fail("still connected after %.1f s without reading", now() - still);
    }
    free(text.data);
    if (now() - still < least)
        fail("dropped after %.1f s already", now() - still);
}

/* Sends TEXT until the other end takes no more, because it waits for us to read. */
static void fill(struct bytes text)
{
    text = repeated(text);
    for (;;) {
        struct pollfd p = {conn, POLLOUT, 0};
        if (poll(&p, 1, 200) == 0) {
            free(text.data);
            return;
        }
        if (send(conn, text.data, text.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
            errno != EAGAIN)
            fail("%s", strerror(errno));
    }
}

static void await_file(const char *path)
{
    while (access(path, F_OK) != 0)
        pause_ms(5);
}

static void raise_files(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

/* `count` clients at once; `reply` is the chapter's answer: "number" (Client number: N,
 * its own, each once, from `first`), "echo" or "any". Then they end as `how` says. */
static void crowd(int count, const char *where, const char *reply, long first,
                  const char *how)
{
    static const char hello[] = "hello\n", two[] = "one\ntwo\n";
    char line[256];
    int *fds = get_memory((size_t)count * sizeof *fds);
    long *numbers = get_memory((size_t)count * sizeof *numbers);
    bool *seen = get_memory((size_t)count);
    memset(seen, 0, (size_t)count);
    raise_files();
    for (int i = 0; i < count; i++)
        fds[i] = dial(where, SOCK_STREAM);
    for (int i = 0; i < count; i++) {
        if (!send_all(fds[i], hello, sizeof hello - 1))
            fail("client %d is gone", i);
    }
    for (int i = 0; i < count; i++) {
        take_line(fds[i], line, sizeof line);
        if (strcmp(reply, "echo") == 0 && strcmp(line, "hello") != 0)
            fail("client %d got \"%s\"", i, line);
        if (strcmp(reply, "number") == 0) {
            if (sscanf(line, "Client number: %ld", &numbers[i]) != 1 ||
                numbers[i] < first || numbers[i] >= first + count)
                fail("client %d got \"%s\"", i, line);
            if (seen[numbers[i] - first])
                fail("number %ld given twice", numbers[i]);
            seen[numbers[i] - first] = true;
        }
    }
    for (int i = 0; i < count; i++) {
        if (!send_all(fds[i], two, sizeof two - 1))
            fail("client %d is gone", i);
    }
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < 2; j++) {
            char want[64];
            take_line(fds[i], line, sizeof line);
            snprintf(want, sizeof want, "%s", j == 0 ? "one" : "two");
            if (strcmp(reply, "number") == 0)
                snprintf(want, sizeof want, "Client number: %ld", numbers[i]);
            if (strcmp(reply, "any") != 0 && strcmp(line, want) != 0)
                fail_bytes(want, strlen(want), line, strlen(line), "");
        }
    }
    for (int i = 0; i < count; i++) {
        if (strcmp(how, "stop") == 0) {
            if (!send_all(fds[i], "STOP\n", 5))
                fail("client %d is gone before its STOP", i);
            must_end(fds[i]);
            close(fds[i]);
        } else if (strcmp(how, "leave") == 0) {
            close(fds[i]);
        } else if (strcmp(how, "reset") == 0) {
            reset_conn(fds[i]);
        } else if (strcmp(how, "shut") == 0) {
            shutdown(fds[i], SHUT_WR);
            must_end(fds[i]);
            close(fds[i]);
        } else {
            fail("how to end?");
        }
    }
    free(fds);
    free(numbers);
    free(seen);
}

/* `count` clients, one after another, that come, talk and go in five ways, none of
 * them STOP. Every fifth waits for an answer, so that no backlog runs over. */
static void churn(int count, const char *where)
{
    char c;
    for (int i = 0; i < count; i++) {
        int fd = dial(where, SOCK_STREAM);
        switch (i % 5) {
        case 0:
            if (!send_all(fd, "hello\n", 6) || recv(fd, &c, 1, 0) != 1)
                fail("client %d was not served", i);
            close(fd);
            break;
        case 1:
            close(fd);
            break;
        case 2:
            send_all(fd, "half a li", 9);
            close(fd);
            break;
        case 3:
            send_all(fd, "hello\n", 6);
            reset_conn(fd);
            break;
        default:
            send_all(fd, "hello\nhello\n", 12);
            shutdown(fd, SHUT_WR);
            must_go(fd);
            close(fd);
        }
    }
}

/* Connects `count` clients, more than the server can hold. They stay until the file
 * exists; then each that is answered leaves and so makes room, until all were. */
static void queue(int count, const char *where, const char *file)
{
    int *fds = get_memory((size_t)count * sizeof *fds);
    bool *served = get_memory((size_t)count);
    int left = count;
    memset(served, 0, (size_t)count);
    for (int i = 0; i < count; i++) {
        fds[i] = dial(where, SOCK_STREAM);
        send_all(fds[i], "hello\n", 6);
    }
    await_file(file);
    while (left > 0) {
        for (int i = 0; i < count; i++) {
            struct pollfd p = {fds[i], POLLIN, 0};
            char line[256];
            if (served[i] || poll(&p, 1, 10) <= 0)
                continue;
            take_line(fds[i], line, sizeof line);
            close(fds[i]);
            served[i] = true;
            left--;
        }
    }
    free(fds);
    free(served);
}

/* The options of the server's own end of our connection, by a copy of its descriptor. */
static void options(long pid)
{
    struct sockaddr_storage mine, theirs;
    socklen_t mine_len = sizeof mine;
    char path[64];
    struct dirent *entry;
    int process = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    getsockname(conn, (struct sockaddr *)&mine, &mine_len);
    snprintf(path, sizeof path, "/proc/%ld/fd", pid);
    DIR *dir = opendir(path);
    if (process < 0 || dir == NULL)
        fail("%s", strerror(errno));
    while ((entry = readdir(dir)) != NULL) {
        int keepalive = 0, idle = 0, interval = 0, nodelay = 0;
        socklen_t len = sizeof theirs, size = sizeof keepalive;
        if (entry->d_name[0] == '.')
            continue;
        int fd = (int)syscall(SYS_pidfd_getfd, process, atoi(entry->d_name), 0);
        if (fd < 0)
            fail("pidfd_getfd: %s", strerror(errno));
        if (getpeername(fd, (struct sockaddr *)&theirs, &len) < 0 ||
            port_of(&theirs) != port_of(&mine)) {
            close(fd);
            continue;
        }
        getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &size);
        getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size);
        getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, &size);
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &size);
        printf("keepalive %d idle %d interval %d nodelay %d\n", keepalive, idle, interval,
               nodelay);
        close(fd);
    }
    closedir(dir);
    close(process);
}

static void segments(long expected)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(conn, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        fail("%s", strerror(errno));
    if (info.tcpi_data_segs_in != (unsigned)expected)
        fail("%u segments came", info.tcpi_data_segs_in);
}

/* One UDP datagram with a sender of our choice: IP and UDP headers are made here. */
static void spoof(const char *source, const char *target, struct bytes text)
{
    struct sockaddr_storage src, dst;
    socklen_t len = parse_where(target, &dst);
    size_t total = sizeof(struct iphdr) + sizeof(struct udphdr) + text.len;
    char *packet = get_memory(total);
    struct iphdr *ip = (struct iphdr *)packet;
    struct udphdr *udp = (struct udphdr *)(packet + sizeof *ip);
    parse_where(source, &src);
    memset(packet, 0, sizeof *ip + sizeof *udp);
    ip->version = 4;
    ip->ihl = 5;
    ip->ttl = 64;
    ip->protocol = IPPROTO_UDP;
    ip->tot_len = htons((uint16_t)total);
    ip->saddr = ((struct sockaddr_in *)&src)->sin_addr.s_addr;
    ip->daddr = ((struct sockaddr_in *)&dst)->sin_addr.s_addr;
    udp->source = htons((uint16_t)port_of(&src));
    udp->dest = htons((uint16_t)port_of(&dst));
    udp->len = htons((uint16_t)(sizeof *udp + text.len)); /* checksum 0: none */
    memcpy(packet + sizeof *ip + sizeof *udp, text.data, text.len);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (fd < 0)
        fail("raw socket: %s", strerror(errno));
    if (sendto(fd, packet, total, 0, (struct sockaddr *)&dst, len) != (ssize_t)total)
        fail("sendto: %s", strerror(errno));
    close(fd);
    free(packet);
}

/* Asks a udpS `count` times: each answer a number from 1 to 1000; prints how many
 * different ones came, the least and the greatest. */
static void numbers(int count)
{
    bool seen[1001] = {false};
    int different = 0, least = 1001, greatest = 0;
    for (int i = 0; i < count; i++) {
        char got[64];
        must_send("x", 1);
        ssize_t n = recv(conn, got, sizeof got - 1, 0);
        if (n < 0)
            fail("%s", strerror(errno));
        got[n] = '\0';
        int value = atoi(got);
        char again[16];
        snprintf(again, sizeof again, "%d", value);
        if (value < 1 || value > 1000 || strcmp(got, again) != 0)
            fail_bytes("1 to 1000", 9, got, (size_t)n, "");
        different += !seen[value];
        seen[value] = true;
        least = value < least ? value : least;
        greatest = value > greatest ? value : greatest;
    }
    printf("%d %d %d\n", different, least, greatest);
}

/* A datagram on the listener; its sender is kept, for `answer`. */
static void take_datagram(struct bytes expected)
{
    static char got[CHUNK];
    if (naskers == MAX_CONNECTIONS)
        fail("too many datagrams");
    asker_lens[naskers] = sizeof askers[0];
    ssize_t n = recvfrom(listener, got, sizeof got, 0,
                         (struct sockaddr *)&askers[naskers], &asker_lens[naskers]);
    if (n < 0)
        fail("%s", strerror(errno));
    naskers++;
    if ((size_t)n != expected.len || memcmp(got, expected.data, expected.len) != 0)
        fail_bytes(expected.data, expected.len, got, (size_t)n, "");
}

static void answer(long asker, struct bytes text)
{
    if (asker >= naskers)
        fail("nobody asked");
    if (sendto(listener, text.data, text.len, 0, (struct sockaddr *)&askers[asker],
               asker_lens[asker]) != (ssize_t)text.len)
        fail("%s", strerror(errno));
}

/* Echoes what comes until the end, at most `most` bytes at a time. */
static void echo(size_t most)
{
    static char buf[CHUNK];
    for (;;) {
        ssize_t n = recv(conn, buf, most < sizeof buf ? most : sizeof buf, 0);
        if (n == 0)
            return;
        if (n < 0)
            fail("%s", strerror(errno));
        must_send(buf, (size_t)n);
    }
}

static void print_peer(void)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    char host[128], port[16];
    getpeername(conn, (struct sockaddr *)&sa, &len);
    getnameinfo((struct sockaddr *)&sa, len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    printf("%s %s\n", host, port);
}

/* Prints a port that is free, and stays so: below those that the kernel gives out by
 * itself (32768 and up on Linux), and of two peers that ask at once, another to each. */
static void free_port(void)
{
    struct sockaddr_storage sa;
    for (int i = 0; i < 1000; i++) {
        char where[32];
        int port = 10000 + (getpid() * 31 + i * 17) % 22000;
        snprintf(where, sizeof where, "0.0.0.0:%d", port);
        socklen_t len = parse_where(where, &sa);
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool is_free = bind(fd, (struct sockaddr *)&sa, len) == 0;
        close(fd);
        if (is_free) {
            printf("%d\n", port);
            return;
        }
    }
    fail("no port is free");
}

static void limit(int what, long n)
{
    struct rlimit r = {(rlim_t)n, (rlim_t)n};
    if (setrlimit((__rlimit_resource_t)what, &r) < 0)
        fail("setrlimit: %s", strerror(errno));
}

static void become(long uid)
{
    if (setgid((gid_t)uid) < 0 || setuid((uid_t)uid) < 0)
        fail("%s", strerror(errno));
}

/* A machine without IPv6: socket(AF_INET6, ...) gives EAFNOSUPPORT from here on. */
static void lose_ipv6(void)
{
    enum { SOCKET_ON_I386 = 359 };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_I386, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCKET_ON_I386, 2, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof code[0], code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
        fail("%s", strerror(errno));
}

/* stdout becomes a pipe that nobody reads. */
static void break_stdout(void)
{
    int ends[2];
    if (pipe(ends) < 0)
        fail("pipe: %s", strerror(errno));
    close(ends[0]);
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
}

/* A script's background jobs ignore SIGINT by POSIX; a program under test must not
 * inherit that. The deadline ends with us, so a limit of its own takes its place. */
static _Noreturn void run(char **argv)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGALRM, SIG_DFL);
    alarm(0);
    execvp(argv[0], argv);
    fprintf(stderr, "peer: %s: %s\n", argv[0], strerror(errno));
    exit(127);
}

/* --- The words: name, number of arguments, what to do ---------------------------- */

static void do_accept(char **arg)
{
    int one = 1;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    (void)arg;
    if (fd < 0)
        fail("%s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    datagrams = false;
    add_connection(fd);
}

static void do_answer(char **arg)
{
    struct bytes b = unescape(arg[1]);
    answer(number(arg[0]), b);
    free(b.data);
}

static void do_answer_file(char **arg)
{
    struct bytes b = read_file(arg[1]);
    answer(number(arg[0]), b);
    free(b.data);
}

static void do_asked(char **arg)
{
    struct bytes b = unescape(arg[0]);
    take_datagram(b);
    free(b.data);
}

static void do_asked_file(char **arg)
{
    struct bytes b = read_file(arg[0]);
    take_datagram(b);
    free(b.data);
}

static void do_await(char **arg)
{
    await_file(arg[0]);
}

static void do_backlog(char **arg)
{
    backlog = (int)number(arg[0]);
}

static void do_break_stdout(char **arg)
{
    (void)arg;
    break_stdout();
}

static void do_churn(char **arg)
{
    churn((int)number(arg[0]), arg[1]);
}

static void do_close(char **arg)
{
    (void)arg;
    close_conn(conn);
}

static void do_connect(char **arg)
{
    datagrams = false;
    add_connection(dial(arg[0], SOCK_STREAM));
}

static void do_crowd(char **arg)
{
    crowd((int)number(arg[0]), arg[1], arg[2], number(arg[3]), arg[4]);
}

static void do_cut(char **arg)
{
    struct bytes b = unescape(arg[1]);
    size_t at = (size_t)number(arg[0]);
    at = at < b.len ? at : b.len;
    must_send(b.data, at);
    drain(conn);
    must_send(b.data + at, b.len - at);
    free(b.data);
}

static void do_deadline(char **arg)
{
    set_deadline((double)number(arg[0]));
}

static void do_drain(char **arg)
{
    (void)arg;
    drain(conn);
}

static void do_echo(char **arg)
{
    echo((size_t)number(arg[0]));
}

static void do_eof(char **arg)
{
    (void)arg;
    must_end(conn);
}

static void do_expect(char **arg)
{
    struct bytes b = unescape(arg[0]);
    must_come(conn, b.data, b.len);
    free(b.data);
}

static void do_expect_file(char **arg)
{
    struct bytes b = read_file(arg[0]);
    must_come(conn, b.data, b.len);
    free(b.data);
}

static void do_files(char **arg)
{
    limit(RLIMIT_NOFILE, number(arg[0]));
}

static void do_fill(char **arg)
{
    struct bytes b = unescape(arg[0]);
    fill(b);
    free(b.data);
}

static void do_flood(char **arg)
{
    flood((size_t)number(arg[0]));
}

static void do_free_port(char **arg)
{
    (void)arg;
    free_port();
}

static void do_from(char **arg)
{
    from = arg[0];
}

static void do_gone(char **arg)
{
    (void)arg;
    must_go(conn);
}

static void do_line(char **arg)
{
    char line[4096];
    (void)arg;
    take_line(conn, line, sizeof line);
    puts(line);
}

static void do_listen(char **arg)
{
    listener = listen_on(arg[0], SOCK_STREAM);
}

static void do_listen_udp(char **arg)
{
    listener = listen_on(arg[0], SOCK_DGRAM);
}

static void do_lose_ipv6(char **arg)
{
    (void)arg;
    lose_ipv6();
}

static void do_nothing(char **arg)
{
    struct pollfd p = {conn, POLLIN, 0};
    (void)arg;
    if (poll(&p, 1, 0) != 0)
        fail("something came");
}

static void do_numbers(char **arg)
{
    numbers((int)number(arg[0]));
}

static void do_options(char **arg)
{
    options(number(arg[0]));
}

static void do_processes(char **arg)
{
    limit(RLIMIT_NPROC, number(arg[0]));
}

static void do_pump(char **arg)
{
    pump((size_t)number(arg[0]));
}

static void do_queue(char **arg)
{
    queue((int)number(arg[0]), arg[1], arg[2]);
}

static void do_rcvbuf(char **arg)
{
    rcvbuf = (int)number(arg[0]);
}

static void do_recv(char **arg)
{
    static char got[CHUNK];
    ssize_t n = recv(conn, got, sizeof got, 0);
    (void)arg;
    if (n < 0)
        fail("%s", strerror(errno));
    fwrite(got, 1, (size_t)n, stdout);
    putchar('\n');
}

static void do_reset(char **arg)
{
    (void)arg;
    reset_conn(conn);
}

static void do_run(char **arg)
{
    run(arg);
}

static void do_segments(char **arg)
{
    segments(number(arg[0]));
}

static void do_send(char **arg)
{
    struct bytes b = unescape(arg[0]);
    must_send(b.data, b.len);
    free(b.data);
}

static void do_send_each(char **arg)
{
    struct bytes b = unescape(arg[0]);
    for (size_t i = 0; i < b.len; i++) {
        must_send(b.data + i, 1);
        drain(conn);
    }
    free(b.data);
}

static void do_send_file(char **arg)
{
    struct bytes b = read_file(arg[0]);
    must_send(b.data, b.len);
    free(b.data);
}

static void do_show(char **arg)
{
    struct bytes b = read_file(arg[0]);
    show(stdout, b.data, b.len);
    putchar('\n');
    free(b.data);
}

static void do_shut(char **arg)
{
    (void)arg;
    shutdown(conn, SHUT_WR);
}

static void do_spoof(char **arg)
{
    struct bytes b = unescape(arg[2]);
    spoof(arg[0], arg[1], b);
    free(b.data);
}

static void do_stall(char **arg)
{
    struct bytes b = unescape(arg[0]);
    stall(b, atof(arg[1]), atof(arg[2]));
    free(b.data);
}

static void do_touch(char **arg)
{
    int fd = open(arg[0], O_CREAT | O_WRONLY, 0600);
    if (fd < 0)
        fail("%s", strerror(errno));
    close(fd);
}

static void do_udp(char **arg)
{
    datagrams = true;
    add_connection(dial(arg[0], SOCK_DGRAM));
}

static void do_use(char **arg)
{
    long which = number(arg[0]);
    if (which < 0 || which >= nconns)
        fail("no such connection");
    conn = conns[which];
}

static void do_user(char **arg)
{
    become(number(arg[0]));
}

static void do_who(char **arg)
{
    (void)arg;
    print_peer();
}

static const struct {
    const char *name;
    int arguments;
    void (*carry_out)(char **arg);
} words[] = {
    {"accept", 0, do_accept},
    {"answer", 2, do_answer},
    {"answer-file", 2, do_answer_file},
    {"asked", 1, do_asked},
    {"asked-file", 1, do_asked_file},
    {"await", 1, do_await},
    {"backlog", 1, do_backlog},
    {"break-stdout", 0, do_break_stdout},
    {"churn", 2, do_churn},
    {"close", 0, do_close},
    {"connect", 1, do_connect},
    {"crowd", 5, do_crowd},
    {"cut", 2, do_cut},
    {"deadline", 1, do_deadline},
    {"drain", 0, do_drain},
    {"echo", 1, do_echo},
    {"eof", 0, do_eof},
    {"expect", 1, do_expect},
    {"expect-file", 1, do_expect_file},
    {"files", 1, do_files},
    {"fill", 1, do_fill},
    {"flood", 1, do_flood},
    {"free-port", 0, do_free_port},
    {"from", 1, do_from},
    {"gone", 0, do_gone},
    {"line", 0, do_line},
    {"listen", 1, do_listen},
    {"listen-udp", 1, do_listen_udp},
    {"lose-ipv6", 0, do_lose_ipv6},
    {"nothing", 0, do_nothing},
    {"numbers", 1, do_numbers},
    {"options", 1, do_options},
    {"processes", 1, do_processes},
    {"pump", 1, do_pump},
    {"queue", 3, do_queue},
    {"rcvbuf", 1, do_rcvbuf},
    {"recv", 0, do_recv},
    {"reset", 0, do_reset},
    {"run", 1, do_run},
    {"segments", 1, do_segments},
    {"send", 1, do_send},
    {"send-each", 1, do_send_each},
    {"send-file", 1, do_send_file},
    {"show", 1, do_show},
    {"shut", 0, do_shut},
    {"spoof", 3, do_spoof},
    {"stall", 3, do_stall},
    {"touch", 1, do_touch},
    {"udp", 1, do_udp},
    {"use", 1, do_use},
    {"user", 1, do_user},
    {"who", 0, do_who},
};

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, on_alarm);
    set_deadline(20);
    for (int i = 1; i < argc;) {
        size_t k = 0;
        word = argv[i];
        word_arg = i + 1 < argc ? argv[i + 1] : "";
        while (k < sizeof words / sizeof words[0] && strcmp(words[k].name, word) != 0)
            k++;
        if (k == sizeof words / sizeof words[0])
            fail("no such word");
        if (argc - i - 1 < words[k].arguments)
            fail("an argument is missing");
        words[k].carry_out(&argv[i + 1]);
        fflush(stdout);
        i += 1 + words[k].arguments;
    }
    return 0;
}
