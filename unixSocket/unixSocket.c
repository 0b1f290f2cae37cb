/*
 * unixSocket.c - an echo server and its client over a Unix domain socket
 *
 *   cc -pthread -o unixSocket unixSocket.c
 *   ./unixSocket -l /tmp/echo        at the other end: nc -U /tmp/echo
 *   ./unixSocket /tmp/echo           at the other end: unixSocket -l /tmp/echo
 *
 *   Go                               here
 *   net.Listen("unix", path)         listen_unix(): socket, bind, listen; a file appears
 *   os.Stat, os.Remove               remove_dead(): lstat, connect, unlink
 *   go echoServer(fd)                pthread_create: a thread, detached
 *   net.Dial("unix", path)           dial_unix(): socket, connect
 *   c.Read(buf)                      read: a reply may come in pieces
 *
 * Not as in the chapter: no file is deleted and no server robbed of its path; the socket
 * is for its owner alone, and removed at the end; long replies are read whole.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char program[] = "unixSocket";
static const char usage[] = "usage: unixSocket [-l [-q]] PATH\n"
                            "Sends your lines to the echo server at PATH.\n"
                            "-l: is that server; -q: does not print what clients send\n";
enum { LINE_LIMIT = 65536, BACKLOG = 4096, STACK_SIZE = 65536 };

struct reader {
    int fd;
    size_t start, end; /* what has come and is not taken yet: buffer[start..end) */
    char buffer[LINE_LIMIT];
};

static bool quiet;
static const char *path; /* as it was typed; for a server, of the file to remove */

static _Noreturn void die(const char *what, const char *why);
static void set_up(void);
static void hold_on(const char *what, int error);
static bool has_line(const struct reader *r);
static ssize_t fill(struct reader *r);
static ssize_t read_line(struct reader *r, char **line);
static ssize_t read_some(int fd, char *data, size_t size);
static int write_all(int fd, const char *data, size_t length);
static bool is_stop(const char *line, size_t length);
static void say(const char *text);
static int print(const char *label, const char *line, size_t length);

/* The address of the socket. Dies if the path does not fit. */
static struct sockaddr_un address_of_path(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char why[40];
    snprintf(why, sizeof why, "not 1 to %zu bytes long", sizeof address.sun_path - 1);
    if (*path == '\0' || strlen(path) >= sizeof address.sun_path)
        die(path, why);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

/* Remove the socket at the path if nobody listens there. Returns whether it is gone. (Of
   two servers that start in the same instant, the last one to bind has the path.) */
static bool remove_dead(const struct sockaddr_un *address)
{
    struct stat file;
    if (lstat(path, &file) < 0 || !S_ISSOCK(file.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    fcntl(fd, F_SETFL, O_NONBLOCK); /* one that listens may be too busy to accept */
    bool dead = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
                errno == ECONNREFUSED;
    close(fd);
    return dead && unlink(path) == 0;
}

/* The handler of the server's SIGINT and SIGTERM. (Whose file it is by now is not asked.) */
static void remove_and_leave(int signal_number)
{
    (void)signal_number;
    unlink(path);
    _exit(0);
}

/* Make a socket that listens at the path, for its owner alone. */
static int listen_unix(void)
{
    const struct sockaddr_un address = address_of_path();
    const struct sockaddr *a = (const struct sockaddr *)&address;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        die(path, strerror(errno));
    umask(S_IXUSR | S_IRWXG | S_IRWXO); /* the file gets 0600 */
    int error = bind(fd, a, sizeof address) < 0 ? errno : 0;
    if (error == EADDRINUSE && remove_dead(&address))
        error = bind(fd, a, sizeof address) < 0 ? errno : 0;
    if (error == 0 && listen(fd, BACKLOG) < 0)
        error = errno;
    if (error != 0)
        die(path, strerror(error));
    signal(SIGINT, remove_and_leave); /* not before: the file may be another server's */
    signal(SIGTERM, remove_and_leave);
    fprintf(stderr, "%s: listening on %s\n", program, path);
    return fd;
}

/* Wait for the next client; while there is no descriptor for one, say so each second. */
static int accept_unix(int listener)
{
    int fd;
    while ((fd = accept(listener, NULL, NULL)) < 0)
        if (errno != ECONNABORTED) /* it left before it was accepted */
            hold_on("accept", errno);
    return fd;
}

/* Print the lines that have come. One that has not ended yet moves to the front of the
   buffer; if the buffer is full of it, it is printed in pieces. */
static void show_lines(struct reader *in)
{
    char *line;
    while (has_line(in)) {
        ssize_t length = read_line(in, &line);
        print("Server got: ", line, (size_t)length);
    }
    size_t left = in->end - in->start;
    if (left == sizeof in->buffer) {
        print("Server got: ", in->buffer, left);
        left = 0;
    }
    memmove(in->buffer, in->buffer + in->start, left);
    in->start = 0;
    in->end = left;
}

/* The thread of one client: send back what it sends, until it leaves. */
static void *handle_connection(void *argument)
{
    struct reader *in = argument;
    ssize_t n;
    while ((n = read_some(in->fd, in->buffer + in->end, sizeof in->buffer - in->end)) >
           0) {
        if (write_all(in->fd, in->buffer + in->end, (size_t)n) < 0)
            break;
        if (quiet)
            continue;
        in->end += (size_t)n;
        show_lines(in);
    }
    if (in->end > 0) /* a last line that does not end */
        print("Server got: ", in->buffer, in->end);
    close(in->fd);
    free(in);
    return NULL;
}

/* The server: a thread for each client. */
static _Noreturn void serve(void)
{
    int listener = listen_unix();
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    for (;;) {
        struct reader *in;
        while ((in = malloc(sizeof *in)) == NULL)
            hold_on("malloc", errno);
        in->fd = accept_unix(listener);
        in->start = in->end = 0;
        pthread_t thread;
        int error;
        while ((error = pthread_create(&thread, &attr, handle_connection, in)) != 0)
            hold_on("pthread_create", error);
    }
}

/* Connect to the server at the path. */
static int dial_unix(void)
{
    const struct sockaddr_un address = address_of_path();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        die(path, strerror(errno));
    return fd;
}

/* Print the line that the server sends back, and what it has said behind it. */
static void show_echo(struct reader *server)
{
    do {
        char *reply;
        ssize_t length = read_line(server, &reply);
        if (length <= 0)
            die("server", length == 0 || errno == ECONNRESET ? "connection closed"
                                                             : strerror(errno));
        if (print("Read: ", reply, (size_t)length) < 0)
            die("stdout", strerror(errno));
    } while (has_line(server));
}

/* The client: a line, then its echo, until the user ends it. */
static void converse(void)
{
    static struct reader user = {.fd = STDIN_FILENO}, server;
    server.fd = dial_unix();
    for (;;) {
        char *line;
        say(">> ");
        ssize_t length = read_line(&user, &line);
        if (length < 0)
            die("stdin", strerror(errno));
        if (length == 0)
            break;
        if (write_all(server.fd, line, (size_t)length) < 0)
            die("server", errno == EPIPE ? "connection closed" : strerror(errno));
        show_echo(&server);
        if (is_stop(line, (size_t)length)) {
            say("Exiting UNIX domain socket client!");
            break;
        }
    }
    say("\n");
}

int main(int argc, char **argv)
{
    bool listening = false;
    for (int option; (option = getopt(argc, argv, "hlq")) != -1;) {
        if (option != 'l' && option != 'q') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
        listening = listening || option == 'l';
        quiet = quiet || option == 'q';
    }
    if (argc != optind + 1) {
        fprintf(stderr, "%s: Need socket path\n%s", program, usage);
        return 2;
    }
    set_up();
    path = argv[optind];
    if (listening)
        serve();
    converse();
    return 0;
}

/* ---- Helpers: the same text in every program that has them ---- */

/* Print `NAME: what: why` on stderr and exit with 1. */
static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, why);
    exit(1);
}

/* Writing to a connection or pipe that is gone becomes an error, EPIPE, and no more. And
   0, 1 and 2 are taken, if they were closed: no socket may be mistaken for stdout.
   (Opened to be read only, so that printing to it is still an error.) */
static void set_up(void)
{
    signal(SIGPIPE, SIG_IGN);
    int fd = 0;
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDONLY);
    if (fd >= 0)
        close(fd);
}

/* The system is short of something (`error`, an errno value) that clients will give back
   when they leave: say so, and wait a second. */
static void hold_on(const char *what, int error)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, strerror(error));
    sleep(1);
}

/* Whether a whole line has come, so that read_line() need not wait. */
static bool has_line(const struct reader *r)
{
    return memchr(r->buffer + r->start, '\n', r->end - r->start) != NULL;
}

/* Read once, behind what has not been taken yet; at the end of input a last line that
   lacks its `\n` is given one. Returns the number of bytes, 0 at the end, or -1 with
   errno: EMSGSIZE if the buffer is full of one line. */
static ssize_t fill(struct reader *r)
{
    memmove(r->buffer, r->buffer + r->start, r->end - r->start);
    r->end -= r->start;
    r->start = 0;
    if (r->end == sizeof r->buffer) {
        errno = EMSGSIZE;
        return -1;
    }
    ssize_t n;
    while ((n = read(r->fd, r->buffer + r->end, sizeof r->buffer - r->end)) < 0)
        if (errno != EINTR)
            return -1;
    if (n == 0 && r->end > 0) {
        r->buffer[r->end] = '\n';
        n = 1;
    }
    r->end += (size_t)n;
    return n;
}

/* Take the next line, `\n` included, out of the stream. *line points at it until the next
   fill(). Returns its length, 0 at the end of input, or -1 with errno: EMSGSIZE for a
   line of more than LINE_LIMIT bytes. */
static ssize_t read_line(struct reader *r, char **line)
{
    const char *newline;
    ssize_t n = 0;
    do {
        *line = r->buffer + r->start;
        newline = memchr(*line, '\n', r->end - r->start);
    } while (newline == NULL && (n = fill(r)) > 0);
    if (newline == NULL)
        return n;
    r->start = (size_t)(newline + 1 - r->buffer);
    return newline + 1 - *line;
}

/* Read what has come, `size` bytes at most. Returns their number, 0 at the end, or -1
   with errno. */
static ssize_t read_some(int fd, char *data, size_t size)
{
    ssize_t n;
    while ((n = read(fd, data, size)) < 0 && errno == EINTR)
        ;
    return n;
}

/* Write all of data, however little the kernel takes at a time. Returns 0, or -1 with
   errno. */
static int write_all(int fd, const char *data, size_t length)
{
    for (ssize_t n; length > 0; data += n, length -= (size_t)n)
        while ((n = write(fd, data, length)) < 0)
            if (errno != EINTR)
                return -1;
    return 0;
}

/* Whether the line is STOP, blanks around it aside. */
static bool is_stop(const char *line, size_t length)
{
    for (; length > 0 && isspace((unsigned char)line[0]); length--)
        line++;
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    return length == 4 && memcmp(line, "STOP", 4) == 0;
}

/* Print text as it is, and have it seen. Dies if it cannot be. */
static void say(const char *text)
{
    fputs(text, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("stdout", strerror(errno));
}

/* Print the line, without its end, behind its label. Control characters come out as \xNN,
   those of UTF-8 (U+0080 to U+009F) too, so that nobody on the network drives the
   terminal. Returns 0, or -1 with errno. */
static int print(const char *label, const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n')
        length--;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    flockfile(stdout);
    fputs(label, stdout);
    unsigned char before = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)line[i];
        bool control = c < ' ' || c == 0x7f || (before == 0xc2 && c >= 0x80 && c < 0xa0);
        if (control && c != '\t')
            printf("\\x%02x", c);
        else
            putchar(c);
        before = c;
    }
    putchar('\n');
    int result = fflush(stdout) != 0 || ferror(stdout) ? -1 : 0;
    funlockfile(stdout);
    return result;
}
