/*
 * faults.h - what faults.c, inside the program, and faults_driver.c, outside, agree on
 *
 * FAULT in the environment is `CALL NTH ERROR`: the NTH call of CALL, or each of them if
 * NTH is 0, fails with ERROR, an errno value (for getaddrinfo and getnameinfo an EAI_
 * value). The program says on the pipe TELL_FD, by one byte each, that it has come about,
 * that it has slept and, where FAULT is "trace", the index of each call made.
 */
enum { TELL_FD = 150, FAULT_HIT = 200, FAULT_SLEPT };

/* Every fallible call that a program may make. fflush_socket is fflush() of another FILE
   than stdout. */
// clang-format off
#define FAULT_CALLS(X) \
    X(accept) X(bind) X(close) X(connect) X(fclose) X(fcntl) X(fdopen) X(fflush) \
    X(fflush_socket) X(fopen) X(fread) X(getaddrinfo) X(getnameinfo) X(getpeername) X(getsockname) X(listen) X(lstat) \
    X(malloc) X(open) X(pipe) X(poll) X(pthread_attr_setstacksize) X(pthread_create) \
    X(read) X(realloc) X(recv) X(recvfrom) X(send) X(sendto) X(setsockopt) X(shutdown) \
    X(socket) X(unlink) X(write)
// clang-format on
#define FAULT_ENUM(call) CALL_##call,
#define FAULT_NAME(call) #call,

enum fault_call { FAULT_CALLS(FAULT_ENUM) CALLS };
