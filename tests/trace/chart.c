/*
 * chart.c - a sequence chart of 80 columns: what two programs call, and what crosses
 *
 * Each line of stdin is a call, in fields with tabs between: `<` or `>` for the program on
 * the left or on the right; what crosses between them (nothing, frames, or words for it);
 * its bytes, as \xNN; the dash of its arrow; and the call as it is to be shown.
 */
#define _GNU_SOURCE /* for wcwidth(), which X/Open has */
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum { SIDE = 23, MIDDLE = 30, LABEL = MIDDLE - 4, ROW = 256, SIZE = 1 << 18 };

struct row {
    char text[ROW];
    int length, columns; /* in bytes; on the screen */
};

static void add(struct row *row, const char *piece, int columns)
{
    row->length += snprintf(row->text + row->length,
                            sizeof row->text - (size_t)row->length, "%s", piece);
    row->columns += columns;
}

/* Add to the row, which may have `width` columns then, what fits of n bytes or of the first
   line of them; what cannot be shown is left out. Returns the number of bytes taken. */
static size_t fit(struct row *row, int width, const char *data, size_t n)
{
    struct row to_word;
    size_t taken = 0, word = 0; /* where the last word begins */
    while (taken < n && (taken == 0 || data[taken - 1] != '\n')) {
        wchar_t c = 0;
        size_t size = mbrtowc(&c, data + taken, n - taken, &(mbstate_t){0});
        size = size > 0 && size <= n - taken ? size : 1;
        const int columns = wcwidth(c) > 0 ? wcwidth(c) : 0;
        if (row->columns + columns > width) {
            *row = word > 0 ? to_word : *row;
            return word > 0 ? word : taken;
        }
        char piece[8];
        snprintf(piece, sizeof piece, "%.*s", columns > 0 ? (int)size : 0, data + taken);
        add(row, piece, columns);
        taken += size;
        if (c == ' ') {
            to_word = *row;
            word = taken;
        }
    }
    return taken;
}

/* A row: what one of them calls, if anything, and what stands between the two lines. */
static void draw(bool right, const char *call, bool arrow, const struct row *middle)
{
    struct row side = {0};
    if (fit(&side, SIDE, call, strlen(call)) < strlen(call)) {
        side = (struct row){0};
        fit(&side, SIDE - 1, call, strlen(call));
        add(&side, "…", 1);
    }
    const char *mark = *call == '\0' ? "│" : arrow == right ? "┤" : "├";
    const int rest = MIDDLE - middle->columns;
    if (!right)
        printf("%*s%s %s%s%*s│\n", SIDE - side.columns, "", side.text, mark, middle->text,
               rest, "");
    else
        printf("%*s│%s%*s%s%s%s\n", SIDE + 1, "", middle->text, rest, "", mark,
               *call != '\0' ? " " : "", side.text);
}

static void draw_arrow(bool right, const char *call, const char *dash, const char *label)
{
    struct row middle = {0}, shown = {0};
    add(&shown, " ", 1);
    fit(&shown, LABEL + 1, label, strlen(label));
    add(&shown, " ", 1);
    const int dashes = MIDDLE - 1 - shown.columns;
    add(&middle, right ? "◀" : "", right);
    for (int i = 0; i < dashes; i++) {
        if (i == dashes / 2)
            add(&middle, shown.text, shown.columns);
        add(&middle, dash, 1);
    }
    add(&middle, right ? "" : "▶", !right);
    draw(right, call, true, &middle);
}

/* Lines of text between the two; what is too long goes on in the next row. */
static void draw_text(const char *data, size_t n)
{
    for (bool whole = true; n > 0;) {
        struct row middle = {0};
        add(&middle, whole ? " " : "  ", whole ? 1 : 2);
        const size_t taken = fit(&middle, MIDDLE, data, n);
        whole = data[taken - 1] == '\n';
        draw(true, "", false, &middle);
        data += taken;
        n -= taken;
    }
}

/* Frames of a WebSocket (RFC 6455, section 5.2), what each carries below its arrow. */
static void draw_frames(bool right, const char *call, unsigned char *data, size_t n)
{
    static const char *const opcodes[16] = {
        "CONTINUATION", "TEXT", "BINARY", [8] = "CLOSE", "PING", "PONG"};
    for (size_t head, length; n >= 2; data += head + length, n -= head + length) {
        const int opcode = data[0] % 16;
        const bool masked = data[1] >= 128;
        length = data[1] % 128; /* or 126: the length is in the next two bytes */
        head = (length == 126 ? 4 : 2) + (masked ? 4 : 0);
        length = length == 126 ? (size_t)(data[2] << 8 | data[3]) : length;
        unsigned char *payload = data + head;
        char text[64];
        for (size_t i = 0; masked && i < length; i++)
            payload[i] ^= payload[(int)(i % 4) - 4];
        snprintf(text, sizeof text, "%s %zu bytes, %smasked", opcodes[opcode], length,
                 masked ? "" : "un");
        draw_arrow(right, call, "─", text);
        snprintf(text, sizeof text, "%d", payload[0] << 8 | payload[1]);
        if (opcode == 8)
            draw_text(text, strlen(text));
        else
            draw_text((char *)payload, length);
        call = "";
    }
}

int main(void)
{
    static char line[SIZE], data[SIZE];
    setlocale(LC_CTYPE, "C.UTF-8");
    while (fgets(line, sizeof line, stdin) != NULL) {
        const bool right = *strtok(line, "\t") == '>';
        const char *what = strtok(NULL, "\t"), *hex = strtok(NULL, "\t");
        const char *dash = strtok(NULL, "\t"), *call = strtok(NULL, "\n");
        struct row row = {0};
        size_t n = 0;
        for (unsigned byte; sscanf(hex, "\\x%2x", &byte) == 1; hex += 4)
            data[n++] = (char)byte;
        if (strcmp(what, "nothing") == 0) {
            draw(right, call, false, &row);
        } else if (strcmp(what, "frames") == 0) {
            draw_frames(right, call, (unsigned char *)data, n);
        } else if (n > 0 && fit(&row, LABEL, data, n) == n) {
            draw_arrow(right, call, dash, row.text);
        } else { /* there are no bytes, or too many for an arrow */
            draw_arrow(right, call, dash, what);
            draw_text(data, n);
        }
    }
}
