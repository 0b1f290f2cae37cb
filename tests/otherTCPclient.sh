#!/bin/sh
# otherTCPclient.sh - the client that resolves, then dials: net.DialTCP("tcp4", ...)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=conversation.sh
. "$ROOT/tests/conversation.sh"

tcp_client

# One address, of one family; the server sees LOCAL as the client's address.
reaches() { # HOST SEEN(a pattern) ARGUMENTS: with @ for the server's port
    peer_listen listen "$1:0" accept who expect 'hello\n' send 'hi\n' eof
    # shellcheck disable=SC2046
    typed 'hello\n' otherTCPclient $(echo "$3" | sed "s/@/$PEER_PORT/")
    gives "otherTCPclient $3" 0 '>> ->: hi\n>> \n' ''
    peer_ends "otherTCPclient $3: on the wire"
    like "otherTCPclient $3: the server sees it" "$2" "$(sed -n 2p "$PEER_OUT")"
}
reaches 127.0.0.1 '127.0.0.1 *' localhost:@
reaches 127.0.0.1 '127.0.0.2 *' '127.0.0.1:@ 127.0.0.2:0'
_port=$("$PEER" free-port)
reaches 127.0.0.1 "127.0.0.1 $_port" "127.0.0.1:@ :$_port"
_own=$(hostname -I 2>/dev/null | tr ' ' '\n' | grep -m 1 '\.')
if possible 'LOCAL is any address' 'only loopback here' [ -n "$_own" ]; then
    reaches "$_own" "$_own *" "$_own:@ :0"
fi
if has_ipv6 '-6'; then
    reaches '[::1]' '::1 *' '-6 [::1]:@'
    _port=$("$PEER" free-port)
    reaches '[::1]' "::1 $_port" "-6 [::1]:@ [::1]:$_port"
fi

fails() { # ERROR(a pattern, without the name) ARG...
    _line=$1
    shift
    typed '' otherTCPclient "$@"
    like "otherTCPclient $*: exit 1" "1 otherTCPclient: $_line" "$STATUS $(cat "$ERR")"
}
fails '?::1?:0: not an IPv4 address (-6 is for IPv6)' 127.0.0.1:1 '[::1]:0'
fails 'localhost: missing port' 127.0.0.1:1 localhost
fails "192.0.2.1:0: $NOT_HERE" 127.0.0.1:1 192.0.2.1:0

finish
