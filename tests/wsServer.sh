#!/bin/sh
# wsServer.sh - the WebSocket echo server and its page
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ws/ws.sh
. "$ROOT/tests/ws/ws.sh"

start_checks server "$(program wsServer)"

# Who connects, and where it listens.
HELLO='GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
WELCOME='Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
echoed() { # WHAT WHERE
    talk "$1" connect "$2" send "$HELLO" line line line line expect "$WELCOME" \
        send '\x81\x82\0\0\0\0hi' expect '\x81\x02hi' \
        send '\x88\x82\0\0\0\0\x03\xe8' expect '\x88\x02\x03\xe8' eof close
}
serve wsServer 0
echoed 'served by IPv4' "127.0.0.1:$PORT"
comes 'IPv4 is named as IPv4' "$OUT" 'Connection from: 127.0.0.1:'
if has_ipv6 'served by IPv6'; then
    echoed 'served by IPv6' "[::1]:$PORT"
    comes 'IPv6 is named as IPv6' "$OUT" 'Connection from: [::1]:'
fi
options() {
    "$PEER" connect "127.0.0.1:$PORT" send "$HELLO" line line line line expect "$WELCOME" options "$SERVER"
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
ask() { # WHAT WANTED-CODE TYPE PATH CURL-WORD...: the body in $T/body
    _what=$1 _want="$2 $3; charset=utf-8" _path=$4
    shift 4
    like "$_what" "$_want" "$(curl -q -s -g -m $((20 * SLOW)) --noproxy '*' -o "$T/body" \
        -w '%{http_code} %{content_type}' "$@" "http://127.0.0.1:$PORT$_path")"
}
if need curl 'the page and the refusals'; then
    ask 'the page by HTTP/1.0' 200 text/html / --http1.0
    ask 'the page' 200 text/html /
    like 'the page is HTML' '<!DOCTYPE html>*' "$(sed -n 1p "$T/body")"
    is 'the page needs nothing from elsewhere' '' \
        "$(grep -iE '(src|href|url|import|fetch) *[=(]|https?://' "$T/body" |
            grep -v 'href="data:,"')"
    is 'the page sets no HTML from text' '' \
        "$(grep -E 'innerHTML|outerHTML|insertAdjacent|document\.write|eval' "$T/body")"
    head -c 3000000 /dev/zero >"$T/large"
    ask 'the page, to curl -I' 200 text/html / -I
    is 'curl -I gets no body' '' "$(grep -i '<html' "$T/body")"
    ask 'POST of 3 MB: the response is not lost' 405 text/plain / -H 'Expect:' \
        --data-binary "@$T/large"
fi
stop TERM

# stdout closed or full.
for STDOUT in /dev/full pipe; do
    _title="stdout $STDOUT"
    [ "$STDOUT" = pipe ] && STDOUT='' SETUP=break-stdout
    serve wsServer 127.0.0.1:0
    STDOUT='' SETUP=''
    echoed "$_title: the first client is served" "127.0.0.1:$PORT"
    echoed "$_title: the second client is served" "127.0.0.1:$PORT"
    stop TERM
    gives "$_title: until SIGTERM" 143 '' "wsServer: listening on 127.0.0.1:$PORT\n"
done

# Others' software.
serve wsServer 127.0.0.1:0
RUN_WITH='' start_libraries server "127.0.0.1:$PORT"
if can browser 'a browser' && need "$PYTHON" 'a browser' &&
    need chromium 'a browser'; then
    mkdir -p "$ROOT/build"
    start_report "$PYTHON" "$WS/browser.py" 'wsServer: browser' "http://127.0.0.1:$PORT" \
        "$ROOT/build/wsServer"
fi
end_reports
stop TERM
is 'SIGTERM after all the others' 143 "$STATUS"

finish
