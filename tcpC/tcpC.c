/*
 * tcpC.c - a TCP client: sends your lines, prints the replies
 *
 *   cc -pthread -o tcpC tcpC.c
 *   ./tcpC localhost:1234        at the other end: tcpS 1234, or nc -l 1234
 *
 *   Go                               here
 *   net.Dial("tcp", "HOST:PORT")     dial(): getaddrinfo, then socket and connect for
 *                                    each address of the name until one answers
 *   bufio.NewReader(c)               struct reader, made once for each stream
 *   ReadString('\n')                 read_line(): read until a newline has come
 *   fmt.Fprintf(c, text+"\n")        write_all(): write until all is written
 *
 * Not as in the chapter: a line leaves with one newline; no line of a pipe and no reply
 * is lost or late by one; the end of stdin and the server's leaving are noticed.
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

static const char program[] = "tcpC";
static const char usage[] = "usage: tcpC HOST:PORT\n"
                            "Sends your lines to a TCP server and prints its replies.\n";
enum { HOST_SIZE = 256, LINE_LIMIT = 65536 };

struct reader {
    int fd;
    size_t start, end; /* what has come and is not taken yet: buffer[start..end) */
    char buffer[LINE_LIMIT];
};

static _Noreturn void die(const char *what, const char *why);
static void set_up(void);
static const char *split_hostport(const char *address, char *host);
static bool has_line(const struct reader *r);
static ssize_t fill(struct reader *r);
static ssize_t read_line(struct reader *r, char **line);
static int write_all(int fd, const char *data, size_t length);
static bool is_stop(const char *line, size_t length);
static void say(const char *text);
static int print(const char *label, const char *line, size_t length);

/* Connect to HOST:PORT: to the first of HOST's addresses, IPv6 or IPv4, that answers.
   Returns the socket. Dies if none does. */
static int dial(const char *address)
{
    if (strchr(address, ':') == NULL)
        die(address, "missing port");
    char host[HOST_SIZE];
    const char *port = split_hostport(address, host);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int error = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (error != 0)
        die(address, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));

    for (struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
            freeaddrinfo(list);
            return fd;
        }
        error = errno;
        if (fd >= 0)
            close(fd);
    }
    die(address, strerror(error));
}

/* Print the server's next line behind the label. Returns false if there is none: the
   server has left, in good order or not. Dies of any other error. */
static bool show_line(struct reader *server, const char *label)
{
    char *line;
    ssize_t length = read_line(server, &line);
    if (length < 0 && errno != ECONNRESET)
        die("server", strerror(errno));
    if (length > 0 && print(label, line, (size_t)length) < 0)
        die("stdout", strerror(errno));
    return length > 0;
}

/* Prompt, and read the user's next line, as read_line() does. What the server says
   meanwhile is shown at once, so that it is not taken for the answer to that line; that
   it has left ends the program. */
static ssize_t prompt(struct reader *user, struct reader *server, char **line)
{
    for (;;) {
        while (has_line(server))
            show_line(server, "->: ");
        say(">> ");
        bool gone = false;
        while (!gone) {
            bool typed = has_line(user);
            struct pollfd ready[] = {{user->fd, POLLIN, 0}, {server->fd, POLLIN, 0}};
            poll(ready, 2, typed ? 0 : -1);
            gone = ready[1].revents != 0 && fill(server) <= 0 && !typed;
            if (has_line(server))
                break;
            if (typed)
                return read_line(user, line);
            ssize_t n = ready[0].revents != 0 ? fill(user) : 1;
            if (n <= 0)
                return n;
        }
        say("\n");
        if (gone && !show_line(server, "->: "))
            die("server", "connection closed");
    }
}

/* The conversation: a line, then the answer to it, until the user ends it. Dies if the
   server does. */
static void talk(struct reader *user, struct reader *server)
{
    char *line;
    ssize_t length;
    while ((length = prompt(user, server, &line)) > 0) {
        if (write_all(server->fd, line, (size_t)length) < 0)
            die("server", errno == EPIPE || errno == ECONNRESET ? "connection closed"
                                                                : strerror(errno));
        if (is_stop(line, (size_t)length)) {
            shutdown(server->fd, SHUT_WR); /* no more from us; and from the server? */
            say("->: ");
            while (show_line(server, ""))
                ;
            say("TCP client exiting...");
            break;
        }
        if (!show_line(server, "->: "))
            die("server", "connection closed");
    }
    if (length < 0)
        die("stdin", strerror(errno));
    say("\n");
}

int main(int argc, char **argv)
{
    int option = getopt(argc, argv, "h");
    if (option != -1) {
        fputs(usage, option == 'h' ? stdout : stderr);
        return option == 'h' ? 0 : 2;
    }
    if (argc != optind + 1) {
        fprintf(stderr, "%s: Please provide host:port.\n%s", program, usage);
        return 2;
    }
    set_up();
    static struct reader user = {.fd = STDIN_FILENO}, server;
    server.fd = dial(argv[optind]);
    talk(&user, &server);
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

/* Print text as it is, and have it seen. Dies if it cannot be. */
static void say(const char *text)
{
    fputs(text, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("stdout", strerror(errno));
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
