# servers.sh - what tcpS, otherTCPserver, concTCP and unixSocket -l have in common
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

# Copies programs to where every user may run them: the checkout may be closed to others.
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
    is 'its first line is its address' "$(first_line)" "$(cat "$ERR")"
    served 'a client is served'
    file_is 'the line is on stdout before the answer is sent' "$OUT" "$SHOWN"
    talk 'a line of control characters is answered' connect "$WHERE" send "$CONTROLS" "$@" \
        shut eof
    file_is 'control characters are printed as \xNN, all else as it is' "$OUT" \
        "$SHOWN${SHOWN%hello*}$PRINTED"
    stop TERM
    file_is 'nothing else is on stderr' "$ERR" "$(first_line)\n"
    if [ -n "$QUIET" ]; then
        begin -q
        served '-q: a client is served'
        stop TERM
        gives '-q: nothing that clients send is printed' 143 '' "$(first_line)\n"
    fi
    signals
    bad_clients
    broken_stdout three_clients
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
            peer_start connect "$WHERE" $_client touch "$T/in" await "$T/out" closed
            reached in
            stop "${_case%:*}"
            is "SIG${_case%:*} ends the server after: $_client" "${_case#*:}" "$STATUS"
            : >"$T/out"
            peer_ends "SIG${_case%:*} ends the connection after: $_client"
        done
    done
}

# Clients that disconnect, reset or do not read affect no other client.
bad_clients() {
    begin
    # shellcheck disable=SC2086
    for _way in close reset 'send half reset' 'send half close' 'shut eof' \
        'send hello\n reset' 'send hello\nhello\nhello\n close' \
        'send hello\n drain reset' 'fill hello\n reset' 'fill hello\n close'; do
        talk "a client that does: $_way" connect "$WHERE" $_way
        served "the next client after: $_way"
    done
    # shellcheck disable=SC2086
    talk 'a client that half-closes at once is answered' connect "$WHERE" \
        send 'hello\nhello\n' shut $ANSWER $ANSWER eof
    wait_for 10 has_threads "$SERVER" "$IDLE_THREADS"
    _fds=$(descriptors "$SERVER") _words=
    for _text in '' 'send hello\n' 'send half'; do
        for _end in close reset 'shut closed close'; do
            _words="$_words connect $WHERE $_text $_end"
        done
    done
    # shellcheck disable=SC2086
    talk 'a thousand clients connect and disconnect without STOP' repeat 112 $_words
    left_nothing 'a thousand clients leave nothing open' "$SERVER" "$_fds"
    stop TERM
    is 'after all of them SIGTERM ends it' 143 "$STATUS"
}

three_clients() {
    begin
    for _nth in first second third; do
        served "stdout $BROKEN: the $_nth client is served"
    done
    stop TERM
}

tcp_only() {
    begin
    if need nc 'nc -z'; then
        true_that 'nc -z finds it' nc -z 127.0.0.1 "$PORT"
        served 'the next client after: nc -z'
    fi
    if possible 'the options of an accepted connection' \
        'looking into another process is not allowed here' \
        "$PEER" connect "$WHERE" send 'hello\n' line options "$SERVER"; then
        is 'SO_KEEPALIVE and TCP_NODELAY' 'keepalive 1 nodelay 1' \
            "$("$PEER" connect "$WHERE" send 'hello\n' line options "$SERVER" | tail -n 1)"
    fi
    peer_start connect "$WHERE" send 'hello\n' line touch "$T/in" closed
    reached in
    stop TERM
    peer_ends 'a client is connected when the server ends'
    serve "$ME" "127.0.0.1:$PORT"
    served 'its address can be listened on again at once'
    stop TERM
}

# No answer is lost to what clients send after STOP: closing with unread input would reset
# the connection. The words read the answers to the lines of HUNDRED.
HUNDRED=$(seq 1000 1099 | tr '\n' '|' | sed 's/|/\\n/g')
MORE=$(seq 2000 3999 | tr '\n' '|' | sed 's/|/\\n/g')
lingering() { # END WORD...: END waits for the end of the connection, then ends the server
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
    begin
    peer_start connect "$WHERE" send 'STOP\n' stream 'more\n' closed
    peer_ends 'a client that never stops sending after STOP: the server closes'
    "$_end"
}

# For servers that answer lines.
lines_and_answers() {
    begin
    for _how in send send-each; do
        talk "three lines by $_how" connect "$WHERE" $_how 'a\nbc\r\n\n' line line line \
            shut eof
    done
    talk 'half a line waits for the other half' connect "$WHERE" \
        send 'x\nhal' line drain nothing send 'f\n' line shut eof
    talk 'an unfinished last line is a line' connect "$WHERE" send last shut line eof
    _label=${SHOWN%hello*}
    for _line in a bc '' a bc '' x half last; do
        echo "$_label$_line"
    done >"$T/want"
    true_that 'each line is printed' cmp "$T/want" "$OUT"
    stop TERM

    # A line over 4,096 bytes is handled in pieces.
    begin
    head -c 10000 /dev/zero | tr '\0' 'x' >"$T/long"
    head -c 4095 "$T/long" >"$T/line"
    talk 'a line of 4,096 bytes is one line' connect "$WHERE" send-file "$T/line" \
        send '\n' line shut eof
    talk 'a line of 10,001 bytes is three; those before and after it are answered' \
        connect "$WHERE" send 'hello\n' send-file "$T/long" send '\nhello\n' \
        repeat 5 line . shut eof
    { printf '%s' "$_label" && cat "$T/line" && printf '%b' "\n$SHOWN" &&
        for _piece in 4096 4096 1808; do
            printf '%s' "$_label" && head -c $_piece "$T/long" && echo
        done && printf '%b' "$SHOWN"; } >"$T/want"
    true_that 'they are printed in the same pieces' cmp "$T/want" "$OUT"
    stop TERM

    STDOUT=/dev/null
    begin
    STDOUT=
    _memory=$(memory_kb "$SERVER")
    head -c 20000000 /dev/zero | tr '\0' 'x' >"$T/long"
    talk '20 MB without a newline' connect "$WHERE" feed "$T/long" end
    if can memory '20 MB without a newline use no more memory'; then
        at_most '20 MB without a newline use no more memory (kB)' $((_memory + 512)) \
            "$(memory_kb "$SERVER")"
    fi
    served 'the next client is served after that'
    stop TERM
}

not_stop() {
    for _word in stop STOPS 'S TOP' 'STOP it' 'STOP\0'; do
        talk "\"$_word\" is not STOP" connect "$WHERE" send "$_word\n" line shut eof
    done
}

# For servers that serve one client after another, until STOP. The words read the answers
# to "hello\nSTOP\n".
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
        talk "\"$_word\": the connection ends" connect "$WHERE" send "$_word" end
        ended_by_stop
        gives "\"$_word\" is STOP" 0 'Exiting TCP server!\n' "$(first_line)\n"
    done
    begin
    not_stop
    talk 'half a STOP of one client is not completed by the next' \
        connect "$WHERE" send ST shut end connect "$WHERE" send 'OP\n' line shut eof
    talk 'an unfinished STOP at the end is STOP' connect "$WHERE" send STOP shut end
    ended_by_stop
    is 'an unfinished STOP at the end: exit 0' 0 "$STATUS"
    begin
    talk 'the second client is served when the first has disconnected' \
        connect "$WHERE" send 'hello\n' line connect "$WHERE" send 'second\n' \
        use 0 send 'again\n' line use 1 nothing use 0 shut eof close use 1 line shut eof
    _label=${SHOWN%hello*}
    file_is 'in this order' "$OUT" "$SHOWN${_label}again\n${_label}second\n"
    # shellcheck disable=SC2086
    talk 'a hundred clients at once: each is served in its turn' deadline 60 \
        repeat 100 connect "$WHERE" send 'hello\n' . each $ANSWER shut eof close
    stop TERM
}

ended_by_stop() {
    await_end "$SERVER"
}

# For servers that serve many at once: more clients than there is room for. SETUP limits
# descriptors or threads.
too_many() { # WHAT CLIENTS LINE-ON-STDERR
    begin -q
    SETUP=
    _since=$(date +%s)
    # shellcheck disable=SC2086
    peer_start deadline 60 connect "$WHERE" send 'hello\n' $ANSWER \
        repeat "$2" connect "$WHERE" send 'hello\n' . await "$T/go" \
        use 0 send 'hello\n' $ANSWER send 'hello\n' each $ANSWER close
    comes "$1: the shortage is reported" "$ERR" "$ME: $3"
    : >"$T/go"
    peer_ends "$1: the first is answered meanwhile, each other when some have left"
    served "$1: the next client is served"
    stop TERM
    is "$1: nothing else on stderr" "$ME: $3" "$(sed 1d "$ERR" | sort -u)"
    at_most "$1: once a second at most" $(($(date +%s) - _since + 1)) \
        $(($(lines "$ERR") - 1))
}
