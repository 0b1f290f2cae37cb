# servers.sh - what tcpS, otherTCPserver, concTCP and unixSocket -l do alike
# shellcheck shell=sh disable=SC2034,SC2153,SC2154
#
# The script sets, for its server $ME:
#   ANSWER           the peer's words that take the answer to "hello\n"
#   SHOWN            what the server prints for it
#   LISTENING        its first line on stderr, with @ for the port

begin() { # FLAG...: starts it and sets SERVER, WHERE (for the peer), OUT, ERR
    serve "$ME" "$@" 0
    WHERE=127.0.0.1:$PORT
}

served() { # WHAT: one client comes, is answered, and goes
    # shellcheck disable=SC2086
    talk "$1" connect "$WHERE" send 'hello\n' $ANSWER shut eof
}

first_line() {
    printf '%s' "$LISTENING" | sed "s/@/$PORT/"
}

# Programs become copies that every user may run: a checkout may be closed to others.
open_to_all() { # NAME...
    mkdir "$T/open"
    for _name in "$@"; do
        cp "$(program "$_name")" "$T/open/$_name"
        chmod 755 "$T/open" "$T/open/$_name"
    done
    BUILD=$T/open
}

# A line of control characters, and how it is printed.
CONTROLS='\x1b[31m\x07\0\ttab \\ \xed\x95\x9c \xc2\x9b \xff\x7fend\r\n'
PRINTED='\\x1b[31m\\x07\\x00\ttab \\ \0355\0225\0234 \0302\\x9b \0377\\x7fend\n'
every_server() { # WORD...: they take the answer to CONTROLS
    begin
    is 'its first line says where it listens' "$(first_line)" "$(cat "$ERR")"
    served 'a client is served'
    file_is 'the line is on stdout when the answer is there' "$OUT" "$SHOWN"
    talk 'a line of control bytes is answered' connect "$WHERE" send "$CONTROLS" "$@" \
        shut eof
    file_is 'control bytes are printed as \xNN, all else as it is' "$OUT" \
        "$SHOWN${SHOWN%hello*}$PRINTED"
    stop TERM
    file_is 'there is no more on stderr' "$ERR" "$(first_line)\n"
    begin -q
    served '-q: a client is served'
    stop TERM
    gives '-q: nothing of it is printed' 0 '' "$(first_line)\n"

    signals
    bad_clients
    no_stdout
    case $WHERE in
    /*) ;;
    *) tcp_only ;;
    esac
}

signals() {
    for _signal in TERM INT; do
        for _client in close 'send half drain' 'fill hello\n'; do
            begin
            # shellcheck disable=SC2086
            peer_start connect "$WHERE" $_client touch "$T/in" await "$T/out" gone
            reached in
            stop "$_signal"
            is "SIG$_signal, a client did \"$_client\": exit 0 at once" 0 "$STATUS"
            : >"$T/out"
            peer_ends "SIG$_signal, a client did \"$_client\": it sees the end"
            rm "$T/out"
        done
    done
}

# Clients that go in bad order cost nobody anything.
bad_clients() {
    begin
    # shellcheck disable=SC2086
    for _way in close reset 'send half reset' 'send half close' 'shut eof' \
        'send hello\n reset' 'send hello\nhello\nhello\n close' \
        'send hello\n drain reset' 'fill hello\n reset' 'fill hello\n close'; do
        talk "a client that does: $_way" connect "$WHERE" $_way
        served "the next one after: $_way"
    done
    wait_for 10 has_threads "$SERVER" "$IDLE_THREADS"
    _fds=$(descriptors "$SERVER")
    talk 'a thousand clients come and go without STOP' churn 1000 "$WHERE"
    left_nothing 'a thousand clients leave nothing' "$SERVER" "$_fds"
    stop TERM
    is 'after all of them SIGTERM ends it with 0' 0 "$STATUS"
}

no_stdout() {
    for STDOUT in /dev/full - pipe; do
        _title="stdout $STDOUT"
        [ "$STDOUT" = pipe ] && _title='stdout a closed pipe' STDOUT='' SETUP=break-stdout
        begin
        STDOUT='' SETUP=''
        for _nth in first second third; do
            served "$_title: the $_nth client is served"
        done
        stop TERM
        is "$_title: and ends with 0" 0 "$STATUS"
    done
}

tcp_only() {
    begin
    if need nc 'nc -z'; then
        true_that 'nc -z finds it' nc -z 127.0.0.1 "$PORT"
        served 'the next one after: nc -z'
    fi
    if possible 'the options of an accepted connection' \
        'looking into another process is not allowed here' \
        "$PEER" connect "$WHERE" send 'hello\n' line options "$SERVER"; then
        is 'SO_KEEPALIVE after 15 s and every 15 s, TCP_NODELAY' \
            'keepalive 1 idle 15 interval 15 nodelay 1' \
            "$("$PEER" connect "$WHERE" send 'hello\n' line options "$SERVER" | tail -n 1)"
    fi
    peer_start connect "$WHERE" send 'hello\n' line touch "$T/in" gone
    reached in
    stop TERM
    peer_ends 'a client is there when the server ends'

    # Its address can be listened on again at once, though that connection lingers. And no
    # socket takes the place of 0, 1 or 2 that are closed.
    # shellcheck disable=SC2086
    "$PEER" run $RUN_WITH "$(program "$ME")" "127.0.0.1:$PORT" <&- >&- 2>&- &
    SERVER=$!
    STARTED="$STARTED $SERVER"
    wait_for 10 "$PEER" connect "$WHERE" close 2>/dev/null
    for _nth in first second; do
        served "stdin, stdout and stderr closed: the $_nth client is served"
    done
    stop TERM
    is 'stdin, stdout and stderr closed: exit 0' 0 "$STATUS"
}

# For servers that answer lines; WHO is told off on stderr, the third client.
line_limits() { # WHO
    begin
    served 'a first client'
    head -c 4095 /dev/zero | tr '\0' 'x' >"$T/long"
    echo >>"$T/long"
    # shellcheck disable=SC2086
    talk 'a line of 4,096 bytes is answered' connect "$WHERE" send-file "$T/long" \
        $ANSWER shut eof
    talk 'a line of 4,097 bytes: the connection is closed' \
        connect "$WHERE" send x send-file "$T/long" gone
    becomes 'and told off on stderr, in one line' "$ERR" \
        "$(first_line)\n$ME: $1: $TOO_LONG\n"
    { printf '%b' "$SHOWN${SHOWN%hello*}" && cat "$T/long"; } >"$T/want"
    true_that 'printed is the one whole, and nothing of the other' cmp -s "$T/want" "$OUT"
    served 'the next client is served'
    _memory=$(memory_kb "$SERVER")
    talk '200 MiB without a newline: the connection is closed' \
        connect "$WHERE" flood 209715200
    if can memory '200 MiB without a newline cost no memory'; then
        at_most '200 MiB without a newline cost no memory (kB)' $((_memory + 256)) \
            "$(memory_kb "$SERVER")"
    fi
    served 'the next client is served after that'
    stop TERM
}

# What is STOP and what is not, to a server that STOP ends; and one client after another.
# The WORDs take the answer to a line and STOP.
one_after_another() { # WORD...
    for _at in 0 1 5 6 8 10; do
        begin
        talk "a line and STOP cut at byte $_at: answered" \
            connect "$WHERE" cut "$_at" 'hello\nSTOP\n' "$@" eof
        await_end "$SERVER"
        gives "a line and STOP cut at byte $_at: the server's end" 0 \
            "${SHOWN}Exiting TCP server!\n" "$(first_line)\n"
    done
    for _word in 'STOP\n' ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n' 'STOP\nmore\n'; do
        begin -q
        talk "\"$_word\": the client's end" connect "$WHERE" send "$_word" gone
        await_end "$SERVER"
        gives "\"$_word\" is STOP" 0 'Exiting TCP server!\n' "$(first_line)\n"
    done
    begin
    for _word in stop STOPS 'S TOP' 'STOP it' 'STOP\0'; do
        talk "\"$_word\" is not STOP" connect "$WHERE" send "$_word\n" line shut eof
    done
    talk 'half a STOP of one client is not ended by the next' \
        connect "$WHERE" send ST shut gone connect "$WHERE" send 'OP\n' line shut eof
    talk 'an unfinished STOP at the end is STOP' connect "$WHERE" send STOP shut gone
    await_end "$SERVER"
    is 'an unfinished STOP at the end: exit 0' 0 "$STATUS"
    begin
    peer_start connect "$WHERE" send 'hello\n' line touch "$T/first" await "$T/go" \
        send 'again\n' line shut eof
    _first=$PEER_PID _first_out=$PEER_OUT
    reached first
    peer_start connect "$WHERE" send 'second\n' touch "$T/second" line shut eof
    reached second
    : >"$T/go"
    peer_ends 'the second client is served when the first has gone'
    PEER_PID=$_first PEER_OUT=$_first_out
    peer_ends 'the first client is served to its end'
    file_is 'in this order' "$OUT" \
        "$SHOWN${SHOWN%hello*}again\n${SHOWN%hello*}second\n"
    talk 'a hundred clients at once: each is served in its turn' \
        deadline 60 queue 100 "$WHERE" "$T/go"
    stop TERM
}
