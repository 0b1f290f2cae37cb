/*
 * faults.h - what faults.c, inside the program, and faults_driver.c, outside, agree on
 *
 * FAULTS in the environment is a list of `CALL NTH ERROR `: the NTH call of CALL fails with
 * ERROR, an errno value (for getaddrinfo and getnameinfo an EAI_ value). TELL_FD is then a
 * pipe on which the program says, by one byte, FAULT_HIT + the place in the list, that a
 * fault has come about, or, where FAULTS is "trace", the index of each call made.
 */
enum {
    TELL_FD = 150,
    FAULT_HIT = 200,
    FAULT_TIMEOUT = 10000, /* poll() returns 0 at once, though something may be there */
    FAULT_SIGTERM          /* SIGTERM comes just before the call, which then goes well */
};

/* Every fallible call that a program may make. */
#define FAULT_CALLS(X)                                                                   \
    X(accept) X(bind) X(calloc) X(close) X(connect) X(fcntl) X(fflush) X(getaddrinfo)    \
    X(getnameinfo) X(getsockname) X(getsockopt) X(listen) X(localtime_r) X(lstat)        \
    X(malloc) X(nanosleep) X(open) X(pipe) X(poll) X(pthread_attr_init)                  \
    X(pthread_attr_setstacksize) X(pthread_create) X(pthread_mutex_init) X(read)         \
    X(realloc) X(recv) X(recvfrom) X(send) X(sendto) X(setsockopt) X(shutdown)           \
    X(socket) X(unlink) X(write) X(writev)
#define FAULT_ENUM(call) CALL_##call,
#define FAULT_NAME(call) #call,

enum fault_call { FAULT_CALLS(FAULT_ENUM) CALLS };
