/*
 * leave.c - runs the leak checker and saves the coverage counters when a signal ends a
 * program; linked into sanitized and instrumented builds
 *
 * The runtimes do this in exit() only. Here a signal handler does it first and, with
 * -Wl,--wrap=raise, so does the end of the program's own handler; except
 * during exit(), which is doing it already.
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

static volatile sig_atomic_t exiting;

static void report(void)
{
    if (faults_end)
        faults_end();
    if (!exiting && __lsan_do_leak_check)
        __lsan_do_leak_check();
    if (!exiting && __gcov_dump)
        __gcov_dump();
    exiting = 1;
}

int __wrap_raise(int number)
{
    report();
    return __real_raise(number);
}

static void on_exit_called(void)
{
    if (faults_end)
        faults_end();
    exiting = 1;
}

static void on_signal(int number)
{
    signal(number, SIG_DFL);
    raise(number);
}

__attribute__((constructor)) static void install(void)
{
    atexit(on_exit_called);
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}
// NOLINTEND(bugprone-reserved-identifier)
