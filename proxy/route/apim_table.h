/*
 * The inside of an API table: path key → group, spread over shards. A shard is immutable and shared between
 * tables; an update copies the array of shards and makes anew only those it touches. Private to the room.
 */
#pragma once
#include "proxy/route/apim_group.h"

enum { APIM_DEPTHS = 33 }; /* API paths have 0 … 32 segments */

struct apim_slot {
    uint64_t hash;
    struct apim_group *group;
};

struct apim_shard {
    atomic_uint refs;
    uint32_t count;
    struct apim_slot slots[];
};

struct apim_table {
    atomic_uint refs;
    uint32_t shard_mask;
    struct apim_shard **shards; /* NULL: an empty one */
    struct apim_api **apis;     /* in name order; the groups hold the references */
    size_t count;
    uint32_t depth_counts[APIM_DEPTHS]; /* how many APIs have a path of that many segments */
    uint32_t max_depth;
};

const struct apim_group *apim_table_group(const struct apim_table *table, uint64_t hash, struct slice key);
