/* text.c - fuzzes print_text() and printable(), which all programs have
 *
 * The input is the text. What is printed must be what a plain second way prints, and have
 * no control byte in it.
 */
#include "fuzz.h"
#define main program_main
#include "../../concTCP/concTCP.c" /* NOLINT(bugprone-suspicious-include) */
#undef main

/* Print the text, a character at a time: U+0020 to U+007E, U+00A0 and above, and the tab as
   they are, every other byte as \xNN. */
static void plain_print(struct notes *notes, const unsigned char *p, size_t n)
{
    while (n > 0) {
        bool open = true;
        size_t size = 0;
        while (open && size < n && plain_utf8(p, size + 1, &open) == size + 1)
            size++;
        bool control =
            p[0] < 0x20 || p[0] == 0x7f || (p[0] == 0xc2 && n > 1 && p[1] < 0xa0);
        if (open || (control && p[0] != '\t')) {
            char escape[8];
            note(notes, escape, (size_t)snprintf(escape, sizeof escape, "\\x%02x", p[0]));
            size = 1;
        } else {
            note(notes, p, size);
        }
        p += size;
        n -= size;
    }
    note(notes, "\n", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct notes plain;
    char *printed = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&printed, &length);
    must(file != NULL, "there is memory for a stream");
    unsigned char *text = copy_of(data, size);
    must(print_text(file, "> ", (char *)text, size) == 0, "it is printed");
    fclose(file);
    plain.used = 0;
    note(&plain, "> ", 2);
    plain_print(&plain, data, size);
    must(length == plain.used && memcmp(printed, plain.data, length) == 0,
         "it is what a plain way prints");
    bool open = false;
    must(plain_utf8((unsigned char *)printed, length, &open) == length && !open,
         "what is printed is UTF-8");
    for (size_t i = 0; i + 1 < length; i++) {
        unsigned char byte = (unsigned char)printed[i];
        must((byte >= 0x20 || byte == '\t') && byte != 0x7f, "it has no control byte");
        must(byte != 0xc2 || (unsigned char)printed[i + 1] >= 0xa0,
             "nor U+0080 to U+009F");
    }
    free(printed);
    free(text);
    return 0;
}
