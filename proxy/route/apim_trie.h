/*
 * The operations of one API as a trie over template segments. Lives in the API's arena, immutable. Private.
 *
 * With many thousand operations a look-up costs what it misses in the cache, so whatever one node is asked for
 * lies together: an edge with its text, an operation with its method, each node and edge in one cache line.
 */
#pragma once
#include "proxy/route/apim.h"
#include "proxy/route/fold.h"

/* A method as one number; those that are not usual are compared as text. */
enum trie_method {
    TRIE_ANY_METHOD,
    TRIE_OTHER_METHOD,
    TRIE_GET,
    TRIE_POST,
    TRIE_PUT,
    TRIE_DELETE,
    TRIE_PATCH,
    TRIE_HEAD,
    TRIE_OPTIONS,
};

enum trie_method trie_method_of(struct slice method);

struct trie_end {
    const struct apim_operation *op;
    enum trie_method method;
    bool asks_query, slash;
};

enum { TRIE_NEAR = 40 };

/* One cache line, aligned. */
struct trie_edge {
    uint64_t hash;        /* fold_hash of the text */
    struct trie_node *to; /* NULL: a free place of the table */
    size_t text_n;
    union {
        char near_text[TRIE_NEAR]; /* up to TRIE_NEAR bytes */
        const char *far_text;
    };
};

struct trie_mixed {
    const struct template_segment *segment;
    struct trie_node *to;
};

/* One cache line, and aligned to one. */
struct trie_node {
    struct trie_edge *edges; /* a hash table of edge_mask + 1 places, NULL: no literal follows */
    const struct trie_node *param;
    struct trie_end *here, *rest; /* operations that end here, or take whatever follows; most specific first */
    struct trie_mixed *mixed;     /* most literal bytes first */
    uint32_t edge_mask, mixed_count, here_count, rest_count;
    uint64_t spare;
};

struct apim_trie {
    uint32_t depth; /* segments of the longest template */
    struct trie_node *root;
};

/* The edge whose text this is without regard to case, NULL when there is none. */
const struct trie_edge *trie_edge_find(const struct trie_node *node, uint64_t hash, struct slice text);
/* Sorts `ops` (count of them). false: two cannot be told apart, unless both are closed. */
bool apim_trie_build(struct apim_trie *trie, const struct apim_operation **ops, uint32_t count, struct arena *arena,
                     struct err *err);
/* Finds the operation for method, m->rest and m->query. false: none fits. */
bool apim_trie_find(struct apim_trie trie, struct slice method, struct arena *arena, struct apim_match *m);
