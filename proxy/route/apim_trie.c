#include "proxy/route/apim_trie.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/macros.h"

enum step { STEP_HERE, STEP_LITERAL, STEP_MIXED, STEP_PARAM, STEP_REST };

enum { CACHE_LINE = 64, NODES_AT_ONCE = 8 };

_Static_assert(sizeof(struct trie_node) == CACHE_LINE, "a node fills one cache line");
_Static_assert(sizeof(struct trie_edge) == CACHE_LINE, "an edge fills one cache line");

struct build {
    struct arena *arena;
    struct err *err;
    uint32_t depth;
    struct trie_node *spare; /* nodes not used yet */
    uint32_t spare_count;
};

static void *alloc_lines(struct arena *arena, size_t count)
{
    uintptr_t raw = (uintptr_t)arena_zalloc(arena, (count + 1) * CACHE_LINE - 1);
    return (void *)((raw + CACHE_LINE - 1) & ~(uintptr_t)(CACHE_LINE - 1));
}

/* Some at a time, so that aligning them costs little. */
static struct trie_node *make_node(struct build *b)
{
    if (b->spare_count == 0) {
        b->spare = alloc_lines(b->arena, NODES_AT_ONCE);
        b->spare_count = NODES_AT_ONCE;
    }
    b->spare_count--;
    return b->spare++;
}

enum trie_method trie_method_of(struct slice method)
{
    static const struct {
        struct slice text;
        enum trie_method method;
    } usual[] = {{{"GET", 3}, TRIE_GET},        {{"POST", 4}, TRIE_POST},   {{"PUT", 3}, TRIE_PUT},
                 {{"DELETE", 6}, TRIE_DELETE},  {{"PATCH", 5}, TRIE_PATCH}, {{"HEAD", 4}, TRIE_HEAD},
                 {{"OPTIONS", 7}, TRIE_OPTIONS}};
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        if (slice_eq(method, usual[i].text)) {
            return usual[i].method;
        }
    }
    return TRIE_OTHER_METHOD;
}

static const struct template_segment *segment_at(const struct apim_operation *op, uint32_t depth)
{
    return &op->template->segments[depth];
}

static enum step step_of(const struct apim_operation *op, uint32_t depth)
{
    if (op->template->segment_count == depth) {
        return STEP_HERE;
    }
    switch (segment_at(op, depth)->kind) {
    case TEMPLATE_LITERAL:
        return STEP_LITERAL;
    case TEMPLATE_MIXED:
        return STEP_MIXED;
    case TEMPLATE_PARAM:
        return STEP_PARAM;
    case TEMPLATE_REST:
        break;
    }
    return STEP_REST;
}

static int compare_u32(uint32_t a, uint32_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_nocase(struct slice a, struct slice b)
{
    for (size_t i = 0; i < a.n && i < b.n; i++) {
        int x = (unsigned char)ascii_lower(a.p[i]), y = (unsigned char)ascii_lower(b.p[i]);
        if (x != y) {
            return x - y;
        }
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

static int compare_mixed(const struct template_segment *a, const struct template_segment *b)
{
    int order = compare_u32(b->literal_bytes, a->literal_bytes);
    if (order == 0) {
        order = compare_u32(a->name_count, b->name_count);
    }
    for (uint32_t i = 0; order == 0 && i <= a->name_count; i++) {
        order = compare_nocase(a->parts[2 * i], b->parts[2 * i]);
    }
    return order;
}

static uint32_t literal_queries(const struct url_template *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->query_count; i++) {
        n += t->query[i].value.p != NULL;
    }
    return n;
}

static bool any_method(const struct apim_operation *op)
{
    return slice_eq(op->conf.method, SLICE("*"));
}

/* Among operations of one path: more of the query asked for comes first, then a method before "*". */
static int compare_ends(const struct apim_operation *a, const struct apim_operation *b)
{
    int order = compare_u32(b->template->query_count, a->template->query_count);
    if (order == 0) {
        order = compare_u32(literal_queries(b->template), literal_queries(a->template));
    }
    if (order == 0) {
        order = any_method(a) - any_method(b);
    }
    return order;
}

static int compare_ops(const void *pa, const void *pb, void *pdepth)
{
    const struct apim_operation *a = *(const struct apim_operation *const *)pa;
    const struct apim_operation *b = *(const struct apim_operation *const *)pb;
    uint32_t depth = *(uint32_t *)pdepth;
    enum step step = step_of(a, depth);
    int order = (int)step - (int)step_of(b, depth);
    if (order == 0 && step == STEP_LITERAL) {
        order = compare_nocase(segment_at(a, depth)->text, segment_at(b, depth)->text);
    } else if (order == 0 && step == STEP_MIXED) {
        order = compare_mixed(segment_at(a, depth), segment_at(b, depth));
    } else if (order == 0 && step != STEP_PARAM) {
        order = compare_ends(a, b);
    }
    return order != 0 ? order : compare_u32(a->index, b->index);
}

static bool same_edge(const struct apim_operation *a, const struct apim_operation *b, uint32_t depth)
{
    enum step step = step_of(a, depth);
    if (step != step_of(b, depth)) {
        return false;
    }
    if (step == STEP_LITERAL) {
        return slice_eq_nocase(segment_at(a, depth)->text, segment_at(b, depth)->text);
    }
    return step != STEP_MIXED || compare_mixed(segment_at(a, depth), segment_at(b, depth)) == 0;
}

/* Ends of one path: does method or query tell them apart? Keeps the first of two closed ones. */
static bool add_end(struct build *b, struct trie_end *list, uint32_t *count, const struct apim_operation *op)
{
    for (uint32_t i = 0; i < *count; i++) {
        const struct apim_operation *other = list[i].op;
        if (!slice_eq(other->conf.method, op->conf.method) || !url_template_same(other->template, op->template)) {
            continue;
        }
        if (other->conf.closed.n > 0 && op->conf.closed.n > 0) {
            return true;
        }
        return err_set(b->err, ERR_INPUT,
                       "operations \"%.*s\" and \"%.*s\" have the same method and template %.*s %.*s",
                       SLICE_ARG(other->conf.id), SLICE_ARG(op->conf.id), SLICE_ARG(op->conf.method),
                       SLICE_ARG(slice_sub(op->template->text, 0, 100)));
    }
    enum trie_method method = any_method(op) ? TRIE_ANY_METHOD : trie_method_of(op->conf.method);
    list[(*count)++] = (struct trie_end){op, method, op->template->query_count > 0, op->template->slash};
    return true;
}

static bool build_ends(struct build *b, struct trie_end **list, uint32_t *count, const struct apim_operation **run,
                       uint32_t run_count)
{
    *list = arena_alloc(b->arena, run_count * sizeof **list);
    for (uint32_t i = 0; i < run_count; i++) {
        if (!add_end(b, *list, count, run[i])) {
            return false;
        }
    }
    return true;
}

/* A table with some places free, unless it is tiny. */
static void make_edges(struct build *b, struct trie_node *node, uint32_t count)
{
    uint32_t places = 1;
    while (places < count + count / 4) {
        places *= 2;
    }
    node->edges = alloc_lines(b->arena, places);
    node->edge_mask = places - 1;
}

static uint32_t home_of(const struct trie_node *node, uint64_t hash)
{
    return (uint32_t)(hash ^ (hash >> 32)) & node->edge_mask;
}

static struct slice edge_text(const struct trie_edge *e)
{
    return slice_make(e->text_n > TRIE_NEAR ? e->far_text : e->near_text, e->text_n);
}

const struct trie_edge *trie_edge_find(const struct trie_node *node, uint64_t hash, struct slice text)
{
    uint32_t home = node->edges == NULL ? 0 : home_of(node, hash);
    for (uint32_t i = 0; node->edges != NULL && i <= node->edge_mask; i++) {
        const struct trie_edge *e = &node->edges[(home + i) & node->edge_mask];
        if (e->to == NULL) {
            return NULL;
        }
        if (e->hash == hash && slice_eq_nocase(edge_text(e), text)) {
            return e;
        }
    }
    return NULL;
}

/* Room for the children, counted before they are made. */
static void make_room(struct build *b, struct trie_node *node, const struct apim_operation **ops, uint32_t count)
{
    uint32_t literals = 0, mixed = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && same_edge(ops[i - 1], ops[i], b->depth)) {
            continue;
        }
        enum step step = step_of(ops[i], b->depth);
        literals += step == STEP_LITERAL;
        mixed += step == STEP_MIXED;
    }
    if (literals > 0) {
        make_edges(b, node, literals);
    }
    if (mixed > 0) {
        node->mixed = arena_alloc(b->arena, mixed * sizeof *node->mixed);
    }
}

static void add_edge(struct trie_node *node, const struct template_segment *segment, struct trie_node *child)
{
    uint32_t at = home_of(node, segment->hash);
    while (node->edges[at].to != NULL) {
        at = (at + 1) & node->edge_mask;
    }
    struct trie_edge *e = &node->edges[at];
    *e = (struct trie_edge){.hash = segment->hash, .to = child, .text_n = segment->text.n};
    if (segment->text.n > TRIE_NEAR) {
        e->far_text = segment->text.p;
    } else if (segment->text.n > 0) {
        memcpy(e->near_text, segment->text.p, segment->text.n);
    }
}

static bool build_node(struct build *b, struct trie_node *node, const struct apim_operation **ops, uint32_t count);

static bool build_child(struct build *b, struct trie_node *node, const struct apim_operation **run, uint32_t count)
{
    const struct template_segment *segment = segment_at(run[0], b->depth);
    struct trie_node *child = make_node(b);
    if (segment->kind == TEMPLATE_LITERAL) {
        add_edge(node, segment, child);
    } else if (segment->kind == TEMPLATE_MIXED) {
        node->mixed[node->mixed_count++] = (struct trie_mixed){segment, child};
    } else {
        node->param = child;
    }
    b->depth++;
    bool ok = build_node(b, child, run, count);
    b->depth--;
    return ok;
}

static bool build_run(struct build *b, struct trie_node *node, const struct apim_operation **run, uint32_t count)
{
    switch (step_of(run[0], b->depth)) {
    case STEP_HERE:
        return build_ends(b, &node->here, &node->here_count, run, count);
    case STEP_REST:
        return build_ends(b, &node->rest, &node->rest_count, run, count);
    case STEP_LITERAL:
    case STEP_MIXED:
    case STEP_PARAM:
        break;
    }
    return build_child(b, node, run, count);
}

/* Sorts by what comes next, then makes one child of every run. As deep as the longest template: 500 at most. */
static bool build_node(struct build *b, struct trie_node *node, const struct apim_operation **ops, uint32_t count)
{
    qsort_r(ops, count, sizeof *ops, compare_ops, &b->depth);
    make_room(b, node, ops, count);
    for (uint32_t i = 0, n; i < count; i += n) {
        for (n = 1; i + n < count && same_edge(ops[i], ops[i + n], b->depth); n++) {
        }
        if (!build_run(b, node, ops + i, n)) {
            return false;
        }
    }
    return true;
}

bool apim_trie_build(struct apim_trie *trie, const struct apim_operation **ops, uint32_t count, struct arena *arena,
                     struct err *err)
{
    struct build b = {.arena = arena, .err = err};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t depth = ops[i]->template->segment_count;
        trie->depth = depth > trie->depth ? depth : trie->depth;
    }
    trie->root = make_node(&b);
    return count == 0 || build_node(&b, trie->root, ops, count);
}
