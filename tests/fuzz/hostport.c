/* hostport.c - fuzzes split_hostport(), which all programs have, against a plain one
 *
 * The input is the address.
 */
#include "fuzz.h"
#define main program_main
#include "../../concTCP/concTCP.c" /* NOLINT(bugprone-suspicious-include) */
#undef main

/* The same by patterns. Returns what is wrong with the address, or NULL with *host, of
   *host_length bytes, and *port pointing into it. */
static const char *plain_split(const char *address, const char **host,
                               size_t *host_length, const char **port)
{
    if (address[0] == '[') {
        if (strchr(address, ']') == NULL)
            return "missing ]";
        if (!like(address, "^\\[[^]]*\\]:."))
            return "missing port";
        *host = address + 1;
        *host_length = (size_t)(strchr(address, ']') - *host);
        *port = *host + *host_length + 2;
    } else {
        if (!like(address, ":[^:]+$"))
            return "missing port";
        if (like(address, ":.*:"))
            return "too many colons (an IPv6 address goes in brackets)";
        *host = address;
        *host_length = strcspn(address, ":");
        *port = *host + *host_length + 1;
    }
    if (*host_length > 255)
        return "host name too long";
    bool number = like(*port, "^[0-9]+$"), letter = like(*port, "[A-Za-z]");
    bool low = like(*port, "^0*([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|"
                           "655[0-2][0-9]|6553[0-5])$");
    if (strlen(*port) > 63 || (number ? !low : !letter))
        return "port is not 0 to 65535";
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *address = malloc(size + 1), *host = malloc(HOST_SIZE),
         *port = malloc(PORT_SIZE);
    must(address != NULL && host != NULL && port != NULL, "there is memory");
    if (size > 0)
        memcpy(address, data, size);
    address[size] = '\0';
    const char *want_host = NULL, *want_port = NULL;
    size_t host_length = 0;
    const char *want = plain_split(address, &want_host, &host_length, &want_port);
    const char *got = split_hostport(address, host, port);
    must(want == NULL ? got == NULL : got != NULL && strcmp(want, got) == 0,
         "what is wrong is what a plain split comes to");
    if (got == NULL) {
        must(strlen(host) == host_length && memcmp(host, want_host, host_length) == 0,
             "the host is the same");
        must(strcmp(port, want_port) == 0, "the port is the same");
    }
    free(address);
    free(host);
    free(port);
    return 0;
}
