#!/bin/sh
# trace.sh - the charts of make trace, and what make, make help and make demo print
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
[ "$BUILD" = "$ROOT" ] || finish # make traces the build next to the sources
cd "$ROOT" || exit
unset V CC TEST_CC CFLAGS LDFLAGS TEXT PROGRAM MAKEFLAGS MFLAGS MAKELEVEL
NAMES='tcpC otherTCPclient tcpS otherTCPserver udpC udpS concTCP unixSocket wsServer
wsClient'

fits() { # WHAT FILE: it has something, in 80 columns
    true_that "$1: something is printed" [ -s "$2" ]
    at_most "$1: columns" 80 "$(LC_ALL=C.UTF-8 wc -L <"$2")"
}

# --- make ---------------------------------------------------------------------------

mkdir -p "$T/copy/tcpC"
cp Makefile "$T/copy"
touch "$T/copy/tcpC/tcpC.c"
prints() { # WHAT STATUS EXPECTED MAKE-ARG...: with a compiler that prints its arguments
    _what=$1 _status=$2 _expected=$3
    shift 3
    make -C "$T/copy" CC='echo -g' FLAGS=-W CFLAGS=-O LDFLAGS=-lm "$@" >"$T/made" 2>&1
    is "$_what" "$_status $_expected" "$? $(sed '/^make/d' "$T/made")"
}
ARGS='-g -W -O -o tcpC/tcpC tcpC/tcpC.c -lm'
prints 'make: a short line for each program' 0 "echo -g tcpC/tcpC.c
$ARGS" tcpC/tcpC
prints 'make -s: only what the compiler prints' 0 "$ARGS" -s tcpC/tcpC
prints 'make V=1: the whole command' 0 "echo $ARGS
$ARGS" V=1 tcpC/tcpC

make help >"$T/help"
fits 'make help' "$T/help"
is 'make help: every target' "$(sed -n 's/^\([a-z-]*\):.*##.*/\1/p' Makefile)" \
    "$(awk '{ print $2 }' "$T/help")"
TMPDIR=/tmp make -s demo >"$T/demo" 2>&1 # it shows a path there
fits 'make demo' "$T/demo"

# --- Usage --------------------------------------------------------------------------

make -s trace PROGRAM=tcp >"$T/usage" 2>&1
is 'make trace with a wrong name: it is an error' 2 "$?"
fits 'make trace with a wrong name' "$T/usage"
is 'make trace with a wrong name: all names' "$(echo "$NAMES" | tr ' ' '\n')" \
    "$(sed -n '/^Names:/,/^For/{s/[a-zA-Z ]*: //; /make/!p}' "$T/usage" |
        tr -cs '[:alpha:]' '\n' | sed '/^$/d')"
EXAMPLE=$(sed -n 's/^For example: make trace//p' "$T/usage")

# --- Charts -------------------------------------------------------------------------

need python3 'charts' || finish
# Logs in which accept, read and poll begin before what wakes them; one poll finds something.
mkdir "$T/logs"
cat >"$T/logs/log0.1" <<'END'
10 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3 <0.1>
11 accept(3, NULL, NULL) = 4 <0.1>
15 read(4, "\x68\x69", 4096) = 2 <0.1>
17 read(4, "", 4096) = 0 <0.1>
20 close(4) = 0 <0.1>
END
cat >"$T/logs/log1.2" <<'END'
12 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3 <0.1>
13 connect(3, {sa_family=AF_UNIX, sun_path="\x61"}, 16) = 0 <0.1>
14 poll([{fd=3, events=POLLIN}], 1, 5000) = 1 ([{fd=3, revents=POLLIN}]) <0.1>
15 poll([{fd=3, events=POLLIN}], 1, 0) = 0 (Timeout) <0.1>
16 write(3, "\x68\x69", 2) = 2 <0.1>
17 poll([{fd=3, events=POLLIN}], 1, 5000) = 0 (Timeout) <0.1>
18 shutdown(3, SHUT_WR) = 0 <0.1>
END
cat >"$T/chart" <<'END'
    socket(AF_INET) = 3 ┤                              │
                        │                              ├ socket(AF_INET) = 3
                        │◀──────── connection ─────────┤ connect(a)
          accept(3) = 4 ┤                              │
                        │◀──────────── hi ─────────────┤ write(3) = 2
            read(4) = 2 ┤                              │
                        │                              ├ poll(3, 5000 ms) = 0
                        │◀─────── end of stream ───────┤ shutdown(3, SHUT_WR)
   read(4) = 0, the end ┤                              │
               close(4) ├─────── end of stream ───────▶│
END
is 'each call is below its cause, and a poll only where nothing came' \
    "$(cat "$T/chart")" "$(cd "$T/logs" && python3 "$ROOT/tests/trace/chart.py")"

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
for _name in $NAMES; do
    chart "$_name" PROGRAM="$_name"
    is "$_name: its chart is drawn" 0 "$?"
    fits "$_name" "$T/$_name"
    is "$_name: no poll, no pipe, no signal" '' "$(grep -E 'poll|pipe|SIG' "$T/$_name")"
done
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
(ctrl-C) ┤
END

# --- TEXT, and a port that is taken -------------------------------------------------

eval "chart example $EXAMPLE"
shows_in_chart example <<'END'
├ read(0): 안녕\n
◀────────── 안녕\n ───────────┤ write(3) = 7
END
# Lines that are patterns, one that is cut, and one of a frame with a longer head.
_long=$(printf '%0200d' 0)
chart udpC PROGRAM=udpC TEXT="$(printf 'one [a] *\\n\n%s' "$_long")"
fits 'TEXT of two lines' "$T/udpC"
shows_in_chart udpC <<'END'
◀╌╌╌╌╌╌╌ one [a] *\n\n ╌╌╌╌╌╌╌┤ send(3) = 12
├ read(0): …
◀╌╌╌╌╌╌╌╌╌╌╌ text ╌╌╌╌╌╌╌╌╌╌╌╌┤ send(3) = 201
END
chart wsClient PROGRAM=wsClient TEXT="$(printf '%s\nthe second' "$_long")"
shows_in_chart wsClient <<'END'
◀── TEXT 200 bytes, masked ───┤ write(3) = 208
├─ TEXT 200 bytes, unmasked ──▶
◀─── TEXT 10 bytes, masked ───┤ write(3) = 16
END
is 'all bytes are there, twice' 400 \
    "$(sed -n 's/^ *│ *\(0*\) *│$/\1/p' "$T/wsClient" | tr -d '\n' | wc -c)"
chart long PROGRAM=tcpC TEXT="$(printf '%01001d' 0)"
is 'TEXT that is too long' 'trace: TEXT may have 1000 bytes at most' \
    "$(grep -v '^make' "$T/long")"
serve otherTCPserver 0
export PORT
tests/trace/trace otherTCPserver >"$T/taken" 2>&1
is 'a port that is taken: one line' "1 trace: otherTCPserver: $PORT: $IN_USE; \
try PORT=2345" "$? $(cat "$T/taken")"
stop TERM

finish
