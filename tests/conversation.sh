# conversation.sh - the sessions of a client with the peer: tcpC, otherTCPclient, udpC and
# unixSocket
# shellcheck shell=sh disable=SC2153,SC2154
#
# The script sets, for its client $ME:
#   LISTEN    where the peer listens
#   PREFIX    what the client prints before a reply
#   GREETING  what it prints first
# In what a client prints, @ stands for the prefix and TARGET for the server's address.

GREETING=''

expand() { # TEXT
    printf '%s' "$1" | sed "s/@/$PREFIX/g; s|TARGET|$TARGET|g"
}

# The peer listens, accepts and executes its words. Sets TARGET, the client's argument.
listening() { # WORD...
    rm -f "$T/peer" "$T/over"
    case $ME in
    udpC) peer_listen listen-udp "$LISTEN" "$@" ;;
    *) peer_listen listen "$LISTEN" accept "$@" ;;
    esac
    case $LISTEN in
    /*) TARGET=$LISTEN ;;
    *) TARGET=${LISTEN%:0}:$PEER_PORT ;;
    esac
}

# One session: INPUT is piped into the client. When it has ended, there is a file $T/over,
# for which a server that does not close before may wait.
session() { # WHAT INPUT STATUS STDOUT STDERR WORD...
    _title=$1 _keys=$2 _want=$3 _stdout=$4 _stderr=$5
    shift 5
    listening "$@"
    typed "$_keys" "$ME" "$TARGET"
    : >"$T/over"
    gives "$_title" "$_want" "$(expand "$GREETING$_stdout")" "$(expand "$_stderr")"
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

# Starts the client and waits for its prompt.
at_keyboard() { # WORD...
    listening "$@"
    open_client "$ME" "$TARGET"
    wait_for 10 has "$OUT" '>> '
}

shows_so_far() { # WHAT STDOUT
    becomes "$1" "$OUT" "$(expand "$GREETING$2")"
}

# The client from at_keyboard() ends by itself.
client_ends() { # WHAT STATUS STDOUT STDERR
    await_end "$CLIENT"
    end_input
    gives "$1" "$2" "$(expand "$GREETING$3")" "$(expand "$4")"
    peer_ends "$1: on the wire"
}

# What the client sends and prints.
lines_and_replies() {
    sessions <<'END'
a line goes out with one newline, its reply is printed|hello\n|>> @hi\n>> \n|expect hello\n send hi\n eof
the end of input ends the client||>> \n|eof
a percent sign is text|100%sure%s%n\n|>> @100%%s%n\n>> \n|expect 100%sure%s%n\n send 100%%s%n\n eof
piped lines are all sent, each after the reply to the one before|a\r\n\nlast|>> @1\n>> @\n>> @3\n>> \n|expect a\r\n drain nothing send 1\n expect \n send \n expect last\n send 3\n eof
a reply byte by byte|x\n|>> @answer\n>> \n|expect x\n send-each answer\n eof
a \r before the newline is ignored, another is escaped|x\n|>> @a\\x0db\n>> \n|expect x\n send a\rb\r\n eof
a \r at the end of the stream is ignored|x\n|>> @hi\n>> \n@bye\n|expect x\n send hi\n eof send bye\r
U+0080 to U+009F are escaped, U+00A0 is not|x\n|>> @\\xc2\\x80\\xc2\\x9f\0302\0240\n>> \n|expect x\n send \xc2\x80\xc2\x9f\xc2\xa0\n eof
Korean, a tab and bytes that are not UTF-8 are printed as they are|x\n|>> @\0355\0225\0234\t\0303\0251 \0377\0376 \0300\0257 \0342\0202\n>> \n|expect x\n send \xed\x95\x9c\t\xc3\xa9\x20\xff\xfe\x20\xc0\xaf\x20\xe2\x82\n eof
replies after the end of input, a second apart|hello\n|>> @one\n>> \n@two\n@three\n@four\n|expect hello\n send one\n eof pause 1200 send two\n pause 1200 send three\n pause 1200 send four\n
END

    # shellcheck disable=SC2046 # numbers
    {
        _all=$(printf '\\0%o' $(seq 0 9) $(seq 11 255)) # all bytes but the newline
        _shown=$(printf '\\\\x%02x' $(seq 0 8))\\t$(printf '\\\\x%02x' $(seq 11 31))
        _shown=$_shown$(printf '\\0%o' $(seq 32 126))\\\\x7f
        _shown=$_shown$(printf '\\0%o' $(seq 128 255))
    }
    printf '%b\n' "$_all" >"$T/all"
    session 'all bytes are sent unchanged; received control characters are escaped' \
        "$_all\n" 0 ">> @$_shown\n>> \n" '' expect-file "$T/all" send-file "$T/all" eof
}

# Servers that send before, after or instead of a reply.
late_and_early() {
    _since=$(date +%s)
    session 'a server that never closes: the client waits for 2 s' \
        'hello\n' 0 '>> @one\n>> \n@tw\n' '' \
        expect 'hello\n' send 'one\n' eof send tw await "$T/over"
    true_that 'not less than 2 s' [ $(($(date +%s) - _since)) -ge 2 ]

    STDOUT=/dev/null
    session 'a server that never stops sending does not keep lines from being sent' \
        'hello\nmore\n' 0 '' '' \
        stream 'on and on\n' expect 'hello\n' expect 'more\n' eof reset
    STDOUT=

    at_keyboard send 'welcome\n' expect 'x\n' send 'one\n' await "$T/go2" send 'two\n' \
        await "$T/go3" send 'three\n' drain nothing touch "$T/quiet" \
        expect 'half\n' send 'four\nfive\n' eof
    _so_far='>> \n@welcome\n>> '
    shows_so_far 'a server that sends first: its line, and a new prompt' "$_so_far"
    type_in 'x\n'
    _so_far="$_so_far@one\n>> "
    shows_so_far 'the first line is not mistaken for the reply' "$_so_far"
    : >"$T/go2"
    _so_far="$_so_far\n@two\n>> "
    shows_so_far 'a line that arrives at the prompt is printed at once' "$_so_far"
    for _key in h a l; do
        type_in "$_key"
    done
    : >"$T/go3"
    _so_far="$_so_far\n@three\n>> "
    shows_so_far 'and one that arrives when half a line has been typed' "$_so_far"
    reached quiet
    type_in 'f\n'
    _so_far="$_so_far@four\n>> \n@five\n>> "
    shows_so_far 'two replies to one line: both are printed' "$_so_far"
    end_input
    client_ends 'half a line is not sent before its newline' 0 "$_so_far\n" ''

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

# The server ends the connection; the client first prints what has arrived.
server_gone() { # WHAT STDOUT WORD...
    _title=$1 _stdout=$2
    shift 2
    at_keyboard expect 'hello\n' "$@"
    type_in 'hello\n'
    client_ends "$_title: reported, exit 1" 1 "$_stdout" \
        "$ME: server: connection closed\n"
}
endings() {
    server_gone 'the server closes instead of replying' '>> ' close
    server_gone 'the server resets instead of replying' '>> ' reset
    server_gone 'the server closes at the prompt' '>> @hi\n>> \n' send 'hi\n' drain close
    server_gone 'the server resets at the prompt' '>> @hi\n>> \n' send 'hi\n' drain reset
    server_gone 'the server closes after half a reply' '>> @ha\n>> \n' send ha close
    server_gone 'the server sends more and closes' '>> @hi\n>> \n@bye\n>> \n' \
        send 'hi\nbye\n' close

    broken_stdout client_reports closed
}

client_reports() { # WORD...: that stdout is broken
    _reason='Broken pipe'
    [ "$BROKEN" != /dev/full ] || _reason='No space left on device'
    session "stdout $BROKEN: exit 1" 'hello\n' 1 '' "$ME: stdout: $_reason\n" "$@"
}

# At a terminal, which echoes the input and passes on whole lines.
terminal() { # WORD...: they receive half and answer hi
    SETUP=terminal
    at_keyboard "$@"
    type_in 'half\004\004'
    client_ends 'ctrl-D twice after half a line sends it and ends the input' 0 \
        '>> half@hi\n>> \n' ''

    at_keyboard await "$T/over"
    SETUP=
    type_in '\003'
    await_end "$CLIENT"
    end_input
    is 'ctrl-C has its default effect' 130 "$STATUS"
    : >"$T/over"
    peer_ends 'ctrl-C: on the wire'
}

# LIMIT is the size of the client's buffer.
long_lines() { # LIMIT
    _long=$(printf "%0$(($1 - 1))d" 0)
    echo "$_long" >"$T/line"
    session "a line of $1 bytes is sent, its reply printed" \
        "$_long\n" 0 ">> @$_long\n>> \n" '' expect-file "$T/line" send-file "$T/line" eof
    session 'a line that is longer is an error' \
        "x$_long\n" 1 '>> ' "$ME: stdin: line too long\n" eof
    at_keyboard expect 'hello\n' send x send-file "$T/line" send 'more\n' eof
    type_in 'hello\n'
    _so_far=">> @x$_long\n>> \n@\n>> \n@more\n>> "
    shows_so_far 'a reply that is longer: its pieces arrive' "$_so_far"
    end_input
    client_ends 'a reply that is longer is printed in pieces' 0 "$_so_far\n" ''
}

conversation() { # LIMIT
    lines_and_replies
    late_and_early
    endings
    terminal expect 'half\n' send 'hi\n' eof
    long_lines "$1"
}

# For the two TCP clients.
tcp_client() {
    LISTEN=127.0.0.1:0 PREFIX='->: '
    conversation 65536
    sessions <<'END'
STOP is sent, the connection half-closed, the exit message printed|hello\nSTOP\n|>> @hi\n>> @TCP client exiting...\n|expect hello\n send hi\n expect STOP\n eof
after STOP, what the server still sends is printed|STOP\nmore\n|>> @bye\nall\nTCP client exiting...\n|expect STOP\n eof send bye\nall
STOP without a newline, at the end of input|STOP|>> @TCP client exiting...\n|expect STOP\n eof
a server that resets after STOP does not matter|STOP\n|>> @TCP client exiting...\n|expect STOP\n eof reset
white space around STOP is ignored| \tSTOP \r\v\f\nmore\n|>> @TCP client exiting...\n|line eof
END
    for _word in 'stop' 'STOPS' 'S TOP' 'STOP it' 'STOP\0000'; do
        session "\"$_word\" is not STOP" "$_word\n" 0 '>> @on\n>> \n' '' \
            line send 'on\n' eof
    done
    session 'a server that does not close after STOP' 'STOP\n' 0 \
        '>> @TCP client exiting...\n' '' expect 'STOP\n' eof await "$T/over"

    _port=$("$PEER" free-port)
    typed 'hello\n' "$ME" "127.0.0.1:$_port"
    gives 'nobody listens: an error on stderr, exit 1' 1 '' \
        "$ME: 127.0.0.1:$_port: Connection refused\n"
}
