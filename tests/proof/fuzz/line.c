/* line.c - fuzzes read_line() and is_stop() of concTCP.c, or with -DCLIENT of tcpC.c */
#ifdef CLIENT
#define PROGRAM "../../../tcpC/tcpC.c"
enum { LIMIT = 65536 };
#else
#define PROGRAM "../../../concTCP/concTCP.c"
enum { LIMIT = 4096 };
#endif
#include "fuzz.h"

static void note_line(struct notes *notes, const char *line, size_t length, bool stop)
{
    note(notes, line, length);
    note_text(notes, stop ? "|STOP|" : "|line|");
}

static void real(void)
{
    static struct reader r;
    r.fd = STREAM;
    r.start = r.end = 0;
    char *line;
    ssize_t n;
    for (;;) {
        size_t latest = has_line(&r) ? stream.at : SIZE_MAX;
        if ((n = read_line(&r, &line)) <= 0)
            break;
        must(stream.at <= latest, "a line that is there is not waited for");
        note_line(&got, line, (size_t)n, is_stop(line, (size_t)n));
    }
    must(n == 0 || errno == EMSGSIZE, "a long line is the only error");
    note_text(&got, n < 0 ? "too long" : "end");
}

/* The last line is given the end that it lacks. */
static void plain(void)
{
    static struct notes line;
    for (size_t i = 0; i < stream.size;) {
        line.used = 0;
        do
            note(&line, stream.data + i, 1);
        while (stream.data[i++] != '\n' && i < stream.size);
        if (stream.data[i - 1] != '\n')
            note_text(&line, "\n");
        if (line.used > LIMIT) {
            note_text(&want, "too long");
            return;
        }
        bool text = strlen((char *)line.data) == line.used;
        note_line(&want, (char *)line.data, line.used,
                  text && like((char *)line.data, "^[[:space:]]*STOP[[:space:]]*$"));
    }
    note_text(&want, "end");
}
