/* line.c - fuzzes read_line(), is_stop() and without_end(), which many programs have
 *
 * The lines of a stream must be those that a plain cut of the whole comes to, however the
 * stream comes.
 */
#include "fuzz.h"
#define main program_main
#define read read_stream
#include "../../concTCP/concTCP.c" /* NOLINT(bugprone-suspicious-include) */
#undef main
#undef read

static void note_line(struct notes *notes, const char *line, size_t n, size_t text,
                      bool stop)
{
    char label[60];
    int size = snprintf(label, sizeof label, "%zu %zu %d:", n, text, stop);
    note(notes, label, (size_t)size);
    note(notes, line, n);
}

static void run_reader(struct notes *notes)
{
    struct reader r;
    open_reader(&r, -1, "stream");
    char *line;
    ssize_t n;
    for (;;) {
        bool waiting = line_waiting(&r);
        size_t before = stream.at;
        if ((n = read_line(&r, &line)) <= 0)
            break;
        must(!waiting || stream.at == before, "a line that waits is not waited for");
        size_t length = (size_t)n;
        note_line(notes, line, length, without_end(line, length), is_stop(line, length));
        if (line[length - 1] != '\n')
            line[length] = '\n'; /* there is room for it */
    }
    if (n < 0) {
        must(errno == EOVERFLOW, "a long line is the only error");
        note(notes, "too long", 8);
    } else {
        must(stream.at == stream.size && r.start == r.end,
             "the stream is read to its end");
        must(read_line(&r, &line) == 0, "and stays at its end");
    }
    if (r.buffer != r.first)
        free(r.buffer);
}

static void plain_lines(struct notes *notes)
{
    const char *p = (char *)stream.data, *end = p + stream.size;
    while (p < end) {
        size_t text = 0, n;
        while (p + text < end && p[text] != '\n')
            text++;
        n = p + text < end ? text + 1 : text;
        if (text > 65536) {
            note(notes, "too long", 8);
            return;
        }
        if (text > 0 && p[text - 1] == '\r')
            text--;
        const char *blanks = " \t\n\v\f\r";
        size_t from = 0, to = n;
        while (from < n && p[from] != '\0' && strchr(blanks, p[from]) != NULL)
            from++;
        while (to > from && p[to - 1] != '\0' && strchr(blanks, p[to - 1]) != NULL)
            to--;
        note_line(notes, p, n, text, to - from == 4 && strncmp(p + from, "STOP", 4) == 0);
        p += n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct notes whole, pieces, plain;
    if (!open_stream(data, size))
        return 0;
    whole.used = pieces.used = plain.used = 0;
    plain_lines(&plain);
    rewind_stream(true);
    run_reader(&whole);
    must(same_notes(&whole, &plain), "the lines are what a plain cut comes to");
    rewind_stream(false);
    run_reader(&pieces);
    must(same_notes(&pieces, &plain), "so they are in pieces");
    close_stream();
    return 0;
}
