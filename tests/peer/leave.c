/*
 * leave.c - linked into builds whose runtime has something to say at a program's end
 *
 * A program that dies of a signal, or ends by _exit() in a handler, skips what the leak
 * checker and the coverage counters do at exit(). This does it before: in a handler of
 * its own, and, with -Wl,--wrap=_exit,--wrap=raise, where a program has one; but not
 * where the signal comes in the middle of exit(), which is at it already.
 */
// NOLINTBEGIN(bugprone-reserved-identifier): the linker and the runtimes chose the names
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

void __wrap__exit(int status);
int __wrap_raise(int number);
int __real_raise(int number);
_Noreturn void __real__exit(int status);
void __lsan_do_leak_check(void) __attribute__((weak));
void __gcov_dump(void) __attribute__((weak));
void faults_end(void) __attribute__((weak)); /* of faults.c: no call fails any more */

static volatile sig_atomic_t exiting;

static void say_last_words(void)
{
    if (faults_end)
        faults_end();
    if (!exiting && __lsan_do_leak_check)
        __lsan_do_leak_check();
    if (!exiting && __gcov_dump)
        __gcov_dump();
    exiting = 1;
}

void __wrap__exit(int status)
{
    say_last_words();
    __real__exit(status);
}

int __wrap_raise(int number)
{
    say_last_words();
    return __real_raise(number);
}

static void note_exit(void)
{
    if (faults_end)
        faults_end();
    exiting = 1;
}

static void die_of_signal(int number)
{
    signal(number, SIG_DFL);
    raise(number);
}

__attribute__((constructor)) static void watch_end(void)
{
    atexit(note_exit);
    const struct sigaction action = {.sa_handler = die_of_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}
// NOLINTEND(bugprone-reserved-identifier)
