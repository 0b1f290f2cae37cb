#!/bin/sh
# tcpS.sh - the date and time server, one client after another
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"

begin() {
    serve tcpS "$@" 0
    WHERE=127.0.0.1:$PORT
}
ANSWER=line
SHOWN='-> hello\n'
LISTENING='tcpS: listening on [::]:@'

dates() { # WHAT COUNT: $T/talk.out is so many dates and nothing else
    _rest=$(grep -vcE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$' "$T/talk.out")
    is "$1" "$2 dates, 0 other lines" "$(lines "$T/talk.out") dates, $_rest other lines"
}

every_server line
tcp_options
line_limits

# The answer.
for _zone in UTC0=Z JST-9=+09:00 NST3:30=-03:30 KTM-5:45=+05:45; do
    TZ=${_zone%%=*}
    export TZ
    begin
    _before=$(date +%Y-%m-%dT%H:%M:%S)
    talk "TZ=$TZ: answered" connect "$WHERE" send 'hello\n' line shut eof
    _after=$(date +%Y-%m-%dT%H:%M:%S)
    _date=$(cat "$T/talk.out")
    is "TZ=$TZ: the offset" "${_zone#*=}" "${_date#"${_date%"${_zone#*=}"}"}"
    _date=${_date%"${_zone#*=}"}
    true_that "TZ=$TZ: the date and time of now: $_before $_date $_after" \
        sh -c 'printf "%s\n" "$@" | sort -C' sh "$_before" "$_date" "$_after"
    stop TERM
done
unset TZ
begin
if can segments 'one answer is one segment'; then
    talk 'one answer is one segment' connect "$WHERE" send 'hello\n' line segments 1 \
        send 'hello\n' line segments 2 shut eof
fi
stop TERM

# Lines, however TCP cuts and joins them.
for _at in $(seq 0 11); do
    begin
    talk "two lines and STOP cut at byte $_at: answered" connect "$WHERE" \
        cut "$_at" 'hello\nSTOP\n' line eof
    dates "two lines and STOP cut at byte $_at: one date" 1
    await_end "$SERVER"
    gives "two lines and STOP cut at byte $_at: the server's end" 0 \
        '-> hello\nExiting TCP server!\n' "$(first_line)\n"
done
begin
talk 'byte by byte' connect "$WHERE" send-each 'a\nbc\r\n\n' line line line shut eof
dates 'byte by byte: three dates' 3
talk 'three lines in one segment' connect "$WHERE" send '1\n2\n3\n' \
    line line line shut eof
dates 'three lines in one segment: three dates' 3
talk 'half a line waits for the other half' connect "$WHERE" send 'x\nhal' line drain \
    nothing send 'f\n' line shut eof
talk 'an unfinished last line is a line' connect "$WHERE" send 'last' shut line eof
talk 'NUL in a line' connect "$WHERE" send 'a\0b\n' line shut eof
stop TERM
file_is 'all of them printed' "$OUT" \
    '-> a\n-> bc\n-> \n-> 1\n-> 2\n-> 3\n-> x\n-> half\n-> last\n-> a\\x00b\n'

# STOP.
for _word in ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n'; do
    begin
    talk "\"$_word\" is STOP: the client's end" connect "$WHERE" send "$_word" eof
    await_end "$SERVER"
    gives "\"$_word\" is STOP" 0 'Exiting TCP server!\n' "$(first_line)\n"
done
begin
talk 'an unfinished STOP at the end: the client sees the end' \
    connect "$WHERE" send STOP shut eof
await_end "$SERVER"
gives 'an unfinished STOP at the end' 0 'Exiting TCP server!\n' "$(first_line)\n"
begin
for _word in stop STOPS 'S TOP' 'STOP it' 'STOP\0' 'xSTOP'; do
    talk "\"$_word\" is not STOP" connect "$WHERE" send "$_word\n" line shut eof
done
talk 'lines behind STOP are not answered' connect "$WHERE" send 'STOP\nmore\n' gone
await_end "$SERVER"
is 'lines behind STOP: exit 0' 0 "$STATUS"
is 'lines behind STOP are not printed' 'Exiting TCP server!' "$(tail -n 1 "$OUT")"
begin -q
talk '-q and STOP' connect "$WHERE" send 'hello\nSTOP\n' line eof
await_end "$SERVER"
is '-q and STOP: exit 0' 0 "$STATUS"
true_that '-q: no line is printed' [ -z "$(grep -e '->' "$OUT")" ]

# One client after another.
begin
peer_start connect "$WHERE" send 'first\n' line touch "$T/first" await "$T/go" \
    send 'again\n' line shut eof
_first=$PEER_PID _first_out=$PEER_OUT
reached first
peer_start connect "$WHERE" send 'second\n' touch "$T/second" line shut eof
reached second
: >"$T/go"
peer_ends 'the second client is served when the first has gone'
PEER_PID=$_first PEER_OUT=$_first_out
peer_ends 'the first client is served to its end'
file_is 'in this order' "$OUT" '-> first\n-> again\n-> second\n'
: >"$T/now"
talk '500 clients at once: each is served in its turn' deadline 60 queue 500 "$WHERE" "$T/now"
stop TERM

# nc, and both families.
begin
if has_ipv6 'IPv6 alike'; then
    talk 'a bare PORT serves IPv6' connect "[::1]:$PORT" send 'six\n' line shut eof
fi
talk 'a bare PORT serves IPv4' connect "127.0.0.1:$PORT" send 'four\n' line shut eof
if need nc 'nc localhost PORT'; then
    printf 'hello\n' | nc -N localhost "$PORT" >"$T/talk.out"
    dates 'nc -N localhost PORT gets a date' 1
    printf 'one\ntwo' | nc -N 127.0.0.1 "$PORT" >"$T/talk.out"
    dates 'nc -N sends two lines, the last unfinished: two dates' 2
    printf 'STOP' | nc -N 127.0.0.1 "$PORT" >"$T/talk.out"
    dates 'nc -N sends STOP: no date' 0
    await_end "$SERVER"
    is 'nc -N sends STOP: exit 0' 0 "$STATUS"
    is 'nc -N sends STOP: the farewell' 'Exiting TCP server!' "$(tail -n 1 "$OUT")"
else
    stop TERM
fi

finish
