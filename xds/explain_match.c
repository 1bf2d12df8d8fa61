/* From a URL to the API that answers it: the rules of the proxy's table, said in words. */
#include <string.h>
#include <strings.h>

#include "xds/explain.h"

static int hex(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct slice explain_decode(struct arena *arena, struct slice text)
{
    char *out = arena_alloc(arena, text.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        int high = text.p[i] == '%' && i + 2 < text.n ? hex(text.p[i + 1]) : -1;
        int low = high < 0 ? -1 : hex(text.p[i + 2]);
        out[n++] = low < 0 ? text.p[i] : (char)(high * 16 + low);
        i += low < 0 ? 0 : 2;
    }
    return slice_make(out, n);
}

/* The path's segments, decoded one by one, with "." and ".." carried out. false: too many. */
static bool cut_path(struct arena *arena, struct slice path, struct explain_path *out)
{
    out->n = 0;
    out->slash = slice_ends_with(path, SLICE("/"));
    while (path.n > 0) {
        struct slice segment = explain_decode(arena, slice_cut(&path, '/'));
        if (slice_eq(segment, SLICE("..")) || slice_eq(segment, SLICE("."))) {
            out->n -= segment.n == 2 && out->n > 0;
        } else if (out->n == EXPLAIN_SEGMENTS) {
            return false;
        } else {
            out->items[out->n++] = segment;
        }
    }
    return true;
}

/* "host:port" without its port. */
static struct slice host_of(struct slice authority)
{
    size_t end = slice_starts_with(authority, SLICE("[")) ? slice_find(authority, ']') + 1 : slice_find(authority, ':');
    return slice_sub(authority, 0, end);
}

bool explain_split(struct arena *arena, const char *url, struct explain_url *out)
{
    struct slice rest = slice_of(url), scheme = SLICE_NONE, host = SLICE_NONE;
    size_t at = slice_search(rest, SLICE("://"));
    if (at < slice_find(rest, '/')) {
        scheme = slice_sub(rest, 0, at);
        rest = slice_from(rest, at + 3);
        size_t end = slice_find(rest, '/'), query = slice_find(rest, '?');
        host = host_of(slice_sub(rest, 0, end < query ? end : query));
        rest = slice_from(rest, end < query ? end : query);
    }
    rest = slice_sub(rest, 0, slice_find(rest, '#'));
    size_t mark = slice_find(rest, '?');
    struct slice path = slice_sub(rest, 0, mark);
    path = slice_starts_with(path, SLICE("/")) ? slice_from(path, 1) : path;
    out->scheme = arena_str(arena, scheme);
    out->host = arena_str(arena, host);
    out->query = mark < rest.n ? arena_str(arena, slice_from(rest, mark + 1)) : "";
    return cut_path(arena, path, &out->path);
}

/* How an API stands to the version that the request names. */
enum fit { FITS, ORIGINAL, OTHER, UNKNOWN };

struct lookup {
    struct arena *arena;
    const struct explain_url *url;
    const struct explain_request *request;
    size_t depth;          /* segments of the path that was found */
    struct slice revision; /* named right behind it; p == NULL: none */
};

static enum fit compare_version(const struct catalog_api *api, struct slice named)
{
    struct slice version = slice_of(api->version);
    named = slice_trim(named);
    if (named.n == 0) {
        return version.n == 0 ? ORIGINAL : OTHER;
    }
    return version.n > 0 && slice_eq_nocase(named, version) ? FITS : UNKNOWN;
}

static struct slice query_value(const struct lookup *l, const char *name)
{
    struct slice rest = slice_of(l->url->query);
    while (rest.n > 0) {
        struct slice pair = slice_cut(&rest, '&'), key = slice_cut(&pair, '=');
        if (slice_eq_nocase(explain_decode(l->arena, key), slice_of(name))) {
            return explain_decode(l->arena, pair);
        }
    }
    return SLICE_NONE;
}

static struct slice header_value(const struct lookup *l, const char *name)
{
    for (size_t i = 0; i < l->request->header_count; i++) {
        struct slice value = slice_of(l->request->headers[i]), key = slice_trim(slice_cut(&value, ':'));
        if (slice_eq_nocase(key, slice_of(name))) {
            return slice_trim(value);
        }
    }
    return SLICE_NONE;
}

/* Cuts ";rev=N" off a segment. */
static struct slice cut_revision(struct slice *segment)
{
    size_t at = slice_search(*segment, SLICE(";rev="));
    struct slice revision = at < segment->n ? slice_from(*segment, at + 5) : SLICE_NONE;
    *segment = slice_sub(*segment, 0, at);
    return revision;
}

static enum fit version_of(const struct lookup *l, const struct catalog_api *api, struct slice *revision)
{
    switch (api->version_scheme) {
    case CATALOG_VERSION_NONE:
        return ORIGINAL;
    case CATALOG_VERSION_HEADER:
        return compare_version(api, header_value(l, api->version_parameter));
    case CATALOG_VERSION_QUERY:
        return compare_version(api, query_value(l, api->version_parameter));
    case CATALOG_VERSION_SEGMENT:
        break;
    }
    if (api->version[0] == '\0') {
        return ORIGINAL;
    }
    struct slice segment = l->depth < l->url->path.n ? l->url->path.items[l->depth] : SLICE_NONE;
    struct slice named = cut_revision(&segment);
    if (segment.n == 0 || !slice_eq_nocase(segment, slice_of(api->version))) {
        return OTHER;
    }
    *revision = revision->p == NULL ? named : *revision;
    return FITS;
}

static bool revision_fits(const struct catalog_api *api, struct slice revision)
{
    if (revision.p == NULL) {
        return api->is_current;
    }
    return (api->is_online || api->is_current) && slice_eq(revision, slice_of(api->revision));
}

/* Segments of the API's path, when the URL begins with them; -1 when not. */
static int begins_with(const struct lookup *l, const struct catalog_api *api, struct slice *revision)
{
    struct slice rest = slice_of(api->path);
    size_t n = 0;
    *revision = SLICE_NONE;
    while (rest.n > 0) {
        struct slice want = explain_decode(l->arena, slice_cut(&rest, '/'));
        struct slice got = n < l->url->path.n ? l->url->path.items[n] : SLICE_NONE;
        if (rest.n == 0) {
            *revision = cut_revision(&got);
        }
        if (n++ >= l->url->path.n || !slice_eq_nocase(want, got)) {
            return -1;
        }
    }
    if (n == 0 && l->url->path.n > 0 && slice_starts_with(l->url->path.items[0], SLICE(";rev="))) {
        *revision = slice_from(l->url->path.items[0], 5);
    }
    return (int)n;
}

static bool is_served(const struct catalog *c, const struct catalog_api *api, const char *gateway)
{
    if (!api->path_known || gateway[0] == '\0' || c->gateways.n == 0) {
        return api->path_known;
    }
    for (size_t i = 0; i < c->gateways.n; i++) {
        if (strcasecmp(c->gateways.items[i]->id, gateway) == 0) {
            return catalog_gateway_serves(c->gateways.items[i], api);
        }
    }
    return false;
}

struct choice {
    const struct catalog_api *api;
    bool version_fits, unknown, any, by_segment;
};

static void consider(const struct lookup *l, const struct catalog_api *api, struct choice *c)
{
    struct slice revision = l->revision;
    enum fit fit = version_of(l, api, &revision);
    c->unknown |= fit == UNKNOWN;
    if (fit == OTHER || fit == UNKNOWN || (fit == ORIGINAL && c->version_fits)) {
        return;
    }
    if (fit == FITS && !c->version_fits) {
        *c = (struct choice){.version_fits = true};
    }
    c->any = true;
    if (c->api == NULL && revision_fits(api, revision)) {
        c->api = api;
        c->by_segment = fit == FITS && api->version_scheme == CATALOG_VERSION_SEGMENT;
    }
}

/* What is left of the path, behind path, version and revision. */
static void take_rest(const struct lookup *l, const struct choice *c, struct explain_path *rest)
{
    bool of_empty_path = l->depth == 0 && l->revision.p != NULL;
    size_t from = l->depth + (c->by_segment || of_empty_path ? 1 : 0);
    rest->n = l->url->path.n - from;
    for (size_t i = 0; i < rest->n; i++) {
        rest->items[i] = l->url->path.items[from + i];
    }
    rest->slash = l->url->path.slash;
}

static bool find_depth(const struct catalog *c, struct lookup *l)
{
    int best = -1;
    for (size_t i = 0; i < c->apis.n; i++) {
        struct slice revision;
        int depth = is_served(c, c->apis.items[i], l->request->gateway) ? begins_with(l, c->apis.items[i], &revision) : -1;
        if (depth > best) {
            best = depth;
            l->revision = revision;
        }
    }
    l->depth = best < 0 ? 0 : (size_t)best;
    return best >= 0;
}

static const char *tell_choice(const struct lookup *l, const struct choice *c, size_t shorter)
{
    const struct catalog_api *api = c->api;
    static const char *const by[] = {"", " by the segment behind it", " by header ", " by query parameter "};
    return arena_printf(l->arena, "%s:%u: path \"%s\"%s%s%s%s%s", api->o.file, api->o.line, api->path,
                        api->version[0] == '\0' ? "" : ", version ", api->version,
                        api->version[0] == '\0' ? "" : by[api->version_scheme],
                        api->version[0] == '\0' ? "" : api->version_parameter,
                        shorter > 0 ? "; the longest of those that fit" : "");
}

void explain_api(const struct catalog *c, struct arena *arena, const struct explain_url *url,
                 const struct explain_request *request, struct explain_match *m)
{
    struct lookup l = {.arena = arena, .url = url, .request = request};
    struct choice choice = {NULL, false, false, false, false};
    size_t shorter = 0;
    m->api = NULL;
    m->why = "no API has a path that this URL begins with";
    if (!find_depth(c, &l)) {
        return;
    }
    const char *path = "";
    for (size_t i = 0; i < c->apis.n; i++) {
        const struct catalog_api *api = c->apis.items[i];
        struct slice revision;
        int depth = is_served(c, api, request->gateway) ? begins_with(&l, api, &revision) : -1;
        if (depth == (int)l.depth) {
            path = api->path;
            consider(&l, api, &choice);
        }
        shorter += depth >= 0 && depth < (int)l.depth;
    }
    if (!choice.any || (choice.unknown && !choice.version_fits)) {
        m->why = arena_printf(arena, "no API with path \"%s\" has the version that is named, or is there without one", path);
    } else if (choice.api == NULL) {
        m->why = arena_printf(arena, "path \"%s\": no revision %.*s that is online, or none is current", path,
                              SLICE_ARG(l.revision.p == NULL ? SLICE("") : l.revision));
    } else {
        m->api = choice.api;
        m->why = tell_choice(&l, &choice, shorter);
        take_rest(&l, &choice, &m->rest);
    }
}
