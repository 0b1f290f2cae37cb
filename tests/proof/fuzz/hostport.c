/* hostport.c - fuzzes split_hostport(), which most programs have, against patterns */
#define PROGRAM "../../../concTCP/concTCP.c"
#include "fuzz.h"

static char *address, host[HOST_SIZE];
static const char *port;

static void split(void)
{
    port = split_hostport(address, host);
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

static void plain(void)
{
    char *text = strndup((char *)stream.data, stream.size), *colon = strrchr(text, ':');
    bool brackets = like(text, "^\\[.*\\]:[^:]*$");
    const char *number = colon != NULL ? colon + 1 : text, *wrong = NULL;
    if (!brackets && like(text, ":.*:"))
        wrong = "not HOST:PORT or [HOST]:PORT";
    else if (like(number, "^([[:space:]]*[+-]?[0-9]+)?$") &&
             !like(number,
                   "^[[:space:]]*(-0+|[+]?0*([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|"
                   "65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))$"))
        wrong = "port is not 0 to 65535";
    static char line[1 << 18];
    if (wrong != NULL) {
        snprintf(line, sizeof line, "concTCP: %s: %s\n", text, wrong);
    } else {
        int length = colon == NULL ? 0 : (int)(colon - text) - (brackets ? 2 : 0);
        snprintf(line, sizeof line, "%.*s and %s", length < 255 ? length : 255,
                 text + (brackets ? 1 : 0), number);
    }
    note_text(&want, line);
    free(text);
}
