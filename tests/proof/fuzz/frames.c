/* frames.c - fuzzes how wsServer.c, or with -DCLIENT wsClient.c, reads and writes frames
 *
 * For a stream of frames it must send the same bytes as a plain second reading by
 * RFC 6455, and must fail as early.
 */
#ifdef CLIENT
#define PROGRAM "../../../wsClient/wsClient.c"
#define RANDOM "zyxw"
static const char sent_mask[5] = RANDOM;
#else
#define PROGRAM "../../../wsServer/wsServer.c"
static const char sent_mask[5] = "";
#endif
#include "websocket.h"

static struct websocket ws;
static const unsigned char *p; /* the next byte of the stream for plain() */
static struct notes message, control;
static size_t needed; /* bytes of the stream after which it must have ended */

/* Send back each message of the stream until it ends. */
static void real(void)
{
    open_websocket(&ws);
#ifdef CLIENT
    close_sent = false;
#endif
    int result;
    while ((result = next_message(&ws)) != CLOSED) {
        if (result != INCOMPLETE)
            write_frame(&ws, result, ws.message, ws.length);
        else if (!read_more(&ws))
            break;
    }
    fclose(ws.out);
    note(&got, sent, sent_size);
    note_text(&got, ws.failure != NULL ? "failed" : "closed");
    must(stream.before < needed, "it fails at the first byte where it can");
    free(sent);
    free(ws.message);
}

/* Note the frame (RFC 6455, section 5.2) that it must send. */
static void note_frame(unsigned opcode, const unsigned char *payload, size_t length)
{
    unsigned char header[10] = {(unsigned char)(0x80 | opcode), (unsigned char)length};
    size_t width = length > 65535 ? 8 : length > 125 ? 2 : 0;
    if (width > 0)
        header[1] = width == 8 ? 127 : 126;
    for (size_t i = 0; i < width; i++)
        header[1 + width - i] = (unsigned char)(length >> 8 * i);
    header[1] |= *sent_mask ? 0x80 : 0;
    note(&want, header, 2 + width);
    note_text(&want, sent_mask);
    for (size_t i = 0; i < length; i++)
        note(&want, (unsigned char[]){payload[i] ^ (unsigned char)sent_mask[i % 4]}, 1);
}

/* Note the end: a Close with this code, without one if it is 0; a negative code stands for
   a failure. */
static void note_end(int code)
{
    const unsigned bits = (unsigned)abs(code);
    note_frame(8, (unsigned char[]){bits >> 8 & 0xff, bits & 0xff}, code == 0 ? 0 : 2);
    note_text(&want, code < 0 ? "failed" : "closed");
}

/* Whether a frame may begin with these two bytes (section 5.2). */
static bool plain_start(const unsigned char *two)
{
    static const unsigned char first[] = {0x00, 0x01, 0x02, 0x80, 0x81,
                                          0x82, 0x88, 0x89, 0x8a};
    return memchr(first, two[0], sizeof first) != NULL &&
           (two[1] < 0x80) == (*sent_mask != 0) && (two[0] < 0x88 || two[1] % 128 <= 125);
}

/* The code for note_end() after a Close with this payload (section 7.4). */
static int plain_close(const struct notes *payload)
{
    if (payload->used < 2)
        return payload->used == 0 ? 0 : -1002;
    int code = payload->data[0] * 256 + payload->data[1];
    if (code < 1000 || (code > 1014 && code < 3000) || code > 4999 || code == 1004 ||
        code == 1005 || code == 1006)
        return -1002;
    bool open = false;
    size_t n = payload->used - 2;
    return plain_utf8(payload->data + 2, n, &open) < n || open ? -1007 : code;
}

/* Go through the stream, frame by frame. Returns the code for note_end(), or INT_MAX if
   the stream just ends; p is then after the last byte that decided. */
static int plain_frames(void)
{
    const unsigned char *end = stream.data + stream.size;
    unsigned kind = 0; /* opcode of the message being read, 0 between messages */
    while (end - p >= 2) {
        const unsigned char *start = p;
        p += 2;
        if (!plain_start(start))
            return -1002;
        bool final = start[0] >= 0x80;
        unsigned opcode = start[0] % 16;
        uint64_t length = start[1] % 128;
        int width = length == 126 ? 2 : length == 127 ? 8 : 0;
        if (end - p < width)
            break;
        length = width > 0 ? 0 : length;
        for (int i = 0; i < width; i++)
            length = length * 256 + *p++;
        if ((width == 2 && length < 126) || (width == 8 && length < 65536) ||
            length > INT64_MAX)
            return -1002;
        unsigned char mask[4] = {0};
        if (start[1] >= 0x80) {
            if (end - p < 4)
                break;
            memcpy(mask, p, 4);
            p += 4;
        }
        struct notes *payload = opcode < 8 ? &message : &control;
        if (opcode < 8 && (opcode == 0) != (kind != 0))
            return -1002;
        if (opcode != 0)
            payload->used = 0;
        if (opcode < 8 && length > (16 << 20) - message.used)
            return -1009;
        if (opcode == 1 || opcode == 2)
            kind = opcode;
        size_t n = length < (size_t)(end - p) ? (size_t)length : (size_t)(end - p);
        for (size_t i = 0; i < n; i++) {
            const unsigned char byte = *p++ ^ mask[i % 4];
            note(payload, &byte, 1);
        }
        bool open = false;
        if (opcode < 8 && kind == 1 && message.used > 0) {
            size_t good = plain_utf8(message.data, message.used, &open);
            if (good < message.used) {
                p -= message.used - good - 1;
                return -1007;
            }
        }
        if (n < length)
            break;
        if (opcode == 8)
            return plain_close(&control);
        if (opcode == 9)
            note_frame(10, control.data, control.used);
        if (opcode >= 8 || !final)
            continue;
        if (open)
            return -1007;
        note_frame(kind, message.data, message.used);
        kind = 0;
    }
    return INT_MAX;
}

static void plain(void)
{
    p = stream.data;
    int code = plain_frames();
    needed = code == INT_MAX ? SIZE_MAX : (size_t)(p - stream.data);
    if (code != INT_MAX)
        note_end(code);
    else
        note_text(&want, "closed");
}
