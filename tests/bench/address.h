/* address.h - the addresses of load.c and floor.c: a TCP or UDP port on 127.0.0.1,
 * or a path that begins with a slash */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_un un;
    };
    socklen_t length;
};

static inline struct address parse_address(const char *text)
{
    struct address a = {.length = sizeof a.in};
    if (*text == '/') {
        a.un.sun_family = AF_UNIX;
        a.length = sizeof a.un;
        snprintf(a.un.sun_path, sizeof a.un.sun_path, "%s", text);
    } else {
        a.in.sin_family = AF_INET;
        a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        a.in.sin_port = htons((in_port_t)strtoul(text, NULL, 10));
    }
    return a;
}
