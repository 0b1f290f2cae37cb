# windows.sh - programs at their terminals, for demo, docs.sh, nc.sh and trace
# shellcheck shell=sh disable=SC2154
#
# A window is a file, $dir/0 to $dir/2, that a program and the person at its keyboard write
# to, each behind the other, as on a terminal. Who sources this has $dir, a folder, and
# wrong MESSAGE, for what is not as it should be. The keyboards are descriptors 3 to 5.

pids=       # of what runs in windows, for who cleans up
trap : PIPE # a line may be typed to one that has ended

# Waits until all that is in a window matches PATTERN; a prompt may follow.
shows() { # WINDOW PATTERN
    tries=0
    # shellcheck disable=SC2254 # a pattern, not a text
    until case $(cat "$dir/$1") in $2 | $2'
>> ') ;; *) false ;; esac do
        tries=$((tries + 1))
        [ $tries -lt $((200 * ${TEST_SLOW:-1})) ] || {
            wrong "window $1 should show: $2"
            return 1
        }
        sleep 0.05
    done
}

# A program in a window, with its first words; those of nc are none.
open_window() { # WINDOW COMMAND...
    window=$1
    shift
    echo "\$ $*" >"$dir/$window"
    mkfifo "$dir/keys"
    timeout 60 "$@" <"$dir/keys" >>"$dir/$window" 2>&1 3>&- 4>&- 5>&- &
    eval "pid$window=$! && exec $((window + 3))>'$dir/keys'"
    pids="$pids $!"
    rm "$dir/keys"
    case $1 in
    *nc | nc.* | ncat) ;;
    *) shows "$window" '*
?*' ;;
    esac
}

# Types LINE; then the window has to show ANSWER, and no more.
enter() { # WINDOW LINE ANSWER(a pattern)
    printf '%s\n' "$2" >>"$dir/$1"
    printf '%s\n' "$2" >&$(($1 + 3))
    shows "$1" "*$2${3:+
$3}"
}

# Ends the input; the program has to end well.
leave() { # WINDOW
    eval "exec $(($1 + 3))>&-; wait \$pid$1" || wrong "window $1: it ended with $?"
}

break_off() { # WINDOW
    echo '^C' >>"$dir/$1"
    eval "kill \$pid$1"
}
