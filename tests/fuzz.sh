#!/bin/sh
# fuzz.sh - the seeds of the fuzz targets, each run once; tests/proof/fuzz/run fuzzes them
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

FUZZ_OUT=$T/fuzz "$ROOT/tests/proof/fuzz/run" seeds >"$T/results" 2>&1
is 'every seed of every target' '7 passed, 0 failed' "$(grep -v '^ok ' "$T/results")"

finish
