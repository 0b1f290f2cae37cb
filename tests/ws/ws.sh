# ws.sh - what wsServer.sh, wsClient.sh and proxy.sh need besides lib.sh
# shellcheck shell=sh disable=SC2034,SC2153,SC2154

# The system's own Python has websockets; another one may stand first in PATH.
PYTHON=/usr/bin/python3
[ -x "$PYTHON" ] || PYTHON=python3
WS=$ROOT/tests/ws
REPORTS=
export NO_FILES TOO_LONG PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1

# Starts a command that prints lines as these scripts do; end_reports counts them.
start_report() { # COMMAND...
    COUNTER=$((COUNTER + 1))
    "$@" >"$T/$COUNTER.report" 2>&1 </dev/null 3>&- &
    REPORTS="$REPORTS $!:$T/$COUNTER.report"
}

end_reports() {
    for _report in $REPORTS; do
        wait_for 120 over "${_report%%:*}"
        await_end "${_report%%:*}"
        _report=${_report#*:}
        cat "$_report"
        PASSED=$((PASSED + $(grep -c '^ok ' "$_report")))
        FAILED=$((FAILED + $(grep -c '^FAIL ' "$_report")))
        SKIPPED=$((SKIPPED + $(grep -c '^skip ' "$_report")))
        if ! grep -q '^ok ' "$_report" ||
            { [ "$STATUS" != 0 ] && ! grep -q '^FAIL ' "$_report"; }; then
            fail 'these checks ran to their end' "exit status $STATUS"
        fi
    done
}

# Starts the checks that need only Python. They run beside the rest of the script.
start_checks() { # server|client PROGRAM
    need "$PYTHON" 'the protocol, time and signals' || return
    for _part in "$1.py" "cases.py $1"; do
        # shellcheck disable=SC2086
        start_report "$PYTHON" "$WS/"$_part $RUN_WITH "$2"
    done
}

# Starts the checks against other people's WebSockets, of Python and of Node.
start_libraries() { # server ADDRESS|client PROGRAM...
    if "$PYTHON" -c 'import websockets' 2>/dev/null; then
        start_report "$PYTHON" "$WS/library.py" "$@"
    else
        need python3-websockets "Python's websockets"
    fi
    export NODE_PATH="${NODE_PATH:-/usr/share/nodejs}"
    if node -e 'require("ws")' 2>/dev/null; then
        start_report node "$WS/node.js" "$@"
    else
        need node-ws "Node's ws"
    fi
}
