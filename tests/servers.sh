# servers.sh - what tcpS, otherTCPserver, concTCP and unixSocket -l do alike
# shellcheck shell=sh disable=SC2034,SC2153,SC2154
#
# The script sets, for its server $ME:
#   ANSWER      the peer's words that read the answer to "hello\n"
#   SHOWN       what the server prints for it
#   LISTENING   its first line on stderr, with @ for the port
#   QUIET       -q, if it has that option

begin() { # FLAG...: starts it and sets SERVER, WHERE (for the peer), OUT, ERR
    serve "$ME" "$@" 0
    WHERE=127.0.0.1:$PORT
}

served() { # WHAT: one client connects, is answered, and closes
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
CONTROLS='\x1b[31m\x07\0\ttab\r \\ \xed\x95\x9c \xc2\x9b \xff\x7fend\r\n'
PRINTED='\\x1b[31m\\x07\\x00\ttab\\x0d \\ \0355\0225\0234 \\xc2\\x9b \0377\\x7fend\n'
every_server() { # WORD...: they read the answer to CONTROLS
    begin
    is 'its first line says where it listens' "$(first_line)" "$(cat "$ERR")"
    served 'a client is served'
    file_is 'the line is on stdout when the answer is there' "$OUT" "$SHOWN"
    talk 'a line of control characters is answered' connect "$WHERE" send "$CONTROLS" "$@" \
        shut eof
    file_is 'control characters are printed as \xNN, all else as it is' "$OUT" \
        "$SHOWN${SHOWN%hello*}$PRINTED"
    stop TERM
    file_is 'there is no more on stderr' "$ERR" "$(first_line)\n"
    if [ -n "$QUIET" ]; then
        begin -q
        served '-q: a client is served'
        stop TERM
        gives '-q: nothing that clients send is printed' 143 '' "$(first_line)\n"
    fi

    signals
    bad_clients
    slow_clients
    no_stdout
    case $WHERE in
    /*) ;;
    *) tcp_only ;;
    esac
}

signals() {
    for _case in TERM:143 INT:130; do
        for _client in close 'send half drain' 'fill hello\n'; do
            begin
            # shellcheck disable=SC2086
            peer_start connect "$WHERE" $_client touch "$T/in" await "$T/out" gone
            reached in
            stop "${_case%:*}"
            is "SIG${_case%:*} ends it, whatever a client does: $_client" "${_case#*:}" \
                "$STATUS"
            : >"$T/out"
            peer_ends "SIG${_case%:*}: the client sees the end: $_client"
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
    talk 'a thousand clients connect and disconnect without STOP' churn 1000 "$WHERE"
    left_nothing 'a thousand clients leave nothing open' "$SERVER" "$_fds"
    stop TERM
    is 'after all of them SIGTERM ends it' 143 "$STATUS"
}

# Clients that misbehave over time.
slow_clients() {
    begin
    # shellcheck disable=SC2086
    talk 'a client that thinks between the bytes of a line' connect "$WHERE" \
        send hel pause 300 send 'lo\n' $ANSWER pause 300 send 'hello\n' $ANSWER shut eof
    # shellcheck disable=SC2086
    talk 'a client that reads its answers late' connect "$WHERE" \
        send 'hello\n' send 'hello\n' shut pause 300 $ANSWER $ANSWER eof
    # shellcheck disable=SC2086
    talk 'a client that half-closes at once is answered' connect "$WHERE" \
        send 'hello\n' shut $ANSWER eof
    peer_start connect "$WHERE" touch "$T/in" pause 300 shut eof
    reached in
    served 'a client that says nothing for a while does not harm the next one'
    peer_ends 'a client that says nothing for a while'
    stop TERM
}

no_stdout() {
    for STDOUT in /dev/full pipe; do
        _title="stdout $STDOUT"
        [ "$STDOUT" = pipe ] && _title='stdout a closed pipe' STDOUT='' SETUP=break-stdout
        begin
        STDOUT='' SETUP=''
        for _nth in first second third; do
            served "$_title: the $_nth client is served"
        done
        stop TERM
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
        is 'SO_KEEPALIVE and TCP_NODELAY' 'keepalive 1 nodelay 1' \
            "$("$PEER" connect "$WHERE" send 'hello\n' line options "$SERVER" | tail -n 1)"
    fi
    peer_start connect "$WHERE" send 'hello\n' line touch "$T/in" gone
    reached in
    stop TERM
    peer_ends 'a client is connected when the server ends'
    serve "$ME" "127.0.0.1:$PORT"
    served 'its address can be listened on again at once'
    stop TERM
}

# What clients send behind STOP, or in long lines, costs them no answer: closing with
# unread input would reset the connection. The words read the answers to HUNDRED lines.
HUNDRED=$(seq 1000 1099 | tr '\n' '|' | sed 's/|/\\n/g')
MORE=$(seq 2000 3999 | tr '\n' '|' | sed 's/|/\\n/g')
lingering() { # END WORD...: waits until the server is done with its client, and ends it
    _end=$1
    shift
    begin
    talk 'a hundred lines, STOP and more text: each line is answered' \
        connect "$WHERE" send "${HUNDRED}STOP\n$MORE" "$@" end
    "$_end"
    if need nc 'nc -N'; then
        begin
        printf '%b' "${HUNDRED}STOP\n$MORE" | nc -N 127.0.0.1 "$PORT" >"$T/answers"
        at_most 'nc -N: lines that are not answered' 0 \
            $((100 - $(sed '/^STOP/,$d' "$T/answers" | wc -l)))
        "$_end"
    fi
    begin
    peer_start connect "$WHERE" send 'hello\nSTOP\n' end touch "$T/in" await "$T/go"
    reached in
    "$_end"
    : >"$T/go"
    peer_ends 'a client that does not close after STOP: the server does, about 2 s later'
    rm "$T/go"
    begin
    peer_start connect "$WHERE" send 'STOP\n' stream 'more\n' gone
    peer_ends 'a client that never stops sending after STOP: the server closes'
    "$_end"
}

# For servers that answer lines: a line over 4,096 bytes is handled in pieces.
long_lines() {
    begin
    head -c 10000 /dev/zero | tr '\0' 'x' >"$T/long"
    head -c 4095 "$T/long" >"$T/line"
    talk 'a line of 4,096 bytes is one line' connect "$WHERE" send-file "$T/line" \
        send '\n' line shut eof
    talk 'a line of 10,001 bytes is three; what stands around it is answered' \
        connect "$WHERE" send 'hello\n' send-file "$T/long" send '\nhello\n' \
        line line line line line shut eof
    _label=${SHOWN%hello*}
    { printf '%b' "$_label" && cat "$T/line" && printf '%b' "\n$SHOWN" &&
        for _piece in 4096 4096 1808; do
            printf '%b' "$_label" && head -c $_piece "$T/long" && echo
        done && printf '%b' "$SHOWN"; } >"$T/want"
    true_that 'they are printed so' cmp "$T/want" "$OUT"
    stop TERM
    STDOUT=/dev/null
    begin
    STDOUT=
    _memory=$(memory_kb "$SERVER")
    talk '20 MB without a newline' connect "$WHERE" flood 20000000 shut end
    if can memory '20 MB without a newline cost no memory'; then
        at_most '20 MB without a newline cost no memory (kB)' $((_memory + 512)) \
            "$(memory_kb "$SERVER")"
    fi
    served 'the next client is served after that'
    stop TERM
}

# For servers that STOP ends, and that serve one client after another. The words read the
# answers to "hello\nSTOP\n".
one_after_another() { # WORD...
    for _at in 0 1 5 6 8 10; do
        begin
        talk "a line and STOP cut at byte $_at: answered" \
            connect "$WHERE" cut "$_at" 'hello\nSTOP\n' "$@" eof
        ended_by_stop
        gives "a line and STOP cut at byte $_at: the server's end" 0 \
            "${SHOWN}Exiting TCP server!\n" "$(first_line)\n"
    done
    for _word in 'STOP\n' ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n' 'STOP\nmore\n'; do
        begin
        talk "\"$_word\": the client's end" connect "$WHERE" send "$_word" end
        ended_by_stop
        gives "\"$_word\" is STOP" 0 'Exiting TCP server!\n' "$(first_line)\n"
    done
    begin
    for _word in stop STOPS 'S TOP' 'STOP it' 'STOP\0'; do
        talk "\"$_word\" is not STOP" connect "$WHERE" send "$_word\n" line shut eof
    done
    talk 'half a STOP of one client is not completed by the next' \
        connect "$WHERE" send ST shut end connect "$WHERE" send 'OP\n' line shut eof
    talk 'an unfinished STOP at the end is STOP' connect "$WHERE" send STOP shut end
    ended_by_stop
    is 'an unfinished STOP at the end: exit 0' 0 "$STATUS"
    begin
    peer_start connect "$WHERE" send 'hello\n' line touch "$T/first" await "$T/go" \
        send 'again\n' line shut eof
    _first=$PEER_PID _first_out=$PEER_OUT
    reached first
    peer_start connect "$WHERE" send 'second\n' touch "$T/second" line shut eof
    reached second
    : >"$T/go"
    peer_ends 'the second client is served when the first has disconnected'
    PEER_PID=$_first PEER_OUT=$_first_out
    peer_ends 'the first client is served to its end'
    file_is 'in this order' "$OUT" \
        "$SHOWN${SHOWN%hello*}again\n${SHOWN%hello*}second\n"
    talk 'a hundred clients at once: each is served in its turn' \
        deadline 60 queue 100 "$WHERE" "$T/go"
    rm "$T/go"
    stop TERM
}

ended_by_stop() {
    await_end "$SERVER"
}
