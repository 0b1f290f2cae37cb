#!/bin/sh
# common.sh - the command line, the addresses and the errors of all programs
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"

SERVERS='tcpS otherTCPserver udpS concTCP wsServer'

# --- The command line ---------------------------------------------------------------

# A wrong command line: the error is on the first line, the usage on the last ones.
refused() { # WHAT FIRST-LINE(a pattern) NAME ARG...
    _title=$1 _first=$2
    shift 2
    typed '' "$@"
    like "$_title: exit 2, the error on stderr" "2 $_first" "$STATUS $(sed -n 1p "$ERR")"
    is "$_title: and the usage" "$USAGE" "$(sed -n '/^usage: /,$p' "$ERR")"
    file_is "$_title: nothing on stdout" "$OUT" ''
}
command_line() { # NAME SENTENCE ARGUMENTS: as many as are allowed
    typed '' "$1" -h
    USAGE=$(cat "$OUT")
    like "$1 -h: exit 0, the usage on stdout" "0 usage: $1 *" "$STATUS $USAGE"
    file_is "$1 -h: nothing on stderr" "$ERR" ''
    [ "$1" = wsServer ] || refused "$1 without an argument" "$2" "$1"
    # shellcheck disable=SC2086
    refused "$1 with an argument too many" "$2" "$1" $3 more
    # shellcheck disable=SC2086
    refused "$1 -x" '*: *x*' "$1" -x $3
}
command_line tcpC 'Please provide host:port.' 127.0.0.1:1
command_line otherTCPclient 'Please provide a server:port string!' '127.0.0.1:1 :0'
command_line tcpS 'Please provide port number' 0
command_line otherTCPserver 'Please provide a port number!' 0
command_line udpC 'Please provide a host:port string' 127.0.0.1:1
command_line udpS 'Please provide a port number!' 0
command_line concTCP 'Please provide a port number!' 0
command_line unixSocket 'Need socket path' "$T/socket"
command_line wsServer '?*' 0
command_line wsClient '*Need SERVER + PATH!' '127.0.0.1:1 /ws'

# --- Addresses ----------------------------------------------------------------------

refuses() { # NAME ADDRESS REASON(a pattern) [FLAG]
    case $1 in
    wsClient) typed '' "$1" "$2" /ws ;;
    *) typed '' "$1" ${4:+"$4"} "$2" ;;
    esac
    _why=$(cat "$ERR")
    like "$1 ${4:-}\"$2\": one line on stderr, exit 1" "1 1 $3" \
        "$STATUS $(lines "$ERR") ${_why#"$1: $2: "}"
}
A256=$(head -c 256 /dev/zero | tr '\0' 'a')
for _name in tcpC otherTCPclient udpC wsClient $SERVERS; do
    while IFS='|' read -r _address _reason; do
        refuses "$_name" "$_address" "$_reason"
    done <<END
|missing port
127.0.0.1:|missing port
:|missing port
127.0.0.1:65536|invalid port
127.0.0.1:-1|invalid port
127.0.0.1:18446744073709551696|invalid port
127.0.0.1:no-such-service|unknown port
[::1:80|[A-Za-z]*
a:b:80|[A-Za-z]*
nosuch.invalid:80|[A-Z]*
$A256:80|host name too long
END
done
for _name in tcpC otherTCPclient udpC wsClient; do
    refuses "$_name" localhost 'missing port'
done
for _name in otherTCPclient udpC; do
    refuses "$_name" '[::1]:1' 'not an IPv4 address (-6 is for IPv6)'
    refuses "$_name" 127.0.0.1:1 '[A-Z]*' -6
done
if possible 'a service name' '/etc/services lacks discard (9), or its port is in use' \
    sh -c "getent services discard/tcp && ! '$PEER' connect 127.0.0.1:9 close"; then
    for _name in tcpC otherTCPclient; do
        refuses "$_name" 127.0.0.1:discard 'Connection refused'
    done
fi
for _name in $SERVERS; do
    refuses "$_name" 65537 'invalid port'
    # No machine has an address in 192.0.2.0/24 (RFC 5737).
    refuses "$_name" 192.0.2.1:0 "$NOT_HERE"
done

# --- Where servers listen -----------------------------------------------------------

reachable() { # NAME WHERE
    case $1 in
    udpS) "$PEER" udp "$2" send x recv close ;;
    *) "$PEER" connect "$2" close ;;
    esac >/dev/null 2>&1
}
listens() { # NAME ADDRESS SHOWN HOSTS: they reach it, and no others do
    serve "$1" "$2"
    is "$1 $2: its first line" "$1: listening on $3:$PORT" "$(cat "$ERR")"
    for _host in 127.0.0.1 '[::1]'; do
        _want=no _got=no
        case $4 in *"$_host"*) _want=yes ;; esac
        reachable "$1" "$_host:$PORT" && _got=yes
        is "$1 $2: reached on $_host?" "$_want" "$_got"
    done
    stop TERM
}
for _server in $SERVERS; do
    listens "$_server" 127.0.0.1:0 127.0.0.1 127.0.0.1
    listens "$_server" localhost:0 127.0.0.1 127.0.0.1
    listens "$_server" 0.0.0.0:0 0.0.0.0 127.0.0.1
    if has_ipv6 "$_server on IPv6"; then
        listens "$_server" '[::1]:0' '[::1]' '[::1]'
        listens "$_server" :0 '[::]' '127.0.0.1 [::1]'
        [ "$_server" = otherTCPserver ] ||
            listens "$_server" 0 '[::]' '127.0.0.1 [::1]'
    fi
done
listens otherTCPserver 0 127.0.0.1 127.0.0.1

if can seccomp 'a machine without IPv6' &&
    possible 'a machine without IPv6' 'seccomp is not available' \
        "$PEER" lose-ipv6 listen 127.0.0.1:0; then
    SETUP=lose-ipv6
    for _server in tcpS concTCP udpS wsServer; do
        listens "$_server" 0 0.0.0.0 127.0.0.1
    done
    serve otherTCPserver localhost:0
    typed 'STOP\n' tcpC "localhost:$PORT"
    SETUP=
    is 'a machine without IPv6: tcpC connects' 0 "$STATUS"
    await_end "$SERVER"
fi

for _server in $SERVERS; do
    for _host in '' 127.0.0.1:; do
        serve "$_server" "${_host}0"
        typed '' "$_server" "$_host$PORT"
        is "$_server ${_host}PORT: the address is taken" \
            "1 $_server: $_host$PORT: $IN_USE" "$STATUS $(cat "$ERR")"
        stop TERM
    done
done

# The kernel can be told to forbid other ports, too.
cat >"$T/forbidden" <<'END'
echo 30000 >/proc/sys/net/ipv4/ip_unprivileged_port_start && exec "$@"
END
_forbidden="unshare -n sh $T/forbidden $PEER user $OTHER_USER run"
# shellcheck disable=SC2086
if possible 'a forbidden port above 1024' 'only root can create a network namespace' \
    $_forbidden true; then
    _run=$RUN_WITH
    RUN_WITH="$_forbidden $RUN_WITH"
    typed '' tcpS 24130
    gives 'tcpS 24130: forbidden, and no hint' 1 '' 'tcpS: 24130: Permission denied\n'
    RUN_WITH=$_run
fi

# Not as root.
_lowest=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024)
# shellcheck disable=SC2086
open_to_all $SERVERS
"$PEER" user "$OTHER_USER" run true 2>"$T/why" && SETUP="user $OTHER_USER"
if possible 'ports below 1024' "every user may use ports from $_lowest on" \
    [ "$_lowest" -gt 80 ]; then
    for _server in $SERVERS; do
        refuses "$_server" 80 'Permission denied (ports below 1024 are for root)'
    done
fi

finish
