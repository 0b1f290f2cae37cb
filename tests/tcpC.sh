#!/bin/sh
# tcpC.sh - the client that dials: net.Dial("tcp", ...)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=conversation.sh
. "$ROOT/tests/conversation.sh"

tcp_client

# A name with several addresses, in a hosts file for this program only.
printf '127.0.0.2 many.test\n127.0.0.3 many.test\n' >"$T/hosts"
has_ipv6 'a name with an IPv6 address' && echo '::1 many.test' >>"$T/hosts"
# A link-local address without a scope is unreachable: getaddrinfo() puts it last.
printf '127.0.0.2 far.test\nfe80::1 far.test\n' >>"$T/hosts"
echo "mount --bind $T/hosts /etc/hosts && exec \"\$@\"" >"$T/with-hosts"

# The server is at WHERE; the client's argument is NAME.
reaches() { # NAME WHERE
    case $2 in
    \[*) has_ipv6 "$1:PORT leads to a server at $2" || return ;;
    esac
    peer_listen listen "$2:0" accept expect 'hello\n' send 'hi\n' eof
    typed 'hello\n' tcpC "$1:$PEER_PORT"
    gives "$1:PORT leads to a server at $2" 0 '>> ->: hi\n>> \n' ''
    peer_ends "$1:PORT leads to a server at $2: on the wire"
}
reaches '[::1]' '[::1]'
reaches localhost 127.0.0.1
reaches '' 127.0.0.1
if possible 'a name with several addresses' 'only root can mount' \
    unshare -m sh "$T/with-hosts" true; then
    _run=$RUN_WITH
    RUN_WITH="unshare -m sh $T/with-hosts $RUN_WITH"
    for _host in 127.0.0.2 127.0.0.3 '[::1]'; do
        reaches many.test "$_host"
    done
    _port=$("$PEER" free-port)
    typed 'hello\n' tcpC "far.test:$_port"
    gives 'no address of a name answers: the error of the first' 1 '' \
        "tcpC: far.test:$_port: Connection refused\n"
    RUN_WITH=$_run
fi

finish
