/*
 * concTCP.c - a TCP server that serves many clients at once, each in its own thread
 *
 *   cc -pthread -o concTCP concTCP.c
 *   ./concTCP 1234                   try it from several windows with
 *                                    tcpC localhost:1234, or nc localhost 1234
 *
 *   Go                               C
 *   net.Listen("tcp4", ":PORT")      listen_on(): getaddrinfo, socket, bind, listen
 *   l.Accept()                       accept: a new socket for each client
 *   go handleConnection(c)           pthread_create: a detached thread
 *   bufio.NewReader(c)               struct linebuf, one for each client
 *   c.Write([]byte(counter))         fputs to the FILE that fdopen() made of the socket
 *
 * Unlike the chapter's version, it accepts IPv6, too (localhost may be either), each
 * client is told its own number, lines that arrive in one segment are all answered, a
 * client that disconnects leaves nothing open, and running out of descriptors or threads
 * only makes new clients wait. Read main() first, at the bottom, then upwards.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "concTCP";
static const char usage[] = "usage: concTCP [-q] [HOST:]PORT\n";
enum { HOST_SIZE = 256, LINE_SIZE = 4096, STACK_SIZE = 128 * 1024 };

struct client {
    FILE *out;            /* its socket */
    unsigned long number; /* 1 for the first client */
};

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

static bool quiet; /* -q: do not print what clients send */

/* Print "PROGRAM: WHAT: WHY" and exit with status 1. */
static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, why);
    exit(1);
}

/* Report that the system is out of descriptors, memory or threads (error is an errno
   value), and wait a second: a client may disconnect and free some. */
static void wait_for_resources(const char *call, int error)
{
    fprintf(stderr, "%s: %s: %s\n", program, call, strerror(error));
    sleep(1);
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

/* Make a socket of one address family, and look up the address to bind it to, its port in
   network byte order (so no htons() here). Returns -1 if this machine or HOST has no such
   address, and why: of two attempts, the one that got further decides. */
static int make_socket(int family, const char *host, const char *port,
                       struct addrinfo **ai, const char **why)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE, .ai_family = family, .ai_socktype = SOCK_STREAM};
    int error = getaddrinfo(*host != '\0' ? host : NULL, port, &hints, ai);
    if (error != 0) {
        if (*why == NULL)
            *why = error == EAI_SERVICE ? "unknown port" : gai_strerror(error);
        return -1;
    }
    int fd = socket((*ai)->ai_family, (*ai)->ai_socktype, (*ai)->ai_protocol);
    if (fd < 0) {
        *why = strerror(errno);
        freeaddrinfo(*ai);
    }
    return fd;
}

/* Print the address that the server listens on. For port 0, the kernel has chosen one. */
static void print_address(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[64] = "?", port[8] = "?";
    getsockname(fd, (struct sockaddr *)&address, &size);
    getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    bool ipv6 = strchr(host, ':') != NULL;
    fprintf(stderr, "%s: listening on %s%s%s:%s\n", program, ipv6 ? "[" : "", host,
            ipv6 ? "]" : "", port);
}

/* Listen on [HOST:]PORT. Without a HOST that means every address of this machine: an IPv6
   socket accepts IPv4 clients, too (RFC 3493, section 3.7). A HOST that has addresses of
   both families means the IPv4 one, as in Go. */
static int listen_on(const char *address)
{
    char host[HOST_SIZE];
    const char *port = split_host_port(address, host), *why = NULL;
    bool no_host = *host == '\0';
    struct addrinfo *ai;
    int fd = make_socket(no_host ? AF_INET6 : AF_INET, host, port, &ai, &why);
    if (fd < 0)
        fd = make_socket(no_host ? AF_INET : AF_INET6, host, port, &ai, &why);
    if (fd < 0)
        die(address, why);

    const int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* restart without delay */
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, SOMAXCONN) < 0)
        die(address, errno == EACCES && strtoul(port, NULL, 10) < 1024
                         ? "Permission denied (ports below 1024 are for root)"
                         : strerror(errno));
    freeaddrinfo(ai);
    print_address(fd);
    return fd;
}

/* Wait for the next client. */
static int next_client(int listener)
{
    int fd;
    while ((fd = accept(listener, NULL, NULL)) < 0)
        if (errno != ECONNABORTED) /* a client that is gone already */
            wait_for_resources("accept", errno);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* do not delay replies */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on); /* detect dead clients */
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

/* Close a connection so that the peer receives everything: close() with unread input
   would reset it, and what is on its way could be lost (RFC 2525, section 2.17). So end
   our direction first, and discard input until the peer closes, too, or for about 2 s. */
static void lingering_close(FILE *stream)
{
    struct pollfd in = {fileno(stream), POLLIN, 0};
    char discarded[1024];
    const time_t start = time(NULL);
    fflush(stream);
    shutdown(in.fd, SHUT_WR); /* sends FIN; we can still read */
    while (time(NULL) - start <= 2 && poll(&in, 1, 2000) > 0 &&
           read(in.fd, discarded, sizeof discarded) != 0)
        ; /* an error is followed by the end of the stream, except EINTR */
    fclose(stream);
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
    flockfile(stdout); /* or other threads could print in between */
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
    fflush(stdout);
    funlockfile(stdout);
}

/* The thread of one client: answer each line until the client disconnects or says STOP.
   read() blocks a whole thread, with its stack, where Go parks a goroutine. */
static void *handle_connection(void *argument)
{
    const struct client client = *(struct client *)argument;
    free(argument);
    struct linebuf in = {.fd = fileno(client.out)};
    char reply[40];
    snprintf(reply, sizeof reply, "Client number: %lu\n", client.number);
    bool stop = false;
    while (!stop && fill(&in)) {
        char *line;
        size_t length;
        while ((line = next_line(&in, &length)) != NULL) {
            stop = is_stop(line, length);
            if (stop)
                break;
            if (!quiet)
                print_line("", line, length);
            fputs(reply, client.out);
        }
        if (fflush(client.out) != 0) /* one write for all lines that arrived together */
            break;
    }
    lingering_close(client.out);
    return NULL;
}

/* Serve each client in a thread of its own, for ever. */
static _Noreturn void serve(int listener)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_attr_setstacksize(&attributes, STACK_SIZE); /* not megabytes */
    if (error != 0)
        die("pthread_attr_setstacksize", strerror(error));
    for (unsigned long number = 1;; number++) {
        int fd = next_client(listener);
        FILE *out;
        while ((out = fdopen(fd, "w")) == NULL)
            wait_for_resources("fdopen", errno);
        struct client *client;
        while ((client = malloc(sizeof *client)) == NULL)
            wait_for_resources("malloc", errno);
        *client = (struct client){out, number}; /* the thread frees it; a local variable
                                                   would change with the next accept() */
        pthread_t thread;
        while ((error = pthread_create(&thread, &attributes, handle_connection, client)))
            wait_for_resources("pthread_create", error);
    }
}

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "hq")) == 'q')
        quiet = true;
    if (option == 'h') {
        fputs(usage, stdout);
        return 0;
    }
    if (option != -1 || argc != optind + 1) {
        fprintf(stderr, "Please provide a port number!\n%s", usage);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* so that writing to a client that has gone only fails */
    serve(listen_on(argv[optind]));
}
