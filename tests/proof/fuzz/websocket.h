/* websocket.h - shared by frames.c, request.c and response.c: a WebSocket whose peer is the
 * stream, and the head of an HTTP message, read by patterns */
#include "fuzz.h"

/* RFC 7230, sections 3.2 and 3.2.6. */
#define TOKEN "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
#define HEADERS "(" TOKEN ":[^\001-\010\012-\037\177]*\n)*"
#define CONNECTION_UPGRADE "(^\nConnection:([^\n]*[, \t])?upgrade[, \t\n])"

static char head[8193]; /* without its empty line; each line ends with a bare `\n` */
static size_t head_end; /* position in the stream, after the empty line */
static char *sent;      /* what the program has written, once ws->out is closed */
static size_t sent_size;

static inline void open_websocket(struct websocket *ws)
{
    memset(ws, 0, offsetof(struct websocket, in));
    ws->fd = STREAM;
    ws->out = open_memstream(&sent, &sent_size);
    must(ws->out != NULL, "there is memory for what it sends");
}

/* What follows the head must be left for the frames. */
static inline void check_rest(const struct websocket *ws)
{
    size_t waiting = ws->end - ws->start;
    must(stream.at - waiting == head_end, "it consumes the head and nothing more");
    must(memcmp(ws->in + ws->start, stream.data + head_end, waiting) == 0,
         "it keeps what follows the head");
}

/* Copy the head that begins at this byte of the stream to head[]. Returns 200, or the
   status for a bad request. */
static inline int plain_head(size_t start)
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

/* How many of the head's lines, from the second one on, match the pattern, each with the
   `\n` before it. */
static inline int count(const char *pattern)
{
    int n = 0;
    for (char *line = strchr(head, '\n'); line != NULL; line = strchr(line + 1, '\n'))
        n += like(line, pattern);
    return n;
}

/* The value of a header that the head has, and its length. */
static inline const char *plain_value(const char *name, size_t *length)
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
