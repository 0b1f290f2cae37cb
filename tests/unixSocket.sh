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

# The socket file.
mode_and_kind() {
    stat -c '%a %F' "$1"
}
for _mask in 000 022 077; do
    umask "$_mask"
    begin
    is "umask $_mask: the file is for its owner alone" '600 socket' \
        "$(mode_and_kind "$WHERE")"
    stop TERM
    umask 022
done
for _signal in TERM INT; do
    begin
    stop "$_signal"
    true_that "SIG$_signal removes the file" [ ! -e "$WHERE" ]
    begin
    peer_start connect "$WHERE" send half drain touch "$T/in" gone
    reached in
    stop "$_signal"
    peer_ends "SIG$_signal with a client there: the client sees the end"
    true_that "SIG$_signal with a client there removes the file" [ ! -e "$WHERE" ]
done
begin
rm "$WHERE"
echo mine >"$WHERE"
stop TERM
is 'a file that took the place of the socket: exit 0' 0 "$STATUS"
is 'a file that took the place of the socket stays' mine "$(cat "$WHERE")"
rm "$WHERE"
begin
_first=$SERVER
rm "$WHERE"
begin
SERVER=$_first
_second=$STARTED_PID
stop TERM
served 'a server that took the place of another is not removed with it'
SERVER=$_second
stop TERM

# What is at PATH already.
begin
kill -KILL "$SERVER"
await_end "$SERVER"
is 'a server that was killed leaves its socket' '600 socket' "$(mode_and_kind "$WHERE")"
begin
served 'a socket nobody listens on is replaced'
stop TERM
"$PEER" listen "$WHERE" >/dev/null
begin
served 'a socket that another program left is replaced'
is 'a socket nobody listens on is replaced: mode' '600 socket' "$(mode_and_kind "$WHERE")"
stop TERM
refused() { # WHAT REASON
    typed '' unixSocket -l "$WHERE"
    gives "$1" 1 '' "unixSocket: listen $WHERE: $2\n"
}
echo precious >"$WHERE"
refused 'a regular file at PATH' 'File exists and is not a socket'
is 'a regular file at PATH is untouched' precious "$(cat "$WHERE")"
rm "$WHERE"
: >"$WHERE"
refused 'an empty file at PATH' 'File exists and is not a socket'
is 'an empty file at PATH is untouched' '644 regular empty file' \
    "$(mode_and_kind "$WHERE")"
rm "$WHERE"
mkdir "$WHERE"
refused 'a directory at PATH' 'File exists and is not a socket'
true_that 'a directory at PATH is untouched' rmdir "$WHERE"
mkfifo "$WHERE"
refused 'a FIFO at PATH' 'File exists and is not a socket'
true_that 'a FIFO at PATH is untouched' [ -p "$WHERE" ]
rm "$WHERE"
echo precious >"$T/target"
ln -s "$T/target" "$WHERE"
refused 'a link to a file at PATH' 'File exists and is not a socket'
is 'a link to a file at PATH is untouched' precious "$(cat "$WHERE")"
rm "$WHERE"
ln -s "$T/nowhere" "$WHERE"
typed '' unixSocket -l "$WHERE"
is 'a link to nothing at PATH: exit 1' 1 "$STATUS"
true_that 'a link to nothing at PATH is untouched' [ -L "$WHERE" ]
rm "$WHERE"
begin
refused 'a second server on PATH' "$IN_USE"
served 'a second server on PATH: the first one serves on'
is 'a second server on PATH: the socket is untouched' '600 socket' \
    "$(mode_and_kind "$WHERE")"
stop TERM
peer_listen listen-udp "$WHERE" await "$T/go"
typed '' unixSocket -l "$WHERE"
is 'a datagram socket in use at PATH: exit 1' 1 "$STATUS"
is 'a datagram socket in use at PATH: one line' 1 "$(lines "$ERR")"
like 'a datagram socket in use at PATH: an error' "unixSocket: listen $WHERE: *" \
    "$(cat "$ERR")"
true_that 'a datagram socket in use at PATH is untouched' [ -S "$WHERE" ]
: >"$T/go"
peer_ends 'the owner of the datagram socket'
rm "$T/go" "$WHERE"
peer_listen backlog 0 listen "$WHERE" connect "$WHERE" touch "$T/in" await "$T/go"
reached in
typed '' unixSocket -l "$WHERE"
gives 'a busy server at PATH, its backlog full, is in use' 1 '' \
    "unixSocket: listen $WHERE: $IN_USE\n"
true_that 'a busy server at PATH is untouched' [ -S "$WHERE" ]
: >"$T/go"
peer_ends 'the busy server'
rm "$T/go" "$WHERE"
WHERE=$T/no/such
refused 'no such folder' 'No such file or directory'

# Servers that start in the same instant: the last to take PATH has it, and can be reached.
for _round in 1 2 3 4 5 6 7 8; do
    WHERE=$T/race
    "$PEER" listen "$WHERE" >/dev/null
    _pids='' _errs=''
    for _nth in 1 2 3 4; do
        launch unixSocket -l "$WHERE"
        _pids="$_pids $STARTED_PID" _errs="$_errs $ERR"
    done
    _up=0
    for _err in $_errs; do
        wait_for 10 has_line "$_err"
        # shellcheck disable=SC2086
        has "$_err" 'listening on' && _up=$((_up + 1))
    done
    true_that "four servers at once on a dead socket, round $_round: it is served" \
        [ "$_up" -ge 1 ]
    served "four servers at once on a dead socket, round $_round: it can be reached"
    for SERVER in $_pids; do
        stop TERM
    done
    rm -f "$WHERE"
done

# PATH's length: sun_path holds 108 bytes with the NUL.
pad() { # LENGTH: a path so long below $T
    _path=$T/
    while [ ${#_path} -lt "$1" ]; do
        _path=${_path}p
    done
    echo "$_path"
}
WHERE=$(pad 107)
begin
is 'a path of 107 bytes' "unixSocket: listening on $WHERE" "$(cat "$ERR")"
served 'a path of 107 bytes: a client is served'
typed 'hello\n' unixSocket "$WHERE"
gives 'a path of 107 bytes: the client' 0 '>> Read: hello\n>> \n' ''
stop TERM
true_that 'a path of 107 bytes is removed' [ ! -e "$WHERE" ]
typed '' unixSocket ''
gives 'an empty path: the client' 1 '' 'unixSocket: connect "": empty path\n'
typed '' unixSocket -l ''
gives 'an empty path' 1 '' 'unixSocket: listen "": empty path\n'
for _length in 108 109 300; do
    WHERE=$(pad "$_length")
    refused "a path of $_length bytes" 'path longer than 107 bytes'
    typed '' unixSocket "$WHERE"
    gives "a path of $_length bytes: the client" 1 '' \
        "unixSocket: connect $WHERE: path longer than 107 bytes\n"
    true_that "a path of $_length bytes: no file, cut or not" [ ! -e "$(pad 107)" ]
done
cd "$T" || exit 1
WHERE=short
begin
served_from_here() {
    typed 'hello\n' unixSocket ./short
    gives 'a path without a slash' 0 '>> Read: hello\n>> \n' ''
}
served_from_here
stop TERM
cd "$ROOT" || exit 1
WHERE=$T/socket

# Others may not come in.
if possible 'another user' 'becoming another user is for root' "$PEER" user 54321 run true
then
    begin
    true_that 'another user is not let in' sh -c "! '$PEER' user 54321 connect '$WHERE' 2>'$T/why'"
    true_that 'another user is not let in: by its permissions' has "$T/why" 'Permission denied'
    stop TERM
fi

# A thread for each client; STOP ends neither.
begin
talk 'clients at once, each its own echo' \
    connect "$WHERE" send one connect "$WHERE" send two connect "$WHERE" send three \
    use 1 expect two use 0 expect one use 2 expect three \
    use 0 send STOP use 0 expect STOP use 0 send '\n' expect '\n' send 'STOP\n' \
    expect 'STOP\n' send 'on\n' expect 'on\n' use 1 shut eof use 2 shut eof use 0 shut eof
stop TERM
is 'STOP does not end the server' 0 "$STATUS"
begin -q
_fds=$(descriptors "$SERVER")
for _how in shut leave shut; do
    talk "2,000 clients at once, then: $_how" \
        deadline 60 crowd 2000 "$WHERE" echo 0 "$_how"
    left_nothing "2,000 clients leave nothing, then: $_how" "$SERVER" "$_fds"
    [ "$_how" = leave ] && _memory=$(memory_kb "$SERVER")
done
if can memory 'nor any memory'; then
    at_most 'nor any memory (kB)' $((_memory + 256)) "$(memory_kb "$SERVER")"
fi
stop TERM

# Out of descriptors, out of threads.
SETUP='files 20'
begin -q
SETUP=
peer_start deadline 60 queue 40 "$WHERE" "$T/go"
comes 'ulimit -n 20, 40 clients: it says so' "$ERR" \
    "unixSocket: accept: $NO_FILES: waiting"
true_that 'ulimit -n 20, 40 clients: and waits, without turning in circles' \
    wait_for 10 has_waited "$SERVER" $(($(waits "$SERVER") + 3))
: >"$T/go"
peer_ends 'ulimit -n 20, 40 clients: each is answered when others have left'
rm "$T/go"
served 'ulimit -n 20: the next client is served'
stop TERM
gives 'ulimit -n 20: it said so once' 0 '' \
    "$(first_line)\nunixSocket: accept: $NO_FILES: waiting\n"
if possible 'no more threads' 'becoming another user is for root' \
    "$PEER" user 54321 run true; then
    mkdir "$T/open"
    chmod 777 "$T/open"
    cp "$(program unixSocket)" "$T/open/unixSocket"
    chmod 755 "$T/open/unixSocket"
    _build=$BUILD
    BUILD=$T/open
    WHERE=$T/open/socket
    SETUP='processes 8 user 54321'
    begin -q
    SETUP=
    BUILD=$_build
    peer_start deadline 60 queue 20 "$WHERE" "$T/go"
    comes 'no more threads, 20 clients: it says so' "$ERR" \
        'unixSocket: pthread_create: Resource temporarily unavailable: waiting'
    true_that 'no more threads, 20 clients: and waits, without turning in circles' \
        wait_for 10 has_waited "$SERVER" $(($(waits "$SERVER") + 3))
    : >"$T/go"
    peer_ends 'no more threads, 20 clients: each is answered when others have left'
    rm "$T/go"
    served 'no more threads: the next client is served'
    stop TERM
    is 'no more threads: exit 0' 0 "$STATUS"
    is 'no more threads: it said so once' 2 "$(lines "$ERR")"
    WHERE=$T/socket
fi

# --- The client ---------------------------------------------------------------------

begin
typed 'hello\nSTOP\n' unixSocket "$WHERE"
gives 'the chapter: a session' 0 \
    '>> Read: hello\n>> Read: STOP\nExiting UNIX domain socket client!\n' ''
typed 'hello\n' unixSocket "$WHERE"
gives 'the end of stdin ends the prompt' 0 '>> Read: hello\n>> \n' ''
typed '' unixSocket "$WHERE"
gives 'the end of stdin at once' 0 '>> \n' ''
typed 'one\n\nlast' unixSocket "$WHERE"
gives 'lines of a pipe, an empty one, an unfinished one' 0 \
    '>> Read: one\n>> Read: \n>> Read: last\n>> \n' ''
typed '100% sure %s%n\n' unixSocket "$WHERE"
gives 'a percent sign is text' 0 '>> Read: 100% sure %s%n\n>> \n' ''
typed 'a\0000b\0033[1m\0303\0251\r\n' unixSocket "$WHERE"
gives 'control bytes come back and are shown' 0 \
    '>> Read: a\\x00b\\x1b[1m\0303\0251\n>> \n' ''
for _size in 255 256 257 1024 65536; do
    _long=$(head -c "$_size" "$T/long")
    typed "$_long\nnext\n" unixSocket "$WHERE"
    gives "a line of $_size bytes, and the next one" 0 \
        ">> Read: $_long\n>> Read: next\n>> \n" ''
done
typed "x$_long\n" unixSocket "$WHERE"
gives 'a typed line of 65,537 bytes is an error' 1 '>> ' \
    'unixSocket: read stdin: line longer than 65536 bytes\n'
_in='' _want=''
for _nth in 1 2 3 4 5 6 7 8 9 10; do
    _in="$_in$_nth\n" _want="$_want>> Read: $_nth\n"
done
_start=$(date +%s)
typed "$_in$_in" unixSocket "$WHERE"
gives 'twenty lines' 0 "$_want$_want>> \n" ''
at_most 'without sleeping between them (s)' $((4 * SLOW)) $(($(date +%s) - _start))
for _word in ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n' STOP; do
    typed "$_word" unixSocket "$WHERE"
    is "\"$_word\" is STOP: exit 0" 0 "$STATUS"
    is "\"$_word\" is STOP: the farewell" 'Exiting UNIX domain socket client!' \
        "$(tail -n 1 "$OUT")"
done
for _word in stop STOPS 'S TOP' 'STOP it'; do
    typed "$_word\n" unixSocket "$WHERE"
    gives "\"$_word\" is not STOP" 0 ">> Read: $_word\n>> \n" ''
done
open_client unixSocket "$WHERE"
becomes 'the prompt stands there before anything is typed' "$OUT" '>> '
type_in 'hel'
type_in 'lo\n'
becomes 'and after the reply' "$OUT" '>> Read: hello\n>> '
kill -INT "$CLIENT"
await_end "$CLIENT"
end_input
is 'SIGINT at the prompt ends it as any program' 130 "$STATUS"
served 'the server goes on'
for STDOUT in /dev/full -; do
    _why='No space left on device'
    [ "$STDOUT" = - ] && _why='Bad file descriptor'
    typed 'hello\n' unixSocket "$WHERE"
    is "the client, stdout $STDOUT: exit 1" 1 "$STATUS"
    file_is "the client, stdout $STDOUT: it says so" "$ERR" \
        "unixSocket: write stdout: $_why\n"
done
STDOUT=
SETUP=break-stdout
typed 'hello\n' unixSocket "$WHERE"
SETUP=
gives 'the client, stdout a closed pipe' 1 '' 'unixSocket: write stdout: Broken pipe\n'
stop TERM

against() { # WHAT INPUT STATUS STDOUT STDERR WORD...
    _title=$1 _keys=$2 _want=$3 _stdout=$4 _stderr=$5
    shift 5
    peer_listen listen "$T/peer" accept "$@"
    typed "$_keys" unixSocket "$T/peer"
    gives "$_title" "$_want" "$_stdout" "$_stderr"
    peer_ends "$_title: on the wire"
    rm "$T/peer"
}
for _at in 0 1 2 3 4 5 6; do
    against "an echo cut at byte $_at" 'hello\nnext\n' 0 \
        '>> Read: hello\n>> Read: next\n>> \n' '' \
        expect 'hello\n' cut "$_at" 'hello\n' expect 'next\n' send 'next\n' eof
done
against 'an echo byte by byte' 'hello\nhi\n' 0 '>> Read: hello\n>> Read: hi\n>> \n' '' echo 1
against 'a line goes out with exactly one newline' 'a\nlast' 0 \
    '>> Read: a\n>> Read: last\n>> \n' '' \
    expect 'a\n' drain nothing send 'a\n' expect 'last\n' send 'last\n' eof
against 'STOP waits for its echo' 'STOP\n' 0 \
    '>> Read: STOP\nExiting UNIX domain socket client!\n' '' \
    expect 'STOP\n' send-each 'STOP\n' eof
for _way in close reset; do
    against "the server is gone: $_way" 'hello\n' 1 '>> ' \
        "unixSocket: $T/peer: connection closed by server\n" expect 'hello\n' "$_way"
    against "the server is gone in the middle of the echo: $_way" 'hello\n' 1 '>> ' \
        "unixSocket: $T/peer: connection closed by server\n" \
        expect 'hello\n' send hel drain "$_way"
done
typed 'hello\n' unixSocket "$T/nothing"
gives 'no server' 1 '' "unixSocket: connect $T/nothing: No such file or directory\n"
"$PEER" listen "$T/dead" >/dev/null
typed 'hello\n' unixSocket "$T/dead"
gives 'a dead socket' 1 '' "unixSocket: connect $T/dead: Connection refused\n"
true_that 'a dead socket is not removed by a client' [ -S "$T/dead" ]

if need nc 'nc -U and nc -lU'; then
    begin
    printf 'hello\nSTOP\nlast' | nc -N -U "$WHERE" >"$T/nc.out"
    file_is 'nc -NU gets back what it sent' "$T/nc.out" 'hello\nSTOP\nlast'
    file_is 'and all of it is printed' "$OUT" \
        'Server got: hello\nServer got: STOP\nServer got: last\n'
    stop TERM
    mkfifo "$T/nc-keys"
    nc -lU "$T/nc" <"$T/nc-keys" >"$T/nc.out" 2>/dev/null &
    _nc=$!
    STARTED="$STARTED $_nc"
    exec 4>"$T/nc-keys"
    wait_for 10 [ -S "$T/nc" ]
    open_client unixSocket "$T/nc" 4>&-
    type_in 'to nc\n'
    becomes 'nc -lU reads a line' "$T/nc.out" 'to nc\n'
    echo 'to nc' >&4
    becomes 'nc -lU answers' "$OUT" '>> Read: to nc\n>> '
    end_input
    await_end "$CLIENT"
    exec 4>&-
    await_end "$_nc"
fi

finish
