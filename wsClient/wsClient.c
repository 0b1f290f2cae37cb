/*
 * wsClient.c - a WebSocket client: sends your lines, prints the messages that come
 *
 *   cc -pthread -o wsClient wsClient.c
 *   ./wsClient localhost:1234 /ws    at the other end: wsServer 1234
 *
 *   Go                               here
 *   dialer.Dial(url, nil)            dial(), shake_hands(): a GET request and its 101
 *   c.ReadMessage()                  read_frame()
 *   c.WriteMessage(TextMessage, b)   write_frame(): masked, as a client's must be
 *   select, time.After               poll: stdin, the server, a signal, or time
 *   signal.Notify(interrupt)         sigaction, and a pipe that the handler writes to
 *
 * Not as in the chapter: messages do not carry the line's newline; the last line of stdin
 * is sent too; the end of stdin ends the conversation at once, with a Close.
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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "wsClient";
static const char usage[] =
    "usage: wsClient [-e] [-i SECONDS] HOST:PORT PATH | ws://HOST[:PORT]/PATH\n"
    "Sends each line you type as a WebSocket message and prints what comes.\n"
    "-e: sends messages back; -i: asks for input after so many seconds (4; 0: never)\n";
enum { HOST_SIZE = 256, LINE_LIMIT = 65536, PATH_SIZE = 4096 };
enum { HEAD_LIMIT = 8192, MESSAGE_LIMIT = 16 << 20 };
enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { GONE = 0, MORE = -1 }; /* what read_frame() returns besides TEXT and BINARY */

struct reader {
    int fd;
    size_t start, end; /* what has come and is not taken yet: buffer[start..end) */
    char buffer[LINE_LIMIT];
};

/* What a text leaves open: so many continuation bytes are still to come, the next of them
   from low to high. */
struct utf8 {
    int missing;
    unsigned char low, high;
};

/* The header of a frame (RFC 6455, section 5.2). */
struct frame {
    bool final;
    int opcode;
    uint64_t length;
    unsigned char mask[4];
};

/* One end of a WebSocket. */
struct websocket {
    int fd;
    size_t ready; /* bytes of out[] that wait to be sent */
    unsigned char out[1024];
    bool broken;                  /* a write has failed: no other may follow */
    int opcode;                   /* of the message under way, 0 if there is none */
    struct utf8 utf8;             /* what its text leaves open so far */
    unsigned char *message;       /* its payload so far, or that of the last one, */
    size_t length, size;          /* its length, and the memory it has */
    unsigned code;                /* of the Close that ended the WebSocket, */
    const char *why;              /* and what was wrong, if this end found it */
    size_t start, end;            /* what has come and is not taken yet: in[start..end) */
    unsigned char in[128 * 1024]; /* a page that is never touched costs no memory */
};

static const bool peer_masks = false; /* the frames of a server are not masked */
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char token_characters[] =
    "!#$%&'*+-.^_`|~0123456789" /* RFC 7230, section 3.2.6 */
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static int signal_pipe[2]; /* the handler writes into it */
static FILE *random_file;  /* the kernel's random bytes */
static bool closing;       /* write_frame() has sent a Close: nothing may follow it */

static void check_answer(struct websocket *ws, const char *accept);
static int read_frame(struct websocket *ws);
static bool write_frame(struct websocket *ws, int opcode, unsigned char *data,
                        size_t length);
static bool flush(struct websocket *ws);
static bool check_utf8(struct utf8 *u, const unsigned char *p, size_t n);
static void note_signal(int signal_number);
static _Noreturn void refuse(const char *wrong);
static void read_target(int count, char **arguments, char *server, char *path);
static void random_bytes(unsigned char *data, size_t n);
static void accept_key(const char *key, char *text);
static void base64(const unsigned char *data, size_t n, char *text);
static _Noreturn void die(const char *what, const char *why);
static void set_up(void);
static const char *split_hostport(const char *address, char *host);
static bool has_line(const struct reader *r);
static ssize_t fill(struct reader *r);
static ssize_t read_line(struct reader *r, char **line);
static int write_all(int fd, const char *data, size_t length);
static int print(const char *label, const char *line, size_t length);
static void set_timeout(int fd, int which, int milliseconds);
static long long now_ms(void);

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

/* Ask the server for a WebSocket (RFC 6455, section 4.1), and check its answer. */
static void shake_hands(struct websocket *ws, const char *server, const char *path)
{
    unsigned char nonce[16];
    char key[25], accept[29], request[PATH_SIZE + HOST_SIZE + 300];
    random_bytes(nonce, sizeof nonce);
    base64(nonce, sizeof nonce, key);
    accept_key(key, accept);
    size_t host = strlen(server);
    if (host > 3 && strcmp(server + host - 3, ":80") == 0)
        host -= 3; /* the port that goes without saying */
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
                          "Sec-WebSocket-Version: 13\r\n\r\n",
                          path, (int)host, server, key);
    if (write_all(ws->fd, request, (size_t)length) < 0)
        die("server", strerror(errno));
    check_answer(ws, accept);
}

/* Say goodbye: a Close with code 1000. The server has 2 s to answer it. */
static void say_goodbye(struct websocket *ws)
{
    unsigned char normal[] = {1000 >> 8, 1000 & 0xff};
    write_frame(ws, CLOSE, normal, sizeof normal);
    alarm(2);
}

/* Take a frame from the server; print the message that it makes whole, and with `echo`
   send it back. Returns false at the end of the WebSocket. */
static bool take_frame(struct websocket *ws, bool echo)
{
    int event = read_frame(ws);
    bool fail = event == TEXT && print("Received: ", (char *)ws->message, ws->length) < 0;
    if (event == BINARY)
        fail = printf("Received: %zu bytes\n", ws->length) < 0 || fflush(stdout) != 0;
    if (fail)
        die("stdout", strerror(errno));
    if (echo && (event == TEXT || event == BINARY))
        write_frame(ws, event, ws->message, ws->length);
    return event != GONE;
}

/* Read once from stdin, and send each line that is whole; at its end a Close. */
static void send_lines(struct websocket *ws, struct reader *user)
{
    ssize_t n = fill(user);
    if (n < 0)
        die("stdin", strerror(errno));
    while (has_line(user)) {
        char *line;
        size_t length = (size_t)read_line(user, &line) - 1; /* without its newline */
        struct utf8 u = {0};
        if (check_utf8(&u, (unsigned char *)line, length) && u.missing == 0)
            write_frame(ws, TEXT, (unsigned char *)line, length);
        else
            fprintf(stderr, "%s: stdin: not UTF-8, not sent\n", program);
    }
    if (n == 0)
        say_goodbye(ws);
}

/* Send and print until the WebSocket is closed; with `echo` stdin is not read. Asks for
   input after `patience` milliseconds without (0: never), and gives up the sixth time. */
static void exchange(struct websocket *ws, int patience, bool echo)
{
    static struct reader user = {.fd = STDIN_FILENO};
    long long wake = now_ms() + patience;
    for (int asked = 0;;) {
        while (ws->start < ws->end)
            if (!take_frame(ws, echo))
                return;
        if (!flush(ws) && !closing)
            break;
        struct pollfd ready[] = {
            {ws->fd, POLLIN, 0}, {signal_pipe[0], POLLIN, 0}, {user.fd, POLLIN, 0}};
        long long left = wake - now_ms();
        int limit = patience == 0 || closing ? -1 : left > 0 ? (int)left : 0;
        int n = poll(ready, closing ? 1 : echo ? 2 : 3, limit);
        if (ready[0].revents != 0 && !take_frame(ws, echo))
            return;
        if (n == 0) {
            if (print("Please give me input!", "", 0) < 0)
                die("stdout", strerror(errno));
            wake = now_ms() + patience;
            if (++asked == 6)
                say_goodbye(ws);
        } else if (ready[1].revents != 0) {
            say_goodbye(ws);
        } else if (ready[2].revents != 0) {
            asked = 0;
            wake = now_ms() + patience;
            send_lines(ws, &user);
        }
    }
    set_timeout(ws->fd, SO_RCVTIMEO, 1); /* what the server has said can still be read */
    for (ws->broken = false; take_frame(ws, false);)
        ;
}

/* The handler of SIGINT and SIGTERM: have poll() return. The second signal ends the
   program at once (SA_RESETHAND). And of SIGALRM: the Close has not been answered. */
static void note_signal(int signal_number)
{
    if (signal_number == SIGALRM)
        _exit(0);
    alarm(2); /* poll() may be far away, in a frame that never ends */
    ssize_t written = write(signal_pipe[1], "", 1);
    (void)written; /* two bytes at most (SA_RESETHAND) */
}

int main(int argc, char **argv)
{
    bool echo = false;
    int patience = 4000;
    for (int option; (option = getopt(argc, argv, "ehi:")) != -1;) {
        if (option == 'h' || option == '?') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
        if (option == 'e')
            echo = true;
        else if (strlen(optarg) > 5 || atoi(optarg) > 86400 || *optarg == '\0' ||
                 strspn(optarg, "0123456789") < strlen(optarg))
            refuse("-i takes a number of seconds, 86400 at most");
        else
            patience = atoi(optarg) * 1000;
    }
    static char server[HOST_SIZE + 64], path[PATH_SIZE];
    read_target(argc - optind, argv + optind, server, path);
    set_up();
    random_file = fopen("/dev/urandom", "rb");
    if (random_file == NULL || pipe(signal_pipe) < 0)
        die("/dev/urandom", strerror(errno));
    printf("Connecting to: %s at %s\n", server, path);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("stdout", strerror(errno));

    static struct websocket ws;
    ws.fd = dial(server);
    const int on = 1; /* a frame leaves at once */
    setsockopt(ws.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    shake_hands(&ws, server, path);
    const struct sigaction action = {.sa_handler = note_signal,
                                     .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGALRM, note_signal);
    exchange(&ws, echo || !isatty(STDIN_FILENO) ? 0 : patience, echo);
    bool good = ws.code == 0 || ws.code == 1000 || ws.code == 1001;
    if (ws.why != NULL)
        fprintf(stderr, "%s: server: %u %s\n", program, ws.code, ws.why);
    else if (!good)
        fprintf(stderr, "%s: closed with %u\n", program, ws.code);
    else if (ws.code == 0 && !closing)
        die("server", "connection closed");
    return good ? 0 : 1;
}

/* ---- Frames: the same text in wsServer and wsClient, but for write_frame() ---- */

/* Send what is ready. Returns whether the peer is there to take it. */
static bool flush(struct websocket *ws)
{
    size_t length = ws->ready;
    ws->ready = 0;
    ws->broken = ws->broken || write_all(ws->fd, (char *)ws->out, length) < 0;
    return !ws->broken;
}

/* Apply the mask to n bytes, the first of them byte number `at` of the payload (RFC 6455,
   section 5.3): out[i] = in[i] ^ mask[(at + i) % 4], eight at a time. */
static void apply_mask(unsigned char *out, const unsigned char *in, size_t n,
                       const unsigned char mask[4], uint64_t at)
{
    unsigned char turned[8];
    uint64_t key, word;
    for (size_t i = 0; i < 8; i++)
        turned[i] = mask[(at + i) % 4];
    memcpy(&key, turned, 8);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, in + i, 8);
        word ^= key;
        memcpy(out + i, &word, 8);
    }
    for (; i < n; i++)
        out[i] = in[i] ^ turned[i % 8];
}

/* Check the next n bytes of a text (RFC 3629, section 4): no overlong form, no surrogate,
   nothing above U+10FFFF. *u is what the bytes before left open, {0} at first. Returns
   false at a byte that cannot be. */
static bool check_utf8(struct utf8 *u, const unsigned char *p, size_t n)
{
    for (const unsigned char *end = p + n; p < end; p++) {
        uint64_t word;
        while (u->missing == 0 && end - p > 8 &&
               (memcpy(&word, p, 8), (word & 0x8080808080808080) == 0))
            p += 8; /* eight characters of ASCII */
        while (u->missing == 0 && end - p > 3 && p[0] > 0xe0 && p[0] < 0xed &&
               (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80)
            p += 3; /* most characters of three bytes, Korean ones say */
        if (u->missing > 0) {
            if (*p < u->low || *p > u->high)
                return false;
            u->missing--;
            u->low = 0x80;
            u->high = 0xbf;
        } else if (*p >= 0x80) {
            if (*p < 0xc2 || *p > 0xf4)
                return false;
            u->missing = *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
            u->low = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80;
            u->high = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;
        }
    }
    return true;
}

/* Send a frame, masked with new random bytes (RFC 6455, section 5.3); nothing behind a
   Close. The data is masked where it lies. Returns whether the server is there. */
static bool write_frame(struct websocket *ws, int opcode, unsigned char *data,
                        size_t length)
{
    if (closing)
        return true;
    closing = opcode == CLOSE && !ws->broken;
    if (sizeof ws->out - ws->ready < 14 && !flush(ws))
        return false;
    unsigned char mask[4], *p = ws->out + ws->ready;
    size_t width = length < 126 ? 0 : length < 65536 ? 2 : 8;
    *p++ = (unsigned char)(0x80 | opcode);
    *p++ = (unsigned char)(0x80 | (width == 0 ? length : width == 2 ? 126 : 127));
    for (size_t i = width; i > 0; i--)
        *p++ = (unsigned char)((uint64_t)length >> 8 * (i - 1));
    random_bytes(mask, sizeof mask);
    memcpy(p, mask, sizeof mask);
    ws->ready += 6 + width;
    apply_mask(data, data, length, mask, 0);
    size_t n = sizeof ws->out - ws->ready;
    if (n > length)
        n = length;
    memcpy(ws->out + ws->ready, data, n);
    ws->ready += n;
    if (n < length && !ws->broken)
        ws->broken =
            !flush(ws) || write_all(ws->fd, (const char *)data + n, length - n) < 0;
    return !ws->broken;
}

/* Fail the WebSocket (RFC 6455, section 7.1.7), `why` says for what; or, if that is NULL,
   answer a Close. Sends a Close with the code, an empty one if it is 0. Returns false. */
static bool close_with(struct websocket *ws, unsigned code, const char *why)
{
    unsigned char payload[] = {(unsigned char)(code >> 8), (unsigned char)code};
    ws->code = code;
    ws->why = why;
    if (write_frame(ws, CLOSE, payload, code != 0 ? 2 : 0))
        flush(ws);
    return false;
}

/* Wait for more bytes. What is ready is sent first, so that answers to what came together
   leave together. After SO_RCVTIMEO, if there is one, the memory of a past message is
   given back and the peer is sent a Ping; after that time again it counts as gone.
   Returns false when it is gone. */
static bool receive(struct websocket *ws)
{
    for (bool asked = false; flush(ws);) {
        ssize_t n = read(ws->fd, ws->in, sizeof ws->in);
        ws->start = 0;
        ws->end = n > 0 ? (size_t)n : 0;
        if (n > 0)
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0 || errno != EAGAIN || asked)
            return false;
        if (ws->opcode == 0) {
            free(ws->message);
            ws->message = NULL;
            ws->size = 0;
        }
        asked = write_frame(ws, PING, ws->in, 0);
    }
    return false;
}

/* Take n bytes. Returns false when the peer is gone before they have come. */
static bool take(struct websocket *ws, unsigned char *to, size_t n)
{
    for (; n > 0; n--, ws->start++) {
        if (ws->start == ws->end && !receive(ws))
            return false;
        *to++ = ws->in[ws->start];
    }
    return true;
}

/* Read the header of a frame. Returns whether it is one: false ends the connection. */
static bool read_header(struct websocket *ws, struct frame *f)
{
    unsigned char bytes[8];
    if (!take(ws, bytes, 2))
        return false;
    f->final = (bytes[0] & 0x80) != 0;
    f->opcode = bytes[0] & 0x0f;
    f->length = bytes[1] & 0x7f;
    bool masked = (bytes[1] & 0x80) != 0;
    if ((bytes[0] & 0x70) != 0)
        return close_with(ws, 1002, "reserved bit set");
    if ((f->opcode > BINARY && f->opcode < CLOSE) || f->opcode > PONG)
        return close_with(ws, 1002, "reserved opcode");
    if (f->opcode >= CLOSE && (!f->final || f->length > 125))
        return close_with(ws, 1002, "control frame in fragments or over 125 bytes");
    if (masked != peer_masks)
        return close_with(ws, 1002, masked ? "frame masked" : "frame not masked");

    size_t width = f->length == 126 ? 2 : f->length == 127 ? 8 : 0;
    if (!take(ws, bytes, width))
        return false;
    for (size_t i = 0; i < width; i++)
        f->length = (i == 0 ? 0 : f->length << 8) | bytes[i];
    if ((width == 2 && f->length < 126) || (width == 8 && f->length < 65536) ||
        f->length >> 63 != 0)
        return close_with(ws, 1002, "length not minimal, or negative");
    memset(f->mask, 0, 4);
    return !masked || take(ws, f->mask, 4);
}

/* Read the payload of a frame, unmasked, to `to`; if `u` is given it must be text.
   Returns whether it could be: false ends the connection. */
static bool read_payload(struct websocket *ws, const struct frame *f, unsigned char *to,
                         struct utf8 *u)
{
    for (uint64_t at = 0; at < f->length;) {
        if (ws->start == ws->end && !receive(ws))
            return false;
        size_t n = ws->end - ws->start;
        if (n > f->length - at)
            n = (size_t)(f->length - at);
        apply_mask(to + at, ws->in + ws->start, n, f->mask, at);
        if (u != NULL && !check_utf8(u, to + at, n))
            return close_with(ws, 1007, "text is not UTF-8");
        ws->start += n;
        at += n;
    }
    return true;
}

/* Deal with a control frame (RFC 6455, section 5.5). Returns whether the connection goes
   on. */
static bool take_control(struct websocket *ws, const struct frame *f)
{
    unsigned char payload[125];
    if (!read_payload(ws, f, payload, NULL))
        return false;
    if (f->opcode == PING)
        return write_frame(ws, PONG, payload, (size_t)f->length);
    if (f->opcode == PONG)
        return true;
    if (f->length == 0)
        return close_with(ws, 0, NULL);
    unsigned code = (unsigned)payload[0] << 8 | payload[1]; /* section 7.4 */
    bool registered = code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
    if (f->length == 1 || (!registered && (code < 3000 || code > 4999)))
        return close_with(ws, 1002, "bad close code");
    struct utf8 u = {0};
    if (!check_utf8(&u, payload + 2, (size_t)f->length - 2) || u.missing > 0)
        return close_with(ws, 1007, "close reason is not UTF-8");
    return close_with(ws, code, NULL);
}

/* Make room for a message of n bytes, twice what there is if it may be. Returns whether there
   was the memory. */
static bool reserve(struct websocket *ws, size_t n)
{
    if (n <= ws->size && ws->message != NULL)
        return true;
    size_t size = ws->size == 0 ? 1024 : 2 * ws->size;
    if (size < n || size > MESSAGE_LIMIT)
        size = n;
    unsigned char *larger = realloc(ws->message, size);
    if (larger == NULL)
        return false;
    ws->message = larger;
    ws->size = size;
    return true;
}

/* Read the payload of a frame that is a message or a part of one. Returns whether the
   connection goes on. */
static bool take_data(struct websocket *ws, const struct frame *f)
{
    if ((f->opcode == CONTINUATION) != (ws->opcode != 0))
        return close_with(ws, 1002,
                          ws->opcode ? "message inside a message"
                                     : "continuation of nothing");
    if (ws->opcode == 0) {
        ws->opcode = f->opcode;
        ws->length = 0;
    }
    if (f->length > MESSAGE_LIMIT - ws->length)
        return close_with(ws, 1009, "message over 16 MiB");
    if (!reserve(ws, ws->length + (size_t)f->length))
        return close_with(ws, 1011, "out of memory");
    if (!read_payload(ws, f, ws->message + ws->length,
                      ws->opcode == TEXT ? &ws->utf8 : NULL))
        return false;
    ws->length += (size_t)f->length;
    if (f->final && ws->utf8.missing > 0)
        return close_with(ws, 1007, "text ends inside a character");
    return true;
}

/* Read a frame, and answer it if it is a control frame. Returns TEXT or BINARY if it
   makes a message whole, which is in ws->message then; MORE if not; GONE at the end of
   the WebSocket, of which the peer has been told if it is there. */
static int read_frame(struct websocket *ws)
{
    struct frame f;
    if (!read_header(ws, &f))
        return GONE;
    if (f.opcode >= CLOSE)
        return take_control(ws, &f) ? MORE : GONE;
    if (!take_data(ws, &f))
        return GONE;
    if (!f.final)
        return MORE;
    int opcode = ws->opcode;
    ws->opcode = 0;
    return opcode;
}

/* ---- The command line, the handshake ---- */

/* Say what is wrong with the command line and how it should look, and exit with 2. */
static _Noreturn void refuse(const char *wrong)
{
    fprintf(stderr, "%s: %s\n%s", program, wrong, usage);
    exit(2);
}

/* Take the server, as HOST:PORT, and the path out of the one or two arguments. */
static void read_target(int count, char **arguments, char *server, char *path)
{
    if (count > 0 && strncasecmp(arguments[0], "wss://", 6) == 0)
        refuse("wss:// needs TLS, which is not there");
    bool url = count > 0 && strncasecmp(arguments[0], "ws://", 5) == 0;
    if (count != (url ? 1 : 2))
        refuse("Need SERVER + PATH!");
    const char *host = arguments[0], *rest = arguments[1], *port = "";
    size_t length = strlen(host);
    if (url) {
        host += 5;
        length = strcspn(host, "/?#");
        rest = host + length;
        size_t bracket = *host == '[' ? strcspn(host, "]/?#") : 0;
        const char *colon = memchr(host + bracket, ':', length - bracket);
        port = colon == NULL ? ":80" : colon + 1 == rest ? "80" : "";
    }
    if (length > HOST_SIZE + 50 || strlen(rest) > PATH_SIZE - 2 ||
        memchr(host, '@', length))
        refuse("the address is too long, or has a user in it");
    snprintf(server, HOST_SIZE + 64, "%.*s%s", (int)length, host, port);
    snprintf(path, PATH_SIZE, "%s%s", *rest == '/' ? "" : "/", rest);
    for (const char *p = path; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '#')
            refuse("PATH has a character in it that must be percent-encoded");
}

/* Read the head of an HTTP message, up to its empty line, within 5 s. Returns 0 when it
   is at ws->in, ended by a NUL, with ws->start behind it; or -1 with errno: ETIMEDOUT,
   EMSGSIZE for one over 8 KiB, ECONNRESET when the peer has left. */
static int read_head(struct websocket *ws)
{
    const long long deadline = now_ms() + 5000;
    for (size_t i = 0; i < HEAD_LIMIT; i++) {
        while (i == ws->end) {
            const long long left = deadline - now_ms();
            if (left <= 0) {
                errno = ETIMEDOUT;
                return -1;
            }
            set_timeout(ws->fd, SO_RCVTIMEO, (int)left);
            ssize_t n = read(ws->fd, ws->in + i, sizeof ws->in - i);
            if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
                errno = ECONNRESET;
                return -1;
            }
            ws->end += n > 0 ? (size_t)n : 0;
        }
        if (ws->in[i] == '\n' && /* people type bare newlines into nc */
            ((i >= 1 && ws->in[i - 1] == '\n') ||
             (i >= 2 && ws->in[i - 1] == '\r' && ws->in[i - 2] == '\n'))) {
            ws->in[i] = '\0';
            ws->start = i + 1;
            return 0;
        }
    }
    errno = EMSGSIZE;
    return -1;
}

/* Take the next line out of *text and end it with a NUL. */
static char *next_line(char **text)
{
    char *line = *text, *newline = strchr(line, '\n');
    *text = newline == NULL ? line + strlen(line) : newline + 1;
    if (newline != NULL)
        *newline = '\0';
    size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\r')
        line[length - 1] = '\0';
    return line;
}

/* Whether the list of tokens, with commas between them, has the token, in any case. */
static bool has_token(const char *list, const char *token)
{
    for (size_t n; *list != '\0'; list += n) {
        list += strspn(list, ", \t");
        n = strcspn(list, ",");
        size_t length = n;
        while (length > 0 && (list[length - 1] == ' ' || list[length - 1] == '\t'))
            length--;
        if (length == strlen(token) && strncasecmp(list, token, length) == 0)
            return true;
    }
    return false;
}

/* Cut a header line, `Name: value`, in two (RFC 7230, section 3.2). Returns the value,
   blanks around it aside, and leaves the name in `name`; NULL if it is no header line. */
static char *cut_header(char *name)
{
    char *value = name + strcspn(name, ":"), *last = value + strlen(value);
    if (value == name || *value == '\0' || name + strspn(name, token_characters) != value)
        return NULL;
    *value++ = '\0';
    value += strspn(value, " \t");
    while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
        *--last = '\0';
    for (const char *p = value; p < last; p++)
        if (iscntrl((unsigned char)*p) && *p != '\t')
            return NULL;
    return value;
}

/* Note a header line of the answer: what it must say, in *seen, and what it must not. */
static void note_answer(char *line, const char *accept, unsigned *seen)
{
    const char *value = cut_header(line);
    if (value == NULL)
        die("server", "malformed header line in the answer");
    if (strcasecmp(line, "Upgrade") == 0 && strcasecmp(value, "websocket") == 0)
        *seen |= 1;
    else if (strcasecmp(line, "Upgrade") == 0)
        die("server", "upgrades to something else");
    if (strcasecmp(line, "Connection") == 0 && has_token(value, "upgrade"))
        *seen |= 2;
    if (strcasecmp(line, "Sec-WebSocket-Accept") == 0) {
        if ((*seen & 4) != 0 || strcmp(value, accept) != 0)
            die("server", "wrong Sec-WebSocket-Accept in the answer");
        *seen |= 4;
    }
    if (strcasecmp(line, "Sec-WebSocket-Extensions") == 0 && *value != '\0')
        die("server", "an extension that was not asked for");
    if (strcasecmp(line, "Sec-WebSocket-Protocol") == 0)
        die("server", "a subprotocol that was not asked for");
}

/* Read the server's answer, and check it (RFC 6455, section 4.1): its
   Sec-WebSocket-Accept must be `accept`. What has come behind it stays in ws->in. */
static void check_answer(struct websocket *ws, const char *accept)
{
    if (read_head(ws) < 0)
        die("server", errno == ECONNRESET ? "connection closed" : strerror(errno));
    if (memcmp(ws->in, "HTTP/", 5) != 0 || memchr(ws->in, '\0', ws->start - 1) != NULL)
        die("server", "not an HTTP answer");
    char *text = (char *)ws->in, *line = next_line(&text);
    if (strncmp(line, "HTTP/1.1 101", 12) != 0 || (line[12] != ' ' && line[12] != '\0')) {
        for (char *p = line; *p != '\0'; p++)
            if (*p < ' ' || *p > '~') /* it goes to the terminal */
                *p = '?';
        die("server", line);
    }
    unsigned seen = 0;
    while (*(line = next_line(&text)) != '\0')
        note_answer(line, accept, &seen);
    if (seen != 7)
        die("server", "no Upgrade, Connection or Sec-WebSocket-Accept in the answer");
    set_timeout(ws->fd, SO_RCVTIMEO, 0); /* from here on poll() waits */
}

/* The bits of x moved n places to the left, those that leave coming back on the right. */
static uint32_t rotate(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

/* SHA-1 (RFC 3174) of a text of 60 bytes, which makes two blocks with its padding. */
static void sha1(const char text[60], unsigned char digest[20])
{
    unsigned char data[128] = {0}, *block = data;
    memcpy(data, text, 60);
    data[60] = 0x80;
    data[126] = 480 >> 8; /* its length in bits */
    data[127] = 480 & 0xff;
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (; block < data + 128; block += 64) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int t = 0; t < 80; t++) {
            if (t < 16)
                w[t] = (uint32_t)block[t * 4] << 24 | (uint32_t)block[t * 4 + 1] << 16 |
                       (uint32_t)block[t * 4 + 2] << 8 | block[t * 4 + 3];
            else
                w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
            uint32_t f = t < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                         : t < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                         : t < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                                  : (b ^ c ^ d) + 0xca62c1d6;
            f += rotate(a, 5) + e + w[t];
            e = d;
            d = c;
            c = rotate(b, 30);
            b = a;
            a = f;
        }
        h[0] += a;
        h[1] += b;
        h[2] += c;
        h[3] += d;
        h[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - i % 4 * 8));
}

/* Base64 (RFC 4648, section 4) of n bytes, into text[(n + 2) / 3 * 4 + 1]. */
static void base64(const unsigned char *data, size_t n, char *text)
{
    for (size_t i = 0; i < n; i += 3) {
        uint32_t group = (uint32_t)data[i] << 16 |
                         (i + 1 < n ? (uint32_t)data[i + 1] << 8 : 0) |
                         (i + 2 < n ? data[i + 2] : 0);
        for (int bits = 18; bits >= 0; bits -= 6)
            *text++ = base64_digits[group >> bits & 63];
    }
    memset(text - (3 - n % 3) % 3, '=', (3 - n % 3) % 3);
    *text = '\0';
}

/* The Sec-WebSocket-Accept of a key (RFC 6455, section 4.2.2), 24 bytes, into text[29]. */
static void accept_key(const char *key, char *text)
{
    char joined[61];
    unsigned char digest[20];
    snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(joined, digest);
    base64(digest, sizeof digest, text);
}

/* Fill data[n] with random bytes of the kernel's. */
static void random_bytes(unsigned char *data, size_t n)
{
    if (fread(data, 1, n, random_file) != n)
        die("/dev/urandom", "cannot be read");
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

/* Have a read (SO_RCVTIMEO) or a write (SO_SNDTIMEO) that waits for so many milliseconds
   fail with EAGAIN. */
static void set_timeout(int fd, int which, int milliseconds)
{
    const struct timeval patience = {.tv_sec = milliseconds / 1000,
                                     .tv_usec = milliseconds % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, which, &patience, sizeof patience);
}

/* Milliseconds on a clock that nobody sets. */
static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
