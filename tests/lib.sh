# lib.sh - the helpers of every test script; README.md describes them
# shellcheck shell=sh
#
# A script, in this folder or in one below it, sources this file, makes its checks and
# ends with `finish`.

set -u
ROOT=$(
    cd "$(dirname "$0")" || exit
    until [ -e tests/lib.sh ] || [ "$PWD" = / ]; do cd ..; done
    pwd
)
ME=$(basename "$0" .sh)
BUILD=${BUILD:-$ROOT}
case $BUILD in
/*) ;;
*) BUILD=$ROOT/$BUILD ;;
esac
RUN_WITH=${RUN_WITH:-}
SLOW=${TEST_SLOW:-1}
IDLE_THREADS=${TEST_THREADS:-1}
PEER=${PEER:-$ROOT/build/tests/peer}
PASSED=0
FAILED=0
SKIPPED=0
STATUS=      # of the program that ended last
COUNTER=0    # for the names of files below $T
SETUP=       # words that the peer executes before it starts a program
STDOUT=      # where a program's stdout goes, if not to the file $OUT
OTHER_USER=$(($(id -u) + 54321))
CROWD=2000   # clients at once: fewer where the limit of open files is low
# shellcheck disable=SC3045 # every sh has -n
case $(ulimit -n) in
unlimited | ?????*) ;;
*) [ "$(ulimit -n)" -gt 2100 ] || CROWD=$(($(ulimit -n) - 100)) ;;
esac

if [ ! -x "$PEER" ]; then
    printf 'FAIL %s: there is no %s; tests/run builds it\n' "$ME" "$PEER"
    exit 1
fi
export LC_ALL=C
# shellcheck source=windows.sh
. "$ROOT/tests/windows.sh"
make_dir tests || exit 1
T=$dir
export TMPDIR="$T"
chmod 711 "$T"
[ "$(umask)" = 0000 ] || umask 022
trap 'exit 143' TERM INT HUP
trap clean_up EXIT

clean_up() {
    trap - EXIT
    exec 2>/dev/null # processes may end meanwhile; bash reports those that it kills
    # shellcheck disable=SC2046 # the IDs of our children
    kill -KILL $(sed -n "s/^\([0-9]*\) (.*) . $$ .*/\1/p" /proc/[0-9]*/stat)
    rm -rf "$T"
}

# --- Results ------------------------------------------------------------------------

ok() { # WHAT
    PASSED=$((PASSED + 1))
    printf 'ok %s: %s\n' "$ME" "$1"
}

fail() { # WHAT [WHY | EXPECTED GOT]
    FAILED=$((FAILED + 1))
    printf 'FAIL %s: %s\n' "$ME" "$1"
    case $# in
    2) printf '    %s\n' "$2" ;;
    3) printf '    expected: %s\n    got:      %s\n' "$(shown %s "$2")" "$(shown %s "$3")" ;;
    esac
}

# Prints TEXT on one line, bytes below 32 and over 126 as \xNN.
shown() { # FORMAT(%s or %b) TEXT
    # shellcheck disable=SC2059
    printf "$1" "$2" >"$T/show"
    "$PEER" show "$T/show"
}

skip() { # WHAT WHY
    SKIPPED=$((SKIPPED + 1))
    printf 'skip %s: %s (%s)\n' "$ME" "$1" "$2"
}

# True if TOOL is installed. If not, WHAT is skipped, or fails where CI is set.
need() { # TOOL WHAT
    command -v "$1" >/dev/null 2>&1 && return 0
    if [ -n "${CI:-}" ]; then
        fail "$2" "$1 is missing, and CI is set"
    else
        skip "$2" "$1 is missing"
    fi
    return 1
}

# True unless TEST_WITHOUT names WORD, which the build under test cannot show.
can() { # WORD WHAT
    case " ${TEST_WITHOUT:-} " in
    *" $1 "*)
        skip "$2" "TEST_WITHOUT names $1"
        return 1
        ;;
    esac
}

# True if COMMAND works on this machine. If not, WHAT is skipped, even where CI is set.
possible() { # WHAT WHY COMMAND...
    _what=$1 _why=$2
    shift 2
    "$@" >/dev/null 2>&1 && return 0
    skip "$_what" "$_why"
    return 1
}

# The last command of a script; without it, tests/run reports that the script broke off.
finish() {
    printf 'end %s\n' "$ME"
    [ "$FAILED" -eq 0 ]
    exit
}

is() { # WHAT EXPECTED GOT
    if [ "$2" = "$3" ]; then ok "$1"; else fail "$1" "$2" "$3"; fi
}

like() { # WHAT PATTERN(of the shell) GOT
    # shellcheck disable=SC2254
    case $3 in
    $2) ok "$1" ;;
    *) fail "$1" "$2" "$3" ;;
    esac
}

at_most() { # WHAT MOST GOT
    if [ "$3" -le "$2" ]; then ok "$1"; else fail "$1" "at most $2" "$3"; fi
}

true_that() { # WHAT COMMAND...
    _what=$1
    shift
    if "$@"; then ok "$_what"; else fail "$_what" "false: $*"; fi
}

# True if FILE is exactly TEXT, which is written for `printf %b`: "\\0NNN" for a byte.
holds() { # FILE TEXT
    printf '%b' "$2" | cmp -s - "$1"
}

file_is() { # WHAT FILE TEXT
    if holds "$2" "$3"; then
        ok "$1"
    else
        fail "$1"
        printf '    expected: %s\n    got:      %s\n' "$(shown %b "$3")" \
            "$("$PEER" show "$2")"
    fi
}

# Checks everything that a program left at its end: exit status, stdout, stderr.
gives() { # WHAT STATUS STDOUT STDERR
    if [ "$STATUS" = "$2" ] && holds "$OUT" "$3" && holds "$ERR" "$4"; then
        ok "$1"
        return
    fi
    fail "$1"
    printf '    expected: status %s, stdout "%s", stderr "%s"\n' "$2" "$(shown %b "$3")" \
        "$(shown %b "$4")"
    printf '    got:      status %s, stdout "%s", stderr "%s"\n' "$STATUS" \
        "$("$PEER" show "$OUT")" "$("$PEER" show "$ERR")"
}

# --- Waiting ------------------------------------------------------------------------

has() { # FILE TEXT
    grep -qF -- "$2" "$1"
}

lines() { # FILE
    wc -l <"$1" | tr -d ' '
}

has_line() { # FILE
    [ "$(lines "$1")" -ge 1 ]
}

over() { # PID: it has ended, even if nobody has waited for it
    [ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

file_has_or_over() { # FILE PID
    has_line "$1" || over "$2"
}

becomes() { # WHAT FILE TEXT: within 10 s the file is exactly TEXT
    wait_for 10 holds "$2" "$3"
    file_is "$1" "$2" "$3"
}

comes() { # WHAT FILE TEXT: within 10 s the file contains TEXT
    if wait_for 10 has "$2" "$3"; then
        ok "$1"
    else
        fail "$1" "...$3..." "$(cat "$2")"
    fi
}

# --- Programs under test ------------------------------------------------------------

# $BUILD/NAME/NAME where it is beside its source, $BUILD/NAME in a variant's folder.
program() { # NAME
    if [ -d "$BUILD/$1" ]; then echo "$BUILD/$1/$1"; else echo "$BUILD/$1"; fi
}

# The messages for errors that C libraries word differently.
IN_USE='Address already in use' NOT_HERE='Cannot assign requested address'
TOO_LONG='Message too long' NO_FILES='Too many open files'
if grep -qa -e 'ld-musl' -e 'No file descriptors available' "$(program tcpS)" 2>/dev/null
then
    IN_USE='Address in use' NOT_HERE='Address not available'
    TOO_LONG='Message too large' NO_FILES='No file descriptors available'
fi

new_files() {
    COUNTER=$((COUNTER + 1))
    OUT=$T/$COUNTER.out
    ERR=$T/$COUNTER.err
    : >"$OUT"
    : >"$ERR"
}

# Runs COMMAND, its stdout to the file $STDOUT ($OUT if that is empty), its stderr to $ERR.
to_files() { # COMMAND...
    "$@" >"${STDOUT:-$OUT}" 2>"$ERR" 3>&-
}

# Runs a program to its end with INPUT, written for `printf %b`, piped into it.
# Sets STATUS (124 if it did not end in time), OUT, ERR.
typed() { # INPUT NAME ARG...
    _input=$1
    _prog=$(program "$2")
    shift 2
    new_files
    # shellcheck disable=SC2086
    printf '%b' "$_input" | to_files timeout -k 2 $((20 * SLOW)) \
        "$PEER" $SETUP run $RUN_WITH "$_prog" "$@"
    STATUS=$?
}

# Runs COMMAND twice; the programs that it starts have a stdout that cannot be written to.
broken_stdout() { # COMMAND...: it may read BROKEN, which stdout it is
    BROKEN=/dev/full STDOUT=/dev/full
    "$@"
    BROKEN='a closed pipe' STDOUT='' SETUP=break-stdout
    "$@"
    SETUP=
}

# Starts a program in the background. Its stdin is the file $STDIN (/dev/null).
# Sets STARTED_PID, OUT, ERR.
launch() { # NAME ARG...
    _prog=$(program "$1")
    shift
    new_files
    # shellcheck disable=SC2086
    to_files exec "$PEER" $SETUP run $RUN_WITH "$_prog" "$@" <"${STDIN:-/dev/null}" &
    STARTED_PID=$!
}

# Starts a server and waits for its first line. Sets SERVER, PORT, OUT, ERR.
serve() { # NAME ARG...
    launch "$@"
    SERVER=$STARTED_PID
    wait_for 10 file_has_or_over "$ERR" "$SERVER"
    PORT=$(sed -n '1s/^[A-Za-z]*: listening on .*:\([0-9]*\)$/\1/p' "$ERR")
    if ! sed -n 1p "$ERR" | grep -q ': listening on '; then
        fail "$1 starts" "$1: listening on ..." "$(cat "$ERR")"
        PORT=1
        return 1
    fi
}

# Waits for a process of ours to end. Sets STATUS; kills a process that does not end, and
# sets STATUS to "running".
await_end() { # PID
    _late=
    wait_for 10 over "$1" || { _late=running && kill -KILL "$1"; }
    wait "$1" 2>/dev/null
    STATUS=${_late:-$?}
}

stop() { # SIGNAL: sends it to SERVER and waits for the end
    kill -"$1" "$SERVER" 2>/dev/null
    await_end "$SERVER"
}

# Starts a client whose stdin is what the script writes to its descriptor 3.
open_client() { # NAME ARG...
    rm -f "$T/keys"
    mkfifo "$T/keys"
    STDIN=$T/keys
    launch "$@"
    STDIN=
    CLIENT=$STARTED_PID
    exec 3>"$T/keys"
}

type_in() { # TEXT
    printf '%b' "$1" >&3
}

end_input() {
    exec 3>&-
}

# --- The peer -----------------------------------------------------------------------

# Lets the peer execute its words; passes if none of them fails.
talk() { # WHAT WORD...
    _what=$1
    shift
    if "$PEER" "$@" >"$T/talk.out" 2>"$T/talk.err" 3>&-; then
        ok "$_what"
    else
        fail "$_what" "$(cat "$T/talk.err")"
    fi
}

# Starts a peer in the background. Sets PEER_PID, PEER_OUT.
peer_start() { # WORD...
    COUNTER=$((COUNTER + 1))
    PEER_OUT=$T/$COUNTER.peer
    : >"$PEER_OUT"
    "$PEER" "$@" >"$PEER_OUT" 2>"$PEER_OUT.err" 3>&- &
    PEER_PID=$!
}

# Starts a peer that listens, and waits until clients can connect. Sets PEER_PORT, too.
peer_listen() { # WORD...
    peer_start "$@"
    wait_for 10 file_has_or_over "$PEER_OUT" "$PEER_PID"
    PEER_PORT=$(sed -n 1p "$PEER_OUT")
    PEER_PORT=${PEER_PORT:-1}
}

# Waits until a peer has executed `touch $T/NAME`.
reached() { # NAME
    wait_for 10 [ -e "$T/$1" ]
    rm -f "$T/$1"
}

peer_ends() { # WHAT: the peer in the background executed all its words
    _status=$STATUS
    await_end "$PEER_PID"
    if [ "$STATUS" = 0 ]; then
        ok "$1"
    else
        fail "$1" "$(cat "$PEER_OUT.err")"
    fi
    STATUS=$_status
}

has_ipv6() { # WHAT
    possible "$1" 'no IPv6 here' "$PEER" listen '[::1]:0'
}

# --- Looking at a running program ---------------------------------------------------

descriptors() { # PID
    set -- "/proc/$1/fd"/*
    echo $#
}

threads() { # PID
    set -- "/proc/$1/task"/*
    echo $#
}

memory_kb() { # PID [WHAT]
    awk -v what="${2:-VmRSS}:" '$1 == what { print $2 }' "/proc/$1/status"
}

has_descriptors() { # PID COUNT
    [ "$(descriptors "$1")" -eq "$2" ]
}

has_threads() { # PID COUNT
    [ "$(threads "$1")" -le "$2" ]
}

# Within 10 s PID has as many open descriptors as it had before, and only idle threads.
left_nothing() { # WHAT PID DESCRIPTORS
    if wait_for 10 has_descriptors "$2" "$3" && wait_for 10 has_threads "$2" "$IDLE_THREADS"
    then
        ok "$1"
    else
        fail "$1" "$(descriptors "$2") descriptors, not $3, or $(threads "$2") threads"
    fi
}
