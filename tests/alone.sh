#!/bin/sh
# alone.sh - each program is one file that needs no other, told in the same order
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

CC=${CC:-cc}
STRICT='-std=c11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wmissing-prototypes -Wvla'

for _folder in "$ROOT"/*/; do
    _name=$(basename "$_folder")
    [ -f "$_folder$_name.c" ] || continue
    _source=$_folder$_name.c
    is "$_name: one source in its folder" "$_name.c" \
        "$(cd "$_folder" && find . -type f ! -name "$_name" | sed 's#^\./##')"
    is "$_name: no header of ours" 0 "$(grep -c '^#include "' "$_source")"
    is "$_name: every function is static" 'int main' \
        "$(grep -E '^[a-z][a-z_ *]*[a-zA-Z_0-9]+\(' "$_source" | grep -v '^static ' | sed 's/(.*//')"

    case $_name in
    tcpC) _most=80 ;;
    ws*) _most=400 ;; # the two WebSocket programs tell a longer story
    *) _most=120 ;;
    esac
    _divider=$(grep -n '^/\* ---- Helpers' "$_source" | cut -d: -f1)
    at_most "$_name: the part above the helpers, in lines" "$_most" \
        $((${_divider:-99999} - 1))
    _end=$(grep -n '\*/' "$_source" | sed -n '1s/:.*//p')
    at_most "$_name: the comment on top, in lines" 20 "${_end:-99999}"

    need "${CC%% *}" "$_name compiles alone" || continue
    mkdir "$T/$_name"
    cp "$_source" "$T/$_name"
    for _flags in '' "$STRICT"; do
        # shellcheck disable=SC2086
        (cd "$T/$_name" && $CC $_flags -pthread -o "$_name" "$_name.c") >"$T/said" 2>&1
        is "$_name compiles alone, in silence: cc $_flags" '0 ' "$? $(cat "$T/said")"
    done
done

finish
