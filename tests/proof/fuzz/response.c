/* response.c - fuzzes how wsClient.c reads the server's response to its handshake
 *
 * A response must be accepted or refused as a plain second reading by patterns has it.
 * What follows an accepted one must be left to the frames; a refusal is a line on stderr
 * without a control byte.
 */
#define PROGRAM "../../../wsClient/wsClient.c"
#include "http.h"

/* Of the key in RFC 6455, section 1.3, which is what random_text makes. */
static const char accept_value[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
static struct websocket ws;

static void shake_hands(void)
{
    handshake(&ws, "localhost:1", "/");
}

static void real(void)
{
    open_websocket(&ws);
    if (random_file != NULL)
        rewind(random_file);
    bool accepted = survives(shake_hands);
    fclose(ws.out);
    free(sent);
    note_text(&got, accepted ? "accepted" : "refused");
    if (accepted)
        check_rest(&ws);
    must(like(said, accepted ? "^$" : "^wsClient: server: [ -~]+\n$"),
         "nothing but a refusal is a line on stderr");
}

/* Whether the stream begins with a response that RFC 6455, section 4.1, has the client
   accept, after any number of interim ones. */
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
