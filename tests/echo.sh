# echo.sh - what the two echo servers, otherTCPserver and unixSocket -l, have in common
# shellcheck shell=sh disable=SC2154
#
# The script sets the same variables as for servers.sh.

echo_server() {
    # Every byte is sent back unchanged, and nothing else.
    begin
    talk 'half a line is echoed at once' connect "$WHERE" send hel expect hel \
        send 'lo\nwor' expect 'lo\nwor' send 'ld\n' expect 'ld\n' shut eof
    talk 'the bytes of one client are not echoed to the next' \
        connect "$WHERE" send hi expect hi shut eof
    talk 'two lines in one segment' connect "$WHERE" send 'a\nb\n' \
        expect 'a\nb\n' shut eof
    talk 'byte by byte' connect "$WHERE" send-each 'one\ntwo\r\n\n' \
        expect 'one\ntwo\r\n\n' shut eof
    stop TERM
    _label=${SHOWN%hello*}
    printf "$_label%s\n" hello world hi a b one two '' >"$T/want"
    true_that 'they are printed line by line, the unfinished one at the end' \
        cmp -s "$T/want" "$OUT"

    begin
    for _byte in $(seq 0 255); do
        printf "\\\\x%02x" "$_byte"
    done >"$T/bytes"
    talk 'all 256 bytes' connect "$WHERE" send "$(cat "$T/bytes")" \
        expect "$(cat "$T/bytes")" shut eof
    for _size in 1024 4096 4097 65536 131072 20000000; do
        yes "$(seq 10000 10200 | tr -d '\n')" | head -c "$_size" >"$T/bytes"
        talk "$_size bytes" connect "$WHERE" feed "$T/bytes" expect-file "$T/bytes" eof
    done
    stop TERM

    begin
    head -c 200000 /dev/zero | tr '\0' 'x' >"$T/long"
    talk 'a line of 200,001 bytes' connect "$WHERE" send-file "$T/long" send '\n' \
        expect-file "$T/long" expect '\n' shut eof
    { for _piece in 131072 68928; do
        printf '%s' "$_label" && head -c $_piece "$T/long" && echo
    done; } >"$T/want"
    true_that 'it is printed in pieces of 128 KiB' cmp -s "$T/want" "$OUT"
    stop TERM
}
