#include "proxy/net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* inet_pton wants a NUL; also refuses bytes behind one. */
static bool to_cstr(struct slice text, char *out, size_t cap)
{
    if (text.n == 0 || text.n >= cap || memchr(text.p, '\0', text.n) != NULL) {
        return false;
    }
    memcpy(out, text.p, text.n);
    out[text.n] = '\0';
    return true;
}

static bool parse_v6(struct addr *out, char *text)
{
    char *zone = strchr(text, '%');
    unsigned scope = 0;
    if (zone != NULL) {
        *zone++ = '\0';
        scope = if_nametoindex(zone);
        uint64_t number;
        if (scope == 0 && slice_to_u64(slice_of(zone), &number) && number <= UINT32_MAX) {
            scope = (unsigned)number;
        }
        if (scope == 0) {
            return false;
        }
    }
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_scope_id = scope;
    out->len = sizeof out->in6;
    return inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1;
}

bool addr_parse(struct addr *out, struct slice ip, uint16_t port, struct err *err)
{
    char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 1];
    memset(out, 0, sizeof *out);
    bool brackets = ip.n >= 2 && ip.p[0] == '[' && ip.p[ip.n - 1] == ']';
    if (brackets) {
        ip = slice_sub(ip, 1, ip.n - 2);
    }
    if (!to_cstr(ip, text, sizeof text)) {
        return err_set(err, ERR_INPUT, "\"%.*s\" is not an IP address", SLICE_ARG(slice_sub(ip, 0, 64)));
    }
    if (!brackets && inet_pton(AF_INET, text, &out->in4.sin_addr) == 1) {
        out->in4.sin_family = AF_INET;
        out->len = sizeof out->in4;
    } else if (!parse_v6(out, text)) {
        memset(out, 0, sizeof *out);
        return err_set(err, ERR_INPUT, "\"%.*s\" is not an IP address", SLICE_ARG(slice_sub(ip, 0, 64)));
    }
    addr_set_port(out, port);
    return true;
}

bool addr_pipe(struct addr *out, struct slice path, struct err *err)
{
    memset(out, 0, sizeof *out);
    if (path.n == 0 || path.n >= sizeof out->un.sun_path) {
        return err_set(err, ERR_INPUT, "a socket path has 1 to %zu bytes, this has %zu", sizeof out->un.sun_path - 1,
                       path.n);
    }
    if (memchr(path.p, '\0', path.n) != NULL) {
        return err_set(err, ERR_INPUT, "a socket path has no NUL in it");
    }
    out->un.sun_family = AF_UNIX;
    memcpy(out->un.sun_path, path.p, path.n);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n);
    if (path.p[0] == '@') {
        out->un.sun_path[0] = '\0'; /* abstract: the length, not a NUL, ends the name */
    } else {
        out->len++;
    }
    return true;
}

bool addr_is_ip_literal(struct slice text)
{
    struct addr a;
    return addr_parse(&a, text, 0, NULL);
}

size_t addr_size(const struct addr *a)
{
    return offsetof(struct addr, sa) + (a->len < sizeof a->un ? a->len : sizeof a->un);
}

void addr_copy(struct addr *to, const struct addr *from)
{
    memcpy(to, from, addr_size(from));
}

uint16_t addr_port(const struct addr *a)
{
    if (a->len == 0) {
        return 0;
    }
    switch (a->sa.sa_family) {
    case AF_INET:
        return ntohs(a->in4.sin_port);
    case AF_INET6:
        return ntohs(a->in6.sin6_port);
    default:
        return 0;
    }
}

void addr_set_port(struct addr *a, uint16_t port)
{
    if (a->len == 0) {
        return;
    }
    if (a->sa.sa_family == AF_INET) {
        a->in4.sin_port = htons(port);
    } else if (a->sa.sa_family == AF_INET6) {
        a->in6.sin6_port = htons(port);
    }
}

static struct slice pipe_name(const struct addr *a)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    if (a->len <= head) {
        return SLICE_NONE; /* an unnamed end */
    }
    struct slice name = slice_make(a->un.sun_path, a->len - head);
    if (name.p[0] != '\0') {
        name.n = strnlen(name.p, name.n);
    }
    return name;
}

bool addr_same_ip(const struct addr *a, const struct addr *b)
{
    if (a->len == 0 || b->len == 0 || a->sa.sa_family != b->sa.sa_family) {
        return false;
    }
    switch (a->sa.sa_family) {
    case AF_INET:
        return a->in4.sin_addr.s_addr == b->in4.sin_addr.s_addr;
    case AF_INET6:
        return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof a->in6.sin6_addr) == 0 &&
               a->in6.sin6_scope_id == b->in6.sin6_scope_id;
    default:
        return false;
    }
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    if (a->len == 0 || b->len == 0) {
        return a->len == b->len;
    }
    if (a->sa.sa_family == AF_UNIX && b->sa.sa_family == AF_UNIX) {
        return slice_eq(pipe_name(a), pipe_name(b));
    }
    return addr_same_ip(a, b) && addr_port(a) == addr_port(b);
}

static const char *pipe_text(const struct addr *a, char *text)
{
    struct slice name = pipe_name(a);
    if (name.n > 0 && name.p[0] == '\0') {
        snprintf(text, ADDR_TEXT, "@%.*s", (int)name.n - 1, name.p + 1);
    } else {
        snprintf(text, ADDR_TEXT, "%.*s", SLICE_ARG(name));
    }
    return text;
}

const char *addr_ip_text(const struct addr *a, char *text)
{
    text[0] = '\0';
    if (a->len == 0) {
        return text;
    }
    switch (a->sa.sa_family) {
    case AF_INET:
        inet_ntop(AF_INET, &a->in4.sin_addr, text, ADDR_TEXT);
        return text;
    case AF_INET6:
        inet_ntop(AF_INET6, &a->in6.sin6_addr, text, ADDR_TEXT);
        if (a->in6.sin6_scope_id != 0) {
            size_t n = strlen(text);
            snprintf(text + n, ADDR_TEXT - n, "%%%u", a->in6.sin6_scope_id);
        }
        return text;
    case AF_UNIX:
        return pipe_text(a, text);
    default:
        return text;
    }
}

const char *addr_text(const struct addr *a, char *text)
{
    if (a->len == 0 || a->sa.sa_family == AF_UNIX) {
        return addr_ip_text(a, text);
    }
    char ip[ADDR_TEXT];
    addr_ip_text(a, ip);
    snprintf(text, ADDR_TEXT, a->sa.sa_family == AF_INET6 ? "[%.100s]:%u" : "%.100s:%u", ip, addr_port(a));
    return text;
}
