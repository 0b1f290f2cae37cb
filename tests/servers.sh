# servers.sh - what tcpS, otherTCPserver, concTCP and unixSocket -l have in common
# shellcheck shell=sh disable=SC2034,SC2153,SC2154
#
# The script sets, for its server $ME:
#   ANSWER      the peer's words that read the answer to "hello\n"
#   SHOWN       what the server prints for it
#   HOST        its address, as its first line on stderr has it

# Starts it. Sets SERVER, WHERE (for the peer), OUT, ERR, LISTENING (its first line) and
# IDLE_FILES, the number of descriptors that it has without a client.
begin() { # FLAG...
    serve "$ME" "$@" 0
    WHERE=127.0.0.1:$PORT
    LISTENING="$ME: listening on $HOST:$PORT\n"
    IDLE_FILES=$(descriptors "$SERVER")
}

served() { # WHAT: one client connects, is answered, and closes
    # shellcheck disable=SC2086
    talk "$1" connect "$WHERE" send 'hello\n' $ANSWER shut eof
}

printed() { # WHAT LINE...: the server has printed these lines
    _what=$1
    shift
    printf '%s\n' "$@" | sed "s/^/${SHOWN%hello*}/" >"$T/want"
    true_that "$_what" cmp -s "$T/want" "$OUT"
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
    served 'a client is served'
    file_is 'the line is on stdout before the answer is sent' "$OUT" "$SHOWN"
    talk 'a line of control characters is answered' \
        connect "$WHERE" send "$CONTROLS" "$@" shut eof
    stop TERM
    gives 'control characters are printed as \xNN, all else as it is' 143 \
        "$SHOWN${SHOWN%hello*}$PRINTED" "$LISTENING"
    signals
    bad_clients
    broken_stdout two_clients
    [ "$ME" = unixSocket ] || tcp_only
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
    # The last one stays until the server has accepted all of them.
    talk 'a thousand clients connect and disconnect without STOP' repeat 200 \
        connect "$WHERE" close connect "$WHERE" reset connect "$WHERE" send half close \
        connect "$WHERE" send 'hello\n' reset connect "$WHERE" shut closed close
    left_nothing 'a thousand clients leave nothing open' "$SERVER" "$IDLE_FILES"
    stop TERM
}

two_clients() {
    begin
    served "stdout $BROKEN: the first client is served"
    served "stdout $BROKEN: the second client is served"
    stop TERM
}

options() {
    "$PEER" connect "$WHERE" send 'hello\n' line options "$SERVER"
}
tcp_only() {
    begin
    if need nc 'nc -z'; then
        true_that 'nc -z finds it' nc -z 127.0.0.1 "$PORT"
        served 'the next client after: nc -z'
    fi
    if possible 'the options of an accepted connection' \
        'looking into another process is not allowed here' options; then
        is 'SO_KEEPALIVE and TCP_NODELAY' 'keepalive 1 nodelay 1' \
            "$(options | tail -n 1)"
    fi
    peer_start connect "$WHERE" send 'hello\n' line touch "$T/in" closed
    reached in
    stop TERM
    serve "$ME" "127.0.0.1:$PORT"
    served 'its address can be listened on again at once'
    stop TERM
}

# For servers with the option -q.
quiet() {
    begin -q
    served '-q: a client is served'
    stop TERM
    gives '-q: nothing that clients send is printed' 143 '' "$LISTENING"
}

# The server has ended, by STOP. concTCP has another function of this name.
ended_by_stop() { # WHAT
    await_end "$SERVER"
    is "$1: the server ends" 0 "$STATUS"
}

# No answer is lost to what clients send after STOP: closing with unread input would reset
# the connection. The words read the answers to the lines of HUNDRED.
HUNDRED=$(seq -s '\n' 1000 1099)
MORE=$(seq -s '\n' 2000 3999)
lingering() { # WORD...
    begin
    talk 'a hundred lines, STOP and more text: each line is answered' \
        connect "$WHERE" send "$HUNDRED\nSTOP\n$MORE\n" "$@" end
    ended_by_stop 'after STOP and more text'

    begin
    peer_start connect "$WHERE" send 'hello\nSTOP\n' end touch "$T/in" await "$T/go"
    reached in
    ended_by_stop 'a client that does not close after STOP'
    : >"$T/go"
    peer_ends 'a client that does not close after STOP: the server does, about 2 s later'

    begin
    peer_start connect "$WHERE" send 'STOP\n' stream 'more\n' closed
    peer_ends 'a client that never stops sending after STOP: the server closes'
    ended_by_stop 'a client that never stops sending after STOP'
}

not_stop() {
    for _word in stop STOPS 'S TOP' 'STOP it' 'STOP\0'; do
        talk "\"$_word\" is not STOP" connect "$WHERE" send "$_word\n" line shut eof
    done
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
    printed 'each line is printed' a bc '' a bc '' x half last
    stop TERM

    # A line over 4,096 bytes is handled in pieces.
    begin
    _piece=$(printf %04096d 0) _rest=$(printf %01808d 0)
    talk 'a line of 4,096 bytes is one line' connect "$WHERE" send "${_piece#0}\n" line \
        shut eof
    talk 'a line of 10,001 bytes is three; those before and after it are answered' \
        connect "$WHERE" send "hello\n$_piece$_piece$_rest\nhello\n" \
        repeat 5 line . shut eof
    printed 'they are printed in the same pieces' "${_piece#0}" \
        hello "$_piece" "$_piece" "$_rest" hello
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
    stop TERM
}

# For servers that echo: every byte is sent back unchanged, and nothing else.
echo_server() {
    begin
    talk 'half a line is echoed at once' connect "$WHERE" send hel expect hel \
        send 'lo\nwor' expect 'lo\nwor' send 'ld\n' expect 'ld\n' shut eof
    talk 'the bytes of one client are not echoed to the next' \
        connect "$WHERE" send hi expect hi shut eof
    talk 'byte by byte' connect "$WHERE" send-each 'one\ntwo\r\n\n' \
        expect 'one\ntwo\r\n\n' shut eof
    printed 'they are printed line by line, the unfinished one at the end' \
        hello world hi one two ''
    stop TERM

    begin
    # shellcheck disable=SC2046 # numbers
    printf '%b' "$(printf '\\0%o' $(seq 0 255))" >"$T/bytes"
    talk 'all 256 bytes' connect "$WHERE" feed "$T/bytes" expect-file "$T/bytes" eof
    for _size in 1024 4096 4097 65536 131072 20000000; do
        yes "$(seq 10000 10200 | tr -d '\n')" | head -c "$_size" >"$T/bytes"
        talk "$_size bytes" connect "$WHERE" feed "$T/bytes" expect-file "$T/bytes" eof
    done
    stop TERM

    begin
    _piece=$(printf %0131072d 0) _rest=$(printf %068928d 0)
    echo "$_piece$_rest" >"$T/long"
    talk 'a line of 200,001 bytes' connect "$WHERE" feed "$T/long" \
        expect-file "$T/long" eof
    printed 'it is printed in pieces of 128 KiB' "$_piece" "$_rest"
    stop TERM
}

# For servers that serve one client after another, until STOP. The words read the answers
# to "hello\nSTOP\n".
one_after_another() { # WORD...
    for _at in 0 1 5 6 8 10; do
        begin
        talk "a line and STOP cut at byte $_at: answered" \
            connect "$WHERE" cut "$_at" 'hello\nSTOP\n' "$@" eof
        await_end "$SERVER"
        gives "a line and STOP cut at byte $_at: the server's end" 0 \
            "${SHOWN}Exiting TCP server!\n" "$LISTENING"
    done
    for _word in 'STOP\n' ' \tSTOP \n' 'STOP\r\n' '\fSTOP\v\n' 'STOP\nmore\n'; do
        begin
        talk "\"$_word\": the connection ends" connect "$WHERE" send "$_word" end
        await_end "$SERVER"
        gives "\"$_word\" is STOP" 0 'Exiting TCP server!\n' "$LISTENING"
    done

    begin
    not_stop
    talk 'half a STOP of one client is not completed by the next' \
        connect "$WHERE" send ST shut end connect "$WHERE" send 'OP\n' line shut eof
    talk 'an unfinished STOP at the end is STOP' connect "$WHERE" send STOP shut end
    ended_by_stop 'an unfinished STOP at the end'

    begin
    talk 'the second client is served when the first has disconnected' \
        connect "$WHERE" send 'hello\n' line connect "$WHERE" send 'second\n' \
        use 0 send 'again\n' line use 1 nothing use 0 shut eof close use 1 line shut eof
    printed 'in this order' hello again second
    # shellcheck disable=SC2086
    talk 'a hundred clients at once: each is served in its turn' deadline 60 \
        repeat 100 connect "$WHERE" send 'hello\n' . each $ANSWER shut eof close
    stop TERM
}

# For servers that serve many at once: more clients than there is room for. RUN_WITH limits
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
