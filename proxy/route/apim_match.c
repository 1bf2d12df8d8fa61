/* A request against an API table: path and host, version, revision, scheme; the operation is apim_find.c's. */
#include <string.h>

#include "base/arena.h"
#include "proxy/route/apim_table.h"
#include "proxy/route/apim_trie.h"
#include "proxy/route/canon.h"
#include "proxy/route/fold.h"
#include "proxy/route/path.h"

/* The first n segments of the request's path, as they would stand in a key. */
struct prefix {
    uint64_t hash;
    uint32_t key_n;    /* bytes of the key */
    uint32_t start;    /* where the last segment begins in the key */
    uint32_t raw_end;  /* where it ends in the path */
    bool has_revision; /* the last segment ended in ";rev=…", which key_n and hash leave out */
    struct slice revision;
};

struct lookup {
    const struct apim_table *table;
    const struct route_request *req;
    struct arena *arena;
    struct slice path, query;
    struct slice host, authority;
    struct canon canon;                      /* of all prefixes: each is a beginning of it */
    struct prefix prefixes[APIM_DEPTHS + 1]; /* one segment more than a path can have: the version */
    uint32_t prefix_count;
};

/* Cuts ";rev=N" off the last segment of the key. Nothing in front of it: only the empty path has such a segment. */
static void strip_revision(const struct canon *c, struct prefix *p)
{
    struct slice segment = slice_make(c->p + p->start, p->key_n - p->start);
    size_t at = slice_search(segment, SLICE(";rev="));
    if (at == segment.n || (at == 0 && c->segments > 1)) {
        return;
    }
    p->has_revision = true;
    p->revision = slice_from(segment, at + 5);
    p->key_n = p->start + (uint32_t)at;
    p->hash = plain_hash(slice_make(c->p, p->key_n));
}

/*
 * Up to one segment more than the longest API path. A key with ";rev=" in its middle belongs to no API, but its
 * last segment may still be a version.
 */
static void make_prefixes(struct lookup *l)
{
    canon_init(&l->canon);
    l->prefixes[0] = (struct prefix){.hash = FOLD_START};
    l->prefix_count = 1;
    size_t at = 0;
    while (at < l->path.n && l->prefix_count <= l->table->max_depth + 1) {
        struct slice rest = slice_from(l->path, at + 1);
        struct slice segment = slice_sub(rest, 0, slice_find(rest, '/'));
        uint32_t start = (uint32_t)l->canon.n + (l->canon.segments > 0);
        bool opens_empty = segment.n == 0 && l->canon.segments == 0; /* no API path does */
        if (opens_empty || !canon_add(&l->canon, segment)) {
            return;
        }
        at += 1 + segment.n;
        struct prefix p = {l->canon.hash, (uint32_t)l->canon.n, start, (uint32_t)at, false, SLICE_NONE};
        strip_revision(&l->canon, &p);
        bool of_empty_path = p.has_revision && p.key_n == 0; /* "/;rev=2/…" */
        l->prefixes[of_empty_path ? 0 : l->prefix_count++] = p;
    }
}

static bool serves(const struct lookup *l, const struct apim_api *api)
{
    return apim_group_serves(api, l->host) || (api->conf.host_count > 0 && apim_group_serves(api, l->authority));
}

static bool group_serves(const struct lookup *l, const struct apim_group *g)
{
    for (uint32_t i = 0; i < g->count; i++) {
        if (serves(l, g->members[i].api)) {
            return true;
        }
    }
    return false;
}

/* The group with the longest path that is there for this host; *depth says which prefix it is. */
static const struct apim_group *find_group(const struct lookup *l, uint32_t *depth)
{
    for (uint32_t i = l->prefix_count; i-- > 0;) {
        const struct prefix *p = &l->prefixes[i];
        if (i >= APIM_DEPTHS || l->table->depth_counts[i] == 0) {
            continue;
        }
        const struct apim_group *g = apim_table_group(l->table, p->hash, slice_make(l->canon.p, p->key_n));
        if (g != NULL && (g->plain || group_serves(l, g))) {
            *depth = i;
            return g;
        }
    }
    return NULL;
}

/* How an API's version stands to what the request names. */
enum version_fit { VERSION_FITS, VERSION_ORIGINAL, VERSION_OTHER, VERSION_UNKNOWN /* named, and not this one */ };

static struct slice query_value(const struct lookup *l, struct slice name, bool *found)
{
    struct slice rest = l->query, n, v;
    while (query_next(&rest, &n, &v)) {
        if (slice_eq_nocase(query_decode(n, l->arena), name)) {
            *found = true;
            return query_decode(v, l->arena);
        }
    }
    return SLICE_NONE;
}

static enum version_fit named_version(const struct apim_api *api, struct slice value)
{
    struct slice version = api->conf.version;
    value = slice_trim(value);
    if (value.n == 0) {
        return version.n == 0 ? VERSION_ORIGINAL : VERSION_OTHER;
    }
    return version.n > 0 && slice_eq_nocase(value, version) ? VERSION_FITS : VERSION_UNKNOWN;
}

static enum version_fit version_of(const struct lookup *l, const struct apim_api *api, uint32_t depth)
{
    bool found = false;
    switch (api->conf.versioning) {
    case APIM_VERSION_NONE:
        return VERSION_ORIGINAL;
    case APIM_VERSION_HEADER: {
        struct slice value = route_request_header(l->req, api->conf.version_parameter, &found);
        return named_version(api, found ? value : SLICE_NONE);
    }
    case APIM_VERSION_QUERY:
        return named_version(api, query_value(l, api->conf.version_parameter, &found));
    case APIM_VERSION_SEGMENT:
        break;
    }
    if (api->conf.version.n == 0) {
        return VERSION_ORIGINAL;
    }
    if (depth + 1 >= l->prefix_count) {
        return VERSION_OTHER;
    }
    const struct prefix *p = &l->prefixes[depth + 1];
    struct slice segment = slice_make(l->canon.p + p->start, p->key_n - p->start);
    return slice_eq(segment, api->version_key) ? VERSION_FITS : VERSION_OTHER;
}

/* What the APIs of a group come to. */
struct choice {
    bool version_fits;                /* some API has the version named: those without one do not count */
    bool unknown;                     /* a version was named, and an API of that scheme has another */
    bool any;                         /* some API counts, of whatever revision */
    const struct apim_member *member; /* the first that counts and whose revision fits */
    bool through_segment;
};

static bool revision_fits(const struct apim_api *api, const struct prefix *p)
{
    if (!p->has_revision) {
        return api->conf.is_current;
    }
    return (api->conf.is_online || api->conf.is_current) && slice_eq(api->conf.revision, p->revision);
}

/* The revision may be named behind the version segment, or right behind the path. */
static const struct prefix *revision_place(const struct lookup *l, uint32_t depth, bool through_segment)
{
    const struct prefix *at_path = &l->prefixes[depth];
    return through_segment && !at_path->has_revision ? &l->prefixes[depth + 1] : at_path;
}

static void consider(const struct lookup *l, const struct apim_member *member, uint32_t depth, struct choice *c)
{
    const struct apim_api *api = member->api;
    enum version_fit fit = version_of(l, api, depth);
    if (fit == VERSION_UNKNOWN) {
        c->unknown = true;
    }
    if (fit == VERSION_OTHER || fit == VERSION_UNKNOWN || (fit == VERSION_ORIGINAL && c->version_fits)) {
        return;
    }
    if (fit == VERSION_FITS && !c->version_fits) {
        *c = (struct choice){.version_fits = true};
    }
    bool through = fit == VERSION_FITS && api->conf.versioning == APIM_VERSION_SEGMENT;
    c->any = true;
    if (c->member == NULL && revision_fits(api, revision_place(l, depth, through))) {
        c->member = member;
        c->through_segment = through;
    }
}

static enum apim_reason pick_member(const struct lookup *l, const struct apim_group *g, uint32_t depth,
                                    const struct apim_member **member, struct slice *rest)
{
    if (g->plain && !l->prefixes[depth].has_revision) {
        *member = &g->members[0];
        *rest = slice_from(l->path, l->prefixes[depth].raw_end);
        return APIM_MATCHED;
    }
    struct choice c = {.member = NULL};
    for (uint32_t i = 0; i < g->count; i++) {
        if (serves(l, g->members[i].api)) {
            consider(l, &g->members[i], depth, &c);
        }
    }
    if (!c.any || (c.unknown && !c.version_fits)) {
        return APIM_NO_VERSION;
    }
    if (c.member == NULL) {
        return APIM_NO_REVISION;
    }
    *member = c.member;
    *rest = slice_from(l->path, l->prefixes[depth + (c.through_segment ? 1 : 0)].raw_end);
    return APIM_MATCHED;
}

static bool scheme_fits(const struct apim_member *member, struct slice scheme)
{
    static const struct slice names[APIM_SCHEMES] = {{"http", 4}, {"https", 5}, {"ws", 2}, {"wss", 3}};
    for (size_t i = 0; i < APIM_SCHEMES; i++) {
        if (slice_eq_nocase(scheme, names[i])) {
            return member->schemes[i];
        }
    }
    return member->schemes[APIM_HTTP];
}

static enum apim_reason match(struct lookup *l, struct apim_match *out)
{
    l->path = path_split(l->req->path, &l->query);
    out->query = l->query;
    if (l->path.n == 0 || l->path.p[0] != '/' || l->path.n > UINT32_MAX || canon_is_hostile(l->path)) {
        return APIM_BAD_PATH;
    }
    make_prefixes(l);
    uint32_t depth = 0;
    const struct apim_group *g = find_group(l, &depth);
    if (g == NULL) {
        return APIM_NO_API;
    }
    const struct apim_member *member = NULL;
    enum apim_reason reason = pick_member(l, g, depth, &member, &out->rest);
    if (reason != APIM_MATCHED) {
        return reason;
    }
    out->api = member->api;
    if (!scheme_fits(member, l->req->scheme)) {
        return APIM_NO_SCHEME;
    }
    bool found = apim_trie_find(member->trie, l->req->method, l->arena, out);
    return found || member->closed ? APIM_MATCHED : APIM_NO_OPERATION;
}

bool apim_match(const struct apim_table *table, const struct route_request *req, struct arena *arena,
                struct apim_match *out)
{
    struct lookup l; /* 3 KB: filled step by step, not cleared */
    l.table = table;
    l.req = req;
    l.arena = arena;
    l.authority = req->authority;
    l.host = route_host_of(req->authority);
    *out = (struct apim_match){.api = NULL};
    out->reason = match(&l, out);
    return out->reason == APIM_MATCHED;
}

struct slice apim_match_closed(const struct apim_match *match)
{
    if (match->api != NULL && match->api->conf.closed.n > 0) {
        return match->api->conf.closed;
    }
    return match->operation == NULL ? SLICE_NONE : match->operation->conf.closed;
}

struct slice apim_match_param(const struct apim_match *match, struct slice name, bool *found)
{
    for (size_t i = 0; i < match->param_count; i++) {
        if (slice_eq_nocase(match->params[i].name, name)) {
            *found = true;
            return match->params[i].value;
        }
    }
    *found = false;
    return SLICE_NONE;
}

const char *apim_reason_name(enum apim_reason reason)
{
    switch (reason) {
    case APIM_MATCHED:
        return "matched";
    case APIM_BAD_PATH:
        return "malformed path";
    case APIM_NO_API:
        return "no API has this path";
    case APIM_NO_VERSION:
        return "no such version";
    case APIM_NO_REVISION:
        return "no such revision";
    case APIM_NO_SCHEME:
        return "the API does not take this scheme";
    case APIM_NO_OPERATION:
        return "no operation fits";
    }
    return "?";
}
