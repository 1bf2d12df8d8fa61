/* One route: checked and compiled. */
#include "base/arena.h"
#include "base/err.h"
#include "proxy/route/compiled.h"

static bool check_path(const struct route_rule_conf *c, struct arena *arena, struct route_entry *out, struct err *err)
{
    switch (c->path_kind) {
    case ROUTE_PATH_PREFIX:
    case ROUTE_PATH_EXACT:
    case ROUTE_PATH_CONNECT:
        return true;
    case ROUTE_PATH_SEPARATED_PREFIX:
        if (c->path.n < 2 || c->path.p[c->path.n - 1] == '/' || slice_find(c->path, '?') < c->path.n ||
            slice_find(c->path, '#') < c->path.n) {
            return err_set(err, ERR_INPUT,
                           "match.path_separated_prefix: must not be \"/\", end in '/' or hold '?', '#'");
        }
        return true;
    case ROUTE_PATH_REGEX:
        out->path = regex_compile(c->path, REGEX_WHOLE, arena, err);
        return out->path != NULL || err_prefix(err, "match.safe_regex");
    }
    return err_set(err, ERR_INPUT, "match: unknown path specifier");
}

static bool compile_conditions(const struct route_rule_conf *c, struct arena *arena, struct route_entry *out,
                               struct err *err)
{
    struct header_match *headers = arena_alloc(arena, c->header_count * sizeof *headers);
    struct query_match *query = arena_alloc(arena, c->query_count * sizeof *query);
    for (size_t i = 0; i < c->header_count; i++) {
        if (!header_match_compile(&c->headers[i], arena, &headers[i], err)) {
            return err_prefix(err, "match");
        }
    }
    for (size_t i = 0; i < c->query_count; i++) {
        if (!query_match_compile(&c->query[i], arena, &query[i], err)) {
            return err_prefix(err, "match");
        }
    }
    out->headers = headers;
    out->query = query;
    return true;
}

static bool compile_rewrite(const struct regex_rewrite_conf *c, bool has_prefix_rewrite, struct arena *arena,
                            struct route_entry *out, struct err *err)
{
    if (c->pattern.n == 0) {
        return true;
    }
    if (has_prefix_rewrite) {
        return err_set(err, ERR_INPUT, "regex_rewrite and prefix_rewrite exclude each other");
    }
    out->rewrite = regex_compile(c->pattern, REGEX_ANYWHERE, arena, err);
    return (out->rewrite != NULL && regex_check_substitution(out->rewrite, c->substitution, err)) ||
           err_prefix(err, "regex_rewrite");
}

static bool check_forward(const struct forward_conf *f, struct arena *arena, struct route_entry *out, struct err *err)
{
    if (f->pick == CLUSTER_WEIGHTED) {
        for (size_t i = 0; i < f->weighted_count; i++) {
            out->total_weight += f->weighted[i].weight;
        }
        if (out->total_weight == 0 || out->total_weight > UINT32_MAX) {
            return err_set(err, ERR_INPUT, "route.weighted_clusters: the weights must sum up to 1 … 4294967295");
        }
    } else if (f->cluster.n == 0) {
        return err_set(err, ERR_INPUT, "route: no cluster");
    }
    return compile_rewrite(&f->regex_rewrite, f->has_prefix_rewrite, arena, out, err) || err_prefix(err, "route");
}

static bool check_redirect(const struct redirect_conf *r, struct arena *arena, struct route_entry *out, struct err *err)
{
    uint32_t s = r->status;
    if (s != 0 && s != 301 && s != 302 && s != 303 && s != 307 && s != 308) {
        return err_set(err, ERR_INPUT, "redirect.response_code: %u is no redirect", s);
    }
    if (r->port > 65535) {
        return err_set(err, ERR_INPUT, "redirect.port_redirect: %u", r->port);
    }
    if (r->path.n > 0 && (r->has_prefix_rewrite || r->regex_rewrite.pattern.n > 0)) {
        return err_set(err, ERR_INPUT, "redirect: path_redirect and a rewrite exclude each other");
    }
    return compile_rewrite(&r->regex_rewrite, r->has_prefix_rewrite, arena, out, err) || err_prefix(err, "redirect");
}

static bool check_action(const struct route_rule_conf *c, struct arena *arena, struct route_entry *out, struct err *err)
{
    switch (c->action) {
    case ROUTE_ACTION_FORWARD:
        return check_forward(&c->forward, arena, out, err);
    case ROUTE_ACTION_REDIRECT:
        return check_redirect(&c->redirect, arena, out, err);
    case ROUTE_ACTION_DIRECT:
        if (c->direct.status < 200 || c->direct.status > 599) {
            return err_set(err, ERR_INPUT, "direct_response.status: %u is not within 200 … 599", c->direct.status);
        }
        return true;
    }
    return err_set(err, ERR_INPUT, "no action");
}

bool route_entry_compile(const struct route_rule_conf *conf, struct arena *arena, struct route_entry *out,
                         struct err *err)
{
    *out = (struct route_entry){.conf = conf};
    return check_path(conf, arena, out, err) && compile_conditions(conf, arena, out, err) &&
           check_action(conf, arena, out, err);
}
