# conversation.sh - the conversation that tcpC and otherTCPclient hold alike
# shellcheck shell=sh disable=SC2153,SC2154
#
# $ME is the client; $DIAL the step that a refused connection names.

# One session: the client types INPUT, the peer listens, accepts and carries out its
# words. An @ in STDERR stands for the server's address.
session() { # WHAT INPUT STATUS STDOUT STDERR WORD...
    _title=$1 _keys=$2 _want=$3 _stdout=$4 _stderr=$5
    shift 5
    peer_listen listen "$HOST:0" accept "$@"
    # shellcheck disable=SC2086
    typed "$_keys" "$ME" $FAMILY "$HOST:$PEER_PORT"
    gives "$_title" "$_want" "$_stdout" \
        "$(printf '%s' "$_stderr" | sed "s/@/$HOST:$PEER_PORT/")"
    peer_ends "$_title: on the wire"
}

# The same with the keyboard held open: what stands on stdout, then what the end is.
server_leaves() { # WHAT STDOUT STDERR WORD...
    _title=$1 _stdout=$2 _stderr=$3
    shift 3
    peer_listen listen "$HOST:0" accept "$@"
    # shellcheck disable=SC2086
    open_client "$ME" $FAMILY "$HOST:$PEER_PORT"
    type_in 'hello\n'
    await_end "$CLIENT"
    end_input
    gives "$_title" 1 "$_stdout" "$ME: $HOST:$PEER_PORT: $_stderr\n"
    peer_ends "$_title: on the wire"
}

conversation() {
    # The wire.
    session "$HOST: a line goes out with exactly one newline, the reply is printed" \
        'hello\n' 0 '>> ->: hi\n>> \n' '' \
        expect 'hello\n' send 'hi\n' eof
    session "$HOST: STOP is sent, the connection half-closed, the farewell printed" \
        'hello\nSTOP\n' 0 '>> ->: hi\n>> ->: TCP client exiting...\n' '' \
        expect 'hello\n' send 'hi\n' expect 'STOP\n' eof
    session "$HOST: after STOP comes what the server still says" \
        'STOP\n' 0 '>> ->: bye\nTCP client exiting...\n' '' \
        expect 'STOP\n' eof send 'bye\n'
    session "$HOST: a percent sign is text" \
        '100% sure %s %n\n' 0 '>> ->: 100% %s%n\n>> \n' '' \
        expect '100% sure %s %n\n' send '100% %s%n\n' eof
    session "$HOST: every line of a pipe is sent, one reply each" \
        'a\nb\nc\n' 0 '>> ->: 1\n>> ->: 2\n>> ->: 3\n>> \n' '' \
        expect 'a\n' drain nothing send '1\n' expect 'b\n' send '2\n' \
        expect 'c\n' send '3\n' eof
    session "$HOST: an empty line is a line" \
        '\n\n' 0 '>> ->: \n>> ->: \n>> \n' '' \
        expect '\n' send '\n' expect '\n' send '\n' eof
    session "$HOST: a last line without a newline gets one" \
        'a\nlast' 0 '>> ->: 1\n>> ->: 2\n>> \n' '' \
        expect 'a\n' send '1\n' expect 'last\n' send '2\n' eof
    session "$HOST: a typed carriage return goes out as it is" \
        'a\r\n' 0 '>> ->: b\n>> \n' '' \
        expect 'a\r\n' send 'b\n' eof
    session "$HOST: the end of stdin ends the prompt's line" \
        '' 0 '>> \n' '' \
        eof

    # STOP and what is not STOP.
    for _word in ' STOP\n' 'STOP \t\n' '\tSTOP\r\n' 'STOP\v\f\n'; do
        session "$HOST: \"$_word\" is STOP" "$_word" 0 \
            '>> ->: TCP client exiting...\n' '' expect "$_word" eof
    done
    for _word in 'stop' 'STOPS' 'S TOP' 'STOP it' 'xSTOP' 'STOP\0000'; do
        session "$HOST: \"$_word\" is not STOP" "$_word\n" 0 '>> ->: on\n>> \n' '' \
            line send 'on\n' eof
    done
    session "$HOST: STOP without a newline, at the end of stdin" \
        'STOP' 0 '>> ->: TCP client exiting...\n' '' expect 'STOP\n' eof
    session "$HOST: a server that resets at STOP is a fine end" \
        'STOP\n' 0 '>> ->: TCP client exiting...\n' '' expect 'STOP\n' eof reset
    session "$HOST: lines behind STOP are not sent" \
        'STOP\nmore\n' 0 '>> ->: TCP client exiting...\n' '' expect 'STOP\n' eof

    # Replies, however TCP cuts and joins them.
    for _at in 0 1 2 3 4 5 6 7; do
        session "$HOST: a reply cut at byte $_at" 'x\n' 0 '>> ->: answer\n>> \n' '' \
            expect 'x\n' cut "$_at" 'answer\n' eof
        session "$HOST: a reply cut at byte $_at, the next one behind it" \
            'x\ny\n' 0 '>> ->: answer\n>> ->: next\n>> \n' '' \
            expect 'x\n' cut "$_at" 'answer\n' expect 'y\n' send 'next\n' eof
    done
    session "$HOST: a reply byte by byte" 'x\n' 0 '>> ->: answer\n>> \n' '' \
        expect 'x\n' send-each 'answer\n' eof
    session "$HOST: two reply lines in one segment are both printed" \
        'x\ny\n' 0 '>> ->: one\n->: two\n>> ->: three\n>> \n' '' \
        expect 'x\n' send 'one\ntwo\n' expect 'y\n' send 'three\n' eof
    session "$HOST: a \\r before the newline is dropped" \
        'x\n' 0 '>> ->: a\\x0db\n>> \n' '' expect 'x\n' send 'a\rb\r\n' eof

    # The server speaks unasked.
    peer_listen listen "$HOST:0" accept expect 'x\n' send 'one\n' await "$T/more" \
        send 'two\n' expect 'y\n' send 'three\n' eof
    # shellcheck disable=SC2086
    open_client "$ME" $FAMILY "$HOST:$PEER_PORT"
    becomes "$HOST: the prompt stands there before anything is typed" "$OUT" '>> '
    type_in 'x\n'
    becomes "$HOST: the prompt follows the reply at once" "$OUT" '>> ->: one\n>> '
    : >"$T/more"
    becomes "$HOST: a line that comes at the prompt is printed at once" \
        "$OUT" '>> ->: one\n>> \n->: two\n>> '
    rm "$T/more"
    type_in 'y\n'
    becomes "$HOST: and the next reply is not one behind" \
        "$OUT" '>> ->: one\n>> \n->: two\n>> ->: three\n>> '
    end_input
    await_end "$CLIENT"
    gives "$HOST: and the end is as always" 0 \
        '>> ->: one\n>> \n->: two\n>> ->: three\n>> \n' ''
    peer_ends "$HOST: the server spoke unasked: on the wire"

    # The server goes.
    server_leaves "$HOST: the server closes instead of a reply" '>> ' \
        'connection closed by server' expect 'hello\n' close
    server_leaves "$HOST: the server resets instead of a reply" '>> ' \
        'connection closed by server' expect 'hello\n' reset
    server_leaves "$HOST: the server closes at the prompt" '>> ->: hi\n>> ' \
        'connection closed by server' expect 'hello\n' send 'hi\n' drain close
    server_leaves "$HOST: the server closes after half a reply" '>> ->: ha\n>> ' \
        'connection closed by server' expect 'hello\n' send 'ha' close

    # Long lines.
    head -c 65536 /dev/zero | tr '\0' 'x' >"$T/x65536"
    _long=$(cat "$T/x65536")
    { cat "$T/x65536" && echo; } >"$T/line"
    session "$HOST: a typed line of 65,536 bytes passes, its reply too" \
        "$_long\n" 0 ">> ->: $_long\n>> \n" '' \
        expect-file "$T/line" send-file "$T/line" eof
    session "$HOST: a typed line of 65,537 bytes is an error" \
        "x$_long\n" 1 '>> ' "$ME: read stdin: line longer than 65536 bytes\n" eof
    session "$HOST: a reply of 65,537 bytes is an error" \
        'hello\n' 1 '>> ' "$ME: read @: line longer than 65536 bytes\n" \
        expect 'hello\n' send x send-file "$T/line" gone
    session "$HOST: a reply that never ends is an error" \
        'hello\n' 1 '>> ' "$ME: read @: line longer than 65536 bytes\n" \
        expect 'hello\n' flood 20000000
}

# What does not hang on the family.
conversation_once() {
    HOST=127.0.0.1 FAMILY=

    # Every byte.
    _all='' _shown=''
    for _byte in $(seq 0 255); do
        [ "$_byte" -eq 10 ] || _all="$_all\\0$(printf %o "$_byte")"
        case $_byte in
        10) ;;
        9) _shown="$_shown\\t" ;;
        92) _shown="$_shown\\\\" ;;
        *)
            if [ "$_byte" -lt 32 ] || [ "$_byte" -gt 126 ]; then
                _shown="$_shown\\\\x$(printf %02x "$_byte")"
            else
                _shown="$_shown\\0$(printf %o "$_byte")"
            fi
            ;;
        esac
    done
    printf '%b\n' "$_all" >"$T/all"
    session 'all 256 bytes go out as they are; coming in, control bytes are shown' \
        "$_all\n" 0 ">> ->: $_shown\n>> \n" '' \
        expect-file "$T/all" send-file "$T/all" eof

    # UTF-8 (RFC 3629): what is valid stays, every byte of what is not is shown.
    # 0302 0205 is U+0085, a control; 0355 0240 0200 a surrogate; 0300 0257 overlong.
    for _pair in \
        '\\0303\\0251 \\0355\\0225\\0234 \\0360\\0237\\0230\\0200=same' \
        '\\0302\\0240\\0337\\0277=same' \
        '\\0340\\0240\\0200\\0355\\0237\\0277\\0356\\0200\\0200\\0357\\0277\\0275=same' \
        '\\0360\\0220\\0200\\0200\\0364\\0217\\0277\\0277=same' \
        '\\0302\\0233=\\\\xc2\\\\x9b' \
        '\\0302\\0200\\0302\\0237=\\\\xc2\\\\x80\\\\xc2\\\\x9f' \
        '\\0300\\0257=\\\\xc0\\\\xaf' \
        '\\0301\\0277=\\\\xc1\\\\xbf' \
        '\\0340\\0237\\0277=\\\\xe0\\\\x9f\\\\xbf' \
        '\\0355\\0240\\0200=\\\\xed\\\\xa0\\\\x80' \
        '\\0355\\0277\\0277=\\\\xed\\\\xbf\\\\xbf' \
        '\\0360\\0217\\0277\\0277=\\\\xf0\\\\x8f\\\\xbf\\\\xbf' \
        '\\0364\\0220\\0200\\0200=\\\\xf4\\\\x90\\\\x80\\\\x80' \
        '\\0365\\0200\\0200\\0200=\\\\xf5\\\\x80\\\\x80\\\\x80' \
        '\\0377\\0376=\\\\xff\\\\xfe' \
        'a\\0200b=a\\\\x80b' \
        '\\0342\\0202=\\\\xe2\\\\x82' \
        '\\0342\\0202x=\\\\xe2\\\\x82x' \
        '\\0342\\0303\\0251=\\\\xe2\\0303\\0251' \
        '\\0360\\0237\\0230=\\\\xf0\\\\x9f\\\\x98' \
        '\\0033[31mred\\0007\\0177=\\\\x1b[31mred\\\\x07\\\\x7f' \
        'a\\tb=same'; do
        _bytes=$(printf '%b' "${_pair%%=*}")
        _text=$(printf '%b' "${_pair#*=}")
        [ "$_text" = same ] && _text=$_bytes
        printf '%b\n' "$_bytes" >"$T/bytes"
        session "a reply of the bytes $_bytes is shown as $_text" 'x\n' 0 \
            ">> ->: $_text\n>> \n" '' expect 'x\n' send-file "$T/bytes" eof
    done

    # Many lines, a slow reader, a reply that is long to come.
    _in='' _out=''
    for _i in 1 2 3 4 5 6 7 8 9 10; do
        _in="$_in$_i\n" _out="$_out>> ->: $_i\n"
    done
    _in=$_in$_in$_in$_in$_in _out=$_out$_out$_out$_out$_out
    session 'fifty lines to an echo server, three bytes at a time' \
        "$_in" 0 "$_out>> \n" '' echo 3
    peer_listen rcvbuf 2048 listen 127.0.0.1:0 accept await "$T/go" \
        expect-file "$T/line" send 'ok\n' eof
    open_client "$ME" "127.0.0.1:$PEER_PORT"
    cat "$T/line" >&3
    : >"$T/go"
    becomes 'a long line goes whole to a server that is slow to read' \
        "$OUT" '>> ->: ok\n>> '
    end_input
    await_end "$CLIENT"
    peer_ends 'a long line to a server that is slow to read: on the wire'

    # Ctrl-C at the prompt.
    peer_listen listen 127.0.0.1:0 accept eof
    open_client "$ME" "127.0.0.1:$PEER_PORT"
    wait_for 10 holds "$OUT" '>> '
    kill -INT "$CLIENT"
    await_end "$CLIENT"
    end_input
    is 'SIGINT at the prompt ends it as any program' 130 "$STATUS"
    peer_ends 'SIGINT at the prompt: on the wire'

    # No server there.
    _port=$("$PEER" free-port)
    typed 'hello\n' "$ME" "127.0.0.1:$_port"
    gives 'nobody listens' 1 '' "$ME: $DIAL 127.0.0.1:$_port: Connection refused\n"
    if has_ipv6 'nobody listens on IPv6'; then
        # shellcheck disable=SC2086
        typed 'hello\n' "$ME" $SIX "[::1]:$_port"
        gives 'nobody listens on IPv6' 1 '' \
            "$ME: $DIAL [::1]:$_port: Connection refused\n"
    fi

    # No stdout.
    for STDOUT in /dev/full -; do
        _why='No space left on device'
        [ "$STDOUT" = - ] && _why='Bad file descriptor'
        peer_listen listen 127.0.0.1:0 accept gone
        typed 'hello\n' "$ME" "127.0.0.1:$PEER_PORT"
        is "stdout $STDOUT: exit 1" 1 "$STATUS"
        file_is "stdout $STDOUT: it says so" "$ERR" "$ME: write stdout: $_why\n"
        peer_ends "stdout $STDOUT: on the wire"
    done
    STDOUT=
    SETUP=break-stdout
    peer_listen listen 127.0.0.1:0 accept eof
    typed 'hello\n' "$ME" "127.0.0.1:$PEER_PORT"
    gives 'stdout a closed pipe: it says so, exit 1' 1 '' \
        "$ME: write stdout: Broken pipe\n"
    peer_ends 'stdout a closed pipe: nothing was sent'
    SETUP=

    # With the servers of the chapter.
    serve tcpS 0
    typed 'hello\nSTOP\n' "$ME" "127.0.0.1:$PORT"
    sed 's/[0-9]\{4\}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9]/TIME/
        s/TIMEZ$/TIME+00:00/; s/TIME[+-][0-9][0-9]:[0-9][0-9]$/DATE/' "$OUT" >"$T/dated"
    file_is 'the chapter: a session with tcpS' "$T/dated" \
        '>> ->: DATE\n>> ->: TCP client exiting...\n'
    is 'the chapter: a session with tcpS, exit 0' 0 "$STATUS"
    await_end "$SERVER"
    is 'the chapter: STOP ended tcpS' 0 "$STATUS"
    serve otherTCPserver 0
    typed 'hello\nSTOP\n' "$ME" "127.0.0.1:$PORT"
    gives 'the chapter: a session with otherTCPserver' 0 \
        '>> ->: hello\n>> ->: STOP\nTCP client exiting...\n' ''
    await_end "$SERVER"
    serve concTCP 0
    typed 'hello\nSTOP\n' "$ME" "127.0.0.1:$PORT"
    gives 'the chapter: a session with concTCP' 0 \
        '>> ->: Client number: 1\n>> ->: TCP client exiting...\n' ''
    stop TERM

    if need nc 'nc -l as the server'; then
        # With -v nc names the port that it was given.
        rm -f "$T/nc-keys"
        mkfifo "$T/nc-keys"
        : >"$T/nc.err"
        nc -lvnN 127.0.0.1 0 <"$T/nc-keys" >"$T/nc.out" 2>"$T/nc.err" &
        _nc=$!
        STARTED="$STARTED $_nc"
        exec 4>"$T/nc-keys"
        wait_for 10 has_line "$T/nc.err"
        open_client "$ME" "127.0.0.1:$(sed -n '1s/.* \([0-9]*\)$/\1/p' "$T/nc.err")" 4>&-
        type_in 'to nc\n'
        becomes 'nc -l as the server reads a line' "$T/nc.out" 'to nc\n'
        echo 'from nc' >&4
        becomes 'nc -l as the server answers' "$OUT" '>> ->: from nc\n>> '
        type_in 'STOP\n'
        exec 4>&-
        await_end "$CLIENT"
        end_input
        gives 'nc -l as the server: STOP' 0 \
            '>> ->: from nc\n>> ->: TCP client exiting...\n' ''
        await_end "$_nc"
        file_is 'nc -l as the server: all it read' "$T/nc.out" 'to nc\nSTOP\n'
    fi
}
