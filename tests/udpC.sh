#!/bin/sh
# udpC.sh - the UDP client: one line, one datagram
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=conversation.sh
. "$ROOT/tests/conversation.sh"

LISTEN=127.0.0.1:0
PREFIX='Reply: '
GREETING='The UDP server is TARGET\n'

session 'each line of a pipe is a datagram, its newline included' \
    'a\nb\nc\n' 0 '>> @1\n>> @2\n>> @3\n>> \n' '' \
    asked 'a\n' answer 0 1 asked 'b\n' answer 1 2 asked 'c\n' answer 2 3
session 'STOP is sent, its reply not waited for' \
    'hello\nSTOP\nmore\n' 0 '>> @hi\n>> Exiting UDP client!\n' '' \
    asked 'hello\n' answer 0 hi asked 'STOP\n'
session 'the end of input ends the client' '' 0 '>> \n' ''
if has_ipv6 '-6'; then
    LISTEN='[::1]:0'
    listening asked 'a\n' answer 0 1
    LISTEN=127.0.0.1:0
    typed 'a\n' udpC -6 "$TARGET"
    gives '-6: a session over IPv6' 0 "$(expand "$GREETING>> @1\n>> \n")" ''
fi

# TYPED|SENT|REPLY|PRINTED
while IFS='|' read -r _typed _sent _reply _printed; do
    session "\"$_typed\" is sent as \"$_sent\", the reply \"$_reply\" is printed" \
        "$_typed" 0 ">> @$_printed\n>> \n" '' asked "$_sent" answer 0 "$_reply"
done <<'END'
\n|\n||
last|last\n|a\n|a
a\r\n|a\r\n|a\r\n|a
100% sure %s%n\n|100% sure %s%n\n|100%%s|100%%s
a\0000\0377\0033b\n|a\0\xff\x1bb\n|\x1b[31m\x07\0\t\\ \xc3\xa9\xc2\x9b\xff|\\x1b[31m\\x07\\x00\t\\ \0303\0251\\xc2\\x9b\0377
STOPS\n|STOPS\n|a\rb|a\\x0db
x\n|x\n|a\nb\n|a\\x0ab
END
session 'STOP with white space around it, at the end of input' ' \tSTOP\r' 0 \
    '>> Exiting UDP client!\n' '' asked ' \tSTOP\r\n'

# The longest lines and replies.
_most=$(printf %065506d 0)
session 'the longest line that fits into a datagram, and as long a reply' "$_most\n" 0 \
    ">> @$_most!\n>> \n" '' asked "$_most\n" answer 0 "$_most!"
session 'a longer line is not sent, the next one is' "x$_most\nnext\n" 0 \
    '>> >> @x\n>> \n' "udpC: TARGET: $TOO_LONG\n" asked 'next\n' answer 0 x
session 'a typed line of 65,537 bytes' "$_most$(printf %030d 0)\n" 1 '>> ' \
    'udpC: stdin: line too long\n'

# Nobody listens, and the system reports it (ICMP). For udp4, localhost is 127.0.0.1.
_port=$("$PEER" free-port) TARGET=127.0.0.1:$_port
_refused="udpC: localhost:$_port: Connection refused\n"
open_client udpC "localhost:$_port"
type_in 'hello\n'
shows_so_far 'nobody listens: a new prompt' '>> >> '
file_is 'nobody listens: reported' "$ERR" "$_refused"
peer_listen listen-udp "$TARGET" asked 'again\n' answer 0 hi
type_in 'again\nSTOP\n'
client_ends 'the server comes back, and the client still exits with 0' 0 \
    '>> >> @hi\n>> Exiting UDP client!\n' "$_refused"

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

# The late reply is for the socket that has sent the first line.
at_keyboard asked 'hello?\n' await "$T/go" answer 0 wait asked 'are you there?\n' \
    answer 0 yes asked 'STOP\n'
_since=$(date +%s)
type_in 'hello?\n'
comes 'no reply within 5 s' "$ERR" 'udpC: no reply within 5 s'
true_that 'not before 5 s' [ $(($(date +%s) - _since)) -ge 5 ]
shows_so_far 'a prompt follows' '>> >> '
type_in 'are you'
: >"$T/go"
_so_far='>> >> \nLate reply: wait\n>> '
shows_so_far 'a late reply is on a line of its own, before a new prompt' "$_so_far"
type_in ' there?\nSTOP\n'
client_ends 'the conversation continues on the same socket' 0 \
    "$_so_far@yes\n>> Exiting UDP client!\n" 'udpC: no reply within 5 s\n'

terminal asked 'half\n' answer 0 hi
GREETING='' # it is not seen
broken_stdout client_reports

finish
