#!/bin/sh
# nc.sh - README's sessions with nc, with each of the three netcats, and what README says
# about their differences
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=readme.sh
. "$ROOT/tests/readme.sh"
cd "$ROOT" || exit

# Print a command of README for this netcat.
with() { # NETCAT COMMAND
    printf '%s\n' "$2" | sed "s/^nc /$1 /; s/| nc /| $1 /" |
        case $1 in
        nc.traditional) sed 's/-l 1234/-l -p 1234/' ;;
        *) cat ;;
        esac
}

# --- The table ----------------------------------------------------------------------

# A row's last cell is: `TYPED`, answered `ANSWER`: `SEEN`; after 5 s: `SEEN`. TYPED and
# ANSWER may be missing, and "twice" stands for a second Enter.
rows program >"$T/rows"
rows section | sed -nE 's,.*\]\(.*/([A-Za-z]*)\.c\).*,\1,p' | sort >"$T/programs"
sed 's/[ |].*//' "$T/rows" | sort -u >"$T/named"
is 'the table has the programs of the chapter' "$(cat "$T/programs")" "$(cat "$T/named")"
for NC in nc ncat nc.traditional; do
    need "$NC" "sessions with $NC" || continue
    # shellcheck disable=SC2016 # backquotes of Markdown
    while IFS='|' read -r _ first second cell <&9; do
        case $NC$first$second in nc.traditional*-U*) continue ;; esac
        first=$(with "$NC" "$(spans "$first")") second=$(with "$NC" "$(spans "$second")")
        cell=${cell%%|*} steps=${cell%%': '*} enter=
        case $steps in *twice*) enter='\n' ;; esac
        typed=$(echo "$steps" | sed -n 's/^`\([^`]*\)`.*/\1/p')
        answer=$(echo "$steps" | sed -n 's/.*answered `\([^`]*\)`.*/\1/p')
        seen=$(spans "${cell#*': '}" | sed -n 1p)
        late=$(echo "$cell" | sed -n 's/.*; after 5 s: `\([^`]*\)`.*/\1/p')
        PORT=$("$PEER" free-port)
        converse "$first | $second" "$first" "$second" \
            "${typed:+$typed$enter}" "${answer:+$answer$enter}" "$(pattern "$seen")"
        [ "$NC${late:+ late}" = 'nc late' ] || continue # it takes 5 s: once is enough
        PORT=$("$PEER" free-port)
        converse "$first | $second, answered late" "$first" "$second" \
            "$typed" "$answer" "$(pattern "$late")" 'no reply within 5 s'
    done 9<"$T/rows"
done

# --- The commands with a pipe -------------------------------------------------------

# Each is the other end of the program that README names after it.
spans "$(sed -n '/^A pipe is never late/,/^$/p' "$README" | tr '\n' ' ')" |
    grep ' | nc ' >"$T/pipes"
is 'README has three commands with a pipe' 3 "$(lines "$T/pipes")"
for NC in nc ncat nc.traditional; do
    need "$NC" "pipes into $NC" || continue
    while read -r command <&9; do
        command=$(with "$NC" "$command")
        PORT=$("$PEER" free-port)
        case $command in
        *-u*)
            converse "$command" "$command" 'udpC/udpC localhost:1234' hello '' 'Reply: hi'
            ;;
        *404*)
            converse "$command" "$command" 'wsClient/wsClient localhost:1234 /ws' '' '' \
                'wsClient: server: HTTP/1.1 404 Not Found'
            ;;
        *HEAD*)
            converse "$command" 'wsServer/wsServer 1234' "$command" '' '' \
                'HTTP/1.1 200 OK'
            ;;
        *) fail "nothing runs this command: $command" ;;
        esac
    done 9<"$T/pipes"
done

# --- After STOP ---------------------------------------------------------------------

stays_until_enter() { # SERVER
    open_pair "$1: nc is answered" "$1 1234" 'nc localhost 1234' hello '' '.'
    printf 'STOP\n' >&4
    SESSION="$1: STOP"
    wait_for 10 [ -s "$dir/status0" ] || wrong 'the server does not end'
    is "$1: after STOP nc still runs" '' "$(cat "$dir/status1" 2>/dev/null)"
    printf '\n\n' >&4 2>/dev/null
    wait_for 10 [ -s "$dir/status1" ] || wrong 'nc does not end'
    ok "$1: Enter ends nc"
    close_windows
}
if need nc 'after STOP'; then
    for server in tcpS/tcpS otherTCPserver/otherTCPserver; do
        PORT=$("$PEER" free-port)
        stays_until_enter "$server"
    done
fi

# --- The three netcats --------------------------------------------------------------

listening() { # COMMAND: prints what a client sends
    SESSION=$1
    open_command 0 "$1" && wait_for 10 listens
    "$PEER" connect "127.0.0.1:$PORT" send 'hello\n' 2>/dev/null
    comes "it listens: $1" "$T/0" hello
    close_windows
}
connecting() { # COMMAND: prints what the server sends
    SESSION=$1
    peer_listen listen 127.0.0.1:0 accept send 'hello\n' close
    PORT=$PEER_PORT
    open_command 1 "$1"
    comes "it connects: $1" "$T/1" hello
    close_windows
}
half_closing() { # COMMAND: half-closes at the end of its input, and prints a late reply
    peer_listen listen 127.0.0.1:0 accept expect 'hello\n' eof send 'late\n' close
    PORT=$PEER_PORT
    # shellcheck disable=SC2046 # words
    echo hello | timeout $((10 * SLOW)) $(ours "$1") >"$T/ending" 2>&1
    is "it half-closes: $1" '0 late' "$? $(cat "$T/ending")"
    peer_ends "the server has seen the end of the input: $1"
}
staying() { # COMMAND: does not half-close at the end of its input
    peer_listen listen 127.0.0.1:0 accept expect 'hello\n' nothing send 'late\n' \
        await "$T/printed"
    PORT=$PEER_PORT
    SESSION=$1
    open_command 1 "$1"
    printf 'hello\n' >&4
    exec 4>&-
    comes "it stays at the end of its input: $1" "$T/1" late
    touch "$T/printed"
    peer_ends "the server has seen no end of the input: $1"
    rm -f "$T/printed"
    close_windows
}

sed -n '/^- \*\*\(nc\|netcat\)/p' "$README" >"$T/netcats"
is 'README has a line for each netcat' 'ncat netcat-openbsd netcat-traditional' \
    "$(sed 's/^- \*\*\([a-z-]*\).*/\1/' "$T/netcats" | sort | tr '\n' ' ' | sed 's/ $//')"
spans "$(cat "$T/netcats")" | grep ' .*1234$' >"$T/commands"
is 'README has five commands for them' 5 "$(lines "$T/commands")"
while read -r command <&9; do
    need "${command%% *}" "$command" || continue
    PORT=$("$PEER" free-port)
    case $command in
    *' -l '*) listening "$command" ;;
    'nc -N '* | 'ncat '*) half_closing "$command" ;;
    *) connecting "$command" ;;
    esac
done 9<"$T/commands"
for command in 'nc localhost 1234' 'nc.traditional localhost 1234'; do
    need "${command%% *}" "$command" && staying "$command"
done
SESSION='nc.traditional -l PORT'
if need nc.traditional "$SESSION"; then
    PORT=$("$PEER" free-port)
    open_window 0 nc.traditional -v -l "$PORT"
    comes "it listens on a port that it chooses: $SESSION" "$T/0" 'listening on [any]'
    is "and not on this one: $SESSION" '' "$(grep "listening on .any. $PORT " "$T/0")"
    close_windows
fi

finish
