/* unit.c - the parts of wsServer.c, or with -DCLIENT of wsClient.c, without a socket
 *
 *     cases.py streams server | unit
 *
 * Each stream of the table on stdin must give what the plain reading of frames.c
 * gives, whole, byte by byte and cut at every place: so the masks are tried at every
 * place and length. Checks the vectors of RFC 4648 and RFC 6455, and UTF-8. Prints a line
 * for each check, as the test scripts do.
 */
#include "../proof/fuzz/frames.c" /* NOLINT(bugprone-suspicious-include) */

#include <ctype.h> /* below it: frames.c says which POSIX */

static int failures;

static void check(bool good, const char *what, const char *which)
{
    printf("%s %s: unit: %s: %s\n", good ? "ok" : "FAIL", program, what, which);
    failures += !good;
}

static size_t from_hex(const char *text, unsigned char *data)
{
    size_t n = 0;
    for (unsigned byte; isxdigit((unsigned char)*text); text += 2) {
        sscanf(text, "%2x", &byte);
        data[n++] = (unsigned char)byte;
    }
    return n;
}

/* The table: name, stream and more, with tabs between them. */
static void run_table(void)
{
    static char line[200000];
    static unsigned char data[50000];
    int streams = 0;
    most_cuts = sizeof data;
    while (fgets(line, sizeof line, stdin) != NULL) {
        const char *name = strtok(line, "\t"), *hex = strtok(NULL, "\t");
        must(hex != NULL, "a line of the table has a stream");
        stream.size = from_hex(hex, data);
        stream.data = copy_of(data, stream.size);
        const char *way = differs();
        if (way != NULL)
            check(false, name, way);
        free(stream.data);
        streams++;
    }
    check(streams > 500, "streams", "whole, byte by byte and cut at every place");
}

static void run_hashes(void)
{
    static const char *const texts[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foobar", "Zm9vYmFy"},
        {"\xff\xef\xbe", "/+++"},
    };
    static const char *const keys[][2] = {
        {"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
        {"AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="},
        {"/////////////////////w==", "XXpj4jYzLM2yUE0C7TIgMwTQh2g="},
    };
    char text[29];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        base64((const unsigned char *)texts[i][0], strlen(texts[i][0]), text);
        check(strcmp(text, texts[i][1]) == 0, "RFC 4648, base64", texts[i][1]);
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        accept_key(keys[i][0], text);
        check(strcmp(text, keys[i][1]) == 0, "the accept key (SHA-1) of", keys[i][0]);
    }
}

/* Every four of the bytes at which the table of RFC 3629, section 4, changes. */
static void run_utf8(void)
{
    static const char edges[] = "\x41\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0"
                                "\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xf7\xf8\xff";
    const size_t count = sizeof edges; /* with the 0 at the end */
    unsigned char text[24];
    bool good = true;
    for (size_t i = 0; i < count * count * count * count; i++) {
        size_t before = i % 17, n = before + 4 + i % 3;
        memset(text, 'x', sizeof text);
        for (size_t j = 0, rest = i; j < 4; j++, rest /= count)
            text[before + j] = (unsigned char)edges[rest % count];
        struct utf8 u = {0};
        bool open = false, valid = plain_utf8(text, n, &open) == n;
        good = good && check_utf8(&u, text, n) == valid &&
               (!valid || (u.missing > 0) == open);
    }
    check(good, "UTF-8", "every four edge bytes, with ASCII around them");
}

int main(void)
{
    run_hashes();
    run_utf8();
    run_table();
    return failures > 0;
}
