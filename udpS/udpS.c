/*
 * udpS.c - a UDP server that answers each datagram with a random number
 *
 *   cc -o udpS udpS.c
 *   ./udpS 1234                      try it with udpC localhost:1234, or
 *                                    nc -u localhost 1234
 *
 *   Go                               C
 *   net.ResolveUDPAddr("udp4", s)    make_udp_socket(): getaddrinfo, socket
 *   net.ListenUDP("udp4", s)         listen_udp(): bind; there is no listen, no accept
 *   c.ReadFromUDP(buffer)            recvfrom: one datagram, and its sender's address
 *   c.WriteToUDP(data, addr)         sendto: nobody knows whether it arrives
 *   rand.Seed, rand.Intn             srand, rand: for lessons, not for secrets
 *
 * Unlike the chapter's version, an empty datagram does not end it, a long one is not cut,
 * two servers started in the same second send different numbers, and no two servers can
 * be made to answer each other for ever. Read main() first, at the bottom, then upwards.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "udpS";
static const char usage[] = "usage: udpS [HOST:]PORT\n";
enum { HOST_SIZE = 256, DATAGRAM_SIZE = 65536 };

/* Print "PROGRAM: WHAT: WHY" and exit with status 1. */
static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, why);
    exit(1);
}

/* Split [HOST]:PORT, HOST:PORT or PORT. Copies HOST, which may be empty, to host and
   returns PORT. */
static const char *split_host_port(const char *address, char host[HOST_SIZE])
{
    const char *colon = strrchr(address, ':');
    const char *port = colon != NULL ? colon + 1 : address;
    if (*port == '\0')
        die(address, "missing port");
    if (strtoul(port, NULL, 10) > 65535) /* getaddrinfo would wrap it around */
        die(address, "invalid port");
    size_t length = colon != NULL ? (size_t)(colon - address) : 0;
    if (length > 1 && address[0] == '[' && address[length - 1] == ']') {
        address++;
        length -= 2;
    }
    if (length >= HOST_SIZE)
        die(address, "host name too long");
    memcpy(host, address, length);
    host[length] = '\0';
    return port;
}

/* Make a UDP socket of one address family, and look up the address to bind it to. Returns
   -1 if this machine or HOST has no addresses of that family, and why: of two attempts,
   the one that got further decides. */
static int make_udp_socket(int family, const char *host, const char *port,
                           struct addrinfo **ai, const char **why)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE, .ai_family = family, .ai_socktype = SOCK_DGRAM};
    int error = getaddrinfo(*host != '\0' ? host : NULL, port, &hints, ai);
    if (error != 0) {
        if (*why == NULL)
            *why = error == EAI_SERVICE ? "unknown port" : gai_strerror(error);
        return -1;
    }
    int fd = socket((*ai)->ai_family, (*ai)->ai_socktype, (*ai)->ai_protocol);
    if (fd < 0) {
        *why = strerror(errno);
        freeaddrinfo(*ai);
    }
    return fd;
}

/* Print the address that the server listens on. For port 0, the kernel has chosen one. */
static void print_address(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[64] = "?", port[8] = "?";
    getsockname(fd, (struct sockaddr *)&address, &size);
    getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    bool ipv6 = strchr(host, ':') != NULL;
    fprintf(stderr, "%s: listening on %s%s%s:%s\n", program, ipv6 ? "[" : "", host,
            ipv6 ? "]" : "", port);
}

/* Receive what is sent to [HOST:]PORT. Without a HOST that means every address of this
   machine: an IPv6 socket accepts IPv4 datagrams, too (RFC 3493, section 3.7). A HOST
   that has addresses of both families means the IPv4 one, as in Go. */
static int listen_udp(const char *address)
{
    char host[HOST_SIZE];
    const char *port = split_host_port(address, host), *why = NULL;
    bool no_host = *host == '\0';
    struct addrinfo *ai;
    int fd = make_udp_socket(no_host ? AF_INET6 : AF_INET, host, port, &ai, &why);
    if (fd < 0)
        fd = make_udp_socket(no_host ? AF_INET : AF_INET6, host, port, &ai, &why);
    if (fd < 0)
        die(address, why);

    const int off = 0, rcvbuf = 1024 * 1024; /* for bursts: the rest is lost */
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0)
        die(address, errno == EACCES && strtoul(port, NULL, 10) < 1024
                         ? "Permission denied (ports below 1024 are for root)"
                         : strerror(errno));
    freeaddrinfo(ai);
    fcntl(fd, F_SETFL, O_NONBLOCK); /* or sendto() could wait for ARP, and delay others */
    print_address(fd);
    return fd;
}

/* Is the line STOP, ignoring white space around it? */
static bool is_stop(const char *line, size_t length)
{
    while (length > 0 && isspace((unsigned char)line[0])) {
        line++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    return length == 4 && memcmp(line, "STOP", 4) == 0;
}

/* Does byte i of text belong to a control character? Those of the C1 set (U+0080 to
   U+009F) are two bytes long in UTF-8: 0xc2, then 0x80 to 0x9f. */
static bool is_control(const char *text, size_t length, size_t i)
{
    const unsigned char *p = (const unsigned char *)text + i;
    if (*p >= ' ' && *p < 0x7f) /* the usual case first, for speed */
        return false;
    return (*p < 0x80 && *p != '\t') ||
           (*p == 0xc2 && i + 1 < length && (p[1] & 0xe0) == 0x80) ||
           ((*p & 0xe0) == 0x80 && i > 0 && p[-1] == 0xc2);
}

/* Print a line that came from the network. Control characters are escaped as \xNN: the
   peer must not control the terminal. */
static void print_line(const char *prefix, const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n') {
        length--;
        if (length > 0 && line[length - 1] == '\r')
            length--;
    }
    fputs(prefix, stdout);
    size_t start = 0; /* of the bytes not yet printed */
    for (size_t i = 0; i < length; i++)
        if (is_control(line, length, i)) {
            fwrite(line + start, 1, i - start, stdout);
            printf("\\x%02x", (unsigned char)line[i]);
            start = i + 1;
        }
    fwrite(line + start, 1, length - start, stdout);
    putchar('\n');
    fflush(stdout);
}

/* Could the datagram be the answer of another udpS? If we answered it, one datagram with
   a spoofed source address could set two servers answering each other for ever
   (CVE-2024-2169). So do not answer 1 to 4 digits. */
static bool is_answer(const char *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!isdigit((unsigned char)data[i]))
            return false;
    return length > 0 && length <= strlen("1000");
}

/* Answer each datagram until one says STOP. */
static void serve(int fd)
{
    static char data[DATAGRAM_SIZE];
    char number[8];
    for (;;) {
        struct sockaddr_storage client;
        struct sockaddr *address = (struct sockaddr *)&client;
        socklen_t size = sizeof client;
        ssize_t n = recvfrom(fd, data, sizeof data, 0, address, &size);
        if (n < 0) {
            if (errno != EAGAIN)
                fprintf(stderr, "%s: recvfrom: %s\n", program, strerror(errno));
            poll(&(struct pollfd){fd, POLLIN, 0}, 1, -1);
            continue;
        }
        print_line("-> ", data, (size_t)n);
        if (is_stop(data, (size_t)n))
            return;
        if (is_answer(data, (size_t)n))
            continue;
        int length = snprintf(number, sizeof number, "%d", rand() % 1000 + 1);
        print_line("data: ", number, (size_t)length);
        if (sendto(fd, number, (size_t)length, 0, address, size) < 0)
            fprintf(stderr, "%s: sendto: %s\n", program, strerror(errno));
    }
}

int main(int argc, char **argv)
{
    int option = getopt(argc, argv, "h");
    if (option == 'h') {
        fputs(usage, stdout);
        return 0;
    }
    if (option != -1 || argc != optind + 1) {
        fprintf(stderr, "Please provide a port number!\n%s", usage);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* so that writing to a closed pipe only fails */
    srand((unsigned)time(NULL) ^ (unsigned)getpid() << 16);
    serve(listen_udp(argv[optind]));
    printf("Exiting UDP server!\n");
    return 0;
}
