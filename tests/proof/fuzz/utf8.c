/* utf8.c - fuzzes check_utf8(), of wsServer.c and wsClient.c, against a plain check */
#define PROGRAM "../../../wsServer/wsServer.c"
#include "fuzz.h"

static size_t good; /* so many bytes are */

static void real(void)
{
    static unsigned char buffer[65536];
    struct utf8 u = {0};
    bool valid = true;
    for (ssize_t n = 1; valid && n > 0;) {
        n = read_stream(STREAM, buffer, sizeof buffer);
        valid = check_utf8(&u, stream.data + stream.before, (size_t)n);
        must(valid == (good >= stream.at), "it is bad from its first bad byte on");
    }
    note_text(&got, !valid ? "bad" : u.missing > 0 ? "open" : "good");
}

static void plain(void)
{
    bool open = false;
    good = plain_utf8(stream.data, stream.size, &open);
    note_text(&want, good < stream.size ? "bad" : open ? "open" : "good");
}
