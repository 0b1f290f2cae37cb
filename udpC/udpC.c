/*
 * udpC.c - a UDP client: each line you type is a datagram
 *
 *   cc -o udpC udpC.c
 *   ./udpC localhost:1234            talks to udpS 1234, or to nc -u -l 1234
 *
 *   Go                               C
 *   net.ResolveUDPAddr("udp4", s)    getaddrinfo for one address family
 *   net.DialUDP("udp4", nil, s)      socket, and connect, which sends nothing: it only
 *                                    sets the address for send and recv
 *   c.Write(data)                    send: one datagram
 *   c.ReadFromUDP(buffer)            poll and recv: the reply may never come
 *
 * Unlike the chapter's version, it does not wait for ever, does not mistake a late reply
 * for the reply to the next line, and says what is wrong with an address.
 * Read main() first, at the bottom, then upwards; beside it, the man page udp(7).
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
static const char usage[] = "usage: udpC [-6] HOST:PORT\n";
enum { HOST_SIZE = 256, LINE_SIZE = 65536, TIMEOUT = 5000 /* ms */ };

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

static const char *server; /* its address, as typed */

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

/* Make a socket that sends to the server and receives from nobody else, and print the
   address that its name resolves to. */
static int dial_udp(int family)
{
    if (strchr(server, ':') == NULL)
        die(server, "missing port");
    char host[HOST_SIZE], port[8] = "?";
    const char *service = split_host_port(server, host);
    if (family == AF_INET && strchr(host, ':') != NULL)
        die(server, "not an IPv4 address (-6 is for IPv6)");
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *ai;
    int error = getaddrinfo(*host != '\0' ? host : NULL, service, &hints, &ai);
    if (error != 0)
        die(server, error == EAI_SERVICE ? "unknown port" : gai_strerror(error));
    int fd = socket(ai->ai_family, ai->ai_socktype, ai->ai_protocol);
    if (fd < 0 || connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
        die(server, strerror(errno));
    fcntl(fd, F_SETFL, O_NONBLOCK); /* poll() may announce a datagram that recv() drops,
                                       because its checksum is wrong */

    getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    printf(family == AF_INET6 ? "The UDP server is [%s]:%s\n"
                              : "The UDP server is %s:%s\n",
           host, port);
    freeaddrinfo(ai);
    return fd;
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

/* Receive a datagram and print it. An ICMP "port unreachable" arrives as an error of
   recv(): report it and carry on, the server may start later. */
static void receive(int fd, const char *prefix)
{
    static char data[65536];
    ssize_t n = recv(fd, data, sizeof data, 0);
    if (n >= 0)
        print_line(prefix, data, (size_t)n);
    else if (errno != EAGAIN && errno != EINTR)
        fprintf(stderr, "%s: %s: %s\n", program, server, strerror(errno));
}

/* Prompt for the user's next line; NULL at the end of input. Replies that have arrived by
   then are late ones. */
static char *prompt_user(struct linebuf *user, int fd, size_t *length)
{
    struct pollfd fds[] = {{user->fd, POLLIN, 0}, {fd, POLLIN, 0}};
    printf(">> ");
    for (;;) {
        char *line = next_line(user, length);
        for (int i = 0; i < 100 && poll(&fds[1], 1, 0) > 0; i++) { /* not for ever */
            putchar('\n');
            receive(fd, "Late reply: ");
            printf(">> ");
        }
        flush_stdout();
        if (line != NULL || user->eof)
            return line;
        poll(fds, 2, -1);
        if (fds[0].revents != 0)
            fill(user);
    }
}

/* Send the user's lines and wait for a reply to each. */
static void talk(int fd)
{
    static struct linebuf user = {.fd = STDIN_FILENO};
    char *line;
    size_t length;
    while ((line = prompt_user(&user, fd, &length)) != NULL) {
        if (line[length - 1] != '\n')
            die("stdin", "line too long");
        bool sent = send(fd, line, length, 0) >= 0;
        if (!sent)
            fprintf(stderr, "%s: %s: %s\n", program, server, strerror(errno));
        if (is_stop(line, length)) {
            printf("Exiting UDP client!\n");
            return;
        }
        if (!sent)
            continue;
        if (poll(&(struct pollfd){fd, POLLIN, 0}, 1, TIMEOUT) > 0)
            receive(fd, "Reply: ");
        else
            fprintf(stderr, "%s: no reply within %d s\n", program, TIMEOUT / 1000);
    }
    putchar('\n');
    if (user.error != 0)
        die("stdin", strerror(user.error));
}

int main(int argc, char **argv)
{
    int family = AF_INET, option;
    while ((option = getopt(argc, argv, "6h")) == '6')
        family = AF_INET6;
    if (option == 'h') {
        fputs(usage, stdout);
        return 0;
    }
    if (option != -1 || argc != optind + 1) {
        fprintf(stderr, "Please provide a host:port string\n%s", usage);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* so that writing to a closed pipe only fails */
    server = argv[optind];
    talk(dial_udp(family));
    flush_stdout();
    return 0;
}
