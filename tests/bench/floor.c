/* floor.c - what a thread for each connection costs when it does nothing else
 *
 *     cc -std=c11 -O2 -pthread -o floor floor.c
 *     floor echo 0     every byte goes back (a TCP port; a path is a Unix socket)
 *     floor line 0     an answer for each newline, one write for each read
 *     floor date 0     the same, the answer being a date
 *     floor udp 0      a number for each datagram: recvfrom and sendto
 *     floor ws 0       the same as echo: frames unread
 *
 * The bare servers that the suite's own are measured against: blocking calls, no checks, no
 * limits.
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
    char buffer[64 * 1024];
};

static const char *work, *address;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static bool write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t w = write(fd, p, n);
        if (w <= 0)
            return false;
        p += w;
        n -= (size_t)w;
    }
    return true;
}

static void echo(struct client *c)
{
    ssize_t n;
    while ((n = read(c->fd, c->buffer, sizeof c->buffer)) > 0 &&
           write_all(c->fd, c->buffer, (size_t)n))
        ;
}

/* Answers lie ready in a row: as many as there were newlines go out in one write. */
static void answer_lines(struct client *c)
{
    char answer[64], row[ANSWERS * sizeof answer];
    size_t length =
        (size_t)snprintf(answer, sizeof answer, "Client number: %u\n", c->number);
    if (strcmp(work, "date") == 0)
        length = (size_t)snprintf(answer, sizeof answer, "2026-01-01T00:00:00Z\n");
    for (size_t i = 0; i < ANSWERS; i++)
        memcpy(row + i * length, answer, length);
    bool good = true;
    for (ssize_t n; good && (n = read(c->fd, c->buffer, sizeof c->buffer)) > 0;) {
        size_t lines = 0, batch;
        const char *end = c->buffer + n;
        for (char *p = c->buffer; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
            lines++;
        for (; good && lines > 0; lines -= batch) {
            batch = lines < ANSWERS ? lines : ANSWERS;
            good = write_all(c->fd, row, batch * length);
        }
    }
}

static void *serve(void *argument)
{
    struct client *c = argument;
    if (strcmp(work, "line") == 0 || strcmp(work, "date") == 0)
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
    for (;;) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&peer, &length);
        sendto(fd, "500", 3, 0, (struct sockaddr *)&peer, length);
    }
}

static int listen_on(bool udp)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((in_port_t)strtoul(address, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool path = strchr(address, '/') != NULL;
    socklen_t length = path ? sizeof un : sizeof in;
    snprintf(un.sun_path, sizeof un.sun_path, "%s", address);
    int fd = socket(path ? AF_UNIX : AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0);
    if (fd < 0 ||
        bind(fd, path ? (struct sockaddr *)&un : (struct sockaddr *)&in, length) != 0 ||
        (!udp && listen(fd, SOMAXCONN) != 0))
        die(address);
    if (udp)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4 << 20}, sizeof(int));
    if (!path)
        getsockname(fd, (struct sockaddr *)&in, &length);
    fprintf(stderr, "floor: listening on :%u\n", (unsigned)ntohs(in.sin_port));
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    work = argv[1];
    address = argv[2];
    bool udp = strcmp(work, "udp") == 0;
    int listener = listen_on(udp);
    if (udp)
        serve_udp(listener);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK);
    for (unsigned number = 1;; number++) {
        struct client *c = malloc(sizeof *c);
        if (c == NULL || (c->fd = accept(listener, NULL, NULL)) < 0)
            die("accept");
        c->number = number;
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        pthread_t thread;
        if ((errno = pthread_create(&thread, &attributes, serve, c)) != 0)
            die("pthread_create");
    }
}
