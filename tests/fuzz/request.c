/* request.c - fuzzes how wsServer.c reads and answers an HTTP request
 *
 * A request must get the same answer whole and in pieces, and the status that a plain second
 * reading by patterns comes to; what stands behind an upgrade must be left to the decoder.
 */
#include "fuzz.h"

static struct notes sent;
static FILE *printed; /* what goes to stdout and stderr */

/* In place of write(), taking no more than a piece. */
static ssize_t write_answer(int fd, const void *data, size_t size)
{
    (void)fd;
    size_t n = next_piece();
    if (n > size)
        n = size;
    note(&sent, data, n);
    return (ssize_t)n;
}

#define main program_main
#define read read_stream
#define write write_answer
#undef stdout
#undef stderr
#define stdout printed
#define stderr printed
#include "../../wsServer/wsServer.c" /* NOLINT(bugprone-suspicious-include) */
#undef main
#undef read
#undef write

/* What the headers that matter say. */
struct plain_headers {
    const char *host, *origin, *key, *version;
    bool upgrade, connection;
};

/* The value of a header line called `name`, NULL if it is not. The blanks around it have
   been taken away. */
static const char *plain_value(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncasecmp(line, name, n) != 0 || line[n] != ':')
        return NULL;
    return line + n + 1 + strspn(line + n + 1, " \t");
}

/* Note a value that may come once. Returns whether that holds. */
static bool plain_once(const char **place, const char *value)
{
    if (value == NULL)
        return true;
    bool first = *place == NULL;
    *place = value;
    return first;
}

/* Note a header line. Returns false if it is none, or there twice. */
static bool plain_header(struct plain_headers *h, char *line)
{
    if (!like(line, "^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\001-\010\012-\037\177]*$"))
        return false;
    for (size_t n = strlen(line); n > 0 && strchr(" \t", line[n - 1]) != NULL; n--)
        line[n - 1] = '\0';
    const char *upgrade = plain_value(line, "Upgrade");
    const char *connection = plain_value(line, "Connection");
    h->upgrade |= upgrade != NULL && like(upgrade, "(^|[, \t])websocket([, \t]|$)");
    h->connection |=
        connection != NULL && like(connection, "(^|[, \t])upgrade([, \t]|$)");
    return plain_once(&h->host, plain_value(line, "Host")) &&
           plain_once(&h->origin, plain_value(line, "Origin")) &&
           plain_once(&h->key, plain_value(line, "Sec-WebSocket-Key")) &&
           plain_once(&h->version, plain_value(line, "Sec-WebSocket-Version"));
}

/* Whether the origin is the host's, the port of the scheme written out in both. */
static bool plain_same_origin(const char *origin, const char *host)
{
    bool secure = strncasecmp(origin, "https://", 8) == 0;
    if (!secure && strncasecmp(origin, "http://", 7) != 0)
        return false;
    const char *port = secure ? ":443" : ":80";
    const char *names[] = {origin + (secure ? 8 : 7), host};
    struct notes full[2] = {0};
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(names[i]);
        note(&full[i], names[i], n);
        if (n < strlen(port) || strcmp(names[i] + n - strlen(port), port) != 0)
            note(&full[i], port, strlen(port));
    }
    bool same = strcasecmp((char *)full[0].data, (char *)full[1].data) == 0;
    free(full[0].data);
    free(full[1].data);
    return same;
}

/* The status of the request with these lines. */
static int plain_judge(char **lines, size_t count)
{
    struct plain_headers h = {0};
    const char *request = count > 0 ? lines[0] : "";
    if (!like(request, "^[^ ]+ [^ ]* HTTP/[0-9][.][0-9]$"))
        return 400;
    for (size_t i = 1; i < count; i++)
        if (!plain_header(&h, lines[i]))
            return 400;
    bool modern = !like(request, " HTTP/(0[.].|1[.]0)$");
    if (h.host == NULL && modern)
        return 400;
    bool ws = like(request, "^[^ ]+ ([Hh][Tt][Tt][Pp]://[^/? ]*)?/ws([?][^ ]*)? [^ ]*$");
    bool root =
        like(request, "^[^ ]+ ([Hh][Tt][Tt][Pp]://[^/? ]*/?|/)([?][^ ]*)? [^ ]*$");
    if (!ws && !root)
        return 404;
    if (strncmp(request, "GET ", 4) != 0)
        return 405;
    if (root)
        return 200;
    if (!modern || (h.upgrade && !h.connection))
        return 400;
    if (!h.upgrade || h.version == NULL || strcmp(h.version, "13") != 0)
        return 426;
    if (h.key == NULL || !like(h.key, "^[A-Za-z0-9+/]{22}==$"))
        return 400;
    return h.origin == NULL || plain_same_origin(h.origin, h.host) ? 101 : 403;
}

/* The status of the request in the stream, or 0 if the client left before it was whole. */
static int plain_status(void)
{
    size_t length = plain_head();
    if (length > 8192 || (length == 0 && stream.size > 8192))
        return 431;
    if (length == 0)
        return 0;
    if (memchr(stream.data, '\0', length) != NULL)
        return 400;
    static char head[8193], *lines[8192];
    memcpy(head, stream.data, length);
    head[length] = '\0';
    size_t count = 0;
    for (char *line = head; *line != '\0';) {
        char *end = strchr(line, '\n'), *next = end + 1;
        if (end > line && end[-1] == '\r')
            end--;
        *end = '\0';
        if (*line != '\0' || count > 0 ||
            line != head) /* one empty line before it is fine */
            lines[count++] = line;
        line = next;
    }
    return plain_judge(lines, count > 0 ? count - 1 : 0); /* the empty line ends it */
}

/* Check that the answer is one of this status, and whole. */
static void check_answer(int status)
{
    if (status == 0) {
        must(sent.used == 0, "who has left gets no answer");
        return;
    }
    char start[20];
    snprintf(start, sizeof start, "HTTP/1.1 %d ", status);
    const char *text = (char *)sent.data;
    must(sent.used > 0 && strncmp(text, start, strlen(start)) == 0,
         "the status is what a plain reading comes to");
    const char *body = strstr(text, "\r\n\r\n");
    must(body != NULL, "the head of the answer is whole");
    const char *size = strstr(text, "\r\nContent-Length: ");
    if (status == 101)
        must(body[4] == '\0' && size == NULL, "an upgrade has no body");
    else
        must(size != NULL && strtoul(size + 18, NULL, 10) == strlen(body + 4),
             "the body is as long as the answer says");
    must((strstr(text, "\r\nAllow: GET\r\n") != NULL) == (status == 405),
         "405 has Allow");
    must((strstr(text, "\r\nSec-WebSocket-Version: 13\r\n") != NULL) == (status == 426),
         "426 has the version");
}

/* Answer the stream's request. Returns whether it became a WebSocket. */
static bool run_request(struct connection *c, bool whole)
{
    rewind_stream(whole);
    sent.used = 0;
    open_reader(&c->in, c->fd, c->name);
    bool upgraded = answer_request(c);
    if (upgraded) {
        size_t waiting = c->in.end - c->in.start, behind = stream.size - plain_head();
        must(stream.size - stream.at + waiting == behind &&
                 memcmp(c->in.buffer + c->in.start, stream.data + plain_head(),
                        waiting) == 0,
             "what stands behind the request is left");
    }
    if (c->in.buffer != c->in.first)
        free(c->in.buffer);
    return upgraded;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct connection c = {.name = "127.0.0.1:1"};
    static struct notes first;
    if (printed == NULL) {
        c.fd = open("/dev/null", O_RDONLY); /* always ready, says poll() */
        printed = fopen("/dev/null", "w");
    }
    if (!open_stream(data, size))
        return 0;
    int status = plain_status();
    must(run_request(&c, true) == (status == 101), "101 makes a WebSocket");
    check_answer(status);
    first.used = 0;
    note(&first, sent.data, sent.used);
    must(run_request(&c, false) == (status == 101), "so it does in pieces");
    must(same_notes(&first, &sent), "the answer is the same in pieces");
    close_stream();
    return 0;
}
