#!/bin/sh
# tcpC.sh - the client that dials: net.Dial("tcp", ...)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=conversation.sh
. "$ROOT/tests/conversation.sh"

DIAL=connect
SIX=
FAMILY=
HOST=127.0.0.1
conversation
if has_ipv6 'the conversation over IPv6'; then
    HOST='[::1]'
    conversation
fi
conversation_once

# Names: every address is tried.
peer_listen listen 127.0.0.1:0 accept expect 'hello\n' send 'hi\n' eof
typed 'hello\n' tcpC "localhost:$PEER_PORT"
gives 'localhost leads to a server on 127.0.0.1' 0 '>> ->: hi\n>> \n' ''
peer_ends 'localhost leads to a server on 127.0.0.1: on the wire'
peer_listen listen 127.0.0.1:0 accept expect 'hello\n' send 'hi\n' eof
typed 'hello\n' tcpC ":$PEER_PORT"
gives ':PORT is this machine' 0 '>> ->: hi\n>> \n' ''
peer_ends ':PORT is this machine: on the wire'

# A name with several addresses, in a hosts file that only the program sees.
printf '127.0.0.2 many.test\n127.0.0.3 many.test\n::1 many.test\n' >"$T/hosts"
cat >"$T/with-hosts" <<END
#!/bin/sh
mount --bind "$T/hosts" /etc/hosts && exec "\$@"
END
chmod +x "$T/with-hosts"
# shellcheck disable=SC2016
if possible 'a name with several addresses' 'mounting is for root' \
    unshare -m "$T/with-hosts" true; then
    _run=$RUN_WITH
    RUN_WITH="unshare -m $T/with-hosts $RUN_WITH"
    for HOST in 127.0.0.2 127.0.0.3 '[::1]'; do
        if [ "$HOST" = '[::1]' ] && ! has_ipv6 "of many addresses $HOST answers"; then
            continue
        fi
        peer_listen listen "$HOST:0" accept expect 'hello\n' send 'hi\n' eof
        typed 'hello\n' tcpC "many.test:$PEER_PORT"
        gives "of many addresses $HOST answers" 0 '>> ->: hi\n>> \n' ''
        peer_ends "of many addresses $HOST answers: on the wire"
    done
    _port=$("$PEER" free-port)
    typed 'hello\n' tcpC "many.test:$_port"
    is 'no address of a name answers: exit 1' 1 "$STATUS"
    like 'no address of a name answers: one line names the last one tried' \
        "tcpC: connect *:$_port: Connection refused" "$(cat "$ERR")"
    is 'no address of a name answers: one line' 1 "$(lines "$ERR")"
    RUN_WITH=$_run
fi

finish
