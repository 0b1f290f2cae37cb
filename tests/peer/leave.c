/*
 * leave.c - runs the leak checker and saves the coverage counters when a program ends, by
 * a signal, too; linked into sanitized and instrumented builds
 *
 * The runtimes do this in exit() only. Here a signal handler does it first and, with
 * -Wl,--wrap=raise, so does the end of the program's own handler.
 */
// NOLINTBEGIN(bugprone-reserved-identifier): the linker and the runtimes chose the names
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>

int __wrap_raise(int number);
int __real_raise(int number);
void __lsan_do_leak_check(void) __attribute__((weak));
void __gcov_dump(void) __attribute__((weak));
void faults_end(void) __attribute__((weak)); /* of faults.c: makes no more calls fail */

static void report(void)
{
    static volatile sig_atomic_t reported;
    if (reported)
        return;
    reported = 1;
    if (faults_end)
        faults_end();
    if (__lsan_do_leak_check)
        __lsan_do_leak_check();
    if (__gcov_dump)
        __gcov_dump();
}

int __wrap_raise(int number)
{
    report();
    return __real_raise(number);
}

static void on_signal(int number)
{
    signal(number, SIG_DFL);
    raise(number);
}

__attribute__((constructor)) static void install(void)
{
    atexit(report);
    if (signal(SIGINT, on_signal) == SIG_IGN)
        signal(SIGINT, SIG_IGN); /* as the program found it */
    signal(SIGTERM, on_signal);
}
// NOLINTEND(bugprone-reserved-identifier)
