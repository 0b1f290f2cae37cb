#!/bin/sh
# same.sh - what stands in two programs has one text
#
# A function, a struct or an enum that two programs define under one name must be the
# same in both, byte for byte, with the comment right above it. There is no list of
# them: every name that occurs twice is compared.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# A program's own: these have their name in common and nothing else.
OWN='main handle_connection'

# SOURCES may name other files, as NAME/NAME.c: so this script can itself be tested.
SOURCES=${SOURCES:-$(cd "$ROOT" && for f in */; do echo "${f%/}/${f%/}.c"; done)}

# Writes each definition at file scope of a program to $T/defs/NAME/PROGRAM.
take_apart() { # PROGRAM FILE
    awk -v program="$1" -v folder="$T/defs" '
        function keep(name, text) {
            system("mkdir -p " folder "/" name)
            printf "%s", text > (folder "/" name "/" program)
            close(folder "/" name "/" program)
        }
        # Inside a definition: up to its closing brace at the left edge.
        body {
            text = text $0 "\n"
            if (/^}/) {
                if (name == "" && match($0, /[a-z_0-9]+;/))
                    name = substr($0, RSTART, RLENGTH - 1)
                if (name != "")
                    keep(name, text)
                body = 0
                comment = text = ""
            }
            next
        }
        # Inside the head of a function: a prototype ends in ";" and is not kept.
        head {
            text = text $0 "\n"
            if (/^{/) { body = 1; head = 0 }
            else if (/;[[:space:]]*$/) { head = 0; comment = text = "" }
            next
        }
        in_comment { comment = comment $0 "\n"; if (/\*\//) in_comment = 0; next }
        /^\/\*/ { comment = $0 "\n"; in_comment = !/\*\//; next }
        /^(static )?(struct|enum|union)( [a-z_0-9]+)? \{[^}]*$/ {
            name = $1 == "static" ? $3 : $2
            if (name == "{")
                name = ""
            text = comment $0 "\n"
            body = 1
            next
        }
        # Constants, one by one: NAME = VALUE.
        /^enum \{.*\};/ {
            line = $0
            gsub(/\/\*[^*]*\*\//, "", line)
            while (match(line, /[A-Z][A-Z_0-9]* = [^,}]*[^,} ]/)) {
                split(substr(line, RSTART, RLENGTH), part, " = ")
                keep(part[1], part[2] "\n")
                line = substr(line, RSTART + RLENGTH)
            }
        }
        /^[a-z].*\(/ && !/=/ {
            match($0, /[a-zA-Z_0-9]+\(/)
            name = substr($0, RSTART, RLENGTH - 1)
            text = comment $0 "\n"
            if (/;[[:space:]]*$/) comment = text = ""
            else head = 1
            next
        }
        { comment = "" }
    ' "$2"
}

_programs=0
mkdir "$T/defs"
for _source in $SOURCES; do
    [ -f "$ROOT/$_source" ] || [ -f "$_source" ] || continue
    _file=$_source
    [ -f "$_file" ] || _file=$ROOT/$_source
    take_apart "$(basename "$_file" .c)" "$_file"
    _programs=$((_programs + 1))
done

_copies=0
for _folder in "$T"/defs/*/; do
    _name=$(basename "$_folder")
    case " $OWN " in
    *" $_name "*) continue ;;
    esac
    _first=
    for _file in "$_folder"*; do
        if [ -z "$_first" ]; then
            _first=$_file
            continue
        fi
        _copies=$((_copies + 1))
        _pair="$_name in $(basename "$_first") and $(basename "$_file")"
        if cmp -s "$_first" "$_file"; then
            ok "$_pair"
        else
            fail "$_pair"
            diff "$_first" "$_file" | sed 's/^/    /'
        fi
    done
done
true_that "there are copies to compare ($_copies in $_programs programs)" [ "$_copies" -gt 0 ]

finish
