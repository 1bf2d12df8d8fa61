/* Paths and locations that a chosen route asks for. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "proxy/route/compiled.h"
#include "proxy/route/path.h"

static struct slice join(struct arena *arena, struct slice a, struct slice b)
{
    char *p = arena_alloc(arena, a.n + b.n + 1);
    if (a.n > 0) {
        memcpy(p, a.p, a.n);
    }
    if (b.n > 0) {
        memcpy(p + a.n, b.p, b.n);
    }
    p[a.n + b.n] = '\0';
    return slice_make(p, a.n + b.n);
}

/* How much of the path the route's matcher named; what a prefix rewrite replaces. */
static size_t matched_length(const struct route_rule_conf *c, struct slice path)
{
    switch (c->path_kind) {
    case ROUTE_PATH_PREFIX:
    case ROUTE_PATH_SEPARATED_PREFIX:
        return c->path.n;
    case ROUTE_PATH_EXACT:
    case ROUTE_PATH_REGEX:
    case ROUTE_PATH_CONNECT:
        break;
    }
    return path.n;
}

struct path_edit {
    bool has_prefix;
    struct slice prefix;
    struct slice substitution;
};

/* `path` without query → *out without query; the path itself when the edit changes nothing. */
static bool edit_path(const struct route_entry *e, const struct path_edit *edit, struct slice path, struct arena *arena,
                      struct slice *out)
{
    *out = path;
    if (e->rewrite != NULL) {
        struct regex_scratch scratch = {.arena = arena};
        return regex_replace(e->rewrite, edit->substitution, path, &scratch, out) != REGEX_LIMIT;
    }
    if (edit->has_prefix) {
        *out = join(arena, edit->prefix, slice_from(path, matched_length(e->conf, path)));
    }
    return true;
}

bool route_rewrite_path(const struct route_match *match, const struct route_request *req, struct arena *arena,
                        struct slice *out)
{
    const struct forward_conf *f = &match->rule->forward;
    struct path_edit edit = {f->has_prefix_rewrite && f->prefix_rewrite.n > 0, f->prefix_rewrite,
                             f->regex_rewrite.substitution};
    struct slice query;
    struct slice path = path_split(req->path, &query), edited;
    *out = req->path;
    if (!edit_path(match->entry, &edit, path, arena, &edited)) {
        return false;
    }
    if (edited.p != path.p || edited.n != path.n) {
        *out = join(arena, edited, slice_from(req->path, path.n));
    }
    return true;
}

/* The authority of the location: host and port replaced, or a port dropped that only the old scheme implied. */
static struct slice redirect_authority(const struct redirect_conf *r, const struct route_request *req,
                                       struct slice scheme, struct arena *arena)
{
    if (r->port != 0) {
        struct slice host = r->host.n > 0 ? r->host : route_host_of(req->authority);
        char port[16];
        int n = snprintf(port, sizeof port, ":%u", r->port);
        return join(arena, host, slice_make(port, (size_t)n));
    }
    if (r->host.n > 0) {
        return r->host;
    }
    struct slice port = route_port_of(req->authority);
    bool changed = !slice_eq_nocase(scheme, req->scheme);
    bool implied = (slice_eq(scheme, SLICE("https")) && slice_eq(port, SLICE("80"))) ||
                   (slice_eq(scheme, SLICE("http")) && slice_eq(port, SLICE("443")));
    return changed && implied ? route_host_of(req->authority) : req->authority;
}

static bool redirect_target(const struct route_match *match, const struct route_request *req, struct arena *arena,
                            struct slice *out)
{
    const struct redirect_conf *r = &match->rule->redirect;
    struct slice query, edited;
    struct slice path = path_split(req->path, &query);
    struct slice tail = r->strip_query ? SLICE_NONE : slice_from(req->path, path.n);
    if (r->path.n > 0) {
        bool own_query = slice_find(r->path, '?') < r->path.n;
        *out = own_query ? r->path : join(arena, r->path, tail);
        return true;
    }
    struct path_edit edit = {r->has_prefix_rewrite && r->prefix_rewrite.n > 0, r->prefix_rewrite,
                             r->regex_rewrite.substitution};
    if (!edit_path(match->entry, &edit, path, arena, &edited)) {
        return false;
    }
    *out = join(arena, edited, tail);
    return true;
}

bool route_redirect_location(const struct route_match *match, const struct route_request *req, struct arena *arena,
                             uint32_t *status, struct slice *location)
{
    static const struct redirect_conf to_tls = {.scheme = {"https", 5}};
    const struct redirect_conf *r = match->rule == NULL ? &to_tls : &match->rule->redirect;
    struct slice target = req->path;
    if (match->rule != NULL && !redirect_target(match, req, arena, &target)) {
        return false;
    }
    struct slice scheme = r->scheme.n > 0 ? r->scheme : req->scheme;
    struct slice authority = redirect_authority(r, req, scheme, arena);
    *status = r->status == 0 ? 301 : r->status;
    *location = join(arena, join(arena, scheme, SLICE("://")), join(arena, authority, target));
    return true;
}
