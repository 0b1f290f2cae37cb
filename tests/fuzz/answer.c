/* answer.c - fuzzes how wsClient.c reads the server's answer to its handshake
 *
 * An answer must be taken or refused alike whole and in pieces, and as a plain second
 * reading by patterns has it. A refusal is one line on stderr, without a control byte, and
 * exit 1; what stands behind an answer that is taken must be left to the decoder.
 */
#include "fuzz.h"

static FILE *printed; /* what goes to stderr */
static jmp_buf left;

/* In place of exit(). */
static _Noreturn void leave(int status)
{
    must(status == 1, "a refusal exits with 1");
    longjmp(left, 1);
}

#define main program_main
#define read read_stream
#define exit leave
#undef stderr
#define stderr printed
#include "../../wsClient/wsClient.c" /* NOLINT(bugprone-suspicious-include) */
#undef main
#undef read
#undef exit

static const char wanted[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; /* RFC 6455, section 1.3 */

/* Read the stream's answer. Returns whether it is taken; puts into *text what was printed. */
static bool run_answer(bool whole, struct notes *text)
{
    static struct reader in;
    static int fd = -1;
    if (fd < 0)
        fd = open("/dev/null", O_RDONLY); /* always ready, says poll() */
    open_reader(&in, fd, "127.0.0.1:1");
    rewind_stream(whole);
    char *line = NULL;
    size_t length = 0;
    printed = open_memstream(&line, &length);
    must(printed != NULL, "there is memory for a stream");
    volatile bool taken = false;
    if (setjmp(left) == 0) {
        read_answer(&in);
        check_answer(&in, wanted);
        taken = true;
    }
    fclose(printed);
    if (taken) {
        size_t waiting = in.end - in.start, behind = stream.size - plain_head();
        must(length == 0, "nothing is printed of an answer that is taken");
        must(stream.size - stream.at + waiting == behind &&
                 memcmp(in.buffer + in.start, stream.data + plain_head(), waiting) == 0,
             "what stands behind the answer is left");
    } else {
        must(length > 0 && strchr(line, '\n') == line + length - 1,
             "a refusal is one line");
        for (size_t i = 0; i + 1 < length; i++)
            must(line[i] == '\t' || ((unsigned char)line[i] >= 32 && line[i] != 127),
                 "it has no control byte");
        must(strncmp(line, "wsClient: 127.0.0.1:1: ", 23) == 0, "it names the server");
    }
    text->used = 0;
    note(text, line, length);
    free(line);
    if (in.buffer != in.first)
        free(in.buffer);
    return taken;
}

/* Whether the stream begins with an answer that RFC 6455, section 4.1, has the client take.
   */
static bool plain_taken(void)
{
    size_t length = plain_head();
    if (length == 0 || length > 8192 || memchr(stream.data, '\0', length) != NULL)
        return false;
    static char head[8193];
    memcpy(head, stream.data, length);
    head[length] = '\0';
    bool upgrade = false, connection = false, accept = false;
    for (char *line = head, *next; *line != '\0'; line = next) {
        char *end = strchr(line, '\n');
        next = end + 1;
        *end = '\0';
        if (end > line && end[-1] == '\r')
            end[-1] = '\0';
        if (line == head && !like(line, "^HTTP/1[.]1 101( |$)"))
            return false;
        if (line == head || *line == '\0')
            continue;
        if (!like(line, "^[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\001-\010\012-\037\177]*$"))
            return false;
        if (like(line, "(^Sec-WebSocket-Protocol:)") ||
            like(line, "(^Sec-WebSocket-Extensions:[ \t]*[^ \t])"))
            return false;
        if (like(line, "(^Connection:(.*[, \t])?upgrade([, \t]|$))"))
            connection = true;
        if (like(line, "(^Upgrade:)")) {
            if (!like(line, "(^Upgrade:[ \t]*websocket[ \t]*$)"))
                return false;
            upgrade = true;
        }
        if (like(line, "(^Sec-WebSocket-Accept:)")) {
            if (accept ||
                !like(strchr(line, ':'), "^:[ \t]*s3pPLMBiTxaQ9kYGzzhZRbK[+]xOo=[ \t]*$"))
                return false;
            accept = true;
        }
    }
    return upgrade && connection && accept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct notes whole, pieces;
    if (!open_stream(data, size))
        return 0;
    bool taken = run_answer(true, &whole);
    must(taken == plain_taken(), "an answer is taken if a plain reading takes it");
    must(run_answer(false, &pieces) == taken, "it is taken in pieces as it is whole");
    must(same_notes(&whole, &pieces), "it is refused in pieces as it is whole");
    close_stream();
    return 0;
}
