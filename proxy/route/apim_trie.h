/*
 * The operations of one API as a trie over template segments. Lives in the API's arena, immutable. Private.
 *
 * With many thousand operations a look-up costs what it misses in the cache, so whatever one node is asked for
 * lies together behind it: edges with their text, then the operations that end there with their methods.
 */
#pragma once
#include "proxy/route/apim.h"
#include "proxy/route/fold.h"

struct trie_end {
    struct slice method; /* the usual ones lie in constants */
    const struct apim_operation *op;
    bool asks_query;
};

struct trie_ops {
    struct trie_end *list; /* most specific first */
    uint32_t count;
    bool asks_query; /* one of them does */
};

struct trie_edge {
    uint64_t hash; /* fold_hash of text */
    struct slice text;
    struct trie_node *to;
};

struct trie_mixed {
    const struct template_segment *segment;
    struct trie_node *to;
};

/* Nodes with more edges than this have an index over them. */
enum { TRIE_SCAN = 8 };

struct trie_node {
    struct trie_edge *edges;
    uint32_t edge_count, mixed_count;
    const struct trie_node *param;
    struct trie_ops here, rest;
    struct trie_mixed *mixed; /* most literal bytes first */
    struct hash_index *index; /* → edges */
    char *edge_text;          /* while building: where the next edge's text goes */
};

struct apim_trie {
    uint32_t depth; /* segments of the longest template */
    struct trie_node root;
};

/* Sorts `ops` (count of them). false: two cannot be told apart, unless both are closed. */
bool apim_trie_build(struct apim_trie *trie, const struct apim_operation **ops, uint32_t count, struct arena *arena,
                     struct err *err);
/* Finds the operation for method, m->rest and m->query. false: none fits. */
bool apim_trie_find(const struct apim_trie *trie, struct slice method, struct arena *arena, struct apim_match *m);
