/* ws_unit.c - the parts of wsServer.c, or with -DCLIENT of wsClient.c, without a socket
 *
 *     ws_cases.py streams server | ws_unit
 *
 * Feeds the decoder each stream of the table on stdin whole, byte by byte and cut at every
 * place, and wants the same outcome each time. Checks the vectors of RFC 3174, RFC 4648 and
 * RFC 6455, and the mask and the UTF-8 check against plain ones. Prints a line for each
 * check, as the test scripts do.
 */
#define main program_main
#ifdef CLIENT
#include "../wsClient/wsClient.c" /* NOLINT(bugprone-suspicious-include) */
#define PROGRAM "wsClient"
#else
#include "../wsServer/wsServer.c" /* NOLINT(bugprone-suspicious-include) */
#define PROGRAM "wsServer"
#endif
#undef main
#include <stdarg.h>

/* What a stream comes to, as the table writes it. */
struct outcome {
    char *text;
    size_t used, size;
};

static int failures;

static void check(bool good, const char *format, ...)
{
    va_list args;
    printf(good ? "ok " PROGRAM ": unit: " : "FAIL " PROGRAM ": unit: ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    failures += !good;
}

static unsigned char *copy_of(const unsigned char *data, size_t n)
{
    unsigned char *copy = malloc(n > 0 ? n : 1);
    if (copy == NULL)
        abort();
    if (n > 0)
        memcpy(copy, data, n);
    return copy;
}

static void add(struct outcome *o, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (o->size - o->used < 100) {
        o->size = o->size * 2 + 1000;
        o->text = realloc(o->text, o->size);
        if (o->text == NULL)
            abort();
    }
    o->used += (size_t)vsnprintf(o->text + o->used, o->size - o->used, format, args);
    va_end(args);
}

static void add_payload(struct outcome *o, char kind, const unsigned char *p, size_t n)
{
    add(o, o->used > 0 ? " %c:" : "%c:", kind);
    for (size_t i = 0; i < n; i++)
        add(o, "%02x", p[i]);
}

/* Feed the decoder n bytes, from a copy with nothing behind it. Returns whether it has
   come to the end of the stream, by a Close or a failure. */
static bool feed(struct decoder *d, const unsigned char *bytes, size_t n,
                 struct outcome *o)
{
    unsigned char *copy = copy_of(bytes, n);
    const unsigned char *data = copy;
    bool over = false;
    while (!over) {
        int event = (int)decode(d, &data, copy + n);
        if (event == NEED_MORE)
            break;
        if (event == TEXT || event == BINARY)
            add_payload(o, event == TEXT ? 't' : 'b', d->payload, d->length);
        else if (event == PING)
            add_payload(o, 'p', d->payload, d->length);
        over = event == CLOSE || event == FAILURE;
        if (over)
            add(o, "%s%c:%u", o->used > 0 ? " " : "", event == CLOSE ? 'c' : 'f',
                d->code);
        if (event == FAILURE && (d->why == NULL || *d->why == '\0'))
            add(o, " without a reason");
    }
    free(copy);
    return over;
}

static void start(struct decoder *d, struct outcome *o)
{
#ifdef CLIENT
    open_decoder(d, false);
#else
    open_decoder(d, true);
#endif
    o->used = 0;
    add(o, "%s", "");
}

/* Run the stream every way. Returns NULL, or how it went wrong; `o` is what came then. */
static const char *run_stream(const unsigned char *stream, size_t n, const char *want,
                              bool fast, struct outcome *o)
{
    static char how[80];
    struct decoder d;
    snprintf(how, sizeof how, "whole");
    start(&d, o);
    feed(&d, stream, n, o);
    free(d.message.data);
    if (strcmp(o->text, want) != 0)
        return how;

    start(&d, o);
    size_t fed = 0;
    while (fed < n && !feed(&d, stream + fed, 1, o))
        fed++;
    free(d.message.data);
    snprintf(how, sizeof how, "byte by byte");
    if (strcmp(o->text, want) != 0)
        return how;
    snprintf(how, sizeof how, "fails at byte %zu of %zu, not at the last", fed + 1, n);
    if (fast && fed != n - 1)
        return how;

    for (size_t cut = 0; cut <= n; cut++) {
        start(&d, o);
        if (!feed(&d, stream, cut, o))
            feed(&d, stream + cut, n - cut, o);
        free(d.message.data);
        snprintf(how, sizeof how, "cut at byte %zu", cut);
        if (strcmp(o->text, want) != 0)
            return how;
    }
    return NULL;
}

static size_t from_hex(const char *text, unsigned char *data)
{
    size_t n = 0;
    for (; text[0] != '\0' && text[1] != '\0'; text += 2) {
        char pair[3] = {text[0], text[1], '\0'};
        data[n++] = (unsigned char)strtoul(pair, NULL, 16);
    }
    return n;
}

/* The table: name, stream, outcome, fast or slow, with tabs between them. */
static void run_table(void)
{
    static char line[100000];
    static unsigned char stream[50000];
    struct outcome o = {0};
    int streams = 0, good = 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        char *hex = strchr(line, '\t');
        char *want = hex == NULL ? NULL : strchr(hex + 1, '\t');
        char *speed = want == NULL ? NULL : strchr(want + 1, '\t');
        if (speed == NULL)
            abort();
        *hex++ = *want++ = *speed++ = '\0';
        size_t n = from_hex(hex, stream);
        const char *how = run_stream(stream, n, want, strcmp(speed, "fast\n") == 0, &o);
        streams++;
        good += how == NULL;
        if (how != NULL) {
            check(false, "%s: %s", line, how);
            printf("    expected: %s\n    got:      %s\n", want, o.text);
        }
    }
    check(good == streams && streams > 500,
          "%d of %d streams decoded whole, byte by byte and cut at every place", good,
          streams);
    free(o.text);
}

/* The frames of RFC 6455, section 5.7. */
static void run_rfc_frames(void)
{
    static const struct {
        bool from_client;
        const char *name, *hex, *want;
    } frames[] = {
        {false, "an unmasked text", "810548656c6c6f", "t:48656c6c6f"},
        {true, "a masked text", "818537fa213d7f9f4d5158", "t:48656c6c6f"},
        {false, "a text in fragments", "010348656c80026c6f", "t:48656c6c6f"},
        {false, "an unmasked Ping", "890548656c6c6f", "p:48656c6c6f"},
        {true, "a masked Ping", "898537fa213d7f9f4d5158", "p:48656c6c6f"},
        {true, "a masked Pong", "8a8537fa213d7f9f4d5158", ""},
    };
    struct outcome o = {0};
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        unsigned char stream[40];
        size_t n = from_hex(frames[i].hex, stream);
        struct decoder d;
        open_decoder(&d, frames[i].from_client);
        o.used = 0;
        add(&o, "%s", "");
        feed(&d, stream, n, &o);
        free(d.message.data);
        check(strcmp(o.text, frames[i].want) == 0, "RFC 6455, section 5.7: %s",
              frames[i].name);
        open_decoder(&d, !frames[i].from_client);
        o.used = 0;
        feed(&d, stream, n, &o);
        free(d.message.data);
        check(strcmp(o.text, "f:1002") == 0, "the same from the other role: %s",
              frames[i].name);
    }
    static const struct {
        size_t length;
        const char *hex;
    } headers[] = {{0, "8200"},         {125, "827d"},
                   {126, "827e007e"},   {256, "827e0100"},
                   {65535, "827effff"}, {65536, "827f0000000000010000"}};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        for (int masked = 0; masked < 2; masked++) {
            unsigned char want[14], got[14] = {0};
            size_t n = from_hex(headers[i].hex, want);
            want[1] |= masked ? 0x80 : 0;
            check(frame_header(got, BINARY, masked, headers[i].length) == n &&
                      memcmp(got, want, n) == 0,
                  "the header of a %s frame of %zu bytes", masked ? "masked" : "plain",
                  headers[i].length);
        }
    free(o.text);
}

static void run_hashes(void)
{
    static const struct {
        const char *text;
        uint32_t want[5];
    } blocks[] = {
        {"", {0xda39a3ee, 0x5e6b4b0d, 0x3255bfef, 0x95601890, 0xafd80709}},
        {"abc", {0xa9993e36, 0x4706816a, 0xba3e2571, 0x7850c26c, 0x9cd0d89d}},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         {0x84983e44, 0x1c3bd26e, 0xbaae4aa1, 0xf95129e5, 0xe54670f1}},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        unsigned char padded[128] = {0};
        size_t n = strlen(blocks[i].text), size = n < 56 ? 64 : 128;
        memcpy(padded, blocks[i].text, n);
        padded[n] = 0x80;
        padded[size - 2] = (unsigned char)(n * 8 >> 8);
        padded[size - 1] = (unsigned char)(n * 8);
        uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
        sha1_block(h, padded);
        if (size == 128)
            sha1_block(h, padded + 64);
        check(memcmp(h, blocks[i].want, sizeof h) == 0, "RFC 3174: SHA-1 of \"%s\"",
              blocks[i].text);
    }
    static const struct {
        const char *text, *want;
    } sixty[] = {
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "13d956033d9af449bfe2c4ef78c17c20469c4bf1"},
        {"012345678901234567890123456789012345678901234567890123456789",
         "f52e3c2732de7bea28f216d877d78dae1aa1ac6a"},
    };
    for (size_t i = 0; i < sizeof sixty / sizeof *sixty; i++) {
        unsigned char want[20], got[20];
        from_hex(sixty[i].want, want);
        sha1(sixty[i].text, got);
        check(memcmp(got, want, sizeof got) == 0, "SHA-1 of 60 bytes, %zu", i + 1);
    }
    static const char *const texts[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xef\xbe", "/+++"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char got[20];
        base64((const unsigned char *)texts[i][0], strlen(texts[i][0]), got);
        check(strcmp(got, texts[i][1]) == 0, "RFC 4648: base64 \"%s\"", texts[i][1]);
    }
    char accept[29];
    accept_key("dGhlIHNhbXBsZSBub25jZQ==", accept);
    check(strcmp(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") == 0,
          "RFC 6455, section 1.3: the accept key");
}

static void run_masks(void)
{
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned char data[100], plain[100] = {0}, *got;
    bool good = true;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 11);
    for (size_t from = 0; from < 9; from++)
        for (size_t at = 0; at < 9; at++)
            for (size_t n = 0; n < 80; n++) {
                for (size_t i = 0; i < n; i++)
                    plain[i] = data[from + i] ^ mask[(at + i) % 4];
                got = copy_of(data + from, n);
                apply_mask(got, got, n, mask, at);
                good = good && memcmp(got, plain, n) == 0;
                free(got);
            }
    check(good, "the mask at every place, length and alignment");
}

/* RFC 3629, section 4, a byte at a time, by its table. Returns how many bytes are good:
   n, or where the first bad one is. *open tells whether the end is inside a character. */
static size_t plain_utf8(const unsigned char *p, size_t n, bool *open)
{
    size_t missing = 0;
    uint32_t point = 0, least = 0;
    for (size_t i = 0; i < n; i++) {
        if (missing == 0) {
            if (p[i] < 0x80)
                continue;
            if ((p[i] & 0xe0) == 0xc0)
                missing = 1, point = p[i] & 0x1f, least = 0x80;
            else if ((p[i] & 0xf0) == 0xe0)
                missing = 2, point = p[i] & 0x0f, least = 0x800;
            else if ((p[i] & 0xf8) == 0xf0)
                missing = 3, point = p[i] & 0x07, least = 0x10000;
            else
                return i;
        } else {
            if ((p[i] & 0xc0) != 0x80)
                return i;
            missing--;
            point = point << 6 | (p[i] & 0x3f);
        }
        /* What the rest can still make of it. */
        uint32_t low = point << 6 * missing, high = low | ((1U << 6 * missing) - 1);
        if (high < least || low > 0x10ffff || (low >= 0xd800 && high <= 0xdfff))
            return i;
    }
    *open = missing > 0;
    return n;
}

/* Check the text whole, cut in two, and byte by byte, against the plain check. */
static bool same_utf8(const unsigned char *text, size_t n)
{
    bool open = false;
    size_t good = plain_utf8(text, n, &open);
    for (size_t cut = 0; cut <= n; cut++) {
        unsigned char *first = copy_of(text, cut), *second = copy_of(text + cut, n - cut);
        struct utf8 u = {0};
        bool result = check_utf8(&u, first, cut) && check_utf8(&u, second, n - cut);
        free(first);
        free(second);
        if (result != (good == n) || (result && (u.missing > 0) != open))
            return false;
    }
    struct utf8 u = {0};
    for (size_t i = 0; i < n; i++)
        if (!check_utf8(&u, text + i, 1))
            return i == good;
    return good == n;
}

static void run_utf8(void)
{
    static const unsigned char edges[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f,
                                          0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
                                          0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1,
                                          0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfe, 0xff};
    const size_t count = sizeof edges;
    unsigned char text[40];
    bool good = true;
    for (size_t i = 0; i < count * count * count * count; i++) {
        text[0] = edges[i % count];
        text[1] = edges[i / count % count];
        text[2] = edges[i / count / count % count];
        text[3] = edges[i / count / count / count];
        good = good && same_utf8(text, 4);
    }
    check(good, "UTF-8: every four of %zu edge bytes", count);

    good = true;
    for (size_t before = 0; before < 18; before++)
        for (size_t i = 0; i < count * count * count; i++) {
            memset(text, 'x', sizeof text);
            text[before] = edges[i % count];
            text[before + 1] = edges[i / count % count];
            text[before + 2] = edges[i / count / count];
            struct utf8 u = {0};
            bool open = false;
            size_t n = before + 3 + i % 17;
            good = good && check_utf8(&u, text, n) == (plain_utf8(text, n, &open) == n);
        }
    check(good, "UTF-8: every three of them inside ASCII of every length");

    good = true;
    for (uint32_t point = 0; point < 0x110000; point++) {
        size_t n = 0;
        if (point < 0x80) {
            text[n++] = (unsigned char)point;
        } else if (point < 0x800) {
            text[n++] = (unsigned char)(0xc0 | point >> 6);
        } else if (point < 0x10000) {
            text[n++] = (unsigned char)(0xe0 | point >> 12);
            text[n++] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
        } else {
            text[n++] = (unsigned char)(0xf0 | point >> 18);
            text[n++] = (unsigned char)(0x80 | (point >> 12 & 0x3f));
            text[n++] = (unsigned char)(0x80 | (point >> 6 & 0x3f));
        }
        if (point >= 0x80)
            text[n++] = (unsigned char)(0x80 | (point & 0x3f));
        struct utf8 u = {0};
        bool valid = check_utf8(&u, text, n) && u.missing == 0;
        good = good && valid == (point < 0xd800 || point > 0xdfff);
    }
    check(good, "UTF-8: every code point is let in but the surrogates");

    good = true;
    uint32_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        size_t n = 0;
        while (n < 24) {
            seed = seed * 1664525 + 1013904223;
            size_t whole = seed >> 20 & 3;
            if (whole == 0)
                text[n++] = edges[(seed >> 24) % count];
            else if (whole == 1)
                text[n++] = 'a';
            else
                n += (size_t)snprintf((char *)text + n, 5, "%s", whole == 2 ? "한" : "😀");
        }
        bool open = false;
        struct utf8 u = {0};
        bool valid = check_utf8(&u, text, n);
        good = good && valid == (plain_utf8(text, n, &open) == n);
    }
    check(good, "UTF-8: 200,000 mixed texts");
}

int main(void)
{
    run_rfc_frames();
    run_hashes();
    run_masks();
    run_utf8();
    run_table();
    return failures > 0;
}
