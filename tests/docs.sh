#!/bin/sh
# docs.sh - README.md and the programs' top comments are true: their commands are run as
# they stand, in a copy of the sources, and what they print is compared. Ports, times and
# random numbers may differ. The tables of nc are nc.sh's.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=readme.sh
. "$ROOT/tests/readme.sh"

# Commands that are shown, not run here, and why.
LEFT_OUT='make deps test|CI runs it, and this is a part of it
make test|the same
make machines|CI runs it, and each machine runs this
make bench|it takes a quarter of an hour, and measures
chrt --batch 0|a figure of make bench
make trace PROGRAM=tcpS|below, and trace.sh runs all ten
unixSocket -l|a name for the server
apt-get install nginx openssl|make deps installs them
openssl req *|proxy.sh runs it
wsServer/wsServer 127.0.0.1:123[45]|proxy.sh runs two
nginx -p build -c proxy.conf|proxy.sh runs it
mkdir -p build|proxy.sh has a folder of its own
nc HOST PORT|a form, of which nc.sh runs all that the tables have
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

# README without the tables of calls and of nc, and without blocks of other text.
awk '
    /^\| (section|program|to) \|/ { table = 1 }
    !/^\|/ { table = 0 }
    /^```/ { block = !block }
    !table && !block' "$README" >"$T/text"
# Indented lines are commands, and so are words that begin as one.
{
    sed -n 's/^    //p' "$T/text" | sed -e ':more' -e '/\\$/{N; s/\\\n *//; b more' -e '}'
    spans "$(grep -v '^    ' "$T/text")" | grep -E '^([A-Z_]+=[^ ]* )*[a-z./][A-Za-z0-9_./-]* '
} | sed 's/ *#.*//' | sort -u >"$T/commands"
true_that 'README shows commands' [ "$(lines "$T/commands")" -ge 10 ]
while read -r _command <&9; do
    _why=$(echo "$LEFT_OUT" | while IFS='|' read -r _left_out _why; do
        # shellcheck disable=SC2254 # a pattern
        case $_command in $_left_out) echo "$_why" ;; esac
    done)
    [ -z "$_why" ] || continue
    timeout $((100 * SLOW)) sh -c "$_command" >"$T/said" 2>&1 3>&- 9<&-
    is "it runs: $_command" 0 "$?"
done 9<"$T/commands"

# An error line, `NAME: ADDRESS: WHY`.
spans "$(cat "$T/text")" | grep -E '^[A-Za-z]+: [^ ]+: ' >"$T/errors"
while read -r _line; do
    _name=${_line%%:*} _address=${_line#*: }
    "$_name/$_name" "${_address%%: *}" >"$T/said" 2>&1 </dev/null
    is "it fails as shown: $_line" "1 $_line" "$? $(cat "$T/said")"
done <"$T/errors"

# --- Two windows --------------------------------------------------------------------

# What varies, as one text; blanks and dashes as one of them.
masked() { # FILE
    sed "s/20[0-9-]*T[0-9:]*[-+Z][0-9:]*/TIME/; s/$PORT/1234/g; s/^ *//; s/ *\$//
        s/   */  /g; s/\(─\)\(─\)*/─/g" "$1"
}
block_with() { # TEXT: the block of README that has it
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

# A server, and what its clients are shown for `hello`: a regular expression.
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
# A command of a top comment, or a page.
COMMAND='(\./)?[A-Za-z]+ (-[A-Za-z]+ )*((localhost|127\.0\.0\.1)[: ])?(1234|/tmp/echo)( /ws)?'
for _source in */*.c; do
    _name=${_source%%/*}
    [ "$_source" = "$_name/$_name.c" ] || continue
    cd "$_name" || exit
    # `cc ...`, then `./NAME ...`, each with what to try at the other end
    sed -n '/\*\//q; /^ \*   cc /,/^ \*$/s/^ \* *//p' "$_name.c" |
        awk '/^(cc|\.\/)/ && NR > 1 { print "" } { printf "%s ", $0 } END { print "" }' \
            >"$T/usage"
    read -r _command <"$T/usage"
    $_command >"$T/said" 2>&1
    is "$_name: it is built with: $_command" '0 ' "$? $(cat "$T/said")"
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
    cd .. || exit
done

# --- Names --------------------------------------------------------------------------

cd "$ROOT" || exit
for _file in README.md tests/README.md tests/bench/README.md; do
    grep -oE '\]\([^)]*\)' "$_file" | sed 's/\](\(.*\))/\1/' | while read -r _link; do
        case $_link in
        '#'*) grep '^#' "$_file" | tr -d ',' | tr ' [:upper:]' '-[:lower:]' |
            grep -qx "#*-${_link#?}" ;;
        *) [ -e "$(dirname "$_file")/$_link" ] ;;
        esac || echo "$_link"
    done >"$T/broken"
    is "$_file: every link leads somewhere" '' "$(cat "$T/broken")"

    spans "$(cat "$_file")" | sort -u >"$T/spans"
    grep -E '^[a-z./]+/[A-Za-z._-]+\.(sh|c|md|py)$' "$T/spans" | while read -r _name; do
        [ -e "$_name" ] || [ -e "$(dirname "$_file")/$_name" ] || echo "$_name"
    done >"$T/missing"
    is "$_file: every file that it names is there" '' "$(cat "$T/missing")"

    sed -nE 's/^([A-Z_]+=[^ ]* )*make ([a-z -]*).*/\2/p' "$T/spans" | tr ' ' '\n' |
        while read -r _name; do
            [ -z "$_name" ] || grep -q "^$_name:" Makefile || echo "$_name"
        done >"$T/missing"
    is "$_file: every target that it names is there" '' "$(cat "$T/missing")"
done

# The POSIX calls of each program are made in it; trace.sh holds their order.
rows section >"$T/rows"
while IFS='|' read -r _ _program _ _calls _; do
    _file=$(echo "$_program" | sed -n 's/.*(\([^)]*\.c\))/\1/p')
    spans "${_calls%%;*}" >"$T/calls"
    [ -n "$_file" ] || continue
    while read -r _call; do
        grep -q "[^a-z_]$_call(" "$_file" || echo "$_call"
    done <"$T/calls" >"$T/missing"
    is "$_file makes the calls that README says" '' "$(cat "$T/missing")"
done <"$T/rows"
at_most 'lines of README' 186 "$(lines README.md)"
_said=$(sed -n 's/.*tcpC.c): \([0-9]*\) lines.*/\1/p' README.md)
is 'the lines of tcpC' "$(lines tcpC/tcpC.c)" "$_said"

# The faults of the chapter's programs: each check that keeps one away has run.
if [ -z "${RESULTS:-}" ]; then
    skip 'the checks that keep the faults of the chapter away' 'tests/run runs them'
    finish
fi
rows "the chapter's" tests/README.md >"$T/rows"
spans "$(cut -d '|' -f 3 "$T/rows")" >"$T/checks"
while read -r _check; do
    _results=$RESULTS/${_check%%:*}
    wait_for 280 [ -e "$_results.status" ]
    if ! grep -qxF "ok $_check" "$_results" && grep -q '^skip ' "$_results"; then
        skip "it has run: $_check" "${_check%%:*} skipped something"
    else
        true_that "it has run: $_check" grep -qxF "ok $_check" "$_results"
    fi
done <"$T/checks"

finish
