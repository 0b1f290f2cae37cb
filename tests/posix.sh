#!/bin/sh
# posix.sh - the programs use only C11 and POSIX.1-2008
#
# Without a BSD or macOS to compile on, this compares with the standard: the headers, the
# undefined symbols, every name in capitals or with two underscores. The lists contain
# what the programs use of the standard; a name in none of them fails until somebody has
# looked it up and added it.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

CC=${CC:-cc}

headers='ctype errno fcntl netdb netinet/in netinet/tcp poll pthread signal stdbool stddef
stdint stdio stdlib string strings sys/socket sys/stat sys/time sys/un time unistd'

symbols='accept atoi bind clock_gettime close connect errno exit fclose fcntl fdopen
ferror fflush fileno flockfile fopen fprintf fputs fread free freeaddrinfo funlockfile
fwrite gai_strerror getaddrinfo getnameinfo getopt getpeername getpid getsockname gmtime_r
isatty isspace listen localtime_r lstat malloc memchr memcmp memcpy memmove memset optarg
optind pipe poll printf pthread_attr_init pthread_attr_setdetachstate
pthread_attr_setstacksize pthread_create putchar puts raise rand read realloc recv
recvfrom send sendto setsockopt setvbuf shutdown sigaction signal sleep snprintf socket
srand stderr stdout strcasecmp strchr strcmp strcspn strerror strftime strlen strncasecmp
strncmp strrchr strspn strstr strtoul time tzset umask unlink write'

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

# Prints the undefined symbols of a file, as the standard names them.
symbols_of() { # FILE
    "$CC" -std=c11 -O0 -U_FORTIFY_SOURCE -fno-stack-protector -pthread -w -c \
        -o "$T/object.o" "$1" || echo does_not_compile
    nm -u "$T/object.o" | awk '{ print $NF }' |
        sed 's/^___*errno_location$/errno/; s/^__ctype_b_loc$/isspace/; /^_GLOBAL_OFF/d
            s/^__posix_//; s/^__sysv_//; s/^__isoc[0-9]*_//'
}

# Prints what a file uses that is not in the standard. NAME = VALUE is a constant of its
# own. TCP_USER_TIMEOUT is allowed inside its own #ifdef.
foreign() { # FILE
    sed -n 's/^ *# *include *[<"]\(.*\)\.h[>"].*/\1/p' "$1" | strangers header "$headers"
    symbols_of "$1" | strangers symbol "$symbols"
    own=$(grep -oE '\<[A-Z][A-Z0-9_]* = ' "$1" | tr -d ' =')
    sed '/^#ifdef TCP_USER_TIMEOUT/,/^#else/d' "$1" >"$T/always.c"
    names "$T/always.c" | grep -E '^(_*[A-Z][A-Z0-9_]+|__.*)$' |
        strangers name "$constants $own"
}

cd "$ROOT" || exit
for _source in */*.c; do
    is "$(basename "$_source" .c) uses only C11 and POSIX" '' "$(foreign "$_source")"
done

# The script finds what is not in the standard.
cat >"$T/foreign.c" <<'END'
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
enum { OWN = 1 }; /* SOCK_SEQPACKET */
int main(void)
{
    int one __attribute__((unused)) = OWN;
    setsockopt(0, SOL_SOCKET, TCP_KEEPIDLE, "MSG_DONTWAIT", OWN);
    return accept4(0, 0, 0, SOCK_CLOEXEC);
}
END
is 'everything that is not in the standard is found' 'header sys/epoll
symbol accept4
name SOCK_CLOEXEC
name TCP_KEEPIDLE
name _GNU_SOURCE
name __attribute__' "$(foreign "$T/foreign.c")"

finish
