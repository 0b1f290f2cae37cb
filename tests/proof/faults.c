/*
 * faults.c - makes the calls of a program fail as FAULT asks; `make faults` links it in
 *
 * The linker's --wrap=CALL turns each CALL of the program, but none of libc, into a call
 * of __wrap_CALL here. A call that succeeds may change errno (POSIX, XSH 2.3), so these
 * do: a program that reports an errno without having saved it gives a wrong reason.
 */
// NOLINTBEGIN: the linker chose the names, and macros make the wrappers
#define _POSIX_C_SOURCE 200809L
#include "faults.h"
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
#define DECLARE(call, ...) word __real_##call(PARAMETERS);
FAULT_CALLS(DECLARE)

static const char *const call_name[] = {FAULT_CALLS(FAULT_NAME)};
static int faulty = CALLS, faulty_nth, faulty_error;
static bool driven; /* by faults_driver.py */
static atomic_int calls_made[CALLS];

/* Read FAULT before main() begins. */
__attribute__((constructor)) static void read_fault(void)
{
    const char *text = getenv("FAULT");
    char name[40];
    driven = text != NULL;
    if (!driven || sscanf(text, "%39s %d %d", name, &faulty_nth, &faulty_error) != 3)
        return;
    for (int call = 0; call < CALLS; call++)
        if (strcmp(call_name[call], name) == 0)
            faulty = call;
}

/* From now on nothing fails: the runtimes make the calls at the program's end. */
void faults_end(void)
{
    faulty = CALLS;
    driven = false;
}

static void tell(int byte)
{
    const unsigned char data = (unsigned char)byte;
    while (driven && __real_write(TELL_FD, (word)&data, 1, 0, 0, 0, 0) < 0 &&
           errno == EINTR)
        continue;
}

/* Count a call, and set errno. Returns whether the call has to fail. */
static bool fault(int call)
{
    const int nth = atomic_fetch_add(&calls_made[call], 1) + 1;
    const bool stays =
        faulty_nth == 0 || call == CALL_fflush; /* a full disk stays full */
    const bool hit = call == faulty && (stays ? nth >= faulty_nth : nth == faulty_nth);
    tell(call);
    if (hit)
        tell(FAULT_HIT);
    errno = hit ? faulty_error : EDOM;
    return hit;
}

/* The same for a FILE: a failure loses what the FILE has buffered, and later calls fail,
   too. */
static bool stream_fault(int call, FILE *stream)
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

/* The wrappers, by the kind of the call. Where close() fails, it closes all the same. */
#define WRAP(call, failure)                                                              \
    word __wrap_##call(PARAMETERS)                                                       \
    {                                                                                    \
        return fault(CALL_##call) ? (failure) : __real_##call(ARGUMENTS);                \
    }
#define STATUS(call) WRAP(call, -1)
#define POINTER(call) WRAP(call, 0)
#define CODE(call) WRAP(call, error_code())
#define CLOSING(call) WRAP(call, (__real_##call(ARGUMENTS), errno = faulty_error, -1))
#define OWN(call)
#define DEFINE(call, kind, ...) kind(call)
FAULT_CALLS(DEFINE)

word __wrap_fflush(PARAMETERS)
{
    FILE *stream = (FILE *)a;
    const bool failed =
        stream == stdout ? fault(CALL_fflush) : stream_fault(CALL_fflush_socket, stream);
    return failed ? EOF : __real_fflush(ARGUMENTS);
}

word __wrap_fwrite(PARAMETERS)
{
    FILE *stream = (FILE *)d;
    const int call = stream == stdout ? CALL_fwrite : CALL_fwrite_socket;
    const bool failed = stream != stderr && stream_fault(call, stream);
    return failed ? 0 : __real_fwrite(ARGUMENTS);
}

/* Random bytes are zeros, so that the driver knows a WebSocket's key and masks. */
word __wrap_fopen(PARAMETERS)
{
    if (fault(CALL_fopen))
        return 0;
    if (driven && strcmp((const char *)a, "/dev/urandom") == 0)
        a = (word) "/dev/zero";
    return __real_fopen(ARGUMENTS);
}

/* Do not wait. */
word __real_sleep(PARAMETERS);
word __wrap_sleep(PARAMETERS)
{
    if (!driven)
        return __real_sleep(ARGUMENTS);
    tell(FAULT_SLEPT);
    errno = EDOM;
    return 0;
}

/* These two never fail, but may change errno as well. */
void __real_free(void *memory);
void __wrap_free(void *memory)
{
    __real_free(memory);
    errno = EDOM;
}

void __real_freeaddrinfo(struct addrinfo *list);
void __wrap_freeaddrinfo(struct addrinfo *list)
{
    __real_freeaddrinfo(list);
    errno = EDOM;
}
// NOLINTEND
