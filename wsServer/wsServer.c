/*
 * wsServer.c - a WebSocket echo server, with a page to try it from a browser
 *
 *   cc -pthread -o wsServer wsServer.c
 *   ./wsServer                 at the other end: wsClient localhost:1234 /ws,
 *                              or a browser at http://localhost:1234/
 *
 * Go call                      here                  what it teaches
 * http.ListenAndServe(":1234") listen_on()           HTTP is lines over TCP
 * mux.Handle("/ws", ...)       answer_request()      one GET becomes a WebSocket
 * upgrader.Upgrade(w, r, nil)  refusal(), upgrade()  what RFC 6455 asks of that GET
 * ws.ReadMessage()             decode()              frames, fragments, masks, UTF-8
 * ws.WriteMessage(mt, msg)     send_frame()          a header and the payload
 *
 * Not as in the chapter: messages have a limit, text must be UTF-8, foreign origins are
 * refused (-a lets them in), clients that do not read or have vanished are let go, and
 * clients write no escapes into the log.
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
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "wsServer", usage[] = "[-q] [-a] [ADDRESS]";
static const char purpose[] =
    "Echoes WebSocket messages at /ws; / is a page to try it. ADDRESS defaults to :1234.";
static const char no_argument[] = "";
static const char *option[128];
enum { HOST_SIZE = 256, PORT_SIZE = 64, ADDRESS_SIZE = 80 };
enum { LINE_LIMIT = 65536, BUFFER_LIMIT = 2 * LINE_LIMIT };
enum { STACK_SIZE = 65536, BACKLOG = 4096 /* clients that may wait to be accepted */ };
enum { HEAD_LIMIT = 8192, MESSAGE_LIMIT = 16 << 20, LOG_LIMIT = 1024 };

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

struct request {
    const char *method, *path, *version;
    const char *host, *origin, *key, *websocket_version; /* header values, or NULL */
    bool upgrade_websocket, connection_upgrade;
};

struct connection {
    int fd;
    char name[ADDRESS_SIZE];
    struct reader in;
    struct decoder decoder;
    pthread_mutex_t sending; /* guards fd's sending side and close_sent */
    bool close_sent;         /* nothing may be sent any more, */
    bool last;               /* or may behind what is ready */
    size_t ready;            /* bytes of out[] that wait to be sent */
    unsigned char out[1024];
    struct connection *next, **link; /* among `connections` */
};

/* The open WebSockets, for say_goodbye(). */
static pthread_mutex_t connections_lock = PTHREAD_MUTEX_INITIALIZER;
static struct connection *connections;

static void complain(const char *what, const char *name, int error);
static void parse_arguments(int argc, char **argv, const char *letters, int min, int max);
static void guard_process(void);
static int listen_on(const char *address, int type);
static void set_timeout(int fd, int which, int seconds);
static void start_thread(void *(*handler)(void *), void *argument);
static void open_reader(struct reader *r, int fd, const char *name);
static void close_reader(struct reader *r);
static ssize_t fill(struct reader *r);
static void open_decoder(struct decoder *d, bool masked);
static void close_decoder(struct decoder *d);
static int decode(struct decoder *d, const unsigned char **data,
                  const unsigned char *end);
static struct connection *next_connection(int listener);
static void block_signals(void);
static void enlist(struct connection *c);
static void strike(struct connection *c);
static void *say_goodbye(void *unused);
static const char *page(void);
static bool answer_request(struct connection *c);
static void log_message(int event, const unsigned char *payload, size_t length);
static bool flush(struct connection *c, const unsigned char *payload, size_t n);
static bool send_frame(struct connection *c, int opcode, const unsigned char *payload,
                       size_t length);
static void send_close(struct connection *c, unsigned code);
static void shed(struct connection *c);
static void finish_sending(int fd);

/* Answer what decode() has found. Returns whether the connection goes on. */
static bool answer_event(struct connection *c, int event)
{
    struct decoder *d = &c->decoder;
    switch (event) {
    case TEXT:
    case BINARY:
        if (!option['q'])
            log_message(event, d->payload, d->length);
        return send_frame(c, event, d->payload, d->length);
    case PING:
        return send_frame(c, PONG, d->payload, d->length);
    case PONG:
        return true;
    case CLOSE:
        send_close(c, d->code);
        return false;
    default:
        fprintf(stderr, "%s: %s: %u %s\n", program, c->name, d->code, d->why);
        send_close(c, d->code);
        return false;
    }
}

/* Answer each message until the closing handshake, a failure or the client's end. All
   that came together is answered in one write. After 30 s of silence the client gets a
   Ping, and is dropped after 30 s more. */
static void echo(struct connection *c)
{
    set_timeout(c->fd, SO_RCVTIMEO, 30);
    bool silent = false;
    for (bool open = true; open;) {
        const unsigned char *data = (unsigned char *)c->in.buffer + c->in.start;
        const unsigned char *end = (unsigned char *)c->in.buffer + c->in.end;
        int event;
        while (open && (event = decode(&c->decoder, &data, end)) != NEED_MORE)
            open = answer_event(c, event);
        c->in.start = c->in.end;
        if (!flush(c, NULL, 0) || !open)
            return;

        ssize_t n = fill(&c->in);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (silent) {
                complain("read", c->name, ETIMEDOUT);
                return;
            }
            silent = true;
            shed(c);
            open = send_frame(c, PING, NULL, 0);
        } else if (n <= 0) {
            return;
        } else {
            silent = false;
        }
    }
}

/* The thread of one client: answer its request, which may make a WebSocket of the
   connection, and echo its messages then. */
static void *handle_connection(void *argument)
{
    struct connection *c = argument;
    open_reader(&c->in, c->fd, c->name);
    open_decoder(&c->decoder, true);
    if (answer_request(c)) {
        enlist(c);
        echo(c);
        strike(c);
    }
    finish_sending(c->fd);
    close_decoder(&c->decoder);
    close_reader(&c->in);
    pthread_mutex_destroy(&c->sending);
    free(c);
    return NULL;
}

int main(int argc, char **argv)
{
    parse_arguments(argc, argv, "haq", 0, 1);
    guard_process();
    block_signals();
    int listener = listen_on(argc > optind ? argv[optind] : ":1234", SOCK_STREAM);
    start_thread(say_goodbye, NULL);
    for (;;)
        start_thread(handle_connection, next_connection(listener));
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

/* Print `NAME: what name: reason` on stderr and go on; `error` is an errno value. For
   servers: what goes wrong with one client is no reason to end. strerror() need not be
   thread-safe (POSIX), so it is called with stderr locked. */
static void complain(const char *what, const char *name, int error)
{
    flockfile(stderr);
    fprintf(stderr, "%s: %s %s: %s\n", program, what, name, reason(error));
    funlockfile(stderr);
}

/* The system is short of something (`error`, an errno value) that other clients will give
   back when they leave: say so, at most once a minute, and wait a tenth of a second. Only
   the thread that accepts calls this. */
static void wait_out(const char *what, int error)
{
    static time_t next_complaint;
    if (time(NULL) >= next_complaint) {
        flockfile(stderr);
        fprintf(stderr, "%s: %s: %s: waiting\n", program, what, strerror(error));
        funlockfile(stderr);
        next_complaint = time(NULL) + 60;
    }
    nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
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

/* The first address of `family` in the list, or the first of all. */
static const struct addrinfo *pick(const struct addrinfo *list, int family)
{
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
        if (a->ai_family == family)
            return a;
    return list;
}

/* Why bind() or listen() failed, by errno. */
static const char *listen_error(void)
{
    if (errno == EACCES)
        return "Permission denied (ports below 1024 are for root)";
    return strerror(errno);
}

/* A socket bound to `a` and, for SOCK_STREAM, listening. SO_REUSEADDR lets a server start
   again while connections of its last run linger in TIME_WAIT. IPV6_V6ONLY off: an IPv6
   socket that takes IPv4 too (RFC 3493, section 3.7). Returns it, or -1 with errno. */
static int open_listener(const struct addrinfo *a, bool everywhere)
{
    int fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (fd < 0)
        return -1;
    if (a->ai_socktype == SOCK_STREAM)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (a->ai_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !everywhere);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 &&
        (a->ai_socktype != SOCK_STREAM || listen(fd, BACKLOG) == 0))
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* Say on stderr where the socket listens; the kernel may have chosen the port. */
static void announce(int fd)
{
    struct sockaddr_storage local;
    socklen_t size = sizeof local;
    char name[ADDRESS_SIZE];
    if (getsockname(fd, (struct sockaddr *)&local, &size) < 0)
        die("getsockname", "", strerror(errno));
    format_address((struct sockaddr *)&local, size, name);
    fprintf(stderr, "%s: listening on %s\n", program, name);
}

/* The family to resolve a server's address in: any for HOST:PORT. For :PORT IPv6, whose
   socket takes IPv4 too, or IPv4 on a machine without IPv6. */
static int listen_family(const char *address)
{
    if (address[0] != ':')
        return AF_UNSPEC;
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    if (fd < 0)
        return AF_INET;
    close(fd);
    return AF_INET6;
}

/* Make a socket bound to what `address`, HOST:PORT, was resolved to; if it is of
   SOCK_STREAM, it listens. A name is its first IPv4 address, as in Go. Says on stderr
   where it listens. Dies on error. */
static int listen_at(const struct addrinfo *list, const char *address)
{
    bool everywhere = address[0] == ':';
    const struct addrinfo *chosen = pick(list, AF_INET);
    int fd = open_listener(chosen, everywhere);
    if (fd < 0) {
        const char *why = listen_error();
        char name[ADDRESS_SIZE];
        format_address(chosen->ai_addr, chosen->ai_addrlen, name);
        die("listen", everywhere ? address : name, why);
    }
    announce(fd);
    return fd;
}

/* Make the socket of a server: of `type`, SOCK_STREAM or SOCK_DGRAM, at `address`,
   HOST:PORT, or a bare PORT for :PORT. Dies on error. */
static int listen_on(const char *address, int type)
{
    char full[HOST_SIZE + PORT_SIZE];
    snprintf(full, sizeof full, "%s%s", strchr(address, ':') ? "" : ":", address);
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE, .ai_family = listen_family(full), .ai_socktype = type};
    struct addrinfo *list = resolve("address", full, &hints);
    int fd = listen_at(list, full);
    freeaddrinfo(list);
    return fd;
}

/* Have a read (SO_RCVTIMEO) or write (SO_SNDTIMEO) that waits for so long fail with
   EAGAIN. */
static void set_timeout(int fd, int which, int seconds)
{
    const struct timeval patience = {.tv_sec = seconds};
    setsockopt(fd, SOL_SOCKET, which, &patience, sizeof patience);
}

/* The options of an accepted connection. A peer that vanished is noticed by probes after
   15 s and every 15 s, as Go has it. One that stops reading is noticed by write_all(). An
   answer leaves at once: nothing will come that it could share a segment with. */
static void set_up_connection(int fd)
{
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#if defined TCP_KEEPIDLE && defined TCP_KEEPINTVL /* not in POSIX.1-2008 */
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
#endif
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_timeout(fd, SO_SNDTIMEO, 1);
}

/* Wait for the next client and return its socket, with its address in *peer of *size
   bytes (both may be NULL). What goes wrong with the client that was about to come costs
   that client alone; where the system is short of something, the client waits in the
   backlog until there is more of it. Dies of what can only be a fault of this program. */
static int accept_next(int listener, struct sockaddr *peer, socklen_t *size)
{
    for (;;) {
        int fd = accept(listener, peer, size);
        if (fd >= 0)
            return fd;
        switch (errno) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN: /* from here on: what Linux passes on of the new connection */
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENOPROTOOPT:
        case EOPNOTSUPP:
        case ETIMEDOUT:
            break;
        case EBADF:
        case EFAULT:
        case EINVAL:
        case ENOTSOCK:
            die("accept", "", strerror(errno));
        default: /* EMFILE, ENFILE, ENOBUFS, ENOMEM: a lack that passes */
            wait_out("accept", errno);
        }
    }
}

/* Wait for the next TCP client and return its socket, set up, with its address as text in
   name[ADDRESS_SIZE]. */
static int accept_client(int listener, char *name)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    int fd = accept_next(listener, (struct sockaddr *)&peer, &size);
    format_address((struct sockaddr *)&peer, size, name);
    set_up_connection(fd);
    return fd;
}

/* Run handler(argument) in a thread of its own. Without the means for one more thread the
   client waits until another one has left. */
static void start_thread(void *(*handler)(void *), void *argument)
{
    pthread_attr_t attributes;
    int error;
    while ((error = pthread_attr_init(&attributes)) != 0)
        wait_out("pthread_attr_init", error);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_t thread;
    while ((error = pthread_create(&thread, &attributes, handler, argument)) != 0)
        wait_out("pthread_create", error);
    pthread_attr_destroy(&attributes);
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

/* Free what the reader allocated and close the stream. */
static void close_reader(struct reader *r)
{
    if (r->buffer != r->first)
        free(r->buffer);
    close(r->fd);
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

/* Print the line, without its end, behind its label. That stdout is gone or full is said
   once; the server goes on serving. */
static void log_text(const char *label, const char *line, size_t length)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (print_text(stdout, label, line, without_end(line, length)) != 0 &&
        !atomic_flag_test_and_set(&said))
        complain("write", "stdout", errno);
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

/* Free what the decoder allocated. */
static void close_decoder(struct decoder *d)
{
    free(d->message.data);
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

/* Wait for the next client. Returns its connection, to be freed by the thread that serves
   it. */
static struct connection *next_connection(int listener)
{
    struct connection *c;
    while ((c = malloc(sizeof *c)) == NULL)
        wait_out("malloc", errno);
    c->fd = accept_client(listener, c->name);
    c->close_sent = c->last = false;
    c->ready = 0;
    pthread_mutex_init(&c->sending, NULL);
    return c;
}

/* Let SIGINT and SIGTERM wait, in this thread and those it starts, for say_goodbye(). */
static void block_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

/* Put the connection into the list. */
static void enlist(struct connection *c)
{
    pthread_mutex_lock(&connections_lock);
    c->next = connections;
    c->link = &connections;
    if (connections != NULL)
        connections->link = &c->next;
    connections = c;
    pthread_mutex_unlock(&connections_lock);
}

/* Take the connection out of the list. */
static void strike(struct connection *c)
{
    pthread_mutex_lock(&connections_lock);
    *c->link = c->next;
    if (c->next != NULL)
        c->next->link = c->link;
    pthread_mutex_unlock(&connections_lock);
}

/* The thread that waits for SIGINT or SIGTERM: send a Close 1001, going away, to every
   client, give them 2 s to answer and go, and end the program. A connection whose thread
   is just writing gets its Close afterwards; one that takes nothing gets none. */
static void *say_goodbye(void *unused)
{
    (void)unused;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    int number;
    sigwait(&signals, &number);
    static const unsigned char going_away[] = {0x80 | CLOSE, 2, 1001 >> 8, 1001 & 0xff};
    bool empty = false;
    for (long long end = now_ms() + 2000; !empty && now_ms() < end;) {
        pthread_mutex_lock(&connections_lock);
        for (struct connection *c = connections; c != NULL; c = c->next) {
            if (pthread_mutex_trylock(&c->sending) != 0)
                continue;
            struct pollfd room = {.fd = c->fd, .events = POLLOUT};
            if (!c->close_sent && poll(&room, 1, 0) > 0) {
                write_all(c->fd, (const char *)going_away, sizeof going_away);
                c->close_sent = true;
            }
            pthread_mutex_unlock(&c->sending);
        }
        empty = connections == NULL;
        pthread_mutex_unlock(&connections_lock);
        if (!empty)
            nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    }
    _exit(0);
}

/* Read until the head of the request has come whole. Returns NULL then, "" if the client
   has left, or the status to refuse it with, *why being the line that says why. */
static const char *read_head(struct reader *in, const char **why)
{
    for (long long deadline = now_ms() + 5000;;) {
        size_t come = in->end - in->start;
        size_t length = head_length(in->buffer + in->start, come);
        if (length > HEAD_LIMIT || (length == 0 && come > HEAD_LIMIT)) {
            *why = "The request is over 8 KiB.\n";
            return "431 Request Header Fields Too Large";
        }
        if (length > 0)
            return NULL;
        int ready = wait_readable(in->fd, deadline);
        if (ready < 0) {
            complain("poll", in->name, errno);
            return "";
        }
        if (ready == 0) {
            *why = "The request did not come within 5 seconds.\n";
            return "408 Request Timeout";
        }
        if (fill(in) <= 0)
            return "";
    }
}

/* The path of a request target, `/ws?query` or `http://host/ws?query`. */
static const char *cut_path(char *target)
{
    target[strcspn(target, "?")] = '\0';
    if (strncasecmp(target, "http://", 7) != 0)
        return target;
    const char *path = strchr(target + 7, '/');
    return path == NULL ? "/" : path;
}

/* Say yes to a WebSocket (RFC 6455, section 4.2.2). Returns whether the client is there
   to hear it. */
static bool upgrade(int fd, const char *key)
{
    char accept[29], head[200];
    accept_key(key, accept);
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 101 Switching Protocols\r\n"
                          "Upgrade: websocket\r\n"
                          "Connection: Upgrade\r\n"
                          "Sec-WebSocket-Accept: %s\r\n\r\n",
                          accept);
    return write_all(fd, head, (size_t)length) == 0;
}

/* Note the header, if it is one that matters here. Returns false if it may come only once
   and was there before. */
static bool note_header(struct request *request, const char *name, const char *value)
{
    const char **once = NULL;
    if (strcasecmp(name, "Host") == 0)
        once = &request->host;
    else if (strcasecmp(name, "Origin") == 0)
        once = &request->origin;
    else if (strcasecmp(name, "Sec-WebSocket-Key") == 0)
        once = &request->key;
    else if (strcasecmp(name, "Sec-WebSocket-Version") == 0)
        once = &request->websocket_version;
    else if (strcasecmp(name, "Upgrade") == 0 && has_token(value, "websocket"))
        request->upgrade_websocket = true;
    else if (strcasecmp(name, "Connection") == 0 && has_token(value, "upgrade"))
        request->connection_upgrade = true;
    if (once != NULL && *once != NULL)
        return false;
    if (once != NULL)
        *once = value;
    return true;
}

/* Cut the head of the request into its parts (RFC 7230, section 3). They stay in the
   reader's buffer, until fill() is called. Returns NULL, or the status to refuse the
   request with. */
static const char *parse_request(struct reader *in, struct request *request,
                                 const char **why)
{
    *why = "This is not an HTTP request.\n";
    char *line = head_line(in);
    if (line != NULL &&
        *line == '\0') /* one empty line before is passed over: section 3.5 */
        line = head_line(in);
    char *target = line == NULL ? NULL : strchr(line, ' ');
    char *version = target == NULL ? NULL : strchr(target + 1, ' ');
    if (version == NULL || target == line || strncmp(version, " HTTP/", 6) != 0 ||
        !isdigit((unsigned char)version[6]) || version[7] != '.' ||
        !isdigit((unsigned char)version[8]) || version[9] != '\0')
        return "400 Bad Request";
    *target++ = '\0';
    *version++ = '\0';
    request->method = line;
    request->path = cut_path(target);
    request->version = version;
    while ((line = head_line(in)) != NULL && *line != '\0') {
        const char *value = cut_header(line);
        if (value == NULL || !note_header(request, line, value)) {
            *why = "A header line is malformed or there twice.\n";
            return "400 Bad Request";
        }
    }
    if (line == NULL)
        return "400 Bad Request";
    if (request->host == NULL && strcmp(version, "HTTP/1.1") >= 0) {
        *why = "Host is missing.\n";
        return "400 Bad Request";
    }
    return NULL;
}

/* Whether the text is 16 bytes in base64. */
static bool is_key(const char *text)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return strspn(text, digits) == 22 && strcmp(text + 22, "==") == 0;
}

/* The length of the text without the ending, where it ends so. */
static size_t length_without(const char *text, const char *ending)
{
    size_t length = strlen(text), n = strlen(ending);
    return length >= n && strcmp(text + length - n, ending) == 0 ? length - n : length;
}

/* Whether the origin, http://HOST[:PORT] or https://..., is the one that `host` names,
   HOST and PORT being the same, in any case and with the scheme's port left out or not.
   */
static bool same_origin(const char *origin, const char *host)
{
    bool secure = strncasecmp(origin, "https://", 8) == 0;
    if (!secure && strncasecmp(origin, "http://", 7) != 0)
        return false;
    const char *port = secure ? ":443" : ":80";
    origin += secure ? 8 : 7;
    size_t length = length_without(origin, port);
    return length == length_without(host, port) && strncasecmp(origin, host, length) == 0;
}

/* Whether and why the request is refused: for /ws, all that RFC 6455 asks of the client
   in section 4.2.1. Returns NULL, or the status, *why being the line that says why. */
static const char *refusal(const struct request *request, const char **why)
{
    bool websocket = strcmp(request->path, "/ws") == 0;
    if (!websocket && strcmp(request->path, "/") != 0) {
        *why = "There are only / and /ws here.\n";
        return "404 Not Found";
    }
    if (strcmp(request->method, "GET") != 0) {
        *why = "Only GET is allowed.\n";
        return "405 Method Not Allowed";
    }
    if (!websocket)
        return NULL;
    *why = NULL;
    if (strcmp(request->version, "HTTP/1.1") < 0)
        *why = "A WebSocket needs HTTP/1.1.\n";
    else if (request->upgrade_websocket && !request->connection_upgrade)
        *why = "Connection does not say Upgrade.\n";
    if (*why != NULL)
        return "400 Bad Request";
    if (!request->upgrade_websocket)
        *why = "Here is a WebSocket: Upgrade must say websocket.\n";
    else if (request->websocket_version == NULL ||
             strcmp(request->websocket_version, "13") != 0)
        *why = "Sec-WebSocket-Version must be 13.\n";
    if (*why != NULL)
        return "426 Upgrade Required";
    if (request->key == NULL || !is_key(request->key)) {
        *why = "Sec-WebSocket-Key must be 16 bytes of base64.\n";
        return "400 Bad Request";
    }
    if (request->origin != NULL && !option['a'] &&
        !same_origin(request->origin, request->host)) {
        *why = "Pages of other origins are not let in.\n";
        return "403 Forbidden";
    }
    return NULL;
}

/* Send a response with a body, after which the connection is closed. That a client is not
   there to hear it does not matter. */
static void respond(int fd, const char *status, const char *type, const char *body)
{
    const char *more = "";
    if (strncmp(status, "405", 3) == 0)
        more = "Allow: GET\r\n";
    else if (strncmp(status, "426", 3) == 0)
        more =
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
    char head[400];
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 %s\r\nContent-Type: %s; charset=utf-8\r\n"
                          "Content-Length: %zu\r\n%sConnection: close\r\n\r\n",
                          status, type, strlen(body), more);
    if (write_all(fd, head, (size_t)length) == 0)
        write_all(fd, body, strlen(body));
}

/* The page at /, to try the server from. It sets what comes from the network as text,
   never as HTML. */
static const char *page(void)
{
    return "<!DOCTYPE html>\n"
           "<html lang=\"en\">\n"
           "<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<title>wsServer</title>\n"
           "<style>\n"
           "body { font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 0 auto; padding: 1rem }\n"
           "form { display: flex; gap: .5rem }\n"
           "input { flex: 1; min-width: 0 }\n"
           "input, button { font: inherit; padding: .4rem .7rem }\n"
           "#log { font-family: monospace; white-space: pre-wrap; overflow-wrap: anywhere }\n"
           "</style>\n"
           "<h1>wsServer</h1>\n"
           "<p>The connection is <b id=\"state\" role=\"status\">connecting</b>.</p>\n"
           "<form id=\"form\">\n"
           "<input id=\"text\" aria-label=\"Message\" placeholder=\"Message\" autocomplete=\"off\" autofocus>\n"
           "<button id=\"send\">Send</button>\n"
           "</form>\n"
           "<p><button id=\"binary\">Send 4 bytes</button>\n"
           "<button id=\"burst\">Send 100 messages</button>\n"
           "<button id=\"close\">Close</button>\n"
           "<button id=\"open\">Connect</button></p>\n"
           "<div id=\"log\" role=\"log\"></div>\n"
           "<script>\n"
           "const $ = id => document.getElementById(id);\n"
           "let socket;\n"
           "function log(line) {\n"
           "    const entry = document.createElement('div');\n"
           "    entry.textContent = new Date().toLocaleTimeString() + ' ' + line;\n"
           "    $('log').prepend(entry);\n"
           "}\n"
           "function state(text) {\n"
           "    $('state').textContent = text;\n"
           "    const open = text === 'open';\n"
           "    for (const id of ['send', 'binary', 'burst', 'close']) $(id).disabled = !open;\n"
           "    $('open').disabled = !text.startsWith('closed');\n"
           "}\n"
           "function connect() {\n"
           "    state('connecting');\n"
           "    const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://';\n"
           "    socket = new WebSocket(scheme + location.host + '/ws');\n"
           "    socket.binaryType = 'arraybuffer';\n"
           "    socket.onopen = () => { state('open'); log('open'); };\n"
           "    socket.onmessage = event => log('\\u2190 ' + (typeof event.data === 'string' ?\n"
           "        event.data : event.data.byteLength + ' bytes'));\n"
           "    socket.onclose = event => {\n"
           "        const why = event.code + (event.reason ? ' ' + event.reason : '');\n"
           "        state('closed (' + why + ')');\n"
           "        log('closed: ' + why);\n"
           "    };\n"
           "}\n"
           "function send(data) {\n"
           "    socket.send(data);\n"
           "    log('\\u2192 ' + (typeof data === 'string' ? data : data.byteLength + ' bytes'));\n"
           "}\n"
           "$('form').onsubmit = event => {\n"
           "    event.preventDefault();\n"
           "    send($('text').value);\n"
           "    $('text').value = '';\n"
           "};\n"
           "$('binary').onclick = () => send(crypto.getRandomValues(new Uint8Array(4)).buffer);\n"
           "$('burst').onclick = () => { for (let i = 1; i <= 100; i++) send('message ' + i); };\n"
           "$('close').onclick = () => socket.close(1000, 'Close was pressed');\n"
           "$('open').onclick = connect;\n"
           "connect();\n"
           "</script>\n";
}

/* Read the request and answer it: with 101, after which the connection speaks WebSocket,
   with the page, or with a refusal. Returns whether it speaks WebSocket. */
static bool answer_request(struct connection *c)
{
    struct request request = {0};
    const char *why = "";
    const char *status = read_head(&c->in, &why);
    if (status == NULL)
        status = parse_request(&c->in, &request, &why);
    if (status == NULL)
        status = refusal(&request, &why);
    if (status == NULL && strcmp(request.path, "/ws") == 0) {
        if (!option['q'])
            log_text("Connection from: ", c->name, strlen(c->name));
        return upgrade(c->fd, request.key);
    }
    if (status == NULL) {
        respond(c->fd, "200 OK", "text/html", page());
    } else if (*status != '\0') {
        fprintf(stderr, "%s: %s: %s: %s", program, c->name, status, why);
        respond(c->fd, status, "text/plain", why);
    }
    return false;
}

/* Print a message that has come; of a long text only the first LOG_LIMIT bytes, without
   cutting a character. */
static void log_message(int event, const unsigned char *payload, size_t length)
{
    char text[LOG_LIMIT + 40];
    size_t shown = event == BINARY ? 0 : length < LOG_LIMIT ? length : LOG_LIMIT;
    while (shown > 0 && shown < length && (payload[shown] & 0xc0) == 0x80)
        shown--;
    if (shown > 0)
        memcpy(text, payload, shown);
    text[shown] = '\0';
    if (event == BINARY)
        snprintf(text, sizeof text, "%zu bytes", length);
    else if (shown < length)
        snprintf(text + shown, sizeof text - shown, "... (%zu bytes)", length);
    log_text("Received: ", text,
             shown == length && event == TEXT ? length : strlen(text));
}

/* Write two pieces of data, one behind the other, as write_all() would. */
static int write_both(int fd, const unsigned char *first, size_t first_length,
                      const unsigned char *second, size_t second_length)
{
    int stalls = 0;
    while (first_length > 0 && second_length > 0) {
        struct iovec pieces[] = {{(void *)(uintptr_t)first, first_length},
                                 {(void *)(uintptr_t)second, second_length}};
        ssize_t n = writev(fd, pieces, 2);
        if (n < 0 && !try_again(&stalls))
            return -1;
        if (n < 0)
            continue;
        stalls = 0;
        size_t of_first = (size_t)n < first_length ? (size_t)n : first_length;
        first += of_first;
        first_length -= of_first;
        second += (size_t)n - of_first;
        second_length -= (size_t)n - of_first;
    }
    if (write_all(fd, (const char *)first, first_length) < 0)
        return -1;
    return write_all(fd, (const char *)second, second_length);
}

/* Send what is ready and n bytes of payload behind it, unless a Close has been sent.
   Returns false with a complaint if the client is gone or takes nothing. */
static bool flush(struct connection *c, const unsigned char *payload, size_t n)
{
    if (c->ready == 0)
        return true;
    pthread_mutex_lock(&c->sending);
    int result = c->close_sent ? 0 : write_both(c->fd, c->out, c->ready, payload, n);
    int error = errno;
    c->close_sent = c->close_sent || c->last;
    pthread_mutex_unlock(&c->sending);
    c->ready = 0;
    if (result < 0)
        complain("write", c->name, error);
    return result == 0;
}

/* Have a frame sent: put it behind what is ready; where it does not fit, send at once,
   the payload from where it lies. Returns whether the connection goes on. */
static bool send_frame(struct connection *c, int opcode, const unsigned char *payload,
                       size_t length)
{
    if (sizeof c->out - c->ready < 10 && !flush(c, NULL, 0))
        return false;
    c->ready += frame_header(c->out + c->ready, opcode, false, length);
    if (length > sizeof c->out - c->ready)
        return flush(c, payload, length);
    if (length > 0)
        memcpy(c->out + c->ready, payload, length);
    c->ready += length;
    return true;
}

/* Have a Close with the code, or without one if it is 0, sent as the last frame. */
static void send_close(struct connection *c, unsigned code)
{
    const unsigned char payload[] = {(unsigned char)(code >> 8), (unsigned char)code};
    c->last = send_frame(c, CLOSE, payload, code == 0 ? 0 : sizeof payload);
}

/* Give back the memory of large messages while the client is silent. */
static void shed(struct connection *c)
{
    if (c->decoder.message_opcode == 0) {
        close_decoder(&c->decoder);
        c->decoder.message = (struct bytes){0};
    }
    if (c->in.buffer != c->in.first && c->in.start == c->in.end) {
        free(c->in.buffer);
        open_reader(&c->in, c->fd, c->name);
    }
}

/* Close the sending side and read on for 2 s at most, until the client has closed too:
   were the socket closed with bytes in it that nobody has read, a reset would follow, and
   might destroy what was sent last before the client has read it (RFC 7230, section 6.6).
   */
static void finish_sending(int fd)
{
    char unread[512];
    shutdown(fd, SHUT_WR);
    for (long long deadline = now_ms() + 2000; wait_readable(fd, deadline) > 0;) {
        ssize_t n = read(fd, unread, sizeof unread);
        if (n == 0 || (n < 0 && errno != EINTR))
            return;
    }
}
