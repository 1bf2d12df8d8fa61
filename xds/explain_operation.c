/* Which of an API's operations fits: the order of the proxy's table, on a list. */
#include <string.h>

#include "xds/explain.h"

/* How precise a template is: a letter for each segment, then its query; what sorts first wins. */
enum { LITERAL = '0', MIXED = '1', PARAMETER = '2', REST = '3' };
struct rank {
    char segments[EXPLAIN_SEGMENTS + 1];
    size_t query_parts, query_literals;
    bool other_slash; /* of template and request, one ends in a slash */
    bool any_method;
};

static bool mixed_fits(struct slice pattern, struct slice text)
{
    size_t open = slice_find(pattern, '{');
    if (open == pattern.n) {
        return slice_eq_nocase(pattern, text);
    }
    if (text.n <= open || !slice_eq_nocase(slice_sub(pattern, 0, open), slice_sub(text, 0, open))) {
        return false;
    }
    struct slice after = slice_from(pattern, slice_find(pattern, '}'));
    after = after.n == 0 ? after : slice_from(after, 1);
    text = slice_from(text, open + 1); /* a parameter takes at least one character */
    if (after.n == 0) {
        return true;
    }
    for (size_t i = 0; i <= text.n; i++) {
        if (mixed_fits(after, slice_from(text, i))) {
            return true;
        }
    }
    return false;
}

static char kind_of(struct slice pattern)
{
    if (slice_eq(pattern, SLICE("*")) || slice_starts_with(pattern, SLICE("{*"))) {
        return REST;
    }
    size_t open = slice_find(pattern, '{');
    if (open == pattern.n) {
        return LITERAL;
    }
    return open == 0 && slice_find(pattern, '}') + 1 == pattern.n ? PARAMETER : MIXED;
}

static bool path_fits(struct arena *arena, struct slice template, const struct explain_path *path, struct rank *rank)
{
    size_t n = 0;
    template = slice_starts_with(template, SLICE("/")) ? slice_from(template, 1) : template;
    while (template.n > 0 && n < EXPLAIN_SEGMENTS) {
        struct slice pattern = slice_cut(&template, '/');
        char kind = kind_of(pattern);
        rank->segments[n] = kind;
        if (kind == REST) {
            rank->segments[n + 1] = '\0';
            return true;
        }
        if (n >= path->n || !mixed_fits(explain_decode(arena, pattern), path->items[n])) {
            return false;
        }
        n++;
    }
    rank->segments[n] = '\0';
    return n == path->n;
}

static bool query_has(struct arena *arena, const char *query, struct slice name, struct slice value)
{
    struct slice rest = slice_of(query);
    while (rest.n > 0) {
        struct slice pair = slice_cut(&rest, '&'), key = slice_cut(&pair, '=');
        if (slice_eq_nocase(explain_decode(arena, key), name) &&
            (value.p == NULL || slice_eq_nocase(explain_decode(arena, pair), value))) {
            return true;
        }
    }
    return false;
}

static bool query_fits(struct arena *arena, struct slice wanted, const char *query, struct rank *rank)
{
    while (wanted.n > 0) {
        struct slice pair = slice_cut(&wanted, '&'), name = slice_cut(&pair, '=');
        bool literal = pair.p != NULL && slice_find(pair, '{') == pair.n;
        rank->query_parts++;
        rank->query_literals += literal;
        if (!query_has(arena, query, name, literal ? pair : SLICE_NONE)) {
            return false;
        }
    }
    return true;
}

/* < 0: a is the more precise one. */
static int compare(const struct rank *a, const struct rank *b)
{
    int order = strcmp(a->segments, b->segments);
    order = order != 0 ? order : (int)a->other_slash - (int)b->other_slash;
    if (order == 0) {
        order = a->query_parts > b->query_parts ? -1 : a->query_parts < b->query_parts;
    }
    if (order == 0) {
        order = a->query_literals > b->query_literals ? -1 : a->query_literals < b->query_literals;
    }
    return order != 0 ? order : (int)a->any_method - (int)b->any_method;
}

const struct catalog_operation *explain_operation(const struct catalog_api *api, const char *method,
                                                  const struct explain_path *rest, struct explain_query query,
                                                  size_t *others)
{
    const struct catalog_operation *best = NULL;
    struct rank best_rank;
    size_t count = 0;
    for (size_t i = 0; i < api->operation_count; i++) {
        const struct catalog_operation *op = &api->operations[i];
        struct slice wanted = slice_of(op->url_template), template = slice_cut(&wanted, '?');
        struct rank rank = {.any_method = strcmp(op->method, "*") == 0};
        rank.other_slash = rest->slash != (template.n > 1 && slice_ends_with(template, SLICE("/")));
        bool method_fits = op->matchable && (rank.any_method || strcmp(op->method, method) == 0);
        if (!method_fits || !path_fits(query.arena, template, rest, &rank) || !query_fits(query.arena, wanted, query.text, &rank)) {
            continue;
        }
        count++;
        if (best == NULL || compare(&rank, &best_rank) < 0) {
            best = op;
            best_rank = rank;
        }
    }
    *others = count == 0 ? 0 : count - 1;
    return best;
}
