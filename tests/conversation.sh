# conversation.sh - the conversation that tcpC and otherTCPclient hold alike
# shellcheck shell=sh disable=SC2153,SC2154
#
# $ME is the client.

# One session: the client types INPUT, the peer listens, accepts and carries out its
# words.
session() { # WHAT INPUT STATUS STDOUT STDERR WORD...
    _title=$1 _keys=$2 _want=$3 _stdout=$4 _stderr=$5
    shift 5
    peer_listen listen 127.0.0.1:0 accept "$@"
    typed "$_keys" "$ME" "127.0.0.1:$PEER_PORT"
    gives "$_title" "$_want" "$_stdout" "$_stderr"
    peer_ends "$_title: on the wire"
}

# Sessions that ask "x" and get the reply that the peer's words send.
answered() { # WHAT STDOUT WORD...
    _title=$1 _stdout=$2
    shift 2
    session "$_title" 'x\n' 0 ">> $_stdout>> \n" '' expect 'x\n' "$@" eof
}

# A client at its prompt.
at_keyboard() { # WORD...
    peer_listen listen 127.0.0.1:0 accept "$@"
    open_client "$ME" "127.0.0.1:$PEER_PORT"
    wait_for 10 holds "$OUT" '>> '
}

server_leaves() { # WHAT STDOUT WORD...
    _title=$1 _stdout=$2
    shift 2
    at_keyboard expect 'hello\n' "$@"
    type_in 'hello\n'
    await_end "$CLIENT"
    end_input
    gives "$_title: it says so, exit 1" 1 "$_stdout" \
        "$ME: server: connection closed\n"
    peer_ends "$_title: on the wire"
}

lines_and_stop() {
    session 'a line goes out with exactly one newline, the reply is printed' \
        'hello\n' 0 '>> ->: hi\n>> \n' '' expect 'hello\n' send 'hi\n' eof
    session 'STOP is sent, the connection half-closed, the farewell printed' \
        'hello\nSTOP\n' 0 '>> ->: hi\n>> ->: TCP client exiting...\n' '' \
        expect 'hello\n' send 'hi\n' expect 'STOP\n' eof
    session 'after STOP comes what the server still says' \
        'STOP\n' 0 '>> ->: bye\nall\nTCP client exiting...\n' '' \
        expect 'STOP\n' eof send 'bye\nall'
    session 'a percent sign is text' \
        '100% sure %s %n\n' 0 '>> ->: 100% %s%n\n>> \n' '' \
        expect '100% sure %s %n\n' send '100% %s%n\n' eof
    session 'several lines piped in are all sent, the empty and the unfinished one too' \
        'a\r\n\nlast' 0 '>> ->: 1\n>> ->: \n>> ->: 3\n>> \n' '' \
        expect 'a\r\n' drain nothing send '1\n' expect '\n' send '\n' \
        expect 'last\n' send '3\n' eof
    session 'the end of stdin ends the client' '' 0 '>> \n' '' eof

    for _word in ' STOP' '\tSTOP\r' 'STOP \v\f'; do
        session "\"$_word\" is STOP, what is behind it not sent" "$_word\nmore\n" 0 \
            '>> ->: TCP client exiting...\n' '' expect "$_word\n" eof
    done
    for _word in 'stop' 'STOPS' 'S TOP' 'STOP it' 'STOP\0000'; do
        session "\"$_word\" is not STOP" "$_word\n" 0 '>> ->: on\n>> \n' '' \
            line send 'on\n' eof
    done
    session 'STOP without a newline, at the end of stdin' \
        'STOP' 0 '>> ->: TCP client exiting...\n' '' expect 'STOP\n' eof
    session 'a server that resets at STOP is a fine end' \
        'STOP\n' 0 '>> ->: TCP client exiting...\n' '' expect 'STOP\n' eof reset
}

replies() {
    for _at in 0 1 6; do
        answered "a reply cut at byte $_at" '->: answer\n' cut "$_at" 'answer\n'
    done
    answered 'a reply byte by byte' '->: answer\n' send-each 'answer\n'
    session 'two reply lines in one segment are printed, the next is not one behind' \
        'x\ny\n' 0 '>> ->: one\n->: two\n>> ->: three\n>> \n' '' \
        expect 'x\n' send 'one\ntwo\n' expect 'y\n' send 'three\n' eof
    answered 'a \r before the newline is dropped, another is shown' '->: a\\x0db\n' \
        send 'a\rb\r\n'

    # Every byte, but for the newline.
    _all='' _shown=''
    for _byte in $(seq 0 9) $(seq 11 255); do
        _octal=\\0$(printf %o "$_byte")
        _all=$_all$_octal
        case $_byte in
        9) ;;
        ? | [12]? | 3[01] | 127) _octal=\\\\x$(printf %02x "$_byte") ;;
        esac
        _shown=$_shown$_octal
    done
    printf '%b\n' "$_all" >"$T/all"
    session 'all bytes go out as they are; coming in, control characters are shown' \
        "$_all\n" 0 ">> ->: $_shown\n>> \n" '' \
        expect-file "$T/all" send-file "$T/all" eof

    # REPLY=SHOWN: U+0080 to U+009F are shown by their second byte; what is no UTF-8 is
    # text.
    for _pair in '\xed\x95\x9c \xc3\xa9=\0355\0225\0234 \0303\0251' \
        '\xc2\x80\xc2\x9f\xc2\xa0=\0302\\x80\0302\\x9f\0302\0240' \
        '\xff\xfe \xc0\xaf \xe2\x82=\0377\0376 \0300\0257 \0342\0202' \
        '\x1b[31mred\x07\x7f\0=\\x1b[31mred\\x07\\x7f\\x00' \
        'a\tb=a\tb'; do
        answered "\"${_pair%=*}\" is shown as \"${_pair#*=}\"" \
            "->: ${_pair#*=}\n" send "${_pair%=*}\n"
    done
}

# The server speaks, or goes, while the user thinks.
unasked() {
    at_keyboard expect 'x\n' send 'one\n' await "$T/two" send 'two\n' \
        await "$T/three" send 'three\n' drain nothing touch "$T/quiet" \
        expect 'half\n' send 'four\n' eof
    type_in 'x\n'
    _so_far='>> ->: one\n>> '
    becomes 'the prompt follows the reply at once' "$OUT" "$_so_far"
    : >"$T/two"
    _so_far="$_so_far\n->: two\n>> "
    becomes 'a line that comes at the prompt is printed at once' "$OUT" "$_so_far"
    for _key in h a l; do
        type_in "$_key"
    done
    : >"$T/three"
    _so_far="$_so_far\n->: three\n>> "
    becomes 'so is one that comes when half a line is typed' "$OUT" "$_so_far"
    reached quiet
    type_in 'f\n'
    _so_far="$_so_far->: four\n>> "
    becomes 'and the next reply is not one behind' "$OUT" "$_so_far"
    end_input
    await_end "$CLIENT"
    gives 'and the end is as always' 0 "$_so_far\n" ''
    peer_ends 'half a line is not sent before its newline'

    server_leaves 'the server closes instead of a reply' '>> ' close
    server_leaves 'the server resets instead of a reply' '>> ' reset
    server_leaves 'the server closes at the prompt' '>> ->: hi\n>> \n' \
        send 'hi\n' drain close
    server_leaves 'the server resets at the prompt' '>> ->: hi\n>> \n' \
        send 'hi\n' drain reset
    server_leaves 'the server closes after half a reply' '>> ->: ha\n>> \n' send ha close

    at_keyboard await "$T/stopped" send 'bye\n' touch "$T/sent" eof
    kill -STOP "$CLIENT" # what comes now comes at once
    : >"$T/stopped"
    reached sent
    end_input
    kill -CONT "$CLIENT"
    await_end "$CLIENT"
    gives 'a line and the end of stdin at once: the line is printed' 0 '>> \n->: bye\n>> \n' ''
    peer_ends 'a line and the end of stdin at once: on the wire'

    at_keyboard eof
    kill -INT "$CLIENT"
    await_end "$CLIENT"
    end_input
    is 'SIGINT at the prompt ends it as any program' 130 "$STATUS"
    peer_ends 'SIGINT at the prompt: on the wire'
}

long_lines() {
    head -c 65535 /dev/zero | tr '\0' 'x' >"$T/x65535"
    _long=$(cat "$T/x65535")
    { cat "$T/x65535" && echo; } >"$T/line"
    session 'a typed line of 65,536 bytes passes, its reply too' \
        "$_long\n" 0 ">> ->: $_long\n>> \n" '' \
        expect-file "$T/line" send-file "$T/line" eof
    session 'a typed line of 65,537 bytes is an error' \
        "x$_long\n" 1 '>> ' "$ME: stdin: $TOO_LONG\n" eof
    session 'a reply of 65,537 bytes is an error' \
        'hello\n' 1 '>> ' "$ME: server: $TOO_LONG\n" \
        expect 'hello\n' send x send-file "$T/line" gone
    session 'a reply that never ends is an error' \
        'hello\n' 1 '>> ' "$ME: server: $TOO_LONG\n" expect 'hello\n' flood 20000000
    session 'fifty lines to an echo server, three bytes at a time' \
        "$(seq 50)\n" 0 "$(seq 50 | sed 's/^/>> ->: /')\n>> \n" '' echo 3
}

# Runs the client to its end, on what the caller leaves open of 0, 1 and 2.
to_the_end() {
    # shellcheck disable=SC2086
    timeout -k 2 $((20 * SLOW)) "$PEER" run $RUN_WITH "$(program "$ME")" \
        "127.0.0.1:$PEER_PORT"
    STATUS=$?
}

# The socket does not take the number of a descriptor that is closed at the start:
# nothing that is printed goes out, and what comes in is not taken for typed.
closed_at_the_start() {
    serve tcpS -q 0
    without_stdout "$ME" "127.0.0.1:$PORT"
    stop TERM
    peer_listen listen 127.0.0.1:0 accept eof
    new_files
    to_the_end <&- >"$OUT" 2>"$ERR"
    gives 'stdin closed: it ends as at the end of stdin' 0 '>> \n' ''
    peer_ends 'stdin closed: on the wire'
    peer_listen listen 127.0.0.1:0 accept eof
    to_the_end </dev/null >/dev/full 2>&-
    is 'stderr closed, where there is something to say: exit 1' 1 "$STATUS"
    peer_ends 'stderr closed: on the wire'
}

other_ends() {
    _port=$("$PEER" free-port)
    typed 'hello\n' "$ME" "127.0.0.1:$_port"
    gives 'nobody listens: an error is on stderr, exit 1' 1 '' \
        "$ME: 127.0.0.1:$_port: Connection refused\n"

    serve tcpS 0
    typed 'hello\nSTOP\n' "$ME" "127.0.0.1:$PORT"
    sed 's/[0-9-]*T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][Z0-9:+-]*$/DATE/' "$OUT" >"$T/dated"
    file_is 'the chapter: a session with tcpS' "$T/dated" \
        '>> ->: DATE\n>> ->: TCP client exiting...\n'
    await_end "$SERVER"
    is 'the chapter: STOP ended tcpS' 0 "$STATUS"
}

conversation() {
    lines_and_stop
    replies
    unasked
    long_lines
    closed_at_the_start
    other_ends
}
