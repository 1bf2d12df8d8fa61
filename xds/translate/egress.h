/* egress: which hosts leave through which gateway, and from which address. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pb/egret/control/v1/config.pb-c.h"

struct egress_route {
    const Egret__Control__V1__Gateway *gateway; /* NULL: direct */
    const Egret__Control__V1__Pool *pool;       /* NULL: the gateway's own choice */
};

/*
 * The entry that says it best: an exact host before a wildcard, a longer wildcard before a shorter one, else the first
 * in the file. host: lower case.
 */
struct egress_route egress_find(const Egret__Control__V1__Config *config, const char *host, uint32_t port);
/* The ports of an entry: its own, or 443 and 80. */
size_t egress_ports(const Egret__Control__V1__Egress *entry, const uint32_t **ports);
/*
 * A host's address of a pool: the one with the highest hash of both, so that adding or removing an address moves only
 * the hosts that must move.
 */
const char *egress_source(const Egret__Control__V1__Pool *pool, const char *host);
