#!/bin/sh
# common.sh - the command line, the addresses and the errors of all the programs
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

TCP_SERVERS='tcpS otherTCPserver concTCP'

# --- The command line ---------------------------------------------------------------

command_line() { # NAME USAGE SENTENCE ARGUMENTS: as many as there may be
    _name=$1 _usage=$2 _sentence=$3 _arguments=$4
    typed '' "$_name" -h
    is "$_name -h: exit 0" 0 "$STATUS"
    file_is "$_name -h: nothing on stderr" "$ERR" ''
    is "$_name -h: the usage" "usage: $_name $_usage" "$(sed -n 1p "$OUT")"
    is "$_name -h: one line of what it is for" 2 "$(lines "$OUT")"
    true_that "$_name -h: which is a sentence" grep -q '^[A-Z].*\.$' "$OUT"
    typed '' "$_name"
    gives "$_name without an argument" 2 '' \
        "$_name: $_sentence\nusage: $_name $_usage\n"
    # shellcheck disable=SC2086
    typed '' "$_name" $_arguments more
    gives "$_name with an argument too many" 2 '' \
        "$_name: too many arguments\nusage: $_name $_usage\n"
    # shellcheck disable=SC2086
    typed '' "$_name" -x $_arguments
    gives "$_name -x" 2 '' "$_name: unknown option -x\nusage: $_name $_usage\n"
    # shellcheck disable=SC2086
    typed '' "$_name" $_arguments -h
    is "$_name: options come before arguments" 2 "$STATUS"
    typed '' "$_name" --help
    is "$_name --help: exit 2" 2 "$STATUS"
    like "$_name --help: no such option" "$_name: unknown option -*" "$(sed -n 1p "$ERR")"
    STDOUT=/dev/full
    typed '' "$_name" -h
    STDOUT=
    is "$_name -h >/dev/full: exit 1" 1 "$STATUS"
    file_is "$_name -h >/dev/full: it says so" "$ERR" \
        "$_name: write stdout: No space left on device\n"
}

command_line tcpC 'HOST:PORT' 'Please provide host:port.' 127.0.0.1:1
command_line otherTCPclient '[-6] HOST:PORT [LOCAL]' \
    'Please provide a server:port string!' '127.0.0.1:1 127.0.0.1:0'
command_line tcpS '[-q] PORT' 'Please provide port number' 0
command_line otherTCPserver '[-q] PORT' 'Please provide a port number!' 0
command_line udpC '[-6] HOST:PORT' 'Please provide a host:port string' 127.0.0.1:1
command_line udpS '[-q] PORT' 'Please provide a port number!' 0
command_line concTCP '[-q] PORT' 'Please provide a port number!' 0
command_line wsClient '[-e] [-i SECONDS] HOST:PORT PATH | ws://HOST[:PORT]/PATH' \
    'Need SERVER + PATH!' '127.0.0.1:1 /ws'
command_line unixSocket '[-l [-q]] PATH' 'Need socket path' "$T/socket"
typed '' unixSocket -q "$T/socket"
is 'unixSocket -q without -l: exit 2' 2 "$STATUS"
for _name in tcpC udpC; do
    typed '' "$_name" -- 127.0.0.1:1 more
    is "$_name -- ends the options" 2 "$STATUS"
done

# --- Addresses ----------------------------------------------------------------------

A256=$(head -c 256 /dev/zero | tr '\0' 'a')
MANY_NINES=$(echo "$A256" | cut -c 1-80 | tr a 9)
bad_address() { # NAME STEP ADDRESS REASON
    case $1 in
    wsClient) set -- "$@" "Connecting to: $3 at /ws\n" /ws ;;
    *) set -- "$@" '' ;;
    esac
    typed 'hello\n' "$1" "$3" ${6:+"$6"}
    gives "$1 $3" 1 "$5" "$1: $2 \"$3\": $4\n"
}
bad_addresses() { # NAME STEP
    bad_address "$1" "$2" 'localhost:' 'missing port'
    bad_address "$1" "$2" ':' 'missing port'
    bad_address "$1" "$2" '[::1]' 'missing port'
    bad_address "$1" "$2" '[::1]:' 'missing port'
    bad_address "$1" "$2" '[::1' 'missing ]'
    bad_address "$1" "$2" '[::1:80' 'missing ]'
    bad_address "$1" "$2" '::1:80' 'too many colons (an IPv6 address goes in brackets)'
    bad_address "$1" "$2" '::1' 'too many colons (an IPv6 address goes in brackets)'
    bad_address "$1" "$2" 'a:b:80' 'too many colons (an IPv6 address goes in brackets)'
    for _port in 65536 99999 -1 4294967376 18446744073709551696 "$MANY_NINES"; do
        bad_address "$1" "$2" "127.0.0.1:$_port" 'port is not 0 to 65535'
        bad_address "$1" "$2" ":$_port" 'port is not 0 to 65535'
    done
    bad_address "$1" "$2" "$A256:80" 'host name too long'
}
no_such() { # NAME STEP ADDRESS
    typed 'hello\n' "$1" "$3"
    is "$1 $3: exit 1" 1 "$STATUS"
    is "$1 $3: one line on stderr" 1 "$(lines "$ERR")"
    like "$1 $3: the step, the address, a reason" "$1: $2 \"$3\": ?*" "$(cat "$ERR")"
    file_is "$1 $3: nothing on stdout" "$OUT" ''
}

bad_addresses tcpC address
bad_address tcpC address localhost 'missing port'
bad_address tcpC address '' 'missing port'
bad_addresses otherTCPclient ResolveTCPAddr
bad_address otherTCPclient ResolveTCPAddr localhost 'missing port'
bad_addresses udpC ResolveUDPAddr
bad_address udpC ResolveUDPAddr localhost 'missing port'
bad_addresses tcpS address
bad_addresses concTCP address
bad_addresses udpS address
for _name in tcpS concTCP udpS; do
    for _port in 65536 99999 18446744073709551696; do
        typed '' "$_name" "$_port"
        gives "$_name $_port" 1 '' \
            "$_name: address \":$_port\": port is not 0 to 65535\n"
    done
done
bad_addresses otherTCPserver ResolveTCPAddr
bad_addresses wsServer address
bad_addresses wsClient address
for _pair in 'tcpC address' 'otherTCPclient ResolveTCPAddr' 'udpC ResolveUDPAddr' \
    'tcpS address' 'otherTCPserver ResolveTCPAddr' 'udpS address' 'concTCP address'; do
    for _bad in nosuch.invalid:80 127.0.0.1:nosuchservice; do
        no_such "${_pair% *}" "${_pair#* }" "$_bad"
    done
done

# A service name is a port. Nobody serves discard (9) here, one hopes: then it is refused.
if possible 'a service name' '/etc/services does not have discard' \
    getent services discard/tcp; then
    if possible 'a service name' 'something serves port 9 here' \
        sh -c "! '$PEER' connect 127.0.0.1:9 close"; then
        typed '' tcpC 127.0.0.1:discard
        gives 'tcpC with a service name' 1 '' \
            'tcpC: connect 127.0.0.1:9: Connection refused\n'
        typed '' otherTCPclient 127.0.0.1:discard
        gives 'otherTCPclient with a service name' 1 '' \
            'otherTCPclient: DialTCP 127.0.0.1:9: Connection refused\n'
    fi
    typed '' udpC 127.0.0.1:discard
    file_is 'udpC with a service name' "$OUT" 'The UDP server is 127.0.0.1:9\n>> \n'
fi

# --- Where servers listen -----------------------------------------------------------

reachable() { # NAME WHERE
    if [ "$1" = udpS ]; then
        "$PEER" udp "$2" send x recv close >/dev/null 2>&1
    else
        "$PEER" connect "$2" send 'hello\n' line shut eof >/dev/null 2>&1
    fi
}
listens() { # NAME ADDRESS SHOWN FAMILIES: SHOWN with @ for the port
    _name=$1 _families=$4
    serve "$1" "$2"
    is "$1 $2: its first line" "$1: listening on $(echo "$3" | sed "s/@/$PORT/")" \
        "$(sed -n 1p "$ERR")"
    for _host in 127.0.0.1 '[::1]'; do
        case $_families in
        *"$_host"*)
            true_that "$1 $2: reached on $_host" reachable "$1" "$_host:$PORT"
            ;;
        *)
            true_that "$1 $2: not reached on $_host" \
                [ "$(reachable "$1" "$_host:$PORT" && echo yes || echo no)" = no ]
            ;;
        esac
    done
    stop TERM
}
BOTH='127.0.0.1 [::1]'
for _server in $TCP_SERVERS udpS; do
    listens "$_server" 127.0.0.1:0 127.0.0.1:@ 127.0.0.1
    listens "$_server" localhost:0 127.0.0.1:@ 127.0.0.1
    listens "$_server" 0.0.0.0:0 0.0.0.0:@ 127.0.0.1
    if has_ipv6 "$_server on IPv6"; then
        listens "$_server" '[::1]:0' '[::1]:@' '[::1]'
        listens "$_server" '[::]:0' '[::]:@' '[::1]'
        listens "$_server" :0 '[::]:@' "$BOTH"
    fi
done
for _server in tcpS concTCP udpS; do
    has_ipv6 "$_server with a bare port" && listens "$_server" 0 '[::]:@' "$BOTH"
done
listens otherTCPserver 0 127.0.0.1:@ 127.0.0.1

# Without IPv6 on the machine.
if can seccomp 'a machine without IPv6' &&
    possible 'a machine without IPv6' 'seccomp is not there' \
    "$PEER" lose-ipv6 listen 127.0.0.1:0; then
    for _server in tcpS concTCP udpS; do
        SETUP=lose-ipv6
        serve "$_server" 0
        SETUP=
        is "$_server without IPv6 listens on IPv4" "$_server: listening on 0.0.0.0:$PORT" \
            "$(cat "$ERR")"
        true_that "$_server without IPv6 is reached" reachable "$_server" "127.0.0.1:$PORT"
        stop TERM
    done
    serve tcpS -q 0
    SETUP=lose-ipv6
    typed 'hello\nSTOP\n' tcpC "localhost:$PORT"
    SETUP=
    is 'tcpC without IPv6 connects' 0 "$STATUS"
    await_end "$SERVER"
fi

# The address is taken.
for _server in $TCP_SERVERS udpS; do
    for _address in '' 127.0.0.1: '[::1]:'; do
        if [ "$_address" = '[::1]:' ]; then
            has_ipv6 "$_server: the address is taken" || continue
        fi
        serve "$_server" "${_address}0"
        case $_server$_address in
        otherTCPserver) _shown=127.0.0.1:$PORT ;;
        *) _shown=${_address:-:}$PORT ;;
        esac
        _first=$SERVER _port=$PORT
        typed '' "$_server" "$_address$_port"
        gives "$_server $_address...: the address is taken" 1 '' \
            "$_server: listen $_shown: $IN_USE\n"
        SERVER=$_first
        stop TERM
    done
done
typed '' tcpS 192.0.2.1:0
gives 'an address of another machine' 1 '' \
    "tcpS: listen 192.0.2.1:0: $NOT_HERE\n"

# Ports for root.
_lowest=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null || echo 1024)
mkdir "$T/open"
chmod 755 "$T/open"
for _server in $TCP_SERVERS udpS; do
    cp "$(program "$_server")" "$T/open/$_server"
    chmod 755 "$T/open/$_server"
done
if possible 'ports below 1024' "everyone may use ports from $_lowest on" \
    [ "$_lowest" -gt 80 ]; then
    _build=$BUILD
    BUILD=$T/open
    [ "$(id -u)" -eq 0 ] && SETUP='user 54321'
    for _server in $TCP_SERVERS udpS; do
        _shown=:80
        [ "$_server" = otherTCPserver ] && _shown=127.0.0.1:80
        typed '' "$_server" 80
        gives "$_server 80, not as root" 1 '' \
            "$_server: listen $_shown: Permission denied (ports below 1024 are for root)\n"
    done
    typed '' tcpS 127.0.0.1:80
    gives 'tcpS 127.0.0.1:80, not as root' 1 '' \
        'tcpS: listen 127.0.0.1:80: Permission denied (ports below 1024 are for root)\n'
    SETUP=
    BUILD=$_build
fi

# --- Clients and their stdin --------------------------------------------------------

peer_listen listen 127.0.0.1:0 accept gone
for _client in tcpC otherTCPclient; do
    new_files
    # shellcheck disable=SC2086
    timeout -k 2 $((20 * SLOW)) "$PEER" run $RUN_WITH "$(program "$_client")" \
        "127.0.0.1:$PEER_PORT" <&- >"$OUT" 2>"$ERR"
    like "$_client, stdin closed: it ends" '[01]' "$?"
done
await_end "$PEER_PID"

finish
