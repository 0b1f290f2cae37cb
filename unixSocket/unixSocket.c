/*
 * unixSocket.c - an echo server and its client over a Unix domain socket
 *
 *   cc -pthread -o unixSocket unixSocket.c
 *   ./unixSocket -l /tmp/echo        the server: try it with the client, or
 *                                    nc -U /tmp/echo
 *   ./unixSocket /tmp/echo           the client: talks to unixSocket -l /tmp/echo
 *
 *   Go                               C
 *   net.Listen("unix", path)         listen_unix(): socket, bind (which creates the
 *                                    socket file), listen
 *   os.Stat, os.Remove               remove_stale(): lstat, connect, unlink
 *   go echoServer(fd)                pthread_create: a detached thread
 *   net.Dial("unix", path)           dial_unix(): socket, connect
 *
 * Unlike the chapter's version, the server deletes no file but a socket that nobody
 * listens on, lets only its owner connect and removes its socket file when it ends; the
 * client prints long replies whole and notices when the server closes the connection.
 * Read main() first, at the bottom, then upwards.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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

static const char program[] = "unixSocket", reply_prefix[] = "Read: ";
static const char usage[] = "usage: unixSocket [-l [-q]] PATH\n";
enum { LINE_SIZE = 128 * 1024, STACK_SIZE = 128 * 1024 };

/* A stream of lines: data[start..end) has been read but not yet consumed. TCP is a stream
   of bytes: one read() may return half a line, or three. (Not a FILE: stdio would hide
   lines that it has buffered from poll().) */
struct linebuf {
    int fd;
    bool eof;
    int error; /* 0, or why read() failed; ECONNRESET counts as the end of the stream */
    size_t start, end;
    char data[LINE_SIZE];
};

static const char *path;
static struct stat socket_file; /* the one that this server has created */
static bool quiet;              /* -q: do not print what clients send */

/* Print "PROGRAM: WHAT: WHY" and exit with status 1. */
static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, why);
    exit(1);
}

/* Report that the system is out of descriptors, memory or threads (error is an errno
   value), and wait a second: a client may disconnect and free some. */
static void wait_for_resources(const char *call, int error)
{
    fprintf(stderr, "%s: %s: %s\n", program, call, strerror(error));
    sleep(1);
}

static struct sockaddr_un socket_address(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (*path == '\0' || strlen(path) >= sizeof address.sun_path)
        die(path, "empty, or too long for a socket");
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

/* Remove the socket file of a server that has died: a socket that nobody listens on. Any
   other file is left for bind() to fail on. */
static void remove_stale(const struct sockaddr_un *address)
{
    struct stat file;
    if (lstat(path, &file) < 0 || !S_ISSOCK(file.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    fcntl(fd, F_SETFL, O_NONBLOCK); /* do not wait for a busy server */
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 &&
        errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

/* Signal handler: end the server and remove its socket file, unless another file has
   taken its place. */
static void remove_and_exit(int signal_number)
{
    struct stat file;
    if (lstat(path, &file) == 0 && file.st_dev == socket_file.st_dev &&
        file.st_ino == socket_file.st_ino)
        unlink(path);
    signal(signal_number, SIG_DFL);
    raise(signal_number); /* so that the shell sees how the server ended */
}

static int listen_unix(void)
{
    const struct sockaddr_un address = socket_address();
    remove_stale(&address);
    umask(0177); /* the socket file gets mode 0600: only its owner may connect */
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, SOMAXCONN) < 0)
        die(path, strerror(errno));

    lstat(path, &socket_file);
    const int signals[] = {SIGHUP, SIGINT, SIGTERM};
    for (int i = 0; i < 3; i++)
        if (signal(signals[i], SIG_IGN) != SIG_IGN) /* as nohup sets it */
            signal(signals[i], remove_and_exit);
    fprintf(stderr, "%s: listening on %s\n", program, path);
    return fd;
}

static int dial_unix(void)
{
    const struct sockaddr_un address = socket_address();
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        die(path, strerror(errno));
    const int sndbuf = LINE_SIZE; /* with less, we could block writing a long line while
                                     the server blocks writing its echo */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    return fd;
}

/* Read once, waiting if necessary; call it only when next_line() has returned NULL. At
   the end of the stream, and after an error, sets eof and terminates a last line that has
   no newline. Returns false if there is nothing left to consume. */
static bool fill(struct linebuf *in)
{
    memmove(in->data, in->data + in->start, in->end - in->start);
    in->end -= in->start;
    in->start = 0;
    ssize_t n = read(in->fd, in->data + in->end, LINE_SIZE - in->end);
    if (n > 0) {
        in->end += (size_t)n;
    } else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
        in->error = n < 0 && errno != ECONNRESET ? errno : 0;
        in->eof = true;
        if (in->end > 0)
            in->data[in->end++] = '\n';
    }
    return !in->eof || in->end > 0;
}

/* The next line that has been read, newline included, or NULL if there is none yet. It is
   valid until the next fill(). A line longer than the buffer is returned in pieces. */
static char *next_line(struct linebuf *in, size_t *length)
{
    char *line = in->data + in->start;
    size_t available = in->end - in->start;
    const char *newline = memchr(line, '\n', available);
    if (newline == NULL && available < LINE_SIZE)
        return NULL;
    *length = newline != NULL ? (size_t)(newline + 1 - line) : available;
    in->start += *length;
    return line;
}

/* Write all of data; write() may accept only part of it. Returns false, with errno set,
   if the peer is gone. */
static bool send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        length -= (size_t)n;
    }
    return true;
}

/* Is the line STOP, ignoring white space around it? */
static bool is_stop(const char *line, size_t length)
{
    while (length > 0 && isspace((unsigned char)line[0])) {
        line++;
        length--;
    }
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    return length == 4 && memcmp(line, "STOP", 4) == 0;
}

/* Does byte i of text belong to a control character? Those of the C1 set (U+0080 to
   U+009F) are two bytes long in UTF-8: 0xc2, then 0x80 to 0x9f. */
static bool is_control(const char *text, size_t length, size_t i)
{
    const unsigned char *p = (const unsigned char *)text + i;
    if (*p >= ' ' && *p < 0x7f) /* the usual case first, for speed */
        return false;
    return (*p < 0x80 && *p != '\t') ||
           (*p == 0xc2 && i + 1 < length && (p[1] & 0xe0) == 0x80) ||
           ((*p & 0xe0) == 0x80 && i > 0 && p[-1] == 0xc2);
}

/* Print a line that came from the network. Control characters are escaped as \xNN: the
   peer must not control the terminal. */
static void print_line(const char *prefix, const char *line, size_t length)
{
    if (length > 0 && line[length - 1] == '\n') {
        length--;
        if (length > 0 && line[length - 1] == '\r')
            length--;
    }
    flockfile(stdout); /* or other threads could print in between */
    fputs(prefix, stdout);
    size_t start = 0; /* of the bytes not yet printed */
    for (size_t i = 0; i < length; i++)
        if (is_control(line, length, i)) {
            fwrite(line + start, 1, i - start, stdout);
            printf("\\x%02x", (unsigned char)line[i]);
            start = i + 1;
        }
    fwrite(line + start, 1, length - start, stdout);
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
}

/* The thread of one client: send back every byte as it arrives, and print the lines. */
static void *handle_connection(void *argument)
{
    struct linebuf *in = argument;
    size_t echoed = 0; /* bytes of an unfinished line that have been sent back already */
    while (fill(in)) {
        if (!in->eof && !send_all(in->fd, in->data + echoed, in->end - echoed))
            break;
        char *line;
        size_t length;
        while (!quiet && (line = next_line(in, &length)) != NULL)
            print_line("Server got: ", line, length);
        if (quiet)
            in->start = in->end;
        echoed = in->end - in->start;
    }
    close(in->fd);
    free(in);
    return NULL;
}

/* The server: a thread for each client, for ever. */
static _Noreturn void serve(int listener)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int error = pthread_attr_setstacksize(&attributes, STACK_SIZE); /* not megabytes */
    if (error != 0)
        die("pthread_attr_setstacksize", strerror(error));
    for (;;) {
        int fd;
        while ((fd = accept(listener, NULL, NULL)) < 0)
            if (errno != ECONNABORTED) /* a client that is gone already */
                wait_for_resources("accept", errno);
        struct linebuf *in;
        while ((in = malloc(sizeof *in)) == NULL) /* calloc would touch every page */
            wait_for_resources("malloc", errno);
        in->fd = fd;
        in->eof = false;
        in->error = 0;
        in->start = in->end = 0;
        pthread_t thread;
        while ((error = pthread_create(&thread, &attributes, handle_connection, in)))
            wait_for_resources("pthread_create", error);
    }
}

static void flush_stdout(void)
{
    if (fflush(stdout) != 0)
        die("stdout", strerror(errno));
    if (ferror(stdout)) /* printf() has failed before, with an errno of its own */
        die("stdout", "write failed");
}

/* Prompt for the user's next line; NULL at the end of input. Meanwhile, print whatever
   the server sends, so that it is not mistaken for the reply to that line. */
static char *prompt(struct linebuf *user, struct linebuf *server, size_t *length)
{
    printf(">> ");
    for (;;) {
        char *line;
        while ((line = next_line(server, length)) != NULL) {
            putchar('\n');
            print_line(reply_prefix, line, *length);
            printf(">> ");
        }
        flush_stdout();
        if ((line = next_line(user, length)) != NULL || user->eof)
            return line;
        if (server->eof) {
            putchar('\n');
            die("server", server->error ? strerror(server->error) : "connection closed");
        }
        struct pollfd fds[] = {{user->fd, POLLIN, 0}, {server->fd, POLLIN, 0}};
        poll(fds, 2, -1); /* revents may be POLLHUP or POLLERR, too: read() tells */
        if (fds[0].revents != 0)
            fill(user);
        if (fds[1].revents != 0)
            fill(server);
    }
}

/* Wait for the server's next line, the reply, and print it. */
static void print_reply(struct linebuf *server)
{
    char *line;
    size_t length;
    while ((line = next_line(server, &length)) == NULL)
        if (!fill(server))
            die("server", server->error ? strerror(server->error) : "connection closed");
    print_line(reply_prefix, line, length);
}

/* Half-close: send FIN, but go on reading, which close() would end. Print what the server
   still sends, until it closes, too, or is silent for 2 s. */
static void finish_reading(struct linebuf *server, const char *prefix)
{
    shutdown(server->fd, SHUT_WR);
    do {
        char *line;
        size_t length;
        while ((line = next_line(server, &length)) != NULL)
            print_line(prefix, line, length);
        flush_stdout();
    } while (poll(&(struct pollfd){server->fd, POLLIN, 0}, 1, 2000) > 0 && fill(server));
    if (server->start < server->end) /* a line that the server has not finished */
        print_line(prefix, server->data + server->start, server->end - server->start);
}

/* The client: send the user's lines one by one, each after the echo of the one before. */
static void talk(int fd)
{
    static struct linebuf user = {.fd = STDIN_FILENO}, server;
    char *line;
    size_t length;
    bool stop = false;
    server.fd = fd;
    while (!stop && (line = prompt(&user, &server, &length)) != NULL) {
        if (line[length - 1] != '\n')
            die("stdin", "line too long");
        if (!send_all(fd, line, length))
            die("server", "connection closed");
        stop = is_stop(line, length);
        print_reply(&server);
    }
    printf(stop ? "Exiting UNIX domain socket client!\n" : "\n");
    if (user.error != 0)
        die("stdin", strerror(user.error));
    if (!stop)
        finish_reading(&server, reply_prefix);
    flush_stdout();
}

int main(int argc, char **argv)
{
    bool listening = false;
    int option;
    while ((option = getopt(argc, argv, "hlq")) == 'l' || option == 'q') {
        listening = listening || option == 'l';
        quiet = quiet || option == 'q';
    }
    if (option == 'h') {
        fputs(usage, stdout);
        return 0;
    }
    if (option != -1 || argc != optind + 1) {
        fprintf(stderr, "Need socket path\n%s", usage);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* so that writing to a closed connection only fails */
    path = argv[optind];
    if (listening)
        serve(listen_unix());
    talk(dial_unix());
    return 0;
}
