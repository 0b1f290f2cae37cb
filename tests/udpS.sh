#!/bin/sh
# udpS.sh - the UDP server that answers with random numbers
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

begin() {
    serve udpS "$@" 0
    WHERE=127.0.0.1:$PORT
}

served() { # WHAT
    talk "$1" udp "$WHERE" numbers 1
}

# Asks with the bytes of TEXT; the number that came is then on stdout, as it went out.
answered() { # WHAT TEXT SHOWN: TEXT for the peer, SHOWN for printf
    _before=$(lines "$OUT")
    talk "$1 is answered" udp "$WHERE" send "$2" recv
    _number=$(cat "$T/talk.out")
    # shellcheck disable=SC2016
    true_that "$1 is answered by a number from 1 to 1000, without a newline" \
        sh -c 'printf "%s\n" "$1" | cmp -s - "$2" && [ "$1" -ge 1 ] && [ "$1" -le 1000 ]' \
        sh "$_number" "$T/talk.out"
    sed "1,${_before}d" "$OUT" >"$T/shown"
    [ "$_before" -gt 0 ] || cp "$OUT" "$T/shown"
    file_is "$1: what is printed" "$T/shown" "-> $3\ndata: $_number\n"
}

begin
is 'its first line says where it listens' "udpS: listening on [::]:$PORT" "$(cat "$ERR")"
answered 'a line' 'hello\n' hello
answered 'a datagram without a newline' hello hello
answered 'an empty datagram' '' ''
answered 'an empty line' '\n' ''
answered 'a carriage return and newline' 'hi\r\n' hi
answered 'a datagram of two lines' 'a\nb\n' 'a\\x0ab'
answered 'control bytes' '\x1b[31m\x07\0\t\\ \xc3\xa9 \xc2\x9b\xff\n' \
    '\\x1b[31m\\x07\\x00\t\\ \0303\0251 \\xc2\\x9b\\xff'
answered 'a percent sign' '100% %s%n\n' '100% %s%n'
answered 'five digits' 12345 12345
answered 'a number with its newline' '42\n' 42
answered 'a number with a sign' '-42' '-42'
answered 'a number with a blank' '42 ' '42 '
answered 'a word of four bytes' 12a4 12a4
for _size in 1024 1025 9000 65507; do
    head -c "$_size" /dev/zero | tr '\0' 'x' >"$T/big"
    talk "a datagram of $_size bytes is answered" udp "$WHERE" send-file "$T/big" recv
    _number=$(cat "$T/talk.out")
    { printf -- '-> ' && cat "$T/big" && printf '\ndata: %s\n' "$_number"; } >"$T/want"
    tail -n 2 "$OUT" >"$T/shown"
    true_that "a datagram of $_size bytes is printed whole" cmp -s "$T/want" "$T/shown"
done
stop TERM
is 'SIGTERM: exit 0' 0 "$STATUS"
is 'nothing more on stderr' 1 "$(lines "$ERR")"

# Numbers are answers, and get none.
begin
for _number in 1 42 999 1000 0000 7777; do
    talk "$_number gets no answer" udp "$WHERE" send "$_number" \
        udp "$WHERE" send x recv use 0 nothing
done
stop INT
is 'SIGINT: exit 0' 0 "$STATUS"
grep -v -e '^-> x$' -e '^data: ' "$OUT" >"$T/shown"
file_is 'numbers are printed' "$T/shown" \
    '-> 1\n-> 42\n-> 999\n-> 1000\n-> 0000\n-> 7777\n'
is 'and only the others were answered' 6 "$(grep -c '^data: ' "$OUT")"

# Two servers that somebody wants to answer each other for ever.
begin
A_PORT=$PORT A_OUT=$OUT A=$SERVER
begin
if possible 'two servers set on each other' 'a raw socket is for root' \
    "$PEER" spoof 127.0.0.1:9 127.0.0.1:9 x; then
    talk 'a datagram to one server as if from another' \
        spoof "127.0.0.1:$PORT" "127.0.0.1:$A_PORT" hello
    wait_for 10 has_line "$OUT"
    _number=$(sed -n 's/^data: //p' "$A_OUT")
    talk 'both servers still answer' udp "127.0.0.1:$PORT" numbers 1 \
        udp "127.0.0.1:$A_PORT" numbers 1
    sed '$d' "$OUT" >"$T/shown"
    file_is 'the other server gets the number and does not answer it' "$T/shown" \
        "-> $_number\n-> x\n"
    sed '$d' "$A_OUT" >"$T/shown"
    file_is 'the first server hears nothing more' "$T/shown" \
        "-> hello\ndata: $_number\n-> x\n"
    talk 'a datagram from source port 0' spoof 127.0.0.1:0 "127.0.0.1:$PORT" 'zero\n'
    comes 'a datagram from source port 0 is printed' "$OUT" '-> zero'
    served 'and costs nothing'
    like 'at most a line on stderr' '[12]' "$(lines "$ERR")"
    talk 'a datagram as if from the server itself' \
        spoof "127.0.0.1:$PORT" "127.0.0.1:$PORT" 'self\n'
    served 'does not keep it busy'
    talk 'a datagram from the broadcast address' \
        spoof "255.255.255.255:9" "127.0.0.1:$PORT" 'all\n'
    served 'and costs nothing either'
fi
stop TERM
is 'the server ends with 0' 0 "$STATUS"
SERVER=$A
stop TERM

# One that asks and is gone before the answer.
begin
for _nth in 1 2 3 4 5; do
    talk "a client that does not wait, $_nth" udp "$WHERE" send 'x\n' close
done
served 'the next one is answered'
stop TERM
is 'and the server ends with 0' 0 "$STATUS"

# The numbers.
begin -q
talk '20,000 numbers from 1 to 1000' deadline 60 udp "$WHERE" numbers 20000
is '20,000 numbers: each is among them' '1000 1 1000' "$(cat "$T/talk.out")"
stop TERM
file_is '-q: nothing of it is printed' "$OUT" ''
begin -q
A=$SERVER A_WHERE=$WHERE
begin -q
_ask=
for _nth in 1 2 3 4 5 6 7 8 9 10 11 12; do
    _ask="$_ask send x recv"
done
# shellcheck disable=SC2086
_one=$("$PEER" udp "$WHERE" $_ask)
# shellcheck disable=SC2086
_two=$("$PEER" udp "$A_WHERE" $_ask)
is 'twelve numbers of one server' 12 "$(echo "$_one" | grep -c .)"
true_that 'two servers started in the same second give different numbers' \
    [ "$_one" != "$_two" ]
stop TERM
SERVER=$A
stop TERM

# STOP.
for _word in 'STOP\n' STOP ' \tSTOP \n' 'STOP\r\n'; do
    begin
    talk "\"$_word\" is sent, and not answered" udp "$WHERE" send "$_word"
    await_end "$SERVER"
    is "\"$_word\" is STOP: exit 0" 0 "$STATUS"
    is "\"$_word\" is STOP: the farewell" 'Exiting UDP server!' "$(tail -n 1 "$OUT")"
    is "\"$_word\" is STOP: two lines" 2 "$(lines "$OUT")"
done
begin
talk 'STOP has no answer' udp "$WHERE" send 'hello\n' recv send 'STOP\n'
await_end "$SERVER"
gives 'the chapter: a session' 0 \
    "-> hello\ndata: $(cat "$T/talk.out")\n-> STOP\nExiting UDP server!\n" \
    "udpS: listening on [::]:$PORT\n"
begin
for _word in stop STOPS 'S TOP' 'STOP it' 'x\nSTOP\n' 'STOP\0'; do
    talk "\"$_word\" is not STOP" udp "$WHERE" send "$_word" recv
done
stop TERM

# Both families, names, nc.
begin
if has_ipv6 'IPv6 alike'; then
    talk 'a bare PORT serves IPv6' udp "[::1]:$PORT" numbers 1
fi
talk 'a bare PORT serves IPv4' udp "127.0.0.1:$PORT" numbers 1
if need nc 'nc -u localhost PORT'; then
    mkfifo "$T/nc-keys"
    nc -u localhost "$PORT" <"$T/nc-keys" >"$T/nc.out" 2>/dev/null &
    _nc=$!
    STARTED="$STARTED $_nc"
    exec 4>"$T/nc-keys"
    echo 'from nc' >&4
    comes 'nc -u localhost PORT: the line arrives' "$OUT" '-> from nc'
    wait_for 10 [ -s "$T/nc.out" ]
    is 'nc -u localhost PORT: the number' "$(sed -n '$s/^data: //p' "$OUT")" \
        "$(cat "$T/nc.out")"
    exec 4>&-
    kill "$_nc"
    await_end "$_nc"
fi
stop TERM

# stdout.
for STDOUT in /dev/full - pipe; do
    _title="stdout $STDOUT"
    case $STDOUT in
    /dev/full) _why='No space left on device' ;;
    -) _why='Bad file descriptor' ;;
    pipe)
        _why='Broken pipe' STDOUT=
        SETUP=break-stdout
        ;;
    esac
    begin
    STDOUT=
    SETUP=
    served "$_title: the first datagram is answered"
    comes "$_title: it says so at the first line" "$ERR" "udpS: write stdout: $_why"
    for _nth in second third; do
        served "$_title: the $_nth datagram is answered"
    done
    file_is "$_title: it says so once" "$ERR" \
        "udpS: listening on [::]:$PORT\nudpS: write stdout: $_why\n"
    stop TERM
    is "$_title: and ends with 0" 0 "$STATUS"
done
mkfifo "$T/flushed"
cat "$T/flushed" >"$T/read" &
STARTED="$STARTED $!"
STDOUT=$T/flushed
begin
STDOUT=
talk 'stdout a pipe: answered' udp "$WHERE" send 'hello\n' recv
becomes 'stdout a pipe: each line is flushed' "$T/read" \
    "-> hello\ndata: $(cat "$T/talk.out")\n"
stop TERM

finish
