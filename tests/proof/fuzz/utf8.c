/* utf8.c - fuzzes check_utf8(), shared by wsServer.c and wsClient.c */
#define PROGRAM "../../../wsServer/wsServer.c"
#include "fuzz.h"

static size_t good; /* bytes before the first bad one */

static void real(void)
{
    static unsigned char buffer[65536];
    struct utf8 u = {0};
    bool valid = true;
    for (ssize_t n = 1; valid && n > 0;) {
        n = read_stream(STREAM, buffer, sizeof buffer);
        valid = check_utf8(&u, stream.data + stream.before, (size_t)n);
        must(valid == (good >= stream.at), "it finds the first bad byte");
    }
    note_text(&got, !valid ? "bad" : u.missing > 0 ? "open" : "good");
}

static void plain(void)
{
    bool open = false;
    good = plain_utf8(stream.data, stream.size, &open);
    note_text(&want, good < stream.size ? "bad" : open ? "open" : "good");
}
