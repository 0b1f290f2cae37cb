/*
 * wsClient.c - a WebSocket client: sends the lines you type, prints the messages it gets
 *
 *   cc -o wsClient wsClient.c
 *   ./wsClient localhost:1234 /ws    talks to wsServer 1234
 *
 *   Go                               C
 *   dialer.Dial(url, nil)            dial(), handshake(): a GET request and its 101
 *   c.ReadMessage()                  read_more(), next_message()
 *   c.WriteMessage(TextMessage, b)   write_frame(): masked, as from every client
 *   select, time.After               poll: the server, SIGINT, stdin, or the time
 *   signal.Notify(interrupt)         sigaction, and a pipe that the handler writes to
 *
 * Unlike the chapter's version, it sends lines without their newline, goes on reading
 * while a line waits to be sent, and at the end waits for the server's last messages and
 * Close. Start with Conversation, then read Handshake and Frames; Tools can wait.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
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
    "  -e  send every message back instead of reading stdin\n"
    "  -i  ask for input after that many seconds (4; 0: never)\n";
enum { HOST_SIZE = 256, TARGET_SIZE = 4096, LINE_SIZE = 65536, REMINDERS = 6 };
enum { HEAD_LIMIT = 8192, MESSAGE_LIMIT = 16 << 20 }; /* bytes */
enum { HANDSHAKE_TIMEOUT = 30000, READ_TIMEOUT = 30000, CLOSE_TIMEOUT = 2000 }; /* ms */
enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { NO_STATUS = 1005 }; /* stands for a Close without a code, and is never sent */
enum { COMPLETE = 0, INCOMPLETE = -1, CLOSED = -2 }; /* or TEXT, BINARY: next_message() */

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

/* The state of a UTF-8 decoder between two bytes: how many bytes of a character are still
   missing, and the range of the next one. All zero between two characters. */
struct utf8 {
    int missing;
    unsigned char low, high;
};

/* One end of a WebSocket connection. */
struct websocket {
    int fd;
    FILE *out;             /* writes to fd; fully buffered, in out_buffer */
    char out_buffer[1024]; /* enough to answer many short messages in one write */
    bool in_frame;         /* a frame is being read, and this is its header: */
    bool fin;              /* it ends its message */
    int frame_opcode;
    uint64_t payload_length;
    unsigned char mask[4];       /* zero if it is not masked */
    uint64_t offset;             /* bytes of its payload that have been consumed */
    int opcode;                  /* of the message being read, 0 between messages */
    struct utf8 utf8;            /* where its text stands */
    unsigned char *message;      /* what has been read of it, or the last whole message */
    size_t length, capacity;     /* bytes of message in use, and allocated */
    unsigned close_code;         /* received or, on failure, sent; 0 without a Close */
    const char *failure;         /* why this end failed the connection, or NULL */
    size_t start, end;           /* in[start..end) has been read but not yet consumed */
    unsigned char in[32 * 1024]; /* last: pages that are never touched cost no memory */
};

/* A conversation between the user and the server. Times are those of now_ms(). */
struct session {
    struct websocket ws;
    struct linebuf user;   /* stdin */
    unsigned char *line;   /* of the user, waits to be sent; NULL if there is none */
    size_t line_length;    /* without the newline */
    bool echo;             /* -e: stdin is not read */
    bool failed;           /* something of stdin was not sent: exit with 1 */
    bool pinged;           /* since the server was last heard */
    int reminder_interval; /* in ms, 0: never remind the user to type */
    int reminders;         /* since the user last typed */
    long long last_asked;  /* when the user was last reminded, or typed */
    long long last_heard;  /* when the server last sent something */
    long long last_line;   /* when a line was last typed or printed */
    struct sigaction old_sigint; /* how SIGINT was handled at the start */
};

static const bool peer_masks = false; /* frames from a server must not be masked */
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char token_characters[] =
    "!#$%&'*+-.^_`|~0123456789" /* RFC 9110, section 5.6.2 */
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static int signal_pipe[2]; /* SIGINT makes its reading end readable */
static bool close_sent;    /* nothing may follow a Close (RFC 6455, section 5.5.1) */

/* Print "PROGRAM: WHAT: WHY" and exit with status 1. */
static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, why);
    exit(1);
}

/* Monotonic time in milliseconds. */
static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- Address and connecting ---- */

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

/* ---- Lines in and out ---- */

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

/* ---- Tools: UTF-8, base64, SHA-1, random bytes ---- */

/* A fast path, from the start of a character: skip ASCII eight bytes at a time, and
   characters of three bytes, as in Korean, whole. Stops before end. */
static const unsigned char *skip_usual(const unsigned char *p, const unsigned char *end)
{
    while (end - p > 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        if ((word & 0x8080808080808080) == 0)
            p += 8;
        else if ((p[0] & 0xf0) == 0xe0 && (p[1] & 0xc0) == 0x80 &&
                 (p[2] & 0xc0) == 0x80 && p[0] != 0xe0 && (p[0] != 0xed || p[1] < 0xa0))
            p += 3;
        else
            break;
    }
    return p;
}

/* Note what must follow the first byte of a character of two to four bytes (RFC 3629,
   section 4). Returns false if no character starts with it. */
static bool start_character(struct utf8 *u, unsigned char byte)
{
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    u->missing = 1 + (byte >= 0xe0) + (byte >= 0xf0);
    u->low = 0x80;
    u->high = 0xbf;
    if (byte == 0xe0)
        u->low = 0xa0; /* two bytes would do */
    else if (byte == 0xed)
        u->high = 0x9f; /* surrogates */
    else if (byte == 0xf0)
        u->low = 0x90; /* three bytes would do */
    else if (byte == 0xf4)
        u->high = 0x8f; /* above U+10FFFF */
    return true;
}

/* Check the next n bytes of a text, which may end in the middle of a character. *u is the
   state after the bytes before, {0} at first. Returns false at the first byte that is not
   UTF-8. */
static bool check_utf8(struct utf8 *u, const unsigned char *p, size_t n)
{
    for (const unsigned char *end = p + n; p < end; p++) {
        if (u->missing == 0)
            p = skip_usual(p, end);
        if (u->missing > 0) {
            if (*p < u->low || *p > u->high)
                return false;
            u->missing--;
            u->low = 0x80;
            u->high = 0xbf;
        } else if (*p >= 0x80 && !start_character(u, *p)) {
            return false;
        }
    }
    return true;
}

/* Encode n bytes in base64 (RFC 4648, section 4): (n + 2) / 3 * 4 characters, a NUL. */
static void base64(const unsigned char *data, size_t n, char *text)
{
    for (size_t i = 0; i < n; i += 3) {
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (i + k < n ? data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *text++ =
                (char)(i + k <= n ? base64_digits[group >> (18 - 6 * k) & 63] : '=');
    }
    *text = '\0';
}

static uint32_t rotate_left(uint32_t x, int bits)
{
    return x << bits | x >> (32 - bits);
}

/* The function and the constant of step t of SHA-1 (RFC 3174, section 5). */
static uint32_t sha1_step(int t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20)
        return ((b & c) | (~b & d)) + 0x5a827999;
    if (t < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    if (t < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

/* SHA-1 of 60 bytes, which take two blocks with their padding (RFC 3174, section 6.1). */
static void sha1(const char data[60], unsigned char digest[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char padded[128] = {0};
    memcpy(padded, data, 60);
    padded[60] = 0x80;
    padded[126] = 480 >> 8; /* the length in bits */
    padded[127] = 480 & 0xff;
    for (const unsigned char *block = padded; block < padded + 128; block += 64) {
        uint32_t w[80], a[5]; /* a[0] to a[4]: the RFC's A to E */
        memcpy(a, h, sizeof a);
        for (int t = 0; t < 16; t++)
            w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
                   (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
        for (int t = 16; t < 80; t++)
            w[t] = rotate_left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
        for (int t = 0; t < 80; t++) {
            uint32_t step = sha1_step(t, a[1], a[2], a[3]) + a[4] + w[t];
            step += rotate_left(a[0], 5);
            memmove(a + 1, a, 4 * sizeof *a);
            a[2] = rotate_left(a[2], 30);
            a[0] = step;
        }
        for (int i = 0; i < 5; i++)
            h[i] += a[i];
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - i % 4 * 8));
}

/* The Sec-WebSocket-Accept that belongs to a Sec-WebSocket-Key of 24 characters. */
static void accept_key(const char *key, char accept_value[29])
{
    char joined[61];
    unsigned char digest[20];
    snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    sha1(joined, digest);
    base64(digest, sizeof digest, accept_value);
}

/* Random bytes from the kernel: masks must not be predictable (section 10.3). */
static void random_bytes(unsigned char *data, size_t n)
{
    static FILE *source;
    if (source == NULL)
        source = fopen("/dev/urandom", "rb");
    if (source == NULL || fread(data, 1, n, source) != n)
        die("/dev/urandom", strerror(errno));
}

/* ---- Frames (RFC 6455, section 5) ---- */

/* Mask or unmask n bytes, the first of which is byte `offset` of the payload:
   to[i] = from[i] ^ mask[(offset + i) % 4] (section 5.3), eight bytes at a time. */
static void apply_mask(unsigned char *to, const unsigned char *from, size_t n,
                       const unsigned char mask[4], uint64_t offset)
{
    unsigned char rotated[8];
    uint64_t mask_word, word;
    for (size_t i = 0; i < 8; i++)
        rotated[i] = mask[(offset + i) % 4];
    memcpy(&mask_word, rotated, 8);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= mask_word;
        memcpy(to + i, &word, 8);
    }
    for (; i < n; i++)
        to[i] = from[i] ^ rotated[i % 8];
}

/* Write the header of an unfragmented frame, without a mask. Returns its size. */
static size_t make_header(unsigned char header[10], int opcode, size_t payload_length)
{
    size_t width = 0; /* of the extended payload length */
    header[0] = (unsigned char)(0x80 | opcode);
    if (payload_length < 126) {
        header[1] = (unsigned char)payload_length;
    } else if (payload_length < 65536) {
        header[1] = 126;
        width = 2;
    } else {
        header[1] = 127;
        width = 8;
    }
    for (size_t i = 0; i < width; i++)
        header[2 + i] = (unsigned char)((uint64_t)payload_length >> 8 * (width - 1 - i));
    return 2 + width;
}

/* Send a frame, unless a Close has been sent. It leaves when out_buffer is full, or
   before the client waits in poll(). The payload is masked in place, and so overwritten.
   Returns false if writing has failed, now or before. */
static bool write_frame(struct websocket *ws, int opcode, unsigned char *payload,
                        size_t payload_length)
{
    unsigned char header[14];
    if (close_sent)
        return true;
    close_sent = opcode == CLOSE;
    size_t size = make_header(header, opcode, payload_length);
    header[1] |= 0x80;
    random_bytes(header + size, 4);
    apply_mask(payload, payload, payload_length, header + size, 0);
    size += 4;
    return !ferror(ws->out) && fwrite(header, 1, size, ws->out) == size &&
           fwrite(payload, 1, payload_length, ws->out) == payload_length;
}

/* Send a Close frame with that code, or with none if it is NO_STATUS. */
static void send_close(struct websocket *ws, unsigned close_code)
{
    unsigned char payload[] = {close_code >> 8 & 0xff, close_code & 0xff};
    write_frame(ws, CLOSE, payload, close_code != NO_STATUS ? sizeof payload : 0);
}

/* Fail the connection (section 7.1.7). Returns CLOSED for the caller to return. */
static int fail(struct websocket *ws, unsigned close_code, const char *failure)
{
    ws->close_code = close_code;
    ws->failure = failure;
    send_close(ws, close_code);
    return CLOSED;
}

/* Read once, appending to ws->in; call it only when what is there is INCOMPLETE. Returns
   false with errno set: ECONNRESET at the end of the stream, EAGAIN after SO_RCVTIMEO. */
static bool read_more(struct websocket *ws)
{
    memmove(ws->in, ws->in + ws->start, ws->end - ws->start);
    ws->end -= ws->start;
    ws->start = 0;
    ssize_t n;
    do
        n = read(ws->fd, ws->in + ws->end, sizeof ws->in - ws->end);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        ws->end += (size_t)n;
    if (n == 0)
        errno = ECONNRESET;
    return n > 0;
}

/* Check that a data frame may stand where it does, and its message is not too long. */
static int start_data_frame(struct websocket *ws)
{
    if (ws->frame_opcode == CONTINUATION && ws->opcode == 0)
        return fail(ws, 1002, "continuation without a start");
    if (ws->frame_opcode != CONTINUATION && ws->opcode != 0)
        return fail(ws, 1002, "new message inside a fragmented one");
    if (ws->opcode == 0) {
        ws->opcode = ws->frame_opcode;
        ws->length = 0;
    }
    if (ws->payload_length > MESSAGE_LIMIT - ws->length)
        return fail(ws, 1009, "message over 16 MiB");
    return COMPLETE;
}

/* Consume the header of a frame, once it has arrived, and check it as early as possible:

       byte 0           byte 1      then
     | FIN RSV opcode | MASK length | length in 2 bytes (if 126) or 8 (127) | mask in 4 |
        1   3     4   |  1     7    bits */
static int read_header(struct websocket *ws)
{
    const unsigned char *bytes = ws->in + ws->start;
    const size_t available = ws->end - ws->start;
    if (available < 2)
        return INCOMPLETE;
    const bool masked = (bytes[1] & 0x80) != 0;
    ws->fin = (bytes[0] & 0x80) != 0;
    ws->frame_opcode = bytes[0] & 0x0f;
    ws->payload_length = bytes[1] & 0x7f;
    if ((bytes[0] & 0x70) != 0)
        return fail(ws, 1002, "reserved bit set");
    if ((ws->frame_opcode > BINARY && ws->frame_opcode < CLOSE) ||
        ws->frame_opcode > PONG)
        return fail(ws, 1002, "reserved opcode");
    if (ws->frame_opcode >= CLOSE && (!ws->fin || ws->payload_length > 125))
        return fail(ws, 1002, "control frame fragmented or over 125 bytes");
    if (masked != peer_masks)
        return fail(ws, 1002, masked ? "frame is masked" : "frame is not masked");

    size_t size = 2;
    if (ws->payload_length > 125) {
        size += ws->payload_length == 126 ? 2 : 8;
        if (available < size)
            return INCOMPLETE;
        ws->payload_length = 0;
        for (size_t i = 2; i < size; i++)
            ws->payload_length = ws->payload_length << 8 | bytes[i];
        if (ws->payload_length < (size == 4 ? 126 : 65536) ||
            ws->payload_length >> 63 != 0)
            return fail(ws, 1002, "payload length not minimal or over 63 bits");
    }
    const size_t mask_size = masked ? sizeof ws->mask : 0;
    if (available < size + mask_size)
        return INCOMPLETE;
    memcpy(ws->mask, bytes + size, mask_size);
    ws->start += size + mask_size;
    ws->in_frame = true;
    ws->offset = 0;
    return ws->frame_opcode < CLOSE ? start_data_frame(ws) : COMPLETE;
}

/* Append the payload of a data frame to the message, as far as it has arrived: memory
   grows with the message, not with what a header announces. It doubles until it is
   MESSAGE_LIMIT, which is a power of two. */
static int read_payload(struct websocket *ws)
{
    do {
        if (ws->length == ws->capacity && ws->capacity < MESSAGE_LIMIT) {
            const size_t capacity = ws->capacity > 0 ? 2 * ws->capacity : 256;
            unsigned char *message = realloc(ws->message, capacity);
            if (message == NULL)
                return fail(ws, 1011, "out of memory");
            ws->message = message;
            ws->capacity = capacity;
        }
        size_t n = ws->end - ws->start;
        if (n > ws->capacity - ws->length)
            n = ws->capacity - ws->length;
        if (n > ws->payload_length - ws->offset)
            n = (size_t)(ws->payload_length - ws->offset);
        unsigned char *to = ws->message + ws->length;
        apply_mask(to, ws->in + ws->start, n, ws->mask, ws->offset);
        if (ws->opcode == TEXT && !check_utf8(&ws->utf8, to, n))
            return fail(ws, 1007, "text is not UTF-8");
        ws->start += n;
        ws->offset += n;
        ws->length += n;
    } while (ws->offset < ws->payload_length && ws->start < ws->end);
    if (ws->offset < ws->payload_length)
        return INCOMPLETE;
    if (ws->fin && ws->utf8.missing > 0)
        return fail(ws, 1007, "text ends inside a character");
    return COMPLETE;
}

/* Check the payload of a Close frame (sections 5.5.1 and 7.4) and reply with the same
   code. */
static int handle_close(struct websocket *ws, const unsigned char *payload, size_t length)
{
    unsigned close_code = NO_STATUS;
    struct utf8 u = {0};
    if (length == 1)
        return fail(ws, 1002, "Close with half a code");
    if (length >= 2) {
        close_code = (unsigned)payload[0] << 8 | payload[1];
        bool registered = close_code >= 1000 && close_code <= 1014 &&
                          (close_code < 1004 || close_code > 1006);
        if (!registered && (close_code < 3000 || close_code > 4999))
            return fail(ws, 1002, "invalid close code");
        if (!check_utf8(&u, payload + 2, length - 2) || u.missing > 0)
            return fail(ws, 1007, "close reason is not UTF-8");
    }
    ws->close_code = close_code;
    send_close(ws, close_code);
    return CLOSED;
}

/* Handle a control frame (section 5.5), once it has arrived. Between messages it frees
   the memory of the last one: an idle peer sends nothing else. */
static int handle_control_frame(struct websocket *ws)
{
    const size_t length = (size_t)ws->payload_length;
    unsigned char *payload = ws->in + ws->start;
    if (ws->end - ws->start < length)
        return INCOMPLETE;
    ws->start += length;
    apply_mask(payload, payload, length, ws->mask, 0);
    if (ws->opcode == 0) {
        free(ws->message);
        ws->message = NULL;
        ws->capacity = 0;
    }
    if (ws->frame_opcode == CLOSE)
        return handle_close(ws, payload, length);
    if (ws->frame_opcode == PING)
        write_frame(ws, PONG, payload, length); /* an error shows when out is flushed */
    return COMPLETE;
}

/* Consume frames up to the end of a message, answering control frames. Returns TEXT or
   BINARY, with ws->message set; INCOMPLETE if more has to be read first; or CLOSED once a
   Close has been sent, for which ws->close_code has the reason. */
static int next_message(struct websocket *ws)
{
    for (;;) {
        int result = ws->in_frame ? COMPLETE : read_header(ws);
        if (result != COMPLETE)
            return result;
        result = ws->frame_opcode < CLOSE ? read_payload(ws) : handle_control_frame(ws);
        if (result != COMPLETE)
            return result;
        ws->in_frame = false;
        if (ws->frame_opcode < CLOSE && ws->fin) {
            int opcode = ws->opcode;
            ws->opcode = 0;
            return opcode;
        }
    }
}

/* ---- HTTP (RFC 9112) ---- */

/* Read the head of an HTTP message, up to its empty line, before the deadline (see
   now_ms()). Returns it as a string in ws->in, or NULL with errno set: ETIMEDOUT, EBADMSG
   if there is a NUL in it, EMSGSIZE if it is over HEAD_LIMIT, or as by read_more(). */
static char *read_head(struct websocket *ws, long long deadline)
{
    for (size_t length = 0; length < HEAD_LIMIT; length++) {
        while (ws->start + length == ws->end) {
            const long long left = deadline - now_ms();
            errno = ETIMEDOUT;
            if (left <= 0)
                return NULL;
            if (poll(&(struct pollfd){ws->fd, POLLIN, 0}, 1, (int)left) > 0 &&
                !read_more(ws))
                return NULL;
        }
        char *head = (char *)ws->in + ws->start, *p = head + length;
        errno = EBADMSG;
        if (*p == '\0')
            return NULL;
        if (*p == '\n' && length > 0 && /* people type bare newlines into nc */
            (p[-1] == '\n' || (length > 1 && p[-1] == '\r' && p[-2] == '\n'))) {
            *p = '\0';
            ws->start += length + 1;
            return head;
        }
    }
    errno = EMSGSIZE;
    return NULL;
}

/* Cut the next line off *head, without its line ending. */
static char *cut_line(char **head)
{
    char *line = *head;
    size_t length = strcspn(line, "\n");
    *head = line + length + (line[length] == '\n');
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    return line;
}

/* Is the token, in any case, one of a list? Commas or white space separate its items. */
static bool has_token(const char *list, const char *token)
{
    for (;;) {
        list += strspn(list, ", \t");
        size_t length = strcspn(list, ", \t");
        if (length == 0)
            return false;
        if (length == strlen(token) && strncasecmp(list, token, length) == 0)
            return true;
        list += length;
    }
}

/* Split a header line, "Name: value" (section 5), into its name and its value, ignoring
   white space around it. Returns the value, or NULL if that is not a header line. */
static char *split_header(char *name)
{
    size_t length = strspn(name, token_characters);
    if (length == 0 || name[length] != ':')
        return NULL;
    name[length] = '\0';
    char *value = name + length + 1;
    value += strspn(value, " \t");
    char *end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    for (const char *p = value; p < end; p++)
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f)
            return NULL;
    return value;
}

/* ---- Handshake (RFC 6455, section 4.1) ---- */

/* What the headers of a response have to say. */
struct response {
    bool upgrade, connection, accept;
};

/* Check a header line of a response. Dies if the connection must not be used. */
static void check_header(struct response *r, char *line, const char *accept_value)
{
    const char *name = line, *value = split_header(line);
    if (value == NULL)
        die("server", "malformed header in the response");
    if (strcasecmp(name, "Upgrade") == 0) {
        if (strcasecmp(value, "websocket") != 0)
            die("server", "upgrade to another protocol");
        r->upgrade = true;
    } else if (strcasecmp(name, "Connection") == 0) {
        r->connection = r->connection || has_token(value, "upgrade");
    } else if (strcasecmp(name, "Sec-WebSocket-Accept") == 0) {
        if (r->accept || strcmp(value, accept_value) != 0)
            die("server", "wrong Sec-WebSocket-Accept in the response");
        r->accept = true;
    } else if (strcasecmp(name, "Sec-WebSocket-Extensions") == 0 && *value != '\0') {
        die("server", "an extension that was not requested");
    } else if (strcasecmp(name, "Sec-WebSocket-Protocol") == 0) {
        die("server", "a subprotocol that was not requested");
    }
}

/* Read the head of the final response, skipping interim ones (RFC 9110, section 15.2).
   Returns its headers. Dies if its status is not 101. */
static char *read_response(struct websocket *ws)
{
    const long long deadline = now_ms() + HANDSHAKE_TIMEOUT;
    for (;;) {
        char *head = read_head(ws, deadline);
        if (head == NULL)
            die("server", errno == ECONNRESET ? "connection closed" : strerror(errno));
        char *line = cut_line(&head);
        if (strncmp(line, "HTTP/1.1 1", 10) == 0 && strcspn(line + 9, " ") == 3 &&
            strspn(line + 9, "0123456789") == 3) {
            if (strncmp(line + 9, "101", 3) == 0)
                return head;
            continue;
        }
        for (char *p = line; *p != '\0'; p++)
            if (*p < ' ' || *p > '~') /* it goes to the terminal */
                *p = '?';
        die("server", strncmp(line, "HTTP/", 5) == 0 ? line : "not an HTTP response");
    }
}

/* Write the value of the Host header (RFC 9110, section 7.2): the host as typed, without
   an IPv6 zone (RFC 6874, section 1), and the port as a number, unless it is 80. */
static void format_host(int fd, const char *address, char *text, size_t text_size)
{
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    char host[HOST_SIZE], port[8] = "?";
    getpeername(fd, (struct sockaddr *)&peer, &size);
    getnameinfo((struct sockaddr *)&peer, size, NULL, 0, port, sizeof port,
                NI_NUMERICSERV);
    split_host_port(address, host);
    host[strcspn(host, "%")] = '\0';
    bool ipv6 = strchr(host, ':') != NULL, default_port = strcmp(port, "80") == 0;
    snprintf(text, text_size, "%s%s%s%s%s", ipv6 ? "[" : "", *host ? host : "localhost",
             ipv6 ? "]" : "", default_port ? "" : ":", default_port ? "" : port);
}

/* Request a WebSocket, and check the response. Dies if the server refuses. */
static void handshake(struct websocket *ws, const char *address, const char *target)
{
    unsigned char nonce[16];
    char key[25], accept_value[29], host[HOST_SIZE + 16], *line;
    random_bytes(nonce, sizeof nonce);
    base64(nonce, sizeof nonce, key);
    accept_key(key, accept_value);
    format_host(ws->fd, address, host, sizeof host);
    fprintf(ws->out,
            "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n",
            target, host, key);
    fflush(ws->out); /* an error shows when the response is read */
    struct response r = {0};
    char *head = read_response(ws);
    while (*(line = cut_line(&head)) != '\0')
        check_header(&r, line, accept_value);
    if (!r.upgrade || !r.connection || !r.accept)
        die("server", "no Upgrade, Connection or Sec-WebSocket-Accept in the response");
}

/* ---- Conversation ---- */

/* Let the next line of stdin wait to be sent, if one has been read completely. Reports
   and skips a line that cannot be sent; after one that is too long reads no more. */
static void take_line(struct session *s)
{
    char *line;
    while (s->line == NULL && (line = next_line(&s->user, &s->line_length)) != NULL) {
        struct utf8 u = {0};
        unsigned char *message = (unsigned char *)line;
        if (line[--s->line_length] != '\n') {
            fprintf(stderr, "%s: stdin: line too long\n", program);
            s->user.start = s->user.end;
            s->user.eof = s->failed = true;
        } else if (!check_utf8(&u, message, s->line_length) || u.missing > 0) {
            fprintf(stderr, "%s: stdin: not UTF-8, not sent\n", program);
            s->failed = true;
        } else {
            s->line = message;
        }
    }
}

/* Start a new line on the terminal if the user may be in the middle of one: it does not
   tell before Enter, but nobody types within 200 ms of the last line. */
static void start_output_line(struct session *s)
{
    const long long now = now_ms();
    if (now - s->last_line > 200 && !s->echo && isatty(s->user.fd) &&
        isatty(STDOUT_FILENO))
        putchar('\n');
    s->last_line = now;
}

/* Print the messages that have arrived, and with -e send them back. Returns false at the
   end of the connection. */
static bool handle_messages(struct session *s)
{
    struct websocket *ws = &s->ws;
    const size_t length_before = ws->length;
    bool progress = !close_sent;
    int opcode;
    while ((opcode = next_message(ws)) == TEXT || opcode == BINARY) {
        start_output_line(s);
        if (opcode == TEXT)
            print_line("Received: ", (char *)ws->message, ws->length);
        else
            printf("Received: %zu bytes\n", ws->length);
        if (s->echo)
            write_frame(ws, opcode, ws->message, ws->length);
        progress = true;
    }
    /* After our Close, Pings alone must not keep us here. */
    if (progress || ws->length != length_before) {
        s->last_heard = now_ms();
        s->pinged = false;
    }
    return opcode != CLOSED;
}

/* Send the line that waits or, after the last one, a Close. */
static void send_next(struct session *s)
{
    if (s->line != NULL) {
        write_frame(&s->ws, TEXT, s->line, s->line_length);
        s->line = NULL;
        return;
    }
    send_close(&s->ws, 1000);
    s->last_heard = now_ms();
    sigaction(SIGINT, &s->old_sigint, NULL); /* another one need not wait */
}

/* How long the server may be silent, in ms (0: for ever): it owes a Close or a frame. */
static int silence_limit(const struct session *s)
{
    if (close_sent || ferror(s->ws.out))
        return CLOSE_TIMEOUT;
    return s->ws.in_frame || s->ws.start < s->ws.end ? READ_TIMEOUT : 0;
}

/* The timeout for poll(): milliseconds until handle_timeout() has work to do, or -1. */
static int time_left(const struct session *s)
{
    const int limit = silence_limit(s), interval = s->reminder_interval;
    if (limit == 0 && (interval == 0 || s->user.eof))
        return -1;
    const long long due = limit > 0 ? s->last_heard + limit : s->last_asked + interval;
    const long long left = due - now_ms();
    return left > 0 ? (int)left : 0;
}

/* Ping a silent server, or remind the user. Returns false to give up on the server. */
static bool handle_timeout(struct session *s)
{
    const int limit = silence_limit(s);
    if (limit == READ_TIMEOUT && !s->pinged) {
        write_frame(&s->ws, PING, s->ws.in, 0);
        s->pinged = true;
        s->last_heard = now_ms();
    } else if (limit > 0) {
        s->ws.failure = ferror(s->ws.out) ? "it takes no data" : "no Close within 2 s";
        if (limit == READ_TIMEOUT)
            s->ws.failure = "silent inside a frame";
        return false;
    } else {
        start_output_line(s);
        printf("Please give me input!\n");
        s->last_asked = now_ms();
        s->user.eof = ++s->reminders == REMINDERS;
        if (s->user.eof)
            fprintf(stderr, "%s: stdin: no input, closing the connection\n", program);
    }
    return true;
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

/* Send lines and print messages until one end has closed the connection. A line is sent
   only when the kernel has room for it: if we waited for the server to read, and it for
   us, both would wait for ever. (An echo or a Pong does wait, 30 s for each write.) */
static void exchange(struct session *s)
{
    struct websocket *ws = &s->ws;
    if (!handle_messages(s)) /* they may have arrived with the handshake's response */
        return;
    for (;;) {
        take_line(s);
        const char *why = fflush(stdout) != 0 ? strerror(errno) : "write failed";
        if (ferror(stdout)) {
            lingering_close(ws->out); /* what has been sent is not lost */
            die("stdout", why);
        }
        if (!ferror(ws->out) && fflush(ws->out) != 0)
            shutdown(ws->fd, SHUT_WR); /* writing any more only fails, at once */
        const bool to_send = !ferror(ws->out) && !close_sent && /* a line, or a Close */
                             (s->line != NULL || s->user.eof);
        const bool to_read = !s->user.eof && !s->echo && s->line == NULL;
        struct pollfd fds[] = {{ws->fd, to_send ? POLLIN | POLLOUT : POLLIN, 0},
                               {s->user.eof ? -1 : signal_pipe[0], POLLIN, 0},
                               {to_read ? s->user.fd : -1, POLLIN, 0}};
        poll(fds, 3, time_left(s));
        if ((fds[0].revents & ~POLLOUT) != 0) {
            if (!read_more(ws)) {
                ws->failure = errno == ECONNRESET ? "connection closed" : strerror(errno);
                return;
            }
            if (!handle_messages(s))
                return;
        }
        if ((fds[0].revents & POLLOUT) != 0)
            send_next(s);
        if (fds[1].revents != 0)
            s->user.eof = true; /* lines that have been read are still sent */
        if (fds[2].revents != 0) {
            fill(&s->user);
            s->last_asked = s->last_line = now_ms();
            s->reminders = 0;
        }
        if (time_left(s) == 0 && !handle_timeout(s))
            return;
    }
}

/* Is there something on stdin that has not been sent? */
static bool input_left(struct session *s)
{
    while (!s->echo && !s->user.eof && s->line == NULL && s->user.start == s->user.end &&
           poll(&(struct pollfd){s->user.fd, POLLIN, 0}, 1, 0) > 0)
        fill(&s->user);
    return s->line != NULL || s->user.start < s->user.end;
}

/* Report how the connection ended, unless it was closed normally. Returns the exit
   status. */
static int report_end(struct session *s)
{
    const struct websocket *ws = &s->ws;
    unsigned code = ws->close_code;
    if (code == 0)
        fprintf(stderr, "%s: server: %s\n", program, ws->failure);
    else if (ws->failure != NULL)
        fprintf(stderr, "%s: server: %u %s\n", program, code, ws->failure);
    else if (code != 1000 && code != 1001 && code != NO_STATUS)
        fprintf(stderr, "%s: closed with %u\n", program, code);
    else if (ferror(ws->out) || input_left(s))
        fprintf(stderr, "%s: server: not everything was sent\n", program);
    else if (s->user.error != 0)
        fprintf(stderr, "%s: stdin: %s\n", program, strerror(s->user.error));
    else
        return s->failed ? 1 : 0;
    return 1;
}

/* ---- The command line ---- */

/* Print what is wrong with the command line, and the usage, and exit with status 2. */
static _Noreturn void usage_error(const char *why)
{
    fprintf(stderr, "%s: %s\n%s", program, why, usage);
    exit(2);
}

/* The milliseconds that -i SECONDS stands for. */
static int parse_seconds(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0' || atoi(text) > 86400)
        usage_error("-i takes a number of seconds, at most 86400");
    return atoi(text) * 1000;
}

/* Copy HOST:PORT out of ws://HOST[:PORT][/PATH] to address. Returns PATH. */
static const char *parse_url(const char *url, char address[HOST_SIZE + 8])
{
    const char *host = url + strlen("ws://");
    const size_t length = strcspn(host, "/?#");
    if (length >= HOST_SIZE || memchr(host, '@', length) != NULL)
        usage_error("the host is too long, or has a user before it");
    snprintf(address, HOST_SIZE, "%.*s", (int)length, host);
    const char *colon = strrchr(address, ':');
    const bool no_port = colon == NULL || strchr(colon, ']') != NULL;
    if (no_port || colon[1] == '\0')
        snprintf(address + length, 4, "%s80", no_port ? ":" : "");
    return host + length;
}

/* Parse HOST:PORT PATH, or a URL. Writes the request target, and returns HOST:PORT. */
static const char *parse_arguments(int count, char **arguments, char target[TARGET_SIZE])
{
    static char address[HOST_SIZE + 8];
    if (count > 0 && strncasecmp(arguments[0], "wss://", 6) == 0)
        usage_error("wss:// needs TLS, which this program does not have");
    const bool url = count == 1 && strncasecmp(arguments[0], "ws://", 5) == 0;
    if (!url && count != 2)
        usage_error("Need SERVER + PATH!");
    const char *path = url ? parse_url(arguments[0], address) : arguments[1];
    if (snprintf(target, TARGET_SIZE, "%s%s", *path == '/' ? "" : "/", path) >=
        TARGET_SIZE)
        usage_error("PATH is too long");
    for (const char *p = target; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 0x7f || *p == '#')
            usage_error("PATH contains a character that must be percent-encoded");
    return url ? address : arguments[0];
}

/* Let poll() return. The next SIGINT ends the program (SA_RESETHAND). */
static void on_sigint(int signal_number)
{
    const int saved_errno = errno;
    (void)signal_number;
    ssize_t n = write(signal_pipe[1], "", 1);
    (void)n; /* the pipe has room for it */
    errno = saved_errno;
}

/* Catch SIGINT, unless it was ignored when the program started. */
static void catch_sigint(struct sigaction *old)
{
    const struct sigaction action = {.sa_handler = on_sigint,
                                     .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    if (pipe(signal_pipe) < 0)
        die("pipe", strerror(errno));
    sigaction(SIGINT, NULL, old);
    if (old->sa_handler != SIG_IGN)
        sigaction(SIGINT, &action, NULL);
}

/* Connect, with room in the kernel for more than a line: a socket is reported as writable
   when a third of its buffer is free (Linux), or SO_SNDLOWAT bytes (elsewhere). */
static void open_connection(struct websocket *ws, const char *address)
{
    const int on = 1, sndbuf = 4 * LINE_SIZE, lowat = LINE_SIZE + 14;
    const struct timeval write_timeout = {.tv_sec = 30};
    ws->fd = dial(address);
    setsockopt(ws->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* do not delay lines */
    setsockopt(ws->fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    setsockopt(ws->fd, SOL_SOCKET, SO_SNDLOWAT, &lowat, sizeof lowat);
    setsockopt(ws->fd, SOL_SOCKET, SO_SNDTIMEO, &write_timeout, sizeof write_timeout);
    if ((ws->out = fdopen(ws->fd, "w")) == NULL)
        die(address, strerror(errno));
    setvbuf(ws->out, ws->out_buffer, _IOFBF, sizeof ws->out_buffer);
}

int main(int argc, char **argv)
{
    static struct session s;
    char target[TARGET_SIZE];
    int option;
    s.user.fd = STDIN_FILENO;
    s.reminder_interval = 4000;
    while ((option = getopt(argc, argv, "ehi:")) != -1) {
        switch (option) {
        case 'e':
            s.echo = true;
            break;
        case 'i':
            s.reminder_interval = parse_seconds(optarg);
            break;
        default:
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    const char *address = parse_arguments(argc - optind, argv + optind, target);

    signal(SIGPIPE, SIG_IGN); /* so that writing to a closed connection only fails */
    printf("Connecting to: %s at %s\n", address, target);
    flush_stdout();
    open_connection(&s.ws, address);
    handshake(&s.ws, address, target);
    catch_sigint(&s.old_sigint);
    if (s.echo || !isatty(STDIN_FILENO))
        s.reminder_interval = 0;
    s.last_asked = s.last_heard = now_ms();
    exchange(&s);
    flush_stdout();
    int exit_status = report_end(&s);
    lingering_close(s.ws.out);
    return exit_status;
}
