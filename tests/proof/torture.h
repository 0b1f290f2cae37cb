/*
 * torture.h - the worst that POSIX lets the system do to read() and write()
 *
 * For builds with `cc -include tests/proof/torture.h` (make torture). One call in four is
 * interrupted (EINTR), the others move as little as one byte and spoil errno although they
 * succeed (POSIX, 2.3). The pattern is the same in every run of a program with one thread.
 * A socket that stdio writes to has the smallest buffer that the kernel allows, so that
 * output is sent in many pieces.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdatomic.h>
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

/* How many of `size` bytes a call moves: 1, 2, 4 ... 4,096, all equally often; or 0 if it
   is interrupted. Never that for a single byte: a signal handler writes one to a pipe. */
static inline size_t torture_part(size_t size)
{
    if (size != 1 && torture_next() % 4 == 0)
        return 0;
    size_t part = (size_t)1 << torture_next() % 13;
    return part < size ? part : size;
}

#define TORTURE(call, type)                                                              \
    static inline ssize_t torture_##call(int fd, type data, size_t size)                 \
    {                                                                                    \
        size_t part = torture_part(size);                                                \
        ssize_t n = part > 0 || size == 0 ? call(fd, data, part) : -1;                   \
        if (n >= 0)                                                                      \
            errno = EDOM;                                                                \
        else if (part == 0)                                                              \
            errno = EINTR;                                                               \
        return n;                                                                        \
    }

TORTURE(read, void *)
TORTURE(write, const void *)

static inline FILE *torture_fdopen(int fd, const char *mode)
{
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
    return fdopen(fd, mode);
}

#define fdopen(fd, mode) torture_fdopen(fd, mode)
#define read(fd, data, size) torture_read(fd, data, size)
#define write(fd, data, size) torture_write(fd, data, size)
