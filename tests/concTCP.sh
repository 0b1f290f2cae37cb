#!/bin/sh
# concTCP.sh - a thread for each client, who is told its number
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"

begin() {
    serve concTCP "$@" 0
    WHERE=127.0.0.1:$PORT
}
ANSWER=line
SHOWN='hello\n'
LISTENING='concTCP: listening on [::]:@'

every_server line
tcp_options
line_limits

# Each client's number is its own.
begin
talk 'three clients at once, each asks again: its own number every time' \
    connect "$WHERE" send 'a\n' expect 'Client number: 1\n' \
    connect "$WHERE" send 'b\n' expect 'Client number: 2\n' \
    connect "$WHERE" send 'c\n' expect 'Client number: 3\n' \
    use 0 send 'd\n' expect 'Client number: 1\n' \
    use 2 send 'e\n' expect 'Client number: 3\n' \
    use 1 send 'f\n' expect 'Client number: 2\n' \
    use 1 send 'STOP\n' eof \
    use 0 send 'g\n' expect 'Client number: 1\n' shut eof \
    use 2 send 'h\n' expect 'Client number: 3\n' shut eof
file_is 'each line is printed bare, STOP is not' "$OUT" 'a\nb\nc\nd\ne\nf\ng\nh\n'
talk 'a number is not given again' connect "$WHERE" send 'i\n' \
    expect 'Client number: 4\n' shut eof
stop TERM

# Lines, however TCP cuts and joins them.
begin
_number=0
for _at in $(seq 0 16); do
    _number=$((_number + 1))
    talk "two lines and STOP cut at byte $_at" connect "$WHERE" \
        cut "$_at" 'one\ntwo\r\nSTOP\nx\n' \
        expect "Client number: $_number\nClient number: $_number\n" gone
done
stop TERM
_want=
for _at in $(seq 0 16); do
    _want="${_want}one\ntwo\n"
done
file_is 'two lines and STOP, cut: each printed once' "$OUT" "$_want"
begin
talk 'byte by byte' connect "$WHERE" send-each 'a\nbc\n' \
    expect 'Client number: 1\nClient number: 1\n' shut eof
_answers=$(i=0 && while [ $i -lt 100 ]; do i=$((i + 1)) && printf 'Client number: 2\\n'; done)
talk 'a hundred lines at once are a hundred answers' connect "$WHERE" \
    send "$(i=0 && while [ $i -lt 100 ]; do i=$((i + 1)) && printf 'x\\n'; done)" \
    expect "$_answers" shut eof
talk 'half a line waits for the other half' connect "$WHERE" send 'x\nhal' \
    expect 'Client number: 3\n' drain nothing send 'f\n' expect 'Client number: 3\n' shut eof
talk 'an unfinished last line is a line' connect "$WHERE" send last shut \
    expect 'Client number: 4\n' eof
talk 'lines, then half-close: all are answered' connect "$WHERE" send '1\n2\n3' shut \
    expect 'Client number: 5\nClient number: 5\nClient number: 5\n' eof
stop TERM

# STOP.
begin
_number=0
for _word in ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n'; do
    talk "\"$_word\" is STOP" connect "$WHERE" send "$_word" eof
    _number=$((_number + 1))
done
talk 'an unfinished STOP at the end' connect "$WHERE" send STOP shut eof
_number=$((_number + 1))
for _word in stop STOPS 'S TOP' 'STOP it' 'STOP\0' 'xSTOP'; do
    _number=$((_number + 1))
    talk "\"$_word\" is not STOP" connect "$WHERE" send "$_word\n" \
        expect "Client number: $_number\n" shut eof
done
stop TERM
is 'STOP ended none but its client' 0 "$STATUS"

# One that is told off costs the others nothing.
begin
talk 'a client told off for its long line; the others go on' \
    connect "$WHERE" send 'a\n' expect 'Client number: 1\n' \
    connect "$WHERE" flood 209715200 \
    use 0 send 'b\n' expect 'Client number: 1\n' \
    connect "$WHERE" send 'c\n' expect 'Client number: 3\n'
talk 'one that does not read: the others go on' \
    connect "$WHERE" fill 'hello\n' \
    connect "$WHERE" send 'c\n' expect 'Client number: 5\n' shut eof
stop TERM

# Many at once.
begin -q
_fds=$(descriptors "$SERVER")
talk '2,000 clients at once, each with its own number; they say STOP' \
    deadline 60 crowd 2000 "$WHERE" number 1 stop
left_nothing '2,000 clients that said STOP leave nothing' "$SERVER" "$_fds"
talk '2,000 clients at once that leave without STOP' \
    deadline 60 crowd 2000 "$WHERE" number 2001 leave
left_nothing '2,000 clients that left leave nothing' "$SERVER" "$_fds"
_memory=$(memory_kb "$SERVER")
talk '2,000 clients at once that reset' deadline 60 crowd 2000 "$WHERE" number 4001 reset
left_nothing '2,000 clients that reset leave nothing' "$SERVER" "$_fds"
talk '2,000 clients at once that half-close' \
    deadline 60 crowd 2000 "$WHERE" number 6001 shut
left_nothing '2,000 clients that half-closed leave nothing' "$SERVER" "$_fds"
if can memory 'nor any memory'; then
    at_most 'nor any memory (kB)' $((_memory + 256)) "$(memory_kb "$SERVER")"
fi
stop TERM
is 'and the server ends with 0' 0 "$STATUS"
# shellcheck disable=SC3045
_most=$(ulimit -H -n)
if [ "$_most" = unlimited ] || [ "$_most" -ge 10100 ]; then
    if can many '10,000 clients at once'; then
        SETUP='files 10100'
        begin -q
        SETUP=
        talk '10,000 clients at once' deadline 60 crowd 10000 "$WHERE" number 1 leave
        stop TERM
        is '10,000 clients at once: exit 0' 0 "$STATUS"
    fi
else
    skip '10,000 clients at once' "ulimit -n does not go beyond $_most"
fi

# Out of descriptors, out of threads.
SETUP='files 20'
begin -q
SETUP=
peer_start deadline 60 queue 40 "$WHERE" "$T/go"
comes 'ulimit -n 20, 40 clients: it says so' "$ERR" \
    "concTCP: accept: $NO_FILES: waiting"
true_that 'ulimit -n 20, 40 clients: and waits, without turning in circles' \
    wait_for 10 has_waited "$SERVER" $(($(waits "$SERVER") + 3))
: >"$T/go"
peer_ends 'ulimit -n 20, 40 clients: each is answered when others have left'
rm "$T/go"
served 'ulimit -n 20: the next client is served'
stop TERM
gives 'ulimit -n 20: it said so once' 0 '' \
    "$(first_line)\nconcTCP: accept: $NO_FILES: waiting\n"

mkdir "$T/open"
chmod 755 "$T/open"
cp "$(program concTCP)" "$T/open/concTCP"
chmod 755 "$T/open/concTCP"
if possible 'no more threads' 'another user is for root to become' \
    "$PEER" user 54321 run true; then
    _build=$BUILD
    BUILD=$T/open
    SETUP='processes 8 user 54321'
    begin -q
    SETUP=
    BUILD=$_build
    peer_start deadline 60 queue 20 "$WHERE" "$T/go"
    comes 'no more threads, 20 clients: it says so' "$ERR" \
        'concTCP: pthread_create: Resource temporarily unavailable: waiting'
    true_that 'no more threads, 20 clients: and waits, without turning in circles' \
        wait_for 10 has_waited "$SERVER" $(($(waits "$SERVER") + 3))
    : >"$T/go"
    peer_ends 'no more threads, 20 clients: each is answered when others have left'
    rm "$T/go"
    served 'no more threads: the next client is served'
    stop TERM
    gives 'no more threads: it said so once' 0 '' \
        "$(first_line)\nconcTCP: pthread_create: Resource temporarily unavailable: waiting\n"
fi

# nc, and both families.
begin
if has_ipv6 'IPv6 alike'; then
    talk 'a bare PORT serves IPv6' connect "[::1]:$PORT" send 'six\n' \
        expect 'Client number: 1\n' shut eof
fi
talk 'a bare PORT serves IPv4' connect "127.0.0.1:$PORT" send 'four\n' line shut eof
stop TERM
begin
if need nc 'nc localhost PORT'; then
    printf 'one\ntwo' | nc -N localhost "$PORT" >"$T/talk.out"
    file_is 'nc -N localhost PORT' "$T/talk.out" 'Client number: 1\nClient number: 1\n'
    printf 'hello\nSTOP\n' | nc -N 127.0.0.1 "$PORT" >"$T/talk.out"
    file_is 'nc -N says STOP' "$T/talk.out" 'Client number: 2\n'
fi
stop TERM

finish
