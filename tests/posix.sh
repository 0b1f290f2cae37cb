#!/bin/sh
# posix.sh - the programs use nothing that C11 or POSIX.1-2008 does not have
#
# What needs a BSD or macOS to be tried is read against the standard here: the headers,
# the symbols that the linker is asked for, and every name in capitals. Each list below
# holds what the programs use of the standard; a name that is on none of them fails until
# somebody has looked it up. The list at the end is for what is used all the same.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

CC=${CC:-cc}

# SOURCES may name other files: so this script can itself be tested.
SOURCES=${SOURCES:-$(cd "$ROOT" && for f in */; do
    if [ -f "$f${f%/}.c" ]; then echo "$ROOT/$f${f%/}.c"; fi
done)}

# All that POSIX.1-2008 has, and stdatomic.h, which is C11's.
headers='aio arpa/inet assert complex cpio ctype dirent dlfcn errno fcntl fenv float fmtmsg
fnmatch ftw glob grp iconv inttypes iso646 langinfo libgen limits locale math monetary mqueue
ndbm net/if netdb netinet/in netinet/tcp nl_types poll pthread pwd regex sched search
semaphore setjmp signal spawn stdarg stdatomic stdbool stddef stdint stdio stdlib string
strings stropts sys/ipc sys/mman sys/msg sys/resource sys/select sys/sem sys/shm sys/socket
sys/stat sys/statvfs sys/time sys/times sys/types sys/uio sys/un sys/utsname sys/wait syslog
tar termios tgmath time trace ulimit unistd utime utmpx wchar wctype wordexp'

functions='
ctype: isalnum isalpha isblank iscntrl isdigit isprint isspace isxdigit tolower toupper
errno: errno
fcntl: fcntl open
netdb: freeaddrinfo gai_strerror getaddrinfo getnameinfo
poll: poll
pthread: pthread_attr_destroy pthread_attr_init pthread_attr_setdetachstate
    pthread_attr_setstacksize pthread_create pthread_mutex_destroy pthread_mutex_init
    pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock pthread_once pthread_self
    pthread_sigmask
signal: sigaction sigaddset sigemptyset signal sigprocmask sigwait
stdio: ferror fflush fileno flockfile fprintf fputc fputs funlockfile fwrite printf putc
    putc_unlocked putchar puts snprintf stderr stdout vfprintf
stdlib: _Exit abort atoi calloc exit free malloc rand realloc srand strtol strtoul
string: memchr memcmp memcpy memmove memset strchr strcmp strcpy strcspn strerror strlen
    strncmp strrchr strspn strstr
strings: strcasecmp strncasecmp
sys/socket: accept bind connect getsockname getsockopt listen recv recvfrom send sendto
    setsockopt shutdown socket
sys/stat: lstat stat umask
sys/uio: writev
time: clock_gettime localtime_r nanosleep strftime time tzset
unistd: _exit close getopt isatty optarg opterr optind optopt pipe read unlink write'

constants='
fcntl: F_GETFL F_SETFL O_NONBLOCK O_RDONLY
errno: EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EBADF ECONNABORTED ECONNREFUSED
    ECONNRESET EFAULT EHOSTUNREACH EINTR EINVAL EMFILE EMSGSIZE ENETDOWN ENETUNREACH ENFILE
    ENOBUFS ENOENT ENOMEM ENOPROTOOPT ENOSPC ENOTCONN ENOTSOCK EOPNOTSUPP EOVERFLOW EPIPE
    EPROTO ETIMEDOUT EWOULDBLOCK
netdb: AI_PASSIVE EAI_SYSTEM NI_NUMERICHOST NI_NUMERICSERV
netinet/in: IPPROTO_IPV6 IPPROTO_TCP IPV6_V6ONLY
netinet/tcp: TCP_NODELAY
poll: POLLIN POLLOUT
pthread: PTHREAD_CREATE_DETACHED PTHREAD_MUTEX_INITIALIZER PTHREAD_ONCE_INIT
signal: SIGINT SIGPIPE SIGTERM SIG_BLOCK SIG_IGN SIG_SETMASK SA_RESTART
stdatomic: ATOMIC_FLAG_INIT
stdint: SIZE_MAX UINT64_MAX
stdio: EOF FILE
stddef: NULL
sys/socket: AF_INET AF_INET6 AF_UNIX AF_UNSPEC SHUT_RDWR SHUT_WR SOCK_DGRAM SOCK_STREAM SOL_SOCKET
    SO_ERROR SO_KEEPALIVE SO_RCVBUF SO_RCVTIMEO SO_REUSEADDR SO_SNDTIMEO
sys/stat: S_ISSOCK
time: CLOCK_MONOTONIC CLOCK_REALTIME
unistd: STDERR_FILENO STDIN_FILENO STDOUT_FILENO
the build: _POSIX_C_SOURCE'

# What the programs use although POSIX.1-2008 does not have it, and why they may: it stands
# inside an #if that asks for it by name. TCP_KEEPIDLE and TCP_KEEPINTVL set how soon a
# peer that has vanished is noticed; without them it is noticed after two hours.
exceptions='TCP_KEEPIDLE TCP_KEEPINTVL'

# The names of stdin that are in none of the lists (words of a list).
strangers() { # LIST...
    printf '%s\n' "$@" | tr -s ' ' '\n' | sed 's/:$//' | sort -u >"$T/known"
    sort -u | comm -23 - "$T/known" | tr '\n' ' '
}

# The words and braces of a C file, one in a line: no comments, strings, numbers, includes.
words() { # FILE
    awk '
        { text = text $0 "\n" }
        END {
            while (length(text) > 0) {
                if (match(text, /^\/\*/))
                    RLENGTH = index(text, "*/") + 1
                else if (match(text, /^#[ ]*include[^\n]*/))
                    ;
                else if (match(text, /^[A-Za-z_][A-Za-z0-9_]*/) || match(text, /^[{}]/))
                    print substr(text, 1, RLENGTH)
                else if (!match(text, /^"([^"\\]|\\.)*"/) && !match(text, /^\047([^\047\\]|\\.)*\047/) &&
                         !match(text, /^[0-9][0-9A-Za-z_.]*/))
                    RLENGTH = 1
                text = substr(text, RLENGTH + 1)
            }
        }' "$1" >"$T/words"
}

# As the libraries here call what the standard calls otherwise.
plain_names() {
    sed 's/^__errno_location$/errno/; s/^___errno_location$/errno/
        s/^__ctype_b_loc$/isspace/; s/^__ctype_to\(.*\)_loc$/to\1/
        s/^__posix_getopt$/getopt/; s/^__sysv_signal$/signal/
        s/^__isoc[0-9]*_//; /^_GLOBAL_OFFSET_TABLE_$/d; /^__stack_chk_fail/d'
}

foreign_headers() { # FILE
    sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]\(.*\)[>"].*/\1/p' "$1" |
        sed 's/\.h$//' | strangers "$headers"
}

foreign_symbols() { # FILE
    "$CC" -std=c11 -O0 -U_FORTIFY_SOURCE -fno-stack-protector -pthread -w -c \
        -o "$T/object.o" "$1" || echo "does not compile"
    nm -u "$T/object.o" | awk '{ print $NF }' | plain_names | strangers "$functions"
}

# A name in capitals is the program's own where an enum of the program has it.
foreign_constants() { # FILE
    words "$1"
    tr '\n' ' ' <"$T/words" | grep -oE 'enum [a-z_]* ?\{[^}]*\}' | tr ' ' '\n' |
        grep -E '^[A-Z]' >"$T/own"
    grep -E '^_*[A-Z][A-Z0-9_]+$' "$T/words" |
        strangers "$constants" "$exceptions" "$(cat "$T/own")"
}

# Lines with an exception outside of every #if that asks for it.
unguarded() { # FILE
    awk -v names="$exceptions" '
        BEGIN { split(names, name) }
        /^#[ ]*if/ { depth++; asked[depth] = $0 }
        /^#[ ]*endif/ { depth--; next }
        /^#/ { next }
        {
            for (i in name) {
                if (!match($0, "(^|[^A-Z_])" name[i] "([^A-Z_]|$)"))
                    continue
                found = 0
                for (d = 1; d <= depth; d++)
                    found = found || index(asked[d], "defined " name[i])
                if (!found)
                    print FNR ": " name[i]
            }
        }' "$1"
}

# Words that only compilers or old systems have.
compiler_words() { # FILE
    words "$1"
    grep -E '^(__.*|typeof|asm|u_int[0-9]+_t|u_char|u_short|u_int|u_long)$' "$T/words" |
        sort -u | tr '\n' ' '
}

for _source in $SOURCES; do
    _name=$(basename "$_source" .c)
    is "$_name: headers" '' "$(foreign_headers "$_source")"
    is "$_name: symbols" '' "$(foreign_symbols "$_source")"
    is "$_name: constants" '' "$(foreign_constants "$_source")"
    is "$_name: words of a compiler" '' "$(compiler_words "$_source")"
    is "$_name: exceptions are asked for" '' "$(unguarded "$_source")"
done

# This script sees what it is there to see.
cat >"$T/foreign.c" <<'END'
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
enum { OWN = 1 };
int main(void)
{
    int one __attribute__((unused)) = OWN;
    setsockopt(0, IPPROTO_TCP, TCP_KEEPIDLE, &one, sizeof one);
    return accept4(0, 0, 0, SOCK_CLOEXEC) + (int)recv(0, &one, 1, MSG_DONTWAIT);
}
END
is 'a foreign header is seen' 'sys/epoll ' "$(foreign_headers "$T/foreign.c")"
is 'a foreign symbol is seen' 'accept4 ' "$(foreign_symbols "$T/foreign.c")"
is 'a foreign constant is seen' 'MSG_DONTWAIT SOCK_CLOEXEC _GNU_SOURCE ' \
    "$(foreign_constants "$T/foreign.c")"
is "a compiler's word is seen" '__attribute__ ' "$(compiler_words "$T/foreign.c")"
is 'an unguarded exception is seen' '11: TCP_KEEPIDLE' "$(unguarded "$T/foreign.c")"

finish
