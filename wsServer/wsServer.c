/*
 * wsServer.c - a WebSocket echo server, with a page to try it from a browser
 *
 *   cc -pthread -o wsServer wsServer.c
 *   ./wsServer 1234                  at the other end: wsClient localhost:1234 /ws, or a
 *                                    browser at http://localhost:1234/
 *
 *   Go                               here
 *   http.ListenAndServe(":1234")     listen_on(), accept_client(): HTTP is lines over TCP
 *   upgrader.Upgrade(w, r, nil)      upgrade(): one GET request becomes a WebSocket
 *   ws.ReadMessage()                 read_message(): frames, fragments, masks, UTF-8
 *   ws.WriteMessage(mt, message)     write_frame(): a header, then the bytes
 *
 * Not as in the chapter: messages have a limit, text must be UTF-8, pages of other
 * origins are refused (-a lets them in), clients that do not read or have vanished are
 * let go.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "wsServer";
static const char usage[] =
    "usage: wsServer [-a] [-q] [[HOST:]PORT]\n"
    "Echoes WebSocket messages at /ws of PORT (1234); at / is a page to try it.\n"
    "-a: lets pages of any origin in; -q: does not print the messages\n";
enum { HOST_SIZE = 256, BACKLOG = 4096, ADDRESS_SIZE = 80, STACK_SIZE = 65536 };
enum { HEAD_LIMIT = 8192, MESSAGE_LIMIT = 16 << 20, LOG_LIMIT = 1024 };
enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { GONE = 0, MORE = -1 }; /* what read_frame() returns besides TEXT and BINARY */

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

/* What matters of a request; the values of headers that are not there are NULL. */
struct request {
    const char *method, *path, *version;
    const char *host, *origin, *key, *websocket_version;
    bool upgrade, connection; /* Upgrade says websocket, Connection says upgrade */
    bool body;                /* a body follows */
};

static const bool peer_masks = true; /* the frames of a client are masked */
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char token_characters[] =
    "!#$%&'*+-.^_`|~0123456789" /* RFC 7230, section 3.2.6 */
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char host_characters[] =
    "[]:%-._~!$&'()*+,;=0123456789" /* RFC 3986, 3.2 */
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static bool quiet, any_origin;

static int read_message(struct websocket *ws);
static bool write_frame(struct websocket *ws, int opcode, const unsigned char *data,
                        size_t length);
static const char *read_request(struct websocket *ws, struct request *r);
static const char *refusal(const struct request *r);
static void respond(int fd, const char *answer);
static void accept_key(const char *key, char *text);
static const char *page(void);
static const char *name_client(int fd, char *name);
static void log_message(int opcode, const unsigned char *message, size_t length);
static void finish(struct websocket *ws);
static _Noreturn void die(const char *what, const char *why);
static void set_up(void);
static void leave(int signal_number);
static void hold_on(const char *what, int error);
static const char *split_hostport(const char *address, char *host);
static int write_all(int fd, const char *data, size_t length);
static int print(const char *label, const char *line, size_t length);
static void set_timeout(int fd, int which, int milliseconds);
static long long now_ms(void);

/* Make a socket that listens at [HOST:]PORT. A HOST that is a name is its IPv4 address
   first, as in Go. Without a HOST it is every address of this machine: IPv6, whose socket
   takes IPv4 too (RFC 3493, section 3.7), or IPv4 where there is no IPv6. */
static int listen_on(const char *address)
{
    char host[HOST_SIZE];
    const char *port = split_hostport(address, host);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
    struct addrinfo *a = NULL;
    int fd = -1, gai = 0;
    for (int i = 0; i < 2 && fd < 0; i++) {
        if (a != NULL) /* there is no such family here */
            freeaddrinfo(a);
        hints.ai_family = (i == 0) == (*host == '\0') ? AF_INET6 : AF_INET;
        gai = getaddrinfo(*host ? host : NULL, port, &hints, &a);
        if (gai == 0)
            fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    }
    if (fd < 0)
        die(address, gai == 0 || gai == EAI_SYSTEM ? strerror(errno) : gai_strerror(gai));

    const int on = 1, off = 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); /* to restart at once */
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        die(address, errno == EACCES ? "Permission denied (ports below 1024 are for root)"
                                     : strerror(errno));
    freeaddrinfo(a);

    struct sockaddr_storage bound = {0}; /* port 0 has become a free one by now */
    socklen_t size = sizeof bound;
    char name[64] = "?", number[8] = "?";
    getsockname(fd, (struct sockaddr *)&bound, &size);
    getnameinfo((struct sockaddr *)&bound, size, name, sizeof name, number, sizeof number,
                NI_NUMERICHOST | NI_NUMERICSERV);
    const char *format =
        strchr(name, ':') ? "%s: listening on [%s]:%s\n" : "%s: listening on %s:%s\n";
    fprintf(stderr, format, program, name, number);
    return fd;
}

/* Wait for the next client; while there is no descriptor for one, say so each second. Its
   answers leave at once; if it vanishes, probes find out, one each 15 s as in Go. */
static int accept_client(int listener)
{
    int fd;
    while ((fd = accept(listener, NULL, NULL)) < 0)
        if (errno != ECONNABORTED) /* it left before it was accepted */
            hold_on("accept", errno);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
#if defined TCP_KEEPIDLE && defined TCP_KEEPINTVL /* not in POSIX.1-2008 */
    const int seconds = 15;
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
#endif
    return fd;
}

/* Answer the request: with 101, which makes the connection a WebSocket, with the page, or
   with a refusal. Returns whether it is a WebSocket now. */
static bool upgrade(struct websocket *ws)
{
    struct request r = {0};
    const char *answer = read_request(ws, &r);
    if (answer == NULL)
        answer = refusal(&r);
    if (answer == NULL && strcmp(r.path, "/") == 0)
        answer = page();
    if (answer != NULL) {
        if (*answer != '\0')
            respond(ws->fd, answer);
        return false;
    }
    char accept_value[29], head[160];
    accept_key(r.key, accept_value);
    int length = snprintf(head, sizeof head,
                          "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                          accept_value);
    return write_all(ws->fd, head, (size_t)length) == 0;
}

/* The thread of one client. One that is silent for 30 s is asked whether it is there, by
   receive(); one that takes nothing is gone after a few writes of 20 s. */
static void *handle_connection(void *argument)
{
    struct websocket *ws = argument;
    if (upgrade(ws)) {
        char name[ADDRESS_SIZE];
        if (!quiet) {
            name_client(ws->fd, name);
            print("Connection from: ", name, strlen(name));
        }
        set_timeout(ws->fd, SO_RCVTIMEO, 30000);
        set_timeout(ws->fd, SO_SNDTIMEO, 20000);
        for (int opcode; (opcode = read_message(ws)) != GONE;) {
            if (!quiet)
                log_message(opcode, ws->message, ws->length);
            if (!write_frame(ws, opcode, ws->message, ws->length))
                break;
        }
        if (ws->why != NULL)
            fprintf(stderr, "%s: %s: %u %s\n", program, name_client(ws->fd, name),
                    ws->code, ws->why);
    }
    finish(ws);
    free(ws->message);
    free(ws);
    return NULL;
}

int main(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "ahq")) != -1;) {
        if (option != 'a' && option != 'q') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
        any_origin = any_origin || option == 'a';
        quiet = quiet || option == 'q';
    }
    if (argc > optind + 1) {
        fprintf(stderr, "%s: one address at most\n%s", program, usage);
        return 2;
    }
    set_up();
    signal(SIGINT, leave);
    signal(SIGTERM, leave);
    int listener = listen_on(argc > optind ? argv[optind] : "1234");

    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    for (;;) {
        struct websocket *ws;
        while ((ws = malloc(sizeof *ws)) == NULL)
            hold_on("malloc", errno);
        memset(ws, 0, offsetof(struct websocket, in)); /* in[] has no memory yet */
        ws->fd = accept_client(listener);
        pthread_t thread;
        int error;
        while ((error = pthread_create(&thread, &attr, handle_connection, ws)) != 0)
            hold_on("pthread_create", error);
    }
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

/* Have a frame sent (RFC 6455, section 5.2): behind what is ready, and what does not fit
   at once, from where it lies; no header alone. Returns whether the peer is there. */
static bool write_frame(struct websocket *ws, int opcode, const unsigned char *data,
                        size_t length)
{
    if (sizeof ws->out - ws->ready < 14 && !flush(ws))
        return false;
    unsigned char *p = ws->out + ws->ready;
    size_t width = length < 126 ? 0 : length < 65536 ? 2 : 8;
    *p++ = (unsigned char)(0x80 | opcode);
    *p++ = (unsigned char)(width == 0 ? length : width == 2 ? 126 : 127);
    for (size_t i = width; i > 0; i--)
        *p++ = (unsigned char)((uint64_t)length >> 8 * (i - 1));
    ws->ready += 2 + width;
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

/* Read the next message into ws->message. Returns TEXT or BINARY, or GONE. */
static int read_message(struct websocket *ws)
{
    int event;
    while ((event = read_frame(ws)) == MORE)
        ;
    return event;
}

/* ---- HTTP ---- */

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

/* Note a header line, if it is one that matters. Returns false if it is no header line,
   or there for the second time where it may be once. */
static bool note_header(struct request *r, char *line)
{
    const char *value = cut_header(line);
    if (value == NULL)
        return false;
    if (strcasecmp(line, "Upgrade") == 0)
        r->upgrade = r->upgrade || has_token(value, "websocket");
    if (strcasecmp(line, "Connection") == 0)
        r->connection = r->connection || has_token(value, "upgrade");
    const struct {
        const char *name, **value;
    } once[] = {{"Host", &r->host},
                {"Origin", &r->origin},
                {"Sec-WebSocket-Key", &r->key},
                {"Sec-WebSocket-Version", &r->websocket_version}};
    for (size_t i = 0; i < sizeof once / sizeof *once; i++) {
        if (strcasecmp(line, once[i].name) != 0)
            continue;
        if (*once[i].value != NULL)
            return false;
        *once[i].value = value;
    }
    if (strcasecmp(line, "Transfer-Encoding") == 0 ||
        (strcasecmp(line, "Content-Length") == 0 && strcmp(value, "0") != 0))
        r->body = true;
    return true;
}

/* Read a request and take it apart (RFC 7230, section 3). Returns NULL, or the
   answer that refuses it: "" if the client has left without a word. */
static const char *read_request(struct websocket *ws, struct request *r)
{
    static const char bad_request[] = "400 Bad Request\nThis is not an HTTP request.\n";
    if (read_head(ws) < 0) {
        if (errno == ETIMEDOUT)
            return "408 Request Timeout\nThe request did not come within 5 seconds.\n";
        if (errno == EMSGSIZE)
            return "431 Request Header Fields Too Large\nThe request is over 8 KiB.\n";
        return ws->end == 0 ? "" : "400 Bad Request\nThe request is not complete.\n";
    }
    if (memchr(ws->in, '\0', ws->start - 1) != NULL)
        return bad_request;
    char *text = (char *)ws->in, *line = next_line(&text);
    if (*line == '\0') /* one empty line before it is passed over (section 3.5) */
        line = next_line(&text);
    char *target = strchr(line, ' ');
    char *version = target != NULL ? strchr(target + 1, ' ') : NULL;
    if (version == NULL || target == line ||
        line + strspn(line, token_characters) != target || strlen(version) != 9 ||
        strncmp(version, " HTTP/", 6) != 0 || !isdigit((unsigned char)version[6]) ||
        version[7] != '.' || !isdigit((unsigned char)version[8]))
        return bad_request;
    *target++ = '\0';
    *version++ = '\0';
    target[strcspn(target, "?")] = '\0';
    r->method = line;
    r->path = target;
    r->version = version;
    if (strncasecmp(target, "http://", 7) == 0) { /* the absolute form (section 5.3.2) */
        const char *slash = strchr(target + 7, '/');
        r->path = slash != NULL ? slash : "/";
    }
    while (*(line = next_line(&text)) != '\0')
        if (!note_header(r, line))
            return "400 Bad Request\nA header line is malformed or there twice.\n";
    if (r->host == NULL ? strcmp(version, "HTTP/1.1") >= 0
                        : r->host[strspn(r->host, host_characters)] != '\0')
        return "400 Bad Request\nHost is missing or malformed.\n";
    return NULL;
}

/* Whether the origin, http://HOST[:PORT] or https://..., is where `host` is, in any case
   and with the scheme's own port left out or not. */
static bool same_origin(const char *origin, const char *host)
{
    bool secure = strncasecmp(origin, "https://", 8) == 0;
    if (host == NULL || (!secure && strncasecmp(origin, "http://", 7) != 0))
        return false;
    origin += secure ? 8 : 7;
    const char *port = secure ? ":443" : ":80", *names[] = {origin, host};
    size_t lengths[] = {0, 0};
    for (int i = 0; i < 2; i++) {
        const char *colon = strrchr(names[i], ':');
        lengths[i] = colon && strcmp(colon, port) == 0 ? (size_t)(colon - names[i])
                                                       : strlen(names[i]);
    }
    return lengths[0] == lengths[1] && strncasecmp(origin, host, lengths[0]) == 0;
}

/* Whether and why the request is refused: for /ws, all that RFC 6455 asks of the client
   in section 4.2.1. Returns the answer that does, its status and, behind a newline, why;
   NULL if there is nothing wrong. */
static const char *refusal(const struct request *r)
{
    bool websocket = strcmp(r->path, "/ws") == 0;
    if (!websocket && strcmp(r->path, "/") != 0)
        return "404 Not Found\nThere are only / and /ws here.\n";
    if (strcmp(r->method, "GET") != 0)
        return "405 Method Not Allowed\nOnly GET is allowed.\n";
    if (r->body)
        return "400 Bad Request\nA body is not expected.\n";
    if (!websocket)
        return NULL;
    if (strcmp(r->version, "HTTP/1.1") < 0)
        return "400 Bad Request\nA WebSocket needs HTTP/1.1.\n";
    if (!r->upgrade)
        return "426 Upgrade Required\nUpgrade must say websocket.\n";
    if (!r->connection)
        return "400 Bad Request\nConnection must say upgrade.\n";
    if (r->websocket_version == NULL || strcmp(r->websocket_version, "13") != 0)
        return "426 Upgrade Required\nSec-WebSocket-Version must be 13.\n";
    if (r->key == NULL || strspn(r->key, base64_digits) != 22 ||
        strcmp(r->key + 22, "==") != 0)
        return "400 Bad Request\nSec-WebSocket-Key must be 16 bytes of base64.\n";
    if (r->origin != NULL && !any_origin && !same_origin(r->origin, r->host))
        return "403 Forbidden\nPages of other origins are not let in.\n";
    return NULL;
}

/* Send an answer, its status on the first line and its body behind it, after which the
   connection is closed. A refusal is said on stderr too. */
static void respond(int fd, const char *answer)
{
    int status = (int)strcspn(answer, "\n");
    const char *body = answer + status + 1, *more = "";
    if (strncmp(answer, "405", 3) == 0)
        more = "Allow: GET\r\n";
    if (strncmp(answer, "426", 3) == 0)
        more = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
               "Sec-WebSocket-Version: 13\r\n";
    if (*answer != '2') {
        char name[ADDRESS_SIZE];
        fprintf(stderr, "%s: %s: %.*s: %s", program, name_client(fd, name), status,
                answer, body);
    }
    char head[400];
    int length =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %.*s\r\nContent-Type: text/%s; charset=utf-8\r\n"
                 "Content-Length: %zu\r\n%sConnection: close\r\n\r\n",
                 status, answer, *answer == '2' ? "html" : "plain", strlen(body), more);
    if (write_all(fd, head, (size_t)length) == 0)
        write_all(fd, body, strlen(body));
}

/* ---- The accept key ---- */

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

/* ---- The page, the log, the end ---- */

/* The page at /, to try the server from. It sets what comes from the network as text,
   never as HTML. */
static const char *page(void)
{
    return "200 OK\n"
           "<!DOCTYPE html><html lang=\"en\">\n"
           "<meta charset=\"utf-8\">\n"
           "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
           "<link rel=\"icon\" href=\"data:,\">\n"
           "<title>wsServer</title>\n"
           "<style>\n"
           "body { font: 1rem/1.5 sans-serif; max-width: 40rem; margin: auto; padding: 1rem }\n"
           "form { display: flex; gap: .5rem } input { flex: 1; min-width: 0 }\n"
           "#log { white-space: pre-wrap; overflow-wrap: anywhere }\n"
           "</style>\n"
           "<h1>wsServer</h1>\n"
           "<p>The connection is <b id=\"state\" role=\"status\">connecting</b>.</p>\n"
           "<form id=\"form\">\n"
           "<input id=\"text\" aria-label=\"Message\" autocomplete=\"off\" autofocus>\n"
           "<button id=\"send\">Send</button></form>\n"
           "<p><button id=\"close\">Close</button> <button id=\"open\">Connect</button></p>\n"
           "<div id=\"log\" role=\"log\"></div>\n"
           "<script>\n"
           "const $ = id => document.getElementById(id);\n"
           "let socket;\n"
           "function log(line) {\n"
           "    $('log').prepend(new Date().toLocaleTimeString() + ' ' + line + '\\n');\n"
           "}\n"
           "function state(text) {\n"
           "    $('state').textContent = text;\n"
           "    $('send').disabled = $('close').disabled = text !== 'open';\n"
           "    $('open').disabled = !text.startsWith('closed');\n"
           "    log(text);\n"
           "}\n"
           "function connect() {\n"
           "    state('connecting');\n"
           "    socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws');\n"
           "    socket.onopen = () => state('open');\n"
           "    socket.onmessage = event => log('\\u2190 ' + event.data);\n"
           "    socket.onclose = event => state(`closed (${event.code} ${event.reason})`);\n"
           "}\n"
           "$('form').onsubmit = event => {\n"
           "    event.preventDefault();\n"
           "    socket.send($('text').value);\n"
           "    log('\\u2192 ' + $('text').value);\n"
           "    $('text').value = '';\n"
           "};\n"
           "$('close').onclick = () => socket.close(1000, 'Close was pressed');\n"
           "$('open').onclick = connect;\n"
           "connect();\n"
           "</script>\n";
}

/* Write where the client is into name[ADDRESS_SIZE], and return that: 127.0.0.1:80 or
   [::1]:80, as Go does; an IPv4 client of an IPv6 socket (::ffff:127.0.0.1) as IPv4. */
static const char *name_client(int fd, char *name)
{
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    char host[64] = "?", port[8] = "?";
    getpeername(fd, (struct sockaddr *)&peer, &size);
    getnameinfo((struct sockaddr *)&peer, size, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    const char *shown = strncmp(host, "::ffff:", 7) == 0 ? host + 7 : host;
    snprintf(name, ADDRESS_SIZE, strchr(shown, ':') ? "[%s]:%s" : "%s:%s", shown, port);
    return name;
}

/* Print a message that has come; of a long text its beginning. */
static void log_message(int opcode, const unsigned char *message, size_t length)
{
    char label[64] = "Received: ";
    size_t shown = opcode == BINARY ? 0 : length < LOG_LIMIT ? length : LOG_LIMIT;
    while (shown > 0 && shown < length && (message[shown] & 0xc0) == 0x80)
        shown--; /* without cutting a character */
    if (opcode == BINARY)
        snprintf(label, sizeof label, "Received: %zu bytes", length);
    else if (shown < length)
        snprintf(label, sizeof label, "Received (%zu bytes): ", length);
    print(label, (const char *)message, shown);
}

/* Close the connection: first the sending side, then, when the client has closed too or
   after 2 to 4 s, all of it. Closed with bytes in it that nobody has read, it would be reset,
   and the client might never read what was sent last (RFC 7230, section 6.6). To one that
   takes nothing a reset is right: the kernel forgets what was to be sent. */
static void finish(struct websocket *ws)
{
    shutdown(ws->fd, SHUT_WR);
    set_timeout(ws->fd, SO_RCVTIMEO, 2000);
    for (long long deadline = now_ms() + 2000; now_ms() < deadline; errno = 0)
        if (read(ws->fd, ws->in, sizeof ws->in) <= 0 && errno != EINTR)
            break;
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    if (ws->broken)
        setsockopt(ws->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(ws->fd);
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

/* The handler of SIGINT and SIGTERM: end the program, which closes its sockets. In a
   container, where it may be process 1, nothing else would. */
static void leave(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

/* The system is short of something (`error`, an errno value) that clients will give back
   when they leave: say so, and wait a second. */
static void hold_on(const char *what, int error)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, strerror(error));
    sleep(1);
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
