/*
 * otherTCPclient.c - the TCP client again, step by step from name to connection
 *
 *   cc -pthread -o otherTCPclient otherTCPclient.c
 *   ./otherTCPclient localhost:1234    at the other end: otherTCPserver 1234, or
 *                                      nc -l 1234
 *
 *   Go                                 here
 *   net.ResolveTCPAddr("tcp4", s)      resolve(): getaddrinfo for one family
 *   net.DialTCP("tcp4", laddr, raddr)  dial_tcp(): socket, bind if there is a local
 *                                      address, connect
 *   bufio.NewReader(c)                 struct reader, made once for each stream
 *   ReadString('\n')                   read_line(): read until a newline has come
 *
 * Not as in the chapter: a line leaves with one newline; no line of a pipe and no reply
 * is lost or late by one; the end of stdin and the server's leaving are noticed; -6 is
 * for IPv6.
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

static const char program[] = "otherTCPclient";
static const char usage[] =
    "usage: otherTCPclient [-6] HOST:PORT [LOCAL]\n"
    "Sends your lines to a TCP server and prints its replies.\n"
    "-6: over IPv6; LOCAL: the HOST:PORT to call from (port 0: any)\n";
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

/* Look up HOST:PORT: one address of this family (for AF_INET a struct sockaddr_in, in
   ai_addr), for freeaddrinfo(). Dies if there is none. */
static struct addrinfo *resolve(const char *address, int family, int flags)
{
    if (strchr(address, ':') == NULL)
        die(address, "missing port");
    char host[HOST_SIZE];
    const char *port = split_hostport(address, host);
    const struct addrinfo hints = {
        .ai_flags = flags, .ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    int error = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (error != 0)
        die(address, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    return list;
}

/* Connect to the one address that HOST:PORT is resolved to, from LOCAL if it is not NULL.
   Returns the socket. Dies if it cannot be done. */
static int dial_tcp(const char *local, const char *address, int family)
{
    struct addrinfo *server = resolve(address, family, 0);
    int fd = socket(server->ai_family, server->ai_socktype, server->ai_protocol);
    if (fd < 0)
        die(address, strerror(errno));
    if (local != NULL) { /* else connect() chooses the address and the port */
        struct addrinfo *own = resolve(local, family, AI_PASSIVE); /* :PORT is any */
        if (bind(fd, own->ai_addr, own->ai_addrlen) < 0)
            die(local, strerror(errno));
        freeaddrinfo(own);
    }
    if (connect(fd, server->ai_addr, server->ai_addrlen) < 0)
        die(address, strerror(errno));
    freeaddrinfo(server);
    return fd;
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
    int family = AF_INET;
    for (int option; (option = getopt(argc, argv, "6h")) != -1;) {
        if (option != '6') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
        family = AF_INET6;
    }
    if (argc < optind + 1 || argc > optind + 2) {
        fprintf(stderr, "%s: Please provide a server:port string!\n%s", program, usage);
        return 2;
    }
    set_up();
    static struct reader user = {.fd = STDIN_FILENO}, server;
    server.fd = dial_tcp(argv[optind + 1], argv[optind], family);
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
