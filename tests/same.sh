#!/bin/sh
# same.sh - copies of a function are identical
#
# A function or a struct that several programs define under one name is the same in all of
# them, byte for byte, with the comment above it. There is no list: the script compares
# every name that is defined twice.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# Functions that differ from program to program.
OWN=' main talk handle_connection serve handshake write_frame '

# Writes each definition at file scope, with the comment above it, to FOLDER/NAME/PROGRAM.
take_apart() { # FOLDER FILE
    awk -v folder="$1" -v program="$(basename "$2" .c)" '
        # Where there are threads, print_line() locks stdout; a server flushes it.
        name == "print_line" && /(lockfile|fflush)\(stdout\);/ { next }
        /^$/ && !body { text = "" }
        { text = text $0 "\n" }
        /^struct [a-z_0-9]+ \{/ {
            name = $2
            body = 1
        }
        /^[a-z].*\(/ {
            match($0, /[a-z_0-9]+\(/)
            name = substr($0, RSTART, RLENGTH - 1)
        }
        /^\{/ { body = 1 }
        /^}/ && body {
            system("mkdir -p " folder "/" name)
            printf "%s", text >(folder "/" name "/" program)
            body = 0
        }
    ' "$2"
}

# Prints a line for each name that two FILEs define: same or differs, name, programs.
compare() { # FILE...
    rm -rf "$T/defs" && mkdir "$T/defs" || exit
    for _file in "$@"; do
        take_apart "$T/defs" "$_file"
    done
    for _folder in "$T"/defs/*; do
        _verdict=same _name=$(basename "$_folder")
        # shellcheck disable=SC2046 # names of programs
        set -- $(ls "$_folder")
        case $OWN in *" $_name "*) continue ;; esac
        [ $# -gt 1 ] || continue
        for _program in "$@"; do
            cmp -s "$_folder/$1" "$_folder/$_program" || _verdict=differs
        done
        echo "$_verdict $_name $*"
    done
}

cd "$ROOT" || exit
# shellcheck disable=SC2046 # names without blanks
compare $(printf '%s\n' */*.c | grep '^\([^/]*\)/\1\.c$') >"$T/found"
while read -r _verdict _name _programs; do
    is "$_name in $_programs" same "$_verdict"
    [ "$_verdict" = same ] || (cd "$T/defs/$_name" && for _program in $_programs; do
        diff "${_programs%% *}" "$_program"
    done)
done <"$T/found"
true_that 'there are copies to compare' [ -s "$T/found" ]

finish
