#!/bin/sh
# trace.sh - the charts of make trace, and what make, make help and make demo print
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=readme.sh
. "$ROOT/tests/readme.sh"
cd "$ROOT" || exit
unset V CC TEST_CC CFLAGS LDFLAGS TEXT PROGRAM MAKEFLAGS MFLAGS MAKELEVEL
NAMES='tcpC otherTCPclient tcpS otherTCPserver udpC udpS concTCP unixSocket wsServer
wsClient'

fits() { # WHAT FILE: it has something, in 80 columns
    true_that "$1: something is printed" [ -s "$2" ]
    at_most "$1: columns" 80 "$(LC_ALL=C.UTF-8 wc -L <"$2")"
}

# --- make ---------------------------------------------------------------------------

# A copy of the Makefile, and compilers that warn of one program and refuse the next.
mkdir "$T/copy" "$T/bin"
cp Makefile "$T/copy"
for _name in $NAMES; do
    mkdir "$T/copy/$_name"
    touch "$T/copy/$_name/$_name.c"
done
for _name in cc other; do
    cat >"$T/bin/$_name" <<'END'
#!/bin/sh
case $* in
*udpC.c*) echo 'a warning' >&2 ;;
*udpS.c*) echo 'an error' >&2 && exit 1 ;;
esac
END
    chmod +x "$T/bin/$_name"
done
prints() { # WHAT STATUS EXPECTED MAKE-ARG...: and nothing else, but make's own words
    _what=$1 _status=$2 _expected=$3
    shift 3
    (cd "$T/copy" && PATH=$T/bin:$PATH make "$@") >"$T/made" 2>&1
    is "$_what" "$_status $_expected" "$? $(sed '/^make/d' "$T/made")"
}
until_the_error() { # COMPILER
    for _name in tcpC otherTCPclient tcpS otherTCPserver udpC; do
        echo "$1 $_name/$_name.c"
    done
    printf 'a warning\n%s udpS/udpS.c\nan error\n' "$1"
}
prints 'make: a short line for each program, and warnings and errors' 2 \
    "$(until_the_error cc)"
prints 'make: the name of another compiler' 2 "$(until_the_error other)" CC=other
prints 'make: a compiler with an option' 2 "$(until_the_error 'cc -g')" CC='cc -g'
prints 'make -s: only warnings and errors' 2 "$(printf 'a warning\nan error')" -s
prints 'make V=1: the whole command' 0 'cc -std=c11 -W -g -o tcpC/tcpC tcpC/tcpC.c -lm' \
    V=1 FLAGS='-std=c11 -W' CFLAGS=-g LDFLAGS=-lm tcpC/tcpC
prints 'make variant: only errors' 2 "$(printf 'a warning\nan error')" variant DIR=v

make help >"$T/help"
fits 'make help' "$T/help"
is 'make help: every target' "$(sed -n 's/^\([a-z-]*\):.*##.*/\1/p' Makefile)" \
    "$(awk '{ print $2 }' "$T/help")"
TMPDIR=/tmp make -s demo >"$T/demo" 2>&1 # it shows a path there
fits 'make demo' "$T/demo"

# --- Usage --------------------------------------------------------------------------

for _args in '' PROGRAM=tcp 'PROGRAM=tcpC tcpS'; do
    make -s trace "${_args:-X=}" >"$T/usage" 2>&1
    is "make trace $_args: it is an error" 2 "$?"
    fits "make trace $_args" "$T/usage"
    is "make trace $_args: all names" "$(echo "$NAMES" | tr ' ' '\n')" \
        "$(sed -n '/^Names:/,/^For/{s/[a-zA-Z ]*: //; /make/!p}' "$T/usage" |
            tr -cs '[:alpha:]' '\n' | sed '/^$/d')"
done
EXAMPLE=$(sed -n 's/^For example: //p' "$T/usage")
true_that 'an example' [ -n "$EXAMPLE" ]

# What stands above its cause in a chart: bytes or an end that are read before the arrow
# that brings them, a connection that is accepted before it is made.
above_cause() { # CHART
    awk '
        function number(call) {
            sub(/.* = /, "", call)
            return call + 0
        }
        { left = right = $0 }
        { sub(/ *(┤|├|│).*/, "", left) }
        { sub(/.*(┤|├|│) */, "", right) }
        {
            side = left ~ /\(/ ? "left" : "right"
            other = side == "left" ? "right" : "left"
            call = left ~ /\(/ ? left : right
        }
        /◀|▶/ && / connection / { connections[other]++ }
        /◀|▶/ && / end of stream / { ended[other] = 1 }
        /◀|▶/ && call ~ /(write|send)\(/ { bytes[other] += number(call) }
        /◀|▶/ && call ~ /sendto\(/ { bytes[other] += 65536 }
        call ~ /accept\(/ && connections[side]-- < 1 { print }
        call ~ /(read|recv|recvfrom)\([1-9]/ && number(call) > 0 {
            bytes[side] -= number(call)
            if (bytes[side] < 0)
                print
        }
        call ~ /= 0, the end/ && call !~ /read\(0\)/ && !ended[side] { print }' "$1"
}
printf '%s\n' 'a ┤  │' '│ ◀── x ──┤ write(3) = 2' 'read(4) = 2 ┤ │' \
    'accept(3) = 4 ┤ │' '│◀─ connection ─┤ connect()' \
    'read(4) = 1 ┤ │' 'read(4) = 0, the end ┤ │' '│ ├ recv(3) = 1' \
    'sendto(x) ├╌ 1 ╌▶│' '│ ├ recv(3) = 1' >"$T/disorder"
is 'a chart in disorder is noticed' 4 "$(above_cause "$T/disorder" | wc -l)"

# What strace says of a poll that found something, and of one that did not.
printf '1 > %s <0.1>\n' 'socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP) = 3' \
    'poll([{fd=3, events=POLLIN}], 1, 5000) = 1 ([{fd=3, revents=POLLIN}])' \
    'poll([{fd=3, events=POLLIN}], 1, 0) = 0 (Timeout)' \
    'poll([{fd=3, events=POLLIN}], 1, 5000) = 0 (Timeout)' >"$T/polls"
is 'a poll is shown where nothing came in its time' 'poll(3, 5000 ms) = 0' \
    "$(awk -v OFS='|' -f tests/trace/calls.awk "$T/polls" | sed '1d; s/.*|//')"

# --- Charts -------------------------------------------------------------------------

if ! need strace 'charts' ||
    ! possible 'charts' 'tracing is not allowed here' strace -o /dev/null true; then
    finish
fi
chart() { # NAME MAKE-ARG...: drawn at a free port into $T/NAME
    _chart=$T/$1
    shift
    PORT=$("$PEER" free-port) make -s trace "$@" >"$_chart" 2>&1
}
shows_in_chart() { # NAME: each line of stdin
    while read -r _text; do
        true_that "$1: its chart has: $_text" has "$T/$1" "$_text"
    done
}
# The calls of a program in its chart, each once; a server's are on the left.
calls_in() { # NAME
    case $1 in
    *[cC] | *[cC]lient) sed -nE '1d; /read\(0\)/d; s/^ *│.*(├|┤) ([a-z_]+).*/\2/p' ;;
    *) sed -nE '1d; s/^ *([a-z_]+).*/\1/p' ;;
    esac <"$T/$1" | awk '!seen[$0]++'
}
rows section >"$T/rows"
for _name in $NAMES; do
    chart "$_name" PROGRAM="$_name"
    is "$_name: its chart is drawn" 0 "$?"
    fits "$_name" "$T/$_name"
    is "$_name: nothing is above its cause" '' "$(above_cause "$T/$_name")"
    is "$_name: no poll, no pipe, no signal" '' "$(grep -E 'poll|pipe|SIG' "$T/$_name")"
    _row=$(grep "($_name/$_name.c)" "$T/rows" | cut -d '|' -f 4)
    spans "${_row%%;*}" >"$T/calls"
    calls_in "$_name" >"$T/made"
    is "$_name makes its calls in README's order" "$(grep -xFf "$T/made" "$T/calls")" \
        "$(grep -xFf "$T/calls" "$T/made")"
done
cd "$T" || exit
# shellcheck disable=SC2086 # words
is 'the end of a server that a client cannot end' \
    "$(printf '%s:1\n' concTCP unixSocket wsServer wsClient)" \
    "$(grep -c '^ *(ctrl-C) ┤ *│$' $NAMES | grep -v ':0$')"
cd "$ROOT" || exit
shows_in_chart otherTCPclient <<'END'
├ bind(0.0.0.0:0)
END
shows_in_chart wsServer <<'END'
◀─────── HTTP request ────────┤ write(3) =
GET /ws HTTP/1.1\r\n
├─────── HTTP response ───────▶
HTTP/1.1 101 Switching
TEXT 15 bytes, masked
TEXT 15 bytes, unmasked
안녕하세요
CLOSE 2 bytes, masked
END

# --- TEXT, and a port that is taken -------------------------------------------------

eval "chart example ${EXAMPLE#make trace}"
shows_in_chart example <<'END'
├ read(0): 안녕\n
◀────────── 안녕\n ───────────┤ write(3) = 7
END
# Lines that are patterns, one that is cut, and one of a frame with a longer head.
_long=$(printf '%0200d' 0)
chart udpC PROGRAM=udpC TEXT="$(printf 'one [a] *\\n\n%s' "$_long")"
is 'TEXT of two lines, by datagrams' 0 "$?"
fits 'TEXT of two lines' "$T/udpC"
shows_in_chart udpC <<'END'
◀╌╌╌╌╌╌╌ one [a] *\n\n ╌╌╌╌╌╌╌┤ send(3) = 12
├ read(0): …
◀╌╌╌╌╌╌╌╌╌╌╌ text ╌╌╌╌╌╌╌╌╌╌╌╌┤ send(3) = 201
END
chart wsClient PROGRAM=wsClient TEXT="$(printf '%s\nthe second' "$_long")"
is 'TEXT of two lines, in frames' 0 "$?"
shows_in_chart wsClient <<'END'
◀── TEXT 200 bytes, masked ───┤ write(3) = 208
├─ TEXT 200 bytes, unmasked ──▶
◀─── TEXT 10 bytes, masked ───┤ write(3) = 16
END
is 'all bytes are there, twice' 400 \
    "$(sed -n 's/^ *│ *\(0*\) *│$/\1/p' "$T/wsClient" | tr -d '\n' | wc -c)"
chart concTCP PROGRAM=concTCP TEXT='Exiting TCP server!'
is 'TEXT that looks like the end of a server' 0 "$?"
chart long PROGRAM=tcpC TEXT="$(printf '%01001d' 0)"
is 'TEXT that is too long' 'trace: TEXT may have 1000 bytes at most' \
    "$(grep -v '^make' "$T/long")"
serve otherTCPserver 0
export PORT
tests/trace/trace otherTCPserver >"$T/taken" 2>&1
is 'a port that is taken: one line' "1 trace: otherTCPserver: $PORT: $IN_USE; \
try PORT=2345" "$? $(cat "$T/taken")"
fits 'a port that is taken' "$T/taken"
stop TERM

finish
