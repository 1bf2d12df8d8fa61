/* resolve: names to addresses by c-ares on a loop. Results are delivered in a later turn, never inside the call. */
#pragma once
#include "proxy/net/addr.h"
#include "proxy/net/loop.h"

struct resolver;
struct resolve_query;

enum resolve_family { RESOLVE_AUTO, RESOLVE_V4_ONLY, RESOLVE_V6_ONLY, RESOLVE_V4_PREFERRED, RESOLVE_ALL };

struct resolve_answer {
    const struct addr *addrs; /* port 0 */
    size_t n;
    uint32_t ttl_s; /* smallest of the records; 0 when unknown */
};

struct resolver *resolver_create(struct loop *loop, struct err *err); /* system configuration, /etc/hosts first */
void resolver_destroy(struct resolver **r);
/* on_done is called once unless cancelled: err->kind ERR_NONE and at least one address, or ERR_RESOLVE. */
struct resolve_query *resolver_query(struct resolver *r, struct slice name, enum resolve_family family,
                                     void (*on_done)(void *ctx, const struct resolve_answer *answer, const struct err *err),
                                     void *ctx);
void resolver_cancel(struct resolve_query **q);
