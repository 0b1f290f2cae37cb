/*
 * unixSocket.c - an echo server and its client over a Unix domain socket
 *
 *   cc -pthread -o unixSocket unixSocket.c
 *   ./unixSocket -l /tmp/echo    the server; or nc -l -U /tmp/echo
 *   ./unixSocket /tmp/echo       the client; or nc -U /tmp/echo
 *
 * Go call                   here            what it teaches
 * net.Listen("unix", path)  listen_unix()   the address is a path; a file appears there
 * os.Stat, os.Remove        remove_stale()  only a socket that nobody serves may go
 * net.Dial("unix", path)    dial_unix()     the same connect(), another address family
 * c.Read(buf)               show_echo()     a reply may come in pieces
 *
 * Not as in the chapter: no file is deleted and no server robbed of its path; the socket
 * is for its owner alone, and removed at the end; long replies are read whole.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char program[] = "unixSocket", usage[] = "[-l [-q]] PATH";
static const char purpose[] =
    "Talks to an echo server on the Unix domain socket PATH; -l: is that server.";
static const char no_argument[] = "Need socket path";
static const char *option[128];
enum { LINE_LIMIT = 65536, BUFFER_LIMIT = 2 * LINE_LIMIT, STACK_SIZE = 65536 };
enum { BACKLOG = 4096 /* clients that may wait to be accepted */ };

struct reader {
    int fd;
    const char *name;  /* of the stream, for messages */
    char *buffer;      /* `first`, or larger and allocated once a line needed it */
    size_t size;       /* of buffer */
    size_t start, end; /* what has come and has not been taken: buffer[start..end) */
    char first[1024];
};

static const char *socket_path; /* what the server made and has to remove, */
static struct stat socket_file; /* and its identity */

static _Noreturn void refuse(const char *wrong);
static void parse_arguments(int argc, char **argv, const char *letters, int min, int max);
static void guard_process(void);
static void start_thread(void *(*handler)(void *), void *argument);
static void open_reader(struct reader *r, int fd, const char *name);
static void close_reader(struct reader *r);
static bool is_stop(const char *line, size_t length);
static void print(const char *text);
static size_t send_line(const struct reader *server, char *line, size_t length);
static size_t prompt(struct reader *user, char **line);
static size_t receive(struct reader *client);
static bool send_back(const struct reader *client, size_t n);
static int dial_unix(const char *path);
static void show_echo(struct reader *server, size_t length);
static void log_lines(struct reader *client, bool end);
static int accept_unix(int listener);
static int listen_unix(const char *path);

/* The thread of one client: echo until it leaves. */
static void *handle_connection(void *argument)
{
    struct reader client;
    open_reader(&client, (int)(intptr_t)argument, "client");
    size_t n;
    while ((n = receive(&client)) > 0) {
        log_lines(&client, false);
        if (!send_back(&client, n))
            break;
    }
    log_lines(&client, true);
    close_reader(&client);
    return NULL;
}

/* The client: send each line of stdin, and print it when all of it has come back. */
static int converse(const char *path)
{
    static struct reader user, server;
    open_reader(&user, STDIN_FILENO, "stdin");
    open_reader(&server, dial_unix(path), path);
    char *line;
    for (size_t length; (length = prompt(&user, &line)) > 0;) {
        show_echo(&server, send_line(&server, line, length));
        if (is_stop(line, length)) {
            print("Exiting UNIX domain socket client!\n");
            return 0;
        }
    }
    print("\n");
    return 0;
}

int main(int argc, char **argv)
{
    parse_arguments(argc, argv, "hlq", 1, 1);
    if (option['q'] && !option['l'])
        refuse("-q goes with -l");
    guard_process();
    if (!option['l'])
        return converse(argv[optind]);
    for (int listener = listen_unix(argv[optind]);;)
        start_thread(handle_connection, (void *)(intptr_t)accept_unix(listener));
}

/* ---- Helpers: the same text in every program that has them ---- */

/* Print `NAME: what address: why` on stderr and exit with 1. For clients, and for servers
   that are starting. An empty address is left out. */
static _Noreturn void die(const char *what, const char *address, const char *why)
{
    fprintf(stderr, "%s: %s%s%s: %s\n", program, what, *address ? " " : "", address, why);
    exit(1);
}

/* What the errno value `error` means; EOVERFLOW is what fill() says of a line. */
static const char *reason(int error)
{
    return error == EOVERFLOW ? "line longer than 65536 bytes" : strerror(error);
}

/* Print `NAME: what name: reason` on stderr and go on; `error` is an errno value. For
   servers: what goes wrong with one client is no reason to end. strerror() need not be
   thread-safe (POSIX), so it is called with stderr locked. */
static void complain(const char *what, const char *name, int error)
{
    flockfile(stderr);
    fprintf(stderr, "%s: %s %s: %s\n", program, what, name, reason(error));
    funlockfile(stderr);
}

/* The system is short of something (`error`, an errno value) that other clients will give
   back when they leave: say so, at most once a minute, and wait a tenth of a second. Only
   the thread that accepts calls this. */
static void wait_out(const char *what, int error)
{
    static time_t next_complaint;
    if (time(NULL) >= next_complaint) {
        flockfile(stderr);
        fprintf(stderr, "%s: %s: %s: waiting\n", program, what, strerror(error));
        funlockfile(stderr);
        next_complaint = time(NULL) + 60;
    }
    nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
}

/* Say what is wrong with the command line and how it should look, and exit with 2. */
static _Noreturn void refuse(const char *wrong)
{
    fprintf(stderr, "%s: %s\nusage: %s %s\n", program, wrong, program, usage);
    exit(2);
}

/* Parse the command line: `letters` are the options it may hold ('h' among them), and
   from `min` to `max` arguments follow them (POSIX, getopt). Afterwards option['x'] is
   NULL unless -x was there and argv[optind] is the first argument. -h prints the usage
   and ends the program with 0; anything wrong ends it with 2. */
static void parse_arguments(int argc, char **argv, const char *letters, int min, int max)
{
    opterr = 0;
    for (int letter; (letter = getopt(argc, argv, letters)) != -1;) {
        if (letter == 'h') {
            printf("usage: %s %s\n%s\n", program, usage, purpose);
            if (fflush(stdout) != 0 || ferror(stdout))
                die("write", "stdout", strerror(errno));
            exit(0);
        }
        if (letter == '?') {
            char wrong[] = "unknown option -?";
            wrong[sizeof wrong - 2] = (char)optopt;
            refuse(strchr(letters, optopt) ? "an option lacks its value" : wrong);
        }
        option[letter] = optarg != NULL ? optarg : "";
    }
    if (argc - optind < min)
        refuse(no_argument);
    if (argc - optind > max)
        refuse("too many arguments");
}

/* Make two things sure before the first socket is made. A write to a connection or pipe
   that is gone gives EPIPE, where SIGPIPE would end the program. And 0, 1 and 2 are
   taken: were stdout closed, the next socket would get its number, and lines meant for
   the reader would go to the network. Opened read-only, it still fails a write (EBADF).
   */
static void guard_process(void)
{
    signal(SIGPIPE, SIG_IGN);
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDONLY);
    if (fd >= 0)
        close(fd);
}

/* Have SIGINT and SIGTERM handled by `handler`. */
static void catch_signals(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* connect(), whole: interrupted by a signal it goes on by itself (POSIX), and calling it
   again would be an error; what is left to do is to wait for its outcome. Returns 0, or
   -1 with errno. */
static int connect_socket(int fd, const struct sockaddr *address, socklen_t size)
{
    if (connect(fd, address, size) == 0)
        return 0;
    if (errno != EINTR)
        return -1;
    struct pollfd connected = {.fd = fd, .events = POLLOUT};
    while (poll(&connected, 1, -1) < 0)
        if (errno != EINTR)
            return -1;
    int error = 0;
    socklen_t error_size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) < 0)
        return -1;
    errno = error;
    return error == 0 ? 0 : -1;
}

/* Have a read (SO_RCVTIMEO) or write (SO_SNDTIMEO) that waits for so long fail with
   EAGAIN. */
static void set_timeout(int fd, int which, int seconds)
{
    const struct timeval patience = {.tv_sec = seconds};
    setsockopt(fd, SOL_SOCKET, which, &patience, sizeof patience);
}

/* Wait for the next client and return its socket, with its address in *peer of *size
   bytes (both may be NULL). What goes wrong with the client that was about to come costs
   that client alone; where the system is short of something, the client waits in the
   backlog until there is more of it. Dies of what can only be a fault of this program. */
static int accept_next(int listener, struct sockaddr *peer, socklen_t *size)
{
    for (;;) {
        int fd = accept(listener, peer, size);
        if (fd >= 0)
            return fd;
        switch (errno) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN: /* from here on: what Linux passes on of the new connection */
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENOPROTOOPT:
        case EOPNOTSUPP:
        case ETIMEDOUT:
            break;
        case EBADF:
        case EFAULT:
        case EINVAL:
        case ENOTSOCK:
            die("accept", "", strerror(errno));
        default: /* EMFILE, ENFILE, ENOBUFS, ENOMEM: a lack that passes */
            wait_out("accept", errno);
        }
    }
}

/* Run handler(argument) in a thread of its own. Without the means for one more thread the
   client waits until another one has left. */
static void start_thread(void *(*handler)(void *), void *argument)
{
    pthread_attr_t attributes;
    int error;
    while ((error = pthread_attr_init(&attributes)) != 0)
        wait_out("pthread_attr_init", error);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_t thread;
    while ((error = pthread_create(&thread, &attributes, handler, argument)) != 0)
        wait_out("pthread_create", error);
    pthread_attr_destroy(&attributes);
}

/* Make a reader of the stream `fd`, called `name` in messages. One reader for each
   stream, as long as the stream lives: it holds what came behind the line that was asked
   for. */
static void open_reader(struct reader *r, int fd, const char *name)
{
    r->fd = fd;
    r->name = name;
    r->buffer = r->first;
    r->size = sizeof r->first;
    r->start = r->end = 0;
}

/* Free what the reader allocated and close the stream. */
static void close_reader(struct reader *r)
{
    if (r->buffer != r->first)
        free(r->buffer);
    close(r->fd);
}

/* Make the buffer eight times as large, BUFFER_LIMIT at most: then a read has room for
   LINE_LIMIT bytes behind a line that is still to end. Returns 0, or -1 with errno ENOMEM
   and the buffer as it was. */
static int grow(struct reader *r)
{
    size_t size = r->size * 8 < BUFFER_LIMIT ? r->size * 8 : BUFFER_LIMIT;
    char *larger = malloc(size);
    if (larger == NULL)
        return -1;
    memcpy(larger, r->buffer, r->end);
    if (r->buffer != r->first)
        free(r->buffer);
    r->buffer = larger;
    r->size = size;
    return 0;
}

/* Read once, behind what has not been taken yet. A read that filled the buffer makes it
   grow before the next, so that who sends little costs little. Returns the number of
   bytes read, 0 at the end of input, -1 with errno on error: EOVERFLOW when more than
   LINE_LIMIT bytes are there and none has been taken. */
static ssize_t fill(struct reader *r)
{
    if (r->end == r->size && r->size < BUFFER_LIMIT && grow(r) < 0)
        return -1;
    if (r->start > 0)
        memmove(r->buffer, r->buffer + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
    if (r->end > LINE_LIMIT) {
        errno = EOVERFLOW;
        return -1;
    }
    ssize_t n;
    do
        n = read(r->fd, r->buffer + r->end, r->size - r->end);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        r->end += (size_t)n;
    return n;
}

/* Take the next line out of the stream, `\n` included; at the end of input an unfinished
   line counts as one. Returns its length with *line pointing at it until the next call;
   behind an unfinished line there is room for one byte more. Returns 0 at the end of
   input, and -1 with errno on error: EOVERFLOW for a line of more than LINE_LIMIT bytes.
   */
static ssize_t read_line(struct reader *r, char **line)
{
    size_t searched = 0;
    for (;;) {
        *line = r->buffer + r->start;
        size_t length = r->end - r->start;
        const char *newline = memchr(*line + searched, '\n', length - searched);
        if (newline != NULL && newline - *line <= LINE_LIMIT) {
            length = (size_t)(newline + 1 - *line);
            r->start += length;
            return (ssize_t)length;
        }
        searched = length;
        ssize_t n = fill(r); /* which refuses a line that is too long */
        if (n < 0)
            return -1;
        if (n == 0) {
            *line = r->buffer + r->start;
            r->start = r->end;
            return (ssize_t)length;
        }
    }
}

/* Take a line that has come whole; of one that is longer than LINE_LIMIT, so much; and at
   the `end` of input what is left. Returns its length with *line pointing at it until the
   next fill(), or 0 if there is none. */
static size_t take_text(struct reader *r, bool end, char **line)
{
    size_t length = r->end - r->start;
    *line = r->buffer + r->start;
    const char *newline =
        memchr(*line, '\n', length <= LINE_LIMIT ? length : LINE_LIMIT + 1);
    if (newline != NULL)
        length = (size_t)(newline + 1 - *line);
    else if (length > LINE_LIMIT)
        length = LINE_LIMIT;
    else if (!end)
        length = 0;
    r->start += length;
    return length;
}

/* Whether to write again after an error: after EINTR, and after EAGAIN, which is a second
   in which the peer took nothing, as long as *stalls, which counts them, says less than
   30 s. */
static bool try_again(int *stalls)
{
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return false;
    errno = ETIMEDOUT;
    return ++*stalls < 29; /* and up to a second before the first */
}

/* Write all of data, however little the kernel takes at a time. Returns 0, or -1 with
   errno: EPIPE or ECONNRESET when the peer is gone, ETIMEDOUT when it has taken nothing
   for 30 s, on a socket that has an SO_SNDTIMEO of 1 s. */
static int write_all(int fd, const char *data, size_t length)
{
    int stalls = 0;
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && !try_again(&stalls))
            return -1;
        if (n < 0)
            continue;
        stalls = 0;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

/* Give the line its `\n` if it has none; there is room for it. Returns its length. */
static size_t end_line(char *line, size_t length)
{
    if (line[length - 1] != '\n')
        line[length++] = '\n';
    return length;
}

/* Whether the line is STOP, blanks around it aside. */
static bool is_stop(const char *line, size_t length)
{
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    while (length > 0 && isspace((unsigned char)line[0])) {
        line++;
        length--;
    }
    return length == 4 && memcmp(line, "STOP", 4) == 0;
}

/* The length of the line without its end, `\n` or `\r\n`. */
static size_t without_end(const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n')
        length--;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    return length;
}

/* The size in bytes, 1 to 4, of the character that the text begins with if it is a tab or
   printable: valid UTF-8 (RFC 3629, section 4) and no control character, U+0080 to U+009F
   included. 0 if it is not. */
static size_t printable(const char *text, size_t length)
{
    unsigned char c[4] = {0};
    memcpy(c, text, length < sizeof c ? length : sizeof c);
    if (c[0] < 0x80)
        return c[0] == '\t' || (c[0] >= 0x20 && c[0] != 0x7f);
    if (c[0] < 0xc2 || c[0] > 0xf4)
        return 0;
    size_t size = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < size; i++)
        if ((c[i] & 0xc0) != 0x80)
            return 0;
    bool low = c[1] < (c[0] == 0xf0 ? 0x90 : 0xa0);
    if (c[0] == 0xc2 || c[0] == 0xe0 || c[0] == 0xf0) /* controls; overlong forms */
        return low ? 0 : size;
    if (c[0] == 0xed) /* surrogates */
        return low ? size : 0;
    return c[0] == 0xf4 && c[1] > 0x8f ? 0 : size; /* above U+10FFFF */
}

/* Print the label and the text as one line on `file`, flushed. What is not printable
   UTF-8 is shown as \xNN, so that nobody on the network can drive the reader's terminal.
   Returns 0, or -1 with errno. */
static int print_text(FILE *file, const char *label, const char *text, size_t length)
{
    flockfile(file);
    fputs(label, file);
    for (size_t i = 0; i < length;) {
        size_t start = i, size;
        while (i < length && (size = printable(text + i, length - i)) > 0)
            i += size;
        fwrite(text + start, 1, i - start, file);
        if (i < length)
            fprintf(file, "\\x%02x", (unsigned char)text[i++]);
    }
    putc('\n', file);
    int result = fflush(file) != 0 || ferror(file) ? -1 : 0;
    funlockfile(file);
    return result;
}

/* Print the line, without its end, behind its label. That stdout is gone or full is said
   once; the server goes on serving. */
static void log_text(const char *label, const char *line, size_t length)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    if (print_text(stdout, label, line, without_end(line, length)) != 0 &&
        !atomic_flag_test_and_set(&said))
        complain("write", "stdout", errno);
}

/* Print the text on stdout as it is, flushed. Dies where stdout is gone or full. */
static void print(const char *text)
{
    fputs(text, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("write", "stdout", strerror(errno));
}

/* Print the line, without its end, behind its label. Dies where stdout is gone or full.
   */
static void show(const char *label, const char *line, size_t length)
{
    if (print_text(stdout, label, line, without_end(line, length)) != 0)
        die("write", "stdout", strerror(errno));
}

/* Die of what happened to the connection when it was to be read or written (`what`): its
   end (error 0), or an error (an errno value). */
static _Noreturn void die_of_loss(const char *what, const struct reader *server,
                                  int error)
{
    if (error == 0 || error == EPIPE || error == ECONNRESET)
        die(server->name, "", "connection closed by server");
    die(what, server->name, reason(error));
}

/* Send the line, with a `\n` at its end, and return its length with it. Dies when the
   server is gone. */
static size_t send_line(const struct reader *server, char *line, size_t length)
{
    size_t size = end_line(line, length);
    if (write_all(server->fd, line, size) < 0)
        die_of_loss("write", server, errno);
    return size;
}

/* Prompt, and take the user's next line. Returns the length of *line, 0 at the end of
   input. */
static size_t prompt(struct reader *user, char **line)
{
    print(">> ");
    ssize_t length = read_line(user, line);
    if (length < 0)
        die("read", user->name, reason(errno));
    return (size_t)length;
}

/* Read what the client has sent, line or not. Returns how many bytes stand behind those
   that were there, or 0 when it has left, with a complaint if that was an error. */
static size_t receive(struct reader *client)
{
    ssize_t n = fill(client);
    if (n < 0)
        complain("read", client->name, errno);
    return n > 0 ? (size_t)n : 0;
}

/* Send the last `n` bytes that were read back to the client. Returns whether they went.
   */
static bool send_back(const struct reader *client, size_t n)
{
    if (write_all(client->fd, client->buffer + client->end - n, n) == 0)
        return true;
    complain("write", client->name, errno);
    return false;
}

/* The address of the socket file `path`. Dies if it is no path that an address holds. */
static struct sockaddr_un unix_address(const char *step, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (*path == '\0')
        die(step, "\"\"", "empty path");
    if (strlen(path) >= sizeof address.sun_path) {
        char why[60];
        size_t most = sizeof address.sun_path - 1;
        snprintf(why, sizeof why, "path longer than %zu bytes", most);
        die(step, path, why);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

/* Connect to the server on `path` and return the socket. Dies on error. */
static int dial_unix(const char *path)
{
    struct sockaddr_un address = unix_address("connect", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect_socket(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("connect", path, strerror(errno));
    return fd;
}

/* Wait until `length` bytes, LINE_LIMIT and one at most, have come from the server, and
   print them. Dies if it leaves before. */
static void show_echo(struct reader *server, size_t length)
{
    while (server->end - server->start < length) {
        ssize_t n = fill(server);
        if (n <= 0)
            die_of_loss("read", server, n == 0 ? 0 : errno);
    }
    show("Read: ", server->buffer + server->start, length);
    server->start += length;
}

/* Print the lines that have come whole, and at the `end` of input the rest. With -q
   nothing is looked at. */
static void log_lines(struct reader *client, bool end)
{
    char *line;
    size_t length;
    if (option['q'])
        client->start = client->end;
    while ((length = take_text(client, end, &line)) > 0)
        log_text("Server got: ", line, length);
}

/* Wait for the next client and return its socket, set up. */
static int accept_unix(int listener)
{
    int fd = accept_next(listener, NULL, NULL);
    set_timeout(fd, SO_SNDTIMEO, 1); /* for write_all() */
    return fd;
}

/* The signal handler: remove the socket file, unless it is another's by now, and leave.
   lstat(), unlink() and _exit() may be called here (POSIX, 2.4.3). */
static void remove_socket_and_exit(int signal_number)
{
    (void)signal_number;
    struct stat now;
    bool anothers = lstat(socket_path, &now) == 0 && (now.st_dev != socket_file.st_dev ||
                                                      now.st_ino != socket_file.st_ino);
    if (!anothers)
        unlink(socket_path);
    _exit(0);
}

/* Remove the socket at `path` if nobody listens on it: bind() would find the name taken.
   Dies if something else is there. (Two servers that start in the same instant on a dead
   socket may both find it dead; the one that binds last then has the name.) */
static void remove_stale(const char *path, const struct sockaddr_un *address)
{
    struct stat found;
    if (lstat(path, &found) < 0) {
        if (errno == ENOENT)
            return;
        die("listen", path, strerror(errno));
    }
    if (!S_ISSOCK(found.st_mode))
        die("listen", path, "File exists and is not a socket");
    int probe = socket(AF_UNIX, SOCK_STREAM, 0);
    if (probe < 0)
        die("listen", path, strerror(errno));
    fcntl(probe, F_SETFL, O_NONBLOCK);
    if (connect_socket(probe, (const struct sockaddr *)address, sizeof *address) == 0 ||
        errno == EAGAIN) /* its backlog is full */
        die("listen", path, strerror(EADDRINUSE));
    if (errno != ECONNREFUSED) /* a datagram socket, say, or another user's */
        die("listen", path, strerror(errno));
    close(probe);
    if (unlink(path) < 0)
        die("listen", path, strerror(errno));
}

/* Listen on `path`, for this user alone, and say so on stderr. Dies on error. The signals
   wait while the file is made, so that none ends the server and leaves the file. */
static int listen_unix(const char *path)
{
    struct sockaddr_un address = unix_address("listen", path);
    remove_stale(path, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    sigset_t signals, before;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, &before);
    mode_t mask = umask(0177);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("listen", path, strerror(errno));
    umask(mask);
    if (lstat(path, &socket_file) < 0 || listen(fd, BACKLOG) < 0) {
        int error = errno;
        unlink(path);
        die("listen", path, strerror(error));
    }
    socket_path = path;
    catch_signals(remove_socket_and_exit);
    sigprocmask(SIG_SETMASK, &before, NULL);
    fprintf(stderr, "%s: listening on %s\n", program, path);
    return fd;
}
