#!/bin/sh
# wsClient.sh - the WebSocket client: what it sends, prints, echoes and refuses
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ws/ws.sh
. "$ROOT/tests/ws/ws.sh"

PROGRAM=$(program wsClient)
start_checks client "$PROGRAM"
start_libraries client "$PROGRAM"

# The command line.
refuses() { # PATTERN ARG...
    _pattern=$1
    shift
    typed '' wsClient "$@"
    like "wsClient $(echo "$*" | cut -c -40): exit 2, why, and the usage" \
        "2 wsClient: ${_pattern}usage: wsClient *" \
        "$STATUS $(sed -n 1,2p "$ERR" | tr -d '\n')"
}
refuses 'Need SERVER + PATH!' localhost:1234
for _seconds in x -1 '' 1.5 86401 99999999999999999999; do
    refuses '?*' -i "$_seconds" 127.0.0.1:1 /ws
done
refuses '*TLS*' wss://127.0.0.1:1/ws
refuses '*TLS*' WSS://localhost
refuses '?*' ws://user@127.0.0.1:1/ws
refuses '?*' ws://user:secret@127.0.0.1:1/ws
for _path in '/a b' '/a#b' '/	' '/é' "/$(head -c 5000 /dev/zero | tr '\0' a)"; do
    refuses '?*' 127.0.0.1:80 "$_path"
done
_port=$("$PEER" free-port)
typed 'hello\n' wsClient -i 86400 "127.0.0.1:$_port" /ws
gives 'nobody listens' 1 "Connecting to: 127.0.0.1:$_port at /ws\n" \
    "wsClient: 127.0.0.1:$_port: Connection refused\n"
for _row in ws://127.0.0.1/ws=127.0.0.1:80 ws://127.0.0.1:/ws=127.0.0.1:80 \
    WS://127.0.0.1:80/ws=127.0.0.1:80 'ws://[::1]/ws=[::1]:80' 'ws://[::1]:1/ws=[::1]:1'; do
    typed '' wsClient "${_row%=*}"
    is "${_row%=*}" "Connecting to: ${_row#*=} at /ws" "$(cat "$OUT")"
done

# With wsServer.
serve wsServer -q 0
with_server() { # WHAT INPUT ADDRESS RECEIVED [STDERR]
    typed "$2" wsClient "$3" /ws
    gives "$1" "$([ $# -lt 5 ]; echo $?)" "Connecting to: $3 at /ws\n$4" "${5-}"
}
with_server 'printf | wsClient' 'hi\n' "localhost:$PORT" 'Received: hi\n'
with_server 'Korean, and not UTF-8' '\0355\0225\0234\0352\0270\0200\n\0377\n' \
    "127.0.0.1:$PORT" 'Received: \0355\0225\0234\0352\0270\0200\n' \
    'wsClient: stdin: not UTF-8, not sent\n'
if has_ipv6 'by IPv6'; then
    with_server 'by IPv6' 'six\n' "[::1]:$PORT" 'Received: six\n'
fi
typed '' wsClient "ws://127.0.0.1:$PORT/nope"
gives 'an unknown path' 1 "Connecting to: 127.0.0.1:$PORT at /nope\n" \
    'wsClient: server: HTTP/1.1 404 Not Found\n'
seq 1 300000 >"$T/lines"
new_files
# shellcheck disable=SC2086
timeout -k 2 $((30 * SLOW)) $RUN_WITH "$PROGRAM" "127.0.0.1:$PORT" /ws \
    <"$T/lines" >"$OUT" 2>"$ERR"
is '2 MB of lines: exit 0' 0 "$?"
sed 1d "$OUT" | sed 's/^Received: //' >"$T/got"
true_that '2 MB of lines come back, in order' cmp "$T/lines" "$T/got"
open_client wsClient "127.0.0.1:$PORT" /ws
type_in 'typed\n'
becomes 'a typed line comes back at once' "$OUT" \
    "Connecting to: 127.0.0.1:$PORT at /ws\nReceived: typed\n"
if possible 'TCP_NODELAY' 'looking into another process is not allowed here' \
    "$PEER" options "$CLIENT"; then
    like 'TCP_NODELAY' '*nodelay 1' "$("$PEER" options "$CLIENT")"
fi
stop TERM
await_end "$CLIENT"
end_input
gives 'the server goes away: exit 1' 1 \
    "Connecting to: 127.0.0.1:$PORT at /ws\nReceived: typed\n" \
    'wsClient: server: connection closed\n'

end_reports
finish
