/* utf8.c - fuzzes check_utf8(), of wsServer.c and wsClient.c, against a plain check
 *
 * A text must be good or bad alike whole and in pieces, and be refused in the piece with
 * the first byte that cannot be.
 */
#include "fuzz.h"
#define main program_main
#include "../../wsServer/wsServer.c" /* NOLINT(bugprone-suspicious-include) */
#undef main

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!open_stream(data, size))
        return 0;
    bool open = false;
    size_t good = plain_utf8(stream.data, stream.size, &open);
    for (int whole = 0; whole < 2; whole++) {
        rewind_stream(whole);
        struct utf8 u = {0};
        bool result = true;
        while (result && stream.at < stream.size) {
            size_t n = next_piece();
            if (n > stream.size - stream.at)
                n = stream.size - stream.at;
            unsigned char *piece = copy_of(stream.data + stream.at, n);
            result = check_utf8(&u, piece, n);
            free(piece);
            must(result == (good >= stream.at + n),
                 "it is bad from its first bad byte on");
            stream.at += n;
        }
        must(!result || (u.missing > 0) == open, "whether it ends inside a character");
    }
    close_stream();
    return 0;
}
