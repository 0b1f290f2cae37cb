/*
 * otherTCPclient.c - the TCP client again, step by step from name to connection
 *
 *   cc -pthread -o otherTCPclient otherTCPclient.c
 *   ./otherTCPclient localhost:1234    at the other end: otherTCPserver 1234, nc -l 1234
 *   ./otherTCPclient localhost:1234 127.0.0.1:4321           calls from port 4321
 *
 * Go call                            here           what it teaches
 * net.ResolveTCPAddr("tcp4", s)      resolve()      getaddrinfo for one family
 * net.DialTCP("tcp4", laddr, raddr)  dial_tcp()     socket, bind where asked, connect
 * bufio.NewReader(c)                 struct reader  made once: it keeps what came early
 * ReadString('\n')                   read_line()    TCP has bytes; lines are our doing
 *
 * Not as in the chapter: one newline a line; all lines of a pipe are sent; no reply is
 * lost or late by one; the end of stdin and the server's leaving are noticed; -6 is for
 * IPv6.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char program[] = "otherTCPclient", usage[] = "[-6] HOST:PORT [LOCAL]";
static const char purpose[] =
    "Sends the lines you type to one IPv4 (-6: IPv6) address and prints its replies.";
static const char no_argument[] = "Please provide a server:port string!";
static const char *option[128];
enum { HOST_SIZE = 256, PORT_SIZE = 64, ADDRESS_SIZE = 80 };
enum { LINE_LIMIT = 65536, BUFFER_LIMIT = 2 * LINE_LIMIT };

struct reader {
    int fd;
    const char *name;  /* of the stream, for messages */
    char *buffer;      /* `first`, or larger and allocated once a line needed it */
    size_t size;       /* of buffer */
    size_t start, end; /* what has come and has not been taken: buffer[start..end) */
    char first[1024];
};

static _Noreturn void die(const char *what, const char *address, const char *why);
static void parse_arguments(int argc, char **argv, const char *letters, int min, int max);
static void guard_process(void);
static struct addrinfo *resolve(const char *step, const char *address,
                                const struct addrinfo *hints);
static void format_address(const struct sockaddr *address, socklen_t size, char *text);
static void set_option(int fd, int level, int name, int value);
static int connect_socket(int fd, const struct sockaddr *address, socklen_t size);
static void open_reader(struct reader *r, int fd, const char *name);
static bool is_stop(const char *line, size_t length);
static void print(const char *text);
static size_t send_line(const struct reader *server, char *line, size_t length);
static void show_reply(struct reader *server);
static void show_rest(struct reader *server);
static size_t ask(struct reader *user, struct reader *server, char **line);

/* Connect to the one address `remote`, from the address `local` unless it is NULL.
   Returns the socket; name[ADDRESS_SIZE] is then the numeric address. Dies on error. */
static int dial_tcp(const struct addrinfo *local, const struct addrinfo *remote,
                    char *name)
{
    int fd = socket(remote->ai_family, SOCK_STREAM, 0);
    if (fd < 0)
        die("DialTCP", "", strerror(errno));
    if (local != NULL && bind(fd, local->ai_addr, local->ai_addrlen) < 0) {
        int error = errno;
        format_address(local->ai_addr, local->ai_addrlen, name);
        die("DialTCP", name, strerror(error));
    }
    format_address(remote->ai_addr, remote->ai_addrlen, name);
    if (connect_socket(fd, remote->ai_addr, remote->ai_addrlen) < 0)
        die("DialTCP", name, strerror(errno));
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

int main(int argc, char **argv)
{
    parse_arguments(argc, argv, "h6", 1, 2);
    guard_process();
    struct addrinfo hints = {.ai_family = option['6'] ? AF_INET6 : AF_INET,
                             .ai_socktype = SOCK_STREAM};
    static struct addrinfo *remote, *local;
    remote = resolve("ResolveTCPAddr", argv[optind], &hints);
    hints.ai_flags = AI_PASSIVE; /* LOCAL without a host: any address of this machine */
    if (argc - optind == 2)
        local = resolve("ResolveTCPAddr", argv[optind + 1], &hints);

    static struct reader user, server;
    static char address[ADDRESS_SIZE], *line;
    open_reader(&server, dial_tcp(local, remote, address), address);
    open_reader(&user, STDIN_FILENO, "stdin");
    freeaddrinfo(remote);
    if (local != NULL)
        freeaddrinfo(local);

    for (size_t length; (length = ask(&user, &server, &line)) > 0;) {
        send_line(&server, line, length);
        if (is_stop(line, length)) {
            shutdown(server.fd, SHUT_WR);
            show_rest(&server);
            print("TCP client exiting...\n");
            return 0;
        }
        show_reply(&server);
    }
    print("\n");
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

/* connect(), whole: interrupted by a signal it goes on by itself (POSIX), and calling it
   again would be an error; what is left to do is to wait for its outcome. Returns 0, or
   -1 with errno. */
static int connect_socket(int fd, const struct sockaddr *address, socklen_t size)
{
    if (connect(fd, address, size) == 0)
        return 0;
    if (errno != EINTR)
        return -1;
    struct pollfd connected = {.fd = fd, .events = POLLOUT};
    while (poll(&connected, 1, -1) < 0)
        if (errno != EINTR)
            return -1;
    int error = 0;
    socklen_t error_size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) < 0)
        return -1;
    errno = error;
    return error == 0 ? 0 : -1;
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

/* Give the line its `\n` if it has none; there is room for it. Returns its length. */
static size_t end_line(char *line, size_t length)
{
    if (line[length - 1] != '\n')
        line[length++] = '\n';
    return length;
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

/* Print the text on stdout as it is, flushed. Dies where stdout is gone or full. */
static void print(const char *text)
{
    fputs(text, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("write", "stdout", strerror(errno));
}

/* Print the line, without its end, behind its label. Dies where stdout is gone or full.
   */
static void show(const char *label, const char *line, size_t length)
{
    if (print_text(stdout, label, line, without_end(line, length)) != 0)
        die("write", "stdout", strerror(errno));
}

/* Die of what happened to the connection when it was to be read or written (`what`): its
   end (error 0), or an error (an errno value). */
static _Noreturn void die_of_loss(const char *what, const struct reader *server,
                                  int error)
{
    if (error == 0 || error == EPIPE || error == ECONNRESET)
        die(server->name, "", "connection closed by server");
    die(what, server->name, reason(error));
}

/* Send the line, with a `\n` at its end, and return its length with it. Dies when the
   server is gone. */
static size_t send_line(const struct reader *server, char *line, size_t length)
{
    size_t size = end_line(line, length);
    if (write_all(server->fd, line, size) < 0)
        die_of_loss("write", server, errno);
    return size;
}

/* Wait for one line from the server and print it. Dies when the server is gone. */
static void show_reply(struct reader *server)
{
    char *line;
    ssize_t length = read_line(server, &line);
    if (length <= 0)
        die_of_loss("read", server, length == 0 ? 0 : errno);
    show("->: ", line, (size_t)length);
}

/* Print what the server says up to its close; a reset is a close too. */
static void show_rest(struct reader *server)
{
    print("->: ");
    char *line;
    ssize_t length;
    while ((length = read_line(server, &line)) > 0)
        show("", line, (size_t)length);
    if (length < 0 && errno != ECONNRESET)
        die_of_loss("read", server, errno);
}

/* Prompt, and take the user's next line. What the server has said unasked is printed
   before the prompt, so that no answer is taken for that to a later line; what it says
   while the user thinks ends the prompt's line. Returns the length of *line, 0 at the end
   of input. Dies when the server leaves. */
static size_t ask(struct reader *user, struct reader *server, char **line)
{
    struct pollfd ready[] = {{.fd = user->fd, .events = POLLIN},
                             {.fd = server->fd, .events = POLLIN}};
    for (bool prompted = false, typed = false; !typed;) {
        bool look_only = !prompted || line_waiting(user);
        if (poll(ready, 2, look_only ? 0 : -1) < 0) {
            if (errno != EINTR)
                die("poll", "", strerror(errno));
            continue;
        }
        typed = prompted && (line_waiting(user) || ready[0].revents != 0);
        if (ready[1].revents != 0) {
            ssize_t n = fill(server);
            if (n <= 0 && prompted && !typed)
                die_of_loss("read", server, n == 0 ? 0 : errno);
        }
        while (line_waiting(server)) {
            if (prompted)
                print("\n");
            prompted = typed = false;
            show_reply(server);
        }
        if (!prompted)
            print(">> ");
        prompted = true;
    }
    ssize_t length = read_line(user, line);
    if (length < 0)
        die("read", user->name, reason(errno));
    return (size_t)length;
}
