/* answer.c - fuzzes how wsClient.c reads the server's answer to its handshake
 *
 * An answer must be taken or refused as a plain second reading by patterns has it. What
 * stands behind one that is taken must be left to the frames; a refusal is a line on
 * stderr without a control byte.
 */
#define PROGRAM "../../../wsClient/wsClient.c"
#include "http.h"

/* Of the key in RFC 6455, section 1.3. */
static const char accept_value[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static void take_answer(void)
{
    check_answer(&ws, accept_value);
}

static void real(void)
{
    open_websocket();
    bool taken = survives(take_answer);
    note_text(&got, taken ? "taken" : "refused");
    if (taken)
        check_rest();
    must(like(said, taken ? "^$" : "^wsClient: server: [ -~]+\n$"),
         "nothing but a refusal is a line on stderr");
}

/* Whether the stream begins with an answer that RFC 6455, section 4.1, has the client
   take. */
static bool plain_taken(void)
{
    if (plain_head() != 200 || !like(head, "^HTTP/1[.]1 101( [^\n]*)?\n" HEADERS "$"))
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
    note_text(&want, plain_taken() ? "taken" : "refused");
}
