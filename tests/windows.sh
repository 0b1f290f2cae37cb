# windows.sh - programs at their terminals, for demo, docs.sh, nc.sh and trace
# shellcheck shell=sh disable=SC2154
#
# A window is a file, $dir/0 to $dir/2, that a program and the person at its keyboard both
# append to, as on a terminal. The script that sources this has $dir, a folder, and a
# function wrong MESSAGE, for what is not as it should be. The keyboards are descriptors 3
# to 5. Nothing here needs more than a shell and the utilities of POSIX.

trap : PIPE # someone may type to a program that has ended

# Make a folder of our own and set dir to it. Sockets are made in it, whose path may have
# 107 bytes (on macOS 103), and commands that name it are split at blanks: so a TMPDIR
# that is long or has blanks does not serve.
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

# Wait a moment. POSIX knows whole seconds only.
pause() {
    sleep 0.05 2>/dev/null || sleep 1
}

# Try COMMAND until it is true, for about 10 s.
soon() { # COMMAND...
    tries=$((200 * ${TEST_SLOW:-1}))
    until "$@"; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        pause
    done
}

# All that is in the window matches PATTERN; a prompt may follow.
matches() { # WINDOW PATTERN
    # shellcheck disable=SC2254 # a pattern, not a text
    case $(cat "$dir/$1") in $2 | $2'
>> ') ;; *) false ;; esac
}

shows() { # WINDOW PATTERN
    soon matches "$1" "$2" || {
        wrong "window $1 should show: $2"
        return 1
    }
}

# Start a program in a window, and wait for its first words; nc has none. Its process ID
# is in $dir/pid0 to $dir/pid2, and its exit status, once it has ended, in $dir/status0 to
# $dir/status2: wait would wait for ever for one that hangs.
open_window() { # WINDOW COMMAND...
    window=$1
    shift
    rm -f "$dir/keys" "$dir/pid$window" "$dir/status$window"
    echo "\$ $*" >"$dir/$window"
    mkfifo "$dir/keys"
    {
        "$@" <"$dir/keys" >>"$dir/$window" 2>&1 3>&- 4>&- 5>&- &
        echo $! >"$dir/pid$window"
        wait $! 2>/dev/null # without a word of the shell where it was killed
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

# Type LINE; then the window has to show ANSWER, and no more.
enter() { # WINDOW LINE ANSWER(a pattern)
    printf '%s\n' "$2" >>"$dir/$1"
    printf '%s\n' "$2" >&$(($1 + 3))
    shows "$1" "*$2${3:+
$3}"
}

# End the input; the program has to end well.
leave() { # WINDOW
    eval "exec $(($1 + 3))>&-"
    soon [ -s "$dir/status$1" ] || {
        wrong "window $1: it does not end"
        return 1
    }
    [ "$(cat "$dir/status$1")" = 0 ] ||
        wrong "window $1: it ended with $(cat "$dir/status$1")"
}

# Press ctrl-C; then the program has to end, however it does that.
interrupt() { # WINDOW
    echo '^C' >>"$dir/$1"
    kill "$(cat "$dir/pid$1")"
    soon [ -s "$dir/status$1" ] || wrong "window $1: it does not end"
}

# End what still runs in windows.
close_windows() {
    exec 3>&- 4>&- 5>&-
    for window in 0 1 2; do
        [ -s "$dir/status$window" ] || kill "$(cat "$dir/pid$window")"
    done 2>/dev/null
}
