/* floor.c - what a thread for each connection costs when it does nothing else
 *
 *     cc -std=c11 -O2 -pthread -o floor floor.c
 *     floor echo 0     (or text) every byte goes back (a TCP port, or a path)
 *     floor line 0     an answer for each newline, one write for each read
 *     floor date 0     the same, the answer being a date
 *     floor udp 0      a number for each datagram: recvfrom and sendto
 *     floor echo 0 print   (or udp) the same, and every block goes to stdout
 *
 * The bare servers that the suite's own are measured against: blocking calls, no checks,
 * no limits.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STACK = 64 * 1024, LINES = 256 };

struct client {
    int fd;
    unsigned number;
    char buffer[64 * 1024];
};

static const char *work;
static bool printing;

static void print(const char *data, ssize_t n)
{
    if (printing && write(STDOUT_FILENO, data, (size_t)n) < 0)
        err(1, "stdout");
}

static void echo(struct client *c)
{
    ssize_t n;
    while ((n = read(c->fd, c->buffer, sizeof c->buffer)) > 0 &&
           write(c->fd, c->buffer, (size_t)n) == n)
        print(c->buffer, n);
}

/* Answers lie ready in a row: as many as there were newlines go out in one write. */
static void answer_lines(struct client *c)
{
    char answer[64] = "2026-01-01T00:00:00Z\n", row[LINES * sizeof answer];
    if (strcmp(work, "line") == 0)
        snprintf(answer, sizeof answer, "Client number: %u\n", c->number);
    size_t length = strlen(answer);
    for (size_t i = 0; i < LINES; i++)
        memcpy(row + i * length, answer, length);
    for (ssize_t n; (n = read(c->fd, c->buffer, LINES)) > 0;) {
        size_t size = 0;
        for (ssize_t i = 0; i < n; i++)
            size += c->buffer[i] == '\n' ? length : 0;
        if (write(c->fd, row, size) < 0)
            break;
    }
}

static void *serve(void *argument)
{
    struct client *c = argument;
    if (strcmp(work, "echo") == 0 || strcmp(work, "text") == 0)
        echo(c);
    else
        answer_lines(c);
    close(c->fd);
    free(c);
    return NULL;
}

static _Noreturn void serve_udp(int fd)
{
    static char buffer[65536];
    for (;;) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        ssize_t n =
            recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length);
        print(buffer, n);
        print("500", 3);
        sendto(fd, "500", 3, 0, (struct sockaddr *)&peer, length);
    }
}

static int listen_on(const char *address, bool udp)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((in_port_t)strtoul(address, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool path = *address == '/';
    socklen_t length = path ? sizeof un : sizeof in;
    snprintf(un.sun_path, sizeof un.sun_path, "%s", address);
    int fd = socket(path ? AF_UNIX : AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (fd < 0 ||
        bind(fd, path ? (struct sockaddr *)&un : (struct sockaddr *)&in, length) != 0 ||
        (!udp && listen(fd, SOMAXCONN) != 0))
        err(1, "%s", address);
    if (udp)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
    if (!path)
        getsockname(fd, (struct sockaddr *)&in, &length);
    fprintf(stderr, "floor: listening on :%u\n", (unsigned)ntohs(in.sin_port));
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4)
        return 2;
    work = argv[1];
    printing = argc == 4;
    bool udp = strcmp(work, "udp") == 0;
    int listener = listen_on(argv[2], udp);
    if (udp)
        serve_udp(listener);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK);
    for (unsigned number = 1;; number++) {
        struct client *c = malloc(sizeof *c);
        if (c == NULL || (c->fd = accept(listener, NULL, NULL)) < 0)
            err(1, "accept");
        c->number = number;
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        pthread_t thread;
        if (pthread_create(&thread, &attributes, serve, c) != 0)
            errx(1, "no thread");
    }
}
