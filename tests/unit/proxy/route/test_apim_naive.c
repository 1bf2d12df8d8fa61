/* Random templates and paths: the trie against a matcher that tries every operation. */
#include "unit/proxy/route/apim_fixture.h"

#include <strings.h>

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static const char *const words[] = {"a", "b", "ab", "aXb", "B", ""};
static const char *const shapes[] = {"a", "b", "AB", "{p}", "{p}", "a{p}", "{p}b", "a{p}x{q}"};

/* Parameter names repeat within a template: each gets a number. */
static struct slice random_template(struct arena *arena, uint32_t *seed)
{
    char text[256] = "";
    uint32_t segments = next_random(seed) % 4;
    for (uint32_t i = 0; i < segments; i++) {
        const char *shape = shapes[next_random(seed) % ARRAY_LEN(shapes)];
        strcat(text, "/");
        for (const char *c = shape; *c != '\0'; c++) {
            char one[8] = {*c, '\0'};
            if (*c == 'p' || *c == 'q') {
                snprintf(one, sizeof one, "%c%u", *c, i);
            }
            strcat(text, one);
        }
    }
    if (next_random(seed) % 5 == 0) {
        strcat(text, "/*");
    }
    if (next_random(seed) % 5 == 0) {
        strcat(text, next_random(seed) % 2 == 0 ? "?k=1" : "?k={kv}");
    }
    return arena_slice(arena, slice_of(text));
}

static struct slice random_path(struct arena *arena, uint32_t *seed)
{
    char text[128] = "/x";
    uint32_t segments = next_random(seed) % 5;
    for (uint32_t i = 0; i < segments; i++) {
        strcat(text, "/");
        strcat(text, words[next_random(seed) % ARRAY_LEN(words)]);
    }
    if (next_random(seed) % 4 == 0) {
        strcat(text, next_random(seed) % 2 == 0 ? "?k=1" : "?k=2");
    }
    return arena_slice(arena, slice_of(text));
}

/* Request segments by the rules, written a second time and plainly. */
static size_t split(struct slice rest, struct slice *out)
{
    size_t n = 0;
    if (rest.n <= 1) {
        return 0;
    }
    rest = slice_from(rest, 1);
    while (rest.p != NULL) {
        out[n++] = slice_cut(&rest, '/');
    }
    return out[n - 1].n == 0 ? n - 1 : n;
}

static bool naive_fits(const struct url_template *t, const struct slice *parts, size_t count, const char *k)
{
    for (uint32_t i = 0; i < t->query_count; i++) {
        if (k == NULL || (t->query[i].value.p != NULL && !slice_eq(t->query[i].value, slice_of(k)))) {
            return false;
        }
    }
    for (uint32_t i = 0; i < t->segment_count; i++) {
        const struct template_segment *s = &t->segments[i];
        if (s->kind == TEMPLATE_REST) {
            return true;
        }
        if (i >= count || (s->kind == TEMPLATE_LITERAL && !slice_eq_nocase(s->text, parts[i])) ||
            (s->kind == TEMPLATE_PARAM && parts[i].n == 0) ||
            (s->kind == TEMPLATE_MIXED && !template_mixed_match(s, parts[i], NULL))) {
            return false;
        }
    }
    return count == t->segment_count;
}

/* Smaller is better: segment by segment from the left, then the query. */
static int naive_compare(const struct url_template *a, const struct url_template *b)
{
    for (uint32_t i = 0; i < a->segment_count && i < b->segment_count; i++) {
        const struct template_segment *x = &a->segments[i], *y = &b->segments[i];
        int order = (int)x->kind - (int)y->kind;
        if (order == 0 && x->kind == TEMPLATE_MIXED) {
            order = (int)y->literal_bytes - (int)x->literal_bytes;
            order = order != 0 ? order : (int)x->name_count - (int)y->name_count;
            for (uint32_t k = 0; order == 0 && k <= x->name_count; k++) {
                struct slice p = x->parts[2 * k], q = y->parts[2 * k];
                order = strncasecmp(p.n ? p.p : "", q.n ? q.p : "", p.n < q.n ? p.n : q.n);
                order = order != 0 ? order : (int)p.n - (int)q.n;
            }
        }
        if (order != 0) {
            return order;
        }
    }
    if (a->segment_count != b->segment_count) { /* one ends here, the other with a catch-all */
        return a->segment_count < b->segment_count ? -1 : 1;
    }
    if (a->query_count != b->query_count) {
        return a->query_count > b->query_count ? -1 : 1;
    }
    int literal_a = a->query_count > 0 && a->query[0].value.p != NULL;
    int literal_b = b->query_count > 0 && b->query[0].value.p != NULL;
    return literal_b - literal_a;
}

static struct apim_api *random_api(struct arena *arena, uint32_t *seed)
{
    struct apim_operation_conf ops[24];
    size_t count = 0, wanted = 1 + next_random(seed) % ARRAY_LEN(ops);
    struct url_template *seen[24];
    while (count < wanted) {
        struct slice text = random_template(arena, seed);
        struct url_template *t = url_template_parse(text, arena, NULL);
        assert_non_null(t);
        bool twice = false;
        for (size_t i = 0; i < count; i++) {
            twice |= url_template_same(seen[i], t);
        }
        if (twice) {
            wanted--;
            continue;
        }
        seen[count] = t;
        ops[count++] = (struct apim_operation_conf){.id = text, .method = SLICE("GET"), .template = text};
    }
    struct apim_api_conf conf = {.name = SLICE("apis/x;rev=1"),
                                 .path = SLICE("x"),
                                 .is_current = true,
                                 .http = true,
                                 .operations = ops,
                                 .operation_count = count};
    struct err err;
    struct apim_api *api = apim_api_create(&conf, &err);
    if (api == NULL) {
        fail_msg("%s", err.text);
    }
    return api;
}

static const struct apim_operation *naive_find(const struct apim_api *api, struct slice path)
{
    struct slice parts[16], query = path;
    struct slice rest = slice_from(slice_cut(&query, '?'), 2);
    size_t count = split(rest, parts);
    const char *k = query.p == NULL ? NULL : slice_eq(query, SLICE("k=1")) ? "1" : "2";
    const struct apim_operation *best = NULL;
    for (size_t i = 0; i < api->operation_count; i++) {
        const struct apim_operation *op = &api->operations[i];
        if (naive_fits(op->template, parts, count, k) &&
            (best == NULL || naive_compare(op->template, best->template) < 0)) {
            best = op;
        }
    }
    return best;
}

static void the_trie_finds_what_trying_every_template_finds(void **state)
{
    (void)state;
    uint32_t seed = 11;
    unsigned hits = 0;
    for (int round = 0; round < 400; round++) {
        struct arena *arena = arena_create(0);
        struct apim_api *api = random_api(arena, &seed);
        struct apim_table *table = apim_table_update(NULL, &api, 1, NULL, NULL);
        for (int i = 0; i < 60; i++) {
            struct route_request req = {.scheme = SLICE("http"),
                                        .method = SLICE("GET"),
                                        .authority = SLICE("h"),
                                        .path = random_path(arena, &seed)};
            struct apim_match m;
            apim_match(table, &req, arena, &m);
            apim_match_params(&m, arena);
            const struct apim_operation *want = naive_find(api, req.path);
            hits += want != NULL;
            if (m.operation != want) {
                fail_msg("round %d %.*s: got %.*s, want %.*s", round, SLICE_ARG(req.path),
                         SLICE_ARG(m.operation == NULL ? SLICE("-") : m.operation->conf.id),
                         SLICE_ARG(want == NULL ? SLICE("-") : want->conf.id));
            }
            assert_int_equal(m.param_count, m.operation == NULL ? 0 : m.operation->template->name_count);
        }
        apim_table_unref(&table);
        apim_api_unref(&api);
        arena_destroy(&arena);
    }
    assert_true(hits > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_trie_finds_what_trying_every_template_finds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
