/* http.h - for request.c and response.c: the head of an HTTP message, read by patterns */
#include "fuzz.h"

/* RFC 7230, sections 3.2 and 3.2.6. */
#define TOKEN "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#define HEADERS "(" TOKEN ":[^\001-\010\012-\037\177]*\n)*"
#define CONNECTION_UPGRADE "(^\nConnection:([^\n]*[, \t])?upgrade[, \t\n])"

static char head[8193];   /* of the stream, each line's end but a `\n` */
static size_t head_end;   /* in the stream, after the empty line that is not in head[] */
static char *sent;        /* what has been written, once sent_file is closed */
static size_t sent_size;

static void open_websocket(struct websocket *ws)
{
    memset(ws, 0, offsetof(struct websocket, in));
    ws->fd = STREAM;
    ws->out = open_memstream(&sent, &sent_size);
    must(ws->out != NULL, "there is memory for what is sent");
}

/* What follows the head must be left to the frames. */
static void check_rest(const struct websocket *ws)
{
    size_t waiting = ws->end - ws->start;
    must(stream.at - waiting == head_end, "the head is consumed, and no more");
    must(memcmp(ws->in + ws->start, stream.data + head_end, waiting) == 0,
         "what follows it is as it arrived");
}

/* Find the head that begins at this byte of the stream. Returns 200, or the status that
   refuses a request. */
static int plain_head(size_t start)
{
    char *end = head;
    for (head_end = start; head_end < stream.size && head_end < start + 8192;) {
        *end++ = (char)stream.data[head_end++];
        if (end[-1] == '\0')
            return 400;
        if (end[-1] != '\n')
            continue;
        if (end - head >= 2 && end[-2] == '\r') {
            end--;
            end[-1] = '\n';
        }
        if (end - head >= 2 && end[-2] == '\n') {
            end[-1] = '\0';
            return 200;
        }
    }
    return stream.size - start < 8192 ? 400 : 431;
}

/* How many of the head's lines, from the second one on, are of the pattern; a `\n` stands
   before each. */
static int count(const char *pattern)
{
    int n = 0;
    for (char *line = strchr(head, '\n'); line != NULL; line = strchr(line + 1, '\n'))
        n += like(line, pattern);
    return n;
}

/* The value of a header that is there once, and how long it is. */
static const char *plain_value(const char *name, size_t *length)
{
    const char *line = head;
    while (strncasecmp(line, name, strlen(name)) != 0)
        line = strchr(line, '\n') + 1;
    line += strlen(name);
    line += strspn(line, " \t");
    *length = strcspn(line, "\n");
    while (*length > 0 && strchr(" \t", line[*length - 1]) != NULL)
        --*length;
    return line;
}
