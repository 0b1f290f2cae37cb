# servers.sh - what tcpS, otherTCPserver, concTCP and unixSocket -l do alike
# shellcheck shell=sh disable=SC2034,SC2153,SC2154
#
# The script sets, for its server $ME:
#   begin FLAG...    starts it and sets SERVER, WHERE (for the peer), OUT, ERR
#   ANSWER           the peer's words that take the answer to "hello\n"
#   SHOWN            what the server prints for it
#   LISTENING        its first line on stderr, with @ for the port

served() { # WHAT: one client comes, is answered, and goes
    # shellcheck disable=SC2086
    talk "$1" connect "$WHERE" send 'hello\n' $ANSWER shut eof
}

first_line() {
    printf '%s' "$LISTENING" | sed "s/@/$PORT/"
}

# The WORDs take the answer to CONTROLS.
CONTROLS='\x1b[31m\x07\0\ttab \\ \xc3\xa9 \xc2\x9b \xff\x7fend\r\n'
every_server() { # WORD...
    begin
    is 'its first line says where it listens' "$(first_line)" "$(cat "$ERR")"
    served 'a client is served'
    file_is 'the line is on stdout when the answer is there' "$OUT" "$SHOWN"
    file_is 'and there is no more on stderr' "$ERR" "$(first_line)\n"

    # Text from the network.
    talk 'a line of control bytes is answered' connect "$WHERE" send "$CONTROLS" "$@" \
        shut eof
    file_is 'control bytes are printed as \xNN, UTF-8 and tab as they are' "$OUT" \
        "$SHOWN$(printf '%s' "$SHOWN" | sed 's/hello.*//')\\\\x1b[31m\\\\x07\\\\x00\ttab \\\\ \0303\0251 \\\\xc2\\\\x9b \\\\xff\\\\x7fend\n"
    stop TERM

    # Signals.
    for _signal in TERM INT; do
        begin
        stop "$_signal"
        gives "SIG$_signal: exit 0" 0 '' "$(first_line)\n"
        begin
        peer_start connect "$WHERE" send 'half' drain touch "$T/in" gone
        reached in
        stop "$_signal"
        is "SIG$_signal with a client in the middle of a line: exit 0" 0 "$STATUS"
        peer_ends "SIG$_signal: that client sees the end"
        begin
        peer_start connect "$WHERE" fill 'hello\n' touch "$T/in" await "$T/out"
        reached in
        stop "$_signal"
        is "SIG$_signal with a client that does not read: exit 0" 0 "$STATUS"
        : >"$T/out"
        peer_ends "SIG$_signal with a client that does not read: the client's side"
        rm -f "$T/out"
    done

    # Clients that go in bad order.
    begin
    # shellcheck disable=SC2086
    for _way in 'reset' 'send half reset' 'send half close' 'close' \
        'send hello\n reset' 'send hello\nhello\nhello\n close' 'shut eof' \
        'send hello\n drain reset' 'fill hello\n reset' 'fill hello\n close'; do
        talk "a client that does: $_way" connect "$WHERE" $_way
        served "the next one after: $_way"
    done
    if [ "${WHERE#/}" = "$WHERE" ] && need nc 'nc -z'; then
        true_that 'nc -z finds it' nc -z "${WHERE%:*}" "${WHERE##*:}"
        served 'the next one after: nc -z'
    fi
    is 'and the server is still there' yes "$(over "$SERVER" && echo no || echo yes)"
    stop TERM
    is 'and ends with 0' 0 "$STATUS"

    # Nothing is left behind.
    begin
    served 'a first client'
    wait_for 10 has_threads "$SERVER" "$IDLE_THREADS"
    _fds=$(descriptors "$SERVER")
    talk 'a thousand clients come and go without STOP' churn 1000 "$WHERE"
    left_nothing 'the first thousand leaves nothing' "$SERVER" "$_fds"
    _memory=$(memory_kb "$SERVER")
    talk 'a second thousand' churn 1000 "$WHERE"
    left_nothing 'the second thousand leaves nothing' "$SERVER" "$_fds"
    if can memory 'the second thousand costs no memory'; then
        at_most 'the second thousand costs no memory (kB)' $((_memory + 64)) \
            "$(memory_kb "$SERVER")"
    fi
    served 'the next one is served'
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
        served "$_title: the first client is served"
        comes "$_title: it says so at the first line" "$ERR" \
            "$ME: write stdout: $_why"
        for _nth in second third; do
            served "$_title: the $_nth client is served"
        done
        file_is "$_title: it says so once" "$ERR" \
            "$(first_line)\n$ME: write stdout: $_why\n"
        stop TERM
        is "$_title: and ends with 0" 0 "$STATUS"
    done
    mkfifo "$T/flushed"
    cat "$T/flushed" >"$T/read" &
    STARTED="$STARTED $!"
    STDOUT=$T/flushed
    begin
    STDOUT=
    served 'stdout a pipe: a client is served'
    becomes 'stdout a pipe: each line is flushed' "$T/read" "$SHOWN"
    stop TERM
    begin -q
    served '-q: a client is served'
    stop TERM
    gives '-q: nothing of it is printed' 0 '' "$(first_line)\n"
}

# TCP servers only; the peer's connection is the first and only one.
tcp_options() {
    begin
    if possible 'the options of an accepted connection' \
        'looking into another process is not allowed here' \
        "$PEER" connect "$WHERE" send 'hello\n' line options "$SERVER"; then
        is 'SO_KEEPALIVE after 15 s and every 15 s, TCP_NODELAY' \
            'keepalive 1 idle 15 interval 15 nodelay 1' \
            "$("$PEER" connect "$WHERE" send 'hello\n' line options "$SERVER" | sed 1d)"
    fi
    stop TERM

    # The address can be listened on again at once, though connections linger.
    begin
    _port=$PORT
    peer_start connect "$WHERE" send 'hello\n' line touch "$T/in" gone
    reached in
    stop TERM
    peer_ends 'a client is there when the server ends'
    serve "$ME" "$_port"
    WHERE=127.0.0.1:$PORT
    served 'the same port serves again at once'
    stop TERM

    # 0, 1 and 2 closed: no socket may take their places.
    _port=$("$PEER" free-port)
    # shellcheck disable=SC2086
    "$PEER" run $RUN_WITH "$(program "$ME")" "$_port" <&- >&- 2>&- &
    SERVER=$!
    STARTED="$STARTED $SERVER"
    WHERE=127.0.0.1:$_port
    wait_for 10 "$PEER" connect "$WHERE" close 2>/dev/null
    served 'stdin, stdout and stderr closed: a client is served'
    served 'stdin, stdout and stderr closed: the next one too'
    stop TERM
    is 'stdin, stdout and stderr closed: exit 0' 0 "$STATUS"
}

# For servers that answer lines.
line_limits() {
    begin
    head -c 65536 /dev/zero | tr '\0' 'x' >"$T/x65536"
    { cat "$T/x65536" && echo; } >"$T/line"
    # shellcheck disable=SC2086
    talk 'a line of 65,536 bytes is answered' connect "$WHERE" send-file "$T/line" \
        $ANSWER shut eof
    { printf '%s' "${SHOWN%hello*}" && cat "$T/line"; } >"$T/want"
    true_that 'and printed whole' cmp -s "$T/want" "$OUT"
    talk 'a line of 65,537 bytes: the connection is closed' \
        connect "$WHERE" send x send-file "$T/line" gone
    comes 'and told off on stderr' "$ERR" ': line longer than 65536 bytes'
    like 'in one line with its address' \
        "$ME: read 127.0.0.1:*: line longer than 65536 bytes" "$(sed 1d "$ERR")"
    is 'in one line' 2 "$(lines "$ERR")"
    true_that 'nothing of it is printed' cmp -s "$T/want" "$OUT"
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
