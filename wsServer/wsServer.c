/*
 * wsServer.c - a WebSocket echo server, with a page to try it from a browser
 *
 *   cc -pthread -o wsServer wsServer.c
 *   ./wsServer 1234                  try it with wsClient localhost:1234 /ws, or open
 *                                    http://localhost:1234/ in a browser
 *
 *   Go                               C
 *   http.ListenAndServe(":1234")     listen_on(), serve(): a thread for each client
 *   http.HandleFunc("/ws", ...)      read_request(), check_request(), send_response()
 *   upgrader.Upgrade(w, r, nil)      handshake(): one GET request becomes a WebSocket
 *   ws.ReadMessage()                 next_message(): fragments, masks, UTF-8
 *   ws.WriteMessage(mt, message)     write_frame(): a header, then the payload
 *
 * Unlike the chapter's version, it limits the size of messages, insists on UTF-8 in text,
 * refuses pages of other origins (-a accepts them), and drops clients that have vanished
 * or stopped reading. Start with Connections, at the end, then read Handshake and Frames;
 * Tools and the page can wait.
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
static const char usage[] = "usage: wsServer [-a] [-q] [[HOST:]PORT]\n"
                            "  -a  accept pages of any origin\n"
                            "  -q  do not print what clients send\n";
enum { HOST_SIZE = 256, ADDRESS_SIZE = 80, STACK_SIZE = 128 * 1024 };
enum { HEAD_LIMIT = 8192, MESSAGE_LIMIT = 16 << 20, LOG_LIMIT = 1024 }; /* bytes */
enum { HANDSHAKE_TIMEOUT = 30000, READ_TIMEOUT = 30000, WRITE_TIMEOUT = 90000 }; /* ms */
enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum { NO_STATUS = 1005 }; /* stands for a Close without a code, and is never sent */
enum { COMPLETE = 0, INCOMPLETE = -1, CLOSED = -2 }; /* or TEXT, BINARY: next_message() */

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

/* A client, and where it connected from. */
struct connection {
    char address[ADDRESS_SIZE];
    struct websocket ws;
};

/* A request, and the response unless it is 101. What is missing is NULL. */
struct request {
    const char *method, *authority, *path, *version;
    const char *host, *origin, *key, *websocket_version;
    bool upgrade;            /* Upgrade lists websocket */
    bool connection_upgrade; /* Connection lists upgrade */
    bool has_content;        /* the client is going to send a body */
    const char *status;      /* status code and reason phrase, headers may follow */
    const char *text;        /* the body of the response */
};

static const bool peer_masks = true; /* frames from a client must be masked */
static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char token_characters[] =
    "!#$%&'*+-.^_`|~0123456789" /* RFC 9110, section 5.6.2 */
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char host_characters[] =
    "[]:%-._~!$&'()*+,;=0123456789" /* RFC 3986, section 3.2.2 */
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static bool quiet;      /* -q: do not print what clients send */
static bool any_origin; /* -a: accept pages of any origin */

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

/* Monotonic time in milliseconds. */
static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Let reads (SO_RCVTIMEO) or writes (SO_SNDTIMEO) fail with EAGAIN once they have waited
   that many milliseconds; 0 means for ever. */
static void set_timeout(int fd, int option, int milliseconds)
{
    const struct timeval timeout = {.tv_sec = milliseconds / 1000,
                                    .tv_usec = milliseconds % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, option, &timeout, sizeof timeout);
}

/* ---- Address and listening ---- */

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

/* ---- Tools: UTF-8, base64, SHA-1 ---- */

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

/* Send a frame. It leaves when out_buffer is full, or before the server waits for input.
   Returns false if writing has failed, now or before. */
static bool write_frame(struct websocket *ws, int opcode, const unsigned char *payload,
                        size_t payload_length)
{
    unsigned char header[10];
    size_t size = make_header(header, opcode, payload_length);
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

/* ---- The page ---- */

/* It shows what comes from the network as text only, never as HTML. */
static const char page[] =
    "<!DOCTYPE html><html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<link rel=\"icon\" href=\"data:,\">\n"
    "<title>wsServer</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark }\n"
    "body { font: 1rem/1.5 sans-serif; max-width: 40rem; margin: auto; padding: 1rem }\n"
    "form { display: flex; gap: .5rem } input { flex: 1; min-width: 0 }\n"
    "input, button { font: inherit; padding: .5rem 1rem }\n"
    "#log { white-space: pre-wrap; overflow-wrap: anywhere }\n"
    "</style>\n"
    "<h1>wsServer</h1>\n"
    "<p>What you send over this WebSocket comes back from the server.\n"
    "The connection is <b id=\"state\" role=\"status\">connecting</b>.</p>\n"
    "<form id=\"form\">\n"
    "<input id=\"text\" aria-label=\"Message\" autocomplete=\"off\">\n"
    "<button id=\"send\">Send</button></form>\n"
    "<p><button id=\"close\">Close</button> <button id=\"open\">Connect</button></p>\n"
    "<div id=\"log\" role=\"log\"></div>\n"
    "<script>\n"
    "const $ = id => document.getElementById(id);\n"
    "const meaning = { 1000: 'normal closure', 1006: 'the server is gone' };\n"
    "let socket;\n"
    "const log = line =>\n"
    "    $('log').prepend(new Date().toLocaleTimeString() + ' ' + line + '\\n');\n"
    "function state(text) {\n"
    "    $('state').textContent = text;\n"
    "    $('send').disabled = $('close').disabled = text !== 'open';\n"
    "    $('open').disabled = !text.startsWith('closed');\n"
    "    log(text);\n"
    "}\n"
    "function connect() {\n"
    "    state('connecting');\n"
    "    $('text').focus();\n"
    "    socket = new WebSocket(location.origin.replace('http', 'ws') + '/ws');\n"
    "    socket.onopen = () => state('open');\n"
    "    socket.onmessage = event => log('\\u2190 ' + event.data);\n"
    "    socket.onclose = event => state(`closed (${event.code}: ` +\n"
    "        `${event.reason || meaning[event.code] || 'no reason'})`);\n"
    "}\n"
    "$('form').onsubmit = event => {\n"
    "    event.preventDefault();\n"
    "    socket.send($('text').value);\n"
    "    log('\\u2192 ' + $('text').value);\n"
    "    $('text').value = '';\n"
    "    $('text').focus();\n"
    "};\n"
    "$('close').onclick = () => socket.close(1000);\n"
    "$('open').onclick = connect;\n"
    "connect();\n"
    "</script>\n";

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

/* Choose the response to a request that is refused. Returns false for the caller to
   return. */
static bool refuse(struct request *r, const char *status, const char *text)
{
    r->status = status;
    r->text = text;
    return false;
}

/* Add a header line to the request. Returns false if it is malformed, or repeats a header
   that may occur once only. */
static bool add_header(struct request *r, char *line)
{
    const char *name = line, *value = split_header(line), **once = NULL;
    if (value == NULL)
        return false;
    if (strcasecmp(name, "Host") == 0)
        once = &r->host;
    else if (strcasecmp(name, "Origin") == 0)
        once = &r->origin;
    else if (strcasecmp(name, "Sec-WebSocket-Key") == 0)
        once = &r->key;
    else if (strcasecmp(name, "Sec-WebSocket-Version") == 0)
        once = &r->websocket_version;
    else if (strcasecmp(name, "Upgrade") == 0)
        r->upgrade = r->upgrade || has_token(value, "websocket");
    else if (strcasecmp(name, "Connection") == 0)
        r->connection_upgrade = r->connection_upgrade || has_token(value, "upgrade");
    else if (strcasecmp(name, "Transfer-Encoding") == 0 ||
             (strcasecmp(name, "Content-Length") == 0 && strcmp(value, "0") != 0))
        r->has_content = true;
    if (once == NULL)
        return true;
    bool repeated = *once != NULL;
    *once = value;
    return !repeated;
}

/* Split a request target into its path and, in the absolute form, http://HOST/PATH, its
   authority; the query is ignored. Returns false if it is not a target. */
static bool split_target(struct request *r, char *target)
{
    for (const char *p = target; *p != '\0'; p++)
        if (*p <= ' ' || *p >= 0x7f) /* what RFC 3986 has encoded */
            return false;
    target[strcspn(target, "?")] = '\0';
    r->path = target;
    char *colon = strstr(target, "://");
    if (*target == '/' || colon == NULL)
        return true;
    char *authority = colon + 3;
    size_t length = strcspn(authority, "/");
    r->path = authority[length] == '/' ? authority + length : "/";
    r->authority = memmove(colon, authority, length); /* makes room for the NUL */
    colon[length] = '\0';
    return length > 0;
}

/* Split a request line, "METHOD TARGET HTTP/1.1" (section 3). Returns false if it is not
   one. */
static bool parse_request_line(struct request *r, char *line)
{
    char *target = strchr(line, ' ');
    if (target == NULL)
        return false;
    *target++ = '\0';
    r->method = line;
    char *version = strchr(target, ' ');
    if (version == NULL)
        return false;
    *version++ = '\0';
    r->version = version;
    return *line != '\0' && line[strspn(line, token_characters)] == '\0' &&
           split_target(r, target) && strlen(version) == 8 &&
           strncmp(version, "HTTP/", 5) == 0 && isdigit((unsigned char)version[5]) &&
           version[6] == '.' && isdigit((unsigned char)version[7]);
}

/* Refuse a request whose head read_head() could not read. Returns false. */
static bool refuse_head(struct request *r, const struct websocket *ws, int error)
{
    if (ws->start == ws->end) /* browsers open connections that they may not need */
        return false;
    if (ws->end - ws->start >= 5 && memcmp(ws->in + ws->start, "HEAD ", 5) == 0)
        r->method = "HEAD"; /* the response must not have a body */
    switch (error) {
    case ETIMEDOUT:
        return refuse(r, "408 Request Timeout", "The request took more than 30 s.\n");
    case EMSGSIZE:
        return refuse(r, "431 Request Header Fields Too Large",
                      "The request is larger than 8 KiB.\n");
    case EBADMSG:
        return refuse(r, "400 Bad Request", "The request contains a NUL.\n");
    default:
        return refuse(r, "400 Bad Request", "The request is incomplete.\n");
    }
}

/* Read a request and parse it. Returns false if that fails; the response then is in *r,
   unless r->status is NULL because the client has not sent a single byte. */
static bool read_request(struct websocket *ws, struct request *r)
{
    char *head = read_head(ws, now_ms() + HANDSHAKE_TIMEOUT);
    if (head == NULL)
        return refuse_head(r, ws, errno);
    char *line = cut_line(&head);
    if (*line == '\0') /* ignore an empty line before the request (section 2.2) */
        line = cut_line(&head);
    if (!parse_request_line(r, line))
        return refuse(r, "400 Bad Request", "This is not an HTTP request.\n");
    while (*(line = cut_line(&head)) != '\0')
        if (!add_header(r, line))
            return refuse(r, "400 Bad Request", "A header is malformed or repeated.\n");
    if (r->authority != NULL && r->host != NULL) /* Host is ignored (section 3.2.2) */
        r->host = r->authority;
    return true;
}

/* ---- Handshake (RFC 6455, section 4.2) ---- */

/* The length of HOST[:PORT] without the port, if that is the default. */
static size_t without_port(const char *authority, const char *default_port)
{
    const char *colon = strrchr(authority, ':');
    if (colon != NULL && strcmp(colon, default_port) == 0)
        return (size_t)(colon - authority);
    return strlen(authority);
}

/* Does an Origin header, http://HOST[:PORT] or https://HOST[:PORT], name the same host
   and port as the Host header? */
static bool same_origin(const char *origin, const char *host)
{
    bool https = strncasecmp(origin, "https://", 8) == 0;
    if (host == NULL || (!https && strncasecmp(origin, "http://", 7) != 0))
        return false;
    const char *default_port = https ? ":443" : ":80";
    origin += https ? 8 : 7;
    size_t length = without_port(origin, default_port);
    return length == without_port(host, default_port) &&
           strncasecmp(origin, host, length) == 0;
}

/* Check a request that can be answered: GET or HEAD for the page, GET for a WebSocket.
   Returns false if it has to be refused. */
static bool check_request(struct request *r)
{
    static const char upgrade_required[] =
        "426 Upgrade Required\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13";
    bool websocket = strcmp(r->path, "/ws") == 0;
    bool http10 = strcmp(r->version, "HTTP/1.1") < 0;
    if (r->host == NULL ? !http10 : r->host[strspn(r->host, host_characters)] != '\0')
        return refuse(r, "400 Bad Request", "Host is missing or malformed.\n");
    if (!websocket && strcmp(r->path, "/") != 0)
        return refuse(r, "404 Not Found", "Only / and /ws exist here.\n");
    if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0)
        return refuse(r, "405 Method Not Allowed\r\nAllow: GET, HEAD",
                      "Only GET and HEAD are allowed.\n");
    if (r->has_content)
        return refuse(r, "400 Bad Request", "A request with a body is not accepted.\n");
    if (!websocket)
        return true;
    if (http10)
        return refuse(r, "400 Bad Request", "A WebSocket needs HTTP/1.1.\n");
    if (!r->upgrade || strcmp(r->method, "GET") != 0)
        return refuse(r, upgrade_required, "This is a WebSocket: Upgrade is missing.\n");
    if (!r->connection_upgrade)
        return refuse(r, "400 Bad Request", "Connection must list upgrade.\n");
    if (r->websocket_version == NULL || strcmp(r->websocket_version, "13") != 0)
        return refuse(r, upgrade_required, "Sec-WebSocket-Version must be 13.\n");
    if (r->key == NULL || strspn(r->key, base64_digits) != 22 ||
        strcmp(r->key + 22, "==") != 0)
        return refuse(r, "400 Bad Request", "Sec-WebSocket-Key is not 16 bytes.\n");
    if (r->origin != NULL && !any_origin && !same_origin(r->origin, r->host))
        return refuse(r, "403 Forbidden", "Pages of other origins are not accepted.\n");
    return true;
}

/* Begin a response. Every one has a Date (RFC 9110, section 6.6.1). */
static void start_response(FILE *out, const char *status)
{
    char date[40];
    struct tm utc;
    const time_t now = time(NULL);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &utc));
    fprintf(out, "HTTP/1.1 %s\r\nDate: %s\r\n", status, date);
}

/* Send the response that is in r, after which the connection is to be closed. Reports a
   refusal on stderr, too. */
static void send_response(struct connection *c, const struct request *r)
{
    FILE *out = c->ws.out;
    if (r->text != page)
        fprintf(stderr, "%s: %s: %.*s: %s", program, c->address,
                (int)strcspn(r->status, "\r"), r->status, r->text);
    start_response(out, r->status);
    fprintf(out,
            "Content-Type: text/%s; charset=utf-8\r\nContent-Length: %zu\r\n"
            "Connection: close\r\n\r\n",
            r->text == page ? "html" : "plain", strlen(r->text));
    if (r->method == NULL || strcmp(r->method, "HEAD") != 0)
        fputs(r->text, out);
}

/* Answer the request of a client. Returns true if the connection is a WebSocket now. */
static bool handshake(struct connection *c)
{
    struct request r = {0};
    bool ok = read_request(&c->ws, &r) && check_request(&r);
    if (ok && strcmp(r.path, "/ws") == 0) {
        char accept_value[29];
        accept_key(r.key, accept_value);
        start_response(c->ws.out, "101 Switching Protocols");
        fprintf(c->ws.out,
                "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: %s\r\n\r\n",
                accept_value);
        return fflush(c->ws.out) == 0;
    }
    if (ok) {
        r.status = "200 OK";
        r.text = page;
    }
    if (r.status != NULL)
        send_response(c, &r);
    return false;
}

/* ---- Connections ---- */

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

/* Print a message; of a long text only the beginning, without cutting a character. */
static void log_message(const struct websocket *ws, int opcode)
{
    char prefix[64] = "Received: ";
    size_t shown = ws->length;
    if (opcode == BINARY) {
        snprintf(prefix, sizeof prefix, "Received: %zu bytes", ws->length);
        shown = 0;
    } else if (shown > LOG_LIMIT) {
        snprintf(prefix, sizeof prefix, "Received (%zu bytes): ", ws->length);
        shown = LOG_LIMIT;
        while ((ws->message[shown] & 0xc0) == 0x80)
            shown--;
    }
    print_line(prefix, (const char *)ws->message, shown);
}

/* Send what has been written, and wait for more input. A client that is silent for
   READ_TIMEOUT is pinged. Returns false if it is silent for that long once more, takes
   nothing, or has disconnected. */
static bool wait_for_input(struct websocket *ws)
{
    if (fflush(ws->out) != 0)
        return false;
    if (read_more(ws))
        return true;
    return errno == EAGAIN && write_frame(ws, PING, ws->in, 0) && fflush(ws->out) == 0 &&
           read_more(ws);
}

/* Send back every message until the connection ends. Replies to messages that arrived
   together leave together. */
static void echo_messages(struct connection *c)
{
    struct websocket *ws = &c->ws;
    int opcode;
    while ((opcode = next_message(ws)) != CLOSED) {
        if (opcode == INCOMPLETE && wait_for_input(ws))
            continue;
        if (opcode == INCOMPLETE)
            break;
        if (!quiet)
            log_message(ws, opcode);
        if (!write_frame(ws, opcode, ws->message, ws->length))
            break;
    }
    if (ws->failure != NULL)
        fprintf(stderr, "%s: %s: %u %s\n", program, c->address, ws->close_code,
                ws->failure);
}

/* Let the connection end when the client has taken nothing of what was sent to it for
   WRITE_TIMEOUT. */
static void limit_writes(int fd)
{
#ifdef TCP_USER_TIMEOUT /* the kernel measures, and frees what it has buffered, too */
    const unsigned timeout = WRITE_TIMEOUT;
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
#else
    set_timeout(fd, SO_SNDTIMEO, WRITE_TIMEOUT);
#endif
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

/* The thread of one client. */
static void *handle_connection(void *argument)
{
    struct connection *c = argument;
    struct websocket *ws = &c->ws;
    setvbuf(ws->out, ws->out_buffer, _IOFBF, sizeof ws->out_buffer);
    limit_writes(ws->fd);
    if (handshake(c)) {
        if (!quiet)
            print_line("Connection from: ", c->address, strlen(c->address));
        set_timeout(ws->fd, SO_RCVTIMEO, READ_TIMEOUT);
        echo_messages(c);
    }
    lingering_close(ws->out);
    free(ws->message);
    free(c);
    return NULL;
}

/* Write HOST:PORT or [HOST]:PORT of a client. An IPv4 client of an IPv6 socket has an
   address like ::ffff:127.0.0.1, which is shown as 127.0.0.1. */
static void format_address(const struct sockaddr_storage *peer, socklen_t size,
                           char text[ADDRESS_SIZE])
{
    char host[64] = "?", port[8] = "?";
    getnameinfo((const struct sockaddr *)peer, size, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    const char *shown = strncmp(host, "::ffff:", 7) == 0 ? host + 7 : host;
    snprintf(text, ADDRESS_SIZE, strchr(shown, ':') != NULL ? "[%s]:%s" : "%s:%s", shown,
             port);
}

/* Wait for the next client. */
static int accept_client(int listener, char address[ADDRESS_SIZE])
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    int fd;
    while ((fd = accept(listener, (struct sockaddr *)&peer, &size)) < 0)
        if (errno != ECONNABORTED) /* a client that is gone already */
            wait_for_resources("accept", errno);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* do not delay replies */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on); /* detect dead clients */
    format_address(&peer, size, address);
    return fd;
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
    for (;;) {
        struct connection *c;
        while ((c = malloc(sizeof *c)) == NULL)
            wait_for_resources("malloc", errno);
        memset(c, 0, offsetof(struct connection, ws.in)); /* do not touch the rest */
        c->ws.fd = accept_client(listener, c->address);
        while ((c->ws.out = fdopen(c->ws.fd, "w")) == NULL)
            wait_for_resources("fdopen", errno);
        pthread_t thread;
        while ((error = pthread_create(&thread, &attributes, handle_connection, c)))
            wait_for_resources("pthread_create", error);
    }
}

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "ahq")) != -1) {
        switch (option) {
        case 'a':
            any_origin = true;
            break;
        case 'q':
            quiet = true;
            break;
        default:
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (argc > optind + 1) {
        fprintf(stderr, "%s: more than one address\n%s", program, usage);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* so that writing to a client that has gone only fails */
    serve(listen_on(argc > optind ? argv[optind] : "1234"));
}
