/* A request against the trie of one API. Every node is visited once at most: its depth says which segment it takes. */
#include "base/arena.h"
#include "proxy/route/apim_trie.h"
#include "proxy/route/path.h"

struct piece {
    struct slice raw, value; /* value: decoded */
    uint64_t hash;
};

struct pair {
    struct slice name, value, raw; /* name and value: decoded */
};

struct search {
    struct slice method_text;
    enum trie_method method;
    struct slice path; /* what the pieces were cut from */
    struct slice query;
    struct arena *arena;
    struct piece *pieces;
    uint32_t piece_count; /* as many as the trie is deep, at most */
    struct slice tail;    /* raw text behind the pieces; p == NULL: nothing there */
    struct pair *pairs;   /* NULL: not split yet */
    uint32_t pair_count;
};

static uint32_t count_of(struct slice s, char c)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        n += s.p[i] == c;
    }
    return n;
}

/* A leading slash opens the path; one slash at the end makes no difference. */
static void split_path(struct search *s, uint32_t depth)
{
    struct slice rest = s->path.n > 0 ? slice_from(s->path, 1) : SLICE_NONE;
    s->tail = SLICE_NONE;
    if (rest.n == 0) {
        return;
    }
    uint32_t count = count_of(rest, '/') + 1;
    count -= rest.p[rest.n - 1] == '/';
    uint32_t taken = count < depth ? count : depth;
    s->pieces = arena_alloc(s->arena, taken * sizeof *s->pieces);
    for (uint32_t i = 0; i < taken; i++) {
        struct slice raw = slice_cut(&rest, '/');
        struct slice value = path_decode(raw, s->arena);
        s->pieces[i] = (struct piece){raw, value, fold_hash(value)};
    }
    s->piece_count = taken;
    if (taken < count) {
        s->tail = rest;
    }
}

static void split_query(struct search *s)
{
    struct slice rest = s->query, name, value;
    s->pairs = arena_alloc(s->arena, (count_of(rest, '&') + 1) * sizeof *s->pairs);
    while (query_next(&rest, &name, &value)) {
        s->pairs[s->pair_count++] = (struct pair){query_decode(name, s->arena), query_decode(value, s->arena), value};
    }
}

static const struct pair *find_pair(const struct search *s, const struct template_query *q)
{
    for (uint32_t i = 0; i < s->pair_count; i++) {
        const struct pair *p = &s->pairs[i];
        if (slice_eq_nocase(p->name, q->name) && (q->value.p == NULL || slice_eq_nocase(p->value, q->value))) {
            return p;
        }
    }
    return NULL;
}

static bool fits_query(struct search *s, const struct url_template *t)
{
    if (s->pairs == NULL) {
        split_query(s);
    }
    for (uint32_t i = 0; i < t->query_count; i++) {
        if (find_pair(s, &t->query[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool fits_method(const struct search *s, const struct trie_end *e)
{
    if (e->method == TRIE_OTHER_METHOD) {
        return slice_eq(e->op->conf.method, s->method_text);
    }
    return e->method == s->method || e->method == TRIE_ANY_METHOD;
}

/* The first that fits; of two that a slash at the end tells apart, the one that has it or not as the request. */
static const struct apim_operation *pick(struct search *s, const struct trie_end *list, uint32_t count)
{
    const struct apim_operation *other = NULL;
    bool slash = s->path.n > 1 && s->path.p[s->path.n - 1] == '/';
    for (uint32_t i = 0; i < count; i++) {
        if (fits_method(s, &list[i]) && (!list[i].asks_query || fits_query(s, list[i].op->template))) {
            if (list[i].slash == slash) {
                return list[i].op;
            }
            other = other == NULL ? list[i].op : other;
        }
    }
    return other;
}

static const struct apim_operation *find(struct search *s, const struct trie_node *node, uint32_t i);

static const struct apim_operation *find_below(struct search *s, const struct trie_node *node, uint32_t i)
{
    const struct piece *piece = &s->pieces[i];
    const struct trie_edge *edge = trie_edge_find(node, piece->hash, piece->value);
    const struct apim_operation *op = edge == NULL ? NULL : find(s, edge->to, i + 1);
    for (uint32_t k = 0; op == NULL && k < node->mixed_count; k++) {
        if (template_mixed_match(node->mixed[k].segment, piece->value, NULL)) {
            op = find(s, node->mixed[k].to, i + 1);
        }
    }
    if (op == NULL && node->param != NULL && piece->value.n > 0) {
        op = find(s, node->param, i + 1);
    }
    return op;
}

static const struct apim_operation *find(struct search *s, const struct trie_node *node, uint32_t i)
{
    const struct apim_operation *op = NULL;
    if (i < s->piece_count) {
        op = find_below(s, node, i);
    } else if (s->tail.p == NULL) {
        op = pick(s, node->here, node->here_count);
    }
    return op != NULL ? op : pick(s, node->rest, node->rest_count);
}

/* From the i-th piece to the end of the path, slashes included. */
static struct slice rest_from(const struct search *s, uint32_t i)
{
    if (i >= s->piece_count) {
        return s->tail;
    }
    const char *end = s->path.p + s->path.n;
    return slice_make(s->pieces[i].raw.p, (size_t)(end - s->pieces[i].raw.p));
}

static uint32_t fill_segment(const struct search *s, const struct template_segment *t, uint32_t i,
                             struct apim_param *out)
{
    switch (t->kind) {
    case TEMPLATE_LITERAL:
        return 0;
    case TEMPLATE_PARAM:
        out[0] = (struct apim_param){t->names[0], s->pieces[i].value, s->pieces[i].raw};
        return 1;
    case TEMPLATE_REST:
        out[0] = (struct apim_param){t->names[0], SLICE_NONE, rest_from(s, i)};
        out[0].value = path_decode(out[0].raw, s->arena);
        return 1;
    case TEMPLATE_MIXED:
        break;
    }
    struct slice *values = arena_alloc(s->arena, t->name_count * sizeof *values);
    template_mixed_match(t, s->pieces[i].value, values);
    for (uint32_t k = 0; k < t->name_count; k++) {
        out[k] = (struct apim_param){t->names[k], values[k], values[k]};
    }
    return t->name_count;
}

static void fill_params(const struct search *s, const struct url_template *t, struct apim_match *m)
{
    struct apim_param *params = arena_alloc(s->arena, t->name_count * sizeof *params);
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->segment_count; i++) {
        n += fill_segment(s, &t->segments[i], i, &params[n]);
    }
    for (uint32_t i = 0; i < t->query_count; i++) {
        const struct template_query *q = &t->query[i];
        if (q->value.p == NULL) {
            const struct pair *p = find_pair(s, q);
            params[n++] = (struct apim_param){q->param, p->value, p->raw};
        }
    }
    m->params = params;
    m->param_count = n;
}

bool apim_trie_find(struct apim_trie trie, struct slice method, struct arena *arena, struct apim_match *m)
{
    struct search s = {.method_text = method, .path = m->rest, .query = m->query, .arena = arena};
    s.method = trie_method_of(method);
    __builtin_prefetch(trie.root); /* read while the path is cut and hashed */
    split_path(&s, trie.depth);
    m->operation = find(&s, trie.root, 0);
    return m->operation != NULL;
}

void apim_match_params(struct apim_match *m, struct arena *arena)
{
    const struct url_template *t = m->operation == NULL ? NULL : m->operation->template;
    if (t == NULL || t->name_count == 0 || m->params != NULL) {
        return;
    }
    struct search s = {.path = m->rest, .query = m->query, .arena = arena};
    split_path(&s, t->segment_count);
    if (t->query_count > 0) {
        split_query(&s);
    }
    fill_params(&s, t, m);
}
