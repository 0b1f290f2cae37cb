/*
 * tcpC.c - a TCP client: sends the lines you type, prints the replies
 *
 *   cc -o tcpC tcpC.c
 *   ./tcpC localhost:1234            talks to tcpS 1234, or to nc -l 1234
 *
 *   Go                               C
 *   net.Dial("tcp", "HOST:PORT")     dial(): getaddrinfo, then socket and connect for
 *                                    each address until one of them answers
 *   bufio.NewReader(c)               struct linebuf, one for each stream
 *   reader.ReadString('\n')          next_line(), and fill() when it needs more input
 *   fmt.Fprintf(c, text+"\n")        send_all(): write until everything is written
 *
 * Unlike the chapter's version, it sends one newline per line, never drops piped input,
 * prints everything the server sends, and notices when the server closes the connection.
 * Read main() first, at the bottom, then upwards.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char program[] = "tcpC", reply_prefix[] = "->: ";
static const char usage[] = "usage: tcpC HOST:PORT\n";
enum { HOST_SIZE = 256, LINE_SIZE = 65536 };

/* A stream of lines: data[start..end) has been read but not yet consumed. TCP is a stream
   of bytes: one read() may return half a line, or three. (Not a FILE: stdio would hide
   lines that it has buffered from poll().) */
struct linebuf {
    int fd;
    bool eof;
    int error; /* 0, or why read() failed; ECONNRESET counts as the end of the stream */
    size_t start, end;
    char data[LINE_SIZE];
};

/* Print "PROGRAM: WHAT: WHY" and exit with status 1. */
static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, why);
    exit(1);
}

/* Split [HOST]:PORT, HOST:PORT or PORT. Copies HOST, which may be empty, to host and
   returns PORT. */
static const char *split_host_port(const char *address, char host[HOST_SIZE])
{
    const char *colon = strrchr(address, ':');
    const char *port = colon != NULL ? colon + 1 : address;
    if (*port == '\0')
        die(address, "missing port");
    if (strtoul(port, NULL, 10) > 65535) /* getaddrinfo would wrap it around */
        die(address, "invalid port");
    size_t length = colon != NULL ? (size_t)(colon - address) : 0;
    if (length > 1 && address[0] == '[' && address[length - 1] == ']') {
        address++;
        length -= 2;
    }
    if (length >= HOST_SIZE)
        die(address, "host name too long");
    memcpy(host, address, length);
    host[length] = '\0';
    return port;
}

/* Connect to HOST:PORT, trying the IPv6 and IPv4 addresses of HOST one after another. */
static int dial(const char *address)
{
    if (strchr(address, ':') == NULL)
        die(address, "missing port");
    char host[HOST_SIZE];
    const char *port = split_host_port(address, host);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *res;
    int error = getaddrinfo(*host != '\0' ? host : NULL, port, &hints, &res);
    if (error != 0)
        die(address, error == EAI_SERVICE ? "unknown port" : gai_strerror(error));

    int first_error = 0; /* of the preferred address */
    for (struct addrinfo *ai = res; ai != NULL; ai = ai->ai_next) {
        int fd = socket(ai->ai_family, ai->ai_socktype, ai->ai_protocol);
        if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) == 0) {
            freeaddrinfo(res);
            return fd;
        }
        if (first_error == 0)
            first_error = errno;
        if (fd >= 0)
            close(fd);
    }
    die(address, strerror(first_error));
}

/* Read once, waiting if necessary; call it only when next_line() has returned NULL. At
   the end of the stream, and after an error, sets eof and terminates a last line that has
   no newline. Returns false if there is nothing left to consume. */
static bool fill(struct linebuf *in)
{
    memmove(in->data, in->data + in->start, in->end - in->start);
    in->end -= in->start;
    in->start = 0;
    ssize_t n = read(in->fd, in->data + in->end, LINE_SIZE - in->end);
    if (n > 0) {
        in->end += (size_t)n;
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        in->error = n < 0 && errno != ECONNRESET ? errno : 0;
        in->eof = true;
        if (in->end > 0)
            in->data[in->end++] = '\n';
    }
    return !in->eof || in->end > 0;
}

/* The next line that has been read, newline included, or NULL if there is none yet. It is
   valid until the next fill(). A line longer than the buffer is returned in pieces. */
static char *next_line(struct linebuf *in, size_t *length)
{
    char *line = in->data + in->start;
    size_t available = in->end - in->start;
    const char *newline = memchr(line, '\n', available);
    if (newline == NULL && available < LINE_SIZE)
        return NULL;
    *length = newline != NULL ? (size_t)(newline + 1 - line) : available;
    in->start += *length;
    return line;
}

/* Write all of data; write() may accept only part of it. Returns false, with errno set,
   if the peer is gone. */
static bool send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        length -= (size_t)n;
    }
    return true;
}

/* Is the line STOP, ignoring white space around it? */
static bool is_stop(const char *line, size_t length)
{
    while (length > 0 && isspace((unsigned char)line[0])) {
        line++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    return length == 4 && memcmp(line, "STOP", 4) == 0;
}

/* Does byte i of text belong to a control character? Those of the C1 set (U+0080 to
   U+009F) are two bytes long in UTF-8: 0xc2, then 0x80 to 0x9f. */
static bool is_control(const char *text, size_t length, size_t i)
{
    const unsigned char *p = (const unsigned char *)text + i;
    if (*p >= ' ' && *p < 0x7f) /* the usual case first, for speed */
        return false;
    return (*p < 0x80 && *p != '\t') ||
           (*p == 0xc2 && i + 1 < length && (p[1] & 0xe0) == 0x80) ||
           ((*p & 0xe0) == 0x80 && i > 0 && p[-1] == 0xc2);
}

/* Print a line that came from the network. Control characters are escaped as \xNN: the
   peer must not control the terminal. */
static void print_line(const char *prefix, const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n') {
        length--;
        if (length > 0 && line[length - 1] == '\r')
            length--;
    }
    fputs(prefix, stdout);
    size_t start = 0; /* of the bytes not yet printed */
    for (size_t i = 0; i < length; i++)
        if (is_control(line, length, i)) {
            fwrite(line + start, 1, i - start, stdout);
            printf("\\x%02x", (unsigned char)line[i]);
            start = i + 1;
        }
    fwrite(line + start, 1, length - start, stdout);
    putchar('\n');
}

static void flush_stdout(void)
{
    if (fflush(stdout) != 0)
        die("stdout", strerror(errno));
    if (ferror(stdout)) /* printf() has failed before, with an errno of its own */
        die("stdout", "write failed");
}

/* Prompt for the user's next line; NULL at the end of input. Meanwhile, print whatever
   the server sends, so that it is not mistaken for the reply to that line. */
static char *prompt(struct linebuf *user, struct linebuf *server, size_t *length)
{
    printf(">> ");
    for (;;) {
        char *line;
        while ((line = next_line(server, length)) != NULL) {
            putchar('\n');
            print_line(reply_prefix, line, *length);
            printf(">> ");
        }
        flush_stdout();
        if ((line = next_line(user, length)) != NULL || user->eof)
            return line;
        if (server->eof) {
            putchar('\n');
            die("server", server->error ? strerror(server->error) : "connection closed");
        }
        struct pollfd fds[] = {{user->fd, POLLIN, 0}, {server->fd, POLLIN, 0}};
        poll(fds, 2, -1); /* revents may be POLLHUP or POLLERR, too: read() tells */
        if (fds[0].revents != 0)
            fill(user);
        if (fds[1].revents != 0)
            fill(server);
    }
}

/* Wait for the server's next line, the reply, and print it. */
static void print_reply(struct linebuf *server)
{
    char *line;
    size_t length;
    while ((line = next_line(server, &length)) == NULL)
        if (!fill(server))
            die("server", server->error ? strerror(server->error) : "connection closed");
    print_line(reply_prefix, line, length);
}

/* Half-close: send FIN, but go on reading, which close() would end. Print what the server
   still sends, until it closes, too, or is silent for 2 s. */
static void finish_reading(struct linebuf *server, const char *prefix)
{
    shutdown(server->fd, SHUT_WR);
    do {
        char *line;
        size_t length;
        while ((line = next_line(server, &length)) != NULL)
            print_line(prefix, line, length);
        flush_stdout();
    } while (poll(&(struct pollfd){server->fd, POLLIN, 0}, 1, 2000) > 0 && fill(server));
    if (server->start < server->end) /* a line that the server has not finished */
        print_line(prefix, server->data + server->start, server->end - server->start);
}

/* Send the user's lines one by one, each after the reply to the one before. */
static void talk(int fd)
{
    static struct linebuf user = {.fd = STDIN_FILENO}, server;
    char *line;
    size_t length;
    server.fd = fd;
    while ((line = prompt(&user, &server, &length)) != NULL) {
        if (line[length - 1] != '\n')
            die("stdin", "line too long");
        if (!send_all(fd, line, length))
            die("server", "connection closed");
        if (is_stop(line, length)) {
            fputs(reply_prefix, stdout);
            finish_reading(&server, "");
            printf("TCP client exiting...\n");
            return;
        }
        print_reply(&server);
    }
    putchar('\n');
    if (user.error != 0)
        die("stdin", strerror(user.error));
    finish_reading(&server, reply_prefix);
}

int main(int argc, char **argv)
{
    int option = getopt(argc, argv, "h");
    if (option == 'h') {
        fputs(usage, stdout);
        return 0;
    }
    if (option != -1 || argc != optind + 1) {
        fprintf(stderr, "Please provide host:port.\n%s", usage);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* so that writing to a closed connection only fails */
    talk(dial(argv[optind]));
    flush_stdout();
    return 0;
}
