/* fuzz.h - shared by the fuzz targets
 *
 * A target defines PROGRAM, includes this file, which includes that program, and defines
 * real() and plain(). real() runs the program on a stream and notes the results; plain()
 * notes the results of a plain second implementation, written from the RFC. The two must
 * be the same whether the stream arrives whole, cut in two, or in small pieces.
 *
 * In an input the bytes 0xff, 0xfe and N stand for N times 300 letters x, so that a short
 * input can make a long stream.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <regex.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { STREAM = 1000000 }; /* the descriptor of the stream */

struct notes {
    unsigned char *data; /* ends with a NUL that used does not count */
    size_t used, size;
};

static struct notes got, want; /* by real() and plain() */

static struct {
    unsigned char *data; /* allocated, so that the sanitizer sees a byte read too far */
    size_t size;
    size_t at, before; /* bytes read so far, and before the last read */
    size_t cut, piece; /* cut in two at cut, or in pieces of this size unless it is 0 */
    size_t turn;       /* pieces so far */
} stream;

static size_t most_cuts = 20; /* number of cuts that are tried, all over the stream */
static size_t longest = 9000; /* limit for a stream */
static FILE *screen;          /* stands in for stdout and stderr */
static char *said;            /* its text, after fflush() */
static size_t said_size;
static jmp_buf *exit_to; /* where a target continues after exit(); NULL: it may not */

/* Abort with a finding if the condition is false. */
static inline void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "This does not hold: %s\n", what);
        abort();
    }
}

static inline void note(struct notes *notes, const void *data, size_t n)
{
    if (notes->size - notes->used < n + 1) {
        notes->size = notes->size * 2 + n + 1;
        notes->data = realloc(notes->data, notes->size);
        must(notes->data != NULL, "there is memory for notes");
    }
    memcpy(notes->data + notes->used, data, n);
    notes->used += n;
    notes->data[notes->used] = '\0';
}

static inline void note_text(struct notes *notes, const char *text)
{
    note(notes, text, strlen(text));
}

static inline void clear(struct notes *notes)
{
    notes->used = 0;
    note(notes, "", 0);
}

/* An allocated copy without spare bytes. */
static inline unsigned char *copy_of(const unsigned char *data, size_t n)
{
    unsigned char *copy = malloc(n > 0 ? n : 1);
    must(copy != NULL, "there is memory for a copy");
    memcpy(copy, data, n);
    return copy;
}

/* Instead of read(). Late pieces are larger, so that a long stream does not take all the
   time. */
static inline ssize_t read_stream(int fd, void *buffer, size_t size)
{
    must(fd == STREAM && size > 0, "it reads from the peer only, and some bytes");
    size_t n = stream.at < stream.cut ? stream.cut - stream.at : size;
    if (stream.piece > 0)
        n = ++stream.turn <= 50 * most_cuts ? stream.piece : 100;
    n = n < size ? n : size;
    n = n < stream.size - stream.at ? n : stream.size - stream.at;
    memcpy(buffer, stream.data + stream.at, n);
    stream.before = stream.at;
    stream.at += n;
    return (ssize_t)n;
}

/* Instead of poll(): there is always something to read, or the end. */
static inline int poll_stream(struct pollfd *fds, nfds_t n, int timeout)
{
    must(n == 1 && fds[0].fd == STREAM && timeout != 0, "it waits for the peer only");
    return 1;
}

/* Instead of fopen(): the random bytes of /dev/urandom are a text, over and over; by
   default the nonce of RFC 6455, section 1.3. */
#ifndef RANDOM
#define RANDOM "the sample nonce"
#endif
static FILE *random_file;

static inline FILE *open_random(const char *path, const char *mode)
{
    static char repeated[1 << 18];
    must(strcmp(path, "/dev/urandom") == 0, "it opens nothing else");
    for (size_t i = 0; i < sizeof repeated; i++)
        repeated[i] = RANDOM[i % (sizeof RANDOM - 1)];
    random_file = fmemopen(repeated, sizeof repeated, mode);
    return random_file;
}

/* Instead of exit(). */
static inline _Noreturn void leave_call(int status)
{
    must(exit_to != NULL && status == 1, "it exits only where it may, and with 1");
    longjmp(*exit_to, 1);
}

int program_main(int argc, char **argv);
#define main program_main
#define read read_stream
#define exit leave_call
#define poll poll_stream
#define fopen open_random
#define putchar(c) putc(c, screen)
#define printf(...) fprintf(screen, __VA_ARGS__)
#undef stdout
#undef stderr
#define stdout screen
#define stderr screen
#include PROGRAM /* NOLINT(bugprone-suspicious-include) */
#undef main
#undef fopen
#undef printf
#undef stdout
#undef stderr

static void real(void);
static void plain(void);

/* Whether the text matches the pattern, a literal with an extended regular expression
   (POSIX, chapter 9); a pattern that begins with (^ ignores case. */
static inline bool like(const char *text, const char *pattern)
{
    static struct {
        const char *pattern;
        regex_t compiled;
    } known[40];
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

/* Check text by the definition of UTF-8 (RFC 3629, section 3), byte by byte. Returns n,
   or the position of the first byte after which nothing could make the text valid. *open
   tells whether it ends inside a character. */
static inline size_t plain_utf8(const unsigned char *p, size_t n, bool *open)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}; /* with `more` bytes */
    unsigned missing = 0, more = 0;
    uint32_t point = 0;
    for (size_t i = 0; i < n; i++) {
        if (((p[i] & 0xc0) == 0x80) != (missing > 0) || p[i] >= 0xf8)
            return i;
        if (missing > 0) {
            missing--;
            point = point << 6 | (p[i] & 0x3f);
        } else {
            missing = more = p[i] < 0x80 ? 0 : p[i] < 0xe0 ? 1 : p[i] < 0xf0 ? 2 : 3;
            point = p[i] & (0x3f >> missing);
        }
        /* The lowest and the highest character that this can still become. */
        uint32_t low = point << 6 * missing, high = low | ((1U << 6 * missing) - 1);
        if (high < least[more] || low > 0x10ffff || (low >= 0xd800 && high <= 0xdfff))
            return i;
    }
    *open = missing > 0;
    return n;
}

/* Run the stream once. Returns whether real() notes the same as plain(). */
static inline bool run_stream(void)
{
    stream.at = stream.before = stream.turn = 0;
    screen = open_memstream(&said, &said_size);
    must(screen != NULL, "there is memory for what is printed");
    if (random_file != NULL)
        rewind(random_file);
    clear(&got);
    real();
    fclose(screen);
    free(said);
    return got.used == want.used && memcmp(got.data, want.data, got.used) == 0;
}

/* Run the stream in every way. Returns NULL, or the way in which real() and plain()
   differ. */
static inline const char *differs(void)
{
    static char way[40];
    clear(&want);
    plain();
    stream.piece = 0;
    for (stream.cut = 0; stream.cut <= stream.size;
         stream.cut += 1 + stream.size / most_cuts) {
        snprintf(way, sizeof way, "cut at byte %zu", stream.cut);
        if (!run_stream())
            return way;
        if (stream.at == 0 && stream.size > 0)
            return NULL; /* real() reads no stream, so there are no pieces */
    }
    for (stream.piece = 1; stream.piece <= 7; stream.piece += 6) {
        snprintf(way, sizeof way, "in pieces of %zu", stream.piece);
        if (!run_stream())
            return way;
    }
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct notes whole;
    clear(&whole);
    for (size_t i = 0; i < size && whole.used < longest; i++) {
        if (i + 2 < size && data[i] == 0xff && data[i + 1] == 0xfe) {
            for (int n = 300 * data[i + 2]; n > 0 && whole.used < longest; n--)
                note_text(&whole, "x");
            i += 2;
        } else {
            note(&whole, data + i, 1);
        }
    }
    stream.data = copy_of(whole.data, whole.used);
    stream.size = whole.used;
    const char *way = differs();
    if (way != NULL) {
        fprintf(stderr, "expected %zu bytes: %.300s\ngot %zu bytes: %.300s\n", want.used,
                (char *)want.data, got.used, (char *)got.data);
        must(false, way);
    }
    free(stream.data);
    return 0;
}

/* Without libFuzzer: run each FILE once. */
#ifdef REPLAY
int main(int argc, char **argv)
{
    static unsigned char data[1 << 16];
    most_cuts = 1000;
    longest = 90000;
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        must(file != NULL, argv[i]);
        fprintf(stderr, "%s\n", argv[i]);
        LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof data, file));
        fclose(file);
    }
    printf("%d inputs\n", argc - 1);
    return 0;
}
#endif
