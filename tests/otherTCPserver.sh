#!/bin/sh
# otherTCPserver.sh - the TCP echo server on localhost, one client after another
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=servers.sh
. "$ROOT/tests/servers.sh"
# shellcheck source=echo.sh
. "$ROOT/tests/echo.sh"

ANSWER='expect hello\n'
SHOWN='> hello\n'
LISTENING='otherTCPserver: listening on 127.0.0.1:@'
QUIET=

every_server expect "$CONTROLS"
echo_server
one_after_another expect 'hello\nSTOP\n'
lingering ended_by_stop expect "${HUNDRED}STOP\n"

finish
