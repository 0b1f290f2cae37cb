#!/bin/sh
# alone.sh - each program is one file that compiles alone, in the same order
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

CC=${CC:-cc}
STRICT='-std=c11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla'
STRICT="$STRICT -Wmissing-prototypes"

# Prints the kinds of definitions of a file, in their order; adjacent ones only once.
order() { # FILE
    awk '
        NR == 1 && /^\/\*/ { print "comment" }
        /^#define _POSIX_C_SOURCE 200809L$/ { print "standard" }
        /^#include </ { print "includes" }
        /^(static|int) .*\(/ { head = $0 }
        head && /;$/ { print "prototypes" }
        /^\{/ { print (head ~ /^int main/ ? "main" : "functions") }
        /;$|^\{/ { head = "" }
    ' "$1" | uniq | tr '\n' ' '
}

# Prints the functions that have more than 40 lines between their braces.
long_functions() { # FILE
    awk '/^[a-z].*\(/ { head = $0 }
        /^\{/ { start = NR }
        /^}/ && start && NR - start > 41 { print head ": " NR - start - 1 " lines" }
        /^}/ { start = 0 }' "$1"
}

for _folder in "$ROOT"/*/; do
    _name=$(basename "$_folder")
    _source=$_folder$_name.c
    [ -f "$_source" ] || continue
    is "$_name: one source in its folder" "$_name.c" \
        "$(cd "$_folder" && find . -type f ! -name "$_name" | sed 's#^\./##')"
    is "$_name: every function is static" 'int main' \
        "$(grep -E '^[a-z][a-z_ *]*[a-zA-Z_0-9]+\(' "$_source" | grep -v '^static ' |
            sed 's/(.*//')"
    is "$_name: its parts, callee first and main last" \
        'comment standard includes functions main ' "$(order "$_source")"
    is "$_name: no function is longer than a screen" '' "$(long_functions "$_source")"
    at_most "$_name: lines of the top comment" 20 \
        "$(grep -n '\*/' "$_source" | sed -n '1s/:.*//p')"

    need "${CC%% *}" "$_name compiles alone" || continue
    mkdir "$T/$_name"
    cp "$_source" "$T/$_name"
    for _flags in '' "$STRICT"; do
        # shellcheck disable=SC2086
        (cd "$T/$_name" && $CC $_flags -pthread -o "$_name" "$_name.c") >"$T/output" 2>&1
        is "$_name compiles alone, without a warning: cc $_flags" '0 ' \
            "$? $(cat "$T/output")"
    done
done

finish
