/*
 * wsClient.c - a WebSocket client that sends lines and prints what comes
 *
 *   cc -pthread -o wsClient wsClient.c
 *   ./wsClient localhost:1234 /ws      at the other end: wsServer
 *   ./wsClient ws://localhost:1234/ws
 *
 * Go call                         here             what it teaches
 * websocket.DefaultDialer.Dial()  shake_hands()    an HTTP request becomes a WebSocket
 * c.ReadMessage()                 decode()         frames, fragments, UTF-8
 * c.WriteMessage(mt, msg)         queue_frame()    a client masks what it sends
 * select { case ... }             talk()           poll() waits for all at once
 * signal.Notify(interrupt)        note_signal()    a handler writes into a pipe
 *
 * Not as in the chapter: a message is the line without its newline; the last line counts
 * without one too; the end of stdin closes at once; -e echoes; -i sets the asking.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "wsClient";
static const char usage[] = "[-e] [-i SECONDS] HOST:PORT PATH | ws://HOST[:PORT]/PATH";
static const char purpose[] =
    "Sends each line you type as a WebSocket message and prints what comes.";
static const char no_argument[] = "Need SERVER + PATH!";
static const char *option[128];
enum { HOST_SIZE = 256, PORT_SIZE = 64, ADDRESS_SIZE = 80 };
enum { LINE_LIMIT = 65536, BUFFER_LIMIT = 2 * LINE_LIMIT };
enum { SERVER_SIZE = HOST_SIZE + PORT_SIZE };
enum { HEAD_LIMIT = 8192, PATH_SIZE = 4096, MESSAGE_LIMIT = 16 << 20 };

enum {
    CONTINUATION = 0,
    TEXT = 1,
    BINARY = 2,
    CLOSE = 8,
    PING = 9,
    PONG = 10
};                                     /* opcodes */
enum { NEED_MORE = -1, FAILURE = -2 }; /* what decode() returns besides */

struct reader {
    int fd;
    const char *name;  /* of the stream, for messages */
    char *buffer;      /* `first`, or larger and allocated once a line needed it */
    size_t size;       /* of buffer */
    size_t start, end; /* what has come and has not been taken: buffer[start..end) */
    char first[1024];
};

struct bytes {
    unsigned char *data; /* allocated, by reserve() */
    size_t used, size;
};

/* What the last character of a text still lacks: so many bytes, the next of them any
   continuation byte or, after some first bytes, only some. The numbers are places in a row
   of next_missing[]. */
enum { WHOLE = 0, ONE = 6, TWO = 12, TWO_AFTER_E0 = 18, TWO_AFTER_ED = 24, THREE = 30 };
enum { THREE_AFTER_F0 = 36, THREE_AFTER_F4 = 42, BAD = 48 /* no text at all */ };
static uint64_t next_missing[256];

struct utf8 {
    uint64_t missing;
};

struct decoder {
    bool masked; /* whether the peer's frames have to be masked, or must not */
    unsigned char header[14];   /* of the frame under way, as far as it has come: */
    size_t have;                /* so many bytes */
    bool in_payload;            /* the header is whole; of the payload */
    uint64_t left;              /* so many bytes are still to come, */
    unsigned char mask[4];      /* masked with this */
    size_t mask_at;             /* from here */
    unsigned message_opcode;    /* TEXT or BINARY while a message is under way, else 0 */
    struct bytes message;       /* what has come of it */
    struct utf8 utf8;           /* and what that leaves open */
    unsigned char control[125]; /* the payload of a control frame */
    size_t control_length;
    unsigned char *payload; /* what decode() hands over */
    size_t length;
    unsigned code;   /* of a CLOSE or FAILURE */
    const char *why; /* of a FAILURE */
};

struct conversation {
    const char *name;       /* of the server, for messages */
    struct reader in, user; /* what comes from the server and from stdin */
    struct decoder decoder; /* of what comes from the server */
    struct bytes queue;     /* frames on their way to it, of which */
    size_t sent;            /* so many bytes are gone */
    bool closing;           /* a Close is in the queue, and nothing may follow it */
    bool over;              /* nothing that comes counts any more */
    int status;             /* what to exit with */
    long long deadline; /* once closing, to be done by then, on the clock of now_ms() */
    int silences;       /* how often the user was asked for input since the last */
    long long ask_at;   /* when to ask next */
};

static int signal_pipe[2]; /* note_signal() writes into it */
static int random_fd;      /* the kernel's random bytes */

static void parse_arguments(int argc, char **argv, const char *letters, int min, int max);
static void guard_process(void);
static int dial(const char *address, char *name);
static void open_reader(struct reader *r, int fd, const char *name);
static void print(const char *text);
static long long now_ms(void);
static void open_decoder(struct decoder *d, bool masked);
static void read_target(int count, char **arguments, char *server, char *path);
static int read_seconds(const char *text);
static void open_random(void);
static void shake_hands(struct reader *in, const char *server, const char *path);
static void open_signal_pipe(void);
static bool wait_for(struct pollfd *ready, nfds_t count, long long wake);
static void queue_frame(struct conversation *c, int opcode, const unsigned char *payload,
                        size_t length);
static void begin_close(struct conversation *c, unsigned code);
static void ask_for_input(struct conversation *c, int patience);
static void send_lines(struct conversation *c);
static void send_queue(struct conversation *c);
static void take_frames(struct conversation *c);
static bool receive_frames(struct conversation *c);
static void note_close(struct conversation *c);
static void show_message(int event, const unsigned char *payload, size_t length);

/* Deal with what decode() has found. */
static void take_event(struct conversation *c, int event)
{
    struct decoder *d = &c->decoder;
    switch (event) {
    case TEXT:
    case BINARY:
        show_message(event, d->payload, d->length);
        if (option['e'])
            queue_frame(c, event, d->payload, d->length);
        break;
    case PING:
        queue_frame(c, PONG, d->payload, d->length);
        break;
    case PONG:
        break;
    case CLOSE:
        if (!c->closing)
            note_close(c);
        begin_close(c, d->code);
        c->over = true;
        break;
    default:
        fprintf(stderr, "%s: %s: %u %s\n", program, c->name, d->code, d->why);
        c->status = 1;
        begin_close(c, d->code);
        c->over = true;
    }
}

/* Send and print until the connection is closed. Returns the exit status. */
static int talk(struct conversation *c, int patience)
{
    bool asking = patience > 0 && !option['e'] && isatty(c->user.fd);
    c->ask_at = now_ms() + patience * 1000LL;
    take_frames(c); /* what came behind the handshake */
    for (;;) {
        send_queue(c);
        if (c->closing && now_ms() >= c->deadline)
            return c->status;
        bool all_sent = c->sent == c->queue.used;
        bool listening = c->queue.used - c->sent <= MESSAGE_LIMIT;
        bool wants_input = all_sent && !c->closing && !option['e'];
        struct pollfd ready[] = {
            {.fd = c->closing ? -1 : signal_pipe[0], .events = POLLIN},
            {.fd = wants_input ? c->user.fd : -1, .events = POLLIN},
            {.fd = c->in.fd,
             .events = (short)((all_sent ? 0 : POLLOUT) | (listening ? POLLIN : 0))}};
        long long wake = c->closing ? c->deadline : asking ? c->ask_at : -1;
        if (!wait_for(ready, 3, wake)) {
            if (!c->closing)
                ask_for_input(c, patience);
            continue;
        }
        if (ready[0].revents != 0)
            begin_close(c, 1000);
        if (ready[2].revents != 0 && listening && !receive_frames(c))
            return c->status;
        if (ready[1].revents != 0 && !c->closing) {
            send_lines(c);
            c->silences = 0;
            c->ask_at = now_ms() + patience * 1000LL;
        }
    }
}

int main(int argc, char **argv)
{
    parse_arguments(argc, argv, "hei:", 1, 2);
    static char server[SERVER_SIZE], path[PATH_SIZE], name[ADDRESS_SIZE];
    read_target(argc - optind, argv + optind, server, path);
    int patience = option['i'] ? read_seconds(option['i']) : 4;
    guard_process();
    open_random();
    printf("Connecting to: %s at %s", server, path);
    print("\n");

    static struct conversation c;
    c.name = name;
    open_reader(&c.in, dial(server, name), name);
    open_reader(&c.user, STDIN_FILENO, "stdin");
    open_decoder(&c.decoder, false);
    shake_hands(&c.in, server, path);
    open_signal_pipe();
    fcntl(c.in.fd, F_SETFL, O_NONBLOCK);
    return talk(&c, patience);
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

/* Connect to `address`, HOST:PORT, by TCP: to the first of HOST's addresses, IPv6 or
   IPv4, that answers. Returns the socket and puts the numeric address into
   name[ADDRESS_SIZE]. Dies with the reason of the last one when none answers. */
static int dial(const char *address, char *name)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = resolve("address", address, &hints);
    int fd = -1;
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next) {
        format_address(a->ai_addr, a->ai_addrlen, name);
        fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
        if (fd >= 0 && connect_socket(fd, a->ai_addr, a->ai_addrlen) < 0) {
            int error = errno;
            close(fd);
            errno = error;
            fd = -1;
        }
    }
    if (fd < 0)
        die("connect", name, strerror(errno));
    freeaddrinfo(list);
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
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

/* Take a line that has come whole; of one that is longer than LINE_LIMIT, so much; and at
   the `end` of input what is left. Returns its length with *line pointing at it until the
   next fill(), or 0 if there is none. */
static size_t take_text(struct reader *r, bool end, char **line)
{
    size_t length = r->end - r->start;
    *line = r->buffer + r->start;
    const char *newline =
        memchr(*line, '\n', length <= LINE_LIMIT ? length : LINE_LIMIT + 1);
    if (newline != NULL)
        length = (size_t)(newline + 1 - *line);
    else if (length > LINE_LIMIT)
        length = LINE_LIMIT;
    else if (!end)
        length = 0;
    r->start += length;
    return length;
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

/* Milliseconds on a clock that nobody sets. */
static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait until fd has something to read or `deadline`, on the clock of now_ms(), has
   passed. Returns 1 if there is something, 0 if not, -1 with errno on error. */
static int wait_readable(int fd, long long deadline)
{
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        long long left = deadline - now_ms();
        int n = poll(&ready, 1, left > 0 ? (int)left : 0);
        if (n >= 0 || errno != EINTR)
            return n;
    }
}

/* How long the head of an HTTP message is that the text begins with, its empty line
   included, or 0 if that has not come yet. Lines may end in a bare \n (RFC 7230, section
   3.5): people type them into nc. */
static size_t head_length(const char *text, size_t length)
{
    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] != '\n')
            continue;
        if (text[i + 1] == '\n')
            return i + 2;
        if (text[i + 1] == '\r' && i + 2 < length && text[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

/* Take a line of a head that is there whole, and end it with a NUL. Returns it, or NULL
   if there is a NUL in it. */
static char *head_line(struct reader *r)
{
    char *line = r->buffer + r->start;
    size_t length = 1;
    while (line[length - 1] != '\n')
        length++;
    r->start += length;
    length = without_end(line, length);
    if (memchr(line, '\0', length) != NULL)
        return NULL;
    line[length] = '\0';
    return line;
}

/* Cut a header line, `Name: value`, in two, blanks around the value aside (RFC 7230,
   section 3.2). Returns the value and leaves the name in `line`; NULL if it is no header
   line. */
static char *cut_header(char *line)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t name = strspn(line, token);
    if (name == 0 || line[name] != ':')
        return NULL;
    line[name] = '\0';
    char *value = line + name + 1;
    value += strspn(value, " \t");
    size_t length = strlen(value);
    while (length > 0 && (value[length - 1] == ' ' || value[length - 1] == '\t'))
        value[--length] = '\0';
    for (size_t i = 0; i < length; i++)
        if (iscntrl((unsigned char)value[i]) && value[i] != '\t')
            return NULL;
    return value;
}

/* Whether the list of tokens, separated by commas and blanks, has the token, in any case.
   */
static bool has_token(const char *list, const char *token)
{
    size_t length = strlen(token);
    while (*list != '\0') {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ", \t");
        if (n == length && strncasecmp(list, token, n) == 0)
            return true;
        list += n;
    }
    return false;
}

/* The bits of x moved n places to the left, those that leave coming back on the right. */
static uint32_t rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

/* One block of SHA-1 (RFC 3174, section 6.1), added to the five words of h. */
static void sha1_block(uint32_t h[5], const unsigned char block[64])
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int t = 0; t < 16; t++, block += 4)
        w[t] = (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 |
               (uint32_t)block[2] << 8 | block[3];
    for (int t = 16; t < 80; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (int t = 0; t < 80; t++) {
        uint32_t f, k;
        if (t < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;
        } else if (t < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;
        } else if (t < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;
        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }
        uint32_t sum = rotate(a, 5) + f + e + w[t] + k;
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = sum;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

/* SHA-1 (RFC 3174) of a text of 60 bytes, which with its padding makes two blocks. */
static void sha1(const char text[60], unsigned char digest[20])
{
    unsigned char padded[128] = {0};
    memcpy(padded, text, 60);
    padded[60] = 0x80;
    padded[126] = 480 >> 8; /* the length in bits */
    padded[127] = 480 & 0xff;
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    sha1_block(h, padded);
    sha1_block(h, padded + 64);
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - i % 4 * 8));
}

/* Base64 (RFC 4648, section 4) of n bytes, into text[(n + 2) / 3 * 4 + 1]. */
static void base64(const unsigned char *data, size_t n, char *text)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned group = (unsigned)data[i] << 16;
        if (i + 1 < n)
            group |= (unsigned)data[i + 1] << 8;
        if (i + 2 < n)
            group |= data[i + 2];
        *text++ = digits[group >> 18];
        *text++ = digits[group >> 12 & 63];
        *text++ = digits[group >> 6 & 63];
        *text++ = digits[group & 63];
        if (i + 1 >= n)
            text[-2] = '=';
        if (i + 2 >= n)
            text[-1] = '=';
    }
    *text = '\0';
}

/* The Sec-WebSocket-Accept of a key of 24 characters (RFC 6455, section 4.2.2), into
   text[29]. */
static void accept_key(const char *key, char *text)
{
    char joined[61];
    unsigned char digest[20];
    snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(joined, digest);
    base64(digest, sizeof digest, text);
}

/* Write the first bytes of a final frame, up to its mask if it has one, into header[10]
   (RFC 6455, section 5.2). Returns how many. */
static size_t frame_header(unsigned char *header, int opcode, bool masked, size_t length)
{
    size_t length_size = length < 126 ? 0 : length < 65536 ? 2 : 8;
    header[0] = (unsigned char)(0x80 | opcode);
    header[1] = (unsigned char)(length_size == 0 ? length : length_size == 2 ? 126 : 127);
    header[1] |= masked ? 0x80 : 0;
    for (size_t i = 0; i < length_size; i++)
        header[2 + i] = (unsigned char)((uint64_t)length >> 8 * (length_size - 1 - i));
    return 2 + length_size;
}

/* Make room for n bytes more behind those of `b`. Returns where they go, or NULL with
   errno ENOMEM. */
static unsigned char *reserve(struct bytes *b, size_t n)
{
    if (b->size - b->used < n) {
        size_t size = b->size < 512 ? 512 : b->size;
        while (size - b->used < n)
            size *= 2;
        unsigned char *larger = realloc(b->data, size);
        if (larger == NULL)
            return NULL;
        b->data = larger;
        b->size = size;
    }
    return b->data + b->used;
}

/* out[i] = in[i] ^ mask[(at + i) % 4] for n bytes (RFC 6455, section 5.3), eight at a
   time. `out` may be `in`. */
static void apply_mask(unsigned char *out, const unsigned char *in, size_t n,
                       const unsigned char mask[4], size_t at)
{
    unsigned char turned[8];
    for (size_t i = 0; i < sizeof turned; i++)
        turned[i] = mask[(at + i) % 4];
    uint64_t key, word;
    memcpy(&key, turned, sizeof key);
    size_t i = 0;
    for (; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, in + i, sizeof word);
        word ^= key;
        memcpy(out + i, &word, sizeof word);
    }
    for (; i < n; i++)
        out[i] = in[i] ^ turned[i % 8];
}

/* Fill next_missing[], the rows of check_utf8(), from the table of RFC 3629, section 4.
   */
static void fill_next_missing(void)
{
    for (int byte = 0; byte < 256; byte++) {
        bool low = byte >= 0x80 && byte <= 0x8f, middle = byte >= 0x90 && byte <= 0x9f;
        bool high = byte >= 0xa0 && byte <= 0xbf, any = low || middle || high;
        uint64_t first = BAD;
        if (byte < 0x80)
            first = WHOLE;
        else if (byte >= 0xc2 && byte <= 0xdf)
            first = ONE;
        else if (byte >= 0xe0 && byte <= 0xef)
            first = byte == 0xe0 ? TWO_AFTER_E0 : byte == 0xed ? TWO_AFTER_ED : TWO;
        else if (byte >= 0xf0 && byte <= 0xf4)
            first = byte == 0xf0 ? THREE_AFTER_F0 : byte == 0xf4 ? THREE_AFTER_F4 : THREE;
        next_missing[byte] = first << WHOLE | (uint64_t)(any ? WHOLE : BAD) << ONE |
                             (uint64_t)(any ? ONE : BAD) << TWO |
                             (uint64_t)(high ? ONE : BAD) << TWO_AFTER_E0 |
                             (uint64_t)(low || middle ? ONE : BAD) << TWO_AFTER_ED |
                             (uint64_t)(any ? TWO : BAD) << THREE |
                             (uint64_t)(middle || high ? TWO : BAD) << THREE_AFTER_F0 |
                             (uint64_t)(low ? TWO : BAD) << THREE_AFTER_F4 |
                             (uint64_t)BAD << BAD;
    }
}

/* Check the next n bytes of a text: no overlong form, no surrogate, nothing above
   U+10FFFF. *u is what the bytes before left open, {0} at first; at the end of the text
   u->missing must be WHOLE. Returns false once a byte has come that cannot be. The row of
   each byte holds, for each state, the state behind it, six bits at that state's number:
   no branch depends on the text, and Korean mixed with ASCII goes through about twice as
   fast as by comparing. */
static bool check_utf8(struct utf8 *u, const unsigned char *p, size_t n)
{
    static pthread_once_t filled = PTHREAD_ONCE_INIT;
    pthread_once(&filled, fill_next_missing);
    const unsigned char *end = p + n;
    uint64_t missing = u->missing, word;
    for (; end - p >= 8; p += 8) {
        memcpy(&word, p, sizeof word);
        if ((word & 0x8080808080808080) == 0 && (missing & 63) == WHOLE)
            continue; /* eight characters of ASCII */
        for (int i = 0; i < 8; i++)
            missing = next_missing[p[i]] >> (missing & 63);
    }
    for (; p < end; p++)
        missing = next_missing[*p] >> (missing & 63);
    u->missing = missing & 63;
    return u->missing != BAD;
}

/* Note why the connection must be failed. Returns false. */
static bool fail(struct decoder *d, unsigned code, const char *why)
{
    d->code = code;
    d->why = why;
    return false;
}

/* The header is whole: get ready for the payload. */
static void begin_payload(struct decoder *d)
{
    unsigned opcode = d->header[0] & 0x0f;
    if (d->masked)
        memcpy(d->mask, d->header + d->have - 4, 4);
    d->mask_at = 0;
    d->in_payload = true;
    if (opcode >= CLOSE) {
        d->control_length = 0;
    } else if (opcode != CONTINUATION) {
        d->message_opcode = opcode;
        d->message.used = 0;
        d->utf8 = (struct utf8){0};
    }
}

/* Check the header (RFC 6455, section 5.2) as far as it has come, each byte when it
   comes, so that a frame is refused before its payload. Once it is whole the payload
   begins. Returns false on failure. */
static bool check_header(struct decoder *d)
{
    unsigned char first = d->header[0], second = d->header[1];
    unsigned opcode = first & 0x0f, length = second & 0x7f;
    bool control = opcode >= CLOSE;
    if (d->have == 1) {
        if ((first & 0x70) != 0)
            return fail(d, 1002, "reserved bit set");
        if ((opcode > BINARY && opcode < CLOSE) || opcode > PONG)
            return fail(d, 1002, "reserved opcode");
        if (control && (first & 0x80) == 0)
            return fail(d, 1002, "control frame in fragments");
        if (opcode == CONTINUATION && d->message_opcode == 0)
            return fail(d, 1002, "continuation of nothing");
        if (!control && opcode != CONTINUATION && d->message_opcode != 0)
            return fail(d, 1002, "message inside a message");
        return true;
    }
    if (d->have == 2) {
        if (((second & 0x80) != 0) != d->masked)
            return fail(d, 1002, d->masked ? "frame not masked" : "frame masked");
        if (control && length > 125)
            return fail(d, 1002, "control frame over 125 bytes");
    }
    size_t length_size = length == 126 ? 2 : length == 127 ? 8 : 0;
    if (d->have == 2 + length_size) {
        d->left = length_size == 0 ? length : 0;
        for (size_t i = 2; i < d->have; i++)
            d->left = d->left << 8 | d->header[i];
        if (length_size > 0 && d->left < (length_size == 2 ? 126 : 65536))
            return fail(d, 1002, "length not minimal");
        if (d->left >> 63 != 0)
            return fail(d, 1002, "length with its highest bit set");
        size_t before = opcode == CONTINUATION ? d->message.used : 0;
        if (!control && d->left > MESSAGE_LIMIT - before)
            return fail(d, 1009, "message over 16 MiB");
    }
    if (d->have == 2 + length_size + (d->masked ? 4 : 0))
        begin_payload(d);
    return true;
}

/* Unmask n bytes of payload and put them behind what has come of the message or control
   frame. Text is checked at once (RFC 6455, section 8.1). Returns false on failure. */
static bool take_payload(struct decoder *d, const unsigned char *payload, size_t n)
{
    if ((d->header[0] & 0x0f) >= CLOSE) {
        apply_mask(d->control + d->control_length, payload, n, d->mask, d->mask_at);
        d->control_length += n;
    } else if (n > 0) {
        unsigned char *place = reserve(&d->message, n);
        if (place == NULL)
            return fail(d, 1011, "out of memory");
        apply_mask(place, payload, n, d->mask, d->mask_at);
        d->message.used += n;
        if (d->message_opcode == TEXT && !check_utf8(&d->utf8, place, n))
            return fail(d, 1007, "text is not UTF-8");
    }
    d->mask_at += n;
    return true;
}

/* Check the payload of a Close frame: empty, or a status code that may be sent (RFC 6455,
   section 7.4; 1012 to 1014 as registered since) and a reason in UTF-8. Puts the code, or
   0, into d->code. Returns false on failure. */
static bool check_close(struct decoder *d)
{
    d->code = 0;
    if (d->length == 0)
        return true;
    if (d->length == 1)
        return fail(d, 1002, "close code cut short");
    unsigned code = (unsigned)d->payload[0] << 8 | d->payload[1];
    bool named = code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
    if (!named && (code < 3000 || code > 4999))
        return fail(d, 1002, "bad close code");
    struct utf8 utf8 = {0};
    if (!check_utf8(&utf8, d->payload + 2, d->length - 2) || utf8.missing != WHOLE)
        return fail(d, 1007, "close reason is not UTF-8");
    d->code = code;
    return true;
}

/* A frame has come whole: say what that completes, as decode() does. */
static int end_frame(struct decoder *d)
{
    unsigned opcode = d->header[0] & 0x0f;
    if (opcode >= CLOSE) {
        d->payload = d->control;
        d->length = d->control_length;
        return opcode == CLOSE && !check_close(d) ? FAILURE : (int)opcode;
    }
    if ((d->header[0] & 0x80) == 0)
        return NEED_MORE;
    opcode = d->message_opcode;
    d->message_opcode = 0;
    if (opcode == TEXT && d->utf8.missing != WHOLE) {
        fail(d, 1007, "text ends inside a character");
        return FAILURE;
    }
    d->payload = d->message.data;
    d->length = d->message.used;
    return (int)opcode;
}

/* Make a decoder of the frames of one peer, `masked` if the peer is a client. */
static void open_decoder(struct decoder *d, bool masked)
{
    *d = (struct decoder){.masked = masked};
}

/* Take bytes from *data on, up to `end`, until something has come whole; *data is then
   behind it. Returns TEXT or BINARY for a message, PING, PONG or CLOSE, each with its
   payload in d->payload and d->length until the next call; for CLOSE d->code is the
   status code, 0 if there was none. Returns NEED_MORE when the bytes are used up, and
   FAILURE with d->code and d->why when the connection must be failed; nothing may be
   decoded after that. */
static int decode(struct decoder *d, const unsigned char **data, const unsigned char *end)
{
    for (;;) {
        while (!d->in_payload) {
            if (*data == end)
                return NEED_MORE;
            d->header[d->have++] = *(*data)++;
            if (!check_header(d))
                return FAILURE;
        }
        size_t n = (size_t)(end - *data);
        if (n > d->left)
            n = (size_t)d->left;
        const unsigned char *payload = *data;
        *data += n;
        d->left -= n;
        if (!take_payload(d, payload, n))
            return FAILURE;
        if (d->left > 0)
            return NEED_MORE;
        d->in_payload = false;
        d->have = 0;
        int event = end_frame(d);
        if (event != NEED_MORE)
            return event;
    }
}

/* Give the authority of a ws:// URL the port 80 if it names none (RFC 6455, section 3).
   */
static void add_port(char *server)
{
    char *end = strchr(server, ']');
    char *colon = strrchr(end == NULL ? server : end, ':');
    size_t used = strlen(server);
    if (strchr(server, '@') != NULL)
        refuse("a URL with a user in it is not for WebSocket");
    if (colon == NULL)
        snprintf(server + used, SERVER_SIZE - used, ":80");
    else if (colon[1] == '\0')
        snprintf(server + used, SERVER_SIZE - used, "80");
}

/* Take the server, as HOST:PORT, and the path out of the one or two arguments. Refuses
   what is no such thing. server[SERVER_SIZE], path[PATH_SIZE]. */
static void read_target(int count, char **arguments, char *server, char *path)
{
    const char *first = arguments[0], *rest = count == 2 ? arguments[1] : "";
    size_t length = strlen(first);
    if (strncasecmp(first, "wss://", 6) == 0)
        refuse("wss:// needs TLS, which is not there");
    if (strncasecmp(first, "ws://", 5) == 0) {
        if (count == 2)
            refuse("too many arguments");
        first += 5;
        length = strcspn(first, "/?#");
        rest = first + length;
    } else if (count == 1) {
        refuse(no_argument);
    }
    const char *slash = *rest == '/' ? "" : "/";
    const int room = SERVER_SIZE - 3; /* :80 may have to follow */
    if (snprintf(server, room, "%.*s", (int)length, first) >= room ||
        snprintf(path, PATH_SIZE, "%s%s", slash, rest) >= PATH_SIZE)
        refuse("the address is too long");
    if (first != arguments[0])
        add_port(server);
    for (const char *p = path; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '#')
            refuse("PATH has a character in it that must be percent-encoded");
}

/* The value of -i. Refuses what is no whole number of seconds up to a day. */
static int read_seconds(const char *text)
{
    if (*text == '\0' || strlen(text) > 5 || text[strspn(text, "0123456789")] != '\0' ||
        atoi(text) > 86400)
        refuse("-i takes a whole number of seconds, a day at most");
    return atoi(text);
}

/* Open the source of the kernel's random bytes. Dies on error. */
static void open_random(void)
{
    random_fd = open("/dev/urandom", O_RDONLY);
    if (random_fd < 0)
        die("open", "/dev/urandom", strerror(errno));
}

/* Fill data[n] with random bytes; n divides 1024, and so many are fetched at once. Dies
   on error. */
static void random_bytes(unsigned char *data, size_t n)
{
    static unsigned char pool[1024];
    static size_t left;
    while (left < n) {
        ssize_t come = read(random_fd, pool, sizeof pool);
        if (come < 0 && errno != EINTR)
            die("read", "/dev/urandom", strerror(errno));
        left = come > 0 ? (size_t)come : 0;
    }
    left -= n;
    memcpy(data, pool + left, n);
}

/* Read until the head of the server's answer has come whole, 8 KiB at most. */
static void read_answer(struct reader *in)
{
    for (long long deadline = now_ms() + 5000;;) {
        size_t come = in->end - in->start;
        size_t length = head_length(in->buffer + in->start, come);
        if (length > HEAD_LIMIT || (length == 0 && come > HEAD_LIMIT))
            die(in->name, "", "answer over 8 KiB");
        if (length > 0)
            return;
        int ready = wait_readable(in->fd, deadline);
        if (ready < 0)
            die("poll", in->name, strerror(errno));
        if (ready == 0)
            die(in->name, "", "no whole answer in 5 s");
        ssize_t n = fill(in);
        if (n <= 0)
            die_of_loss("read", in, n == 0 ? 0 : errno);
    }
}

/* Check the server's answer, whose Sec-WebSocket-Accept must be `accept`. */
static void check_answer(struct reader *in, const char *accept)
{
    char *line = head_line(in);
    if (line == NULL || strncmp(line, "HTTP/1.", 7) != 0)
        die(in->name, "", "not an HTTP answer");
    if (strncmp(line, "HTTP/1.1 101", 12) != 0 || (line[12] != ' ' && line[12] != '\0')) {
        char label[ADDRESS_SIZE + 20];
        snprintf(label, sizeof label, "%s: %s: ", program, in->name);
        print_text(stderr, label, line, strlen(line));
        exit(1);
    }
    bool upgraded = false, other = false, connected = false, accepted = false;
    int accepts = 0;
    while ((line = head_line(in)) != NULL && *line != '\0') {
        const char *value = cut_header(line);
        if (value == NULL)
            die(in->name, "", "malformed header line in the answer");
        if (strcasecmp(line, "Upgrade") == 0 && strcasecmp(value, "websocket") == 0)
            upgraded = true;
        else if (strcasecmp(line, "Upgrade") == 0)
            other = true;
        else if (strcasecmp(line, "Connection") == 0)
            connected = connected || has_token(value, "upgrade");
        else if (strcasecmp(line, "Sec-WebSocket-Accept") == 0 && ++accepts == 1)
            accepted = strcmp(value, accept) == 0;
        else if (strcasecmp(line, "Sec-WebSocket-Extensions") == 0 && *value != '\0')
            die(in->name, "", "an extension that was not asked for");
        else if (strcasecmp(line, "Sec-WebSocket-Protocol") == 0)
            die(in->name, "", "a subprotocol that was not asked for");
    }
    if (line == NULL || !upgraded || other || !connected)
        die(in->name, "", "Upgrade or Connection missing or wrong in the answer");
    if (!accepted || accepts > 1)
        die(in->name, "", "Sec-WebSocket-Accept missing or wrong in the answer");
}

/* The length of the text without the ending, where it ends so. */
static size_t length_without(const char *text, const char *ending)
{
    size_t length = strlen(text), n = strlen(ending);
    return length >= n && strcmp(text + length - n, ending) == 0 ? length - n : length;
}

/* Ask the server for a WebSocket and check its answer (RFC 6455, section 4.1). What comes
   behind the answer stays in the reader. Dies if it refuses, or gives no answer in 5 s.
   */
static void shake_hands(struct reader *in, const char *server, const char *path)
{
    unsigned char nonce[16];
    char key[25], accept[29];
    random_bytes(nonce, sizeof nonce);
    base64(nonce, sizeof nonce, key);
    accept_key(key, accept);
    size_t host = length_without(server, ":80");
    char request[PATH_SIZE + SERVER_SIZE + 200];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n",
                          path, (int)host, server, key);
    if (write_all(in->fd, request, (size_t)length) < 0)
        die_of_loss("write", in, errno);
    read_answer(in);
    check_answer(in, accept);
}

/* The signal handler: have poll() in talk() return. */
static void note_signal(int signal_number)
{
    (void)signal_number;
    int error = errno;
    ssize_t written = write(signal_pipe[1], "", 1);
    (void)written;
    errno = error;
}

/* From now on SIGINT and SIGTERM write into signal_pipe. */
static void open_signal_pipe(void)
{
    if (pipe(signal_pipe) < 0)
        die("pipe", "", strerror(errno));
    catch_signals(note_signal);
}

/* poll(), until something is ready, or `wake` on the clock of now_ms() has passed, -1
   being never. Returns whether something is ready. */
static bool wait_for(struct pollfd *ready, nfds_t count, long long wake)
{
    for (;;) {
        long long left = wake - now_ms();
        int n = poll(ready, count, wake < 0 ? -1 : left > 0 ? (int)left : 0);
        if (n >= 0)
            return n > 0;
        if (errno != EINTR)
            die("poll", "", strerror(errno));
    }
}

/* Put a frame into the queue, masked with new random bytes; nothing behind a Close. */
static void queue_frame(struct conversation *c, int opcode, const unsigned char *payload,
                        size_t length)
{
    if (c->closing)
        return;
    if (c->sent > 0) {
        memmove(c->queue.data, c->queue.data + c->sent, c->queue.used - c->sent);
        c->queue.used -= c->sent;
        c->sent = 0;
    }
    unsigned char *place = reserve(&c->queue, 14 + length), mask[4];
    if (place == NULL)
        die("malloc", "", strerror(errno));
    size_t header = frame_header(place, opcode, true, length);
    random_bytes(mask, sizeof mask);
    memcpy(place + header, mask, sizeof mask);
    apply_mask(place + header + sizeof mask, payload, length, mask, 0);
    c->queue.used += header + sizeof mask + length;
}

/* Put a Close with the code, or without one if it is 0, into the queue. The rest has to
   be done in 2 s. */
static void begin_close(struct conversation *c, unsigned code)
{
    if (c->closing)
        return;
    const unsigned char payload[] = {(unsigned char)(code >> 8), (unsigned char)code};
    queue_frame(c, CLOSE, payload, code == 0 ? 0 : sizeof payload);
    c->closing = true;
    c->deadline = now_ms() + 2000;
}

/* Ask the user for input; the sixth time in a row, give up and close. */
static void ask_for_input(struct conversation *c, int patience)
{
    print("Please give me input!\n");
    c->ask_at = now_ms() + patience * 1000LL;
    if (++c->silences == 6)
        begin_close(c, 1000);
}

/* Read from stdin, and send each line that is whole; at the end of stdin also the last
   one, and a Close. */
static void send_lines(struct conversation *c)
{
    char *line;
    ssize_t n = fill(&c->user);
    if (n < 0)
        die("read", c->user.name, reason(errno));
    for (size_t length; (length = take_text(&c->user, n == 0, &line)) > 0;) {
        if (n > 0 && line[length - 1] != '\n')
            die("read", c->user.name, reason(EOVERFLOW));
        struct utf8 utf8 = {0};
        if (line[length - 1] == '\n')
            length--;
        if (check_utf8(&utf8, (unsigned char *)line, length) && utf8.missing == WHOLE)
            queue_frame(c, TEXT, (unsigned char *)line, length);
        else
            fprintf(stderr, "%s: stdin: line is not UTF-8: not sent\n", program);
    }
    if (n == 0)
        begin_close(c, 1000);
}

/* Send as much of the queue as the kernel takes now. When the server is not there any
   more, the rest is dropped and the connection shut: what it said last can still be read,
   and then the end. */
static void send_queue(struct conversation *c)
{
    while (c->sent < c->queue.used) {
        ssize_t n = write(c->in.fd, c->queue.data + c->sent, c->queue.used - c->sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0 && errno != EPIPE && errno != ECONNRESET)
            die("write", c->name, strerror(errno));
        if (n < 0) {
            shutdown(c->in.fd, SHUT_RDWR);
            c->status = c->over ? c->status : 1;
            n = (ssize_t)(c->queue.used - c->sent);
        }
        c->sent += (size_t)n;
    }
    c->sent = c->queue.used = 0;
}

/* Deal with what has come from the server and was not taken yet. */
static void take_frames(struct conversation *c)
{
    const unsigned char *data = (unsigned char *)c->in.buffer + c->in.start;
    const unsigned char *end = (unsigned char *)c->in.buffer + c->in.end;
    int event;
    while (!c->over && (event = decode(&c->decoder, &data, end)) != NEED_MORE)
        take_event(c, event);
    c->in.start = c->in.end;
}

/* Read once from the server and deal with what has come. Returns false when it has closed
   the connection. */
static bool receive_frames(struct conversation *c)
{
    ssize_t n = fill(&c->in);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return true;
    bool cut_off = !c->closing || (c->status != 0 && !c->over);
    if (n <= 0 && cut_off)
        die_of_loss("read", &c->in, n == 0 ? 0 : errno);
    take_frames(c);
    return n > 0;
}

/* Say on stderr that the server closes, and why. Only 1000 and 1001, or no code at all,
   make it an orderly end. */
static void note_close(struct conversation *c)
{
    const struct decoder *d = &c->decoder;
    char label[ADDRESS_SIZE + 60], code[16] = "";
    if (d->code != 0)
        snprintf(code, sizeof code, ": %u%s", d->code, d->length > 2 ? " " : "");
    snprintf(label, sizeof label, "%s: %s: closed by server%s", program, c->name, code);
    size_t skip = d->length < 2 ? d->length : 2;
    print_text(stderr, label, (char *)d->payload + skip, d->length - skip);
    c->status = d->code == 0 || d->code == 1000 || d->code == 1001 ? 0 : 1;
}

/* Print a message: a text whole, of a binary one its length. */
static void show_message(int event, const unsigned char *payload, size_t length)
{
    char size[32];
    int digits = snprintf(size, sizeof size, "%zu bytes", length);
    if (event == TEXT)
        show("Received: ", (const char *)payload, length);
    else
        show("Received: ", size, (size_t)digits);
}
