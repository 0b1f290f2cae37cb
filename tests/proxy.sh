#!/bin/sh
# proxy.sh - nginx in front of two wsServers, by the commands and settings of proxy.conf
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ws/ws.sh
. "$ROOT/tests/ws/ws.sh"

PATH=$PATH:/usr/sbin # where Debian has nginx
for tool in nginx openssl curl; do
    need "$tool" 'nginx in front of wsServer' || finish
done
possible 'nginx in front of wsServer' 'root may not change to another user here' \
    sh -c "[ $(id -u) != 0 ] || '$PEER' user $OTHER_USER run true" || finish

# Print the commands in the head of proxy.conf that run PROGRAM, with our ports.
commands() { # PROGRAM
    sed -n 's/^#   //p' "$ROOT/tests/proxy.conf" |
        sed -e ':more' -e '/\\$/{N; s/\\\n *//; b more' -e '}' |
        awk -v program="$1" '$1 == program' | our_ports
}
our_ports() {
    sed "s/8443/$TLS_PORT/g; s/8080/$PLAIN_PORT/g"
}
TLS_PORT=$("$PEER" free-port)
PLAIN_PORT=$("$PEER" free-port)
URL=https://localhost:$TLS_PORT

# The wsServers, on free ports.
commands wsServer/wsServer | sed 's/^[^ ]* //; s/:123[45]$/:0/' >"$T/servers"
is 'proxy.conf starts two wsServers' '2' "$(lines "$T/servers")"
serve wsServer "$(sed -n 1p "$T/servers")"
FIRST=$SERVER FIRST_PORT=$PORT FIRST_OUT=$OUT
serve wsServer "$(sed -n 2p "$T/servers")"

# proxy.conf with our ports, in a copy of the folders that its commands need.
mkdir "$T/tests"
CERT=$T/build/cert.pem
our_ports <"$ROOT/tests/proxy.conf" |
    sed "s/:1234/:$FIRST_PORT/; s/:1235/:$PORT/" >"$T/tests/proxy.conf"
cd "$T" || exit
for command in mkdir openssl; do
    eval "$(commands $command)" >"$T/said" 2>&1
    is "$command: exit 0" 0 "$?"
done
(eval "exec $(commands nginx)") >"$T/nginx" 2>&1 &
NGINX=$!
# clean_up kills with SIGKILL, which would leave nginx's worker running.
trap 'kill "$NGINX" 2>/dev/null; await_end "$NGINX"; clean_up' EXIT
wait_for 10 "$PEER" connect "127.0.0.1:$TLS_PORT" 2>/dev/null
if over "$NGINX"; then
    fail 'nginx starts, in the foreground' "$(cat "$T/nginx")"
    finish
fi

fetch() { # CURL-WORD...
    curl -q -sS -m $((20 * SLOW)) --noproxy '*' --cacert "$CERT" "$@" "$URL/" 2>&1
}
fetch >"$T/page"
like 'https: the page' '<!DOCTYPE html>*' "$(cat "$T/page")"
fetch -I | tr -d '\r' >"$T/head"
is 'https: HEAD returns the length of the page' \
    "HTTP/1.1 200 OK Content-Length: $(wc -c <"$T/page" | tr -d ' ')" \
    "$(sed -n 1p "$T/head") $(grep '^Content-Length:' "$T/head")"

# Opens a WebSocket, sends hi and Close; the reply ends with both.
TALK="GET /ws HTTP/1.1\r\nHost: localhost:$TLS_PORT\r\nOrigin: $URL\r\n\
Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
\0201\0202\0\0\0\0hi\0210\0202\0\0\0\0\0003\0350"
BACK='\0201\0002hi\0210\0002\0003\0350'
four_talks() { # WHAT
    for _ in 1 2 3 4; do
        printf '%b' "$TALK" | timeout $((20 * SLOW)) openssl s_client -quiet \
            -connect "localhost:$TLS_PORT" -CAfile "$CERT" -verify_return_error \
            -verify_hostname localhost 2>/dev/null | tail -c 8
    done >"$T/back"
    file_is "$1" "$T/back" "$BACK$BACK$BACK$BACK"
}
four_talks 'wss: four WebSockets'
is 'the two servers take turns' '2 and 2' \
    "$(grep -c '^Connection' "$FIRST_OUT") and $(grep -c '^Connection' "$OUT")"

# nginx answers 400 to a Host that it does not accept.
for address in "$(commands wsClient/wsClient | cut -d ' ' -f 2)" ":$PLAIN_PORT"; do
    typed 'hello\n안녕하세요\n' wsClient "$address" /ws
    gives "ws: wsClient ${address%:*}:PORT" 0 \
        "Connecting to: $address at /ws\nReceived: hello\nReceived: 안녕하세요\n" ''
done

# The browser trusts the certificate's key, which nobody has signed, and no other.
KEY=$(openssl x509 -in "$CERT" -noout -pubkey | openssl pkey -pubin -outform der |
    openssl dgst -sha256 -binary | openssl base64)
if can browser browser && need "$PYTHON" browser && need chromium browser; then
    start_report "$PYTHON" "$WS/browser.py" "$ME: browser" "$URL" "$T/screenshot" \
        "--ignore-certificate-errors-spki-list=$KEY"
    end_reports
fi

kill "$FIRST"
await_end "$FIRST"
four_talks 'wss: the other server accepts four more WebSockets'

kill "$NGINX"
await_end "$NGINX"
trap clean_up EXIT
is 'SIGTERM: nginx exits with 0' 0 "$STATUS"
is 'nginx complains only of the server that has ended' '' \
    "$(grep -v "connect() failed (111: .*//127.0.0.1:$FIRST_PORT/" "$T/nginx")"

finish
