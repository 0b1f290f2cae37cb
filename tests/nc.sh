#!/bin/sh
# nc.sh - README's conversations with nc, with each of three netcats, and its table of
# their differences
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=readme.sh
. "$ROOT/tests/readme.sh"
cd "$ROOT" || exit

# Prints a command of README with the options of this netcat.
with() { # NETCAT COMMAND
    case $1 in
    nc.traditional) printf '%s\n' "$2" | sed "s/^nc /$1 /; s/-l 1234/-l -p 1234/" ;;
    *) printf '%s\n' "$2" | sed "s/^nc /$1 /" ;;
    esac
}

rows program >"$T/rows"
true_that 'README has conversations' [ "$(lines "$T/rows")" -ge 10 ]
for NC in nc ncat nc.traditional; do
    need "$NC" "conversations with $NC" || continue
    while IFS='|' read -r _ first second typed answer seen <&9; do
        case $NC$first$second in nc.traditional*-U*) continue ;; esac
        twice=
        case $typed$answer in *twice*) twice='\n' ;; esac
        typed=$(spans "$typed") answer=$(spans "$answer") seen=$(spans "$seen")
        spans "$second" >"$T/seconds"
        while read -r second <&8; do
            PORT=$("$PEER" free-port)
            first_nc=$(with "$NC" "$(spans "$first")") second_nc=$(with "$NC" "$second")
            converse "$first_nc | $second_nc" "$first_nc" "$second_nc" \
                "${typed:+$typed$twice}" "${answer:+$answer$twice}" "$(pattern "$seen")"
        done 8<"$T/seconds"
    done 9<"$T/rows"
done

# The table of differences: each command does what the first column says.
listening() { # COMMAND, at PORT: its window shows what the peer sends
    SESSION=$1
    # shellcheck disable=SC2046 # words
    open_window 0 $(ours "$1") && wait_for 10 listens
    case $1 in *-u*) _how=udp ;; *) _how=connect ;; esac
    "$PEER" "$_how" "127.0.0.1:$PORT" send 'hello\n' 2>/dev/null
    comes "it listens: $1" "$T/0" hello
    close_windows
}
ending() { # WHAT COMMAND PEER-WORD...: the peer executes them after it has read hello
    _what="$1: $2" _command=$2
    shift 2
    peer_listen listen 127.0.0.1:0 accept expect 'hello\n' "$@"
    PORT=$PEER_PORT
    # shellcheck disable=SC2046
    echo hello | timeout $((10 * SLOW)) $(ours "$_command") >"$T/ending" 2>&1
    is "$_what" '0 yes' "$? $(grep -qx late "$T/ending" && echo yes || echo no)"
    touch "$T/left"
    peer_ends "on the wire: $_what"
    rm -f "$T/left"
}

rows to >"$T/rows"
true_that 'README has differences' [ "$(lines "$T/rows")" -ge 5 ]
while IFS='|' read -r what one two three _ <&9; do
    spans "$one $two $three" >"$T/commands"
    while read -r command <&8; do
        need "${command%% *}" "$what: $command" || continue
        PORT=$("$PEER" free-port)
        case $what in
        listen | 'listen for UDP') listening "$command" ;;
        *path)
            read -r second <&8
            converse "$command, $second" "$command" "$second" hello hi hi
            ;;
        tell*) ending "$what" "$command" eof send 'late\n' close ;;
        'and leave'*) ending "$what" "$command" send 'late\n' await "$T/left" ;;
        *) fail "a row that has no test: $what" ;;
        esac
    done 8<"$T/commands"
done 9<"$T/rows"
SESSION='nc.traditional -l PORT'
if need nc.traditional "$SESSION"; then
    open_window 0 nc.traditional -v -l "$PORT"
    comes "it listens on a port that it chooses: $SESSION" "$T/0" 'listening on [any]'
    is "and not on this one: $SESSION" '' "$(grep "listening on .any. $PORT " "$T/0")"
    close_windows
fi

finish
