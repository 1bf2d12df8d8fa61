#include "proxy/config/routes.h"

#include <string.h>

#define ACTION_CASE(x) ENVOY__CONFIG__ROUTE__V3__ROUTE__ACTION_##x
#define REDIRECT_PATH(x) ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__PATH_REWRITE_SPECIFIER_##x
#define REDIRECT_SCHEME(x) ENVOY__CONFIG__ROUTE__V3__REDIRECT_ACTION__SCHEME_REWRITE_SPECIFIER_##x

enum { DIRECT_BODY = 4096, MAX_DIRECT_BODY = 16 << 20 };

struct routes_reading { /* what the parts need to know of the whole */
    struct reader *r;
    uint32_t max_direct_body;
    bool check_clusters;
};

/* The entries of a typed_per_filter_config map, whose entry type differs from message to message. */
#define OVERRIDES(r, m, apim, out)                                                                                     \
    do {                                                                                                               \
        struct override_entry *entries =                                                                               \
            arena_alloc((r)->scratch, ((m)->n_typed_per_filter_config + 1) * sizeof *entries);                         \
        for (size_t k = 0; k < (m)->n_typed_per_filter_config; k++) {                                                  \
            entries[k].key = (m)->typed_per_filter_config[k]->key;                                                     \
            entries[k].any = (m)->typed_per_filter_config[k]->value;                                                   \
        }                                                                                                              \
        if (!overrides_read((r), entries, (m)->n_typed_per_filter_config, (apim), (out))) {                            \
            return false;                                                                                              \
        }                                                                                                              \
    } while (0)

/* ---- redirect and direct response ---- */

static bool read_redirect_path(struct reader *r, const pb_redirect *m, struct redirect_conf *out)
{
    switch ((int)m->path_rewrite_specifier_case) {
    case REDIRECT_PATH(PATH_REDIRECT):
        return read_header_value(r, "path_redirect", m->path_redirect, &out->path);
    case REDIRECT_PATH(PREFIX_REWRITE):
        out->has_prefix_rewrite = true;
        return read_header_value(r, "prefix_rewrite", m->prefix_rewrite, &out->prefix_rewrite);
    case REDIRECT_PATH(REGEX_REWRITE):
        return regex_rewrite_read(r, "regex_rewrite", m->regex_rewrite, &out->regex_rewrite);
    default:
        return true;
    }
}

static bool read_redirect(struct reader *r, const pb_redirect *m, struct redirect_conf *out)
{
    static const uint32_t codes[] = {301, 302, 303, 307, 308};
    size_t mark = read_push(r, "redirect");
    out->status = codes[m->response_code];
    out->strip_query = m->strip_query != 0;
    out->port = m->port_redirect;
    if (m->port_redirect > 65535) {
        return read_fail(r, "port_redirect", ERR_INPUT, "must be at most 65535");
    }
    if (m->scheme_rewrite_specifier_case == REDIRECT_SCHEME(HTTPS_REDIRECT) && m->https_redirect) {
        out->scheme = SLICE("https");
    } else if (m->scheme_rewrite_specifier_case == REDIRECT_SCHEME(SCHEME_REDIRECT) &&
               !read_header_value(r, "scheme_redirect", m->scheme_redirect, &out->scheme)) {
        return false;
    }
    if (!read_header_value(r, "host_redirect", m->host_redirect, &out->host) || !read_redirect_path(r, m, out)) {
        return false;
    }
    read_pop(r, mark);
    return true;
}

static bool read_direct(struct routes_reading *rr, const pb_direct *m, struct direct_conf *out)
{
    struct reader *r = rr->r;
    size_t mark = read_push(r, "direct_response");
    out->status = m->status;
    if (m->status < 200 || m->status > 599) {
        return read_fail(r, "status", ERR_INPUT, "must be from 200 to 599");
    }
    struct secret_pem body;
    if (!read_data(r, "body", m->body, (struct data_rule){false, false, rr->max_direct_body}, &body)) {
        return false;
    }
    out->body = body.text;
    read_pop(r, mark);
    return true;
}

/* ---- routes ---- */

static bool check_cluster(struct routes_reading *rr, const char *field, struct slice name)
{
    const struct build_env *env = rr->r->env;
    return !rr->check_clusters || env->has_cluster == NULL || env->has_cluster(env->ctx, name) ||
           read_fail(rr->r, field, ERR_INPUT, "unknown cluster \"%.*s\"", SLICE_ARG(name));
}

static bool check_clusters(struct routes_reading *rr, const struct forward_conf *f)
{
    size_t mark = read_push(rr->r, "route");
    if (f->pick == CLUSTER_NAMED && !check_cluster(rr, "cluster", f->cluster)) {
        return false;
    }
    for (size_t i = 0; i < f->weighted_count; i++) {
        if (!check_cluster(rr, "weighted_clusters", f->weighted[i].name)) {
            return false;
        }
    }
    read_pop(rr->r, mark);
    return true;
}

static bool read_action(struct routes_reading *rr, const pb_route *m, struct route_rule_conf *out)
{
    switch ((int)m->action_case) {
    case ACTION_CASE(ROUTE):
        out->action = ROUTE_ACTION_FORWARD;
        return route_action_read(rr->r, m->route, &out->forward) && check_clusters(rr, &out->forward);
    case ACTION_CASE(REDIRECT):
        out->action = ROUTE_ACTION_REDIRECT;
        return read_redirect(rr->r, m->redirect, &out->redirect);
    case ACTION_CASE(DIRECT_RESPONSE):
        out->action = ROUTE_ACTION_DIRECT;
        return read_direct(rr, m->direct_response, &out->direct);
    default:
        return read_fail(rr->r, NULL, ERR_INPUT, "one of route, redirect, direct_response is required");
    }
}

static bool read_route(struct routes_reading *rr, const pb_route *m, struct route_rule_conf *out)
{
    struct header_lists lists = HEADER_LISTS(m);
    out->name = read_text(rr->r, m->name);
    if (!route_match_read(rr->r, m->match, out) || !read_action(rr, m, out) ||
        !header_lists_read(rr->r, &lists, &out->edits)) {
        return false;
    }
    OVERRIDES(rr->r, m, NULL, &out->user);
    return true;
}

/* ---- virtual hosts ---- */

static bool read_domains(struct reader *r, const pb_vhost *m, struct vhost_conf *out)
{
    if (m->n_domains == 0) {
        return read_required(r, "domains");
    }
    struct slice *domains = read_list(r, m->n_domains, sizeof *domains);
    for (size_t i = 0; i < m->n_domains; i++) {
        if (!read_header_value(r, "domains", m->domains[i], &domains[i])) {
            return false;
        }
        if (domains[i].n == 0) {
            return read_fail(r, "domains", ERR_INPUT, "[%zu] is empty", i);
        }
    }
    out->domains = domains;
    out->domain_count = m->n_domains;
    return true;
}

static bool read_vhost(struct routes_reading *rr, const pb_vhost *m, struct vhost_conf *out)
{
    static const enum vhost_tls tls[] = {VHOST_TLS_NONE, VHOST_TLS_EXTERNAL_ONLY, VHOST_TLS_ALL};
    struct reader *r = rr->r;
    if (m->name[0] == '\0') {
        return read_required(r, "name");
    }
    out->name = read_text(r, m->name);
    out->require_tls = tls[m->require_tls];
    if (!read_domains(r, m, out) || !retry_read(r, "retry_policy", m->retry_policy, &out->retry)) {
        return false;
    }
    struct route_rule_conf *routes = read_list(r, m->n_routes, sizeof *routes);
    for (size_t i = 0; i < m->n_routes; i++) {
        size_t mark = read_push_at(r, "routes", i);
        if (!read_route(rr, m->routes[i], &routes[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    out->routes = routes;
    out->route_count = m->n_routes;
    struct header_lists lists = HEADER_LISTS(m);
    if (!header_lists_read(r, &lists, &out->edits)) {
        return false;
    }
    OVERRIDES(r, m, &out->apim, &out->user);
    return true;
}

static bool read_routes(struct routes_reading *rr, const pb_routes *m, struct route_conf *out)
{
    struct reader *r = rr->r;
    out->name = read_text(r, m->name);
    out->ignore_port = m->ignore_port_in_host_matching != 0;
    out->most_specific_edits_win = m->most_specific_header_mutations_wins != 0;
    if (rr->max_direct_body > MAX_DIRECT_BODY) {
        return read_fail(r, "max_direct_response_body_size_bytes", ERR_LIMIT, "must be at most %d", MAX_DIRECT_BODY);
    }
    struct vhost_conf *hosts = read_list(r, m->n_virtual_hosts, sizeof *hosts);
    for (size_t i = 0; i < m->n_virtual_hosts; i++) {
        size_t mark = read_push_at(r, "virtual_hosts", i);
        if (!read_vhost(rr, m->virtual_hosts[i], &hosts[i])) {
            return false;
        }
        read_pop(r, mark);
    }
    out->vhosts = hosts;
    out->vhost_count = m->n_virtual_hosts;
    struct header_lists lists = HEADER_LISTS(m);
    if (!header_lists_read(r, &lists, &out->edits)) {
        return false;
    }
    OVERRIDES(r, m, NULL, &out->user);
    return true;
}

struct route_table *routes_create(struct reader *r, const pb_routes *m, bool is_inline)
{
    struct routes_reading rr = {
        .r = r,
        .max_direct_body = read_u32(m->max_direct_response_body_size_bytes, DIRECT_BODY),
        .check_clusters = read_bool(m->validate_clusters, is_inline && r->env->is_static),
    };
    struct arena *around = r->arena;
    r->arena = arena_create(0);
    struct route_conf *conf = arena_zalloc(r->arena, sizeof *conf);
    struct route_table *table = NULL;
    if (read_routes(&rr, m, conf)) {
        table = route_table_create(&r->arena, conf, r->err);
        if (table == NULL) {
            read_wrap(r, NULL);
        }
    } else {
        arena_destroy(&r->arena);
    }
    r->arena = around;
    return table;
}
