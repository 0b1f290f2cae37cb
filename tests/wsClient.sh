#!/bin/sh
# wsClient.sh - the WebSocket client: what it sends, prints, echoes and refuses
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ws/ws.sh
. "$ROOT/tests/ws/ws.sh"

PROGRAM=$(program wsClient)
start_checks client "$PROGRAM"
# shellcheck disable=SC2086
start_libraries client $RUN_WITH "$PROGRAM"

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
echoes() { # WHAT ADDRESS
    typed '안녕하세요\n' wsClient "$2" /ws
    gives "$1" 0 "Connecting to: $2 at /ws\nReceived: 안녕하세요\n" ''
}
echoes 'piped into it' "localhost:$PORT"
if has_ipv6 'by IPv6'; then
    echoes 'by IPv6' "[::1]:$PORT"
fi
typed "$(seq 1 300000)\n" wsClient "127.0.0.1:$PORT" /ws
is '2 MB of lines: exit 0' 0 "$STATUS"
sed 1d "$OUT" >"$T/got"
seq 1 300000 | sed 's/^/Received: /' >"$T/want"
true_that '2 MB of lines come back, in order' cmp "$T/want" "$T/got"
open_client wsClient "127.0.0.1:$PORT" /ws
type_in 'typed\n'
wait_for 10 has "$OUT" 'Received: typed'
if possible 'TCP_NODELAY' 'looking into another process is not allowed here' \
    "$PEER" options "$CLIENT"; then
    like 'TCP_NODELAY' '*nodelay 1' "$("$PEER" options "$CLIENT")"
fi
stop TERM
await_end "$CLIENT"
end_input
gives 'a typed line comes back; the server goes away: exit 1' 1 \
    "Connecting to: 127.0.0.1:$PORT at /ws\nReceived: typed\n" \
    'wsClient: server: connection closed\n'

end_reports
finish
