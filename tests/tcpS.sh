#!/bin/sh
# tcpS.sh - the date and time server, one client after another
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"

ANSWER=line
SHOWN='-> hello\n'
LISTENING='tcpS: listening on [::]:@'
QUIET=

dates() { # WHAT COUNT FILE: it is so many dates and nothing else
    _day='[0-9]{4}-[0-9]{2}-[0-9]{2}' _time='[0-9]{2}:[0-9]{2}:[0-9]{2}'
    _rest=$(grep -vcE "^${_day}T$_time(Z|[+-][0-9]{2}:[0-9]{2})$" "$3")
    is "$1" "$2 dates, 0 other lines" "$(lines "$3") dates, $_rest other lines"
}

every_server line
long_lines
one_after_another line
# shellcheck disable=SC2046 # words
lingering ended_by_stop $(yes line | head -n 100)

# The answer: RFC 3339 with the local offset.
for _zone in UTC0=Z KST-9=+09:00 NST3:30=-03:30; do
    export TZ="${_zone%%=*}"
    begin
    _before=$(date -d '1 second ago' +%Y-%m-%dT%H:%M:%S) # time() may be a tick behind
    talk "TZ=$TZ: answered" connect "$WHERE" send 'hello\n' line shut eof
    _after=$(date +%Y-%m-%dT%H:%M:%S)
    dates "TZ=$TZ: with a date" 1 "$T/talk.out"
    like "TZ=$TZ: the offset" "*[0-9]${_zone#*=}" "$(cat "$T/talk.out")"
    true_that "TZ=$TZ: the date and time of now" sh -c 'printf "%s\n" "$@" | sort -C' sh \
        "$_before" "$(cut -c 1-19 "$T/talk.out")" "$_after"
    stop TERM
done
unset TZ
if can segments 'one answer is one segment'; then
    begin
    talk 'one answer is one segment' connect "$WHERE" send 'hello\n' line segments 1 \
        send 'hello\n' line segments 2 shut eof
    stop TERM
fi

# Lines, however TCP cuts and joins them.
begin
for _how in send send-each; do
    talk "three lines by $_how" connect "$WHERE" $_how 'a\nbc\r\n\n' line line line \
        shut eof
done
talk 'half a line waits for the other half' connect "$WHERE" send 'x\nhal' line drain \
    nothing send 'f\n' line shut eof
talk 'an unfinished last line is a line' connect "$WHERE" send 'last' shut line eof
file_is 'all of them printed' "$OUT" \
    '-> a\n-> bc\n-> \n-> a\n-> bc\n-> \n-> x\n-> half\n-> last\n'
stop TERM

finish
