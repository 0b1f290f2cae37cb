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
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *const call_name[] = {FAULT_CALLS(FAULT_NAME)};

enum { MOST_FAULTS = 4 };
static struct {
    enum fault_call call;
    int nth, error;
} faults[MOST_FAULTS];
static int fault_count;
static bool trace;
static atomic_int calls_made[CALLS];

ssize_t __real_write(int fd, const void *data, size_t size);

/* Read FAULTS before main() begins. */
__attribute__((constructor)) static void read_faults(void)
{
    const char *text = getenv("FAULTS");
    trace = text != NULL && strcmp(text, "trace") == 0;
    char name[40];
    int nth, error, used;
    while (text != NULL && fault_count < MOST_FAULTS &&
           sscanf(text, "%39s %d %d%n", name, &nth, &error, &used) == 3) {
        int call = 0;
        while (call < CALLS && strcmp(call_name[call], name) != 0)
            call++;
        faults[fault_count].call = call;
        faults[fault_count].nth = nth;
        faults[fault_count].error = error;
        fault_count++;
        text += used;
    }
}

/* Nothing fails any more: what comes now is the runtime's end of the program. */
void faults_end(void);
void faults_end(void)
{
    fault_count = 0;
    trace = false;
}

static void tell(int byte)
{
    unsigned char c = (unsigned char)byte;
    while (__real_write(TELL_FD, &c, 1) < 0 && errno == EINTR)
        continue;
}

/* To this thread, so that no other is interrupted in the middle of malloc(), where the leak
   check could not begin; but where signals are blocked, to whatever thread waits for it. */
static void send_sigterm(void)
{
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    if (sigismember(&blocked, SIGTERM))
        kill(getpid(), SIGTERM);
    else
        raise(SIGTERM);
}

/* Count the call. Returns the error it is to fail with, or 0. */
static int fault(enum fault_call call)
{
    int saved = errno, error = 0;
    int nth = atomic_fetch_add(&calls_made[call], 1) + 1;
    if (trace)
        tell(call);
    for (int i = 0; i < fault_count; i++) {
        if (faults[i].call != call || faults[i].nth != nth)
            continue;
        tell(FAULT_HIT + i);
        if (faults[i].error == FAULT_SIGTERM)
            send_sigterm();
        else
            error = faults[i].error;
    }
    errno = saved;
    return error;
}

/* A wrapper: `failure` is evaluated, with `error` set, for a fault; `good` says of a
   `result` that the real call went well. */
#define WRAP(type, call, parameters, arguments, failure, good)                           \
    type __real_##call parameters;                                                       \
    type __wrap_##call parameters;                                                       \
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
#define WRAP_POINTER(type, call, parameters, arguments)                                  \
    WRAP(type *, call, parameters, arguments, (errno = error, NULL), result != NULL)
#define WRAP_CODE(call, parameters, arguments)                                           \
    WRAP(int, call, parameters, arguments, (errno = EDOM, error), result == 0)

WRAP_INT(accept, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP_INT(bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP_POINTER(void, calloc, (size_t n, size_t size), (n, size))
WRAP_INT(fflush, (FILE * f), (f))
WRAP_INT(getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WRAP_INT(listen, (int fd, int backlog), (fd, backlog))
WRAP_POINTER(struct tm, localtime_r, (const time_t *t, struct tm *tm), (t, tm))
WRAP_INT(lstat, (const char *path, struct stat *s), (path, s))
WRAP_POINTER(void, malloc, (size_t n), (n))
WRAP_INT(pipe, (int fds[2]), (fds))
WRAP(int, pthread_attr_init, (pthread_attr_t * a), (a),
     (memset(a, 0xa5, sizeof *a), error), result == 0)
WRAP_CODE(pthread_attr_setstacksize, (pthread_attr_t * a, size_t n), (a, n))
WRAP_CODE(pthread_create,
          (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *v),
          (t, a, f, v))
WRAP(int, pthread_mutex_init, (pthread_mutex_t * m, const pthread_mutexattr_t *a), (m, a),
     (memset(m, 0xa5, sizeof *m), error), result == 0)
WRAP_SIZE(read, (int fd, void *p, size_t n), (fd, p, n))
WRAP_POINTER(void, realloc, (void *p, size_t n), (p, n))
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
WRAP_SIZE(writev, (int fd, const struct iovec *v, int n), (fd, v, n))

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

/* The descriptor is given back even where close() fails. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    int error = fault(CALL_close);
    int result = __real_close(fd);
    errno = error != 0 ? error : result == 0 ? EDOM : errno;
    return error != 0 ? -1 : result;
}

/* Interrupted, connect() goes on by itself; SO_ERROR then has how it ended (POSIX). */
static _Thread_local int interrupted_fd = -1, interrupted_error;
int __real_connect(int fd, const struct sockaddr *a, socklen_t n);
int __wrap_connect(int fd, const struct sockaddr *a, socklen_t n);
int __wrap_connect(int fd, const struct sockaddr *a, socklen_t n)
{
    int error = fault(CALL_connect);
    int result = error == 0 || error == EINTR ? __real_connect(fd, a, n) : -1;
    if (error == EINTR) {
        interrupted_fd = fd;
        interrupted_error = result == 0 ? 0 : errno;
    }
    errno = error != 0 ? error : result == 0 ? EDOM : errno;
    return error != 0 ? -1 : result;
}

int __real_getsockopt(int fd, int level, int name, void *p, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int name, void *p, socklen_t *n);
int __wrap_getsockopt(int fd, int level, int name, void *p, socklen_t *n)
{
    int error = fault(CALL_getsockopt);
    if (error != 0)
        return MINUS_ONE;
    int result = __real_getsockopt(fd, level, name, p, n);
    if (result == 0 && level == SOL_SOCKET && name == SO_ERROR && fd == interrupted_fd) {
        memcpy(p, &interrupted_error, sizeof interrupted_error);
        interrupted_fd = -1;
    }
    errno = result == 0 ? EDOM : errno;
    return result;
}

/* Waits a hundredth of what it is asked to: the clients of a test are few. */
int __real_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left);
int __wrap_nanosleep(const struct timespec *time, struct timespec *left)
{
    int error = fault(CALL_nanosleep);
    if (error != 0)
        return MINUS_ONE;
    struct timespec brief = {.tv_nsec = time->tv_sec * 10000000 + time->tv_nsec / 100};
    return __real_nanosleep(&brief, left);
}

int __real_poll(struct pollfd *list, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *list, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *list, nfds_t count, int timeout)
{
    int error = fault(CALL_poll);
    if (error == FAULT_TIMEOUT && timeout >= 0) {
        for (nfds_t i = 0; i < count; i++)
            list[i].revents = 0;
        return 0;
    }
    if (error != 0 && error != FAULT_TIMEOUT)
        return MINUS_ONE;
    int result = __real_poll(list, count, timeout);
    errno = result >= 0 ? EDOM : errno;
    return result;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = va_arg(rest, int); /* read where there is none, it is not used */
    va_end(rest);
    int error = fault(CALL_open);
    if (error != 0)
        return MINUS_ONE;
    int result = __real_open(path, flags, mode);
    errno = result >= 0 ? EDOM : errno;
    return result;
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    int error = fault(CALL_fcntl);
    if (error != 0)
        return MINUS_ONE;
    int result = __real_fcntl(fd, command, argument);
    errno = result >= 0 ? EDOM : errno;
    return result;
}

/* What fails never, but need not keep errno as it was. */
void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
    __real_free(p);
    errno = EDOM;
}

void __real_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list)
{
    __real_freeaddrinfo(list);
    errno = EDOM;
}

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    int result = __real_pthread_mutex_lock(mutex);
    errno = EDOM;
    return result;
}

int __real_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int result = __real_pthread_mutex_unlock(mutex);
    errno = EDOM;
    return result;
}
// NOLINTEND
