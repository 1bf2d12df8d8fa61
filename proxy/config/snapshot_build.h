/* The snapshot's inside, for the files of this room: the store fills one, nobody changes it afterwards. */
#pragma once
#include "proxy/config/index.h"
#include "proxy/config/snapshot.h"

struct snapshot {
    atomic_uint refs;
    struct grave grave;
    uint64_t generation;
    struct index *clusters, *endpoints, *listeners, *routes, *secrets; /* each takes its own references */
    struct apim_set *apim;
};

struct snapshot *snapshot_create(struct graveyard *yard, uint64_t generation); /* empty, one reference */

extern const struct index_kind cluster_index, endpoint_index, listener_index, route_index, secret_index;
