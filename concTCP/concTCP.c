/*
 * concTCP.c - a TCP server that serves many clients at once, a thread for each
 *
 *   cc -pthread -o concTCP concTCP.c
 *   ./concTCP 1234               at the other end: tcpC localhost:1234, or
 *                                nc localhost 1234, in several windows
 *
 *   Go                               here
 *   net.Listen("tcp4", ":PORT")      listen_on(): socket, bind, listen
 *   l.Accept()                       accept: each client has a socket of its own
 *   go handleConnection(c)           pthread_create: a thread, detached
 *   bufio.NewReader(c)               struct reader, made once for each client
 *
 * Not as in the chapter: a client hears its own number; all lines of a segment are
 * answered; one that leaves takes nothing with it; a lack of descriptors or threads makes
 * clients wait, and ends nothing.
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
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static const char program[] = "concTCP";
static const char usage[] = "usage: concTCP [-q] [HOST:]PORT\n"
                            "Tells each TCP client its number, at each of its lines.\n"
                            "-q: does not print the lines\n";
enum { HOST_SIZE = 256, BACKLOG = 4096, LINE_LIMIT = 4096, STACK_SIZE = 65536 };

struct reader {
    int fd;
    size_t start, end; /* what has come and is not taken yet: buffer[start..end) */
    char buffer[LINE_LIMIT];
};

struct client {
    int fd;
    unsigned long number; /* counted from 1 in the order of accept() */
};

static bool quiet;

static _Noreturn void die(const char *what, const char *why);
static void set_up(void);
static void leave(int signal_number);
static void hold_on(const char *what, int error);
static const char *split_hostport(const char *address, char *host);
static bool has_line(const struct reader *r);
static ssize_t fill(struct reader *r);
static ssize_t read_line(struct reader *r, char **line);
static int write_all(int fd, const char *data, size_t length);
static bool is_stop(const char *line, size_t length);
static int print(const char *label, const char *line, size_t length);

/* Make a socket that listens at [HOST:]PORT. A HOST that is a name is its IPv4 address
   first, as in Go. Without a HOST it is every address of this machine: IPv6, whose socket
   takes IPv4 too (RFC 3493, section 3.7), or IPv4 where there is no IPv6. */
static int listen_on(const char *address)
{
    char host[HOST_SIZE];
    const char *port = split_hostport(address, host);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *a = NULL;
    int fd = -1, gai = 0;
    for (int i = 0; i < 2 && fd < 0; i++) {
        if (a != NULL) /* there is no such family here */
            freeaddrinfo(a);
        hints.ai_family = (i == 0) == (*host == '\0') ? AF_INET6 : AF_INET;
        gai = getaddrinfo(*host ? host : NULL, port, &hints, &a);
        if (gai == 0)
            fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    }
    if (fd < 0)
        die(address, gai == 0 || gai == EAI_SYSTEM ? strerror(errno) : gai_strerror(gai));

    const int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* to restart at once */
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        die(address, errno == EACCES ? "Permission denied (ports below 1024 are for root)"
                                     : strerror(errno));
    freeaddrinfo(a);

    struct sockaddr_storage bound = {0}; /* port 0 has become a free one by now */
    socklen_t size = sizeof bound;
    char name[64] = "?", number[8] = "?";
    getsockname(fd, (struct sockaddr *)&bound, &size);
    getnameinfo((struct sockaddr *)&bound, size, name, sizeof name, number, sizeof number,
                NI_NUMERICHOST | NI_NUMERICSERV);
    const char *format =
        strchr(name, ':') ? "%s: listening on [%s]:%s\n" : "%s: listening on %s:%s\n";
    fprintf(stderr, format, program, name, number);
    return fd;
}

/* Wait for the next client; while there is no descriptor for one, say so each second. Its
   answers leave at once; if it vanishes, probes find out, one each 15 s as in Go. */
static int accept_client(int listener)
{
    int fd;
    while ((fd = accept(listener, NULL, NULL)) < 0)
        if (errno != ECONNABORTED) /* it left before it was accepted */
            hold_on("accept", errno);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#if defined TCP_KEEPIDLE && defined TCP_KEEPINTVL /* not in POSIX.1-2008 */
    const int seconds = 15;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
#endif
    return fd;
}

/* The thread of one client: answer each line until the client leaves or says STOP.
   Answers to lines that came together leave together. */
static void *handle_connection(void *argument)
{
    const struct client client = *(struct client *)argument;
    free(argument);
    struct reader in = {.fd = client.fd};
    char answer[40], answers[1024], *line;
    size_t size = (size_t)sprintf(answer, "Client number: %lu\n", client.number);
    size_t ready = 0; /* bytes of answers[] that wait to be sent */
    ssize_t length;
    while ((length = read_line(&in, &line)) > 0 && !is_stop(line, (size_t)length)) {
        if (!quiet)
            print("", line, (size_t)length);
        memcpy(answers + ready, answer, size);
        ready += size;
        if (has_line(&in) && ready + size <= sizeof answers)
            continue;
        if (write_all(in.fd, answers, ready) < 0)
            break;
        ready = 0;
    }
    if (length < 0)
        fprintf(stderr, "%s: client %lu: %s\n", program, client.number, strerror(errno));
    write_all(in.fd, answers, ready); /* those to the lines before STOP */

    /* Closed with bytes in it that nobody has read a connection is reset, and answers may
       get lost (RFC 2525, section 2.17): so let the client close first, 2 s a read. */
    const struct timeval patience = {.tv_sec = 2};
    setsockopt(in.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    shutdown(in.fd, SHUT_WR);
    in.start = in.end;
    for (int i = 0; i < 256 && fill(&in) > 0; i++)
        in.start = in.end; /* nobody takes these: 1 MiB at most */
    close(in.fd);
    return NULL;
}

int main(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "hq")) != -1;) {
        if (option != 'q') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
        quiet = true;
    }
    if (argc != optind + 1) {
        fprintf(stderr, "%s: Please provide a port number!\n%s", program, usage);
        return 2;
    }
    set_up();
    signal(SIGINT, leave);
    signal(SIGTERM, leave);
    int listener = listen_on(argv[optind]);

    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    for (unsigned long number = 1;; number++) {
        struct client *client;
        while ((client = malloc(sizeof *client)) == NULL)
            hold_on("malloc", errno);
        *client = (struct client){accept_client(listener), number};
        pthread_t thread;
        int error;
        while ((error = pthread_create(&thread, &attr, handle_connection, client)) != 0)
            hold_on("pthread_create", error);
    }
}

/* ---- Helpers: the same text in every program that has them ---- */

/* Print `NAME: what: why` on stderr and exit with 1. */
static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, why);
    exit(1);
}

/* Writing to a connection or pipe that is gone becomes an error, EPIPE, and no more. And
   0, 1 and 2 are taken, if they were closed: no socket may be mistaken for stdout.
   (Opened to be read only, so that printing to it is still an error.) */
static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDONLY);
    if (fd >= 0)
        close(fd);
}

/* The handler of SIGINT and SIGTERM: end the program, which closes its sockets. In a
   container, where it may be process 1, nothing else would. */
static void leave(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

/* The system is short of something (`error`, an errno value) that clients will give back
   when they leave: say so, and wait a second. */
static void hold_on(const char *what, int error)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, strerror(error));
    sleep(1);
}

/* Cut HOST:PORT, [HOST]:PORT or a bare PORT: HOST, which may be empty, goes to
   host[HOST_SIZE], cut where it is too long to be a name. Returns PORT. Dies if it is
   none of these, or a number that getaddrinfo() would take for another (65537 for 1). */
static const char *split_hostport(const char *address, char *host)
{
    const char *colon = strrchr(address, ':'), *start = address, *end = colon;
    const char *port = colon != NULL ? colon + 1 : address;
    if (address[0] == '[' && colon != NULL && colon[-1] == ']') {
        start++;
        end--;
    } else if (strchr(address, ':') != colon) {
        die(address, "not HOST:PORT or [HOST]:PORT");
    }
    char *number_end;
    long number = strtol(port, &number_end, 10);
    if (*number_end == '\0' && (*port == '\0' || number < 0 || number > 65535))
        die(address, "port is not 0 to 65535");
    snprintf(host, HOST_SIZE, "%.*s", colon != NULL ? (int)(end - start) : 0, start);
    return port;
}

/* Whether a whole line has come, so that read_line() need not wait. */
static bool has_line(const struct reader *r)
{
    return memchr(r->buffer + r->start, '\n', r->end - r->start) != NULL;
}

/* Read once, behind what has not been taken yet; at the end of input a last line that
   lacks its `\n` is given one. Returns the number of bytes, 0 at the end, or -1 with
   errno: EMSGSIZE if the buffer is full of one line. */
static ssize_t fill(struct reader *r)
{
    memmove(r->buffer, r->buffer + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
    if (r->end == sizeof r->buffer) {
        errno = EMSGSIZE;
        return -1;
    }
    ssize_t n;
    while ((n = read(r->fd, r->buffer + r->end, sizeof r->buffer - r->end)) < 0)
        if (errno != EINTR)
            return -1;
    if (n == 0 && r->end > 0) {
        r->buffer[r->end] = '\n';
        n = 1;
    }
    r->end += (size_t)n;
    return n;
}

/* Take the next line, `\n` included, out of the stream. *line points at it until the next
   fill(). Returns its length, 0 at the end of input, or -1 with errno: EMSGSIZE for a
   line of more than LINE_LIMIT bytes. */
static ssize_t read_line(struct reader *r, char **line)
{
    const char *newline;
    ssize_t n = 0;
    do {
        *line = r->buffer + r->start;
        newline = memchr(*line, '\n', r->end - r->start);
    } while (newline == NULL && (n = fill(r)) > 0);
    if (newline == NULL)
        return n;
    r->start = (size_t)(newline + 1 - r->buffer);
    return newline + 1 - *line;
}

/* Write all of data, however little the kernel takes at a time. Returns 0, or -1 with
   errno. */
static int write_all(int fd, const char *data, size_t length)
{
    for (ssize_t n; length > 0; data += n, length -= (size_t)n)
        while ((n = write(fd, data, length)) < 0)
            if (errno != EINTR)
                return -1;
    return 0;
}

/* Whether the line is STOP, blanks around it aside. */
static bool is_stop(const char *line, size_t length)
{
    for (; length > 0 && isspace((unsigned char)line[0]); length--)
        line++;
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    return length == 4 && memcmp(line, "STOP", 4) == 0;
}

/* Print the line, without its end, behind its label. Control characters come out as \xNN,
   those of UTF-8 (U+0080 to U+009F) too, so that nobody on the network drives the
   terminal. Returns 0, or -1 with errno. */
static int print(const char *label, const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n')
        length--;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    flockfile(stdout);
    fputs(label, stdout);
    unsigned char before = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];
        bool control = c < ' ' || c == 0x7f || (before == 0xc2 && c >= 0x80 && c < 0xa0);
        if (control && c != '\t')
            printf("\\x%02x", c);
        else
            putchar(c);
        before = c;
    }
    putchar('\n');
    int result = fflush(stdout) != 0 || ferror(stdout) ? -1 : 0;
    funlockfile(stdout);
    return result;
}
