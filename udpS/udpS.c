/*
 * udpS.c - a UDP server that answers each datagram with a random number
 *
 *   cc -pthread -o udpS udpS.c
 *   ./udpS 1234                      at the other end: udpC localhost:1234, or
 *                                    nc -u localhost 1234
 *
 *   Go                               here
 *   net.ResolveUDPAddr, ListenUDP    listen_udp(): socket, bind; there is no accept
 *   ReadFromUDP(buffer)              recvfrom: each datagram brings its sender's address
 *   WriteToUDP(data, addr)           sendto: nobody knows whether it arrives
 *   rand.Seed, rand.Intn             srand, rand: for lessons, not for secrets
 *
 * Not as in the chapter: an empty datagram ends nothing; a long one is not cut; each
 * start has numbers of its own; an answer of another such server is not answered.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "udpS";
static const char usage[] = "usage: udpS [-q] [HOST:]PORT\n"
                            "Answers each UDP datagram with a number from 1 to 1000.\n"
                            "-q: does not print the datagrams and the numbers\n";
enum { HOST_SIZE = 256, DATAGRAM_SIZE = 65536 };

static bool quiet;

static _Noreturn void die(const char *what, const char *why);
static void set_up(void);
static void leave(int signal_number);
static const char *split_hostport(const char *address, char *host);
static bool is_stop(const char *line, size_t length);
static int print(const char *label, const char *line, size_t length);

/* Make a socket for what comes to [HOST:]PORT. A HOST that is a name is its IPv4 address
   first, as in Go. Without a HOST it is every address of this machine: IPv6, whose socket
   takes IPv4 too (RFC 3493, section 3.7), or IPv4 where there is no IPv6. */
static int listen_udp(const char *address)
{
    char host[HOST_SIZE];
    const char *port = split_hostport(address, host);
    struct addrinfo hints = {.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *a = NULL;
    int fd = -1, gai = 0;
    for (int i = 0; i < 2 && fd < 0; i++) {
        if (a != NULL) /* there is no such family here */
            freeaddrinfo(a);
        hints.ai_family = (i == 0) == (*host == '\0') ? AF_INET6 : AF_INET;
        gai = getaddrinfo(*host ? host : NULL, port, &hints, &a);
        if (gai == 0)
            fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    }
    if (fd < 0)
        die(address, gai == 0 || gai == EAI_SYSTEM ? strerror(errno) : gai_strerror(gai));

    const int off = 0, room = 4 << 20; /* for a burst of datagrams */
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0)
        die(address, errno == EACCES ? "Permission denied (ports below 1024 are for root)"
                                     : strerror(errno));
    freeaddrinfo(a);

    struct sockaddr_storage bound = {0}; /* port 0 has become a free one by now */
    socklen_t size = sizeof bound;
    char name[64] = "?", number[8] = "?";
    getsockname(fd, (struct sockaddr *)&bound, &size);
    getnameinfo((struct sockaddr *)&bound, size, name, sizeof name, number, sizeof number,
                NI_NUMERICHOST | NI_NUMERICSERV);
    const char *format =
        strchr(name, ':') ? "%s: listening on [%s]:%s\n" : "%s: listening on %s:%s\n";
    fprintf(stderr, format, program, name, number);
    return fd;
}

/* Whether the datagram may be an answer of another such server: were it answered, the
   two would go on for ever. */
static bool is_answer(const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isdigit((unsigned char)data[i]))
            return false;
    return length > 0 && length <= strlen("1000");
}

/* Answer a datagram with a random number; `size` is that of the address. One that cannot
   be answered, from port 0 say, is said on stderr. */
static void answer(int fd, const struct sockaddr_storage *client, socklen_t size)
{
    char number[8];
    int length = sprintf(number, "%d", rand() % 1000 + 1);
    if (sendto(fd, number, (size_t)length, 0, (const struct sockaddr *)client, size) < 0)
        fprintf(stderr, "%s: client: %s\n", program, strerror(errno));
    else if (!quiet)
        print("data: ", number, (size_t)length);
}

int main(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "hq")) != -1;) {
        if (option != 'q') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
        quiet = true;
    }
    if (argc != optind + 1) {
        fprintf(stderr, "%s: Please provide a port number!\n%s", program, usage);
        return 2;
    }
    set_up();
    signal(SIGINT, leave);
    signal(SIGTERM, leave);
    srand((unsigned)time(NULL) ^ (unsigned)getpid() << 16);
    int fd = listen_udp(argv[optind]);
    for (;;) {
        static char data[DATAGRAM_SIZE];
        struct sockaddr_storage client;
        socklen_t size = sizeof client;
        ssize_t n = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&client, &size);
        if (n < 0) { /* short of memory, say */
            fprintf(stderr, "%s: recvfrom: %s\n", program, strerror(errno));
            sleep(1);
            continue;
        }
        if (!quiet)
            print("-> ", data, (size_t)n);
        if (is_stop(data, (size_t)n))
            break;
        if (!is_answer(data, (size_t)n))
            answer(fd, &client, size);
    }
    print("Exiting UDP server!", "", 0);
    return 0;
}

/* ---- Helpers: the same text in every program that has them ---- */

/* Print `NAME: what: why` on stderr and exit with 1. */
static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, why);
    exit(1);
}

/* Writing to a connection or pipe that is gone becomes an error, EPIPE, and no more. And
   0, 1 and 2 are taken, if they were closed: no socket may be mistaken for stdout.
   (Opened to be read only, so that printing to it is still an error.) */
static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDONLY);
    if (fd >= 0)
        close(fd);
}

/* The handler of SIGINT and SIGTERM: end the program, which closes its sockets. In a
   container, where it may be process 1, nothing else would. */
static void leave(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

/* Cut HOST:PORT, [HOST]:PORT or a bare PORT: HOST, which may be empty, goes to
   host[HOST_SIZE], cut where it is too long to be a name. Returns PORT. Dies if it is
   none of these, or a number that getaddrinfo() would take for another (65537 for 1). */
static const char *split_hostport(const char *address, char *host)
{
    const char *colon = strrchr(address, ':'), *start = address, *end = colon;
    const char *port = colon != NULL ? colon + 1 : address;
    if (address[0] == '[' && colon != NULL && colon[-1] == ']') {
        start++;
        end--;
    } else if (strchr(address, ':') != colon) {
        die(address, "not HOST:PORT or [HOST]:PORT");
    }
    char *number_end;
    long number = strtol(port, &number_end, 10);
    if (*number_end == '\0' && (*port == '\0' || number < 0 || number > 65535))
        die(address, "port is not 0 to 65535");
    snprintf(host, HOST_SIZE, "%.*s", colon != NULL ? (int)(end - start) : 0, start);
    return port;
}

/* Whether the line is STOP, blanks around it aside. */
static bool is_stop(const char *line, size_t length)
{
    for (; length > 0 && isspace((unsigned char)line[0]); length--)
        line++;
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    return length == 4 && memcmp(line, "STOP", 4) == 0;
}

/* Print the line, without its end, behind its label. Control characters come out as \xNN,
   those of UTF-8 (U+0080 to U+009F) too, so that nobody on the network drives the
   terminal. Returns 0, or -1 with errno. */
static int print(const char *label, const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n')
        length--;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    flockfile(stdout);
    fputs(label, stdout);
    unsigned char before = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];
        bool control = c < ' ' || c == 0x7f || (before == 0xc2 && c >= 0x80 && c < 0xa0);
        if (control && c != '\t')
            printf("\\x%02x", c);
        else
            putchar(c);
        before = c;
    }
    putchar('\n');
    int result = fflush(stdout) != 0 || ferror(stdout) ? -1 : 0;
    funlockfile(stdout);
    return result;
}
