/*
 * faults.h - what faults.c, inside a program, and faults_driver.py, outside, agree on
 *
 * FAULT in the environment is `CALL NTH ERROR`: the NTH call of CALL, or every one if NTH
 * is 0, fails with ERROR, an errno value or (getaddrinfo, getnameinfo) an EAI_ value.
 * The program writes single bytes to TELL_FD: the index of each call that it makes,
 * FAULT_HIT when the fault occurs, and FAULT_SLEPT for each sleep().
 */
enum { TELL_FD = 150, FAULT_HIT = 200, FAULT_SLEPT = 201 };

/* Each call that can fail, with the kind of its wrapper in faults.c and, for the driver,
   its errors according to POSIX.1-2008 and Linux. fflush_socket and fwrite_socket are
   fflush() and fwrite() of a FILE other than stdout and stderr. */
#define FAULT_CALLS(X)                                                                   \
    X(accept, STATUS, EAGAIN, EBADF, ECONNABORTED, EHOSTUNREACH, EINVAL, EMFILE,         \
      ENETDOWN, ENETUNREACH, ENFILE, ENOBUFS, ENOMEM, ENOTSOCK, EOPNOTSUPP, EPERM,       \
      EPROTO, ETIMEDOUT)                                                                 \
    X(bind, STATUS, EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EBADF, EINVAL, EIO, \
      ELOOP, ENAMETOOLONG, ENOBUFS, ENOENT, ENOTDIR, ENOTSOCK, EOPNOTSUPP, EROFS)        \
    X(close, CLOSING, EINTR, EIO)                                                        \
    X(connect, STATUS, EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EBADF,           \
      ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL, EIO, ELOOP, ENETDOWN, ENETUNREACH, \
      ENOBUFS, ENOENT, ENOTSOCK, EOPNOTSUPP, EPERM, EPROTOTYPE, ETIMEDOUT)               \
    X(fclose, CLOSING, EIO, EPIPE)                                                       \
    X(fcntl, STATUS, EACCES, EBADF, EINVAL, EMFILE)                                      \
    X(fdopen, POINTER, EMFILE, ENOMEM)                                                   \
    X(fflush, OWN, EAGAIN, EBADF, EFBIG, EIO, ENOMEM, ENOSPC, ENXIO, EPIPE)              \
    X(fflush_socket, OWN, EBADF, ECONNRESET, EIO, ENOBUFS, EPIPE, ETIMEDOUT)             \
    X(fopen, OWN, EACCES, EINVAL, EMFILE, ENFILE, ENOENT, ENOMEM)                        \
    X(fread, POINTER, EAGAIN, EBADF, EIO, ENOMEM)                                        \
    X(fwrite, OWN, EIO, ENOSPC)                                                          \
    X(fwrite_socket, OWN, EBADF, ECONNRESET, EIO, ENOBUFS, EPIPE, ETIMEDOUT)             \
    X(getaddrinfo, CODE, EAI_AGAIN, EAI_BADFLAGS, EAI_FAIL, EAI_FAMILY, EAI_MEMORY,      \
      EAI_NONAME, EAI_SERVICE, EAI_SOCKTYPE, EAI_SYSTEM)                                 \
    X(getnameinfo, CODE, EAI_AGAIN, EAI_BADFLAGS, EAI_FAIL, EAI_FAMILY, EAI_MEMORY,      \
      EAI_NONAME, EAI_OVERFLOW, EAI_SYSTEM)                                              \
    X(getpeername, STATUS, EBADF, EINVAL, ENOBUFS, ENOTCONN, ENOTSOCK)                   \
    X(getsockname, STATUS, EBADF, EINVAL, ENOBUFS, ENOTSOCK, EOPNOTSUPP)                 \
    X(listen, STATUS, EACCES, EADDRINUSE, EBADF, EDESTADDRREQ, EINVAL, ENOBUFS,          \
      ENOTSOCK, EOPNOTSUPP)                                                              \
    X(lstat, STATUS, EACCES, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR,          \
      EOVERFLOW)                                                                         \
    X(malloc, POINTER, ENOMEM)                                                           \
    X(pipe, STATUS, EMFILE, ENFILE)                                                      \
    X(poll, STATUS, EAGAIN, EINTR, EINVAL, ENOMEM)                                       \
    X(pthread_attr_setstacksize, CODE, EINVAL)                                           \
    X(pthread_create, CODE, EAGAIN, EPERM)                                               \
    X(read, STATUS, EAGAIN, EBADF, EBADMSG, ECONNRESET, EINTR, EINVAL, EIO, EISDIR,      \
      ENOBUFS, ENOMEM, ENOTCONN, ENXIO, ETIMEDOUT)                                       \
    X(realloc, POINTER, ENOMEM)                                                          \
    X(recv, STATUS, EBADF, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL, EIO,          \
      ENETDOWN, ENOBUFS, ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, ETIMEDOUT)              \
    X(recvfrom, STATUS, EBADF, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL, EIO,      \
      ENETDOWN, ENOBUFS, ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, ETIMEDOUT)              \
    X(send, STATUS, EACCES, EBADF, ECONNREFUSED, ECONNRESET, EDESTADDRREQ, EHOSTUNREACH, \
      EIO, EMSGSIZE, ENETDOWN, ENETUNREACH, ENOBUFS, ENOMEM, ENOTCONN, ENOTSOCK,         \
      EOPNOTSUPP, EPERM, EPIPE)                                                          \
    X(sendto, STATUS, EACCES, EBADF, ECONNREFUSED, ECONNRESET, EDESTADDRREQ,             \
      EHOSTUNREACH, EIO, EMSGSIZE, ENETDOWN, ENETUNREACH, ENOBUFS, ENOMEM, ENOTCONN,     \
      ENOTSOCK, EOPNOTSUPP, EPERM, EPIPE)                                                \
    X(setsockopt, STATUS, EBADF, EDOM, EINVAL, EISCONN, ENOBUFS, ENOMEM, ENOPROTOOPT,    \
      ENOTSOCK)                                                                          \
    X(shutdown, STATUS, EBADF, EINVAL, ENOBUFS, ENOTCONN, ENOTSOCK)                      \
    X(socket, STATUS, EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM,             \
      EPROTONOSUPPORT, EPROTOTYPE)                                                       \
    X(unlink, STATUS, EACCES, EBUSY, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM,   \
      EROFS)                                                                             \
    X(write, STATUS, EAGAIN, EBADF, ECONNRESET, EFBIG, EINTR, EINVAL, EIO, ENETDOWN,     \
      ENETUNREACH, ENOBUFS, ENOSPC, ENXIO, EPIPE)
#define FAULT_ENUM(call, ...) CALL_##call,
#define FAULT_NAME(call, ...) #call,

enum fault_call { FAULT_CALLS(FAULT_ENUM) CALLS };
