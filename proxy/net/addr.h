/* addr: an IPv4, IPv6 or Unix-socket address. A plain value. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/slice.h"

struct addr {
    socklen_t len; /* 0: no address; first, so that a copy may be cut off behind the address */
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

enum { ADDR_TEXT = 128 };

bool addr_parse(struct addr *out, struct slice ip, uint16_t port, struct err *err); /* literal IP only */
bool addr_pipe(struct addr *out, struct slice path, struct err *err);               /* "@name": abstract */
bool addr_is_ip_literal(struct slice text);
size_t addr_size(const struct addr *a);                         /* bytes of it that mean something */
void addr_copy(struct addr *to, const struct addr *from);       /* from may have been cut off */
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
bool addr_eq(const struct addr *a, const struct addr *b);
bool addr_same_ip(const struct addr *a, const struct addr *b);
/* "1.2.3.4:80", "[::1]:80", "/path"; text has ADDR_TEXT bytes. addr_ip_text leaves the port out. */
const char *addr_text(const struct addr *a, char *text);
const char *addr_ip_text(const struct addr *a, char *text);
