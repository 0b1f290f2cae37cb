#!/bin/sh
# unixSocket.sh - the echo server and client over a Unix domain socket
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"
# shellcheck source=echo.sh
. "$ROOT/tests/echo.sh"

WHERE=$T/socket
begin() {
    serve unixSocket -l "$@" "$WHERE"
}
ANSWER='expect hello\n'
SHOWN='Server got: hello\n'
LISTENING="unixSocket: listening on $WHERE"

every_server expect "$CONTROLS"
echo_server

# --- The socket file ----------------------------------------------------------------

mode_and_kind() {
    stat -c '%a %F' "$WHERE"
}
for _case in '000 TERM' '022 INT' '077 TERM'; do
    umask "${_case% *}"
    begin
    umask 022
    is "umask ${_case% *}: the file is for its owner alone" '600 socket' "$(mode_and_kind)"
    stop "${_case#* }"
    is "SIG${_case#* }: exit 0, and the file is removed" '0 gone' \
        "$STATUS $([ -e "$WHERE" ] || echo gone)"
done
if possible 'another user' 'becoming another user is for root' "$PEER" user "$OTHER_USER" run true
then
    begin
    "$PEER" user "$OTHER_USER" connect "$WHERE" 2>"$T/why"
    like 'another user is not let in' '*Permission denied' "$(cat "$T/why")"
    stop TERM
fi
# A socket nobody listens on is replaced.
begin
kill -KILL "$SERVER"
await_end "$SERVER"
is 'a server that was killed leaves its socket' '600 socket' "$(mode_and_kind)"
begin
served 'a socket nobody listens on is replaced'
is 'and the mode is right' '600 socket' "$(mode_and_kind)"
stop TERM

# What stands at PATH and no dead socket is an error, and untouched.
state() {
    stat -c '%F %A %i %s %y' "$WHERE"
    cat "$T/target"
}
in_use() { # WHAT
    _before=$(state)
    typed '' unixSocket -l "$WHERE"
    gives "$1 at PATH" 1 '' "unixSocket: $WHERE: $IN_USE\n"
    is "$1 at PATH is untouched" "$_before" "$(state)"
}
echo precious >"$T/target"
"$PEER" listen "$T/dead" >/dev/null
for _make in "cp $T/target" mkdir mkfifo "ln -s $T/target" "ln -s $T/dead" \
    "ln -s $T/nowhere"; do
    $_make "$WHERE"
    in_use "what \"$(echo "$_make" | sed "s,$T/,,")\" makes"
    rm -r "$WHERE"
done
begin
in_use 'a server'
served 'the first one serves on'
stop TERM
for _words in "listen-udp $WHERE" "backlog 0 listen $WHERE connect $WHERE"; do
    # shellcheck disable=SC2086
    peer_start $_words touch "$T/in" await "$T/go"
    reached in
    in_use "the socket of \"$_words\""
    : >"$T/go"
    peer_ends "the owner of \"$_words\""
    rm "$T/go" "$WHERE"
done

# Where PATH is nothing to listen on, and how long it may be: with its NUL 108 bytes.
pad() { # LENGTH: a path so long below $T
    printf '%s/' "$T"
    head -c $(($1 - ${#T} - 1)) /dev/zero | tr '\0' p
}
refused() { # PATH REASON
    for _flag in -l ''; do
        # shellcheck disable=SC2086
        typed '' unixSocket $_flag "$1"
        gives "unixSocket $_flag with a path of ${#1} bytes" 1 '' "unixSocket: $1: $2\n"
    done
}
refused "$T/no/such" 'No such file or directory'
_long='not 1 to 107 bytes long'
refused '' "$_long"
refused "$(pad 108)" "$_long"
refused "$(pad 300)" "$_long"
true_that 'no file of a shorter name is made' [ ! -e "$(pad 107)" ]
WHERE=$(pad 107)
begin
served 'a path of 107 bytes'
typed 'hello\n' unixSocket "$WHERE"
gives 'a path of 107 bytes: the client' 0 '>> Read: hello\n>> \n' ''
stop TERM
WHERE=$T/socket

# --- Many clients -------------------------------------------------------------------

begin
talk 'clients at once, each its own echo; STOP is a line as any' \
    connect "$WHERE" send one connect "$WHERE" send two connect "$WHERE" send 'STOP\n' \
    use 1 expect two use 0 expect one use 2 expect 'STOP\n' send on expect on \
    shut eof use 0 shut eof use 1 shut eof
_fds=$(descriptors "$SERVER")
stop TERM
begin -q
talk 'a crowd of clients' deadline 60 crowd "$CROWD" "$WHERE" echo 0 shut
left_nothing 'a crowd of clients leave nothing' "$SERVER" "$_fds"
stop TERM

SETUP='files 20'
begin -q
SETUP=
peer_start deadline 60 queue 40 "$WHERE" "$T/go"
comes 'ulimit -n 20, 40 clients: it says so' "$ERR" "unixSocket: accept: $NO_FILES"
: >"$T/go"
peer_ends 'ulimit -n 20, 40 clients: each is answered when others have left'
served 'ulimit -n 20: the next client is served'
stop TERM
is 'ulimit -n 20: exit 0' 0 "$STATUS"

# --- The client ---------------------------------------------------------------------

begin
# TYPED|PRINTED
while IFS='|' read -r _typed _printed; do
    typed "$_typed" unixSocket "$WHERE"
    gives "\"$_typed\" and the end of stdin" 0 "$_printed>> \n" ''
done <<'PAIRS'
|
one\n\nlast|>> Read: one\n>> Read: \n>> Read: last\n
1\n2\n3\n4\n5\n|>> Read: 1\n>> Read: 2\n>> Read: 3\n>> Read: 4\n>> Read: 5\n
100% sure %s%n\n|>> Read: 100% sure %s%n\n
a\0000b\0033[1m\0303\0251\r\n|>> Read: a\\x00b\\x1b[1m\0303\0251\n
STOPS\n|>> Read: STOPS\n
PAIRS
for _word in 'STOP\n' ' \tSTOP\r\n' STOP; do
    typed "hello\n$_word" unixSocket "$WHERE"
    is "\"$_word\" is STOP" '0 Exiting UNIX domain socket client!' \
        "$STATUS $(tail -n 1 "$OUT")"
done
head -c 65535 /dev/zero | tr '\0' 'x' >"$T/x65535"
_long=$(cat "$T/x65535")
typed "$_long\nnext\n" unixSocket "$WHERE"
gives 'a line of 65,536 bytes, and the next one' 0 \
    ">> Read: $_long\n>> Read: next\n>> \n" ''
typed "x$_long\n" unixSocket "$WHERE"
gives 'a typed line of 65,537 bytes is an error' 1 '>> ' "unixSocket: stdin: $TOO_LONG\n"
without_stdout unixSocket "$WHERE"
stop TERM

against() { # WHAT INPUT STATUS STDOUT STDERR WORD...
    _title=$1 _keys=$2 _want=$3 _stdout=$4 _stderr=$5
    shift 5
    rm -f "$T/peer"
    peer_listen listen "$T/peer" accept "$@"
    typed "$_keys" unixSocket "$T/peer"
    gives "$_title" "$_want" "$_stdout" "$_stderr"
    peer_ends "$_title: on the wire"
}
against 'an echo in two pieces; a line waits for that of the one before' \
    'hello\nlast' 0 '>> Read: hello\n>> Read: last\n>> \n' '' \
    expect 'hello\n' drain nothing cut 2 'hello\n' expect 'last\n' send 'last\n' eof
if can segments 'two lines for one'; then
    against 'two lines for one are both shown' 'one\ntwo\n' 0 \
        '>> Read: one\nRead: more\n>> Read: two\n>> \n' '' \
        expect 'one\n' send 'one\nmore\n' expect 'two\n' send 'two\n' eof
fi
against 'an echo byte by byte' 'hello\n' 0 '>> Read: hello\n>> \n' '' echo 1
against 'STOP waits for its echo' 'STOP\nmore\n' 0 \
    '>> Read: STOP\nExiting UNIX domain socket client!\n' '' \
    expect 'STOP\n' nothing send-each 'STOP\n' eof
for _way in close reset; do
    against "the server is gone: $_way" 'hello\n' 1 '>> ' \
        "unixSocket: server: connection closed\n" expect 'hello\n' "$_way"
done
against 'an echo that never ends' 'hello\n' 1 '>> ' "unixSocket: server: $TOO_LONG\n" \
    expect 'hello\n' flood 20000000

typed 'hello\n' unixSocket "$T/dead"
gives 'a dead socket' 1 '' "unixSocket: $T/dead: Connection refused\n"
true_that 'a dead socket is not removed by a client' [ -S "$T/dead" ]

finish
