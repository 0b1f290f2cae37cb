#!/bin/sh
# wsServer.sh - the WebSocket echo server and its page
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ws.sh
. "$ROOT/tests/ws.sh"

PROGRAM=$(program wsServer)

# What takes longest goes on behind everything else.
if need "$PYTHON" 'time, signals, crowds and the log' && need "$PYTHON" 'the protocol'; then
    # shellcheck disable=SC2086
    start_report 'time, signals, crowds and the log' \
        "$PYTHON" "$ROOT/tests/ws_server.py" $RUN_WITH "$PROGRAM"
    # shellcheck disable=SC2086
    start_report 'the protocol' \
        "$PYTHON" "$ROOT/tests/ws_cases.py" server $RUN_WITH "$PROGRAM"
    start_report 'the decoder' unit_tests server SERVER
fi

# The command line.
typed '' wsServer -h
is '-h: exit 0' 0 "$STATUS"
is '-h: the usage' 'usage: wsServer [-q] [-a] [ADDRESS]' "$(sed -n 1p "$OUT")"
is '-h: one line of what it is for' 2 "$(lines "$OUT")"
file_is '-h: nothing on stderr' "$ERR" ''
STDOUT=/dev/full
typed '' wsServer -h
STDOUT=
gives '-h >/dev/full' 1 '' 'wsServer: write stdout: No space left on device\n'
typed '' wsServer :0 :0
gives 'an argument too many' 2 '' \
    'wsServer: too many arguments\nusage: wsServer [-q] [-a] [ADDRESS]\n'
typed '' wsServer -x
gives '-x' 2 '' 'wsServer: unknown option -x\nusage: wsServer [-q] [-a] [ADDRESS]\n'
typed '' wsServer '[::1]'
gives 'no port' 1 '' 'wsServer: address "[::1]": missing port\n'

# Where it listens.
serve wsServer 0
is 'a bare port 0' "wsServer: listening on [::]:$PORT" "$(cat "$ERR")"
HELLO='GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
WELCOME='HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n'
HI='\x81\x82\0\0\0\0hi' CLOSED='\x88\x82\0\0\0\0\x03\xe8'
echoed() { # WHAT WHERE
    talk "$1" connect "$2" send "$HELLO" expect "$WELCOME" send "$HI" expect '\x81\x02hi' \
        send "$CLOSED" expect '\x88\x02\x03\xe8' eof close
}
echoed 'served by IPv4' "127.0.0.1:$PORT"
if has_ipv6 'served by IPv6'; then
    echoed 'served by IPv6' "[::1]:$PORT"
    comes 'and named so' "$OUT" 'Connection from: [::1]:'
fi
comes 'IPv4 is named as IPv4' "$OUT" 'Connection from: 127.0.0.1:'
talk 'handshake, message and Close in one segment' connect "127.0.0.1:$PORT" \
    send "$HELLO$HI$CLOSED" expect "$WELCOME\x81\x02hi\x88\x02\x03\xe8" eof close
talk 'each piece read before the next, frames byte by byte' connect "127.0.0.1:$PORT" \
    cut 1 "${HELLO%?r?n}" drain send '\r' drain send '\n' expect "$WELCOME" \
    send-each "$HI" expect '\x81\x02hi' send-each "${CLOSED%?xe8}" send '\xe8' \
    expect '\x88\x02\x03\xe8' eof close
if possible 'the options of an accepted connection' \
    'looking into another process is not allowed here' \
    "$PEER" connect "127.0.0.1:$PORT" send "$HELLO" expect "$WELCOME" options "$SERVER"; then
    is 'SO_KEEPALIVE after 15 s and every 15 s, TCP_NODELAY' \
        'keepalive 1 idle 15 interval 15 nodelay 1' \
        "$("$PEER" connect "127.0.0.1:$PORT" send "$HELLO" expect "$WELCOME" \
            options "$SERVER" | tail -n 1)"
fi
typed '' wsServer "$PORT"
gives 'a port in use' 1 '' "wsServer: listen :$PORT: $IN_USE\n"
stop TERM
is 'SIGTERM: exit 0' 0 "$STATUS"
launch wsServer
wait_for 10 file_has_or_over "$ERR" "$STARTED_PID"
case $(sed -n 1p "$ERR") in
"wsServer: listen :1234: $IN_USE") ok 'without an argument: port 1234' ;;
*) is 'without an argument: port 1234' 'wsServer: listening on [::]:1234' "$(cat "$ERR")" ;;
esac
kill "$STARTED_PID" 2>/dev/null
await_end "$STARTED_PID"

# The page and the refusals, to curl.
serve wsServer 127.0.0.1:0
WHERE=127.0.0.1:$PORT
ask() { # PATH CURL-WORD...: CODE, and $T/body, $T/head
    _path=$1
    shift
    CODE=$(curl -q -s -g -m $((20 * SLOW)) --noproxy '*' -o "$T/body" -D "$T/head" \
        -w '%{http_code} %{content_type}' "$@" "http://$WHERE$_path") || CODE="curl: $?"
    tr -d '\r' <"$T/head" >"$T/headers"
}
refused() { # WHAT CODE PATH CURL-WORD...
    _what=$1 _code=$2
    shift 2
    ask "$@"
    is "$_what: $_code" "$_code text/plain; charset=utf-8" "$CODE"
    is "$_what: the body is one line" 1 "$(lines "$T/body")"
    true_that "$_what: closed" grep -qx 'Connection: close' "$T/headers"
}
if need curl 'the page and the refusals'; then
    ask /
    is 'the page' '200 text/html; charset=utf-8' "$CODE"
    is 'the page is HTML' '<!DOCTYPE html>' "$(sed -n 1p "$T/body")"
    is 'the page needs nothing from elsewhere' '' \
        "$(grep -iE '(src|href|url|import|fetch) *[=(]|https?://' "$T/body")"
    is 'the page sets no HTML from text' '' \
        "$(grep -E 'innerHTML|outerHTML|insertAdjacent|document\.write|eval' "$T/body")"
    is 'its length is given' "Content-Length: $(wc -c <"$T/body" | tr -d ' ')" \
        "$(grep Content-Length "$T/headers")"
    ask '/?a=b'
    is 'the page with a query' '200 text/html; charset=utf-8' "$CODE"
    ask / --http1.0
    is 'the page by HTTP/1.0' '200 text/html; charset=utf-8' "$CODE"
    refused 'an unknown path' 404 /nope
    refused 'an unknown path, any method' 404 /nope -X POST
    refused 'POST' 405 / -d x=y
    true_that 'POST: Allow' grep -qx 'Allow: GET' "$T/headers"
    refused 'POST to /ws' 405 /ws -d x=y
    head -c 3000000 /dev/zero >"$T/large"
    refused 'POST of 3 MB' 405 / -H 'Expect:' --data-binary "@$T/large"
    refused '/ws without an upgrade' 426 /ws
    true_that '426: the version' grep -qx 'Sec-WebSocket-Version: 13' "$T/headers"
    true_that '426: the protocol' grep -qx 'Upgrade: websocket' "$T/headers"
    refused 'no Host' 400 / -H 'Host:'
    refused 'over 8 KiB' 431 / -H "X: $(head -c 9000 /dev/zero | tr '\0' x)"
    set -- -H 'Upgrade: websocket' -H 'Connection: Upgrade' -H 'Sec-WebSocket-Version: 13'
    refused 'no key' 400 /ws "$@"
    set -- "$@" -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
    refused 'a foreign Origin' 403 /ws "$@" -H 'Origin: http://evil.example'
fi
stop TERM
is 'SIGTERM after all of this: exit 0' 0 "$STATUS"

# stdout gone or full.
for STDOUT in /dev/full - pipe; do
    _title="stdout $STDOUT"
    case $STDOUT in
    /dev/full) _why='No space left on device' ;;
    -) _why='Bad file descriptor' ;;
    pipe)
        _why='Broken pipe' STDOUT=
        SETUP=break-stdout
        ;;
    esac
    serve wsServer 127.0.0.1:0
    STDOUT=
    SETUP=
    for _nth in first second third; do
        echoed "$_title: the $_nth client is served" "127.0.0.1:$PORT"
    done
    file_is "$_title: it says so once" "$ERR" \
        "wsServer: listening on 127.0.0.1:$PORT\nwsServer: write stdout: $_why\n"
    stop TERM
    is "$_title: and ends with 0" 0 "$STATUS"
done
_port=$("$PEER" free-port)
# shellcheck disable=SC2086
"$PEER" run $RUN_WITH "$PROGRAM" "127.0.0.1:$_port" <&- >&- 2>&- &
SERVER=$!
STARTED="$STARTED $SERVER"
wait_for 10 "$PEER" connect "127.0.0.1:$_port" close 2>/dev/null
echoed 'stdin, stdout and stderr closed: a client is served' "127.0.0.1:$_port"
stop TERM
is 'stdin, stdout and stderr closed: exit 0' 0 "$STATUS"

# Others' software.
serve wsServer 127.0.0.1:0
if need_websockets "Python's websockets"; then
    start_report "Python's websockets" \
        "$PYTHON" "$ROOT/tests/ws_library.py" server "127.0.0.1:$PORT"
fi
if can browser 'a browser' && need "$PYTHON" 'a browser' && need chromium 'a browser' && need chromedriver 'a browser'; then
    mkdir -p "$ROOT/build"
    start_report 'a browser' \
        "$PYTHON" "$ROOT/tests/ws_browser.py" "127.0.0.1:$PORT" "$ROOT/build/wsServer.png"
fi
end_reports
stop TERM
is 'SIGTERM after all the others: exit 0' 0 "$STATUS"

finish
