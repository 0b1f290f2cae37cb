/* response.c - fuzzes how wsClient.c reads the server's response to its handshake
 *
 * It must accept and refuse the same responses as a plain second reading by patterns. What
 * follows an accepted one must be left for the frames; a refusal is one line of printable
 * ASCII on stderr.
 */
#define PROGRAM "../../../wsClient/wsClient.c"
#include "websocket.h"

/* For the nonce of RFC 6455, section 1.3. */
static const char accept_value[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
static struct websocket ws;

static void real(void)
{
    jmp_buf refused;
    volatile bool accepted = false;
    open_websocket(&ws);
    exit_to = &refused;
    if (setjmp(refused) == 0) {
        handshake(&ws, "localhost:1", "/");
        accepted = true;
    }
    fflush(screen);
    fclose(ws.out);
    free(sent);
    note_text(&got, accepted ? "accepted" : "refused");
    if (accepted)
        check_rest(&ws);
    must(like(said, accepted ? "^$" : "^wsClient: server: [ -~]+\n$"),
         "only a refusal is reported, in one line");
}

/* Whether the stream begins with a response that RFC 6455, section 4.1, lets the client
   accept, after any number of interim responses. */
static bool plain_accepted(void)
{
    int status = plain_head(0);
    while (status == 200 && like(head, "^HTTP/1[.]1 1[0-9][0-9][ \n]") &&
           !like(head, "^HTTP/1[.]1 101"))
        status = plain_head(head_end);
    if (status != 200 || !like(head, "^HTTP/1[.]1 101( [^\n]*)?\n" HEADERS "$"))
        return false;
    int upgrades = count("(^\nUpgrade:)");
    if (upgrades == 0 || upgrades != count("(^\nUpgrade:[ \t]*websocket[ \t]*\n)") ||
        count(CONNECTION_UPGRADE) == 0 || count("(^\nSec-WebSocket-Accept:)") != 1 ||
        count("(^\nSec-WebSocket-Extensions:[ \t]*[^ \t\n])") > 0 ||
        count("(^\nSec-WebSocket-Protocol:)") > 0)
        return false;
    size_t length;
    const char *value = plain_value("Sec-WebSocket-Accept:", &length);
    return length == strlen(accept_value) && memcmp(value, accept_value, length) == 0;
}

static void plain(void)
{
    note_text(&want, plain_accepted() ? "accepted" : "refused");
}
