#!/bin/sh
# conformance.sh - every protocol case of ws_cases.py against wsServer and wsClient: a line
# for each family, and what failed. It is no script of tests/run: wsServer.sh and wsClient.sh
# run the same cases there, with a line for each.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ws.sh
. "$ROOT/tests/ws.sh"

if [ ! -x "$PYTHON" ]; then
    echo "conformance: $PYTHON is missing; make deps installs it" >&2
    exit 1
fi
# shellcheck disable=SC2086
{
    "$PYTHON" "$ROOT/tests/ws_cases.py" -s server $RUN_WITH "$(program wsServer)"
    "$PYTHON" "$ROOT/tests/ws_cases.py" -s client $RUN_WITH "$(program wsClient)"
} 2>&1 </dev/null | tee "$T/report"

# NAME FAMILY... GOOD of TOTAL; where a part broke off there is no such line.
awk '
    /^ws(Server|Client) .* [0-9]+ of +[0-9]+$/ { families++; good += $(NF - 2); all += $NF }
    END {
        if (families != 18) { print "conformance: a part of it broke off"; all++ }
        printf "%d passed, %d failed\n", good, all - good
        exit good != all
    }' "$T/report"
