/* text.c - fuzzes print(), which all programs have, against a plain second way */
#define PROGRAM "../../../concTCP/concTCP.c"
#include "fuzz.h"

static void real(void)
{
    char *text = (char *)copy_of(stream.data, stream.size);
    must(print("> ", text, stream.size) == 0, "it is printed");
    note(&got, said, said_size);
    free(text);
}

static void plain(void)
{
    const unsigned char *p = stream.data, *end = p + stream.size;
    if (p < end && end[-1] == '\n')
        end--;
    if (p < end && end[-1] == '\r')
        end--;
    note_text(&want, "> ");
    for (; p < end; p++) {
        char text[8];
        bool second = p > stream.data && p[-1] == 0xc2 && *p >= 0x80 && *p <= 0x9f;
        bool control = second || *p == 0x7f || (*p < 0x20 && *p != '\t');
        snprintf(text, sizeof text, control ? "\\x%02x" : "%c", *p);
        note(&want, text, control ? 4 : 1);
    }
    note_text(&want, "\n");
}
