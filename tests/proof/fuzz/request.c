/* request.c - fuzzes how wsServer.c reads an HTTP request
 *
 * The response must have the same status as a plain second reading by patterns finds; what
 * follows an upgrade must be left for the frames.
 */
#define PROGRAM "../../../wsServer/wsServer.c"
#include "websocket.h"

static void real(void)
{
    static struct connection c;
    open_websocket(&c.ws);
    bool upgraded = handshake(&c);
    fclose(c.ws.out);
    const char *body = strstr(sent, "\r\n\r\n");
    int status = 0;
    if (sent_size > 0) {
        must(like(sent, "^HTTP/1.1 [0-9]{3} .*\nDate: ") && body != NULL,
             "every response has a status, a Date and a body");
        status = atoi(sent + 9);
    }
    must(upgraded == (status == 101), "only 101 makes a WebSocket");
    if (upgraded)
        check_rest(&c.ws);
    must(status < 400 || like(body + 4, "^([^\n]+\n)?$"),
         "the body of a refusal is one line, or empty after HEAD");
    free(sent);
    note(&got, &status, sizeof status);
}

static char authority[8200], path[8200]; /* of the request target */

/* Split the request target. Returns false if its authority is empty; a target that is only
   a path has none. */
static bool plain_target(const char *request)
{
    const char *target = strchr(request, ' ') + 1;
    snprintf(path, sizeof path, "%.*s", (int)strcspn(target, "? "), target);
    const char *scheme_end = *path != '/' ? strstr(path, "://") : NULL;
    *authority = '\0';
    if (scheme_end == NULL)
        return true;
    size_t length = strcspn(scheme_end + 3, "/");
    memcpy(authority, scheme_end + 3, length);
    authority[length] = '\0';
    const char *rest = scheme_end + 3 + length;
    memmove(path, *rest != '\0' ? rest : "/", strlen(*rest != '\0' ? rest : "/") + 1);
    return length > 0;
}

/* Whether Origin and Host are the same, with the port of the scheme written out in both. */
static bool plain_same_origin(void)
{
    static char full[2][8200];
    const char *const names[] = {"Origin:", "Host:"};
    bool secure = count("(^\nOrigin:[ \t]*https://)") > 0;
    const char *port = secure ? ":443" : ":80";
    for (int i = 0; i < 2; i++) {
        size_t n;
        const char *value = plain_value(names[i], &n);
        if (i == 1 && *authority != '\0') {
            value = authority;
            n = strlen(authority);
            memcpy(authority + n, "\n", 2);
        }
        bool there = like(value, secure ? "^[^\n]*:443[ \t]*\n" : "^[^\n]*:80[ \t]*\n");
        snprintf(full[i], sizeof full[i], "%.*s%s", (int)n, value, there ? "" : port);
    }
    return like(full[0], "(^https?://)") &&
           strcasecmp(strchr(full[0], '/') + 2, full[1]) == 0;
}

/* The status of the response, by the grammar of RFC 7230, then section 4.2.1 of RFC 6455; 0
   if the client closes without having sent a byte: there is no response. */
static int plain_status(void)
{
    if (stream.size == 0)
        return 0;
    int status = plain_head(0);
    if (status != 200)
        return status;
    const char *request = head + (*head == '\n' ? 1 : 0); /* RFC 9112, 2.2: skip it */
    bool modern = !like(request, "^[^\n]* HTTP/(0[.].|1[.]0)\n");
    if (!like(request, "^" TOKEN " [!-~]* HTTP/[0-9][.][0-9]\n" HEADERS "$") ||
        !plain_target(request))
        return 400;
    int hosts = count("(^\nHost:)"), origins = count("(^\nOrigin:)");
    if (hosts > 1 || origins > 1 || count("(^\nSec-WebSocket-Key:)") > 1 ||
        count("(^\nSec-WebSocket-Version:)") > 1 || (hosts == 0 && modern))
        return 400;
    if (*authority != '\0' && hosts > 0
            ? !like(authority, "(^[]:%._~!$&'()*+,;=0-9a-z[-]*$)")
            : hosts != count("(^\nHost:[ \t]*[]:%._~!$&'()*+,;=0-9a-z[-]*[ \t]*\n)"))
        return 400;
    bool websocket = strcmp(path, "/ws") == 0;
    if (!websocket && strcmp(path, "/") != 0)
        return 404;
    if (!like(request, "^(GET|HEAD) "))
        return 405;
    if (count("(^\nTransfer-Encoding:)") > 0 ||
        count("(^\nContent-Length:)") != count("(^\nContent-Length:[ \t]*0[ \t]*\n)"))
        return 400;
    if (!websocket)
        return 200;
    int upgrades = count("(^\nUpgrade:([^\n]*[, \t])?websocket[, \t\n])");
    if (!like(request, "^GET ") && modern)
        return 426;
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
