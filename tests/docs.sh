#!/bin/sh
# docs.sh - checks README.md and the programs' top comments: runs their commands as they
# stand, in a copy of the sources, and compares what they print. Ports, times and random
# numbers may differ. nc.sh runs the commands of nc, proxy.sh those of proxy.conf.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=readme.sh
. "$ROOT/tests/readme.sh"

# Commands of README that this script does not run, and why.
LEFT_OUT='make deps test|CI runs it, and this script is part of it
make test|this script is part of it
make machines|CI runs it, and each machine runs this script
make bench|it measures for a quarter of an hour
tcpS/tcpS 1234|the two windows run it
tcpC/tcpC localhost:1234|the two windows run it
nc *|nc.sh runs it
ncat *|nc.sh runs it
nc.traditional *|nc.sh runs it
echo hi *|nc.sh runs it
printf *|nc.sh runs it
ulimit -[nu]*|a limit, not a step'

mkdir "$T/copy"
cp -R "$ROOT/Makefile" "$ROOT/README.md" "$ROOT/tests" "$T/copy"
for _source in "$ROOT"/*/*.c; do
    _folder=$T/copy/$(basename "$_source" .c)
    mkdir "$_folder"
    cp "$_source" "$_folder"
done
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
    sed -n 's/^    //p' "$T/text" | sed -e ':more' -e '/\\$/{N; s/\\\n *//; b more' -e '}'
    spans "$(grep -v '^    ' "$T/text")" |
        grep -E '^([A-Z_]+=[^ ]* )*[a-z./][A-Za-z0-9_./-]* '
} | sed 's/ *#.*//' | awk '!seen[$0]++' >"$T/commands"
true_that 'README has commands' [ "$(lines "$T/commands")" -ge 10 ]
starts() { # COMMAND of a server
    SESSION=$1
    open_command 0 "$1"
    comes "it starts: $1" "$T/0" ": listening on $(ours "${1##* }")"
    close_windows
}
asks() { # COMMAND of a wsClient, which asks `question`
    SESSION=$1
    open_command 0 'wsServer/wsServer 1234'
    timeout $((100 * SLOW)) sh -c "$(ours "$1")" >"$T/said" 2>&1 9<&-
    is "it is answered: $1" '0 Received: question' "$? $(tail -n 1 "$T/said")"
    close_windows
}
while read -r _command <&9; do
    _why=$(echo "$LEFT_OUT" | while IFS='|' read -r _left_out _why; do
        # shellcheck disable=SC2254 # a pattern
        case $_command in $_left_out) echo "$_why" ;; esac
    done)
    [ -z "$_why" ] || continue
    PORT=$("$PEER" free-port)
    case $_command in
    udpS/udpS*)
        starts "$_command"
        continue
        ;;
    *' | wsClient/wsClient '*)
        asks "$_command"
        # README has another beginning for it, which ends with the pipe.
        _other=$(spans "$(cat "$T/text")" | grep '^(.*) |$')
        is 'README has one more question' 1 "$(echo "$_other" | grep -c .)"
        asks "$_other ${_command#* | }"
        continue
        ;;
    'make trace '*)
        need strace "it runs: $_command" || continue
        possible "it runs: $_command" 'tracing is not allowed here' \
            strace -o /dev/null true || continue
        ;;
    esac
    PORT=$PORT timeout $((100 * SLOW)) sh -c "$_command" >"$T/said" 2>&1 3>&- 9<&-
    is "it runs: $_command" 0 "$?"
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
        !/^```/ {
            block = block $0 "\n"
            next
        }
        (inside = !inside) { block = "" }
        !inside && index(block, text) { printf "%s", block }' "$README"
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
sed -n '/^>> /{s///; N; s/\n/|/; p}' "$T/right" >"$T/typed"
while IFS='|' read -r _typed _answer <&9; do
    enter 1 "$_typed" "$(echo "$_answer" | sed 's/20[0-9-]*T.*/20*/')"
done 9<"$T/typed"
leave 1
leave 0
for _side in '0 left' '1 right'; do
    masked "$T/${_side% *}" >"$T/got"
    masked "$T/${_side#* }" >"$T/wanted"
    is "the two windows, ${_side#* }" "$(cat "$T/wanted")" "$(cat "$T/got")"
done

# --- Charts -------------------------------------------------------------------------

if need strace 'the chart of README' && possible 'the chart of README' \
    'tracing is not allowed here' strace -o /dev/null true; then
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

# Print what the client of a server shows for `hello`: a regular expression.
reply_of() { # COMMAND
    case $1 in
    ./tcpS* | tcpS*) echo '20[0-9-]*T' ;;
    *concTCP*) echo 'Client number: 1' ;;
    *udpS*) echo '[0-9][0-9]*$' ;;
    *) echo hello ;;
    esac
}
at_other_end() { # COMMAND OTHER
    case $2 in
    nc*) need nc "$1 | $2" || return ;;
    *http:*) need curl "$1 | $2" || return ;;
    esac
    case $1 in
    *' -l '* | ./tcpS* | ./*server* | ./udpS* | ./concTCP* | ./wsServer*) ;;
    *) set -- "$2" "$1" ;;
    esac
    case $1$2 in
    nc*) converse "$1 | $2" "$1" "$2" hello hi '[A-Za-z>:-]* hi$' ;;
    *http:*) converse "$1 | $2" "$1" "curl -qsg $2" '' '' '<!DOCTYPE html>' ;;
    *) converse "$1 | $2" "$1" "$2" hello '' "[A-Za-z>:-]* *$(reply_of "$1")" ;;
    esac
}
CALLS='accept|bind|connect|fdopen|fflush|fprintf|fputs|fwrite|getaddrinfo|listen|lstat'
CALLS="$CALLS|localtime_r|poll|pthread_create|rand|recv|recvfrom|send|sendto|sigaction"
CALLS="$CALLS|socket|srand|strftime|unlink"
# A regular expression for the commands of the top comments.
COMMAND='(\./)?[A-Za-z]+ (-[A-Za-z]+ )*'
COMMAND="$COMMAND((localhost|127\.0\.0\.1)[: ])?(1234|/tmp/echo)( /ws)?"
for _source in */*.c; do
    _name=${_source%%/*}
    [ "$_source" = "$_name/$_name.c" ] || continue
    cd "$_name" || exit
    # One line for `cc ...`, then one for each `./NAME ...` and what to try with it.
    sed -n '/\*\//q; /^ \*   cc /,/^ \*$/s/^ \* *//p' "$_name.c" |
        awk '/^(cc|\.\/)/ && NR > 1 { print "" } { printf "%s ", $0 } END { print "" }' \
            >"$T/usage"
    read -r _command <"$T/usage"
    $_command >"$T/said" 2>&1
    is "$_name: its top comment builds it: $_command" '0 ' "$? $(cat "$T/said")"
    sed 1d "$T/usage" | while read -r _line; do
        _own=$(echo "$_line" | grep -oE "^$COMMAND")
        echo "$_line" | grep -oE "$COMMAND|http://localhost:1234/" | grep -vxF "$_own" |
            sed "s|^|$_own\||"
    done >"$T/pairs"
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
    sed '1,/\*\//d' "$_name.c" >"$T/code"
    grep -oE "[a-z_0-9]+\\(\\)|\\<($CALLS)\\>" "$T/table" | tr -d '()' | sort -u |
        while read -r _call; do
            grep -q "[^a-z_]$_call(" "$T/code" || echo "$_call"
        done >"$T/missing"
    is "$_name: it has the functions that this table names" '' "$(cat "$T/missing")"
    cd .. || exit
done

# --- Names --------------------------------------------------------------------------

cd "$ROOT" || exit
for _file in README.md tests/README.md tests/bench/README.md; do
    grep -oE '\]\([^)]*\)' "$_file" | sed 's/\](\(.*\))/\1/' | while read -r _link; do
        case $_link in
        '#'*) grep '^#' "$_file" | tr -d ',' | tr ' [:upper:]' '-[:lower:]' |
            grep -qx "#*-${_link#?}" ;;
        *) [ -e "$(dirname "$_file")/${_link%#*}" ] ;;
        esac || echo "$_link"
    done >"$T/broken"
    is "$_file: every link has a target" '' "$(cat "$T/broken")"

    spans "$(cat "$_file")" | sort -u >"$T/spans"
    grep -E '^[a-z./]+/[A-Za-z._-]+\.(sh|c|md|py|conf)$' "$T/spans" |
        while read -r _name; do
            [ -e "$_name" ] || [ -e "$(dirname "$_file")/$_name" ] || echo "$_name"
        done >"$T/missing"
    is "$_file: every file that it names exists" '' "$(cat "$T/missing")"

    sed -nE 's/^([A-Z_]+=[^ ]* )*make ([a-z -]*).*/\2/p' "$T/spans" | tr ' ' '\n' |
        while read -r _name; do
            [ -z "$_name" ] || grep -q "^$_name:" Makefile || echo "$_name"
        done >"$T/missing"
    is "$_file: every make target that it names exists" '' "$(cat "$T/missing")"
done

# The tables have the programs in the Makefile's order, and no row is too long to read.
sed -n '/^PROGRAMS/,/[^\\]$/p' Makefile | grep -oE '[A-Za-z]+/[A-Za-z]+' | sed 's/$/.c/' \
    >"$T/programs"
rows section | sed -n 's/.*|\[[A-Za-z]*\](\([^)]*\.c\))|.*/\1/p' >"$T/listed"
is 'the table of sections has every program' "$(cat "$T/programs")" "$(cat "$T/listed")"
rows section | sed -n 's/.*|\[\([A-Za-z]*\)\](.*\.c)|.*/\1/p' | sed 's,.*,&/&.c,' \
    >"$T/listed"
is 'each link there has its program as text' "$(cat "$T/programs")" "$(cat "$T/listed")"
rows program | sed 's,[ |].*,,; s,.*,&/&.c,' | uniq >"$T/listed"
is 'the table of nc has every program' "$(cat "$T/programs")" "$(cat "$T/listed")"
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
