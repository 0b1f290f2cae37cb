/* line.c - fuzzes fill(), next_line() and is_stop() of concTCP.c, or with -DCLIENT of
 * tcpC.c */
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
    static struct linebuf in;
    in.fd = STREAM;
    in.eof = false;
    in.start = in.end = 0;
    do {
        char *line;
        size_t length;
        while ((line = next_line(&in, &length)) != NULL)
            note_line(&got, line, length, is_stop(line, length));
    } while (fill(&in));
    must(in.error == 0, "the end of a stream is no error");
}

/* A line over the limit is handled in pieces of that length; an unfinished last line gets
   its newline. */
static void plain(void)
{
    static struct notes line;
    for (size_t i = 0; i < stream.size;) {
        line.used = 0;
        do
            note(&line, stream.data + i, 1);
        while (stream.data[i++] != '\n' && i < stream.size && line.used < LIMIT);
        if (stream.data[i - 1] != '\n' && line.used < LIMIT)
            note_text(&line, "\n");
        bool text = strlen((char *)line.data) == line.used;
        note_line(&want, (char *)line.data, line.used,
                  text && like((char *)line.data, "^[[:space:]]*STOP[[:space:]]*$"));
    }
}
