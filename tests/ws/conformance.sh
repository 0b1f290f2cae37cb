#!/bin/sh
# conformance.sh - every case of cases.py against wsServer and wsClient: what failed, and
# a line for each family. wsServer.sh and wsClient.sh run the same, with a line for each.
set -u
cd "$(dirname "$0")/../.." || exit 1

export PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1
for name in wsServer wsClient; do
    program=${BUILD:-.}/$name
    [ -d "$program" ] && program=$program/$name
    # shellcheck disable=SC2086 # RUN_WITH may be several words
    /usr/bin/python3 tests/ws/cases.py "$(echo "${name#ws}" | tr SC sc)" ${RUN_WITH:-} \
        "$program" 2>&1 </dev/null
done | awk '
    /^(ok|FAIL) ws/ { family = $2 " " $3; if (!all[family]++) names[++n] = family }
    /^ok ws/ { good[family]++; passed++; next }
    { print }
    END {
        for (i = 1; i <= n; i++) {
            printf "%-24s %4d of %4d\n", names[i], good[names[i]], all[names[i]]
            failed += all[names[i]] - good[names[i]]
        }
        if (n != 18) { print "conformance: a part of it broke off"; failed++ }
        printf "%d passed, %d failed\n", passed, failed
        exit failed > 0
    }'
