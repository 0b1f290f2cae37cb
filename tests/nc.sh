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
    case $1 in
    nc.traditional) port='-p 1234' ;;
    *) port=1234 ;;
    esac
    printf '%s\n' "$2" | sed "s/^nc /$1 /; s/| nc /| $1 /; s/-l 1234/-l $port/"
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
        printf '%s\n' "$first" "$second" >>"$T/ran"
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

# --- The three netcats --------------------------------------------------------------

half_closing() { # COMMAND: half-closes at the end of its input, and prints a late reply
    peer_listen listen 127.0.0.1:0 accept expect 'hello\n' eof send 'late\n' close
    PORT=$PEER_PORT
    # shellcheck disable=SC2046 # words
    echo hello | timeout $((10 * SLOW)) $(ours "$1") >"$T/ending" 2>&1
    is "it half-closes: $1" '0 late' "$? $(cat "$T/ending")"
    peer_ends "the server has seen the end of the input: $1"
}

sed -n '/^- \*\*\(nc\|netcat\)/p' "$README" >"$T/netcats"
is 'README has a line for each netcat' 'ncat netcat-openbsd netcat-traditional' \
    "$(sed 's/^- \*\*\([a-z-]*\).*/\1/' "$T/netcats" | sort | tr '\n' ' ' | sed 's/ $//')"
spans "$(cat "$T/netcats")" | grep ' .*1234$' >"$T/commands"
is 'README has five commands for them' 5 "$(lines "$T/commands")"
while read -r command <&9; do
    need "${command%% *}" "$command" || continue
    case $command in
    'nc -N '* | 'ncat localhost '*) half_closing "$command" ;;
    *) true_that "a session above has it: $command" grep -qxF -e "$command" "$T/ran" ;;
    esac
done 9<"$T/commands"
SESSION='nc localhost 1234'
if need nc "$SESSION"; then
    peer_listen listen 127.0.0.1:0 accept expect 'hello\n' nothing send 'late\n' \
        await "$T/printed"
    PORT=$PEER_PORT
    open_command 1 "$SESSION"
    printf 'hello\n' >&4
    exec 4>&-
    comes 'nc stays at the end of its input' "$T/1" late
    touch "$T/printed"
    peer_ends 'the server has seen no end of its input'
    close_windows
fi

finish
