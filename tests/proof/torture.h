/*
 * torture.h - the worst that POSIX lets the system do to read() and write()
 *
 * For builds with `cc -include tests/proof/torture.h` (make torture). Each moves as
 * little as one byte, is interrupted (EINTR) one time in four, and leaves errno spoiled
 * where it succeeds (POSIX, 2.3, lets it). The pattern is the same in every run of a
 * program with one thread. A socket that stdio writes to has the smallest buffer that
 * the kernel allows, so that much is sent in many pieces.
 */
#ifndef TORTURE_H
#define TORTURE_H

#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
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

/* Whether the call fails with EINTR, which is then set; never that of a single byte,
   which a signal handler writes into a pipe. */
static inline bool torture_interrupts(size_t size)
{
    bool interrupts = size != 1 && torture_next() % 4 == 0;
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

static inline ssize_t torture_read(int fd, void *data, size_t size)
{
    ssize_t n = torture_interrupts(size) ? -1 : read(fd, data, torture_part(size));
    if (n >= 0)
        errno = EDOM;
    return n;
}

static inline ssize_t torture_write(int fd, const void *data, size_t size)
{
    ssize_t n = torture_interrupts(size) ? -1 : write(fd, data, torture_part(size));
    if (n >= 0)
        errno = EDOM;
    return n;
}

static inline FILE *torture_fdopen(int fd, const char *mode)
{
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
    return fdopen(fd, mode);
}

#define fdopen(fd, mode) torture_fdopen(fd, mode)
#define read(fd, data, size) torture_read(fd, data, size)
#define write(fd, data, size) torture_write(fd, data, size)

#endif
