/*
 * chart.c - a sequence chart of 80 columns: what two programs call, and what crosses
 *
 * Each line of stdin is a call: `<` or `>` for the program on the left or on the right;
 * what crosses between them (none, connection, end, text or frames), its bytes as \xNN or
 * -, the dash of its arrow; and the call as it is to be shown.
 */
#define _XOPEN_SOURCE 700
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

enum { SIDE = 23, MIDDLE = 30, ROW = 512, SIZE = 1 << 18 };

/* Take what fits in `width` columns from n bytes, or the first line of it, into row; what
   cannot be shown becomes \n, \r or \xNN. Returns the bytes taken; *columns are row's. */
static size_t fit(const char *data, size_t n, int width, char *row, int *columns)
{
    size_t taken = 0, word = 0; /* where the last word begins */
    *columns = 0;
    *row = '\0';
    while (taken < n && (taken == 0 || data[taken - 1] != '\n')) {
        wchar_t c;
        char piece[8];
        size_t size = mbrtowc(&c, data + taken, n - taken, &(mbstate_t){0});
        int wide = size > 0 && size <= n - taken ? wcwidth(c) : -1;
        if (wide >= 0) {
            snprintf(piece, sizeof piece, "%.*s", (int)size, data + taken);
        } else {
            const unsigned char byte = (unsigned char)data[taken];
            const char *format = byte == '\n' ? "\\n" : byte == '\r' ? "\\r" : "\\x%02x";
            wide = snprintf(piece, sizeof piece, format, byte);
            size = 1;
        }
        if (*columns + wide > width)
            return word > 0 && width > SIDE ? fit(data, word, width, row, columns)
                                            : taken;
        strcat(row, piece);
        *columns += wide;
        taken += size;
        word = data[taken - 1] == ' ' ? taken : word;
    }
    return taken;
}

/* A row: what one of them calls, if anything, and what stands between the two lines. */
static void draw(bool right, const char *call, bool arrow, const char *middle,
                 int columns)
{
    char row[ROW];
    int width;
    fit(call, strlen(call), SIDE, row, &width);
    const char *mark = width == 0 ? "│" : arrow == right ? "┤" : "├";
    const int rest = MIDDLE - columns;
    if (!right)
        printf("%*s%s %s%s%*s│\n", SIDE - width, "", row, mark, middle, rest, "");
    else
        printf("%*s│%s%*s%s%s%s\n", SIDE + 1, "", middle, rest, "", mark,
               width > 0 ? " " : "", row);
}

static void draw_arrow(bool right, const char *call, const char *dash, const char *label)
{
    char middle[2 * ROW], row[ROW];
    int columns;
    fit(label, strlen(label), MIDDLE - 4, row, &columns);
    const int dashes = MIDDLE - 1 - (columns > 0 ? columns + 2 : 0);
    strcpy(middle, right ? "◀" : "");
    for (int i = 0; i < dashes; i++) {
        if (i == dashes / 2 && columns > 0)
            sprintf(middle + strlen(middle), " %s ", row);
        strcat(middle, dash);
    }
    strcat(middle, right ? "" : "▶");
    draw(right, call, true, middle, MIDDLE);
}

/* Lines of text between the two; what is too long goes on in the next row. */
static void draw_text(const char *data, size_t n)
{
    for (bool whole = true; n > 0;) {
        char middle[ROW];
        int columns, lead = sprintf(middle, whole ? " " : "  ");
        size_t taken = fit(data, n, MIDDLE - lead, middle + lead, &columns);
        whole = data[taken - 1] == '\n';
        draw(true, "", false, middle, lead + columns);
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
        length = data[1] % 128;
        head = length < 126 ? 2 : length == 126 ? 4 : 10;
        for (size_t i = 2; i < head; i++)
            length = (i == 2 ? 0 : length << 8) | data[i];
        head += masked ? 4 : 0;
        char *payload = (char *)data + head, text[64];
        for (size_t i = 0; masked && i < length; i++)
            payload[i] ^= payload[i % 4 - 4];
        snprintf(text, sizeof text, "%s %zu bytes, %smasked", opcodes[opcode], length,
                 masked ? "" : "un");
        draw_arrow(right, call, "─", text);
        snprintf(text, sizeof text, "%d", data[head] << 8 | data[head + 1]);
        if (opcode == 8)
            draw_text(text, strlen(text));
        else
            draw_text(payload, length);
        call = "";
    }
}

int main(void)
{
    static char line[SIZE], data[SIZE], row[ROW];
    setlocale(LC_CTYPE, "C.UTF-8");
    while (fgets(line, sizeof line, stdin) != NULL) {
        const bool right = *strtok(line, " \n") == '>';
        const char *what = strtok(NULL, " \n"), *hex = strtok(NULL, " \n");
        const char *dash = strtok(NULL, " \n"), *call = strtok(NULL, "\n");
        size_t n = 0;
        int columns;
        for (unsigned byte; sscanf(hex, "\\x%2x", &byte) == 1; hex += 4)
            data[n++] = (char)byte;
        if (strcmp(what, "none") == 0) {
            draw(right, call, false, "", 0);
        } else if (strcmp(what, "frames") == 0) {
            draw_frames(right, call, (unsigned char *)data, n);
        } else if (n == 0) {
            draw_arrow(right, call, dash,
                       strcmp(what, "end") == 0 ? "end of stream" : what);
        } else if (fit(data, n, MIDDLE - 4, row, &columns) == n) {
            draw_arrow(right, call, dash, row);
        } else { /* too long for its arrow */
            draw_arrow(right, call, dash, "");
            draw_text(data, n);
        }
    }
}
