#!/bin/sh
# otherTCPserver.sh - the TCP echo server on localhost, one client after another
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"

ANSWER='expect hello\n'
SHOWN='> hello\n'
HOST=127.0.0.1

every_server expect "$CONTROLS"
echo_server
one_after_another expect 'hello\nSTOP\n'
lingering expect "$HUNDRED\nSTOP\n"

finish
