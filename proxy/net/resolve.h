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
/* Asks these servers ("127.0.0.1:5353,[::1]:53") instead of the system's; /etc/hosts still comes first. */
struct resolver *resolver_create_with_servers(struct loop *loop, const char *servers, struct err *err);
void resolver_destroy(struct resolver **r); /* open queries end without on_done */
/* A name that is an IP literal is its own answer. AUTO: IPv6 if there are such addresses and a route to them, else
 * IPv4; V4_PREFERRED: IPv4, else IPv6; ALL: IPv6, then IPv4. At most 256 addresses; an answer takes at most eight
 * seconds. on_done is called once unless cancelled: err->kind ERR_NONE and at least one address, or ERR_RESOLVE (retry
 * ALWAYS) and no addresses. */
struct resolve_query *
resolver_query(struct resolver *r, struct slice name, enum resolve_family family,
               void (*on_done)(void *ctx, const struct resolve_answer *answer, const struct err *err), void *ctx);
void resolver_cancel(struct resolve_query **q);
