#!/bin/sh
# concTCP.sh - a thread for each client, and a number in each answer
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"

ANSWER=line
SHOWN='hello\n'
HOST='[::]'

# shellcheck disable=SC2317 # lingering() calls it
ended_by_stop() { # WHAT: of that client
    left_nothing "$1: nothing of it is left" "$SERVER" "$IDLE_FILES"
    stop TERM
}

every_server line
quiet
lines_and_answers
lingering repeat 100 line .

# Each client has its own number.
begin
talk 'three clients at once, each asks again: its own number every time' \
    connect "$WHERE" send 'a\n' expect 'Client number: 1\n' \
    connect "$WHERE" send 'b\n' expect 'Client number: 2\n' \
    connect "$WHERE" send 'c\n' expect 'Client number: 3\n' \
    use 0 send 'd\n' expect 'Client number: 1\n' \
    use 1 send 'STOP\n' eof \
    use 2 send 'e\n' expect 'Client number: 3\n' shut eof \
    use 0 send 'f\n' expect 'Client number: 1\n' shut eof
talk 'a number is not used again' connect "$WHERE" send 'g\n' \
    expect 'Client number: 4\n' shut eof
printed 'each line is printed bare, STOP is not' a b c d e f g
stop TERM

begin
for _at in 0 1 4 8 12; do
    talk "two lines and STOP cut at byte $_at" \
        connect "$WHERE" cut "$_at" 'one\ntwo\r\nSTOP\nx\n' line line eof
done
for _word in 'STOP\n' ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n'; do
    talk "\"$_word\" is STOP" connect "$WHERE" send "$_word" eof
done
talk 'an unfinished STOP at the end is STOP' connect "$WHERE" send STOP shut eof
not_stop
stop TERM
is 'STOP ends only the connection of its client' 143 "$STATUS"

# A client that floods, or does not read, affects no other.
STDOUT=/dev/null
begin
STDOUT=
talk 'one client sends an endless line, another does not read: others are answered' \
    connect "$WHERE" send 'a\n' expect 'Client number: 1\n' \
    connect "$WHERE" stream x \
    connect "$WHERE" fill 'hello\n' \
    use 0 send 'b\n' expect 'Client number: 1\n' \
    connect "$WHERE" send 'c\n' expect 'Client number: 4\n'
stop TERM

# --- Many at once -------------------------------------------------------------------

# Each client reads three answers, all with its own number.
crowd() { # WHAT COUNT FIRST-NUMBER WORD...: they end the connection
    _title=$1 _count=$2 _first=$3
    shift 3
    talk "$_title" deadline 60 repeat "$_count" connect "$WHERE" send 'one\ntwo\n' . \
        each line line send 'three\n' line . each "$@"
    paste - - - <"$T/talk.out" | sort >"$T/got"
    seq "$_first" $((_first + _count - 1)) |
        awk '{ n = "Client number: " $1; print n "\t" n "\t" n }' | sort >"$T/want"
    true_that "$_title: each has its own number" cmp "$T/want" "$T/got"
}
export MALLOC_ARENA_MAX=1 # malloc() may reserve 64 MB for each arena
begin -q
_number=1
for _way in 'send STOP\n eof close' close reset 'shut closed close'; do
    # shellcheck disable=SC2086
    crowd "a crowd that ends with: $_way" "$CROWD" "$_number" $_way
    left_nothing "a crowd leaves nothing open after: $_way" "$SERVER" "$IDLE_FILES"
    _number=$((_number + CROWD))
done
if can memory 'the address space of a crowd'; then # a stack has 128 KiB, not 8 MiB
    at_most 'the address space of a crowd (kB)' $((CROWD * 1000)) \
        "$(memory_kb "$SERVER" VmPeak)"
fi
stop TERM
# shellcheck disable=SC3045 # every sh has -n
if can many '10,000 clients at once' &&
    possible '10,000 clients at once' 'ulimit -n is too low' \
        [ "$(ulimit -n)" -ge 10100 ]; then
    begin -q
    crowd '10,000 clients at once' 10000 1 close
    stop TERM
fi

_run=$RUN_WITH
RUN_WITH="prlimit --nofile=20 $_run"
too_many 'ulimit -n 20, 40 clients' 40 "accept: $NO_FILES"
if possible 'no more threads' 'only root can become another user' \
    "$PEER" user "$OTHER_USER" run true; then
    open_to_all concTCP
    RUN_WITH="prlimit --nproc=8 $_run" SETUP="user $OTHER_USER"
    too_many 'no more threads, 20 clients' 20 \
        'pthread_create: Resource temporarily unavailable'
fi

finish
