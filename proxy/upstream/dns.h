/*
 * dns: keeps the addresses of every named endpoint (STRICT_DNS, LOGICAL_DNS) fresh; runs on the main thread and gives
 * each result to all workers as one immutable, reference-counted host_addrs.
 */
#pragma once
#include <stdatomic.h>

#include "proxy/config/snapshot.h"
#include "proxy/net/resolve.h"

struct host_addrs {
    atomic_uint refs;
    size_t n; /* 0: the name has no address (err says why) */
    char error[200];
    struct addr addrs[];
};
const struct host_addrs *host_addrs_ref(const struct host_addrs *h);
void host_addrs_unref(const struct host_addrs **h);

struct dns;
/* publish is called on the main thread for each new result. */
struct dns *dns_create(struct loop *loop, struct resolver *resolver,
                       void (*publish)(void *ctx, struct slice name, uint16_t port, const struct host_addrs *addrs),
                       void *ctx);
void dns_destroy(struct dns **d);
void dns_update(struct dns *d, const struct snapshot *snapshot); /* starts and stops names as clusters come and go */
/* Asks again for the names of this cluster now: what is known of them may be why it cannot be reached. */
void dns_refresh(struct dns *d, const struct snapshot *snapshot, struct slice cluster);
bool dns_is_settled(const struct dns *d); /* every name was asked at least once */
/* Repeats everything known, for a worker that starts now. */
void dns_replay(struct dns *d, void (*each)(void *ctx, struct slice name, uint16_t port, const struct host_addrs *addrs),
                void *ctx);
