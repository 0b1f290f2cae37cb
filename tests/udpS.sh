#!/bin/sh
# udpS.sh - the UDP server that answers with random numbers
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

begin() {
    serve udpS 0
    WHERE=127.0.0.1:$PORT
    LISTENING="udpS: listening on [::]:$PORT\n"
}

served() { # WHAT
    talk "$1" udp "$WHERE" send x recv
}

# The answer to a datagram is a number from 1 to 1000, without a newline, and the server
# prints both: SHOWN and the number.
answered() { # WHAT SHOWN WORD...: the words send it
    _title=$1 _shown=$2
    shift 2
    talk "$_title is answered" udp "$WHERE" "$@" recv
    _number=$(cat "$T/talk.out")
    case $_number in
    [1-9] | [1-9][0-9] | [1-9][0-9][0-9] | 1000) ;;
    *) fail "$_title: a number" '1 to 1000' "$_number" ;;
    esac
    printf '%b' "-> $_shown\ndata: $_number\n" >>"$T/want"
    true_that "$_title: what is printed" wait_for 10 cmp -s "$T/want" "$OUT"
}

begin
# SENT|SHOWN
while IFS='|' read -r _sent _shown; do
    answered "\"$_sent\"" "$_shown" send "$_sent"
done <<'PAIRS'
hello\n|hello
hello|hello
|
\n|
hi\r\n|hi
a\nb\n|a\\x0ab
a\rb|a\\x0db
\x1b[31m\x07\0\t\\ \xc3\xa9\xc2\x9b\xff\n|\\x1b[31m\\x07\\x00\t\\ \0303\0251\\xc2\\x9b\0377
100% %s%n\n|100% %s%n
12345|12345
42\n|42
-42|-42
42 |42\0040
12a4|12a4
STOPS\n|STOPS
x\nSTOP\n|x\\x0aSTOP
PAIRS
for _size in 1025 65507; do
    head -c "$_size" /dev/zero | tr '\0' 'x' >"$T/big"
    answered "a datagram of $_size bytes" "$(cat "$T/big")" send-file "$T/big"
done
talk 'a client that does not wait' udp "$WHERE" send '42' send 'x\n' close
served 'the next one is answered'
stop TERM
is 'SIGTERM ends it' 143 "$STATUS"
file_is 'its address is on stderr, and nothing else' "$ERR" "$LISTENING"

# What could be the answer of another server is not answered.
begin
for _number in 1 42 999 1000 0000 7777; do
    talk "$_number is not answered" udp "$WHERE" send "$_number" \
        udp "$WHERE" send x recv use 0 nothing
done
stop INT
is 'SIGINT ends it' 130 "$STATUS"
sed '/^-> x$/d; /^data: /d' "$OUT" >"$T/shown"
file_is 'numbers are printed' "$T/shown" \
    '-> 1\n-> 42\n-> 999\n-> 1000\n-> 0000\n-> 7777\n'

# Two servers, and datagrams with a false sender.
begin
OTHER=$SERVER OTHER_WHERE=$WHERE OTHER_OUT=$OUT
begin
true_that 'two servers started in the same second give different numbers' \
    [ "$("$PEER" udp "$WHERE" repeat 12 send x recv)" != \
    "$("$PEER" udp "$OTHER_WHERE" repeat 12 send x recv)" ]
if possible 'a false sender' 'only root can open a raw socket' \
    "$PEER" spoof 127.0.0.1:9 127.0.0.1:9 x; then
    talk 'to one server as if from another: both still answer' \
        spoof "$WHERE" "$OTHER_WHERE" hello udp "$OTHER_WHERE" send x recv \
        udp "$WHERE" send x recv udp "$OTHER_WHERE" send x recv
    is 'and not one answer was answered' 1 \
        "$(cat "$OUT" "$OTHER_OUT" | grep -c '^-> [0-9]')"
    for _from in 127.0.0.1:0 255.255.255.255:9 "$WHERE"; do
        talk "a datagram as if from $_from" spoof "$_from" "$WHERE" 'false\n'
        served "the next one after a datagram as if from $_from"
    done
fi
stop TERM
at_most 'at most two of them are reported: lines on stderr' 3 "$(lines "$ERR")"
SERVER=$OTHER
stop TERM

# sendto() must not wait for an address that no machine has: ARP needs 3 s to give up. The
# server is in a network namespace where 10.9.0.0/24 has no other machine.
cat >"$T/veth" <<'END'
ip link set lo up && ip link add v0 type veth peer name v1 &&
    ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up && ip link set v1 up && exec "$@"
END
if need ip 'clients that do not exist' && possible 'clients that do not exist' \
    'only root can create a network namespace' unshare -n sh "$T/veth" true; then
    _run=$RUN_WITH
    RUN_WITH="unshare -n sh $T/veth $RUN_WITH"
    serve udpS 10.9.0.1:0
    RUN_WITH=$_run
    seq 2 250 | sed "s/.*/repeat 8 spoof 10.9.0.&:9 10.9.0.1:$PORT x ./" >"$T/absent"
    # shellcheck disable=SC2046 # words
    nsenter -n -t "$SERVER" "$PEER" $(cat "$T/absent") udp "10.9.0.1:$PORT" send STOP
    await_end "$SERVER"
    is 'clients that do not exist do not delay the next datagram' 0 "$STATUS"
fi

# The numbers.
STDOUT=/dev/null
begin
STDOUT=
talk '20,000 numbers' deadline 60 udp "$WHERE" repeat 20000 send x recv
is '20,000 numbers: from 1 to 1000, and each of these is among them' "$(seq 1000)" \
    "$(sort -u "$T/talk.out" | sort -n)"
stop TERM

# STOP.
while IFS='|' read -r _word _shown; do
    begin
    talk "\"$_word\" is sent" udp "$WHERE" send 'hello\n' recv send "$_word"
    await_end "$SERVER"
    gives "\"$_word\" is STOP, and not answered" 0 \
        "-> hello\ndata: $(cat "$T/talk.out")\n-> $_shown\nExiting UDP server!\n" \
        "$LISTENING"
done <<'PAIRS'
STOP|STOP
\tSTOP \r\n|\tSTOP\0040
PAIRS

# shellcheck disable=SC2317 # broken_stdout() calls it
two_datagrams() {
    begin
    for _nth in first second; do
        served "stdout $BROKEN: the $_nth datagram is answered"
    done
    stop TERM
    gives "stdout $BROKEN: nothing else on stderr" 143 '' "$LISTENING"
}
broken_stdout two_datagrams

finish
