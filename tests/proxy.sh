#!/bin/sh
# proxy.sh - nginx with TLS in front of two wsServers, as README.md shows it
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ws/ws.sh
. "$ROOT/tests/ws/ws.sh"

PATH=$PATH:/usr/sbin # where Debian has nginx
for tool in nginx openssl curl; do
    need "$tool" 'nginx in front of wsServer' || finish
done
possible 'nginx in front of wsServer' 'root may not become www-data here' \
    sh -c "[ $(id -u) != 0 ] || '$PEER' user $OTHER_USER run true" || finish
serve wsServer 127.0.0.1:0
FIRST=$SERVER FIRST_PORT=$PORT FIRST_OUT=$OUT
serve wsServer 127.0.0.1:0
FRONT=$("$PEER" free-port)
URL=https://localhost:$FRONT
CERT=$T/build/cert.pem
CONF=$T/build/proxy.conf

# README's file, with other ports; for one who is not root, with other folders.
mkdir "$T/build"
awk '/^```/ { on = $0 == "```nginx"; next } on' "$ROOT/README.md" |
    sed "s/8443/$FRONT/; s/:1234/:$FIRST_PORT/; s/:1235/:$PORT/" >"$CONF"
at_most 'lines of the configuration' 30 "$(lines "$CONF")"
if [ ! -w /var/lib/nginx ]; then
    for kind in client_body proxy fastcgi uwsgi scgi; do
        sed -i "/^user/d; s/^http {/&\n    ${kind}_temp_path $kind;/" "$CONF"
    done
fi
from_readme() { # COMMAND: becomes it, in $T, with the arguments that README has for it
    cd "$T" && eval "exec $(awk "/^    $1 /, !/\\\\$/" "$ROOT/README.md")"
}
(from_readme openssl) >"$T/openssl" 2>&1 || fail 'a certificate' "$(cat "$T/openssl")"
(from_readme nginx) >"$T/nginx" 2>&1 &
NGINX=$!
STARTED="$STARTED $NGINX"
# Ended by KILL, as in clean_up, it would leave its worker behind.
trap 'kill "$NGINX" 2>/dev/null; await_end "$NGINX"; clean_up' EXIT
wait_for 10 "$PEER" connect "127.0.0.1:$FRONT" 2>/dev/null
if over "$NGINX"; then
    fail 'nginx starts, in the foreground' "$(cat "$T/nginx")"
    finish
fi
like 'the page by https' '<!DOCTYPE html>*' \
    "$(curl -q -sS -m $((20 * SLOW)) --noproxy '*' --cacert "$CERT" "$URL/" 2>&1)"

# Opens a WebSocket, says hi and Close; what comes back ends with both.
TALK="GET /ws HTTP/1.1\r\nHost: localhost:$FRONT\r\nOrigin: $URL\r\n\
Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
\0201\0202\0\0\0\0hi\0210\0202\0\0\0\0\0003\0350"
BACK='\0201\0002hi\0210\0002\0003\0350'
four_talks() { # WHAT
    for _ in 1 2 3 4; do
        printf '%b' "$TALK" | timeout $((20 * SLOW)) openssl s_client -quiet \
            -connect "localhost:$FRONT" -CAfile "$CERT" -verify_return_error \
            -verify_hostname localhost 2>/dev/null | tail -c 8
    done >"$T/back"
    file_is "$1" "$T/back" "$BACK$BACK$BACK$BACK"
}
four_talks 'four WebSockets by wss'
is 'the two servers took turns' '2 and 2' \
    "$(grep -c '^Connection' "$FIRST_OUT") and $(grep -c '^Connection' "$OUT")"

# The browser trusts the certificate's key, which nobody has signed, and no other.
KEY=$(openssl x509 -in "$CERT" -noout -pubkey | openssl pkey -pubin -outform der |
    openssl dgst -sha256 -binary | openssl base64)
browses() { # NAME
    can browser "$1" && need "$PYTHON" "$1" && need chromium "$1" || return
    REPORTS=
    start_report "$PYTHON" "$WS/browser.py" "$ME: $1" "$URL" "$T/screenshot" \
        "--ignore-certificate-errors-spki-list=$KEY"
    end_reports
}
browses browser

kill "$FIRST"
await_end "$FIRST"
is 'one server is ended' 143 "$STATUS"
four_talks 'the other one has four more WebSockets'
browses 'browser, one server left'

kill "$NGINX"
await_end "$NGINX"
trap clean_up EXIT
is 'SIGTERM: nginx exits with 0' 0 "$STATUS"
is 'nginx tells only of the server that is not there' '' \
    "$(grep -v "connect() failed (111: .*//127.0.0.1:$FIRST_PORT/" "$T/nginx")"

finish
