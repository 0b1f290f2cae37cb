#!/bin/sh
# wsClient.sh - the WebSocket client: what it sends, prints, echoes and refuses
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ws.sh
. "$ROOT/tests/ws.sh"

PROGRAM=$(program wsClient)

if need "$PYTHON" 'stdin, stdout, time and signals' && need "$PYTHON" 'the protocol'; then
    # shellcheck disable=SC2086
    start_report 'stdin, stdout, time and signals' \
        "$PYTHON" "$ROOT/tests/ws_client.py" $RUN_WITH "$PROGRAM"
    # shellcheck disable=SC2086
    start_report 'the protocol' \
        "$PYTHON" "$ROOT/tests/ws_cases.py" client $RUN_WITH "$PROGRAM"
    start_report 'the decoder' unit_tests client CLIENT
fi
if need_websockets "Python's websockets"; then
    # shellcheck disable=SC2086
    start_report "Python's websockets" \
        "$PYTHON" "$ROOT/tests/ws_library.py" client $RUN_WITH "$PROGRAM"
fi

# The command line.
USAGE='usage: wsClient [-e] [-i SECONDS] HOST:PORT PATH | ws://HOST[:PORT]/PATH'
typed '' wsClient localhost:1234
gives 'no PATH' 2 '' "wsClient: Need SERVER + PATH!\n$USAGE\n"
typed '' wsClient ws://127.0.0.1:1/ws /ws
gives 'an argument too many behind a URL' 2 '' "wsClient: too many arguments\n$USAGE\n"
for _seconds in x -1 '' 1.5 99999999999999999999; do
    typed '' wsClient -i "$_seconds" 127.0.0.1:1 /ws
    is "-i '$_seconds': exit 2" 2 "$STATUS"
    is "-i '$_seconds': the usage" "$USAGE" "$(sed -n 2p "$ERR")"
done
for _url in wss://127.0.0.1:1/ws WSS://localhost; do
    typed '' wsClient "$_url"
    is "$_url: exit 2" 2 "$STATUS"
    like "$_url: TLS is not there" 'wsClient: *TLS*' "$(sed -n 1p "$ERR")"
done
typed '' wsClient ws://user@127.0.0.1:1/ws
gives 'a URL with a user' 2 '' \
    "wsClient: a URL with a user in it is not for WebSocket\n$USAGE\n"
for _url in ws://127.0.0.1/ws ws://127.0.0.1:/ws WS://127.0.0.1:80/ws; do
    typed '' wsClient "$_url"
    is "$_url: port 80" 'Connecting to: 127.0.0.1:80 at /ws' "$(cat "$OUT")"
done
typed '' wsClient 'ws://[::1]?x'
is 'a URL without a path, and IPv6' 'Connecting to: [::1]:80 at /?x' "$(cat "$OUT")"
A400=$(head -c 400 /dev/zero | tr '\0' a)
for _target in "$A400:80 /ws" "ws://$A400:80/ws" "127.0.0.1:80 /$A400$A400$A400$A400$A400$A400$A400$A400$A400$A400$A400"; do
    # shellcheck disable=SC2086
    typed '' wsClient $_target
    gives "$(echo "$_target" | cut -c 1-16)..." 2 '' "wsClient: the address is too long\n$USAGE\n"
done
for _path in '/a b' '/a#b' '/	' '/34'; do
    typed '' wsClient 127.0.0.1:80 "$(printf '%b' "$_path")"
    gives "PATH $_path" 2 '' \
        "wsClient: PATH has a character in it that must be percent-encoded\n$USAGE\n"
done

# Nobody there.
_port=$("$PEER" free-port)
typed 'hello\n' wsClient "127.0.0.1:$_port" /ws
gives 'nobody listens' 1 "Connecting to: 127.0.0.1:$_port at /ws\n" \
    "wsClient: connect 127.0.0.1:$_port: Connection refused\n"
typed 'hello\n' wsClient localhost /ws
is 'no port: exit 1' 1 "$STATUS"
is 'no port: said' 'wsClient: address "localhost": missing port' "$(cat "$ERR")"

# With wsServer.
serve wsServer -q 0
typed 'hi\n' wsClient "localhost:$PORT" /ws
gives 'printf | wsClient' 0 "Connecting to: localhost:$PORT at /ws\nReceived: hi\n" ''
typed 'one\n\n100%% sure \0\nlast' wsClient "127.0.0.1:$PORT" ws
gives 'several lines, the last unfinished' 0 \
    "Connecting to: 127.0.0.1:$PORT at /ws\nReceived: one\nReceived: \nReceived: 100%% sure \\\\x00\nReceived: last\n" ''
typed '\0355\0225\0234\0352\0270\0200\n' wsClient "ws://127.0.0.1:$PORT/ws"
gives 'a URL, and Korean' 0 \
    "Connecting to: 127.0.0.1:$PORT at /ws\nReceived: \0355\0225\0234\0352\0270\0200\n" ''
typed 'good\nbad \0377\nafter\n' wsClient "127.0.0.1:$PORT" /ws
gives 'a line that is not UTF-8' 0 \
    "Connecting to: 127.0.0.1:$PORT at /ws\nReceived: good\nReceived: after\n" \
    'wsClient: stdin: line is not UTF-8: not sent\n'
if has_ipv6 'by IPv6'; then
    typed 'six\n' wsClient "[::1]:$PORT" /ws
    gives 'by IPv6' 0 "Connecting to: [::1]:$PORT at /ws\nReceived: six\n" ''
fi
typed '' wsClient "127.0.0.1:$PORT" /nope
gives 'an unknown path' 1 "Connecting to: 127.0.0.1:$PORT at /nope\n" \
    "wsClient: 127.0.0.1:$PORT: HTTP/1.1 404 Not Found\n"
typed '' wsClient "127.0.0.1:$PORT" /
gives 'the page instead of a WebSocket' 1 "Connecting to: 127.0.0.1:$PORT at /\n" \
    "wsClient: 127.0.0.1:$PORT: HTTP/1.1 200 OK\n"
head -c 65536 /dev/zero | tr '\0' x >"$T/long"
typed "$(cat "$T/long")\n$(cat "$T/long")\n" wsClient "127.0.0.1:$PORT" /ws
is 'two lines of 65,536 bytes: exit 0' 0 "$STATUS"
{
    echo "Connecting to: 127.0.0.1:$PORT at /ws"
    for _ in 1 2; do echo "Received: $(cat "$T/long")"; done
} >"$T/want"
true_that 'two lines of 65,536 bytes come back' cmp -s "$T/want" "$OUT"
seq 1 1000 >"$T/thousand"
typed "$(cat "$T/thousand")" wsClient "127.0.0.1:$PORT" /ws
{
    echo "Connecting to: 127.0.0.1:$PORT at /ws"
    sed 's/^/Received: /' "$T/thousand"
} >"$T/want"
true_that '1,000 lines come back, in order' cmp -s "$T/want" "$OUT"
is '1,000 lines: exit 0' 0 "$STATUS"
open_client wsClient "127.0.0.1:$PORT" /ws
type_in 'typed\n'
becomes 'a typed line comes back at once' "$OUT" \
    "Connecting to: 127.0.0.1:$PORT at /ws\nReceived: typed\n"
stop TERM
is 'the server ends with 0' 0 "$STATUS"
await_end "$CLIENT"
end_input
gives 'the server goes away: 1001, exit 0' 0 \
    "Connecting to: 127.0.0.1:$PORT at /ws\nReceived: typed\n" \
    "wsClient: 127.0.0.1:$PORT: closed by server: 1001\n"

end_reports
finish
