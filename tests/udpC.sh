#!/bin/sh
# udpC.sh - the UDP client: one line, one datagram
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

HOST=127.0.0.1 FAMILY=
SILENT='udpC: no reply within 5 s\n'

# One session: the client gets INPUT through a pipe, the peer has a UDP socket and carries
# out its words. An @ in STDERR stands for the server's address.
session() { # WHAT INPUT STATUS STDOUT STDERR WORD...
    _title=$1 _keys=$2 _want=$3 _stdout=$4 _stderr=$5
    shift 5
    peer_listen listen-udp "$HOST:0" "$@"
    # shellcheck disable=SC2086
    typed "$_keys" udpC $FAMILY "$HOST:$PEER_PORT"
    gives "$_title" "$_want" "The UDP server is $HOST:$PEER_PORT\n$_stdout" \
        "$(printf '%s' "$_stderr" | sed "s/@/$HOST:$PEER_PORT/g")"
    peer_ends "$_title: on the wire"
}

# A client at its prompt: SAID is what it has printed.
at_keyboard() { # PORT
    open_client udpC "127.0.0.1:$1"
    SAID="The UDP server is 127.0.0.1:$1\n>> "
    becomes 'the prompt is there before anything is typed' "$OUT" "$SAID"
}

# A family's conversation.
conversation() {
    session "$HOST: each line of a pipe is a datagram, its newline included" \
        'a\nb\nc\n' 0 '>> Reply: 1\n>> Reply: 2\n>> Reply: 3\n>> \n' '' \
        asked 'a\n' answer 0 1 asked 'b\n' answer 1 2 asked 'c\n' answer 2 3
    session "$HOST: STOP is sent and not waited for" \
        'hello\nSTOP\nmore\n' 0 '>> Reply: hi\n>> Exiting UDP client!\n' '' \
        asked 'hello\n' answer 0 hi asked 'STOP\n'
    session "$HOST: the end of input ends the line of the prompt" '' 0 '>> \n' ''
}
conversation
if has_ipv6 'the conversation over IPv6'; then
    HOST='[::1]' FAMILY=-6
    conversation
    HOST=127.0.0.1 FAMILY=
fi

# TYPED|SENT
while IFS='|' read -r _typed _sent; do
    session "\"$_typed\" is sent as \"$_sent\"" "$_typed" 0 '>> Reply: x\n>> \n' '' \
        asked "$_sent" answer 0 x
done <<'PAIRS'
\n|\n
last|last\n
a\r\n|a\r\n
100% sure %s%n\n|100% sure %s%n\n
a\0000\0377\0033b\n|a\0\xff\x1bb\n
STOPS\n|STOPS\n
PAIRS
session 'STOP with white space around it, at the end of input' ' \tSTOP\r' 0 \
    '>> Exiting UDP client!\n' '' asked ' \tSTOP\r\n'

# REPLY|SHOWN
while IFS='|' read -r _reply _shown; do
    session "the reply \"$_reply\" is shown as \"$_shown\"" 'x\n' 0 \
        ">> Reply: $_shown\n>> \n" '' asked 'x\n' answer 0 "$_reply"
done <<'PAIRS'
|
a\n|a
a\r\n|a
a\rb|a\\x0db
a\nb\n|a\\x0ab
100%%s|100%%s
\x1b[31m\x07\0\t\\ \xc3\xa9\xc2\x9b\xff|\\x1b[31m\\x07\\x00\t\\ \0303\0251\\xc2\\x9b\0377
PAIRS

# How much a line and a reply hold.
head -c 65506 /dev/zero | tr '\0' 'x' >"$T/most"
_most=$(cat "$T/most")
echo '!' | cat "$T/most" - | head -c 65507 >"$T/reply"
echo >>"$T/most"
session 'the longest line that a datagram holds, and as long a reply' "$_most\n" 0 \
    ">> Reply: $_most!\n>> \n" '' asked-file "$T/most" answer-file 0 "$T/reply"
session 'a longer line is not sent, the next one is' "x$_most\nnext\n" 0 \
    '>> >> Reply: x\n>> \n' "udpC: @: $TOO_LONG\n" asked 'next\n' answer 0 x
session 'a typed line of 65,537 bytes' "$_most$(printf %030d 0)\n" 1 '>> ' \
    'udpC: stdin: line too long\n'

# Nobody listens, where the system says so (ICMP).
_port=$("$PEER" free-port)
typed 'hello\nSTOP\n' udpC "127.0.0.1:$_port"
gives 'nobody listens: said, and STOP ends it all the same' 0 \
    "The UDP server is 127.0.0.1:$_port\n>> >> Exiting UDP client!\n" \
    "udpC: 127.0.0.1:$_port: Connection refused\n"
at_keyboard "$_port"
type_in 'hello\n'
comes 'nobody listens: said at once' "$ERR" "udpC: 127.0.0.1:$_port: Connection refused"
SAID="$SAID>> "
becomes 'nobody listens: a new prompt' "$OUT" "$SAID"
peer_listen listen-udp "127.0.0.1:$_port" asked 'again\n' answer 0 hi
type_in 'again\n'
becomes 'the server comes back' "$OUT" "${SAID}Reply: hi\n>> "
peer_ends 'the server comes back: on the wire'
end_input
await_end "$CLIENT"

# Late replies: a second and a third one to one line, which arrive while the client is
# stopped.
peer_listen listen-udp 127.0.0.1:0 asked 'one\n' touch "$T/asked" await "$T/go" \
    answer 0 first answer 0 '\x1bagain' answer 0 more touch "$T/thrice" \
    asked 'two\n' answer 1 second
at_keyboard "$PEER_PORT"
type_in 'one\ntwo\n'
reached asked
kill -STOP "$CLIENT"
: >"$T/go"
reached thrice
kill -CONT "$CLIENT"
end_input
await_end "$CLIENT"
SAID="${SAID}Reply: first\n>> "
gives 'late replies are shown before the next line is sent, and not taken for its reply' 0 \
    "$SAID\nLate reply: \\\\x1bagain\n>> \nLate reply: more\n>> Reply: second\n>> \n" ''
peer_ends 'late replies: on the wire'

# A server that never stops replying does not keep lines from being sent.
# shellcheck disable=SC2046 # words
peer_listen listen-udp 127.0.0.1:0 asked 'one\n' \
    $(yes 'answer 0 x' | head -n 3000) asked 'two\n' answer 1 y
typed 'one\ntwo\n' udpC "127.0.0.1:$PEER_PORT"
peer_ends 'a flood of replies does not keep a line from being sent'
is 'a flood of replies: exit 0' 0 "$STATUS"

# At a person's pace, at a terminal. nc hears only the first that has sent to it: the
# client's socket has to stay the same. With -v nc names the port that it was given.
if need nc 'nc -u -l as the server'; then
    mkfifo "$T/nc-keys"
    : >"$T/nc.err"
    nc -lvnu 127.0.0.1 0 <"$T/nc-keys" >"$T/nc.out" 2>"$T/nc.err" &
    _nc=$!
    STARTED="$STARTED $_nc"
    exec 4>"$T/nc-keys"
    wait_for 10 has_line "$T/nc.err"
    SETUP=terminal
    at_keyboard "$(sed -n '1s/.* \([0-9]*\)$/\1/p' "$T/nc.err")" 4>&-
    SETUP=
    _since=$(date +%s)
    type_in 'hello?\n'
    comes 'nc -u -l: no reply within 5 s' "$ERR" 'udpC: no reply within 5 s'
    true_that 'nc -u -l: not before 5 s' [ $(($(date +%s) - _since)) -ge 5 ]
    SAID="${SAID}hello?\n>> "
    becomes 'nc -u -l: a prompt follows' "$OUT" "$SAID"
    type_in 'are you'
    becomes 'nc -u -l: half a line is typed' "$OUT" "${SAID}are you"
    echo 'wait' >&4
    SAID="${SAID}are you\nLate reply: wait\n>> "
    becomes 'nc -u -l: her reply is shown on a line of its own, and a prompt' "$OUT" "$SAID"
    type_in ' there?\n'
    becomes 'nc -u -l: the next line reaches her' "$T/nc.out" 'hello?\nare you there?\n'
    echo 'yes' >&4
    SAID="$SAID there?\nReply: yes\n>> "
    becomes 'nc -u -l: the conversation goes on' "$OUT" "$SAID"
    type_in 'STOP\n'
    await_end "$CLIENT"
    end_input
    gives 'nc -u -l: STOP' 0 "${SAID}STOP\nExiting UDP client!\n" "$SILENT"
    exec 4>&-
    kill "$_nc"
    await_end "$_nc"
fi

# ctrl-D twice after half a line, and once; stdin with O_NONBLOCK.
peer_listen listen-udp 127.0.0.1:0 asked 'half\n' answer 0 hi
SETUP=terminal
at_keyboard "$PEER_PORT"
type_in 'half\004\004'
await_end "$CLIENT"
end_input
gives 'ctrl-D twice after half a line sends it and ends the input' 0 \
    "${SAID}halfReply: hi\n>> \n" ''
peer_ends 'ctrl-D twice after half a line: on the wire'
SETUP=nonblock
at_keyboard "$PEER_PORT"
SETUP=
end_input
await_end "$CLIENT"
gives 'O_NONBLOCK on stdin is no error' 0 "$SAID\n" ''

without_stdout udpC 127.0.0.1:9

# One family.
for _case in '[::1]:1|not an IPv4 address (-6 is for IPv6)' '-6 127.0.0.1:1|[A-Z]*'; do
    # shellcheck disable=SC2086
    typed '' udpC ${_case%|*}
    _address=$(echo "${_case%|*}" | sed 's/-6 //' | tr '[]' '??')
    like "udpC ${_case%|*}: the other family" "1 udpC: $_address: ${_case#*|}" \
        "$STATUS $(cat "$ERR")"
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
