# readme.sh - reads README.md and runs its commands in two windows, for docs.sh and nc.sh
# shellcheck shell=sh disable=SC2034,SC2154

README=$ROOT/README.md
[ "$BUILD" = "$ROOT" ] || finish # README is about the build next to the sources

wrong() { # MESSAGE
    fail "$SESSION" "$1; the windows: $(cat "$dir/0" "$dir/1")"
}

# Print the rows of the table whose first column has this heading: CELL|CELL...
rows() { # HEADING [FILE]
    awk -F ' *\\| *' -v OFS='|' -v heading="$1" '
        $2 == heading { at = NR + 1 }
        at && !/^\|/ { exit }
        at && NR > at { print $2, $3, $4, $5, $6, $7 }' "${2:-$README}"
}

# Print what a text has as code, one span per line.
spans() { # TEXT
    # shellcheck disable=SC2016 # backquotes of Markdown
    printf '%s\n' "$1" | grep -o '`[^`]*`' | tr -d '`'
}

# Print a command of README with a free port and a path of ours.
ours() { # COMMAND
    printf '%s\n' "$1" | sed "s/1234/$PORT/g; s,/tmp/echo,$T/echo,g"
}

# Print a regular expression for a line that README shows: times and bare numbers vary.
pattern() { # LINE
    printf '%s\n' "$1" | sed 's/[].[*\\^$]/\\&/g; s/^[0-9][0-9]*$/[0-9][0-9]*/
        s/20[0-9-]*T[0-9:]*Z/20[0-9-]*T[0-9:]*[-+Z][0-9:]*/'
}

# Something listens on PORT, or on the path.
listens() {
    [ -S "$T/echo" ] || grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$PORT") 0*:0000 " \
        /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6
}

# Open a window with a command of README. timeout passes the signal of close_windows on to
# all of a pipe.
open_command() { # WINDOW COMMAND
    open_window "$1" as_nc "$(ours "$2")"
}
as_nc() { # COMMAND: open_window does not wait for what is named nc to print something
    exec timeout $((60 * SLOW)) sh -c "$1"
}

# Run two commands in two windows, as README's table of nc has them. Type TYPED into the
# second one and, when the first one shows it and, if AFTER is given, the second one shows
# that, ANSWER into the first one. Then a line of the second one has to begin with SEEN.
# Leaves the windows open.
open_pair() { # WHAT FIRST SECOND TYPED ANSWER SEEN(a regular expression) [AFTER]
    SESSION=$1
    rm -f "$T/echo"
    open_command 0 "$2"
    wait_for 10 listens
    open_command 1 "$3"
    [ -z "$4" ] || printf '%b\n' "$4" >&4 2>/dev/null
    if [ -n "$5" ]; then
        wait_for 10 has "$T/0" "${4:-GET}" && wait_for 10 has "$T/1" "${7:-}" &&
            printf '%b\n' "$5" >&3 2>/dev/null
    fi
    if wait_for 10 grep -q "^\(>> \)*$6" "$T/1"; then
        ok "$1"
    else
        fail "$1" "$6" "$(cat "$T/0" "$T/1")"
    fi
}
converse() { # as open_pair, and closes the windows
    open_pair "$@"
    close_windows
}
