# conversation.sh - the conversation that tcpC, otherTCPclient and unixSocket hold alike
# shellcheck shell=sh disable=SC2153,SC2154
#
# The script sets, for its client $ME:
#   LISTEN    where the peer listens
#   PREFIX    what the client prints before a reply
# In what a client has to print, @ stands for the prefix.

said() { # TEXT
    printf '%s' "$1" | sed "s/@/$PREFIX/g"
}

# The peer listens, accepts and carries out its words. Sets TARGET, the client's argument.
listening() { # WORD...
    case $LISTEN in
    /*) rm -f "$LISTEN" ;;
    esac
    peer_listen listen "$LISTEN" accept "$@"
    case $LISTEN in
    /*) TARGET=$LISTEN ;;
    *) TARGET=${LISTEN%:0}:$PEER_PORT ;;
    esac
}

# One session: the client gets INPUT through a pipe.
session() { # WHAT INPUT STATUS STDOUT STDERR WORD...
    _title=$1 _keys=$2 _want=$3 _stdout=$(said "$4") _stderr=$5
    shift 5
    listening "$@"
    typed "$_keys" "$ME" "$TARGET"
    gives "$_title" "$_want" "$_stdout" "$_stderr"
    peer_ends "$_title: on the wire"
}

# Sessions from stdin: WHAT|INPUT|STDOUT|WORDS. The exit status is 0, stderr is empty.
sessions() {
    set -f
    while IFS='|' read -r _what _input _printed _words; do
        # shellcheck disable=SC2086 # words
        session "$_what" "$_input" 0 "$_printed" '' $_words
    done
    set +f
}

# A client at its prompt.
at_keyboard() { # WORD...
    listening "$@"
    open_client "$ME" "$TARGET"
    wait_for 10 has "$OUT" '>> '
}

shows_so_far() { # WHAT TEXT
    becomes "$1" "$OUT" "$(said "$2")"
}

# What goes out and what is printed.
lines_and_replies() {
    sessions <<'END'
a line goes out with one newline, its reply is printed|hello\n|>> @hi\n>> \n|expect hello\n send hi\n eof
the end of input ends the client||>> \n|eof
a percent sign is text|100%sure%s%n\n|>> @100%%s%n\n>> \n|expect 100%sure%s%n\n send 100%%s%n\n eof
piped lines are all sent, each after the reply to the one before|a\r\n\nlast|>> @1\n>> @\n>> @3\n>> \n|expect a\r\n drain nothing send 1\n expect \n send \n expect last\n send 3\n eof
a reply cut in two|x\n|>> @answer\n>> \n|expect x\n cut 1 answer\n eof
a reply byte by byte|x\n|>> @answer\n>> \n|expect x\n send-each answer\n eof
a \r before the newline is ignored, another is shown|x\n|>> @a\\x0db\n>> \n|expect x\n send a\rb\r\n eof
a \r at the end of the stream is ignored|x\n|>> @hi\n>> \n@bye\n|expect x\n send hi\n eof send bye\r
fifty lines to a server that echoes three bytes at a time|1\n22\n333\n4444\n|>> @1\n>> @22\n>> @333\n>> @4444\n>> \n|echo 3
U+0080 to U+009F are escaped, U+00A0 is not|x\n|>> @\\xc2\\x80\\xc2\\x9f\0302\0240\n>> \n|expect x\n send \xc2\x80\xc2\x9f\xc2\xa0\n eof
escape sequences are shown, not executed|x\n|>> @\\x1b[31mred\\x07\\x7f\\x00\n>> \n|expect x\n send \x1b[31mred\x07\x7f\0\n eof
Korean and a tab are printed as they are|x\n|>> @\0355\0225\0234\t\0303\0251\n>> \n|expect x\n send \xed\x95\x9c\t\xc3\xa9\n eof
bytes that are not UTF-8 are printed as they are|x\n|>> @\0377\0376 \0300\0257 \0342\0202\n>> \n|expect x\n send \xff\xfe\x20\xc0\xaf\x20\xe2\x82\n eof
END

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
    session 'all bytes are sent unchanged; received control characters are escaped' \
        "$_all\n" 0 ">> $PREFIX$_shown\n>> \n" '' \
        expect-file "$T/all" send-file "$T/all" eof
}

# A server that misbehaves over time.
late_and_early() {
    sessions <<'END'
a reply after the end of input is printed|hello\n|>> @one\n>> \n@two\n|expect hello\n send one\n eof send two\n
replies after the end of input, a second apart|hello\n|>> @one\n>> \n@two\n@three\n@four\n|expect hello\n send one\n eof pause 1200 send two\n pause 1200 send three\n pause 1200 send four\n
a last line without a newline is printed|hello\n|>> @one\n>> \n@tw\n|expect hello\n send one\n eof send tw
END

    listening expect 'hello\n' send 'one\n' eof send 'tw' await "$T/over"
    _since=$(date +%s)
    typed 'hello\n' "$ME" "$TARGET"
    gives 'a server that never closes: the client waits for 2 s' 0 \
        "$(said '>> @one\n>> \n@tw\n')" ''
    true_that 'a server that never closes: not less' [ $(($(date +%s) - _since)) -ge 2 ]
    : >"$T/over"
    peer_ends 'a server that never closes: on the wire'
    rm -f "$T/over"

    STDOUT=/dev/null
    listening stream 'on and on\n' expect 'hello\n' expect 'more\n' eof reset
    typed 'hello\nmore\n' "$ME" "$TARGET"
    STDOUT=
    is 'a server that never stops sending does not keep lines from being sent' 0 "$STATUS"
    peer_ends 'a server that never stops sending: on the wire'

    at_keyboard send 'welcome\n' expect 'x\n' send 'one\n' await "$T/go2" send 'two\n' \
        await "$T/go3" send 'three\n' drain nothing touch "$T/quiet" \
        expect 'half\n' send 'four\nfive\n' eof
    _so_far='>> \n@welcome\n>> '
    shows_so_far 'a server that speaks first: its line, and a new prompt' "$_so_far"
    type_in 'x\n'
    _so_far="$_so_far@one\n>> "
    shows_so_far 'the reply is not mistaken for the one before' "$_so_far"
    : >"$T/go2"
    _so_far="$_so_far\n@two\n>> "
    shows_so_far 'a line that arrives at the prompt is printed at once' "$_so_far"
    for _key in h a l; do
        type_in "$_key"
    done
    : >"$T/go3"
    _so_far="$_so_far\n@three\n>> "
    shows_so_far 'so is one that arrives when half a line is typed' "$_so_far"
    reached quiet
    type_in 'f\n'
    _so_far="$_so_far@four\n>> \n@five\n>> "
    shows_so_far 'two replies to one line: both are printed' "$_so_far"
    end_input
    await_end "$CLIENT"
    gives 'and the client ends as always' 0 "$(said "$_so_far\n")" ''
    peer_ends 'half a line is not sent before its newline'

    at_keyboard expect 'one\n' drain nothing send '1\n' expect 'two\n' send '2\n' eof
    type_in 'one\ntwo\n'
    shows_so_far 'lines that are typed ahead wait for their turn' '>> @1\n>> @2\n>> '
    end_input
    await_end "$CLIENT"
    peer_ends 'lines that are typed ahead: on the wire'

    at_keyboard await "$T/stopped" send 'bye\n' touch "$T/sent" eof
    kill -STOP "$CLIENT" # so that both arrive at once
    : >"$T/stopped"
    reached sent
    end_input
    kill -CONT "$CLIENT"
    await_end "$CLIENT"
    is 'a line and the end of input at once: the line is printed' "0 ${PREFIX}bye" \
        "$STATUS $(grep -x -- "${PREFIX}bye" "$OUT")"
    peer_ends 'a line and the end of input at once: on the wire'
}

# The server goes. What has arrived is printed before.
server_gone() { # WHAT STDOUT WORD...
    _title=$1 _stdout=$2
    shift 2
    at_keyboard expect 'hello\n' "$@"
    type_in 'hello\n'
    await_end "$CLIENT"
    end_input
    gives "$_title: said, exit 1" 1 "$(said "$_stdout")" "$ME: server: connection closed\n"
    peer_ends "$_title: on the wire"
}
endings() {
    server_gone 'the server closes instead of replying' '>> ' close
    server_gone 'the server resets instead of replying' '>> ' reset
    server_gone 'the server closes at the prompt' '>> @hi\n>> \n' send 'hi\n' drain close
    server_gone 'the server resets at the prompt' '>> @hi\n>> \n' send 'hi\n' drain reset
    server_gone 'the server closes its direction only' '>> @hi\n>> \n' \
        send 'hi\n' drain shut eof
    server_gone 'the server closes after half a reply' '>> @ha\n>> \n' send ha close
    server_gone 'the server sends more and closes' '>> @hi\n>> \n@bye\n>> \n' \
        send 'hi\nbye\n' close

    at_keyboard eof
    kill -INT "$CLIENT"
    await_end "$CLIENT"
    end_input
    is 'SIGINT at the prompt ends it as it ends any program' 130 "$STATUS"
    peer_ends 'SIGINT at the prompt: on the wire'

    listening eof
    SETUP=nonblock
    open_client "$ME" "$TARGET"
    SETUP=
    wait_for 10 has_waited "$CLIENT" 1
    end_input
    await_end "$CLIENT"
    gives 'O_NONBLOCK on stdin is no error' 0 '>> \n' ''
    peer_ends 'O_NONBLOCK on stdin: on the wire'

    listening gone accept gone
    without_stdout "$ME" "$TARGET"
    peer_ends 'stdout that cannot be written to: on the wire'
}

# At a terminal, which echoes what is typed.
terminal() {
    SETUP=terminal
    at_keyboard send 'one\n' await "$T/go" send 'two\n' expect 'half\n' send 'hi\n' eof
    shows_so_far 'at a terminal: the prompt, and a line that arrives' '>> \n@one\n>> '
    type_in 'hal'
    shows_so_far 'at a terminal: half a line' '>> \n@one\n>> hal'
    : >"$T/go"
    shows_so_far 'at a terminal: a line that arrives then, and a new prompt' \
        '>> \n@one\n>> hal\n@two\n>> '
    type_in 'f\004\004'
    await_end "$CLIENT"
    end_input
    gives 'ctrl-D twice after half a line sends it and ends the input' 0 \
        "$(said '>> \n@one\n>> hal\n@two\n>> f@hi\n>> \n')" ''
    peer_ends 'ctrl-D twice after half a line: on the wire'
    rm -f "$T/go"

    at_keyboard eof
    shows_so_far 'at a terminal: the prompt' '>> '
    type_in '\003'
    await_end "$CLIENT"
    end_input
    is 'ctrl-C ends it as it ends any program' 130 "$STATUS"
    peer_ends 'ctrl-C: on the wire'

    at_keyboard await "$T/go" close
    type_in 'hal'
    shows_so_far 'half a line is typed' '>> hal'
    : >"$T/go"
    await_end "$CLIENT"
    end_input
    gives 'the server closes while a line is being typed: said, exit 1' 1 '>> hal\n' \
        "$ME: server: connection closed\n"
    peer_ends 'the server closes while a line is being typed: on the wire'
    SETUP=
    rm -f "$T/go"
}

# LIMIT is the size of the client's buffer.
long_lines() { # LIMIT
    head -c $(($1 - 1)) /dev/zero | tr '\0' 'x' >"$T/long"
    _long=$(cat "$T/long")
    { cat "$T/long" && echo; } >"$T/line"
    session "a line of $1 bytes is sent, its reply printed" \
        "$_long\n" 0 ">> @$_long\n>> \n" '' expect-file "$T/line" send-file "$T/line" eof
    session 'a line that is longer is an error' \
        "x$_long\n" 1 '>> ' "$ME: stdin: line too long\n" eof
    at_keyboard expect 'hello\n' send x send-file "$T/line" send 'more\n' eof
    type_in 'hello\n'
    shows_so_far 'a reply that is longer is printed in pieces' \
        ">> @x$_long\n>> \n@\n>> \n@more\n>> "
    end_input
    await_end "$CLIENT"
    peer_ends 'a reply that is longer: on the wire'
}

conversation() { # LIMIT
    lines_and_replies
    late_and_early
    endings
    terminal
    long_lines "$1"
}

# For the two TCP clients.
tcp_client() {
    sessions <<'END'
STOP is sent, the connection half-closed, a farewell printed|hello\nSTOP\n|>> @hi\n>> @TCP client exiting...\n|expect hello\n send hi\n expect STOP\n eof
after STOP, what the server still says is printed|STOP\nmore\n|>> @bye\nall\nTCP client exiting...\n|expect STOP\n eof send bye\nall
STOP without a newline, at the end of input|STOP|>> @TCP client exiting...\n|expect STOP\n eof
a server that resets after STOP does not matter|STOP\n|>> @TCP client exiting...\n|expect STOP\n eof reset
white space before STOP is ignored| \tSTOP\nmore\n|>> @TCP client exiting...\n|line eof
white space after STOP is ignored|STOP \r\v\f\nmore\n|>> @TCP client exiting...\n|expect STOP\x20\r\v\f\n eof
END
    for _word in 'stop' 'STOPS' 'S TOP' 'STOP it' 'STOP\0000'; do
        session "\"$_word\" is not STOP" "$_word\n" 0 '>> @on\n>> \n' '' \
            line send 'on\n' eof
    done
    listening expect 'STOP\n' eof await "$T/over"
    typed 'STOP\n' "$ME" "$TARGET"
    gives 'a server that does not close after STOP: the client waits for 2 s' 0 \
        "$(said '>> @TCP client exiting...\n')" ''
    : >"$T/over"
    peer_ends 'a server that does not close after STOP: on the wire'
    rm -f "$T/over"

    _port=$("$PEER" free-port)
    typed 'hello\n' "$ME" "127.0.0.1:$_port"
    gives 'nobody listens: an error on stderr, exit 1' 1 '' \
        "$ME: 127.0.0.1:$_port: Connection refused\n"
    serve tcpS 0
    typed 'hello\nSTOP\n' "$ME" "127.0.0.1:$PORT"
    sed 's/[0-9-]*T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][Z0-9:+-]*$/DATE/' "$OUT" >"$T/dated"
    file_is 'the chapter: a session with tcpS' "$T/dated" \
        '>> ->: DATE\n>> ->: TCP client exiting...\n'
    await_end "$SERVER"
    is 'the chapter: STOP ended tcpS' 0 "$STATUS"
}
