/* peer.c - a scripted peer: does what the tests need and shell and nc cannot do
 *
 *     cc -std=c11 -O2 -o peer peer.c
 *     peer connect 127.0.0.1:1234 send 'hel' drain send 'lo\n' expect 'hello\n' shut eof
 *
 * Executes the words of the command line one after another, on the newest connection.
 * The first that fails prints a message on stderr, and the exit status is 1. TEXT may
 * contain \n \r \t \v \f \0 \\ and \xNN. A WHERE that contains a slash is a Unix domain
 * socket, any other is HOST:PORT with a numeric host. tests/README.md describes the
 * words; the table above carry_out() lists them.
 *
 * For Linux only: it reads /proc and uses Linux system calls.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/ip.h>
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { CONNS = 20000, ASKERS = 64, ARGUMENTS = 3, SHOWN = 2000, CHUNK = 65536 };

struct bytes {
    char *data;
    size_t len;
};

struct argument {
    char *word;
    long number;        /* if it is one */
    struct bytes bytes; /* of a TEXT or a FILE */
};

struct address {
    struct sockaddr_storage sa;
    socklen_t len;
};

static const char *word = ""; /* the one being carried out */
static const char *word_arg = "";
static char **next;     /* the rest of the command line */
static char late[1024]; /* the message of on_alarm() */
static struct argument arg[ARGUMENTS];
static struct address askers[ASKERS]; /* the senders of datagrams */
static int conns[CONNS], nconns, naskers;
static int conn = -1, listener = -1; /* the current ones */
static int backlog = 128;
static pid_t streamer; /* the process that do_stream() has started, or 0 */
static char buffer[CHUNK];

/* --- Results ------------------------------------------------------------------------ */

/* Prints bytes on one line: the first SHOWN, with \xNN for what is not ASCII text. */
static void show(FILE *out, const char *data, size_t len)
{
    size_t n = len < SHOWN ? len : SHOWN;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c == '\n')
            fputs("\\n", out);
        else if (c < 32 || c > 126 || c == '\\')
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

/* The result of a system call; fails if that did. */
static int must(long result, const char *call)
{
    if (result < 0)
        fail("%s: %s", call, strerror(errno));
    return (int)result;
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

/* The deadline. Calls only what a signal handler may call. */
static void on_alarm(int sig)
{
    (void)sig;
    _exit(write(STDERR_FILENO, late, strlen(late)) < 0 ? 2 : 1);
}

static bool is_word(const char *name)
{
    return strcmp(word, name) == 0;
}

static char *allocate(size_t n)
{
    char *p = malloc(n + 1);
    if (p == NULL)
        fail("out of memory");
    return p;
}

/* --- Arguments ---------------------------------------------------------------------- */

/* Resolves the escapes of TEXT. The caller frees the result, and that of read_file(). */
static struct bytes unescape(const char *text)
{
    static const char letters[] = "nrtvf0\\", values[] = "\n\r\t\v\f\0\\";
    struct bytes b = {allocate(strlen(text)), 0};
    for (const char *p = text; *p != '\0'; p++) {
        char c = *p;
        if (c == '\\' && *++p == 'x') {
            unsigned value;
            if (sscanf(p + 1, "%2x", &value) != 1)
                fail("bad \\x");
            c = (char)value;
            p += 2;
        } else if (c == '\\') {
            const char *letter = *p != '\0' ? strchr(letters, *p) : NULL;
            if (letter == NULL)
                fail("bad escape");
            c = values[letter - letters];
        }
        b.data[b.len++] = c;
    }
    return b;
}

static struct bytes read_file(const char *path)
{
    int fd = must(open(path, O_RDONLY | O_CLOEXEC), "open");
    struct stat file;
    must(fstat(fd, &file), "fstat");
    struct bytes b = {allocate((size_t)file.st_size), (size_t)file.st_size};
    must(read(fd, b.data, b.len) == file.st_size ? 0 : -1, "read");
    close(fd);
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

/* "127.0.0.1:80", "[::1]:80" or "/tmp/s" as a socket address. */
static struct address parse_where(const char *where)
{
    struct address a = {.sa.ss_family = AF_UNIX, .len = sizeof(struct sockaddr_un)};
    if (strchr(where, '/') != NULL) {
        struct sockaddr_un *un = (struct sockaddr_un *)&a.sa;
        if (strlen(where) > sizeof un->sun_path)
            fail("path too long");
        memcpy(un->sun_path, where, strlen(where));
        return a;
    }
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char host[64], port[16];
    if ((sscanf(where, "[%63[^]]]:%15s", host, port) != 2 &&
         sscanf(where, "%63[^:]:%15s", host, port) != 2) ||
        getaddrinfo(host, port, &hints, &found) != 0)
        fail("not a numeric HOST:PORT");
    memcpy(&a.sa, found->ai_addr, found->ai_addrlen);
    a.len = found->ai_addrlen;
    freeaddrinfo(found);
    return a;
}

/* An IPv6 address has its port where an IPv4 address has it. */
static unsigned port_of(struct address a)
{
    return a.sa.ss_family == AF_UNIX ? 0 : ntohs(((struct sockaddr_in *)&a.sa)->sin_port);
}

/* Which address: getsockname or getpeername. Length 0 where there is none. */
static struct address address_of(int fd,
                                 int (*which)(int, struct sockaddr *, socklen_t *))
{
    struct address a = {.len = sizeof a.sa};
    if (which(fd, (struct sockaddr *)&a.sa, &a.len) < 0)
        a.len = 0;
    return a;
}

/* --- Connections -------------------------------------------------------------------- */

/* Connects to WHERE; `type` as for socket(). */
static int dial(const char *where, int type)
{
    struct address a = parse_where(where);
    int fd = must(socket(a.sa.ss_family, type | SOCK_CLOEXEC, 0), "socket");
    must(connect(fd, (struct sockaddr *)&a.sa, a.len), "connect");
    return fd;
}

/* Makes fd the current connection. */
static void add_connection(int fd)
{
    if (nconns == CONNS)
        fail("too many connections");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    conns[nconns++] = fd;
    conn = fd;
}

/* Sends all of it, an empty datagram too. */
static void send_all(const char *data, size_t len)
{
    do {
        int n = must(send(conn, data, len, MSG_NOSIGNAL), "send");
        data += n;
        len -= (size_t)n;
    } while (len > 0);
}

/* Reads at most `most` bytes into `buffer`. Returns their number, 0 at the end. */
static size_t receive(size_t most)
{
    most = most < CHUNK ? most : CHUNK;
    return (size_t)must(recv(conn, buffer, most, 0), "recv");
}

/* The number of our bytes that the other program has not read yet, from the kernel's
 * table; 0 if its end of the connection no longer exists. */
static unsigned unread_in(const char *table, unsigned our_port, unsigned their_port)
{
    unsigned local, remote, queued, unread = 0;
    FILE *f = fopen(table, "r");
    if (f == NULL || fscanf(f, "%*[^\n]") < 0)
        return 0;
    while (fscanf(f, " %*d: %*[^:]:%x %*[^:]:%x %*x %*x:%x%*[^\n]", &local, &remote,
                  &queued) == 3) {
        if (local == their_port && remote == our_port)
            unread += queued;
    }
    fclose(f);
    return unread;
}

/* --- Words that open, choose and end connections ------------------------------------ */

static void do_connect(void)
{
    add_connection(dial(arg[0].word, is_word("udp") ? SOCK_DGRAM : SOCK_STREAM));
}

static void do_backlog(void)
{
    backlog = (int)arg[0].number;
}

/* Prints the port on a line of its own. */
static void do_listen(void)
{
    struct address a = parse_where(arg[0].word);
    int type = (is_word("listen") ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC;
    listener = must(socket(a.sa.ss_family, type, 0), "socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    must(bind(listener, (struct sockaddr *)&a.sa, a.len), "bind");
    if (is_word("listen"))
        must(listen(listener, backlog), "listen");
    printf("%u\n", port_of(address_of(listener, getsockname)));
}

static void do_accept(void)
{
    add_connection(must(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept"));
}

static void do_use(void)
{
    if (arg[0].number < 0 || arg[0].number >= nconns)
        fail("no such connection");
    conn = conns[arg[0].number];
}

static void do_shut(void)
{
    shutdown(conn, SHUT_WR);
}

static void do_close(void)
{
    if (streamer > 0) { /* it would keep the connection open */
        kill(streamer, SIGKILL);
        waitpid(streamer, NULL, 0);
        streamer = 0;
    }
    close(conn);
}

static void do_reset(void)
{
    const struct linger hard = {1, 0};
    setsockopt(conn, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    do_close();
}

/* --- Words that send and read ------------------------------------------------------- */

/* Waits until the other program has read everything that was sent to it. */
static void do_drain(void)
{
    const unsigned ours = port_of(address_of(conn, getsockname));
    const unsigned theirs = port_of(address_of(conn, getpeername));
    int unsent = 0;
    while (ioctl(conn, SIOCOUTQ, &unsent) == 0 &&
           (unsent > 0 || unread_in("/proc/net/tcp", ours, theirs) > 0 ||
            unread_in("/proc/net/tcp6", ours, theirs) > 0))
        usleep(1000);
}

static void do_send(void)
{
    send_all(arg[0].bytes.data, arg[0].bytes.len);
}

/* Sends TEXT byte by byte, each when the other end has read the one before. */
static void do_send_each(void)
{
    for (size_t i = 0; i < arg[0].bytes.len; i++) {
        send_all(arg[0].bytes.data + i, 1);
        do_drain();
    }
}

/* Sends N bytes of TEXT, and the rest when the other end has read them. */
static void do_cut(void)
{
    const struct bytes *b = &arg[1].bytes;
    size_t at = (size_t)arg[0].number < b->len ? (size_t)arg[0].number : b->len;
    send_all(b->data, at);
    do_drain();
    send_all(b->data + at, b->len - at);
}

/* Reads exactly these bytes of a stream, and no more. */
static void do_expect(void)
{
    const struct bytes *want = &arg[0].bytes;
    for (size_t have = 0, n; have < want->len; have += n) {
        n = receive(want->len - have);
        if (n == 0 || memcmp(buffer, want->data + have, n) != 0)
            fail_bytes(want->data + have, want->len - have, buffer, n,
                       n == 0 ? " and the end" : "");
    }
}

/* Prints one line; reads it byte by byte, so as not to read past its end. */
static void do_line(void)
{
    do {
        if (receive(1) == 0)
            fail("the connection ended");
        putchar(buffer[0]);
    } while (buffer[0] != '\n');
}

static void do_recv(void)
{
    fwrite(buffer, 1, receive(CHUNK), stdout);
    putchar('\n');
}

static void do_nothing(void)
{
    struct pollfd p = {conn, POLLIN, 0};
    if (poll(&p, 1, 0) != 0)
        fail("there is something to read");
}

/* The other end must close without a reset, and send nothing before. */
static void do_eof(void)
{
    size_t n = receive(CHUNK);
    if (n > 0)
        fail_bytes("", 0, buffer, n, " instead of the end");
}

/* The other end must close without a reset, whatever it sends before. */
static void do_end(void)
{
    while (receive(CHUNK) > 0)
        ;
}

/* The other end must close or reset, whatever it sends before. */
static void do_closed(void)
{
    while (recv(conn, buffer, CHUNK, 0) > 0)
        ;
}

/* Echoes until the end, at most N bytes at a time. */
static void do_echo(void)
{
    for (size_t n; (n = receive((size_t)arg[0].number)) > 0;)
        send_all(buffer, n);
}

/* fork(); the child ends when this process does. */
static pid_t spawn(void)
{
    pid_t child = must(fork(), "fork");
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return child;
}

/* Fills `buffer` with copies of TEXT. Returns their length. */
static size_t repeat_text(const struct bytes *text)
{
    size_t len = 0;
    for (; len + text->len <= CHUNK; len += text->len)
        memcpy(buffer + len, text->data, text->len);
    return len;
}

/* Sends from a process of its own, while the next words are carried out: stream repeats
 * TEXT without end, feed sends FILE once and half-closes. */
static void do_stream(void)
{
    const struct bytes *text = &arg[0].bytes;
    streamer = spawn();
    if (streamer > 0)
        return;
    if (is_word("feed")) {
        send_all(text->data, text->len);
        shutdown(conn, SHUT_WR);
        _exit(0);
    }
    const size_t len = repeat_text(text);
    for (;;)
        send_all(buffer, len);
}

/* Sends TEXT until the other end reads no more, because it waits for us to read. */
static void do_fill(void)
{
    const size_t len = repeat_text(&arg[0].bytes);
    struct pollfd p = {conn, POLLOUT, 0};
    while (poll(&p, 1, 200) > 0 &&
           send(conn, buffer, len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        ;
}

/* Receives a datagram, which must be TEXT; do_answer() replies to its sender. */
static void do_asked(void)
{
    const struct bytes *want = &arg[0].bytes;
    if (naskers == ASKERS)
        fail("too many datagrams");
    struct address *asker = &askers[naskers++];
    asker->len = sizeof asker->sa;
    int n = must(
        recvfrom(listener, buffer, CHUNK, 0, (struct sockaddr *)&asker->sa, &asker->len),
        "recvfrom");
    if ((size_t)n != want->len || memcmp(buffer, want->data, want->len) != 0)
        fail_bytes(want->data, want->len, buffer, (size_t)n, "");
}

static void do_answer(void)
{
    const struct bytes *text = &arg[1].bytes;
    if (arg[0].number < 0 || arg[0].number >= naskers)
        fail("nobody asked");
    const struct address *asker = &askers[arg[0].number];
    must(sendto(listener, text->data, text->len, 0, (const struct sockaddr *)&asker->sa,
                asker->len),
         "sendto");
}

/* Sends a UDP datagram with a false sender, under IP and UDP headers of our own. */
static void do_spoof(void)
{
    struct address source = parse_where(arg[0].word), target = parse_where(arg[1].word);
    const struct bytes *text = &arg[2].bytes;
    struct {
        struct iphdr ip;
        uint16_t udp[4]; /* source, destination, length, no checksum */
        char data[1024];
    } packet = {.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP}};
    if (text->len > sizeof packet.data)
        fail("too long");
    packet.ip.saddr = ((struct sockaddr_in *)&source.sa)->sin_addr.s_addr;
    packet.ip.daddr = ((struct sockaddr_in *)&target.sa)->sin_addr.s_addr;
    packet.udp[0] = htons((uint16_t)port_of(source));
    packet.udp[1] = htons((uint16_t)port_of(target));
    packet.udp[2] = htons((uint16_t)(sizeof packet.udp + text->len));
    memcpy(packet.data, text->data, text->len);
    size_t total = sizeof packet - sizeof packet.data + text->len;
    int fd = must(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), "raw socket");
    must(sendto(fd, &packet, total, 0, (struct sockaddr *)&target.sa, target.len),
         "sendto");
}

/* --- Words that ask the kernel, keep step, become another program ------------------- */

static int get_option(int fd, int level, int name)
{
    int value = 0;
    socklen_t len = sizeof value;
    getsockopt(fd, level, name, &value, &len);
    return value;
}

/* Prints the options of a process's TCP connections, from copies of its descriptors. */
static void do_options(void)
{
    int process = must(syscall(SYS_pidfd_open, (pid_t)arg[0].number, 0), "pidfd_open");
    for (int number = 0; number < 1024; number++) {
        int fd = (int)syscall(SYS_pidfd_getfd, process, number, 0);
        if (fd < 0 && errno == EBADF)
            continue;
        must(fd, "pidfd_getfd");
        if (address_of(fd, getpeername).len > 0)
            printf("keepalive %d nodelay %d\n", get_option(fd, SOL_SOCKET, SO_KEEPALIVE),
                   get_option(fd, IPPROTO_TCP, TCP_NODELAY));
        close(fd);
    }
}

static void do_segments(void)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    must(getsockopt(conn, IPPROTO_TCP, TCP_INFO, &info, &len), "TCP_INFO");
    if (info.tcpi_data_segs_in != (unsigned)arg[0].number)
        fail("%u segments arrived", info.tcpi_data_segs_in);
}

static void do_who(void)
{
    struct address a = address_of(conn, getpeername);
    char host[128], port[16];
    getnameinfo((struct sockaddr *)&a.sa, a.len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    printf("%s %s\n", host, port);
}

/* Prints a free port that stays free: below those that the kernel assigns by itself
 * (32768 and up on Linux), and different for two peers that ask at once. It has four
 * digits, as those in README. */
static void do_free_port(void)
{
    struct address a = parse_where("0.0.0.0:0");
    int fd, failed, port, offset = getpid() * 31;
    do {
        offset += 17;
        port = 2000 + offset % 7900;
        fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
        ((struct sockaddr_in *)&a.sa)->sin_port = htons((uint16_t)port);
        failed = bind(fd, (struct sockaddr *)&a.sa, a.len);
        close(fd);
    } while (failed);
    printf("%d\n", port);
}

static void do_show(void)
{
    show(stdout, arg[0].bytes.data, arg[0].bytes.len);
    putchar('\n');
}

static void do_touch(void)
{
    close(must(open(arg[0].word, O_CREAT | O_WRONLY, 0600), "open"));
}

/* Waits for FILE and removes it. */
static void do_await(void)
{
    while (unlink(arg[0].word) != 0)
        usleep(5000);
}

/* Waits N milliseconds. */
static void do_pause(void)
{
    usleep((useconds_t)arg[0].number * 1000);
}

/* Limits the rest of the run to N seconds, times TEST_SLOW. */
static void do_deadline(void)
{
    const char *slow = getenv("TEST_SLOW");
    int factor = slow != NULL && atoi(slow) > 0 ? atoi(slow) : 1;
    alarm((unsigned)(arg[0].number * factor));
}

static void do_limit(void)
{
    const struct rlimit r = {(rlim_t)arg[0].number, (rlim_t)arg[0].number};
    must(setrlimit(is_word("files") ? RLIMIT_NOFILE : RLIMIT_NPROC, &r), "setrlimit");
}

static void do_user(void)
{
    must(setgid((gid_t)arg[0].number), "setgid");
    must(setuid((uid_t)arg[0].number), "setuid");
}

/* As a program that shares the terminal may leave it. */
static void do_nonblock(void)
{
    must(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK), "fcntl");
}

/* Copies stdin to the terminal, and its output to stdout, until the program there has
 * closed it. */
static void copy_terminal(int terminal)
{
    struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {terminal, POLLIN, 0}};
    for (;;) {
        must(poll(fds, 2, -1), "poll");
        ssize_t n = fds[1].revents != 0 ? read(terminal, buffer, CHUNK) : 0;
        if (n < 0)
            return;
        must(write(STDOUT_FILENO, buffer, (size_t)n), "write");
        n = fds[0].revents != 0 ? must(read(STDIN_FILENO, buffer, CHUNK), "read") : 0;
        must(write(terminal, buffer, (size_t)n), "write");
        if (fds[0].revents != 0 && n == 0)
            fds[0].fd = -1; /* the end of stdin does not close the terminal */
    }
}

/* The program that the next words start has a terminal, without output processing ("\n"
 * stays "\n"); its stderr stays as it is. We end as the program does. */
static void do_terminal(void)
{
    int status, terminal = must(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "openpt");
    must(grantpt(terminal), "grantpt");
    must(unlockpt(terminal), "unlockpt");
    const pid_t child = spawn();
    if (child > 0) {
        alarm(0);
        copy_terminal(terminal);
        waitpid(child, &status, 0);
        if (WIFSIGNALED(status)) {
            signal(WTERMSIG(status), SIG_DFL);
            raise(WTERMSIG(status));
        }
        exit(WEXITSTATUS(status));
    }
    setsid();
    struct termios settings;
    int fd = must(open(ptsname(terminal), O_RDWR), "open"); /* it controls us now */
    must(tcgetattr(fd, &settings), "tcgetattr");
    settings.c_oflag &= ~(tcflag_t)OPOST;
    must(tcsetattr(fd, TCSANOW, &settings), "tcsetattr");
    dup2(fd, STDIN_FILENO);
    dup2(fd, STDOUT_FILENO);
    close(fd);
}

/* stdout becomes a pipe that nobody reads. */
static void do_break_stdout(void)
{
    int ends[2];
    must(pipe2(ends, O_CLOEXEC), "pipe");
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
}

/* As on a machine without IPv6, socket(AF_INET6, ...) fails with EAFNOSUPPORT. */
static void do_lose_ipv6(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof code[0], code};
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
    must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), "seccomp");
}

/* Becomes another program. A script's background jobs ignore SIGINT by POSIX; a program
 * under test must not inherit that, nor our deadline. */
static void do_run(void)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    alarm(0);
    execvp(arg[0].word, next - 1);
    fprintf(stderr, "peer: %s: %s\n", arg[0].word, strerror(errno));
    exit(127);
}

/* --- Words that carry out others ---------------------------------------------------- */

static void carry_out(void);

/* Carries out the words up to "." or the end. */
static void carry_out_block(char **words)
{
    next = words;
    while (*next != NULL && strcmp(*next, ".") != 0)
        carry_out();
    if (*next != NULL)
        next++;
}

static void do_repeat(void)
{
    char **const block = next;
    for (long n = arg[0].number; n > 0; n--)
        carry_out_block(block);
}

static void do_each(void)
{
    char **const block = next;
    for (int i = 0; i < nconns; i++) {
        conn = conns[i];
        carry_out_block(block);
    }
}

/* The arguments, a letter for each: w a word, n a number, t a TEXT, f a FILE to read. */
static const struct {
    const char *name, *arguments;
    void (*carry_out)(void);
} words[] = {
    {"connect", "w", do_connect},
    {"udp", "w", do_connect},
    {"listen", "w", do_listen},
    {"listen-udp", "w", do_listen},
    {"backlog", "n", do_backlog},
    {"accept", "", do_accept},
    {"use", "n", do_use},
    {"shut", "", do_shut},
    {"close", "", do_close},
    {"reset", "", do_reset},
    {"send", "t", do_send},
    {"send-file", "f", do_send},
    {"send-each", "t", do_send_each},
    {"cut", "nt", do_cut},
    {"drain", "", do_drain},
    {"expect", "t", do_expect},
    {"expect-file", "f", do_expect},
    {"line", "", do_line},
    {"recv", "", do_recv},
    {"nothing", "", do_nothing},
    {"eof", "", do_eof},
    {"end", "", do_end},
    {"closed", "", do_closed},
    {"echo", "n", do_echo},
    {"stream", "t", do_stream},
    {"feed", "f", do_stream},
    {"fill", "t", do_fill},
    {"asked", "t", do_asked},
    {"asked-file", "f", do_asked},
    {"answer", "nt", do_answer},
    {"answer-file", "nf", do_answer},
    {"spoof", "wwt", do_spoof},
    {"options", "n", do_options},
    {"segments", "n", do_segments},
    {"who", "", do_who},
    {"free-port", "", do_free_port},
    {"show", "f", do_show},
    {"touch", "w", do_touch},
    {"await", "w", do_await},
    {"pause", "n", do_pause},
    {"deadline", "n", do_deadline},
    {"files", "n", do_limit},
    {"processes", "n", do_limit},
    {"user", "n", do_user},
    {"nonblock", "", do_nonblock},
    {"terminal", "", do_terminal},
    {"break-stdout", "", do_break_stdout},
    {"lose-ipv6", "", do_lose_ipv6},
    {"run", "w", do_run},
    {"repeat", "n", do_repeat},
    {"each", "", do_each},
};

static void carry_out(void)
{
    size_t k = 0;
    word = *next++;
    word_arg = *next != NULL ? *next : "";
    snprintf(late, sizeof late, "peer: %s %s: not done before the deadline\n", word,
             word_arg);
    while (strcmp(words[k].name, word) != 0) {
        if (++k == sizeof words / sizeof words[0])
            fail("no such word");
    }
    for (int j = 0; words[k].arguments[j] != '\0'; j++) {
        if (*next == NULL)
            fail("an argument is missing");
        free(arg[j].bytes.data);
        arg[j] = (struct argument){.word = *next++};
        if (words[k].arguments[j] == 'n')
            arg[j].number = number(arg[j].word);
        else if (words[k].arguments[j] == 't')
            arg[j].bytes = unescape(arg[j].word);
        else if (words[k].arguments[j] == 'f')
            arg[j].bytes = read_file(arg[j].word);
    }
    words[k].carry_out();
    fflush(stdout);
}

int main(int argc, char **argv)
{
    (void)argc;
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, on_alarm);
    arg[0].number = 20;
    do_deadline();
    next = argv + 1;
    while (*next != NULL)
        carry_out();
    return 0;
}
