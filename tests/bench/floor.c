/* floor.c - what a thread for each connection costs when it does nothing else
 *
 *     cc -std=c11 -O2 -pthread -o floor floor.c
 *     floor WORK PORT|/PATH
 *
 * The bare servers that the suite's own are measured against: blocking calls, no checks,
 * no limits. WORK is
 *     echo    every byte is sent back
 *     text    the same, and every block is written to stdout
 *     line    a reply for each newline, one write for each read
 *     udp     a number for each datagram; both are written to stdout
 */
#define _GNU_SOURCE
#include "address.h"
#include <err.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

enum { STACK = 64 * 1024, LINES = 256 };

struct client {
    int fd;
    unsigned number;
    char buffer[64 * 1024];
};

static const char *work;

static bool is(const char *name)
{
    return strcmp(work, name) == 0;
}

static void print(const char *data, ssize_t n)
{
    if (write(STDOUT_FILENO, data, (size_t)n) < 0)
        err(1, "stdout");
}

static void echo(struct client *c)
{
    bool printing = is("text");
    ssize_t n;
    while ((n = read(c->fd, c->buffer, sizeof c->buffer)) > 0 &&
           write(c->fd, c->buffer, (size_t)n) == n)
        if (printing)
            print(c->buffer, n);
}

/* Replies are prepared in a row: one write sends as many as there were newlines. */
static void answer_lines(struct client *c)
{
    char reply[64], row[LINES * sizeof reply];
    size_t length =
        (size_t)snprintf(reply, sizeof reply, "Client number: %u\n", c->number);
    for (size_t i = 0; i < LINES; i++)
        memcpy(row + i * length, reply, length);
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
    if (is("line"))
        answer_lines(c);
    else
        echo(c);
    close(c->fd);
    free(c);
    return NULL;
}

static _Noreturn void serve_udp(int fd)
{
    static char buffer[65536];
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
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

static int listen_on(struct address a)
{
    bool udp = is("udp");
    int fd = socket(a.any.sa_family, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, &a.any, a.length) != 0 || (!udp && listen(fd, SOMAXCONN) != 0))
        err(1, "listen");
    if (a.any.sa_family == AF_INET)
        getsockname(fd, &a.any, &a.length);
    fprintf(stderr, "floor: listening on :%u\n", (unsigned)ntohs(a.in.sin_port));
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    work = argv[1];
    int listener = listen_on(parse_address(argv[2]));
    if (is("udp"))
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
