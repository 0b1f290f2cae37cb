/* hostport.c - fuzzes split_host_port(), which most programs have, against patterns */
#define PROGRAM "../../../concTCP/concTCP.c"
#include "fuzz.h"

static char *address, host[HOST_SIZE];
static const char *port;

static void split(void)
{
    port = split_host_port(address, host);
}

static void real(void)
{
    address = strndup((char *)stream.data, stream.size);
    bool good = survives(split);
    note_text(&got, good ? host : said);
    note_text(&got, good ? " and " : "");
    note_text(&got, good ? port : "");
    free(address);
}

/* What stands before the last colon is the host; brackets around it do not count. */
static void plain(void)
{
    char *text = strndup((char *)stream.data, stream.size), *colon = strrchr(text, ':');
    const char *number = colon != NULL ? colon + 1 : text, *wrong = NULL;
    bool brackets = like(text, "^\\[.*\\]:[^:]*$");
    size_t length = colon == NULL ? 0 : (size_t)(colon - text) - (brackets ? 2 : 0);
    if (*number == '\0')
        wrong = "missing port";
    else if (like(number, "^[[:space:]]*-0*[1-9]") ||
             like(number,
                  "^[[:space:]]*[+]?0*([1-9][0-9]{5,}|[7-9][0-9]{4}|6[6-9][0-9]{3}"
                  "|65[6-9][0-9]{2}|655[4-9][0-9]|6553[6-9])([^0-9]|$)"))
        wrong = "invalid port";
    else if (length > 255)
        wrong = "host name too long";
    static char line[1 << 18];
    if (wrong != NULL)
        snprintf(line, sizeof line, "concTCP: %s: %s\n", text, wrong);
    else
        snprintf(line, sizeof line, "%.*s and %s", (int)length, text + brackets, number);
    note_text(&want, line);
    free(text);
}
