/*
 * otherTCPserver.c - a TCP echo server on localhost, one client after another
 *
 *   cc -pthread -o otherTCPserver otherTCPserver.c
 *   ./otherTCPserver 1234            at the other end: otherTCPclient localhost:1234, or
 *                                    nc localhost 1234
 *
 *   Go                               here
 *   net.ResolveTCPAddr("tcp", s)     listen_tcp(): getaddrinfo, then
 *   net.ListenTCP("tcp", addr)       socket, bind, listen
 *   l.Accept()                       accept: each client has a socket of its own
 *   conn.Read(buffer)                read: as many bytes as have come
 *   conn.Write(buffer)               write: these bytes, not the whole buffer
 *
 * Not as in the chapter: the bytes that came go back and no others; STOP is seen however
 * TCP cuts it; when a client leaves the next one is served.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char program[] = "otherTCPserver";
static const char usage[] = "usage: otherTCPserver [-q] [HOST:]PORT\n"
                            "Sends back what it reads, one TCP client after another.\n"
                            "-q: does not print it\n";
enum { HOST_SIZE = 256, BACKLOG = 4096 };
enum { PIECE_SIZE = 65536, BUFFER_SIZE = 2 * PIECE_SIZE };

static bool quiet;

static _Noreturn void die(const char *what, const char *why);
static void set_up(void);
static void leave(int signal_number);
static void hold_on(const char *what, int error);
static const char *split_hostport(const char *address, char *host);
static ssize_t read_some(int fd, char *data, size_t size);
static int write_all(int fd, const char *data, size_t length);
static bool is_stop(const char *line, size_t length);
static int print(const char *label, const char *line, size_t length);

/* Make a socket that listens at one address: that of HOST, the IPv4 one as in Go, or of
   localhost if there is a PORT alone. :PORT is every address of this machine: IPv6, whose
   socket takes IPv4 too (RFC 3493, section 3.7), or IPv4 where there is no IPv6. */
static int listen_tcp(const char *address)
{
    char host[HOST_SIZE];
    const char *port = split_hostport(address, host);
    if (strchr(address, ':') == NULL)
        snprintf(host, sizeof host, "localhost");
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

/* Print the lines in buffer[0..length), up to STOP. What is left, a line that has not
   ended yet, moves to the front; a long one is printed piece by piece, and *inside says
   so. Returns how much is left, or -1 for STOP. */
static ssize_t take_lines(char *buffer, size_t length, bool *inside)
{
    char *line = buffer, *end = buffer + length, *newline;
    while ((newline = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        size_t size = (size_t)(newline + 1 - line);
        if (!*inside && is_stop(line, size))
            return -1;
        if (!quiet)
            print("> ", line, size);
        *inside = false;
        line = newline + 1;
    }
    if (end - line >= PIECE_SIZE) {
        if (!quiet)
            print("> ", line, (size_t)(end - line));
        *inside = true;
        line = end;
    }
    memmove(buffer, line, (size_t)(end - line));
    return end - line;
}

/* Send back what the client sends, until it leaves or says STOP. Returns whether it said
   that. */
static bool handle_connection(int fd)
{
    static char buffer[BUFFER_SIZE];
    bool inside = false;
    ssize_t n, left = 0;
    while (left >= 0 &&
           (n = read_some(fd, buffer + left, sizeof buffer - (size_t)left)) > 0) {
        if (write_all(fd, buffer + left, (size_t)n) < 0)
            break;
        left = take_lines(buffer, (size_t)(left + n), &inside);
    }
    if (left > 0) {
        buffer[left] = '\n'; /* the last line may lack it */
        left = take_lines(buffer, (size_t)left + 1, &inside);
    }
    close(fd);
    return left < 0;
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
    int listener = listen_tcp(argv[optind]);
    while (!handle_connection(accept_client(listener)))
        ;
    print("Exiting TCP server!", "", 0);
    return 0;
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

/* Read what has come, `size` bytes at most. Returns their number, 0 at the end, or -1
   with errno. */
static ssize_t read_some(int fd, char *data, size_t size)
{
    ssize_t n;
    while ((n = read(fd, data, size)) < 0 && errno == EINTR)
        ;
    return n;
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
