#!/bin/sh
# tcpS.sh - the date and time server, one client after another
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"

ANSWER=line
SHOWN='-> hello\n'
HOST='[::]'

every_server line
lines_and_answers
one_after_another line
lingering repeat 100 line .

# The answer: RFC 3339 with the local offset.
_dd='[0-9][0-9]'
for _zone in UTC0=Z KST-9=+09:00 NST3:30=-03:30; do
    export TZ="${_zone%%=*}"
    begin
    _before=$(date -d '1 second ago' +%Y-%m-%dT%H:%M:%S) # time() may be a tick late
    talk "TZ=$TZ: answered" connect "$WHERE" send 'hello\n' line shut eof
    _after=$(date +%Y-%m-%dT%H:%M:%S) _answer=$(cat "$T/talk.out")
    like "TZ=$TZ: date, time and offset" \
        "$_dd$_dd-$_dd-${_dd}T$_dd:$_dd:$_dd${_zone#*=}" "$_answer"
    true_that "TZ=$TZ: the current date and time" sh -c 'printf "%s\n" "$@" | sort -C' sh \
        "$_before" "${_answer%"${_zone#*=}"}" "$_after"
    stop TERM
done
unset TZ
if can segments 'one answer is one segment'; then
    begin
    talk 'one answer is one segment' connect "$WHERE" send 'hello\n' line segments 1 \
        send 'hello\n' line segments 2 shut eof
    stop TERM
fi

finish
