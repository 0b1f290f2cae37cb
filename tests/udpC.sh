#!/bin/sh
# udpC.sh - the UDP client: one line, one datagram
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=conversation.sh
. "$ROOT/tests/conversation.sh"

LISTEN=127.0.0.1:0
PREFIX='Reply: '
GREETING='The UDP server is TARGET\n'

udp_sessions() { # NAME: for the address family
    session "$1: each line of a pipe is a datagram, its newline included" \
        'a\nb\nc\n' 0 '>> @1\n>> @2\n>> @3\n>> \n' '' \
        asked 'a\n' answer 0 1 asked 'b\n' answer 1 2 asked 'c\n' answer 2 3
    session "$1: STOP is sent, its reply not waited for" \
        'hello\nSTOP\nmore\n' 0 '>> @hi\n>> Exiting UDP client!\n' '' \
        asked 'hello\n' answer 0 hi asked 'STOP\n'
    session "$1: the end of input ends the client" '' 0 '>> \n' ''
}
udp_sessions IPv4
if has_ipv6 'sessions over IPv6'; then
    LISTEN='[::1]:0' FAMILY=-6
    udp_sessions IPv6
    LISTEN=127.0.0.1:0 FAMILY=''
fi

# TYPED|SENT
while IFS='|' read -r _typed _sent; do
    session "\"$_typed\" is sent as \"$_sent\"" "$_typed" 0 '>> @x\n>> \n' '' \
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

# REPLY|PRINTED
while IFS='|' read -r _reply _printed; do
    session "the reply \"$_reply\" is printed as \"$_printed\"" 'x\n' 0 \
        ">> @$_printed\n>> \n" '' asked 'x\n' answer 0 "$_reply"
done <<'PAIRS'
|
a\n|a
a\r\n|a
a\rb|a\\x0db
a\nb\n|a\\x0ab
100%%s|100%%s
\x1b[31m\x07\0\t\\ \xc3\xa9\xc2\x9b\xff|\\x1b[31m\\x07\\x00\t\\ \0303\0251\\xc2\\x9b\0377
PAIRS

# The longest lines and replies.
head -c 65506 /dev/zero | tr '\0' 'x' >"$T/most"
_most=$(cat "$T/most")
echo '!' | cat "$T/most" - | head -c 65507 >"$T/reply"
echo >>"$T/most"
session 'the longest line that fits into a datagram, and as long a reply' "$_most\n" 0 \
    ">> @$_most!\n>> \n" '' asked-file "$T/most" answer-file 0 "$T/reply"
session 'a longer line is not sent, the next one is' "x$_most\nnext\n" 0 \
    '>> >> @x\n>> \n' "udpC: TARGET: $TOO_LONG\n" asked 'next\n' answer 0 x
session 'a typed line of 65,537 bytes' "$_most$(printf %030d 0)\n" 1 '>> ' \
    'udpC: stdin: line too long\n'

# Nobody listens, and the system reports it (ICMP).
_port=$("$PEER" free-port) TARGET=127.0.0.1:$_port
typed 'hello\nSTOP\n' udpC "$TARGET"
gives 'nobody listens: reported, and STOP still ends the client' 0 \
    "$(expand "$GREETING>> >> Exiting UDP client!\n")" \
    "udpC: $TARGET: Connection refused\n"
open_client udpC "$TARGET"
shows_so_far 'the prompt is there before anything is typed' '>> '
type_in 'hello\n'
comes 'nobody listens: reported at once' "$ERR" "udpC: $TARGET: Connection refused"
shows_so_far 'nobody listens: a new prompt' '>> >> '
peer_listen listen-udp "$TARGET" asked 'again\n' answer 0 hi
type_in 'again\n'
shows_so_far 'the server comes back' '>> >> @hi\n>> '
end_input
client_ends 'after that the client still exits with 0' 0 '>> >> @hi\n>> \n' \
    'udpC: TARGET: Connection refused\n'

# Late replies: a second and a third one to one line, which arrive while the client is
# stopped.
at_keyboard asked 'one\n' touch "$T/asked" await "$T/go" answer 0 first \
    answer 0 '\x1bagain' answer 0 more touch "$T/thrice" asked 'two\n' answer 1 second
type_in 'one\ntwo\n'
reached asked
kill -STOP "$CLIENT"
: >"$T/go"
reached thrice
kill -CONT "$CLIENT"
end_input
_late='\nLate reply: \\x1bagain\n>> \nLate reply: more\n'
client_ends 'late replies are printed before the next line is sent, and as such' 0 \
    ">> @first\n>> $_late>> @second\n>> \n" ''

listening asked 'one\n' repeat 3000 answer 0 x . asked 'two\n' answer 1 y
typed 'one\ntwo\n' udpC "$TARGET"
peer_ends 'a flood of replies does not keep a line from being sent'
is 'a flood of replies: exit 0' 0 "$STATUS"

# At a person's pace, at a terminal. nc accepts datagrams only from the first sender, so
# the client must keep its socket. With -v nc prints the port that it was given.
if need nc 'nc -u -l as the server'; then
    mkfifo "$T/nc-keys"
    : >"$T/nc.err"
    nc -lvnu 127.0.0.1 0 <"$T/nc-keys" >"$T/nc.out" 2>"$T/nc.err" &
    _nc=$!
    STARTED="$STARTED $_nc"
    exec 4>"$T/nc-keys"
    wait_for 10 has_line "$T/nc.err"
    TARGET=127.0.0.1:$(sed -n '1s/.* \([0-9]*\)$/\1/p' "$T/nc.err")
    SETUP=terminal
    open_client udpC "$TARGET" 4>&-
    SETUP=
    shows_so_far 'nc -u -l: a prompt at the terminal' '>> '
    _since=$(date +%s)
    type_in 'hello?\n'
    comes 'nc -u -l: no reply within 5 s' "$ERR" 'udpC: no reply within 5 s'
    true_that 'nc -u -l: not before 5 s' [ $(($(date +%s) - _since)) -ge 5 ]
    _so_far='>> hello?\n>> '
    shows_so_far 'nc -u -l: a prompt follows' "$_so_far"
    type_in 'are you'
    _so_far="${_so_far}are you"
    shows_so_far 'nc -u -l: half a line is typed' "$_so_far"
    echo 'wait' >&4
    _so_far="$_so_far\nLate reply: wait\n>> "
    shows_so_far 'nc -u -l: the late reply is on a line of its own, before a prompt' \
        "$_so_far"
    type_in ' there?\n'
    becomes 'nc -u -l: nc receives the next line' "$T/nc.out" 'hello?\nare you there?\n'
    echo 'yes' >&4
    _so_far="$_so_far there?\n@yes\n>> "
    shows_so_far 'nc -u -l: the conversation continues' "$_so_far"
    type_in 'STOP\n'
    await_end "$CLIENT"
    end_input
    _so_far="${_so_far}STOP\nExiting UDP client!\n"
    gives 'nc -u -l: STOP' 0 "$(expand "$GREETING$_so_far")" 'udpC: no reply within 5 s\n'
    exec 4>&-
    kill "$_nc"
    await_end "$_nc"
fi

SETUP=terminal
at_keyboard asked 'half\n' answer 0 hi
SETUP=
type_in 'half\004\004'
client_ends 'ctrl-D twice after half a line sends it and ends the input' 0 \
    '>> half@hi\n>> \n' ''
nonblocking_stdin
broken_stdout client_reports

# An address of the other family.
for _case in '[::1]:1|not an IPv4 address (-6 is for IPv6)' '-6 127.0.0.1:1|[A-Z]*'; do
    # shellcheck disable=SC2086
    typed '' udpC ${_case%|*}
    _address=$(echo "${_case%|*}" | sed 's/-6 //' | tr '[]' '??')
    like "udpC ${_case%|*}: the other family" "1 udpC: $_address: ${_case#*|}" \
        "$STATUS $(cat "$ERR")"
done

serve udpS 0
SERVER_OUT=$OUT TARGET=127.0.0.1:$PORT
typed 'hello\nSTOP\n' udpC "localhost:$PORT"
wait_for 10 has "$SERVER_OUT" "data: "
_number=$(sed -n 's/^data: //p' "$SERVER_OUT")
gives 'the chapter: a session with udpS, localhost is IPv4' 0 \
    "$(expand "$GREETING>> @$_number\n>> Exiting UDP client!\n")" ''
await_end "$SERVER"
is 'the chapter: STOP ended udpS' 0 "$STATUS"

finish
