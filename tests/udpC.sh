#!/bin/sh
# udpC.sh - the UDP client: one line, one datagram
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

HOST=127.0.0.1 FAMILY=

# One session: the client types INPUT, the peer has a UDP socket and carries out its
# words. An @ in STDERR stands for the server's address.
session() { # WHAT INPUT STATUS STDOUT STDERR WORD...
    _title=$1 _keys=$2 _want=$3 _stdout=$4 _stderr=$5
    shift 5
    peer_listen listen-udp "$HOST:0" "$@"
    # shellcheck disable=SC2086
    typed "$_keys" udpC $FAMILY "$HOST:$PEER_PORT"
    gives "$_title" "$_want" "The UDP server is $HOST:$PEER_PORT\n$_stdout" \
        "$(printf '%s' "$_stderr" | sed "s/@/$HOST:$PEER_PORT/")"
    peer_ends "$_title: on the wire"
}

# A client at its prompt: SAID is what it has printed.
at_keyboard() { # PORT
    open_client udpC "127.0.0.1:$1"
    SAID="The UDP server is 127.0.0.1:$1\n>> "
    becomes 'the prompt stands there before anything is typed' "$OUT" "$SAID"
}

# A family's conversation, and nobody there, where the system says so (ICMP).
conversation() {
    session "$HOST: each line of a pipe is a datagram, its newline included" \
        'a\nb\nc\n' 0 '>> Reply: 1\n>> Reply: 2\n>> Reply: 3\n>> \n' '' \
        asked 'a\n' answer 0 1 asked 'b\n' answer 1 2 asked 'c\n' answer 2 3
    session "$HOST: STOP is sent and not waited for" \
        'hello\nSTOP\nmore\n' 0 '>> Reply: hi\n>> Exiting UDP client!\n' '' \
        asked 'hello\n' answer 0 hi asked 'STOP\n'
    session "$HOST: the end of stdin ends the prompt's line" '' 0 '>> \n' ''
    _port=$("$PEER" free-port)
    # shellcheck disable=SC2086
    typed 'hello\nmore\n' udpC $FAMILY "$HOST:$_port"
    gives "$HOST: nobody listens" 1 "The UDP server is $HOST:$_port\n>> " \
        "udpC: $HOST:$_port: Connection refused\n"
}
conversation
if has_ipv6 'the conversation over IPv6'; then
    HOST='[::1]' FAMILY=-6
    conversation
    HOST=127.0.0.1 FAMILY=
fi

# TYPED|SENT
while IFS='|' read -r _typed _sent; do
    session "\"$_typed\" goes out as \"$_sent\"" "$_typed" 0 '>> Reply: x\n>> \n' '' \
        asked "$_sent" answer 0 x
done <<'PAIRS'
\n|\n
last|last\n
a\r\n|a\r\n
100% sure %s%n\n|100% sure %s%n\n
a\0000\0377\0033b\n|a\0\xff\x1bb\n
STOPS\n|STOPS\n
PAIRS
session 'STOP with blanks around it, at the end of stdin' ' \tSTOP\r' 0 \
    '>> Exiting UDP client!\n' '' asked ' \tSTOP\r\n'

# REPLY|SHOWN
while IFS='|' read -r _reply _shown; do
    session "the reply \"$_reply\" is shown as \"$_shown\"" 'x\n' 0 \
        ">> Reply: $_shown\n>> \n" '' asked 'x\n' answer 0 "$_reply"
done <<'PAIRS'
|
a\n|a
a\r\n|a
a\nb\n|a\\x0ab
100%%s|100%%s
\x1b[31m\x07\0\t\\ \xc3\xa9\xc2\x9b\xff|\\x1b[31m\\x07\\x00\t\\ \0303\0251\0302\\x9b\0377
PAIRS

# How much a line and a reply hold.
head -c 65506 /dev/zero | tr '\0' 'x' >"$T/most"
_most=$(cat "$T/most")
echo '!' | cat "$T/most" - | head -c 65507 >"$T/reply"
echo >>"$T/most"
session 'the longest line that a datagram holds, and as long a reply' "$_most\n" 0 \
    ">> Reply: $_most!\n>> \n" '' asked-file "$T/most" answer-file 0 "$T/reply"
session 'a longer line' "x$_most\n" 1 '>> ' "udpC: @: $TOO_LONG\n"
session 'a typed line of 65,537 bytes' "$_most$(printf %030d 0)\n" 1 '>> ' \
    "udpC: stdin: $TOO_LONG\n"

# A second reply to one line of two, which comes while the client is stopped.
peer_listen listen-udp 127.0.0.1:0 asked 'one\n' touch "$T/asked" await "$T/go" \
    answer 0 first answer 0 '\x1bagain' touch "$T/twice" asked 'two\n' answer 1 second
at_keyboard "$PEER_PORT"
type_in 'one\ntwo\n'
reached asked
kill -STOP "$CLIENT"
: >"$T/go"
reached twice
kill -CONT "$CLIENT"
end_input
await_end "$CLIENT"
gives 'a late reply is shown before the next line is sent, and not taken for its reply' 0 \
    "${SAID}Reply: first\n>> Reply: second\n>> \n" 'udpC: late reply: \\x1bagain\n'
peer_ends 'a late reply: on the wire'

# At a person's pace. nc hears nobody but who sent to it first: the client's socket has
# to stay the same. With -v nc names the port that it was given.
if need nc 'nc -u -l as the server'; then
    mkfifo "$T/nc-keys"
    : >"$T/nc.err"
    nc -lvnu 127.0.0.1 0 <"$T/nc-keys" >"$T/nc.out" 2>"$T/nc.err" &
    _nc=$!
    STARTED="$STARTED $_nc"
    exec 4>"$T/nc-keys"
    wait_for 10 has_line "$T/nc.err"
    at_keyboard "$(sed -n '1s/.* \([0-9]*\)$/\1/p' "$T/nc.err")" 4>&-
    _since=$(date +%s)
    type_in 'hello?\n'
    comes 'nc -u -l: no reply in 2 s' "$ERR" 'udpC: no reply in 2 s'
    true_that 'nc -u -l: not before 2 s' [ $(($(date +%s) - _since)) -ge 2 ]
    SAID="$SAID>> "
    becomes 'nc -u -l: a prompt follows' "$OUT" "$SAID"
    echo 'wait' >&4
    comes 'nc -u -l: her reply is shown as a late one' "$ERR" 'udpC: late reply: wait'
    type_in 'are you there?\n'
    becomes 'nc -u -l: the next line reaches her' "$T/nc.out" 'hello?\nare you there?\n'
    echo 'yes' >&4
    becomes 'nc -u -l: the conversation goes on' "$OUT" "${SAID}Reply: yes\n>> "
    type_in 'STOP\n'
    await_end "$CLIENT"
    end_input
    gives 'nc -u -l: STOP' 0 "${SAID}Reply: yes\n>> Exiting UDP client!\n" \
        'udpC: no reply in 2 s\nudpC: late reply: wait\n'
    exec 4>&-
    kill "$_nc"
    await_end "$_nc"
fi

without_stdout udpC 127.0.0.1:9

# One family.
for _case in '[::1]:1' '-6 127.0.0.1:1'; do
    # shellcheck disable=SC2086
    typed '' udpC $_case
    _address=$(echo "${_case#-6 }" | tr '[]' '??')
    like "udpC $_case: the other family" "1 udpC: $_address: ?*" "$STATUS $(cat "$ERR")"
done

serve udpS 0
SERVER_OUT=$OUT
typed 'hello\nSTOP\n' udpC "localhost:$PORT"
wait_for 10 has "$SERVER_OUT" "data: "
_number=$(sed -n 's/^data: //p' "$SERVER_OUT")
gives 'the chapter: a session with udpS, localhost is IPv4' 0 \
    "The UDP server is 127.0.0.1:$PORT\n>> Reply: $_number\n>> Exiting UDP client!\n" ''
await_end "$SERVER"
is 'the chapter: STOP ended udpS' 0 "$STATUS"

finish
