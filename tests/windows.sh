# windows.sh - programs at their terminals, for demo, docs.sh, nc.sh and trace; waiting
# shellcheck shell=sh disable=SC2154
#
# A window is a file, $dir/0 to $dir/2, to which a program and the person at its keyboard
# both append, as on a terminal. The script that sources this has $dir, a folder, and a
# function wrong MESSAGE, which reports an error. The keyboards are descriptors 3 to 5. A
# shell and the utilities of POSIX are enough for all of this.

trap : PIPE # the program that is typed to may have ended

# Create a folder of our own and set dir to it. It will hold sockets, whose path is
# limited to 107 bytes (103 on macOS), and commands that contain its name are split at
# blanks. So a TMPDIR that is long or has blanks is not used.
make_dir() { # NAME
    case ${TMPDIR:-/tmp} in
    *[!A-Za-z0-9/._-]* | ?????????????????????????????????????????????????*) base=/tmp ;;
    *) base=${TMPDIR:-/tmp} ;;
    esac
    for number in 1 2 3 4 5 6 7 8 9; do
        dir=$base/$1.$$.$number
        (umask 077 && mkdir "$dir") 2>/dev/null && return
    done
    echo "$1: cannot make a folder in $base" >&2
    return 1
}

# Wait until COMMAND is true, but about SECONDS at most. The only place that sleeps; POSIX
# has whole seconds only.
wait_for() { # SECONDS COMMAND...
    tries=$(($1 * 20 * ${TEST_SLOW:-1}))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05 2>/dev/null || sleep 1
    done
}

# The contents of the window match PATTERN; a prompt may follow.
matches() { # WINDOW PATTERN
    # shellcheck disable=SC2254 # a pattern, not a text
    case $(cat "$dir/$1") in $2 | $2'
>> ') ;; *) false ;; esac
}

shows() { # WINDOW PATTERN
    wait_for 10 matches "$1" "$2" || {
        wrong "window $1 should show: $2"
        return 1
    }
}

# Start a program in a window and wait for its first output (nc prints nothing). Its
# process ID is in $dir/pid0 to $dir/pid2, and its exit status, once it has ended, in
# $dir/status0 to $dir/status2: wait would block for ever on a program that hangs.
open_window() { # WINDOW COMMAND...
    window=$1
    shift
    rm -f "$dir/keys" "$dir/pid$window" "$dir/status$window"
    echo "\$ $*" >"$dir/$window"
    mkfifo "$dir/keys"
    {
        "$@" <"$dir/keys" >>"$dir/$window" 2>&1 3>&- 4>&- 5>&- &
        echo $! >"$dir/pid$window"
        wait $! 2>/dev/null # without a message of the shell if it was killed
        echo $? >"$dir/status$window"
    } 3>&- 4>&- 5>&- &
    eval "exec $((window + 3))>'$dir/keys'"
    rm "$dir/keys"
    case $1 in
    *nc | nc.* | ncat) ;;
    *) shows "$window" '*
?*' ;;
    esac
}

# Type LINE; the window must then show ANSWER and nothing else.
enter() { # WINDOW LINE ANSWER(a pattern)
    printf '%s\n' "$2" >>"$dir/$1"
    printf '%s\n' "$2" >&$(($1 + 3))
    shows "$1" "*$2${3:+
$3}"
}

# End the input; the program must exit with 0.
leave() { # WINDOW
    eval "exec $(($1 + 3))>&-"
    wait_for 10 [ -s "$dir/status$1" ] || {
        wrong "window $1: it does not end"
        return 1
    }
    [ "$(cat "$dir/status$1")" = 0 ] ||
        wrong "window $1: it ended with $(cat "$dir/status$1")"
}

# Press ctrl-C; the program must end, with any status.
interrupt() { # WINDOW
    echo '^C' >>"$dir/$1"
    kill "$(cat "$dir/pid$1")"
    wait_for 10 [ -s "$dir/status$1" ] || wrong "window $1: it does not end"
}

# End the programs that still run in windows.
close_windows() {
    exec 3>&- 4>&- 5>&-
    for window in 0 1 2; do
        [ -s "$dir/status$window" ] || kill "$(cat "$dir/pid$window")"
    done 2>/dev/null
}
