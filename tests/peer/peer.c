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
#include <err.h>
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
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
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
    union {
        struct sockaddr sa;
        struct sockaddr_in in; /* an IPv6 address has its port at the same place */
        struct sockaddr_un un;
        struct sockaddr_storage any;
    };
    socklen_t len;
};

static const char *word = ""; /* the one being carried out */
static char step[1024];       /* this word and what follows it, for messages */
static char **next;           /* the rest of the command line */
static struct argument arg[ARGUMENTS];
static struct address askers[ASKERS]; /* the senders of datagrams */
static int conns[CONNS], nconns, naskers;
static int conn = -1, listener = -1; /* the current ones */
static pid_t streamer;               /* the process that do_stream() has started, or 0 */
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

static _Noreturn void fail(const char *reason)
{
    warnx("%s: %s", step, reason);
    exit(1);
}

/* The result of a system call; fails if that did. */
static int must(long result, const char *call)
{
    if (result < 0)
        err(1, "%s: %s", step, call);
    return (int)result;
}

static _Noreturn void fail_bytes(const char *expected, size_t expected_len,
                                 const char *got, size_t got_len)
{
    fprintf(stderr, "peer: %s: expected \"", word);
    show(stderr, expected, expected_len);
    fputs("\" got \"", stderr);
    show(stderr, got, got_len);
    fputs("\"\n", stderr);
    exit(1);
}

/* The deadline. Calls only what a signal handler may call. */
static void on_alarm(int sig)
{
    static const char late[] = ": not done before the deadline\n";
    (void)sig;
    if (write(STDERR_FILENO, step, strlen(step)) > 0)
        (void)!write(STDERR_FILENO, late, strlen(late));
    _exit(1);
}

static bool is_word(const char *name)
{
    return strcmp(word, name) == 0;
}

/* --- Arguments ---------------------------------------------------------------------- */

/* Resolves the escapes of TEXT. The caller frees the result, and that of read_file(). */
static struct bytes unescape(const char *text)
{
    static const char letters[] = "nrtvf0\\", values[] = "\n\r\t\v\f\0\\";
    struct bytes b = {malloc(strlen(text) + 1), 0};
    must(b.data != NULL ? 0 : -1, "malloc");
    for (const char *p = text; *p != '\0'; p++) {
        char c = *p;
        unsigned value;
        if (c == '\\' && sscanf(p, "\\x%2x", &value) == 1) {
            c = (char)value;
            p += 3;
        } else if (c == '\\') {
            const char *letter = strchr(letters, *++p);
            if (*p == '\0' || letter == NULL)
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
    struct bytes b = {malloc((size_t)file.st_size + 1), (size_t)file.st_size};
    must(b.data != NULL && read(fd, b.data, b.len) == file.st_size ? 0 : -1, "read");
    close(fd);
    return b;
}

/* "127.0.0.1:80", "[::1]:80" or "/tmp/s" as a socket address. */
static struct address parse_where(const char *where)
{
    struct address a = {.un.sun_family = AF_UNIX, .len = sizeof a.un};
    if (strchr(where, '/') != NULL) {
        if (strlen(where) > sizeof a.un.sun_path)
            fail("path too long");
        memcpy(a.un.sun_path, where, strlen(where));
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

static unsigned port_of(struct address a)
{
    return a.sa.sa_family == AF_UNIX ? 0 : ntohs(a.in.sin_port);
}

/* Which address: getsockname or getpeername. Length 0 where there is none. */
static struct address address_of(int fd,
                                 int (*which)(int, struct sockaddr *, socklen_t *))
{
    struct address a = {.len = sizeof a.any};
    if (which(fd, &a.sa, &a.len) < 0)
        a.len = 0;
    return a;
}

/* --- Connections -------------------------------------------------------------------- */

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
        int n = must(send(conn, data, len, 0), "send");
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
static int unread_in(const char *table)
{
    const unsigned ours = port_of(address_of(conn, getsockname));
    const unsigned theirs = port_of(address_of(conn, getpeername));
    unsigned local, remote, queued;
    int unread = 0;
    FILE *f = fopen(table, "r");
    if (f == NULL || fscanf(f, "%*[^\n]") < 0)
        return 0;
    while (fscanf(f, " %*d: %*[^:]:%x %*[^:]:%x %*x %*x:%x%*[^\n]", &local, &remote,
                  &queued) == 3) {
        if (local == theirs && remote == ours)
            unread += (int)queued;
    }
    fclose(f);
    return unread;
}

/* --- Words that open, choose and end connections ------------------------------------ */

static void do_connect(void)
{
    struct address a = parse_where(arg[0].word);
    int type = (is_word("udp") ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC;
    int fd = must(socket(a.sa.sa_family, type, 0), "socket");
    must(connect(fd, &a.sa, a.len), "connect");
    add_connection(fd);
}

/* Prints the port on a line of its own. There is room for one client before `accept`, so
 * that `connect` can take it. */
static void do_listen(void)
{
    struct address a = parse_where(arg[0].word);
    int type = (is_word("listen") ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC;
    listener = must(socket(a.sa.sa_family, type, 0), "socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    must(bind(listener, &a.sa, a.len), "bind");
    if (is_word("listen"))
        must(listen(listener, 0), "listen");
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
    int unsent = 0;
    while (ioctl(conn, SIOCOUTQ, &unsent) == 0 &&
           unsent + unread_in("/proc/net/tcp") + unread_in("/proc/net/tcp6") > 0)
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
            fail_bytes(want->data + have, want->len - have, buffer, n);
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

/* The other end must close. "eof": it may send nothing before; "closed": it may reset. */
static void do_end(void)
{
    ssize_t n;
    do {
        n = recv(conn, buffer, CHUNK, 0);
        if (n > 0 && is_word("eof"))
            fail_bytes("", 0, buffer, (size_t)n);
    } while (n > 0);
    if (!is_word("closed"))
        must(n, "recv");
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
    while (poll(&p, 1, 200) > 0 && send(conn, buffer, len, MSG_DONTWAIT) > 0)
        ;
}

/* Receives a datagram, which must be TEXT; do_answer() replies to its sender. */
static void do_asked(void)
{
    const struct bytes *want = &arg[0].bytes;
    if (naskers == ASKERS)
        fail("too many datagrams");
    struct address *asker = &askers[naskers++];
    asker->len = sizeof asker->any;
    int n =
        must(recvfrom(listener, buffer, CHUNK, 0, &asker->sa, &asker->len), "recvfrom");
    if ((size_t)n != want->len || memcmp(buffer, want->data, want->len) != 0)
        fail_bytes(want->data, want->len, buffer, (size_t)n);
}

static void do_answer(void)
{
    const struct bytes *text = &arg[1].bytes;
    if (arg[0].number < 0 || arg[0].number >= naskers)
        fail("nobody asked");
    struct address *asker = &askers[arg[0].number];
    must(sendto(listener, text->data, text->len, 0, &asker->sa, asker->len), "sendto");
}

/* Sends a UDP datagram with a false sender, under IP and UDP headers of our own. */
static void do_spoof(void)
{
    struct address source = parse_where(arg[0].word), target = parse_where(arg[1].word);
    const struct bytes *text = &arg[2].bytes;
    struct {
        struct iphdr ip;
        uint16_t udp[4]; /* source, destination, length, no checksum */
    } header = {.ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP}};
    header.ip.saddr = source.in.sin_addr.s_addr;
    header.ip.daddr = target.in.sin_addr.s_addr;
    header.udp[0] = source.in.sin_port;
    header.udp[1] = target.in.sin_port;
    header.udp[2] = htons((uint16_t)(sizeof header.udp + text->len));
    struct iovec parts[] = {{&header, sizeof header}, {text->data, text->len}};
    const struct msghdr packet = {&target.sa, target.len, parts, 2, NULL, 0, 0};
    int fd = must(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW), "raw socket");
    must(sendmsg(fd, &packet, 0), "sendmsg");
    close(fd);
}

/* --- Words that ask the kernel, keep step, become another program ------------------- */

/* Prints the options of a process's TCP connections, from copies of its descriptors. */
static void do_options(void)
{
    int process = must(syscall(SYS_pidfd_open, (pid_t)arg[0].number, 0), "pidfd_open");
    for (int number = 0; number < 1024; number++) {
        int fd = (int)syscall(SYS_pidfd_getfd, process, number, 0);
        if (fd < 0 && errno == EBADF)
            continue;
        must(fd, "pidfd_getfd");
        int keepalive = 0, nodelay = 0;
        socklen_t len = sizeof keepalive;
        getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keepalive, &len);
        getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len);
        if (address_of(fd, getpeername).len > 0)
            printf("keepalive %d nodelay %d\n", keepalive, nodelay);
        close(fd);
    }
}

static void do_segments(void)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    must(getsockopt(conn, IPPROTO_TCP, TCP_INFO, &info, &len), "TCP_INFO");
    if (info.tcpi_data_segs_in != (unsigned)arg[0].number)
        errx(1, "%u segments arrived", info.tcpi_data_segs_in);
}

static void do_who(void)
{
    struct address a = address_of(conn, getpeername);
    char host[128], port[16];
    getnameinfo(&a.sa, a.len, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    printf("%s %s\n", host, port);
}

/* Prints a free port that stays free: below those that the kernel assigns by itself
 * (32768 and up on Linux), and different for two peers that ask at once. It has four
 * digits, as those in README. */
static void do_free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int failed, port, offset = getpid() * 31;
    do {
        offset += 17;
        port = 2000 + offset % 7900;
        a.sin_port = htons((uint16_t)port);
        int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
        failed = bind(fd, (struct sockaddr *)&a, sizeof a);
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

static void do_user(void)
{
    must(setgid((gid_t)arg[0].number), "setgid");
    must(setuid((uid_t)arg[0].number), "setuid");
}

/* Copies until there is nothing more to read. */
static void copy(int from, int to)
{
    for (ssize_t n; (n = read(from, buffer, CHUNK)) > 0;)
        must(write(to, buffer, (size_t)n), "write");
}

/* Our stdin is the keyboard of the program that the next words start, our stdout its
 * screen, without output processing ("\n" stays "\n"). Its stderr stays as it is. Our exit
 * status is the one that a shell has for it. */
static void do_terminal(void)
{
    int status, terminal = must(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "openpt");
    must(grantpt(terminal), "grantpt");
    must(unlockpt(terminal), "unlockpt");
    const pid_t child = spawn();
    if (child > 0) {
        alarm(0);
        if (spawn() == 0) { /* the end of stdin does not close the terminal */
            copy(STDIN_FILENO, terminal);
            _exit(0);
        }
        copy(terminal, STDOUT_FILENO);
        waitpid(child, &status, 0);
        exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
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
    err(127, "%s", arg[0].word);
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
    {"eof", "", do_end},
    {"end", "", do_end},
    {"closed", "", do_end},
    {"echo", "n", do_echo},
    {"stream", "t", do_stream},
    {"feed", "f", do_stream},
    {"fill", "t", do_fill},
    {"asked", "t", do_asked},
    {"answer", "nt", do_answer},
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
    {"user", "n", do_user},
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
    snprintf(step, sizeof step, "%s %s", word, *next != NULL ? *next : "");
    while (strcmp(words[k].name, word) != 0) {
        if (++k == sizeof words / sizeof words[0])
            fail("no such word");
    }
    for (int j = 0; words[k].arguments[j] != '\0'; j++) {
        if (*next == NULL)
            fail("an argument is missing");
        free(arg[j].bytes.data);
        arg[j] = (struct argument){.word = *next++};
        const char kind = words[k].arguments[j];
        char rest;
        if (kind == 'n' && sscanf(arg[j].word, "%ld%c", &arg[j].number, &rest) != 1)
            fail("not a number");
        else if (kind == 't')
            arg[j].bytes = unescape(arg[j].word);
        else if (kind == 'f')
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
