/* text.c - fuzzes print_line(), shared by all programs that print lines */
#define PROGRAM "../../../concTCP/concTCP.c"
#include "fuzz.h"

static void real(void)
{
    print_line("> ", (char *)stream.data, stream.size);
    note(&got, said, said_size);
}

static bool is_c1(const unsigned char *p)
{
    return p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;
}

static void plain(void)
{
    const unsigned char *p = stream.data, *end = p + stream.size;
    if (p < end && end[-1] == '\n') {
        end--;
        if (p < end && end[-1] == '\r')
            end--;
    }
    note_text(&want, "> ");
    for (; p < end; p++) {
        char text[8];
        bool first = p + 1 < end && is_c1(p), second = p > stream.data && is_c1(p - 1);
        bool control = first || second || *p == 0x7f || (*p < 0x20 && *p != '\t');
        snprintf(text, sizeof text, control ? "\\x%02x" : "%c", *p);
        note(&want, text, control ? 4 : 1);
    }
    note_text(&want, "\n");
}
