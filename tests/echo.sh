# echo.sh - what the two echo servers, otherTCPserver and unixSocket -l, do alike
# shellcheck shell=sh disable=SC2154
#
# The script sets the same as for servers.sh.

echo_server() {
    # Every byte goes back as it came, and no other does.
    begin
    talk 'half a line comes back at once' connect "$WHERE" send hel expect hel \
        send 'lo\nwor' expect 'lo\nwor' send 'ld\n' expect 'ld\n' shut eof
    talk 'the bytes of one client do not come back to the next' \
        connect "$WHERE" send hi expect hi shut eof
    talk 'two lines in one segment' connect "$WHERE" send 'a\nb\n' expect 'a\nb\n' shut eof
    talk 'byte by byte' connect "$WHERE" send-each 'one\ntwo\r\n\n' \
        expect 'one\ntwo\r\n\n' shut eof
    stop TERM
    _label=$(printf '%s' "$SHOWN" | sed 's/hello.*//')
    file_is 'they are printed line by line, the unfinished at the end' "$OUT" \
        "${_label}hello\n${_label}world\n${_label}hi\n${_label}a\n${_label}b\n${_label}one\n${_label}two\n${_label}\n"
    begin
    for _byte in $(seq 0 255); do
        printf "\\\\x%02x" "$_byte"
    done >"$T/bytes"
    talk 'all 256 bytes' connect "$WHERE" send "$(cat "$T/bytes")" \
        expect "$(cat "$T/bytes")" shut eof
    for _size in 1023 1024 1025 65535 65536 65537 131072 131073; do
        talk "$_size bytes" connect "$WHERE" pump "$_size" shut eof
    done
    stop TERM
    begin -q
    talk '20 MB' connect "$WHERE" pump 20000000 shut eof
    head -c 3000000 /dev/zero | tr '\0' 'x' >"$T/long"
    stop TERM

    # A line has no limit here; it is printed in pieces.
    begin
    head -c 65536 "$T/long" >"$T/x65536"
    talk 'a line of 65,536 bytes' connect "$WHERE" send-file "$T/x65536" send '\n' \
        expect-file "$T/x65536" expect '\n' shut eof
    { printf '%s' "$_label" && cat "$T/x65536" && echo; } >"$T/want"
    true_that 'is printed whole' cmp -s "$T/want" "$OUT"
    stop TERM
    begin
    talk 'a line of 65,537 bytes' connect "$WHERE" send-file "$T/x65536" send 'y\n' \
        expect-file "$T/x65536" expect 'y\n' shut eof
    { printf '%s' "$_label" && cat "$T/x65536" && printf '\n%sy\n' "$_label"; } >"$T/want"
    true_that 'is printed in pieces of 65,536 bytes' cmp -s "$T/want" "$OUT"
    stop TERM
    if need nc 'nc -N echoes a file'; then
        begin -q
        case $WHERE in
        /*) nc -N -U "$WHERE" <"$T/long" >"$T/back" ;;
        *) nc -N "${WHERE%:*}" "${WHERE##*:}" <"$T/long" >"$T/back" ;;
        esac
        true_that 'nc -N gets back the file that it sent' cmp -s "$T/long" "$T/back"
        stop TERM
    fi
}
