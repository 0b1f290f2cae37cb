/*
 * udpC.c - a UDP client: one line, one datagram
 *
 *   cc -pthread -o udpC udpC.c
 *   ./udpC localhost:1234            at the other end: udpS 1234, or nc -u -l 1234
 *
 *   Go                               here
 *   net.ResolveUDPAddr("udp4", s)    dial_udp(): getaddrinfo for one family, socket,
 *   net.DialUDP("udp4", nil, s)      and connect, which only names the peer
 *   c.Write(data)                    send: a datagram goes whole or not at all
 *   c.ReadFromUDP(buffer)            poll and recv: a reply may never come
 *
 * Not as in the chapter: it waits 2 s and no longer; what comes before the next line is
 * sent is not taken for its reply; an error says what was wrong; stdin may end.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char program[] = "udpC";
static const char usage[] = "usage: udpC [-6] HOST:PORT\n"
                            "Sends each line as a UDP datagram and prints the reply.\n"
                            "-6: over IPv6\n";
enum { HOST_SIZE = 256, LINE_LIMIT = 65536, DATAGRAM_SIZE = 65536 };

struct reader {
    int fd;
    size_t start, end; /* what has come and is not taken yet: buffer[start..end) */
    char buffer[LINE_LIMIT];
};

static const char *server; /* its address, as it was typed */

static _Noreturn void die(const char *what, const char *why);
static void set_up(void);
static const char *split_hostport(const char *address, char *host);
static ssize_t fill(struct reader *r);
static ssize_t read_line(struct reader *r, char **line);
static bool is_stop(const char *line, size_t length);
static void say(const char *text);
static void show(FILE *to, const char *label, const char *line, size_t length);

/* Make a socket whose only peer is the server, at the one address that its name is
   resolved to in this family, and print that. Returns the socket. */
static int dial_udp(int family)
{
    if (strchr(server, ':') == NULL)
        die(server, "missing port");
    char host[HOST_SIZE], port[8] = "?";
    const char *service = split_hostport(server, host);
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *a;
    int error = getaddrinfo(*host ? host : NULL, service, &hints, &a);
    if (error != 0)
        die(server, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd < 0 || connect(fd, a->ai_addr, a->ai_addrlen) < 0)
        die(server, strerror(errno));

    getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    printf("The UDP server is ");
    printf(family == AF_INET6 ? "[%s]:%s\n" : "%s:%s\n", host, port);
    freeaddrinfo(a);
    return fd;
}

/* Wait so many milliseconds for a reply, and show it behind the label. Returns false if
   none came. Dies if there is none to come: nobody is at that port (ICMP). */
static bool show_reply(int fd, int milliseconds, FILE *to, const char *label)
{
    static char reply[DATAGRAM_SIZE];
    if (poll(&(struct pollfd){fd, POLLIN, 0}, 1, milliseconds) <= 0)
        return false;
    ssize_t length = recv(fd, reply, sizeof reply, 0);
    if (length < 0)
        die(server, strerror(errno));
    show(to, label, reply, (size_t)length);
    return true;
}

int main(int argc, char **argv)
{
    int family = AF_INET;
    for (int option; (option = getopt(argc, argv, "6h")) != -1;) {
        if (option != '6') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
        family = AF_INET6;
    }
    if (argc != optind + 1) {
        fprintf(stderr, "%s: Please provide a host:port string\n%s", program, usage);
        return 2;
    }
    set_up();
    server = argv[optind];
    int fd = dial_udp(family);

    static struct reader user = {.fd = STDIN_FILENO};
    for (;;) {
        struct pollfd ready[] = {{user.fd, POLLIN, 0}, {fd, POLLIN, 0}};
        say(">> ");
        while (user.start == user.end && ready[0].revents == 0) {
            poll(ready, 2, -1);
            show_reply(fd, 0, stderr, "udpC: late reply: ");
        }
        char *line;
        ssize_t length = read_line(&user, &line);
        if (length < 0)
            die("stdin", strerror(errno));
        while (show_reply(fd, 0, stderr, "udpC: late reply: "))
            ;
        if (length == 0)
            break;
        if (send(fd, line, (size_t)length, 0) < 0)
            die(server, strerror(errno));
        if (is_stop(line, (size_t)length)) {
            say("Exiting UDP client!");
            break;
        }
        if (!show_reply(fd, 2000, stdout, "Reply: "))
            fprintf(stderr, "%s: no reply in 2 s\n", program);
    }
    say("\n");
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

/* Whether the line is STOP, blanks around it aside. */
static bool is_stop(const char *line, size_t length)
{
    for (; length > 0 && isspace((unsigned char)line[0]); length--)
        line++;
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    return length == 4 && memcmp(line, "STOP", 4) == 0;
}

/* Print text as it is, and have it seen. Dies if it cannot be. */
static void say(const char *text)
{
    fputs(text, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("stdout", strerror(errno));
}

/* Print the line, without its end, behind its label, to stdout or stderr. Control
   characters come out as \xNN, those of UTF-8 (U+0080 to U+009F) too, so that nobody on
   the network drives the terminal. Dies if it cannot be printed. */
static void show(FILE *to, const char *label, const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n')
        length--;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    fputs(label, to);
    unsigned char before = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];
        bool control = c < ' ' || c == 0x7f || (before == 0xc2 && c >= 0x80 && c < 0xa0);
        fprintf(to, control && c != '\t' ? "\\x%02x" : "%c", c);
        before = c;
    }
    putc('\n', to);
    say("");
}
