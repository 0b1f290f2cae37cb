#!/bin/sh
# posix.sh - the programs use what POSIX.1-2008 has, and nothing else, but for what is listed
# here with its reason
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

HEADERS='ctype errno fcntl netdb netinet/in netinet/tcp poll pthread signal stdatomic stdbool
stdint stdio stdlib string strings sys/socket sys/stat sys/time sys/uio sys/un time unistd'

# The functions, by the pages of POSIX.1-2008; stdatomic.h is C11's.
FUNCTIONS='accept atoi bind clock_gettime close connect exit _exit fcntl ferror fflush
flockfile fprintf fputs free freeaddrinfo funlockfile fwrite gai_strerror getaddrinfo
getnameinfo getopt getsockname getsockopt isalpha isatty iscntrl isdigit isspace listen
localtime_r lstat malloc memchr memcmp memcpy memmove memset nanosleep open optarg opterr optind
optopt pipe poll printf pthread_attr_destroy pthread_attr_init pthread_attr_setdetachstate
pthread_attr_setstacksize pthread_create pthread_mutex_destroy pthread_mutex_init
pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock pthread_once pthread_sigmask
putc putchar puts rand read realloc recv recvfrom send sendto setsockopt shutdown sigaction
sigaddset sigemptyset signal sigprocmask sigwait snprintf socket srand stat stderr stdout
strcasecmp strchr strcmp strcspn strerror strftime strlen strncasecmp strncmp strrchr
strspn strstr strtoul time tzset umask unlink write writev'

# What gcc and glibc put in for these: the compiler turns one call into another, the library
# has its own name for one.
FUNCTIONS="$FUNCTIONS __ctype_b_loc __errno_location __isoc99_sscanf __isoc23_strtoul strtol
__stack_chk_fail __sysv_signal _GLOBAL_OFFSET_TABLE_ __posix_getopt __xpg_strerror_r calloc fputc stpcpy
abort fputc_unlocked fwrite_unlocked"

# Not in POSIX.1-2008, and used under #if defined: how long a silent peer is trusted.
CONSTANTS='TCP_KEEPIDLE TCP_KEEPINTVL'

need nm 'no symbol but those of POSIX' || finish
for _folder in "$ROOT"/*/; do
    _name=$(basename "$_folder")
    _source=$_folder$_name.c
    [ -f "$_source" ] || continue
    _other=
    # shellcheck disable=SC2013 # words, not lines
    for _header in $(sed -n 's/^#include <\(.*\)\.h>$/\1/p' "$_source"); do
        case " $(echo "$HEADERS" | tr '\n' ' ') " in
        *" $_header "*) ;;
        *) _other="$_other $_header.h" ;;
        esac
    done
    is "$_name: no header but those of POSIX" '' "$_other"

    ${TEST_CC:-${CC:-cc}} -std=c11 -O0 -pthread -c -o "$T/$_name.o" "$_source"
    _other=
    for _symbol in $(nm -u "$T/$_name.o" | sed 's/.* //; s/@.*//'); do
        case " $(echo "$FUNCTIONS" | tr '\n' ' ') " in
        *" $_symbol "*) ;;
        *) _other="$_other $_symbol" ;;
        esac
    done
    is "$_name: no function but those of POSIX" '' "$_other"

    is "$_name: no constant of Linux alone" '' "$(
        grep -oE '\<(MSG_(MORE|NOSIGNAL|DONTWAIT)|SOCK_(CLOEXEC|NONBLOCK)|TCP_[A-Z_]+|EPOLL[A-Z]*|SO_REUSEPORT)\>' "$_source" |
            sort -u | grep -vxE "TCP_NODELAY|$(echo "$CONSTANTS" | tr ' ' '|')"
    )"
done

finish
