/*
 * faults.c - makes the calls of a program fail as told; linked in by make faults
 *
 * The linker's --wrap=CALL leads each CALL of the program, and of nothing else, to
 * __wrap_CALL here. A call that goes well leaves errno spoiled, as POSIX (2.3) lets it: an
 * errno that was not saved in time then gives the wrong reason.
 */
// NOLINTBEGIN: the linker chose the names, and macros make the wrappers
#define _POSIX_C_SOURCE 200809L
#include "faults.h"
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const call_name[] = {FAULT_CALLS(FAULT_NAME)};

static int faulty = CALLS, faulty_nth, faulty_error;
static bool played, trace; /* by the driver; which is to know each call */
static atomic_int calls_made[CALLS];

ssize_t __real_write(int fd, const void *data, size_t size);

/* Read FAULT before main() begins. */
__attribute__((constructor)) static void read_fault(void)
{
    const char *text = getenv("FAULT");
    char name[40];
    played = text != NULL;
    trace = played && strcmp(text, "trace") == 0;
    if (!played || sscanf(text, "%39s %d %d", name, &faulty_nth, &faulty_error) != 3)
        return;
    for (int call = 0; call < CALLS; call++)
        if (strcmp(call_name[call], name) == 0)
            faulty = call;
}

/* Nothing fails any more: what comes now is the runtime's end of the program. */
void faults_end(void)
{
    faulty = CALLS;
    trace = false;
}

static void tell(int byte)
{
    unsigned char c = (unsigned char)byte;
    while (__real_write(TELL_FD, &c, 1) < 0 && errno == EINTR)
        continue;
}

/* Count the call. Returns the error it is to fail with, or 0. */
static int fault(int call)
{
    int saved = errno;
    int nth = atomic_fetch_add(&calls_made[call], 1) + 1;
    if (trace)
        tell(call);
    bool stays = faulty_nth == 0 || call == CALL_fflush; /* what is full stays full */
    bool hit = call == faulty && (nth == faulty_nth || (stays && nth > faulty_nth));
    if (hit)
        tell(FAULT_HIT);
    errno = saved;
    return hit ? faulty_error : 0;
}

/* A wrapper: `failure` is evaluated, with `error` set, for a fault; `good` says of a
   `result` that the real call went well. */
#define WRAP(type, call, parameters, arguments, failure, good)                           \
    type __real_##call parameters;                                                       \
    type __wrap_##call parameters                                                        \
    {                                                                                    \
        int error = fault(CALL_##call);                                                  \
        if (error != 0)                                                                  \
            return failure;                                                              \
        type result = __real_##call arguments;                                           \
        if (good)                                                                        \
            errno = EDOM;                                                                \
        return result;                                                                   \
    }

#define MINUS_ONE (errno = error, -1)
#define WRAP_INT(call, parameters, arguments)                                            \
    WRAP(int, call, parameters, arguments, MINUS_ONE, result >= 0)
#define WRAP_SIZE(call, parameters, arguments)                                           \
    WRAP(ssize_t, call, parameters, arguments, MINUS_ONE, result >= 0)
#define WRAP_MEMORY(call, parameters, arguments)                                         \
    WRAP(void *, call, parameters, arguments, (errno = error, NULL), result != NULL)
#define WRAP_CODE(call, parameters, arguments)                                           \
    WRAP(int, call, parameters, arguments, (errno = EDOM, error), result == 0)

WRAP_INT(accept, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP_INT(bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP_INT(connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))

int __real_fflush(FILE *f);
int __wrap_fflush(FILE *f)
{
    errno = fault(f == stdout ? CALL_fflush : CALL_fflush_socket);
    if (errno != 0) {
        if (f != stdout)
            __fpurge(f); /* it is lost, and no later call sends it */
        return EOF;
    }
    int result = __real_fflush(f);
    if (result == 0)
        errno = EDOM;
    return result;
}

WRAP(FILE *, fdopen, (int fd, const char *mode), (fd, mode), (errno = error, NULL),
     result != NULL)
WRAP(size_t, fread, (void *p, size_t size, size_t n, FILE *f), (p, size, n, f),
     (errno = error, 0), result == n)
WRAP_INT(getpeername, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP_INT(getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP_INT(listen, (int fd, int backlog), (fd, backlog))
WRAP_INT(lstat, (const char *path, struct stat *s), (path, s))
WRAP_MEMORY(malloc, (size_t n), (n))
WRAP_INT(pipe, (int fds[2]), (fds))
WRAP_INT(poll, (struct pollfd * list, nfds_t n, int timeout), (list, n, timeout))
WRAP_CODE(pthread_attr_setstacksize, (pthread_attr_t * a, size_t n), (a, n))
WRAP_CODE(pthread_create,
          (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *v),
          (t, a, f, v))
WRAP_SIZE(read, (int fd, void *p, size_t n), (fd, p, n))
WRAP_MEMORY(realloc, (void *p, size_t n), (p, n))
WRAP_SIZE(recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP_SIZE(recvfrom,
          (int fd, void *p, size_t n, int flags, struct sockaddr *a, socklen_t *size),
          (fd, p, n, flags, a, size))
WRAP_SIZE(send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP_SIZE(sendto,
          (int fd, const void *p, size_t n, int flags, const struct sockaddr *a,
           socklen_t size),
          (fd, p, n, flags, a, size))
WRAP_INT(setsockopt, (int fd, int level, int name, const void *p, socklen_t n),
         (fd, level, name, p, n))
WRAP_INT(shutdown, (int fd, int how), (fd, how))
WRAP_INT(socket, (int family, int type, int protocol), (family, type, protocol))
WRAP_INT(unlink, (const char *path), (path))
WRAP_SIZE(write, (int fd, const void *p, size_t n), (fd, p, n))

/* EAI_SYSTEM alone says that errno holds the reason: ENFILE then. */
static int lookup_error(int error)
{
    errno = error == EAI_SYSTEM ? ENFILE : EDOM;
    return error;
}

WRAP(int, getaddrinfo,
     (const char *host, const char *port, const struct addrinfo *hints,
      struct addrinfo **list),
     (host, port, hints, list), lookup_error(error), result == 0)
WRAP(int, getnameinfo,
     (const struct sockaddr *a, socklen_t n, char *host, socklen_t host_size, char *port,
      socklen_t port_size, int flags),
     (a, n, host, host_size, port, port_size, flags), lookup_error(error), result == 0)

/* The descriptor is given back even where close() or fclose() fails. */
WRAP(int, close, (int fd), (fd), (__real_close(fd), errno = error, -1), result >= 0)
WRAP(int, fclose, (FILE * f), (f), (__real_fclose(f), errno = error, EOF), result == 0)

/* The kernel's random bytes are zeros, so that a WebSocket's key and masks are known. */
static const char *known(const char *path)
{
    return played && strcmp(path, "/dev/urandom") == 0 ? "/dev/zero" : path;
}

WRAP(FILE *, fopen, (const char *path, const char *mode), (known(path), mode),
     (errno = error, NULL), result != NULL)

/* The last argument is not used where it is not given; that of the runtime's own F_SETLKW,
   by which the counters of coverage are kept, is a pointer. */
WRAP_INT(open, (const char *path, int flags, int last), (path, flags, last))
WRAP_INT(fcntl, (int fd, int command, void *last), (fd, command, last))

/* Nobody waits; but that there was a wait is told. */
unsigned __real_sleep(unsigned seconds);
unsigned __wrap_sleep(unsigned seconds)
{
    if (!played)
        return __real_sleep(seconds);
    tell(FAULT_SLEPT);
    errno = EDOM;
    return 0;
}

/* What fails never, but need not keep errno as it was. */
void __real_free(void *p);
void __wrap_free(void *p)
{
    __real_free(p);
    errno = EDOM;
}

void __real_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list)
{
    __real_freeaddrinfo(list);
    errno = EDOM;
}
// NOLINTEND
