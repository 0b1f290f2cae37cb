#!/bin/sh
# concTCP.sh - a thread for each client, who is told its number
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"

ANSWER=line
SHOWN='hello\n'
LISTENING='concTCP: listening on [::]:@'
QUIET=-q

every_server line
long_lines

begin
_fds=$(descriptors "$SERVER")
stop TERM
# shellcheck disable=SC2317 # lingering() calls it
client_gone() {
    left_nothing 'nothing is left of the client' "$SERVER" "$_fds"
    stop TERM
}
# shellcheck disable=SC2046 # words
lingering client_gone $(yes line | head -n 100)

# Each client's number is its own.
begin
talk 'three clients at once, each asks again: its own number every time' \
    connect "$WHERE" send 'a\n' expect 'Client number: 1\n' \
    connect "$WHERE" send 'b\n' expect 'Client number: 2\n' \
    connect "$WHERE" send 'c\n' expect 'Client number: 3\n' \
    use 0 send 'd\n' expect 'Client number: 1\n' \
    use 1 send 'STOP\n' eof \
    use 2 send 'e\n' expect 'Client number: 3\n' shut eof \
    use 0 send 'f\n' expect 'Client number: 1\n' shut eof
talk 'a number is not given again' connect "$WHERE" send 'g\n' \
    expect 'Client number: 4\n' shut eof
file_is 'each line is printed bare, STOP is not' "$OUT" 'a\nb\nc\nd\ne\nf\ng\n'
stop TERM

# Lines, however TCP cuts and joins them.
begin
_number=0
lines_are() { # WHAT ANSWERS WORD...: after the words that many answers, and the end
    _number=$((_number + 1)) _what=$1 _want=
    for _i in $(seq "$2"); do
        _want="${_want}Client number: $_number\n"
    done
    shift 2
    talk "$_what" connect "$WHERE" "$@" expect "$_want" gone
}
for _at in 0 1 4 8 12; do
    lines_are "two lines and STOP cut at byte $_at" 2 cut "$_at" 'one\ntwo\r\nSTOP\nx\n'
done
lines_are 'byte by byte' 2 send-each 'a\nbc\n' shut
lines_are 'a hundred pipelined lines get a hundred answers' 100 \
    send "$(seq 1000 1099)\n" shut
lines_are 'half a line waits for the other half' 1 send hal drain nothing send 'f\n' shut
lines_are 'an unfinished last line is a line' 2 send 'x\nlast' shut
for _word in 'STOP\n' ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n'; do
    lines_are "\"$_word\" is STOP" 0 send "$_word"
done
lines_are 'an unfinished STOP at the end is STOP' 0 send STOP shut
for _word in stop STOPS 'S TOP' 'STOP it' 'STOP\0'; do
    lines_are "\"$_word\" is not STOP" 1 send "$_word\n" shut
done
stop TERM
is 'STOP ended none but its client' 143 "$STATUS"

# A client that floods, or does not read, costs the others nothing.
STDOUT=/dev/null
begin
STDOUT=
talk 'one client sends an endless line, another does not read: the third goes on' \
    connect "$WHERE" send 'a\n' expect 'Client number: 1\n' \
    connect "$WHERE" stream x \
    connect "$WHERE" fill 'hello\n' \
    use 0 send 'b\n' expect 'Client number: 1\n' \
    connect "$WHERE" send 'c\n' expect 'Client number: 4\n'
stop TERM

# A thread has a stack of 128 KiB, not of 8 MiB. (Each thread may have an arena of malloc.)
export MALLOC_ARENA_MAX=1
begin
unset MALLOC_ARENA_MAX
if can memory 'the address space of a thread'; then
    _before=$(memory_kb "$SERVER" VmSize)
    peer_start connect "$WHERE" send 'a\n' line connect "$WHERE" send 'a\n' line \
        touch "$T/in" await "$T/go"
    reached in
    at_most 'the address space of two threads (kB)' 1000 \
        $(($(memory_kb "$SERVER" VmSize) - _before))
    : >"$T/go"
    peer_ends 'the address space of two threads: the clients'
    rm "$T/go"
fi
stop TERM

# Many at once.
begin -q
_fds=$(descriptors "$SERVER") _number=1
for _way in stop leave reset shut; do
    talk "a crowd, each client with its own number; they $_way" \
        deadline 60 crowd "$CROWD" "$WHERE" number "$_number" "$_way"
    left_nothing "a crowd of clients that $_way leave nothing" "$SERVER" "$_fds"
    _number=$((_number + CROWD))
done
stop TERM
if can many '10,000 clients at once' &&
    possible '10,000 clients at once' 'ulimit -n does not go so far' \
        "$PEER" files 10100 run true; then
    SETUP='files 10100'
    begin -q
    SETUP=
    talk '10,000 clients at once' \
        files 10100 deadline 60 crowd 10000 "$WHERE" number 1 leave
    stop TERM
fi

# More clients than there is room for: SETUP makes it short of something.
too_many() { # WHAT CLIENTS LINE-ON-STDERR
    begin -q
    SETUP=
    _since=$(date +%s)
    peer_start deadline 60 connect "$WHERE" send 'a\n' line touch "$T/in" \
        await "$T/again" send 'b\n' expect 'Client number: 1\n' touch "$T/in" \
        await "$T/go"
    _first=$PEER_PID _first_out=$PEER_OUT
    reached in
    peer_start deadline 60 queue "$2" "$WHERE" "$T/go"
    comes "$1: it says what it is short of" "$ERR" "$ME: $3"
    : >"$T/again"
    reached in
    : >"$T/go"
    peer_ends "$1: each is answered when others have left"
    PEER_PID=$_first PEER_OUT=$_first_out
    peer_ends "$1: one who is there is answered meanwhile"
    rm "$T/go" "$T/again"
    served "$1: the next client is served"
    stop TERM
    is "$1: and nothing else" "$ME: $3" "$(sed 1d "$ERR" | sort -u)"
    at_most "$1: once a second at most" $(($(date +%s) - _since + 1)) \
        $(($(lines "$ERR") - 1))
}

SETUP='files 20'
too_many 'ulimit -n 20, 40 clients' 40 "accept: $NO_FILES"
if possible 'no more threads' 'another user is for root to become' \
    "$PEER" user "$OTHER_USER" run true; then
    open_to_all concTCP
    SETUP="processes 8 user $OTHER_USER"
    too_many 'no more threads, 20 clients' 20 \
        'pthread_create: Resource temporarily unavailable'
fi

finish
