#!/bin/sh
# otherTCPserver.sh - the TCP echo server on localhost, one client after another
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"
# shellcheck source=echo.sh
. "$ROOT/tests/echo.sh"

begin() {
    serve otherTCPserver "$@" 0
    WHERE=127.0.0.1:$PORT
}
ANSWER='expect hello\n'
SHOWN='> hello\n'
LISTENING='otherTCPserver: listening on 127.0.0.1:@'

every_server expect "$CONTROLS"
tcp_options
echo_server

# STOP, however TCP cuts and joins it.
for _at in $(seq 0 11); do
    begin
    talk "a line and STOP cut at byte $_at: every byte comes back, then the end" \
        connect "$WHERE" cut "$_at" 'hello\nSTOP\n' expect 'hello\nSTOP\n' eof
    await_end "$SERVER"
    gives "a line and STOP cut at byte $_at: the server's end" 0 \
        '> hello\nExiting TCP server!\n' "$(first_line)\n"
done
for _word in ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n'; do
    begin
    talk "\"$_word\" is STOP: the client's end" \
        connect "$WHERE" send-each "$_word" expect "$_word" eof
    await_end "$SERVER"
    gives "\"$_word\" is STOP" 0 'Exiting TCP server!\n' "$(first_line)\n"
done
begin
talk 'an unfinished STOP at the end: echo and end' \
    connect "$WHERE" send STOP shut expect STOP eof
await_end "$SERVER"
gives 'an unfinished STOP at the end' 0 'Exiting TCP server!\n' "$(first_line)\n"
begin
for _word in stop STOPS 'S TOP' 'STOP it' 'STOP\0' 'xSTOP'; do
    talk "\"$_word\" is not STOP" \
        connect "$WHERE" send "$_word\n" expect "$_word\n" shut eof
done
talk 'half a STOP of one client is not ended by the next' \
    connect "$WHERE" send ST shut expect ST eof close \
    connect "$WHERE" send 'OP\n' expect 'OP\n' shut eof
stop TERM
is 'none of them ended it' 0 "$STATUS"
begin -q
talk '-q and STOP' connect "$WHERE" send 'hello\nSTOP\n' expect 'hello\nSTOP\n' eof
await_end "$SERVER"
is '-q and STOP: exit 0' 0 "$STATUS"
true_that '-q: no line is printed' [ -z "$(grep -e '> ' "$OUT")" ]

# One client after another.
begin
peer_start connect "$WHERE" send 'first\n' expect 'first\n' touch "$T/first" \
    await "$T/go" send 'again\n' expect 'again\n' shut eof
_first=$PEER_PID _first_out=$PEER_OUT
reached first
peer_start connect "$WHERE" send 'second\n' touch "$T/second" expect 'second\n' shut eof
reached second
: >"$T/go"
peer_ends 'the second client is served when the first has gone'
PEER_PID=$_first PEER_OUT=$_first_out
peer_ends 'the first client is served to its end'
file_is 'in this order' "$OUT" '> first\n> again\n> second\n'
: >"$T/now"
talk '500 clients at once: each is served in its turn' deadline 60 queue 500 "$WHERE" "$T/now"
stop TERM

# Where it listens, and nc.
begin
if need nc 'nc localhost PORT'; then
    printf 'hello\nlast' | nc -N localhost "$PORT" >"$T/talk.out"
    file_is 'nc -N localhost PORT' "$T/talk.out" 'hello\nlast'
    printf 'STOP' | nc -N 127.0.0.1 "$PORT" >"$T/talk.out"
    file_is 'nc -N sends STOP: it comes back' "$T/talk.out" 'STOP'
    await_end "$SERVER"
    gives 'nc -N sends STOP: exit 0' 0 \
        '> hello\n> last\nExiting TCP server!\n' "$(first_line)\n"
else
    stop TERM
fi
begin
true_that 'a bare PORT is for this machine only' \
    sh -c "! $PEER connect 127.0.0.2:$PORT 2>/dev/null"
stop TERM

finish
