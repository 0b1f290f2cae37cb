#!/bin/sh
# unixSocket.sh - the echo server and client over a Unix domain socket
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"
# shellcheck source=conversation.sh
. "$ROOT/tests/conversation.sh"

WHERE=$T/socket
LISTENING="unixSocket: listening on $WHERE\n"
begin() {
    serve unixSocket -l "$@" "$WHERE"
    IDLE_FILES=$(descriptors "$SERVER")
}
ANSWER='expect hello\n'
SHOWN='Server got: hello\n'

every_server expect "$CONTROLS"
quiet
echo_server

# --- The socket file ----------------------------------------------------------------

mode_and_kind() {
    stat -c '%a %F' "$WHERE"
}
how_it_ended() {
    echo "$STATUS, the file is $([ -e "$WHERE" ] && echo left || echo removed)"
}
for _case in '000 TERM 143' '022 INT 130' '077 HUP 129'; do
    # shellcheck disable=SC2086
    set -- $_case
    umask "$1"
    begin
    umask 022
    is "umask $1: the file is for its owner alone" '600 socket' "$(mode_and_kind)"
    stop "$2"
    is "SIG$2 ends it, and the file is removed" "$3, the file is removed" \
        "$(how_it_ended)"
done
_run=$RUN_WITH
RUN_WITH="nohup $RUN_WITH"
begin
RUN_WITH=$_run
kill -HUP "$SERVER"
served 'nohup: SIGHUP stays ignored'
stop TERM
is 'nohup: SIGTERM ends it' '143, the file is removed' "$(how_it_ended)"

"$PEER" listen "$WHERE" >/dev/null
begin
served 'a socket on which nobody listens is replaced'
is 'by one that is for its owner alone' '600 socket' "$(mode_and_kind)"
stop TERM

# A server removes only its own file.
begin
_first=$SERVER
rm "$WHERE"
begin
kill "$_first"
await_end "$_first"
served 'a server that ends does not remove the socket of its successor'
mv "$WHERE" "$T/moved"
echo precious >"$WHERE"
stop TERM
is 'a text file in the place of the socket is not removed' precious "$(cat "$WHERE")"
rm "$WHERE" "$T/moved"

# Anything at PATH but a dead socket is an error, and untouched.
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
served 'the first server still serves'
stop TERM
for _words in "listen-udp $WHERE" "listen $WHERE connect $WHERE"; do
    # shellcheck disable=SC2086
    peer_start $_words touch "$T/in" await "$T/go"
    reached in
    in_use "the socket of \"$_words\""
    : >"$T/go"
    peer_ends "the owner of \"$_words\""
    rm "$WHERE"
done

# Paths that are no place for a socket, or too long: with its NUL it may have 108 bytes.
pad() { # LENGTH: prints a path of this length below $T
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
_long='empty, or too long for a socket'
refused '' "$_long"
refused "$(pad 108)" "$_long"
true_that 'no file of a shorter name is made' [ ! -e "$(pad 107)" ]
WHERE=$(pad 107)
begin
typed '100% sure\nSTOP\n' unixSocket "$WHERE"
gives 'a path of 107 bytes: the client talks to the server' 0 \
    '>> Read: 100% sure\n>> Read: STOP\nExiting UNIX domain socket client!\n' ''
stop TERM
WHERE=$T/socket

# --- Many clients -------------------------------------------------------------------

begin
talk 'clients at once, each its own echo; STOP is a line like any other' \
    connect "$WHERE" send one connect "$WHERE" send two connect "$WHERE" send 'STOP\n' \
    use 1 expect two use 0 expect one use 2 expect 'STOP\n' send on expect on \
    shut eof use 0 shut eof use 1 shut eof
stop TERM
begin -q
talk 'a crowd of clients' deadline 60 \
    repeat "$CROWD" connect "$WHERE" send 'one\ntwo\n' . \
    each expect 'one\ntwo\n' . each send 'three\n' expect 'three\n' shut closed close
left_nothing 'a crowd leaves nothing open' "$SERVER" "$IDLE_FILES"
stop TERM
_run=$RUN_WITH
RUN_WITH="prlimit --nofile=20 $RUN_WITH"
too_many 'ulimit -n 20, 40 clients' 40 "accept: $NO_FILES"
RUN_WITH=$_run

# --- The client ---------------------------------------------------------------------

LISTEN=$T/peer
PREFIX='Read: '
conversation 131072

sessions <<'END'
STOP is sent, its echo printed, then the exit message|hello\nSTOP\nmore\n|>> @hello\n>> @STOP\nExiting UNIX domain socket client!\n|echo 100
STOP waits for its echo|STOP\n|>> @STOP\nExiting UNIX domain socket client!\n|expect STOP\n nothing send-each STOP\n eof
STOP without a newline, white space around it| \tSTOP\r|>> @ \tSTOP\nExiting UNIX domain socket client!\n|echo 100
STOPS is not STOP|STOPS\n|>> @STOPS\n>> \n|echo 100
five lines without a wait between them|1\n2\n3\n4\n5\n|>> @1\n>> @2\n>> @3\n>> @4\n>> @5\n>> \n|echo 100
END
session 'the server closes instead of echoing STOP: exit 1' 'STOP\n' 1 '>> ' \
    'unixSocket: server: connection closed\n' expect 'STOP\n' close

typed 'hello\n' unixSocket "$T/dead"
gives 'a dead socket' 1 '' "unixSocket: $T/dead: Connection refused\n"

finish
