/* Where a request goes: an ordinary route or the API table, then the filters, then an upstream or an answer. */
#include "proxy/exchange/internal.h"

static struct slice find_header(const void *ctx, struct slice name, bool *present)
{
    return head_joined(ctx, name, present);
}

static struct slice find_line(const void *ctx, struct slice name, size_t index, bool *present)
{
    const struct head *head = ctx;
    for (unsigned i = 0; i < head->n; i++) {
        if (slice_eq(head->fields[i].name, name) && index-- == 0) {
            *present = true;
            return head->fields[i].value;
        }
    }
    *present = false;
    return SLICE_NONE;
}

/* What a proxy before us says of the client's side counts; at the edge add_forwarded has put our own word there. */
static struct slice scheme_of(const struct request *r)
{
    struct slice forwarded = head_value_id(r->head, FIELD_X_FORWARDED_PROTO);
    bool known = slice_eq_nocase(forwarded, SLICE("https")) || slice_eq_nocase(forwarded, SLICE("http"));
    return known ? forwarded : r->head->scheme;
}

static struct route_request request_view(const struct request *r)
{
    return (struct route_request){
        .scheme = scheme_of(r),
        .method = r->head->method,
        .authority = r->head->authority,
        .path = r->head->path,
        .header = find_header,
        .header_line = find_line,
        .ctx = r->head,
    };
}

static const struct upgrade_conf *find_upgrade(const struct upgrade_conf *list, size_t n, struct slice type)
{
    for (size_t i = 0; i < n; i++) {
        if (slice_eq_nocase(list[i].type, type)) {
            return &list[i];
        }
    }
    return NULL;
}

/* CONNECT and Upgrade need to be allowed, by the route or else by the connection manager. */
static bool upgrade_allowed(struct request *r, struct slice type)
{
    const struct upgrade_conf *u = r->forward == NULL ? NULL : find_upgrade(r->forward->upgrades, r->forward->upgrade_count, type);
    if (u == NULL) {
        u = find_upgrade(r->hcm->upgrades, r->hcm->n_upgrades, type);
    }
    if (u == NULL || !u->enabled) {
        reply_plain(r, 403, "", 0, "upgrade_failed");
        return false;
    }
    r->connect = u->connect && slice_eq(type, SLICE("CONNECT"));
    return true;
}

static const struct filter_override *find_override(const struct filter_overrides *list, struct slice filter)
{
    for (size_t i = 0; list != NULL && i < list->n; i++) {
        if (slice_eq(list->items[i].name, filter)) {
            return &list->items[i];
        }
    }
    return NULL;
}

/* The most specific scope that names the filter decides; one that only configures it switches it on. */
bool request_skips(const struct request *r, const struct filter_conf *f)
{
    const struct route_match *m = &r->route;
    const struct filter_overrides *scopes[] = {
        m->weighted == NULL ? NULL : m->weighted->user, m->rule == NULL ? NULL : m->rule->user,
        m->vhost == NULL ? NULL : m->vhost->user, m->conf == NULL ? NULL : m->conf->user};
    for (size_t i = 0; i < ARRAY_LEN(scopes); i++) {
        const struct filter_override *o = find_override(scopes[i], f->name);
        if (o != NULL) {
            return o->disabled;
        }
    }
    return f->disabled;
}

static bool run_filters(struct request *r)
{
    r->host.now_s = (uint64_t)loop_now_us(r->owner->loop) / 1000000;
    for (size_t i = 0; i < r->hcm->n_filters; i++) {
        const struct filter_conf *f = &r->hcm->filters[i];
        const struct http_filter *filter = f->config;
        if (!request_skips(r, f) && filter->on_request(filter, &r->host) == FILTER_REPLIED) {
            return false;
        }
    }
    return true;
}

static uint64_t timeout_of(const struct request *r)
{
    if (r->host.apim.match != NULL) {
        return r->host.apim.forward == NULL ? 300000 : r->host.apim.forward->timeout_ms;
    }
    return r->forward == NULL ? 0 : r->forward->timeout_ms;
}

/* A WebSocket handshake has a scheme of its own, which an API takes or not; there is no other switch. */
static bool is_api_handshake(const struct request *r)
{
    return r->host.apim.match != NULL && slice_eq_nocase(r->head->protocol, SLICE("websocket"));
}

static void start(struct request *r)
{
    bool is_connect = slice_eq(r->method, SLICE("CONNECT"));
    struct slice type = is_connect && r->head->protocol.n == 0 ? SLICE("CONNECT") : r->head->protocol;
    if (type.n > 0 && !is_api_handshake(r) && !upgrade_allowed(r, type)) {
        return;
    }
    if (!run_filters(r)) {
        return;
    }
    if (r->cluster.n == 0 && r->host.apim.backend != NULL) {
        r->cluster = r->host.apim.cluster;
    }
    if (r->host.apim.forward != NULL && r->host.apim.forward->keeps_body) {
        replay_begin(r, r->host.max_body_held);
    }
    headers_finish_request(r);
    r->record.cluster = r->cluster;
    if (r->cluster.n == 0 || snapshot_cluster(r->host.snapshot, r->cluster) == NULL) {
        unsigned status = r->forward != NULL && r->forward->cluster_not_found_status != 0 ? r->forward->cluster_not_found_status : 503;
        stat_add(r->stats->no_cluster, loop_index(r->owner->loop), 1);
        r->record.flags |= FLAG_NO_CLUSTER;
        if (r->host.apim.match != NULL) {
            struct err err;
            err_set(&err, ERR_NOT_FOUND, "the backend's cluster is not known");
            r->stale_retry_done = true;
            request_upstream_failed(r, &err);
            return;
        }
        reply_plain(r, status, "", FLAG_NO_CLUSTER, "cluster_not_found");
        return;
    }
    timers_route(r, type.n == 0 ? timeout_of(r) : 0);
    if (r->forward != NULL && type.n == 0) {
        retry_begin(r);
    }
    request_acquire(r, false);
}

static bool serves_apis(const struct request *r)
{
    for (size_t i = 0; i < r->hcm->n_filters; i++) {
        if (r->hcm->filters[i].type == &apim_filter_type && !request_skips(r, &r->hcm->filters[i])) {
            return true;
        }
    }
    return false;
}

/* view: NULL when no virtual host has this name, which APIM answers like any other call that fits nothing. */
static void start_api(struct request *r, const struct route_request *view)
{
    const struct apim_table *table = apim_set_table(snapshot_apim(r->host.snapshot));
    r->record.apim = true;
    if (table == NULL || view == NULL) {
        r->apim_match = (struct apim_match){.reason = APIM_NO_API};
    } else {
        struct route_request asked = *view;
        /* An API's protocols are about what is spoken here, whatever :scheme or x-forwarded-proto say of it. */
        bool tls = r->host.downstream->tls != NULL, websocket = slice_eq_nocase(r->head->protocol, SLICE("websocket"));
        asked.scheme = websocket ? (tls ? SLICE("wss") : SLICE("ws")) : tls ? SLICE("https") : SLICE("http");
        apim_match(table, &asked, r->host.arena, &r->apim_match);
    }
    r->host.apim.match = &r->apim_match;
    start(r);
}

static void redirect(struct request *r, const struct route_request *view)
{
    uint32_t status = 0;
    struct field location = {.name = SLICE("location"), .id = FIELD_LOCATION};
    if (!route_redirect_location(&r->route, view, r->host.arena, &status, &location.value)) {
        reply_plain(r, 500, "", 0, "direct_response");
        return;
    }
    struct local_reply reply = {.status = status, .fields = &location, .n_fields = 1, .details = SLICE("direct_response")};
    reply_local(&r->host, &reply);
}

static void direct(struct request *r)
{
    const struct direct_conf *d = &r->route.rule->direct;
    struct local_reply reply = {
        .status = d->status,
        .body = d->body,
        .content_type = d->body.n > 0 ? SLICE("text/plain") : SLICE_NONE,
        .details = SLICE("direct_response"),
    };
    reply_local(&r->host, &reply);
}

static void no_route(struct request *r, const char *details)
{
    stat_add(r->stats->no_route, loop_index(r->owner->loop), 1);
    reply_plain(r, 404, "", FLAG_NO_ROUTE, details);
}

void request_route(struct request *r)
{
    const struct route_table *table = r->hcm->inline_routes != NULL
                                          ? r->hcm->inline_routes
                                          : snapshot_routes(r->host.snapshot, r->hcm->route_name);
    if (table == NULL) {
        no_route(r, "route_configuration_not_found");
        return;
    }
    struct route_request view = request_view(r);
    route_table_match(table, &view, exchanger_random(r->owner), r->host.arena, &r->route);
    if (r->route.rule != NULL) {
        r->record.route = r->route.rule->name;
    }
    switch (r->route.outcome) {
    case ROUTE_FORWARD:
        r->forward = &r->route.rule->forward;
        r->cluster = r->route.cluster;
        start(r);
        return;
    case ROUTE_DIRECT:
        direct(r);
        return;
    case ROUTE_REDIRECT:
        redirect(r, &view);
        return;
    case ROUTE_APIM:
        start_api(r, &view);
        return;
    case ROUTE_NO_HOST:
        if (serves_apis(r)) {
            start_api(r, NULL);
            return;
        }
        no_route(r, "route_not_found");
        return;
    case ROUTE_NO_MATCH:
        no_route(r, "route_not_found");
        return;
    case ROUTE_DENIED:
        reply_plain(r, 403, "", 0, "route_regex_limit");
        return;
    }
}
