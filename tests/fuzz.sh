#!/bin/sh
# fuzz.sh - the seeds of the fuzz targets, each run once; tests/proof/fuzz/run fuzzes them
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

FUZZ_OUT=$T/fuzz "$ROOT/tests/proof/fuzz/run" seeds >"$T/results" 2>&1
while read -r _line; do
    case $_line in
    'ok fuzz '*) ok "seeds of ${_line#ok fuzz }" ;;
    'FAIL fuzz '*) fail "seeds of ${_line#FAIL fuzz }" ;;
    esac
done <"$T/results"
is 'all targets ran' 9 $((PASSED + FAILED))

finish
