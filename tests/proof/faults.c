/*
 * faults.c - makes the calls of a program fail as FAULT asks; `make faults` links it in
 *
 * FAULT in the environment is `FD CALL NTH ERROR`: the NTH call of CALL, or every one if
 * NTH is 0, fails with ERROR, an errno value or (getaddrinfo, getnameinfo) an EAI_ value.
 * The program writes an H to FD when it does, and an S for each sleep().
 *
 * The linker's --wrap=CALL turns each CALL of the program, but none of libc, into a call
 * of __wrap_CALL here. A call that succeeds may change errno (POSIX, XSH 2.3), so these
 * do: a program that reports an errno without having saved it gives a wrong reason.
 */
// NOLINTBEGIN: the linker chose the names, and macros make the wrappers
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

/* All arguments are integers or pointers. The calling conventions of 64-bit Linux pass
   both as words, and a function that takes fewer ignores the rest. */
typedef intptr_t word;
#define PARAMETERS word a, word b, word c, word d, word e, word f, word g
#define ARGUMENTS a, b, c, d, e, f, g

static char faulty[40]; /* the call that fails */
static int faulty_nth, faulty_error;
static int driver = -1; /* the descriptor, if faults_driver.py has started the program */

/* Read FAULT before main() begins. */
__attribute__((constructor)) static void read_fault(void)
{
    const char *text = getenv("FAULT");
    if (text != NULL)
        sscanf(text, "%d %39s %d %d", &driver, faulty, &faulty_nth, &faulty_error);
}

/* From now on nothing fails: the runtimes make the calls at the program's end. */
void faults_end(void)
{
    faulty[0] = '\0';
    driver = -1;
}

word __real_write(PARAMETERS);
static void tell(char byte)
{
    while (driver >= 0 && __real_write(driver, (word)&byte, 1, 0, 0, 0, 0) < 0 &&
           errno == EINTR)
        continue;
}

/* Set errno. Returns whether the call has to fail. */
static bool fault(const char *call)
{
    static atomic_int made;
    errno = EDOM;
    if (strcmp(call, faulty) != 0)
        return false;
    const int nth = ++made;
    const bool stays = faulty_nth == 0 || strcmp(call, "fflush") == 0; /* a full disk */
    if (stays ? nth < faulty_nth : nth != faulty_nth)
        return false;
    tell('H');
    errno = faulty_error;
    return true;
}

/* The same for a FILE: a failure loses what the FILE has buffered, and later calls fail,
   too. */
static bool stream_fault(const char *call, FILE *stream)
{
    if (!fault(call) && (faulty_error == 0 || !ferror(stream)))
        return false;
    __fpurge(stream);
    stream->_flags |= _IO_ERR_SEEN; /* makes ferror() true in glibc */
    errno = faulty_error;
    return true;
}

/* Returns the error, as some calls do; only EAI_SYSTEM has its reason in errno. */
static int error_code(void)
{
    errno = faulty_error == EAI_SYSTEM ? ENFILE : EDOM;
    return faulty_error;
}

word __real_fflush(PARAMETERS);
word __wrap_fflush(PARAMETERS)
{
    FILE *stream = (FILE *)a;
    const bool failed =
        stream == stdout ? fault("fflush") : stream_fault("fflush_socket", stream);
    return failed ? EOF : __real_fflush(ARGUMENTS);
}

word __real_fwrite(PARAMETERS);
word __wrap_fwrite(PARAMETERS)
{
    FILE *stream = (FILE *)d;
    const char *call = stream == stdout ? "fwrite" : "fwrite_socket";
    const bool failed = stream != stderr && stream_fault(call, stream);
    return failed ? 0 : __real_fwrite(ARGUMENTS);
}

/* Random bytes are zeros, so that the driver knows a WebSocket's key and masks. */
word __real_fopen(PARAMETERS);
word __wrap_fopen(PARAMETERS)
{
    if (fault("fopen"))
        return 0;
    if (driver >= 0 && strcmp((const char *)a, "/dev/urandom") == 0)
        a = (word) "/dev/zero";
    return __real_fopen(ARGUMENTS);
}

/* Do not wait. */
word __real_sleep(PARAMETERS);
word __wrap_sleep(PARAMETERS)
{
    if (driver < 0)
        return __real_sleep(ARGUMENTS);
    tell('S');
    errno = EDOM;
    return 0;
}

/* The other wrappers, by the kind of the call. Where close() fails, it closes all the
   same. free() and freeaddrinfo() never fail, but may change errno as well. */
#define WRAP(call, failure)                                                              \
    word __real_##call(PARAMETERS);                                                      \
    word __wrap_##call(PARAMETERS)                                                       \
    {                                                                                    \
        return fault(#call) ? (failure) : __real_##call(ARGUMENTS);                      \
    }
#define STATUS(call) WRAP(call, -1)
#define POINTER(call) WRAP(call, 0)
#define CODE(call) WRAP(call, error_code())
#define CLOSING(call) WRAP(call, (__real_##call(ARGUMENTS), errno = faulty_error, -1))

// clang-format off
STATUS(accept) STATUS(bind) STATUS(connect) STATUS(fcntl) STATUS(getpeername)
STATUS(getsockname) STATUS(listen) STATUS(lstat) STATUS(pipe) STATUS(poll) STATUS(read)
STATUS(recv) STATUS(recvfrom) STATUS(send) STATUS(sendto) STATUS(setsockopt)
STATUS(shutdown) STATUS(socket) STATUS(unlink) STATUS(write)
POINTER(fdopen) POINTER(fread) POINTER(free) POINTER(freeaddrinfo) POINTER(malloc)
POINTER(realloc)
CODE(getaddrinfo) CODE(getnameinfo) CODE(pthread_attr_setstacksize) CODE(pthread_create)
CLOSING(close) CLOSING(fclose)
// NOLINTEND
