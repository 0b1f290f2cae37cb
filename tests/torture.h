/*
 * torture.h - the worst that POSIX lets the system do to a program that is right
 *
 * For builds with `cc -include tests/torture.h` (make torture). A read or write of a
 * stream moves as little as one byte; EINTR comes before one call in four, and after a
 * connect() that went well; errno is spoiled by calls that succeed (POSIX, 2.3, lets
 * them). A datagram stays whole, since the system cuts none. The pattern is the same in
 * every run of a program with one thread.
 */
#ifndef TORTURE_H
#define TORTURE_H

#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The next number of a fixed sequence that all threads share (SplitMix32). */
static inline uint32_t torture_next(void)
{
    static atomic_uint_least32_t state;
    uint32_t z = (uint32_t)atomic_fetch_add(&state, 0x9e3779b9u) + 0x9e3779b9u;
    z = (z ^ (z >> 16)) * 0x85ebca6bu;
    z = (z ^ (z >> 13)) * 0xc2b2ae35u;
    return z ^ (z >> 16);
}

/* Whether the call is to fail with EINTR, which is then set. */
static inline bool torture_interrupts(void)
{
    bool interrupts = torture_next() % 4 == 0;
    if (interrupts)
        errno = EINTR;
    return interrupts;
}

/* How much of `size` bytes a call moves: 1, 2, 4 ... 4,096, one as often as the other. */
static inline size_t torture_part(size_t size)
{
    size_t part = (size_t)1 << torture_next() % 13;
    return part < size ? part : size;
}

/* The same for a socket, or all of it where a part would not be the same message. */
static inline size_t torture_socket_part(int fd, size_t size)
{
    int type = SOCK_STREAM;
    socklen_t type_size = sizeof type;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size);
    return type == SOCK_STREAM ? torture_part(size) : size;
}

/* The result of a call, with errno spoiled if it succeeded. */
static inline ssize_t torture_spoil(ssize_t result)
{
    if (result >= 0)
        errno = EDOM;
    return result;
}

static inline ssize_t torture_read(int fd, void *data, size_t size)
{
    if (torture_interrupts())
        return -1;
    return torture_spoil(read(fd, data, torture_socket_part(fd, size)));
}

static inline ssize_t torture_write(int fd, const void *data, size_t size)
{
    if (torture_interrupts())
        return -1;
    return torture_spoil(write(fd, data, torture_socket_part(fd, size)));
}

/* Writes from the first eight pieces at most, so that a part may end inside any. */
static inline ssize_t torture_writev(int fd, const struct iovec *pieces, int count)
{
    struct iovec some[8];
    int used = 0;
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    if (torture_interrupts())
        return -1;
    size_t part = torture_socket_part(fd, size);
    for (; used < count && used < 8 && part > 0; used++) {
        some[used] = pieces[used];
        if (some[used].iov_len > part)
            some[used].iov_len = part;
        part -= some[used].iov_len;
    }
    return torture_spoil(writev(fd, some, used));
}

static inline ssize_t torture_recv(int fd, void *data, size_t size, int flags)
{
    if (torture_interrupts())
        return -1;
    return torture_spoil(recv(fd, data, torture_socket_part(fd, size), flags));
}

static inline ssize_t torture_recvfrom(int fd, void *data, size_t size, int flags,
                                       struct sockaddr *peer, socklen_t *peer_size)
{
    if (torture_interrupts())
        return -1;
    size_t part = torture_socket_part(fd, size);
    return torture_spoil(recvfrom(fd, data, part, flags, peer, peer_size));
}

static inline ssize_t torture_send(int fd, const void *data, size_t size, int flags)
{
    if (torture_interrupts())
        return -1;
    return torture_spoil(send(fd, data, torture_socket_part(fd, size), flags));
}

static inline ssize_t torture_sendto(int fd, const void *data, size_t size, int flags,
                                     const struct sockaddr *peer, socklen_t peer_size)
{
    if (torture_interrupts())
        return -1;
    size_t part = torture_socket_part(fd, size);
    return torture_spoil(sendto(fd, data, part, flags, peer, peer_size));
}

static inline int torture_accept(int fd, struct sockaddr *peer, socklen_t *peer_size)
{
    if (torture_interrupts())
        return -1;
    return (int)torture_spoil(accept(fd, peer, peer_size));
}

static inline int torture_poll(struct pollfd *list, nfds_t count, int timeout)
{
    if (torture_interrupts())
        return -1;
    return (int)torture_spoil(poll(list, count, timeout));
}

/* An interrupted connect() goes on by itself (POSIX): so it is begun first. Where it
   cannot be left to itself (O_NONBLOCK does not make a Unix socket wait) it is made
   whole, and interrupted at its very end. A datagram socket does not wait: no EINTR. */
static inline int torture_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    int type = SOCK_DGRAM;
    socklen_t type_size = sizeof type;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size);
    if (type != SOCK_STREAM || torture_next() % 4 == 0)
        return (int)torture_spoil(connect(fd, address, size));
    int flags = fcntl(fd, F_GETFL);
    if (address->sa_family != AF_UNIX)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    int result = connect(fd, address, size);
    int error = result == 0 || errno == EINPROGRESS ? EINTR : errno;
    fcntl(fd, F_SETFL, flags);
    errno = error;
    return -1;
}

static inline int torture_nanosleep(const struct timespec *time, struct timespec *left)
{
    if (torture_interrupts()) {
        if (left != NULL)
            *left = *time;
        return -1;
    }
    return (int)torture_spoil(nanosleep(time, left));
}

/* Closed, and still interrupted: who closes again closes what another thread opened. */
static inline int torture_close(int fd)
{
    int result = (int)torture_spoil(close(fd));
    return result == 0 && torture_interrupts() ? -1 : result;
}

#define read(fd, data, size) torture_read(fd, data, size)
#define write(fd, data, size) torture_write(fd, data, size)
#define writev(fd, pieces, count) torture_writev(fd, pieces, count)
#define recv(fd, data, size, flags) torture_recv(fd, data, size, flags)
#define recvfrom(fd, data, size, flags, peer, peer_size) \
    torture_recvfrom(fd, data, size, flags, peer, peer_size)
#define send(fd, data, size, flags) torture_send(fd, data, size, flags)
#define sendto(fd, data, size, flags, peer, peer_size) \
    torture_sendto(fd, data, size, flags, peer, peer_size)
#define accept(fd, peer, peer_size) torture_accept(fd, peer, peer_size)
#define poll(list, count, timeout) torture_poll(list, count, timeout)
#define connect(fd, address, size) torture_connect(fd, address, size)
#define nanosleep(time, left) torture_nanosleep(time, left)
#define close(fd) torture_close(fd)

#endif
