/* fuzz.h - what the fuzz targets share
 *
 * A target includes this first and a program then, `main` renamed. An input is four bytes
 * that say in which pieces the rest comes, and the rest, the stream. In it the bytes 0xff,
 * 0xfe and N stand for N times 300 letters x, so that a short input can be a long stream.
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
#include <regex.h>
#include <setjmp.h>
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What has been noted, to be compared. */
struct notes {
    unsigned char *data;
    size_t used, size;
};

static struct {
    unsigned char *data; /* allocated */
    size_t size, at;     /* at: what has been taken */
    unsigned char pieces[4];
    size_t turn;
    bool whole;       /* it comes in one piece after all */
    bool interrupted; /* the last read was, and the next one is not */
} stream;

/* End with a finding, unless it is good. */
static inline void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "This does not hold: %s\n", what);
    abort();
}

static inline void note(struct notes *notes, const void *data, size_t n)
{
    if (notes->data == NULL || notes->size - notes->used < n + 1) {
        notes->size = notes->size * 2 + n + 1;
        notes->data = realloc(notes->data, notes->size);
        must(notes->data != NULL, "there is memory for notes");
    }
    if (n > 0)
        memcpy(notes->data + notes->used, data, n);
    notes->used += n;
    notes->data[notes->used] = '\0'; /* so that text may be taken as a string */
}

static inline bool same_notes(const struct notes *a, const struct notes *b)
{
    return a->used == b->used && (a->used == 0 || memcmp(a->data, b->data, a->used) == 0);
}

/* A copy with nothing behind it, so that the sanitizer sees each byte read too far. */
static inline unsigned char *copy_of(const unsigned char *data, size_t n)
{
    unsigned char *copy = malloc(n > 0 ? n : 1);
    must(copy != NULL, "there is memory for a copy");
    if (n > 0)
        memcpy(copy, data, n);
    return copy;
}

/* Make the stream of an input. Returns false if there is none in it. */
static inline bool open_stream(const uint8_t *data, size_t size)
{
    if (size < sizeof stream.pieces)
        return false;
    memcpy(stream.pieces, data, sizeof stream.pieces);
    static struct notes long_form;
    static char letters[300 * 255];
    if (letters[0] == '\0')
        memset(letters, 'x', sizeof letters);
    long_form.used = 0;
    note(&long_form, "", 0);
    for (size_t i = sizeof stream.pieces; i < size && long_form.used < 100000; i++) {
        if (i + 2 < size && data[i] == 0xff && data[i + 1] == 0xfe) {
            note(&long_form, letters, 300 * (size_t)data[i + 2]);
            i += 2;
        } else {
            note(&long_form, data + i, 1);
        }
    }
    stream.data = copy_of(long_form.data, long_form.used);
    stream.size = long_form.used;
    return true;
}

static inline void rewind_stream(bool whole)
{
    stream.at = stream.turn = 0;
    stream.whole = whole;
    stream.interrupted = false;
}

static inline void close_stream(void)
{
    free(stream.data);
}

/* How large the next piece may be: 1 to 128 bytes, or 512 to 65,536. Behind the first
   hundred it is more, so that a long stream in small pieces does not take all the time. */
static inline size_t next_piece(void)
{
    if (stream.whole)
        return SIZE_MAX;
    size_t piece = stream.pieces[stream.turn++ % sizeof stream.pieces];
    piece = piece < 128 ? piece + 1 : (piece - 127) * 512;
    return stream.turn <= 100 ? piece : piece * 99;
}

/* The stream in place of read(). A piece of one byte comes after an interruption. */
static inline ssize_t read_stream(int fd, void *buffer, size_t size)
{
    (void)fd;
    must(size > 0, "a read asks for something");
    size_t n = stream.interrupted ? 1 : next_piece();
    stream.interrupted = n == 1 && !stream.interrupted;
    if (stream.interrupted) {
        errno = EINTR;
        return -1;
    }
    if (n > size)
        n = size;
    if (n > stream.size - stream.at)
        n = stream.size - stream.at;
    if (n > 0)
        memcpy(buffer, stream.data + stream.at, n);
    stream.at += n;
    return (ssize_t)n;
}

/* Whether the text is of the pattern, an extended regular expression (POSIX, chapter 9)
   that stands in the source, without regard to case if it begins with (^. */
static inline bool like(const char *text, const char *pattern)
{
    static struct {
        const char *pattern;
        regex_t compiled;
    } known[32];
    size_t i = 0;
    while (known[i].pattern != NULL && known[i].pattern != pattern)
        must(++i < sizeof known / sizeof *known, "there is room for patterns");
    if (known[i].pattern == NULL) {
        int flags = REG_EXTENDED | REG_NOSUB | (pattern[0] == '(' ? REG_ICASE : 0);
        must(regcomp(&known[i].compiled, pattern, flags) == 0, "a pattern is right");
        known[i].pattern = pattern;
    }
    return regexec(&known[i].compiled, text, 0, NULL, 0) == 0;
}

/* The length of the head that the stream begins with, its empty line included, or 0. */
static inline size_t plain_head(void)
{
    for (size_t i = 1; i < stream.size; i++)
        if (stream.data[i] == '\n' &&
            (stream.data[i - 1] == '\n' ||
             (i > 1 && stream.data[i - 1] == '\r' && stream.data[i - 2] == '\n')))
            return i + 1;
    return 0;
}

/* Check the text by the definition of UTF-8 (RFC 3629, section 3), a byte at a time.
   Returns how many bytes are good: n, or where the first stands after which nothing could
   make it right. *open tells whether the end is inside a character. */
static inline size_t plain_utf8(const unsigned char *p, size_t n, bool *open)
{
    unsigned missing = 0;
    uint32_t point = 0, least = 0;
    for (size_t i = 0; i < n; i++) {
        if (missing > 0 && (p[i] & 0xc0) == 0x80) {
            missing--;
            point = point << 6 | (p[i] & 0x3f);
        } else if (missing > 0) {
            return i;
        } else if (p[i] < 0x80) {
            continue;
        } else if ((p[i] & 0xe0) == 0xc0) {
            missing = 1;
            point = p[i] & 0x1f;
            least = 0x80;
        } else if ((p[i] & 0xf0) == 0xe0) {
            missing = 2;
            point = p[i] & 0x0f;
            least = 0x800;
        } else if ((p[i] & 0xf8) == 0xf0) {
            missing = 3;
            point = p[i] & 0x07;
            least = 0x10000;
        } else {
            return i;
        }
        /* The lowest and the highest character that this can still become. */
        uint32_t low = point << 6 * missing, high = low | ((1U << 6 * missing) - 1);
        if (high < least || low > 0x10ffff || (low >= 0xd800 && high <= 0xdfff))
            return i;
    }
    *open = missing > 0;
    return n;
}

/* Without libFuzzer: run each file that is named, once. */
#ifdef REPLAY
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        static unsigned char data[1 << 20];
        FILE *file = fopen(argv[i], "rb");
        if (file == NULL) {
            perror(argv[i]);
            return 1;
        }
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        unsigned char *copy = copy_of(data, size);
        fprintf(stderr, "%s\n", argv[i]);
        LLVMFuzzerTestOneInput(copy, size);
        free(copy);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
#endif
