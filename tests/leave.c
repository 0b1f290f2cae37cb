/*
 * leave.c - linked into builds whose runtime has something to say at a program's end
 *
 * A server ends by _exit() in a signal handler, which skips what the leak checker and the
 * coverage counters do at exit(). With -Wl,--wrap=_exit this does it before; but not where
 * the signal comes in the middle of exit(), which is at it already.
 */
// NOLINTBEGIN(bugprone-reserved-identifier): the linker and the runtimes chose the names
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdlib.h>

void __wrap__exit(int status);
_Noreturn void __real__exit(int status);
void __lsan_do_leak_check(void) __attribute__((weak));
void __gcov_dump(void) __attribute__((weak));

static volatile sig_atomic_t exiting;

static void note_exit(void)
{
    exiting = 1;
}

__attribute__((constructor)) static void watch_exit(void)
{
    atexit(note_exit);
}

void __wrap__exit(int status)
{
    if (!exiting && __lsan_do_leak_check)
        __lsan_do_leak_check();
    if (!exiting && __gcov_dump)
        __gcov_dump();
    __real__exit(status);
}
// NOLINTEND(bugprone-reserved-identifier)
