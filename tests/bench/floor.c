/* floor.c - what a thread for each connection costs when it does nothing else
 *
 *     cc -O2 -pthread -o floor floor.c
 *     floor echo 0            every byte goes back (a TCP port; a path is a Unix socket)
 *     floor line 0            an answer for each newline, one write for each read
 *     floor -a TEXT line 0    the same with TEXT for an answer
 *     floor udp 0             a number for each datagram: recvfrom and sendto
 *     floor -b BYTES ...      the size of the buffer, 65536
 *
 * The bare servers that the suite's own are measured against: blocking calls, no checks, no
 * limits. A WebSocket's floor is the echo of its bytes, frames unread.
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STACK = 64 * 1024, ANSWERS = 256 };

struct client {
    int fd;
    unsigned number;
};

static size_t buffer_size = 64 * 1024;
static const char *fixed_answer;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w <= 0) {
            return false;
        }
        p += w;
        n -= (size_t)w;
    }
    return true;
}

static void *serve_echo(void *argument)
{
    struct client *c = argument;
    char *buffer = malloc(buffer_size);
    ssize_t n;
    while (buffer != NULL && (n = read(c->fd, buffer, buffer_size)) > 0 &&
           write_all(c->fd, buffer, (size_t)n)) {
    }
    free(buffer);
    close(c->fd);
    free(c);
    return NULL;
}

/* Answers lie ready in a row: as many as there were newlines go out in one write. */
static void *serve_line(void *argument)
{
    struct client *c = argument;
    char *buffer = malloc(buffer_size), one[64], row[ANSWERS * sizeof one];
    size_t length = (size_t)snprintf(one, sizeof one, "Client number: %u\n", c->number);
    if (fixed_answer != NULL) {
        length = (size_t)snprintf(one, sizeof one, "%s\n", fixed_answer);
    }
    for (size_t i = 0; i < ANSWERS; i++) {
        memcpy(row + i * length, one, length);
    }
    bool good = buffer != NULL;
    for (ssize_t n; good && (n = read(c->fd, buffer, buffer_size)) > 0;) {
        size_t lines = 0;
        for (char *p = buffer; (p = memchr(p, '\n', (size_t)(buffer + n - p))) != NULL;
             p++) {
            lines++;
        }
        while (good && lines > 0) {
            size_t batch = lines < ANSWERS ? lines : ANSWERS;
            good = write_all(c->fd, row, batch * length);
            lines -= batch;
        }
    }
    free(buffer);
    close(c->fd);
    free(c);
    return NULL;
}

static void serve_udp(int fd)
{
    static char buffer[65536];
    for (;;) {
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        if (recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length) >=
            0) {
            sendto(fd, "500", 3, 0, (struct sockaddr *)&peer, length);
        }
    }
}

static int listen_on(const char *address, bool udp)
{
    int fd;
    if (strchr(address, '/') != NULL) {
        struct sockaddr_un sun = {.sun_family = AF_UNIX};
        snprintf(sun.sun_path, sizeof sun.sun_path, "%s", address);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof sun) != 0 ||
            listen(fd, SOMAXCONN) != 0) {
            die(address);
        }
        fprintf(stderr, "floor: listening on %s\n", address);
        return fd;
    }
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((in_port_t)strtoul(address, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof in;
    fd = socket(AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&in, sizeof in) != 0 ||
        (!udp && listen(fd, SOMAXCONN) != 0) ||
        getsockname(fd, (struct sockaddr *)&in, &length) != 0) {
        die(address);
    }
    if (udp) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
    }
    fprintf(stderr, "floor: listening on 127.0.0.1:%u\n", (unsigned)ntohs(in.sin_port));
    return fd;
}

static void accept_all(int listener, void *(*serve)(void *))
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK);
    for (unsigned number = 1;; number++) {
        int fd = accept(listener, NULL, NULL);
        struct client *c = malloc(sizeof *c);
        if (fd < 0 || c == NULL) {
            die("accept");
        }
        *c = (struct client){fd, number};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        pthread_t thread;
        errno = pthread_create(&thread, &attributes, serve, c);
        if (errno != 0) {
            die("pthread_create");
        }
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    for (int c; (c = getopt(argc, argv, "a:b:")) != -1;) {
        if (c == 'a' && strlen(optarg) < 63) {
            fixed_answer = optarg;
        } else if (c == 'b') {
            buffer_size = strtoul(optarg, NULL, 10);
        } else {
            return 2;
        }
    }
    if (optind != argc - 2 || buffer_size == 0) {
        fputs("usage: floor [-a TEXT] [-b BYTES] echo|line|udp PORT|PATH\n", stderr);
        return 2;
    }
    const char *work = argv[optind], *address = argv[optind + 1];
    int fd = listen_on(address, strcmp(work, "udp") == 0);
    if (strcmp(work, "udp") == 0) {
        serve_udp(fd);
    }
    accept_all(fd, strcmp(work, "line") == 0 ? serve_line : serve_echo);
}
