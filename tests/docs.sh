#!/bin/sh
# docs.sh - checks README.md and the programs' top comments: runs their commands as they
# stand, in a copy of the sources, and compares what they print. Ports, times and random
# numbers may differ. nc.sh runs the commands of nc, proxy.sh those of proxy.conf.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=readme.sh
. "$ROOT/tests/readme.sh"

mkdir "$T/copy"
cd "$ROOT" || exit
tar -cf - Makefile README.md tests ./*/*.c | tar -xf - -C "$T/copy"
cd "$T/copy" || exit
README=$T/copy/README.md

# --- Commands -----------------------------------------------------------------------

# README without the tables of the chapter and of nc, and without blocks of other text.
awk '
    /^\| (section|program) \|/ { table = 1 }
    !/^\|/ { table = 0 }
    /^```/ { block = !block }
    !table && !block' "$README" >"$T/text"
# Indented lines are commands, and so are code spans that begin like one.
{
    sed -n 's/^    //p' "$T/text"
    spans "$(grep -v '^    ' "$T/text")" |
        grep -E '^([A-Z_]+=[^ ]* )*[a-z./][A-Za-z0-9_./-]* '
} | sed 's/ *#.*//' | awk '!seen[$0]++' >"$T/commands"
true_that 'README has commands' [ "$(lines "$T/commands")" -ge 10 ]
runs() { # COMMAND
    PORT=$PORT timeout $((100 * SLOW)) sh -c "$1" >"$T/said" 2>&1 3>&- 9<&-
    is "it runs: $1" 0 "$?"
}
asks() { # COMMAND of a wsClient, which asks `question`
    serve wsServer 0
    timeout $((100 * SLOW)) sh -c "$(ours "$1")" >"$T/said" 2>&1 9<&-
    is "it is answered: $1" '0 Received: question' "$? $(tail -n 1 "$T/said")"
    stop TERM
}
can_trace() { # WHAT
    need strace "$1" && need python3 "$1" &&
        possible "$1" 'tracing is not allowed here' strace -o /dev/null true
}
while read -r _command <&9; do
    PORT=$("$PEER" free-port)
    case $_command in
    'make deps test' | 'make test' | 'make machines') ;; # this script is part of them
    'tcpS/tcpS 1234' | 'tcpC/tcpC localhost:1234') ;; # the two windows run them
    'nc '* | ncat* | nc.traditional* | 'echo hi '* | printf*) ;; # nc.sh runs them
    udpS/udpS*)
        open_command 0 "$_command"
        comes "it starts: $_command" "$T/0" ": listening on $(ours "${_command##* }")"
        close_windows
        ;;
    *' | wsClient/wsClient '*)
        asks "$_command"
        # README has another beginning for it, which ends with the pipe.
        asks "$(spans "$(cat "$T/text")" | grep '^(.*) |$') ${_command#* | }"
        ;;
    'make trace '*) can_trace "it runs: $_command" && runs "$_command" ;;
    *) runs "$_command" ;;
    esac
done 9<"$T/commands"

# Error lines, `NAME: ADDRESS: REASON`.
spans "$(cat "$T/text")" | grep -E '^[A-Za-z]+: [^ ]+: ' >"$T/errors"
while read -r _line; do
    _name=${_line%%:*} _address=${_line#*: }
    "$_name/$_name" "${_address%%: *}" >"$T/said" 2>&1 </dev/null
    is "it fails as shown: $_line" "1 $_line" "$? $(cat "$T/said")"
done <"$T/errors"

# --- Two windows --------------------------------------------------------------------

# Print a file with one text for what varies, and with one blank or dash for many.
masked() { # FILE
    sed "s/20[0-9-]*T[0-9:]*[-+Z][0-9:]*/TIME/; s/$PORT/1234/g; s/^ *//; s/ *\$//
        s/   */  /g; s/\(─\)\(─\)*/─/g" "$1"
}
block_with() { # TEXT: print the block of README that contains it
    awk -v text="$1" '
        !/^```/ { block = block $0 "\n" }
        /^```/ && index(block, text) { printf "%s", block }
        /^```/ { block = "" }' "$README"
}

SESSION='the two windows'
PORT=$("$PEER" free-port)
block_with '│ $ ' >"$T/shown"
sed 's/ *│.*//; /^$/d' "$T/shown" >"$T/left"
sed 's/.*│ *//' "$T/shown" >"$T/right"
# shellcheck disable=SC2046 # words
open_window 0 $(ours "$(sed -n '1s/^\$ //p' "$T/left")")
# shellcheck disable=SC2046
open_window 1 $(ours "$(sed -n '1s/^\$ //p' "$T/right")")
sed -n 's/^>> //p' "$T/right" >"$T/typed"
while read -r _typed <&9; do
    enter 1 "$_typed" '->: *'
done 9<"$T/typed"
leave 1
leave 0
is 'the two windows, left' "$(masked "$T/left")" "$(masked "$T/0")"
is 'the two windows, right' "$(masked "$T/right")" "$(masked "$T/1")"

# --- Charts -------------------------------------------------------------------------

if can_trace 'the chart of README'; then
    export PORT TZ=UTC0 # README's chart has a time in UTC, and so its number of bytes
    PORT=$("$PEER" free-port)
    make -s trace PROGRAM=tcpS >"$T/tcpS.chart" 2>&1
    # Which end closes first is a matter of chance, and localhost may be ::1 or, after
    # attempts that fail, 127.0.0.1.
    block_with 'socket(AF_INET6)' >"$T/shown"
    for _file in shown tcpS.chart; do
        masked "$T/$_file" | sed 's/AF_INET6/AF_INET/; s/\[::1*\]:/IP:/
            s/\(127.0.0.1\|0.0.0.0\):/IP:/' | sort >"$T/$_file.masked"
    done
    comm -3 "$T/shown.masked" "$T/tcpS.chart.masked" |
        grep -vE '├ (socket|connect|close)\(' >"$T/differs"
    is 'the chart of README is drawn' '' "$(cat "$T/differs")"
fi

# --- Top comments -------------------------------------------------------------------

PATH=$(printf "$T/copy/%s:" */)$PATH

# Run a command and its other end, the server first; `hello` must be answered.
SEEN='[A-Za-z>:-]* *\(hello\|hi\|20[0-9-]*T.*\|Client number: 1\|[0-9][0-9]*\)$'
at_other_end() { # COMMAND OTHER
    case $2 in nc* | curl*) need "${2%% *}" "$1 | $2" || return ;; esac
    case $1 in
    *' -l '* | ./tcpS* | ./*server* | ./udpS* | ./concTCP* | ./wsServer*) ;;
    *) set -- "$2" "$1" ;;
    esac
    case $1:$2 in
    nc*) converse "$1 | $2" "$1" "$2" hello hi "$SEEN" ;;
    *:curl*) converse "$1 | $2" "$1" "$2" '' '' '<!DOCTYPE html>' ;;
    *) converse "$1 | $2" "$1" "$2" hello '' "$SEEN" ;;
    esac
}
called_in() { # FILE...: print the functions that the code calls, as `name(`
    sed '1,/\*\//d' "$@" | grep -oE '\<[a-z_0-9]+\(' | sort -u
}
called_in ./*/*.c >"$T/calls"
# A regular expression for the commands of the top comments.
COMMAND='(\./)?[A-Za-z]+ (-[A-Za-z]+ )*'
COMMAND="$COMMAND((localhost|127\.0\.0\.1)[: ])?(1234|/tmp/echo)( /ws)?"
for _source in */*.c; do
    _name=${_source%%/*}
    cd "$_name" || exit
    # `cc ...`, then each `./NAME ...`, followed by what to try with it.
    sed -n '/\*\//q; /^ \*   cc /,/^ \*$/s/^ \* *//p' "$_name.c" >"$T/usage"
    read -r _command <"$T/usage"
    $_command >"$T/said" 2>&1
    is "$_name: its top comment builds it: $_command" '0 ' "$? $(cat "$T/said")"
    grep -oE "$COMMAND|http:[^ ]*" "$T/usage" | awk '
        /^\.\// { own = $0; next }
        { sub("^http:", "curl -qsg &"); print own "|" $0 }' >"$T/pairs"
    true_that "$_name: its top comment names another end" [ -s "$T/pairs" ]
    while IFS='|' read -r _own _other <&9; do
        PORT=$("$PEER" free-port)
        at_other_end "$_own" "$_other"
    done 9<"$T/pairs"
    # The functions that the table of Go and C names, but not a word after `no`.
    sed -n '/\*\//q; /^ \*   Go /,/^ \*$/p' "$_name.c" | cut -c 38- |
        sed 's/ no [a-z]*//g' >"$T/table"
    true_that "$_name: its top comment has a table of Go and C" \
        [ "$(lines "$T/table")" -ge 5 ]
    called_in "$_name.c" >"$T/code"
    {
        grep -oE '\<[a-z_0-9]+\(' "$T/table"
        grep -oE '\<[a-z_0-9]+' "$T/table" | sed 's/$/(/' | grep -xF -f "$T/calls"
    } | grep -vxF -f "$T/code" >"$T/missing"
    is "$_name: it has the functions that this table names" '' "$(cat "$T/missing")"
    cd .. || exit
done

# --- Names --------------------------------------------------------------------------

cd "$ROOT" || exit
for _file in README.md tests/README.md tests/bench/README.md; do
    spans "$(cat "$_file")" | sort -u >"$T/spans"
    {
        grep -oE '\]\([^)]*' "$_file" | cut -c 3- | while read -r _link; do
            case $_link in
            '#'*) grep '^#' "$_file" | tr -d ',' | tr ' [:upper:]' '-[:lower:]' |
                grep -qx "#*-${_link#?}" ;;
            *) [ -e "$(dirname "$_file")/$_link" ] ;;
            esac || echo "$_link"
        done
        grep -E '^[a-z./]+/[A-Za-z._-]+\.(sh|c|md|py|conf)$' "$T/spans" |
            while read -r _name; do
                [ -e "$_name" ] || [ -e "$(dirname "$_file")/$_name" ] || echo "$_name"
            done
        sed -nE 's/^([A-Z_]+=[^ ]* )*make ([a-z -]*).*/\2/p' "$T/spans" |
            tr -s ' ' '\n' | while read -r _target; do
                grep -q "^$_target:" Makefile || echo "make $_target"
            done
    } >"$T/missing"
    is "$_file: its links, files and targets exist" '' "$(cat "$T/missing")"
done

# The table has the programs in the Makefile's order, and no row is too long to read.
sed -n '/^PROGRAMS/,/[^\\]$/p' Makefile | grep -oE '[A-Za-z]+/[A-Za-z]+' |
    sed 's,.*/\(.*\),[\1](&.c),' >"$T/programs"
rows section | cut -d '|' -f 2 | grep '\.c)$' >"$T/listed"
is 'the table of sections links every program' "$(cat "$T/programs")" \
    "$(cat "$T/listed")"
is 'no row of a table has over 200 characters' '' \
    "$(LC_ALL=C.UTF-8 grep -E '^\|.{200}' README.md)"
at_most 'lines of README' 160 "$(lines README.md)"
is 'README has the number of lines of tcpC' "$(lines tcpC/tcpC.c)" \
    "$(sed -n 's/.*tcpC\.c) first\*\*, \([0-9]*\) lines.*/\1/p' README.md)"
_faults=$(rows "the chapter's" tests/README.md | grep -c .)
tr '\n' ' ' <README.md | grep -oE '[0-9]+ bugs of|버그 [0-9]+개' | tr -cd '0-9\n' >"$T/bugs"
is 'README has the number of bugs, in English and in Korean' "$_faults
$_faults" "$(cat "$T/bugs")"

# Every check that tests/README.md names for a bug of the chapter's programs has passed.
if [ -z "${RESULTS:-}" ]; then
    skip 'the checks for the bugs of the chapter have passed' 'tests/run runs them'
    finish
fi
rows "the chapter's" tests/README.md >"$T/rows"
spans "$(cut -d '|' -f 3 "$T/rows")" >"$T/checks"
while read -r _check; do
    _results=$RESULTS/${_check%%:*}
    wait_for 280 [ -e "$_results.status" ]
    if ! grep -qxF "ok $_check" "$_results" && grep -q '^skip ' "$_results"; then
        skip "it has passed: $_check" "${_check%%:*} skipped something"
    else
        true_that "it has passed: $_check" grep -qxF "ok $_check" "$_results"
    fi
done <"$T/checks"

finish
