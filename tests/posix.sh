#!/bin/sh
# posix.sh - the programs use only C11 and POSIX.1-2008
#
# Without a BSD or macOS to compile on, this compares with the standard: the headers, and
# every name in capitals or with two underscores. (alone.sh compiles with -std=c11 and
# _POSIX_C_SOURCE, where a function of GNU or BSD is not declared.) The lists contain what
# the programs use of the standard; a name in none of them fails until somebody has looked
# it up and added it.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

headers='ctype errno fcntl netdb netinet/in netinet/tcp poll pthread signal stdbool stddef
stdint stdio stdlib string strings sys/socket sys/stat sys/time sys/un time unistd'

constants='AF_INET AF_INET6 AF_UNIX AI_PASSIVE CLOCK_MONOTONIC EACCES EAGAIN EAI_SERVICE
EBADMSG ECONNABORTED ECONNREFUSED ECONNRESET EINTR EMSGSIZE ETIMEDOUT FILE F_SETFL
IPPROTO_IPV6 IPPROTO_TCP IPV6_V6ONLY NI_NUMERICHOST NI_NUMERICSERV NULL O_NONBLOCK POLLIN
POLLOUT PTHREAD_CREATE_DETACHED SA_RESETHAND SA_RESTART SHUT_WR SIGHUP SIGINT SIGPIPE
SIGTERM SIG_DFL SIG_IGN SOCK_DGRAM SOCK_STREAM SOL_SOCKET SOMAXCONN SO_KEEPALIVE SO_RCVBUF
SO_RCVTIMEO SO_REUSEADDR SO_SNDBUF SO_SNDLOWAT SO_SNDTIMEO STDIN_FILENO STDOUT_FILENO
S_ISSOCK TCP_NODELAY _IOFBF _POSIX_C_SOURCE'

# Prints the lines of stdin that are not among WORDS, each after KIND.
strangers() { # KIND WORDS
    printf '%s\n' "$2" | tr -s ' ' '\n' | sort -u >"$T/known"
    sort -u | comm -23 - "$T/known" | sed "s|^|$1 |"
}

# Prints the names in a C file, without comments and strings.
names() { # FILE
    awk 'BEGIN { RS = "\001" } {
        gsub(/"([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047|\/\*([^*]|\*+[^*\/])*\*+\//, " ")
        gsub(/[^A-Za-z0-9_]+/, "\n")
        print
    }' "$1" | grep '^[A-Za-z_]'
}

# Prints what a file uses that is not in the standard. NAME = VALUE is a constant of its
# own. TCP_USER_TIMEOUT is allowed inside its own #ifdef.
foreign() { # FILE
    sed -n 's/^ *# *include *[<"]\(.*\)\.h[>"].*/\1/p' "$1" | strangers header "$headers"
    own=$(grep -oE '\<[A-Z][A-Z0-9_]* = ' "$1" | tr -d ' =')
    sed '/^#ifdef TCP_USER_TIMEOUT/,/^#else/d' "$1" >"$T/always.c"
    names "$T/always.c" | grep -E '^(_*[A-Z][A-Z0-9_]+|__.*)$' |
        strangers name "$constants $own"
}

cd "$ROOT" || exit
for _source in */*.c; do
    is "$(basename "$_source" .c) uses only C11 and POSIX" '' "$(foreign "$_source")"
done

finish
