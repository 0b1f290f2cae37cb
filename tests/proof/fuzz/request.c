/* request.c - fuzzes how wsServer.c reads and answers an HTTP request
 *
 * The answer must have the status that a plain second reading by patterns comes to; what
 * stands behind an upgrade must be left to the frames.
 */
#define PROGRAM "../../../wsServer/wsServer.c"
#include "http.h"

static void real(void)
{
    open_websocket();
    bool upgraded = upgrade(&ws);
    const char *answer = (char *)got.data, *body = strstr(answer, "\r\n\r\n");
    int status = 0;
    if (got.used > 0) {
        must(like(answer, "^HTTP/1.1 [0-9]{3} ") && body != NULL, "it is an answer");
        status = atoi(answer + 9);
    }
    must(upgraded == (status == 101), "101 makes a WebSocket");
    if (upgraded)
        check_rest();
    must(status < 400 || like(body + 4, "^[^\n]+\n$"), "a refusal says why in one line");
    got.used = 0;
    note(&got, &status, sizeof status);
}

/* Whether Origin is where Host is, the port of the scheme written out in both. */
static bool plain_same_origin(void)
{
    static char full[2][8200];
    const char *const names[] = {"Origin:", "Host:"};
    bool secure = count("(^\nOrigin:[ \t]*https://)") > 0;
    const char *port = secure ? ":443" : ":80";
    for (int i = 0; i < 2; i++) {
        size_t n;
        const char *value = plain_value(names[i], &n);
        bool there = like(value, secure ? "^[^\n]*:443[ \t]*\n" : "^[^\n]*:80[ \t]*\n");
        snprintf(full[i], sizeof full[i], "%.*s%s", (int)n, value, there ? "" : port);
    }
    return like(full[0], "(^https?://)") &&
           strcasecmp(strchr(full[0], '/') + 2, full[1]) == 0;
}

/* The status of the request: the grammar of RFC 7230, then section 4.2.1 of RFC 6455. 0,
   no answer, to a client that leaves without a word. */
static int plain_status(void)
{
    if (stream.size == 0)
        return 0;
    int status = plain_head();
    if (status != 200)
        return status;
    const char *request = head + (*head == '\n' ? 1 : 0); /* it may be passed over */
    bool modern = !like(request, "^[^\n]* HTTP/(0[.].|1[.]0)\n");
    if (!like(request, "^" TOKEN " [^ \n]* HTTP/[0-9][.][0-9]\n" HEADERS "$"))
        return 400;
    int hosts = count("(^\nHost:)"), origins = count("(^\nOrigin:)");
    if (hosts > 1 || origins > 1 || count("(^\nSec-WebSocket-Key:)") > 1 ||
        count("(^\nSec-WebSocket-Version:)") > 1 || (hosts == 0 && modern) ||
        hosts != count("(^\nHost:[ \t]*[]:%._~!$&'()*+,;=0-9a-z[-]*[ \t]*\n)"))
        return 400;
    bool websocket = like(request, "^[^ ]* ([Hh][Tt][Tt][Pp]://[^/? ]*)?/ws([?][^ ]*)? ");
    if (!websocket &&
        !like(request, "^[^ ]* ([Hh][Tt][Tt][Pp]://[^/? ]*/?|/)([?][^ ]*)? "))
        return 404;
    if (!like(request, "^GET "))
        return 405;
    if (count("(^\nTransfer-Encoding:)") > 0 ||
        count("(^\nContent-Length:)") != count("(^\nContent-Length:[ \t]*0[ \t]*\n)"))
        return 400;
    if (!websocket)
        return 200;
    int upgrades = count("(^\nUpgrade:([^\n]*,)?[ \t]*websocket[ \t]*[,\n])");
    if (!modern || (upgrades > 0 && count(CONNECTION_UPGRADE) == 0))
        return 400;
    if (upgrades == 0 || count("(^\nSec-WebSocket-Version:[ \t]*13[ \t]*\n)") == 0)
        return 426;
    if (count("(^\nSec-WebSocket-Key:[ \t]*[a-z0-9+/]{22}==[ \t]*\n)") == 0)
        return 400;
    return origins == 0 || plain_same_origin() ? 101 : 403;
}

static void plain(void)
{
    const int status = plain_status();
    note(&want, &status, sizeof status);
}
