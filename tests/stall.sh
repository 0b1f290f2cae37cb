#!/bin/sh
# stall.sh - a client that stops reading is dropped after 30 s, by each stream server
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

stalled() { # WHERE: a client that asks for ever and never reads
    peer_start deadline 90 connect "$1" stall 'hello\n' 25 45
}

serve tcpS -q 0
TCPS=127.0.0.1:$PORT TCPS_PID=$SERVER
stalled "$TCPS"
P1=$PEER_PID O1=$PEER_OUT
serve otherTCPserver -q 0
OTHER=127.0.0.1:$PORT OTHER_PID=$SERVER
stalled "$OTHER"
P2=$PEER_PID O2=$PEER_OUT
serve concTCP -q 0
CONC=127.0.0.1:$PORT CONC_PID=$SERVER
stalled "$CONC"
P3=$PEER_PID O3=$PEER_OUT
serve unixSocket -l -q "$T/socket"
UNIX_PID=$SERVER
stalled "$T/socket"
P4=$PEER_PID O4=$PEER_OUT

gone_by_itself() { # NAME PID OUT
    PEER_PID=$2 PEER_OUT=$3
    wait_for 60 over "$PEER_PID"
    peer_ends "$1 drops a client that stops reading, after 30 s"
}
gone_by_itself tcpS "$P1" "$O1"
gone_by_itself otherTCPserver "$P2" "$O2"
gone_by_itself concTCP "$P3" "$O3"
gone_by_itself unixSocket "$P4" "$O4"
talk 'tcpS serves the next one then' connect "$TCPS" send 'hello\n' line shut eof
talk 'otherTCPserver serves the next one then' connect "$OTHER" send 'hello\n' \
    expect 'hello\n' shut eof
talk 'concTCP serves the next one then' connect "$CONC" send 'hello\n' line shut eof
talk 'unixSocket serves the next one then' connect "$T/socket" send 'hello\n' \
    expect 'hello\n' shut eof
wait_for 10 has_threads "$CONC_PID" "$IDLE_THREADS"
is 'concTCP has its thread back' "$IDLE_THREADS" "$(threads "$CONC_PID")"
wait_for 10 has_threads "$UNIX_PID" "$IDLE_THREADS"
is 'unixSocket has its thread back' "$IDLE_THREADS" "$(threads "$UNIX_PID")"
for SERVER in "$TCPS_PID" "$OTHER_PID" "$CONC_PID" "$UNIX_PID"; do
    stop TERM
    is 'and the server ends with 0' 0 "$STATUS"
done

finish
