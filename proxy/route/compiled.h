/* The inside of a route table, shared by the files that build it, look up in it, and rewrite. Private to the room. */
#pragma once
#include <stdatomic.h>

#include "proxy/route/fold.h"
#include "proxy/route/match.h"
#include "proxy/route/table.h"

struct route_entry {
    const struct route_rule_conf *conf;
    const struct regex *path;    /* ROUTE_PATH_REGEX */
    const struct regex *rewrite; /* of the forward or redirect action; NULL: none */
    const struct header_match *headers;
    const struct query_match *query;
    uint64_t total_weight;
};

/* Routes that share one path text, by position in the list. */
struct route_group {
    struct slice text;
    const uint32_t *positions; /* ascending */
    uint32_t count;
};

/*
 * Finds candidates in long lists: by exact path, by every prefix of the path that stands in the list, and the
 * rest (regular expressions, ignore_case, CONNECT). The lowest position that holds wins, as in the list.
 */
struct route_index {
    struct hash_index exact, prefix; /* → groups */
    const struct route_group *groups;
    const uint32_t *lengths; /* of prefixes, ascending, each once */
    uint32_t length_count;
    const uint32_t *others;
    uint32_t other_count;
};

struct route_host {
    const struct vhost_conf *conf;
    const struct route_entry *entries;
    uint32_t entry_count;
    const struct route_index *index; /* NULL: short list */
};

struct host_name {
    struct slice text; /* lower case, without the star */
    uint32_t host;
};

/* Names of one kind: exact, "*suffix", "prefix*". */
struct host_names {
    struct hash_index index; /* → names */
    const struct host_name *names;
    const uint32_t *lengths; /* descending, each once */
    uint32_t length_count;
};

struct route_table {
    atomic_uint refs;
    struct arena *arena; /* holds everything, this struct too */
    const struct route_conf *conf;
    const struct route_host *hosts;
    struct host_names exact, suffix, prefix;
    const struct route_host *any; /* "*" */
};

/* Lists shorter than this are walked. */
enum { ROUTE_INDEX_MIN = 16 };

const struct route_index *route_index_build(const struct route_entry *entries, uint32_t count, struct arena *arena);
bool route_entry_compile(const struct route_rule_conf *conf, struct arena *arena, struct route_entry *out,
                         struct err *err);
