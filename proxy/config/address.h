/* Addresses, ranges and socket settings of envoy.config.core.v3. */
#pragma once
#include "proxy/config/read.h"
#include "proxy/net/transport.h"

/* A literal IP or a Unix socket. */
bool address_read(struct reader *r, const char *field, const pb_address *a, struct addr *out);
bool socket_address_read(struct reader *r, const char *field, const pb_socket_address *a, struct addr *out);
bool cidrs_read(struct reader *r, const char *field, pb_cidr *const *list, size_t n, const struct cidr **out);
/* Source address, freebind, SO_MARK of an upstream_bind_config; NULL is fine. */
bool bind_read(struct reader *r, const char *field, const pb_bind *bind, struct dial_tcp *out);
void keepalive_read(const pb_keepalive *k, struct dial_tcp *out);
