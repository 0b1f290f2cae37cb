/*
 * udpS.c - a UDP server that answers each datagram with a random number
 *
 *   cc -pthread -o udpS udpS.c
 *   ./udpS 1234           at the other end: udpC localhost:1234, or nc -u localhost 1234
 *
 * Go call                       here                what it teaches
 * net.ListenUDP("udp4", addr)   listen_on()         socket and bind; nobody connects
 * c.ReadFromUDP(buffer)         receive_datagram()  one call, one datagram, its sender
 * c.WriteToUDP(data, addr)      send_answer()       each answer names its receiver
 * rand.Seed(time.Now().Unix())  seed_random()       two servers, two sequences
 *
 * Not as in the chapter: an empty datagram is a datagram; a large one is read whole; what
 * looks like an answer gets none, or two servers would answer each other for ever.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "udpS", usage[] = "[-q] PORT";
static const char purpose[] =
    "Answers each UDP datagram with a random number from 1 to 1000.";
static const char no_argument[] = "Please provide a port number!";
static const char *option[128];
enum { HOST_SIZE = 256, PORT_SIZE = 64, ADDRESS_SIZE = 80, BACKLOG = 4096 };

static void parse_arguments(int argc, char **argv, const char *letters, int min, int max);
static void guard_process(void);
static void stop_server(int signal_number);
static void catch_signals(void (*handler)(int));
static void set_option(int fd, int level, int name, int value);
static int listen_on(const char *address, int type);
static bool is_stop(const char *line, size_t length);
static void log_text(const char *label, const char *line, size_t length);
static void seed_random(void);
static size_t receive_datagram(int fd, char *data, size_t size,
                               struct sockaddr_storage *peer, socklen_t *peer_size);
static bool is_answer(const char *data, size_t length);
static void send_answer(int fd, const char *answer, size_t length,
                        const struct sockaddr_storage *peer, socklen_t peer_size);

int main(int argc, char **argv)
{
    parse_arguments(argc, argv, "hq", 1, 1);
    guard_process();
    catch_signals(stop_server);
    seed_random();
    int fd = listen_on(argv[optind], SOCK_DGRAM);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, 4 << 20); /* a burst waits here */

    for (;;) {
        static char datagram[65536]; /* no datagram is larger */
        struct sockaddr_storage peer;
        socklen_t peer_size;
        size_t length =
            receive_datagram(fd, datagram, sizeof datagram, &peer, &peer_size);
        bool stop = is_stop(datagram, length);
        if (!option['q'])
            log_text("-> ", datagram, length);
        if (stop)
            break;
        if (is_answer(datagram, length))
            continue;
        char answer[8];
        size_t digits = (size_t)snprintf(answer, sizeof answer, "%d", rand() % 1000 + 1);
        if (!option['q'])
            log_text("data: ", answer, digits);
        send_answer(fd, answer, digits, &peer, peer_size);
    }
    log_text("Exiting UDP server!", "", 0);
    return 0;
}

/* ---- Helpers: the same text in every program that has them ---- */

/* Print `NAME: what address: why` on stderr and exit with 1. For clients, and for servers
   that are starting. An empty address is left out. */
static _Noreturn void die(const char *what, const char *address, const char *why)
{
    fprintf(stderr, "%s: %s%s%s: %s\n", program, what, *address ? " " : "", address, why);
    exit(1);
}

/* What the errno value `error` means; EOVERFLOW is what fill() says of a line. */
static const char *reason(int error)
{
    return error == EOVERFLOW ? "line longer than 65536 bytes" : strerror(error);
}

/* Print `NAME: what name: reason` on stderr and go on; `error` is an errno value. For
   servers: what goes wrong with one client is no reason to end. strerror() need not be
   thread-safe (POSIX), so it is called with stderr locked. */
static void complain(const char *what, const char *name, int error)
{
    flockfile(stderr);
    fprintf(stderr, "%s: %s %s: %s\n", program, what, name, reason(error));
    funlockfile(stderr);
}

/* The system is short of something (`error`, an errno value) that other clients will give
   back when they leave: say so, at most once a minute, and wait a tenth of a second. Only
   the thread that accepts calls this. */
static void wait_out(const char *what, int error)
{
    static time_t next_complaint;
    if (time(NULL) >= next_complaint) {
        flockfile(stderr);
        fprintf(stderr, "%s: %s: %s: waiting\n", program, what, strerror(error));
        funlockfile(stderr);
        next_complaint = time(NULL) + 60;
    }
    nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
}

/* Say what is wrong with the command line and how it should look, and exit with 2. */
static _Noreturn void refuse(const char *wrong)
{
    fprintf(stderr, "%s: %s\nusage: %s %s\n", program, wrong, program, usage);
    exit(2);
}

/* Parse the command line: `letters` are the options it may hold ('h' among them), and
   from `min` to `max` arguments follow them (POSIX, getopt). Afterwards option['x'] is
   NULL unless -x was there and argv[optind] is the first argument. -h prints the usage
   and ends the program with 0; anything wrong ends it with 2. */
static void parse_arguments(int argc, char **argv, const char *letters, int min, int max)
{
    opterr = 0;
    for (int letter; (letter = getopt(argc, argv, letters)) != -1;) {
        if (letter == 'h') {
            printf("usage: %s %s\n%s\n", program, usage, purpose);
            if (fflush(stdout) != 0 || ferror(stdout))
                die("write", "stdout", strerror(errno));
            exit(0);
        }
        if (letter == '?') {
            char wrong[] = "unknown option -?";
            wrong[sizeof wrong - 2] = (char)optopt;
            refuse(strchr(letters, optopt) ? "an option lacks its value" : wrong);
        }
        option[letter] = optarg != NULL ? optarg : "";
    }
    if (argc - optind < min)
        refuse(no_argument);
    if (argc - optind > max)
        refuse("too many arguments");
}

/* Make two things sure before the first socket is made. A write to a connection or pipe
   that is gone gives EPIPE, where SIGPIPE would end the program. And 0, 1 and 2 are
   taken: were stdout closed, the next socket would get its number, and lines meant for
   the reader would go to the network. Opened read-only, it still fails a write (EBADF).
   */
static void guard_process(void)
{
    signal(SIGPIPE, SIG_IGN);
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDONLY);
    if (fd >= 0)
        close(fd);
}

/* The signal handler. Leaving closes the listening socket and every connection; all that
   was printed has been flushed at its line's end, so _exit(), which a handler may call
   where exit() may not (POSIX, 2.4.3), loses nothing. */
static void stop_server(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

/* Have SIGINT and SIGTERM handled by `handler`. */
static void catch_signals(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Split `address`, HOST:PORT or [HOST]:PORT as Go writes it, into host[HOST_SIZE] and
   port[PORT_SIZE]. HOST may be empty; PORT is a number up to 65535 or a service name,
   which has a letter in it (RFC 6335, section 5.1). Returns NULL, or what is wrong. The
   number is checked here because getaddrinfo() takes "-1" and "99999" in glibc, cut to 16
   bits. */
static const char *split_hostport(const char *address, char *host, char *port)
{
    const char *colon = strrchr(address, ':');
    const char *host_end = colon;
    if (address[0] == '[') {
        host_end = strchr(++address, ']');
        if (host_end == NULL)
            return "missing ]";
        colon = host_end[1] == ':' ? host_end + 1 : NULL;
    }
    if (colon == NULL || colon[1] == '\0')
        return "missing port";
    if (*host_end == ':' && strchr(address, ':') != colon)
        return "too many colons (an IPv6 address goes in brackets)";
    if (host_end - address >= HOST_SIZE)
        return "host name too long";
    if (strlen(colon + 1) >= PORT_SIZE)
        return "port is not 0 to 65535";
    snprintf(host, HOST_SIZE, "%.*s", (int)(host_end - address), address);
    snprintf(port, PORT_SIZE, "%s", colon + 1);
    bool letter = false;
    long number = 0; /* 65536 for what is none, or too large a one */
    for (const char *p = port; *p != '\0'; p++) {
        letter = letter || isalpha((unsigned char)*p);
        bool good = isdigit((unsigned char)*p) && number <= 65535;
        number = good ? number * 10 + (*p - '0') : 65536;
    }
    if (!letter && number > 65535)
        return "port is not 0 to 65535";
    return NULL;
}

/* Look up `address`, HOST:PORT, by getaddrinfo(). `hints` says which family, socket type
   and flags; without a HOST they decide between this machine (a client) and all its
   addresses (AI_PASSIVE, a server). Returns a list of at least one address, for
   freeaddrinfo(). On error it dies with a line that begins with `step`. */
static struct addrinfo *resolve(const char *step, const char *address,
                                const struct addrinfo *hints)
{
    char quoted[HOST_SIZE + PORT_SIZE + 3], host[HOST_SIZE], port[PORT_SIZE];
    snprintf(quoted, sizeof quoted, "\"%s\"", address);
    const char *wrong = split_hostport(address, host, port);
    if (wrong != NULL)
        die(step, quoted, wrong);
    struct addrinfo *list;
    int error = getaddrinfo(*host ? host : NULL, port, hints, &list);
    if (error != 0)
        die(step, quoted, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    return list;
}

/* Write an address as Go does, 127.0.0.1:80 or [::1]:80, into text[ADDRESS_SIZE]. An IPv4
   peer of an IPv6 socket, ::ffff:127.0.0.1 (RFC 4291, section 2.5.5.2), is shown as IPv4.
   */
static void format_address(const struct sockaddr *address, socklen_t size, char *text)
{
    char host[64], port[8];
    if (getnameinfo(address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        snprintf(text, ADDRESS_SIZE, "unknown address");
        return;
    }
    bool mapped = strncmp(host, "::ffff:", 7) == 0 && strchr(host, '.') != NULL;
    const char *shown = mapped ? host + 7 : host;
    bool brackets = strchr(shown, ':') != NULL;
    snprintf(text, ADDRESS_SIZE, "%s%s%s:%s", brackets ? "[" : "", shown,
             brackets ? "]" : "", port);
}

/* setsockopt() of an int. Its failure is passed over: a socket without the option serves
   worse, but it serves. */
static void set_option(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof value);
}

/* The first address of `family` in the list, or the first of all. */
static const struct addrinfo *pick(const struct addrinfo *list, int family)
{
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
        if (a->ai_family == family)
            return a;
    return list;
}

/* Why bind() or listen() failed, by errno. */
static const char *listen_error(void)
{
    if (errno == EACCES)
        return "Permission denied (ports below 1024 are for root)";
    return strerror(errno);
}

/* A socket bound to `a` and, for SOCK_STREAM, listening. SO_REUSEADDR lets a server start
   again while connections of its last run linger in TIME_WAIT. IPV6_V6ONLY off: an IPv6
   socket that takes IPv4 too (RFC 3493, section 3.7). Returns it, or -1 with errno. */
static int open_listener(const struct addrinfo *a, bool everywhere)
{
    int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd < 0)
        return -1;
    if (a->ai_socktype == SOCK_STREAM)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (a->ai_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !everywhere);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
        (a->ai_socktype != SOCK_STREAM || listen(fd, BACKLOG) == 0))
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Say on stderr where the socket listens; the kernel may have chosen the port. */
static void announce(int fd)
{
    struct sockaddr_storage local;
    socklen_t size = sizeof local;
    char name[ADDRESS_SIZE];
    if (getsockname(fd, (struct sockaddr *)&local, &size) < 0)
        die("getsockname", "", strerror(errno));
    format_address((struct sockaddr *)&local, size, name);
    fprintf(stderr, "%s: listening on %s\n", program, name);
}

/* The family to resolve a server's address in: any for HOST:PORT. For :PORT IPv6, whose
   socket takes IPv4 too, or IPv4 on a machine without IPv6. */
static int listen_family(const char *address)
{
    if (address[0] != ':')
        return AF_UNSPEC;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    if (fd < 0)
        return AF_INET;
    close(fd);
    return AF_INET6;
}

/* Make a socket bound to what `address`, HOST:PORT, was resolved to; if it is of
   SOCK_STREAM, it listens. A name is its first IPv4 address, as in Go. Says on stderr
   where it listens. Dies on error. */
static int listen_at(const struct addrinfo *list, const char *address)
{
    bool everywhere = address[0] == ':';
    const struct addrinfo *chosen = pick(list, AF_INET);
    int fd = open_listener(chosen, everywhere);
    if (fd < 0) {
        const char *why = listen_error();
        char name[ADDRESS_SIZE];
        format_address(chosen->ai_addr, chosen->ai_addrlen, name);
        die("listen", everywhere ? address : name, why);
    }
    announce(fd);
    return fd;
}

/* Make the socket of a server: of `type`, SOCK_STREAM or SOCK_DGRAM, at `address`,
   HOST:PORT, or a bare PORT for :PORT. Dies on error. */
static int listen_on(const char *address, int type)
{
    char full[HOST_SIZE + PORT_SIZE];
    snprintf(full, sizeof full, "%s%s", strchr(address, ':') ? "" : ":", address);
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE, .ai_family = listen_family(full), .ai_socktype = type};
    struct addrinfo *list = resolve("address", full, &hints);
    int fd = listen_at(list, full);
    freeaddrinfo(list);
    return fd;
}

/* Whether the line is STOP, blanks around it aside. */
static bool is_stop(const char *line, size_t length)
{
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    while (length > 0 && isspace((unsigned char)line[0])) {
        line++;
        length--;
    }
    return length == 4 && memcmp(line, "STOP", 4) == 0;
}

/* The length of the line without its end, `\n` or `\r\n`. */
static size_t without_end(const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n')
        length--;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    return length;
}

/* The size in bytes, 1 to 4, of the character that the text begins with if it is a tab or
   printable: valid UTF-8 (RFC 3629, section 4) and no control character, U+0080 to U+009F
   included. 0 if it is not. */
static size_t printable(const char *text, size_t length)
{
    unsigned char c[4] = {0};
    memcpy(c, text, length < sizeof c ? length : sizeof c);
    if (c[0] < 0x80)
        return c[0] == '\t' || (c[0] >= 0x20 && c[0] != 0x7f);
    if (c[0] < 0xc2 || c[0] > 0xf4)
        return 0;
    size_t size = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < size; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    bool low = c[1] < (c[0] == 0xf0 ? 0x90 : 0xa0);
    if (c[0] == 0xc2 || c[0] == 0xe0 || c[0] == 0xf0) /* controls; overlong forms */
        return low ? 0 : size;
    if (c[0] == 0xed) /* surrogates */
        return low ? size : 0;
    return c[0] == 0xf4 && c[1] > 0x8f ? 0 : size; /* above U+10FFFF */
}

/* Print the label and the text as one line on `file`, flushed. What is not printable
   UTF-8 is shown as \xNN, so that nobody on the network can drive the reader's terminal.
   Returns 0, or -1 with errno. */
static int print_text(FILE *file, const char *label, const char *text, size_t length)
{
    flockfile(file);
    fputs(label, file);
    for (size_t i = 0; i < length;) {
        size_t start = i, size;
        while (i < length && (size = printable(text + i, length - i)) > 0)
            i += size;
        fwrite(text + start, 1, i - start, file);
        if (i < length)
            fprintf(file, "\\x%02x", (unsigned char)text[i++]);
    }
    putc('\n', file);
    int result = fflush(file) != 0 || ferror(file) ? -1 : 0;
    funlockfile(file);
    return result;
}

/* Print the line, without its end, behind its label. That stdout is gone or full is said
   once; the server goes on serving. */
static void log_text(const char *label, const char *line, size_t length)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (print_text(stdout, label, line, without_end(line, length)) != 0 &&
        !atomic_flag_test_and_set(&said))
        complain("write", "stdout", errno);
}

/* Begin the sequence of rand() anew in each process, even in two of the same second. */
static void seed_random(void)
{
    unsigned seed = 0;
    int fd = open("/dev/urandom", O_RDONLY);
    if (fd < 0)
        die("open", "/dev/urandom", strerror(errno));
    while (read(fd, &seed, sizeof seed) < 0)
        if (errno != EINTR)
            die("read", "/dev/urandom", strerror(errno));
    close(fd);
    srand(seed);
}

/* Wait for a datagram, put it into data[size] and its sender into *peer. Returns its
   length; 0 is a datagram too. Errors that belong to one datagram cost that one. */
static size_t receive_datagram(int fd, char *data, size_t size,
                               struct sockaddr_storage *peer, socklen_t *peer_size)
{
    for (;;) {
        *peer_size = sizeof *peer;
        ssize_t n = recvfrom(fd, data, size, 0, (struct sockaddr *)peer, peer_size);
        if (n >= 0)
            return (size_t)n;
        switch (errno) {
        case EINTR:
        case ECONNREFUSED: /* what ICMP says of an answer sent before */
        case EHOSTUNREACH:
        case ENETUNREACH:
        case ENETDOWN:
            break;
        case EBADF:
        case EFAULT:
        case EINVAL:
        case ENOTCONN:
        case ENOTSOCK:
        case EOPNOTSUPP:
            die("recvfrom", "", strerror(errno));
        default: /* ENOBUFS, ENOMEM: a lack that passes */
            wait_out("recvfrom", errno);
        }
    }
}

/* Whether the datagram looks as if another udpS had sent it: 1 to 4 digits, no more. */
static bool is_answer(const char *data, size_t length)
{
    size_t digits = 0;
    while (digits < length && isdigit((unsigned char)data[digits]))
        digits++;
    return digits == length && digits >= 1 && digits <= 4;
}

/* Send the answer to `peer`. That it cannot be sent (a source port of 0, say) costs
   nothing but a line on stderr. */
static void send_answer(int fd, const char *answer, size_t length,
                        const struct sockaddr_storage *peer, socklen_t peer_size)
{
    while (sendto(fd, answer, length, 0, (const struct sockaddr *)peer, peer_size) < 0) {
        if (errno == EINTR)
            continue;
        int error = errno;
        char name[ADDRESS_SIZE];
        format_address((const struct sockaddr *)peer, peer_size, name);
        complain("sendto", name, error);
        return;
    }
}
