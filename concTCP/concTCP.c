/*
 * concTCP.c - a TCP server that gives each client a thread of its own
 *
 *   cc -pthread -o concTCP concTCP.c
 *   ./concTCP 1234          at the other end: tcpC localhost:1234, or nc localhost 1234
 *
 * Go call                      here            what it teaches
 * net.Listen("tcp4", ":PORT")  listen_on()     socket, bind, listen: three calls
 * l.Accept()                   next_client()   each client has a socket of its own
 * go handleConnection(c)       start_thread()  a thread, detached, with a small stack
 * bufio.NewReader(c)           struct reader   made once for each client
 *
 * Not as in the chapter: a client hears its own number; one that leaves costs nothing; a
 * lack of descriptors or threads makes clients wait, and ends nothing.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "concTCP", usage[] = "[-q] PORT";
static const char purpose[] =
    "Tells each TCP client its number at each line, many clients at once.";
static const char no_argument[] = "Please provide a port number!";
static const char *option[128];
enum { HOST_SIZE = 256, PORT_SIZE = 64, ADDRESS_SIZE = 80 };
enum { LINE_LIMIT = 65536, BUFFER_LIMIT = 2 * LINE_LIMIT };
enum { STACK_SIZE = 65536, BACKLOG = 4096 /* clients that may wait to be accepted */ };

struct reader {
    int fd;
    const char *name;  /* of the stream, for messages */
    char *buffer;      /* `first`, or larger and allocated once a line needed it */
    size_t size;       /* of buffer */
    size_t start, end; /* what has come and has not been taken: buffer[start..end) */
    char first[1024];
};

struct client {
    int fd;
    char name[ADDRESS_SIZE];
    char answer[40]; /* with its number, counted from 1 in the order of accept() */
};

static void complain(const char *what, const char *name, int error);
static void parse_arguments(int argc, char **argv, const char *letters, int min, int max);
static void guard_process(void);
static void stop_server(int signal_number);
static void catch_signals(void (*handler)(int));
static int listen_on(const char *address, int type);
static void start_thread(void *(*handler)(void *), void *argument);
static void open_reader(struct reader *r, int fd, const char *name);
static void close_reader(struct reader *r);
static ssize_t read_line(struct reader *r, char **line);
static bool line_waiting(const struct reader *r);
static int write_all(int fd, const char *data, size_t length);
static bool is_stop(const char *line, size_t length);
static void log_text(const char *label, const char *line, size_t length);
static struct client *next_client(int listener);

/* The thread of one client: answer each line until it leaves or says STOP. Answers to
   what came together leave in one write, once no further line is waiting. */
static void *handle_connection(void *argument)
{
    struct client *client = argument;
    struct reader lines;
    open_reader(&lines, client->fd, client->name);
    char answers[1024], *line;
    size_t used = 0, size = strlen(client->answer);
    ssize_t length;
    while ((length = read_line(&lines, &line)) > 0 && !is_stop(line, (size_t)length)) {
        if (!option['q'])
            log_text("", line, (size_t)length);
        memcpy(answers + used, client->answer, size);
        used += size;
        if (line_waiting(&lines) && used + size <= sizeof answers)
            continue;
        size_t ready = used;
        used = 0;
        if (write_all(client->fd, answers, ready) < 0) {
            complain("write", client->name, errno);
            break;
        }
    }
    if (length < 0)
        complain("read", client->name, errno);
    if (write_all(client->fd, answers, used) < 0)
        complain("write", client->name, errno);
    close_reader(&lines);
    free(client);
    return NULL;
}

int main(int argc, char **argv)
{
    parse_arguments(argc, argv, "hq", 1, 1);
    guard_process();
    catch_signals(stop_server);
    int listener = listen_on(argv[optind], SOCK_STREAM);
    for (unsigned long count = 1;; count++) {
        struct client *client = next_client(listener);
        snprintf(client->answer, sizeof client->answer, "Client number: %lu\n", count);
        start_thread(handle_connection, client);
    }
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

/* Have a read (SO_RCVTIMEO) or write (SO_SNDTIMEO) that waits for so long fail with
   EAGAIN. */
static void set_timeout(int fd, int which, int seconds)
{
    const struct timeval patience = {.tv_sec = seconds};
    setsockopt(fd, SOL_SOCKET, which, &patience, sizeof patience);
}

/* The options of an accepted connection. A peer that vanished is noticed by probes after
   15 s and every 15 s, as Go has it. One that stops reading is noticed by write_all(). An
   answer leaves at once: nothing will come that it could share a segment with. */
static void set_up_connection(int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#if defined TCP_KEEPIDLE && defined TCP_KEEPINTVL /* not in POSIX.1-2008 */
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
#endif
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_timeout(fd, SO_SNDTIMEO, 1);
}

/* Wait for the next client and return its socket, with its address in *peer of *size
   bytes (both may be NULL). What goes wrong with the client that was about to come costs
   that client alone; where the system is short of something, the client waits in the
   backlog until there is more of it. Dies of what can only be a fault of this program. */
static int accept_next(int listener, struct sockaddr *peer, socklen_t *size)
{
    for (;;) {
        int fd = accept(listener, peer, size);
        if (fd >= 0)
            return fd;
        switch (errno) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN: /* from here on: what Linux passes on of the new connection */
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENOPROTOOPT:
        case EOPNOTSUPP:
        case ETIMEDOUT:
            break;
        case EBADF:
        case EFAULT:
        case EINVAL:
        case ENOTSOCK:
            die("accept", "", strerror(errno));
        default: /* EMFILE, ENFILE, ENOBUFS, ENOMEM: a lack that passes */
            wait_out("accept", errno);
        }
    }
}

/* Wait for the next TCP client and return its socket, set up, with its address as text in
   name[ADDRESS_SIZE]. */
static int accept_client(int listener, char *name)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    int fd = accept_next(listener, (struct sockaddr *)&peer, &size);
    format_address((struct sockaddr *)&peer, size, name);
    set_up_connection(fd);
    return fd;
}

/* Run handler(argument) in a thread of its own. Without the means for one more thread the
   client waits until another one has left. */
static void start_thread(void *(*handler)(void *), void *argument)
{
    pthread_attr_t attributes;
    int error;
    while ((error = pthread_attr_init(&attributes)) != 0)
        wait_out("pthread_attr_init", error);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_t thread;
    while ((error = pthread_create(&thread, &attributes, handler, argument)) != 0)
        wait_out("pthread_create", error);
    pthread_attr_destroy(&attributes);
}

/* Make a reader of the stream `fd`, called `name` in messages. One reader for each
   stream, as long as the stream lives: it holds what came behind the line that was asked
   for. */
static void open_reader(struct reader *r, int fd, const char *name)
{
    r->fd = fd;
    r->name = name;
    r->buffer = r->first;
    r->size = sizeof r->first;
    r->start = r->end = 0;
}

/* Free what the reader allocated and close the stream. */
static void close_reader(struct reader *r)
{
    if (r->buffer != r->first)
        free(r->buffer);
    close(r->fd);
}

/* Make the buffer eight times as large, BUFFER_LIMIT at most: then a read has room for
   LINE_LIMIT bytes behind a line that is still to end. Returns 0, or -1 with errno ENOMEM
   and the buffer as it was. */
static int grow(struct reader *r)
{
    size_t size = r->size * 8 < BUFFER_LIMIT ? r->size * 8 : BUFFER_LIMIT;
    char *larger = malloc(size);
    if (larger == NULL)
        return -1;
    memcpy(larger, r->buffer, r->end);
    if (r->buffer != r->first)
        free(r->buffer);
    r->buffer = larger;
    r->size = size;
    return 0;
}

/* Read once, behind what has not been taken yet. A read that filled the buffer makes it
   grow before the next, so that who sends little costs little. Returns the number of
   bytes read, 0 at the end of input, -1 with errno on error: EOVERFLOW when more than
   LINE_LIMIT bytes are there and none has been taken. */
static ssize_t fill(struct reader *r)
{
    if (r->end == r->size && r->size < BUFFER_LIMIT && grow(r) < 0)
        return -1;
    if (r->start > 0)
        memmove(r->buffer, r->buffer + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
    if (r->end > LINE_LIMIT) {
        errno = EOVERFLOW;
        return -1;
    }
    ssize_t n;
    do
        n = read(r->fd, r->buffer + r->end, r->size - r->end);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        r->end += (size_t)n;
    return n;
}

/* Take the next line out of the stream, `\n` included; at the end of input an unfinished
   line counts as one. Returns its length with *line pointing at it until the next call;
   behind an unfinished line there is room for one byte more. Returns 0 at the end of
   input, and -1 with errno on error: EOVERFLOW for a line of more than LINE_LIMIT bytes.
   */
static ssize_t read_line(struct reader *r, char **line)
{
    size_t searched = 0;
    for (;;) {
        *line = r->buffer + r->start;
        size_t length = r->end - r->start;
        const char *newline = memchr(*line + searched, '\n', length - searched);
        if (newline != NULL && newline - *line <= LINE_LIMIT) {
            length = (size_t)(newline + 1 - *line);
            r->start += length;
            return (ssize_t)length;
        }
        searched = length;
        ssize_t n = fill(r); /* which refuses a line that is too long */
        if (n < 0)
            return -1;
        if (n == 0) {
            *line = r->buffer + r->start;
            r->start = r->end;
            return (ssize_t)length;
        }
    }
}

/* Whether a whole line has come already, so that read_line() would not wait. */
static bool line_waiting(const struct reader *r)
{
    return memchr(r->buffer + r->start, '\n', r->end - r->start) != NULL;
}

/* Whether to write again after an error: after EINTR, and after EAGAIN, which is a second
   in which the peer took nothing, as long as *stalls, which counts them, says less than
   30 s. */
static bool try_again(int *stalls)
{
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return false;
    errno = ETIMEDOUT;
    return ++*stalls < 29; /* and up to a second before the first */
}

/* Write all of data, however little the kernel takes at a time. Returns 0, or -1 with
   errno: EPIPE or ECONNRESET when the peer is gone, ETIMEDOUT when it has taken nothing
   for 30 s, on a socket that has an SO_SNDTIMEO of 1 s. */
static int write_all(int fd, const char *data, size_t length)
{
    int stalls = 0;
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && !try_again(&stalls))
            return -1;
        if (n < 0)
            continue;
        stalls = 0;
        data += n;
        length -= (size_t)n;
    }
    return 0;
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

/* Wait for the next client. Returns it, to be freed by the thread that serves it. */
static struct client *next_client(int listener)
{
    struct client *client;
    while ((client = malloc(sizeof *client)) == NULL)
        wait_out("malloc", errno);
    client->fd = accept_client(listener, client->name);
    return client;
}
