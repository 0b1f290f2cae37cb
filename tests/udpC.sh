#!/bin/sh
# udpC.sh - the UDP client: one line, one datagram
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# One session: the client types INPUT, the peer has a UDP socket and carries out its
# words. An @ in STDOUT and STDERR stands for the server's address.
session() { # WHAT INPUT STATUS STDOUT STDERR WORD...
    _title=$1 _keys=$2 _want=$3 _stdout=$4 _stderr=$5
    shift 5
    peer_listen listen-udp "$HOST:0" "$@"
    # shellcheck disable=SC2086
    typed "$_keys" udpC $FAMILY "$HOST:$PEER_PORT"
    gives "$_title" "$_want" \
        "The UDP server is $HOST:$PEER_PORT\n$_stdout" \
        "$(printf '%s' "$_stderr" | sed "s/@/$HOST:$PEER_PORT/")"
    peer_ends "$_title: on the wire"
}

conversation() {
    session "$HOST: a line is a datagram, its newline included" \
        'hello\n' 0 '>> Reply: hi\n>> \n' '' asked 'hello\n' answer 0 hi
    session "$HOST: several lines of a pipe, in turn" \
        'a\nb\nc\n' 0 '>> Reply: 1\n>> Reply: 2\n>> Reply: 3\n>> \n' '' \
        asked 'a\n' answer 0 1 asked 'b\n' answer 1 2 asked 'c\n' answer 2 3
    session "$HOST: STOP is sent and not waited for" \
        'hello\nSTOP\nmore\n' 0 '>> Reply: hi\n>> Exiting UDP client!\n' '' \
        asked 'hello\n' answer 0 hi asked 'STOP\n'
    session "$HOST: the end of stdin ends the prompt's line" '' 0 '>> \n' ''
    # Nobody there, and the system says so.
    _port=$("$PEER" free-port)
    # shellcheck disable=SC2086
    typed 'hello\nmore\n' udpC $FAMILY "$HOST:$_port"
    gives "$HOST: nobody listens" 1 "The UDP server is $HOST:$_port\n>> " \
        "udpC: $HOST:$_port: Connection refused\n"
}

FAMILY=
HOST=127.0.0.1
conversation
if has_ipv6 'the conversation over IPv6'; then
    FAMILY=-6
    HOST='[::1]'
    conversation
fi
FAMILY=
HOST=127.0.0.1

# No reply: 2 s that pass while the rest is tested.
peer_listen listen-udp 127.0.0.1:0 asked 'one\n' touch "$T/one" asked 'two\n' \
    answer 0 late answer 1 right asked 'three\n' answer 0 later answer 2 good
NO_REPLY=$PEER_PID NO_REPLY_OUT=$PEER_OUT NO_REPLY_PORT=$PEER_PORT
printf 'one\ntwo\nthree\n' >"$T/late.in"
STDIN=$T/late.in
launch udpC "127.0.0.1:$NO_REPLY_PORT"
STDIN=
NO_REPLY_CLIENT=$STARTED_PID LATE_OUT=$OUT LATE_ERR=$ERR

# What a line is.
session 'an empty line' '\n' 0 '>> Reply: x\n>> \n' '' asked '\n' answer 0 x
session 'a last line without a newline' 'last' 0 '>> Reply: x\n>> \n' '' \
    asked 'last\n' answer 0 x
session 'a carriage return goes out as it is' 'a\r\n' 0 '>> Reply: x\n>> \n' '' \
    asked 'a\r\n' answer 0 x
session 'a percent sign is text' '100% sure %s%n\n' 0 '>> Reply: 100%%s\n>> \n' '' \
    asked '100% sure %s%n\n' answer 0 '100%%s'
session 'NUL and other bytes go out as they are' 'a\0000\0377\0033b\n' 0 \
    '>> Reply: x\n>> \n' '' asked 'a\0\xff\x1bb\n' answer 0 x
for _word in ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n'; do
    session "\"$_word\" is STOP" "$_word" 0 '>> Exiting UDP client!\n' '' asked "$_word"
done
session 'STOP without a newline' STOP 0 '>> Exiting UDP client!\n' '' asked 'STOP\n'
for _word in stop STOPS 'S TOP' 'STOP it'; do
    session "\"$_word\" is not STOP" "$_word\n" 0 '>> Reply: x\n>> \n' '' \
        asked "$_word\n" answer 0 x
done
head -c 65506 /dev/zero | tr '\0' 'x' >"$T/most"
_most=$(cat "$T/most")
{ cat "$T/most" && echo; } >"$T/line"
session 'the longest line that a datagram holds, and as long a reply' \
    "$_most\n" 0 ">> Reply: $_most\n>> \n" '' asked-file "$T/line" answer-file 0 "$T/line"
peer_listen listen-udp 127.0.0.1:0
typed "x$_most\n" udpC "127.0.0.1:$PEER_PORT"
is 'a longer line: exit 1' 1 "$STATUS"
is 'a longer line: one line on stderr' 1 "$(lines "$ERR")"
like 'a longer line: which says what' "udpC: *: $TOO_LONG" "$(cat "$ERR")"
peer_ends 'a longer line: the peer'
typed "$(head -c 65537 /dev/zero | tr '\0' 'x')\n" udpC 127.0.0.1:9
is 'a typed line of 65,537 bytes: exit 1' 1 "$STATUS"
is 'a typed line of 65,537 bytes: it says so' \
    'udpC: read stdin: line longer than 65536 bytes' "$(cat "$ERR")"

# What a reply is.
session 'an empty reply' 'x\n' 0 '>> Reply: \n>> \n' '' asked 'x\n' answer 0 ''
session 'a reply with a newline' 'x\n' 0 '>> Reply: a\n>> \n' '' asked 'x\n' answer 0 'a\n'
session 'a reply with a carriage return and newline' 'x\n' 0 '>> Reply: a\n>> \n' '' \
    asked 'x\n' answer 0 'a\r\n'
session 'a reply of two lines' 'x\n' 0 '>> Reply: a\\x0ab\n>> \n' '' \
    asked 'x\n' answer 0 'a\nb\n'
session 'a reply of control bytes' 'x\n' 0 \
    '>> Reply: \\x1b[31m\\x07\\x00\t\\ \0303\0251 \\xc2\\x9b\\xff\n>> \n' '' \
    asked 'x\n' answer 0 '\x1b[31m\x07\0\t\\ \xc3\xa9 \xc2\x9b\xff'

# A second reply to one line is not the next one's.
peer_listen listen-udp 127.0.0.1:0 asked 'one\n' answer 0 first answer 0 again \
    touch "$T/twice" asked 'two\n' answer 1 second
open_client udpC "127.0.0.1:$PEER_PORT"
becomes 'the prompt stands there before anything is typed' "$OUT" \
    "The UDP server is 127.0.0.1:$PEER_PORT\n>> "
type_in 'one\n'
reached twice
wait_for 10 has "$OUT" 'Reply: first'
type_in 'two\n'
becomes 'a second reply to one line is not taken for the next' "$OUT" \
    "The UDP server is 127.0.0.1:$PEER_PORT\n>> Reply: first\n>> Reply: second\n>> "
peer_ends 'a second reply: on the wire'
kill -INT "$CLIENT"
await_end "$CLIENT"
end_input
is 'SIGINT at the prompt ends it as any program' 130 "$STATUS"

# A datagram from somebody else is no reply.
peer_listen listen-udp 127.0.0.1:0 asked 'one\n' touch "$T/asked" await "$T/go" answer 0 right
if possible 'a datagram from somebody else' 'ss is missing' command -v ss; then
    open_client udpC "127.0.0.1:$PEER_PORT"
    type_in 'one\n'
    reached asked
    _port=$(ss -Hnu "dport = :$PEER_PORT" | sed -n 's/.*127\.0\.0\.1:\([0-9]*\) .*/\1/p')
    "$PEER" udp "127.0.0.1:$_port" send wrong 2>/dev/null
    : >"$T/go"
    becomes 'a datagram from somebody else is no reply' "$OUT" \
        "The UDP server is 127.0.0.1:$PEER_PORT\n>> Reply: right\n>> "
    end_input
    await_end "$CLIENT"
    peer_ends 'a datagram from somebody else: on the wire'
fi

# stdout.
for STDOUT in /dev/full -; do
    _why='No space left on device'
    [ "$STDOUT" = - ] && _why='Bad file descriptor'
    typed 'hello\n' udpC 127.0.0.1:9
    is "stdout $STDOUT: exit 1" 1 "$STATUS"
    file_is "stdout $STDOUT: it says so" "$ERR" "udpC: write stdout: $_why\n"
done
STDOUT=
SETUP=break-stdout
typed 'hello\n' udpC 127.0.0.1:9
SETUP=
gives 'stdout a closed pipe' 1 '' 'udpC: write stdout: Broken pipe\n'

# One family.
peer_listen listen-udp 127.0.0.1:0 asked 'x\n' answer 0 y
typed 'x\n' udpC "localhost:$PEER_PORT"
gives 'localhost is resolved to IPv4' 0 \
    "The UDP server is 127.0.0.1:$PEER_PORT\n>> Reply: y\n>> \n" ''
peer_ends 'localhost is resolved to IPv4: on the wire'
typed 'hello\n' udpC '[::1]:1'
is 'an IPv6 address without -6: exit 1' 1 "$STATUS"
like 'an IPv6 address without -6: the step is named' 'udpC: ResolveUDPAddr *' "$(cat "$ERR")"
typed 'hello\n' udpC -6 '127.0.0.1:1'
is 'an IPv4 address with -6: exit 1' 1 "$STATUS"
like 'an IPv4 address with -6: the step is named' 'udpC: ResolveUDPAddr *' "$(cat "$ERR")"

# With udpS.
serve udpS 0
SERVER_OUT=$OUT
typed 'hello\nSTOP\n' udpC "127.0.0.1:$PORT"
await_end "$SERVER"
_number=$(sed -n 's/^data: //p' "$SERVER_OUT")
is 'the chapter: STOP ended udpS' 0 "$STATUS"
file_is 'the chapter: the client' "$OUT" \
    "The UDP server is 127.0.0.1:$PORT\n>> Reply: $_number\n>> Exiting UDP client!\n"
file_is 'the chapter: the server' "$SERVER_OUT" \
    "-> hello\ndata: $_number\n-> STOP\nExiting UDP server!\n"

# Now the client that had no reply.
PEER_PID=$NO_REPLY PEER_OUT=$NO_REPLY_OUT
OUT=$LATE_OUT ERR=$LATE_ERR
await_end "$NO_REPLY_CLIENT"
_address=127.0.0.1:$NO_REPLY_PORT
gives 'no reply in 2 s: it says so and goes on; a late reply is nobody else'\''s' 0 \
    "The UDP server is $_address\n>> >> Reply: right\n>> Reply: good\n>> \n" \
    "udpC: $_address: no reply in 2 s\n"
peer_ends 'no reply in 2 s: on the wire'

# How long that takes, and what it leaves.
peer_listen listen-udp 127.0.0.1:0 asked 'x\n' asked 'STOP\n'
_address=127.0.0.1:$PEER_PORT
open_client udpC "$_address"
becomes 'a prompt' "$OUT" "The UDP server is $_address\n>> "
_fds=$(descriptors "$CLIENT")
_begin=$(date +%s%N)
type_in 'x\n'
comes 'no reply' "$ERR" "udpC: $_address: no reply in 2 s"
_took=$((($(date +%s%N) - _begin) / 1000000))
true_that "2 s are 2 s ($_took ms)" [ "$_took" -ge 1990 ]
at_most '2 s are not much more (ms)' $((2800 * SLOW)) "$_took"
becomes 'the next prompt' "$OUT" "The UDP server is $_address\n>> >> "
is 'no reply leaves no descriptor' "$_fds" "$(descriptors "$CLIENT")"
type_in 'STOP\n'
end_input
await_end "$CLIENT"
is 'no reply and STOP: exit 0' 0 "$STATUS"
peer_ends 'no reply and STOP: on the wire'

finish
