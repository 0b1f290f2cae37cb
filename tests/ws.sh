# ws.sh - what wsServer.sh, wsClient.sh and conformance.sh need besides lib.sh
# shellcheck shell=sh disable=SC2034,SC2153,SC2154

# Debian's own, which has python3-websockets; another one may come first in PATH.
PYTHON=/usr/bin/python3
export PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1
REPORTS=

need_websockets() { # WHAT
    need "$PYTHON" "$1" || return 1
    "$PYTHON" -c 'import websockets' 2>/dev/null && return 0
    need python3-websockets "$1"
}

# Starts a command that prints lines as these scripts do. end_reports shows and counts them.
start_report() { # WHAT COMMAND...
    _what=$1
    shift
    COUNTER=$((COUNTER + 1))
    REPORTS="$REPORTS $COUNTER"
    echo "$_what" >"$T/$COUNTER.what"
    "$@" >"$T/$COUNTER.report" 2>&1 </dev/null 3>&- &
    echo "$!" >"$T/$COUNTER.pid"
    STARTED="$STARTED $!"
}

end_reports() {
    for _report in $REPORTS; do
        _pid=$(cat "$T/$_report.pid")
        wait_for 120 over "$_pid"
        await_end "$_pid"
        _report=$T/$_report
        cat "$_report.report"
        PASSED=$((PASSED + $(grep -c '^ok ' "$_report.report")))
        FAILED=$((FAILED + $(grep -c '^FAIL ' "$_report.report")))
        SKIPPED=$((SKIPPED + $(grep -c '^skip ' "$_report.report")))
        if ! grep -q '^ok ' "$_report.report"; then
            fail "$(cat "$_report.what")" 'not one check has passed'
        elif [ "$STATUS" != 0 ] && ! grep -q '^FAIL ' "$_report.report"; then
            fail "$(cat "$_report.what")" "it ended with $STATUS"
        fi
    done
    REPORTS=
}

# Builds ws_unit.c around the program, as the program itself was built, and runs it.
unit_tests() { # server|client DEFINITION
    # shellcheck disable=SC2086
    (
        cd "$ROOT" || exit
        "$PYTHON" tests/ws_cases.py streams "$1" >"$T/streams" &&
            ${CC:-cc} -std=c11 -O2 ${CFLAGS:-} -w -pthread "-D$2" -o "$T/unit" \
                tests/ws_unit.c ${LDFLAGS:-} &&
            $RUN_WITH "$T/unit" <"$T/streams"
    )
}
