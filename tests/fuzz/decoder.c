/* decoder.c - fuzzes the WebSocket decoder of wsServer.c, or with -DCLIENT of wsClient.c
 *
 * A stream of frames must come to the same events, payloads and codes whole, in pieces, and
 * by a plain second decoder.
 */
#include "fuzz.h"
#define main program_main
#ifdef CLIENT
#include "../../wsClient/wsClient.c" /* NOLINT(bugprone-suspicious-include) */
enum { MASKED = false };
#else
#include "../../wsServer/wsServer.c" /* NOLINT(bugprone-suspicious-include) */
enum { MASKED = true };
#endif
#undef main

/* Note an event, as decode() returns it, with its code, or 0, and its payload. */
static void note_event(struct notes *notes, int event, unsigned code,
                       const unsigned char *payload, size_t length)
{
    char text[60];
    int n = snprintf(text, sizeof text, "%d %u %zu:", event, code, length);
    note(notes, text, (size_t)n);
    note(notes, payload, length);
}

/* Decode the stream, in its pieces. */
static void run_decoder(struct notes *notes)
{
    struct decoder d;
    open_decoder(&d, MASKED);
    bool over = false;
    while (!over && stream.at < stream.size) {
        size_t n = next_piece();
        if (n > stream.size - stream.at)
            n = stream.size - stream.at;
        unsigned char *piece = copy_of(stream.data + stream.at, n);
        stream.at += n;
        const unsigned char *data = piece, *end = piece + n;
        int event;
        while (!over && (event = decode(&d, &data, end)) != NEED_MORE) {
            must(data <= end, "no byte is taken that is not there");
            over = event == CLOSE || event == FAILURE;
            must(event != FAILURE || *d.why != '\0', "a failure has a reason");
            if (event == FAILURE)
                note_event(notes, event, d.code, NULL, 0);
            else
                note_event(notes, event, event == CLOSE ? d.code : 0, d.payload,
                           d.length);
        }
        must(over || data == end, "all bytes are taken");
        free(piece);
    }
    free(d.message.data);
}

static bool plain_first_byte_good(unsigned first, unsigned message)
{
    switch (first & 0x7f) { /* reserved bits and opcode */
    case CONTINUATION:
        return message != 0;
    case TEXT:
    case BINARY:
        return message == 0;
    case CLOSE:
    case PING:
    case PONG:
        return (first & 0x80) != 0;
    default:
        return false;
    }
}

/* What RFC 6455, section 7.4, says of the payload of a Close: 0, or the code to fail with.
   */
static unsigned plain_close(const unsigned char *payload, size_t n, unsigned *code)
{
    bool open = false;
    *code = n >= 2 ? payload[0] * 256U + payload[1] : 0;
    if (n == 1 ||
        (n > 1 && (*code < 1000 || (*code > 1014 && *code < 3000) || *code > 4999 ||
                   *code == 1004 || *code == 1005 || *code == 1006)))
        return 1002;
    return n > 2 && (plain_utf8(payload + 2, n - 2, &open) < n - 2 || open) ? 1007 : 0;
}

/* The frames of the stream, which is there whole, one after the other. Returns the code to
   fail with where they cannot go on, else 0. */
static unsigned plain_decode(struct notes *notes, struct notes *message)
{
    unsigned kind = 0; /* of the message under way */
    size_t good = 0;   /* so much of it has been checked and is whole characters */
    const unsigned char *p = stream.data, *end = p + stream.size;
    while (p < end) {
        unsigned first = p[0], opcode = first & 0x0f;
        if (!plain_first_byte_good(first, kind))
            return 1002;
        if (end - p < 2)
            return 0;
        bool control = opcode >= CLOSE;
        if (p[1] >> 7 != MASKED || (control && (p[1] & 0x7f) > 125))
            return 1002;
        uint64_t length = p[1] & 0x7f;
        int size = length == 126 ? 2 : length == 127 ? 8 : 0;
        p += 2;
        if (end - p < size)
            return 0;
        if (size > 0)
            length = 0;
        for (int i = 0; i < size; i++)
            length = length * 256 + *p++;
        if ((size == 2 && length < 126) || (size == 8 && length < 65536) ||
            length > INT64_MAX)
            return 1002;
        if (opcode == TEXT || opcode == BINARY) {
            kind = opcode;
            message->used = good = 0;
        }
        if (!control && message->used + length > 16777216)
            return 1009;
        unsigned char mask[4] = {0};
        for (int i = 0; MASKED && i < 4; i++) {
            if (p == end)
                return 0;
            mask[i] = *p++;
        }
        struct notes own = {0}, *payload = control ? &own : message;
        size_t n = length < (size_t)(end - p) ? (size_t)length : (size_t)(end - p);
        for (size_t i = 0; i < n; i++) {
            unsigned char byte = *p++ ^ mask[i % 4];
            note(payload, &byte, 1);
        }
        bool open = false;
        if (!control && kind == TEXT) {
            size_t unchecked = payload->used - good;
            if (unchecked > 0 &&
                plain_utf8(payload->data + good, unchecked, &open) < unchecked)
                return 1007;
            if (!open)
                good = payload->used;
        }
        if (n < length) {
            free(own.data);
            return 0;
        }
        if (!control && (first & 0x80) == 0)
            continue;
        if (!control && open)
            return 1007;
        unsigned code = 0, failure = 0;
        if (opcode == CLOSE)
            failure = plain_close(own.data, own.used, &code);
        if (failure == 0)
            note_event(notes, (int)(control ? opcode : kind), code, payload->data,
                       payload->used);
        free(own.data);
        if (opcode == CLOSE)
            return failure;
        if (!control) {
            message->used = 0;
            kind = 0;
        }
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct notes whole, pieces, plain, message;
    if (!open_stream(data, size))
        return 0;
    whole.used = pieces.used = plain.used = message.used = 0;
    rewind_stream(true);
    run_decoder(&whole);
    rewind_stream(false);
    run_decoder(&pieces);
    must(same_notes(&whole, &pieces), "pieces come to what the whole comes to");
    unsigned failure = plain_decode(&plain, &message);
    if (failure != 0)
        note_event(&plain, FAILURE, failure, NULL, 0);
    must(same_notes(&whole, &plain), "a plain decoder comes to the same");
    close_stream();
    return 0;
}
