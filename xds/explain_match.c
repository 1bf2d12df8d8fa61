/* From a URL to an API and an operation. */
#include <string.h>
#include <strings.h>

#include "xds/explain.h"

struct explain_url explain_split(struct arena *arena, const char *url)
{
    struct slice rest = slice_of(url), scheme = SLICE_NONE;
    size_t at = slice_search(rest, SLICE("://"));
    if (at < slice_find(rest, '/')) {
        scheme = slice_sub(rest, 0, at);
        rest = slice_from(rest, at + 3);
        size_t host = slice_find(rest, '/');
        rest = slice_from(rest, host);
    }
    rest = slice_sub(rest, 0, slice_find(rest, '#'));
    size_t mark = slice_find(rest, '?');
    struct slice path = slice_sub(rest, 0, mark);
    while (path.n > 0 && path.p[0] == '/') {
        path = slice_from(path, 1);
    }
    return (struct explain_url){arena_str(arena, scheme), arena_str(arena, path),
                                mark < rest.n ? arena_str(arena, slice_from(rest, mark + 1)) : ""};
}

static bool query_has(const char *query, struct slice name, struct slice value)
{
    struct slice rest = slice_of(query);
    while (rest.n > 0) {
        struct slice pair = slice_cut(&rest, '&');
        struct slice key = slice_cut(&pair, '=');
        if (slice_eq_nocase(key, name) && (value.p == NULL || slice_eq_nocase(pair, value))) {
            return true;
        }
    }
    return false;
}

/* Takes prefix's segments off the path; the last one, or what follows none, may carry ";rev=". */
static bool take_prefix(struct slice *path, struct slice prefix, struct slice *revision)
{
    struct slice rest = *path;
    *revision = SLICE_NONE;
    while (prefix.n > 0) {
        struct slice want = slice_cut(&prefix, '/'), got = slice_cut(&rest, '/');
        size_t mark = slice_search(got, SLICE(";rev="));
        if (prefix.n == 0 && mark < got.n) {
            *revision = slice_from(got, mark + 5);
            got = slice_sub(got, 0, mark);
        }
        if (!slice_eq_nocase(got, want)) {
            return false;
        }
    }
    if (revision->p == NULL && slice_starts_with(rest, SLICE(";rev="))) {
        struct slice own = slice_cut(&rest, '/');
        *revision = slice_from(own, 5);
    }
    *path = rest;
    return true;
}

struct candidate {
    size_t length; /* of the path, version segment included */
    struct slice rest;
};

static bool version_fits(const struct catalog_api *api, const struct explain_url *url)
{
    switch (api->version_scheme) {
    case CATALOG_VERSION_QUERY:
        return api->version[0] == '\0'
                   ? !query_has(url->query, slice_of(api->version_parameter), SLICE_NONE)
                   : query_has(url->query, slice_of(api->version_parameter), slice_of(api->version));
    case CATALOG_VERSION_HEADER:
        return api->version[0] == '\0'; /* the header is not part of what is asked */
    case CATALOG_VERSION_SEGMENT:
    case CATALOG_VERSION_NONE:
        break;
    }
    return true;
}

static bool fits(const struct catalog_api *api, struct arena *arena, const struct explain_url *url,
                 struct candidate *out)
{
    bool segment = api->version_scheme == CATALOG_VERSION_SEGMENT && api->version[0] != '\0';
    const char *prefix = !segment               ? api->path
                         : api->path[0] == '\0' ? api->version
                                                : arena_printf(arena, "%s/%s", api->path, api->version);
    struct slice revision;
    out->rest = slice_of(url->path);
    if (!api->path_known || !version_fits(api, url) || !take_prefix(&out->rest, slice_of(prefix), &revision)) {
        return false;
    }
    out->length = strlen(prefix);
    return revision.p == NULL ? api->is_current : slice_eq(revision, slice_of(api->revision)) && api->is_online;
}

struct explain_match explain_api(const struct catalog *c, struct arena *arena, const struct explain_url *url)
{
    struct explain_match m = {NULL, "", "no API has a path that this URL begins with, with its version and revision"};
    size_t best = 0, count = 0;
    for (size_t i = 0; i < c->apis.n; i++) {
        struct candidate k;
        if (!fits(c->apis.items[i], arena, url, &k)) {
            continue;
        }
        count++;
        if (m.api == NULL || k.length > best) {
            best = k.length;
            m.api = c->apis.items[i];
            m.rest = arena_str(arena, k.rest);
        }
    }
    if (m.api != NULL) {
        m.why = arena_printf(arena, "%s:%u: path \"%s\"%s%s%s", m.api->o.file, m.api->o.line, m.api->path,
                             m.api->version[0] == '\0' ? "" : ", version ", m.api->version,
                             count > 1 ? "; the longest of those that fit" : "");
    }
    return m;
}

/* One segment against a pattern like "report-{id}.json": a parameter takes at least one character. */
static bool segment_fits(struct slice pattern, struct slice text)
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
    text = slice_from(text, open + 1);
    if (after.n == 0) {
        return true;
    }
    for (size_t i = 0; i <= text.n; i++) {
        if (segment_fits(after, slice_from(text, i))) {
            return true;
        }
    }
    return false;
}

static bool is_rest(struct slice segment)
{
    return slice_eq(segment, SLICE("*")) || slice_starts_with(segment, SLICE("{*"));
}

/* order: per segment '0' literal, '1' with a parameter, '2' the rest; what sorts first wins. */
static bool template_fits(const char *template, struct slice path, const char *query, char *order, size_t room)
{
    struct slice t = slice_of(template), rest = slice_sub(t, 0, slice_find(t, '?'));
    struct slice wanted = slice_from(t, rest.n);
    size_t n = 0;
    while (path.n > 0 && path.p[path.n - 1] == '/') {
        path.n--;
    }
    rest = rest.n > 0 && rest.p[0] == '/' ? slice_from(rest, 1) : rest;
    while (rest.n > 0 && n + 2 < room) {
        struct slice pattern = slice_cut(&rest, '/');
        if (is_rest(pattern)) {
            order[n++] = '2';
            path.n = 0;
            break;
        }
        struct slice text = path.n == 0 ? SLICE_NONE : slice_cut(&path, '/');
        if (!segment_fits(pattern, text)) {
            return false;
        }
        order[n++] = slice_find(pattern, '{') < pattern.n ? '1' : '0';
    }
    order[n] = '\0';
    wanted = wanted.n == 0 ? wanted : slice_from(wanted, 1);
    while (wanted.n > 0) {
        struct slice pair = slice_cut(&wanted, '&');
        struct slice name = slice_cut(&pair, '=');
        bool literal = pair.p != NULL && slice_find(pair, '{') == pair.n;
        if (!query_has(query, name, literal ? pair : SLICE_NONE)) {
            return false;
        }
    }
    return path.n == 0;
}

const struct catalog_operation *explain_operation(const struct catalog_api *api, const char *method, const char *rest,
                                                  const struct explain_url *url, size_t *others)
{
    const struct catalog_operation *best = NULL;
    char best_order[128], order[128];
    size_t count = 0;
    for (size_t i = 0; i < api->operation_count; i++) {
        const struct catalog_operation *op = &api->operations[i];
        bool same = strcmp(op->method, "*") == 0 || strcmp(op->method, method) == 0;
        if (!same || !template_fits(op->url_template, slice_of(rest), url->query, order, sizeof order)) {
            continue;
        }
        count++;
        int by = best == NULL ? -1 : strcmp(order, best_order);
        bool narrower = by == 0 && strchr(op->url_template, '?') != NULL && strchr(best->url_template, '?') == NULL;
        if (by < 0 || narrower) {
            best = op;
            strcpy(best_order, order);
        }
    }
    *others = count == 0 ? 0 : count - 1;
    return best;
}
