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
is 'its first line is its address' "udpS: listening on [::]:$PORT" "$(cat "$ERR")"
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
file_is 'nothing else is on stderr' "$ERR" "$LISTENING"

# Numbers could be answers, and are not answered.
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

# Datagrams with a false sender.
if possible 'a false sender' 'only root can open a raw socket' \
    "$PEER" spoof 127.0.0.1:9 127.0.0.1:9 x; then
    begin
    OTHER=$SERVER OTHER_WHERE=$WHERE OTHER_OUT=$OUT
    begin
    talk 'to one server as if from another' spoof "$WHERE" "$OTHER_WHERE" hello
    comes 'the other receives its answer' "$OUT" '-> '
    served 'the other still answers'
    talk 'the first still answers' udp "$OTHER_WHERE" send x recv
    sed '/^data: /d; s/[0-9][0-9]*/N/' "$OUT" "$OTHER_OUT" >"$T/shown"
    file_is 'and not one answer was answered' "$T/shown" '-> N\n-> x\n-> hello\n-> x\n'
    for _from in 127.0.0.1:0 255.255.255.255:9 "$WHERE"; do
        talk "a datagram as if from $_from" spoof "$_from" "$WHERE" 'false\n'
        served "the next one after a datagram as if from $_from"
    done
    stop TERM
    true_that 'at most two of them are reported' [ "$(lines "$ERR")" -le 3 ]
    SERVER=$OTHER
    stop TERM
fi

# sendto() must not wait for an address that no machine has: ARP needs 3 s to give up.
veth() { # COMMAND...: in a network namespace where 10.9.0.0/24 has no other machine
    unshare -n sh -c 'ip link set lo up && ip link add v0 type veth peer name v1 &&
        ip addr add 10.9.0.1/24 dev v0 && ip link set v0 up && ip link set v1 up &&
        exec "$@"' sh "$@"
}
if need ip 'clients that do not exist' && possible 'clients that do not exist' \
    'only root can create a network namespace' veth true; then
    cat >"$T/absent" <<'END'
"$PEER" run $RUN_WITH "$1" 10.9.0.1:0 2>"$T/absent.err" &
until [ -s "$T/absent.err" ]; do sleep 0.02; done
port=$(sed -n '1s/.*://p' "$T/absent.err")
for last in $(seq 2 250); do
    for _ in 1 2 3 4 5 6 7 8; do echo "spoof 10.9.0.$last:9 10.9.0.1:$port x"; done
done >"$T/absent.words"
"$PEER" deadline 60 $(cat "$T/absent.words") udp "10.9.0.1:$port" send STOP
wait
END
    : >"$T/absent.out"
    export T PEER RUN_WITH
    veth sh "$T/absent" "$(program udpS)" >"$T/absent.out" 2>&1 &
    _absent=$!
    STARTED="$STARTED $_absent"
    comes 'clients that do not exist do not delay the next datagram' "$T/absent.out" \
        'Exiting UDP server!'
    await_end "$_absent"
fi

# The numbers.
STDOUT=/dev/null
begin
STDOUT=
talk '20,000 numbers' deadline 60 udp "$WHERE" repeat 20000 send x recv
is '20,000 numbers: from 1 to 1000, and each of these is among them' "$(seq 1000)" \
    "$(sort -u "$T/talk.out" | sort -n)"
stop TERM
begin
OTHER=$SERVER OTHER_WHERE=$WHERE
begin
true_that 'two servers started in the same second give different numbers' \
    [ "$("$PEER" udp "$WHERE" repeat 12 send x recv)" != \
    "$("$PEER" udp "$OTHER_WHERE" repeat 12 send x recv)" ]
stop TERM
SERVER=$OTHER
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
