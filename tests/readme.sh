# readme.sh - what README.md shows, for the scripts that hold it: nc.sh and docs.sh
# shellcheck shell=sh disable=SC2034,SC2154

README=$ROOT/README.md
[ "$BUILD" = "$ROOT" ] || finish # README is about the build beside the sources

wrong() { # MESSAGE
    fail "$SESSION" "$1; the windows: $(cat "$dir/0" "$dir/1")"
}

# The rows of the table whose first column has this heading: CELL|CELL...
rows() { # HEADING [FILE]
    awk -F ' *\\| *' -v OFS='|' -v heading="$1" '
        $2 == heading { at = NR + 1 }
        at && !/^\|/ { exit }
        at && NR > at { print $2, $3, $4, $5, $6, $7 }' "${2:-$README}"
}

# What stands as code in a text, a line each.
spans() { # TEXT
    # shellcheck disable=SC2016 # no expansion is meant
    printf '%s\n' "$1" | grep -o '`[^`]*`' | tr -d '`'
}

# A command of README with a free port and a path of ours.
ours() { # COMMAND
    printf '%s\n' "$1" | sed "s/1234/$PORT/g; s,/tmp/echo,$T/echo,g"
}

# A regular expression for a line that README shows: times and bare numbers vary.
pattern() { # LINE
    printf '%s\n' "$1" | sed 's/[].[*\\^$]/\\&/g; s/^[0-9][0-9]*$/[0-9][0-9]*/
        s/20[0-9-]*T[0-9:]*Z/20[0-9-]*T[0-9:]*[-+Z][0-9:]*/'
}

# Something listens at PORT, or at the path.
listens() {
    [ -S "$T/echo" ] || grep -qi "^ *[0-9]*: [0-9A-F]*:$(printf %04X "$PORT") 0*:0000 " \
        /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6
}

# Two windows, as README's tables of nc have them: what is typed in the second one, the
# answer of a person in the first one, and how a line of the second one then has to begin.
converse() { # WHAT FIRST SECOND TYPED ANSWER SEEN(a regular expression)
    SESSION=$1
    rm -f "$T/echo"
    # shellcheck disable=SC2046 # words
    open_window 0 $(ours "$2")
    wait_for 10 listens || fail "$1" "nobody listens: $2"
    # shellcheck disable=SC2046
    open_window 1 $(ours "$3")
    [ -z "$4" ] || printf '%b\n' "$4" >&4 2>/dev/null
    if [ -n "$5" ]; then
        wait_for 10 has "$T/0" "${4:-GET}" || fail "$1" "not in the first window: $4"
        printf '%b\n' "$5" >&3 2>/dev/null
    fi
    if wait_for 10 grep -q "^\(>> \)*$6" "$T/1"; then
        ok "$1"
    else
        fail "$1" "$6" "$(cat "$T/1")"
    fi
    close_windows
}
