#!/bin/sh
# wsServer.sh - the WebSocket echo server and its page
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ws/ws.sh
. "$ROOT/tests/ws/ws.sh"

start_checks server "$(program wsServer)"

# Who connects, and where it listens.
echoed() { # WHAT ADDRESS
    # shellcheck disable=SC2086
    is "$1" 'Received: hi' "$(echo hi | timeout $((20 * SLOW)) $RUN_WITH \
        "$(program wsClient)" "$2" /ws 2>&1 | sed 1d)"
}
serve wsServer 0
echoed 'served by IPv4' "127.0.0.1:$PORT"
comes 'IPv4 is named as IPv4' "$OUT" 'Connection from: 127.0.0.1:'
if has_ipv6 'served by IPv6'; then
    echoed 'served by IPv6' "[::1]:$PORT"
    comes 'IPv6 is named as IPv6' "$OUT" 'Connection from: [::1]:'
fi
options() {
    "$PEER" connect "127.0.0.1:$PORT" send 'GET / HTTP/1.0\r\n\r\n' line options "$SERVER"
}
if possible 'the options of a connection' 'no process may look into another' options; then
    is 'SO_KEEPALIVE and TCP_NODELAY' \
        'keepalive 1 nodelay 1' "$(options | tail -n 1)"
fi
stop TERM
is 'SIGTERM ends it' 143 "$STATUS"
launch wsServer
wait_for 10 file_has_or_over "$ERR" "$STARTED_PID"
like 'without an argument: port 1234' 'wsServer: *1234*' "$(cat "$ERR")"
kill "$STARTED_PID" 2>/dev/null
await_end "$STARTED_PID"

# The page and the refusals, to curl.
serve wsServer 127.0.0.1:0
ask() { # WHAT WANTED-CODE TYPE CURL-WORD...: the body in $T/body
    _what=$1 _want="$2 $3; charset=utf-8"
    shift 3
    like "$_what" "$_want" "$(curl -q -s -m $((20 * SLOW)) --noproxy '*' -o "$T/body" \
        -w '%{http_code} %{content_type}' "$@" "http://127.0.0.1:$PORT/")"
}
if need curl 'the page and the refusals'; then
    ask 'the page, to curl -I' 200 text/html -I
    _length=$(tr -d '\r' <"$T/body" | sed -n 's/^Content-Length: //p')
    ask 'the page' 200 text/html
    is 'the page has the length that curl -I shows' "$_length" \
        "$(wc -c <"$T/body" | tr -d ' ')"
    is 'the page needs nothing from elsewhere' '' \
        "$(grep -iE '(src|href|url|import|fetch) *[=(]|https?://' "$T/body" |
            grep -v 'href="data:,"')"
    head -c 3000000 /dev/zero >"$T/large"
    ask 'POST of 3 MB: the response is not lost' 405 text/plain -H 'Expect:' \
        --data-binary "@$T/large"
fi
stop TERM

# shellcheck disable=SC2317 # broken_stdout() calls it
two_clients() {
    serve wsServer 127.0.0.1:0
    echoed "stdout $BROKEN: the first client is served" "127.0.0.1:$PORT"
    echoed "stdout $BROKEN: the second client is served" "127.0.0.1:$PORT"
    stop TERM
    gives "stdout $BROKEN: until SIGTERM" 143 '' \
        "wsServer: listening on 127.0.0.1:$PORT\n"
}
broken_stdout two_clients

# Others' software.
serve wsServer 127.0.0.1:0
start_libraries server "127.0.0.1:$PORT"
if can browser 'a browser' && need "$PYTHON" 'a browser' &&
    need chromium 'a browser'; then
    mkdir -p "$ROOT/build"
    start_report "$PYTHON" "$WS/browser.py" 'wsServer: browser' "http://127.0.0.1:$PORT" \
        "$ROOT/build/wsServer"
fi
end_reports
stop INT
is 'SIGINT after all the others' 130 "$STATUS"

finish
