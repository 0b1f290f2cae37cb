#!/bin/sh
# otherTCPclient.sh - the client that resolves, then dials: net.DialTCP("tcp4", ...)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=conversation.sh
. "$ROOT/tests/conversation.sh"

DIAL=DialTCP
SIX=-6
FAMILY=
HOST=127.0.0.1
conversation
if has_ipv6 'the conversation over IPv6'; then
    FAMILY=-6
    HOST='[::1]'
    conversation
fi
conversation_once

# One address, of one family.
peer_listen listen 127.0.0.1:0 accept expect 'hello\n' send 'hi\n' eof
typed 'hello\n' otherTCPclient "localhost:$PEER_PORT"
gives 'localhost is resolved to IPv4' 0 '>> ->: hi\n>> \n' ''
peer_ends 'localhost is resolved to IPv4: on the wire'
typed 'hello\n' otherTCPclient '[::1]:1'
is 'an IPv6 address without -6: exit 1' 1 "$STATUS"
like 'an IPv6 address without -6: the step is named' \
    'otherTCPclient: ResolveTCPAddr *' "$(cat "$ERR")"
typed 'hello\n' otherTCPclient -6 '127.0.0.1:1'
is 'an IPv4 address with -6: exit 1' 1 "$STATUS"
like 'an IPv4 address with -6: the step is named' \
    'otherTCPclient: ResolveTCPAddr *' "$(cat "$ERR")"

# LOCAL.
peer_listen listen 127.0.0.1:0 accept who expect 'hello\n' send 'hi\n' eof
typed 'hello\n' otherTCPclient "127.0.0.1:$PEER_PORT" 127.0.0.2:0
gives 'LOCAL with port 0' 0 '>> ->: hi\n>> \n' ''
peer_ends 'LOCAL with port 0: on the wire'
like 'LOCAL with port 0: the server sees it' '127.0.0.2 *' "$(sed -n 2p "$PEER_OUT")"
_port=$("$PEER" free-port)
peer_listen listen 127.0.0.1:0 accept who expect 'hello\n' send 'hi\n' eof
typed 'hello\n' otherTCPclient "127.0.0.1:$PEER_PORT" "127.0.0.2:$_port"
gives 'LOCAL with a port' 0 '>> ->: hi\n>> \n' ''
peer_ends 'LOCAL with a port: on the wire'
is 'LOCAL with a port: the server sees it' "127.0.0.2 $_port" "$(sed -n 2p "$PEER_OUT")"
peer_listen listen 127.0.0.1:0 accept who expect 'hello\n' send 'hi\n' eof
_port=$("$PEER" free-port)
typed 'hello\n' otherTCPclient "127.0.0.1:$PEER_PORT" ":$_port"
gives 'LOCAL as :PORT' 0 '>> ->: hi\n>> \n' ''
peer_ends 'LOCAL as :PORT: on the wire'
is 'LOCAL as :PORT: the server sees it' "127.0.0.1 $_port" "$(sed -n 2p "$PEER_OUT")"
if has_ipv6 'LOCAL over IPv6'; then
    peer_listen listen '[::1]:0' accept who expect 'hello\n' send 'hi\n' eof
    _port=$("$PEER" free-port)
    typed 'hello\n' otherTCPclient -6 "[::1]:$PEER_PORT" "[::1]:$_port"
    gives 'LOCAL over IPv6' 0 '>> ->: hi\n>> \n' ''
    peer_ends 'LOCAL over IPv6: on the wire'
    is 'LOCAL over IPv6: the server sees it' "::1 $_port" "$(sed -n 2p "$PEER_OUT")"
fi
typed '' otherTCPclient 127.0.0.1:1 localhost
gives 'LOCAL without a port' 1 '' \
    'otherTCPclient: ResolveTCPAddr "localhost": missing port\n'
# 192.0.2.0/24 is nobody's (RFC 5737).
typed '' otherTCPclient 127.0.0.1:1 192.0.2.1:0
is 'LOCAL of another machine: exit 1' 1 "$STATUS"
like 'LOCAL of another machine: the step and the reason' \
    "otherTCPclient: DialTCP *: $NOT_HERE" "$(cat "$ERR")"

finish
