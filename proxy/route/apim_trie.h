/* The operations of one API as a trie over template segments. Lives in the API's arena, immutable. Private. */
#pragma once
#include "proxy/route/apim.h"
#include "proxy/route/fold.h"

struct trie_ops {
    const struct apim_operation **list; /* most specific first */
    uint32_t count;
    bool asks_query;
};

struct trie_edge {
    struct slice text;
    struct trie_node *to;
};

struct trie_mixed {
    const struct template_segment *segment;
    struct trie_node *to;
};

struct trie_node {
    const struct trie_edge *edges;
    const struct trie_mixed *mixed; /* most literal bytes first */
    const struct trie_node *param;
    struct hash_index index; /* → edges, by fold_hash */
    uint32_t edge_count, mixed_count;
    struct trie_ops here, rest;
};

struct apim_trie {
    struct trie_node root;
    uint32_t depth; /* segments of the longest template */
};

/* Sorts `ops` (count of them). false: two cannot be told apart, unless both are closed. */
bool apim_trie_build(struct apim_trie *trie, const struct apim_operation **ops, uint32_t count, struct arena *arena,
                     struct err *err);
/* Finds the operation for method, m->rest and m->query; fills operation and parameters. false: none fits. */
bool apim_trie_find(const struct apim_trie *trie, struct slice method, struct arena *arena, struct apim_match *m);
