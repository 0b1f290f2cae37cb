/* hostport.c - fuzzes split_host_port(), shared by most programs */
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

/* HOST is the text before the last colon, without its brackets. */
static void plain(void)
{
    static char line[1 << 18];
    char *text = strndup((char *)stream.data, stream.size), *colon = strrchr(text, ':');
    const char *number = colon != NULL ? colon + 1 : text, *wrong = NULL;
    long value = strtol(number, NULL, 10);
    bool brackets = like(text, "^\\[.*\\]:[^:]*$");
    size_t length = colon == NULL ? 0 : (size_t)(colon - text) - (brackets ? 2 : 0);
    if (*number == '\0')
        wrong = "missing port";
    else if (value < 0 || value > 65535)
        wrong = "invalid port";
    else if (length > 255)
        wrong = "host name too long";
    if (wrong != NULL)
        snprintf(line, sizeof line, "concTCP: %s: %s\n", text, wrong);
    else
        snprintf(line, sizeof line, "%.*s and %s", (int)length, text + brackets, number);
    note_text(&want, line);
    free(text);
}
