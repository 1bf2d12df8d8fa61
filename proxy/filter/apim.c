#include "proxy/filter/apim.h"

#include "pb/egret/apim/v1/apim.pb-c.h"
#include "proxy/filter/apim_mac.h"
#include "proxy/filter/apim_run.h"
#include "proxy/route/path.h"

/* ---- towards the backend ---- */

static bool add_credentials(struct filter_host *host, const struct apim_backend *backend)
{
    for (size_t i = 0; i < backend->n_headers; i++) {
        struct apim_set_value set = {.name = apim_lower(host->arena, backend->headers[i].name),
                                     .values = &backend->headers[i].value,
                                     .n = 1};
        if (!apim_set_header(host, host->request, &set)) {
            return false;
        }
    }
    return true;
}

static bool backend_path(struct filter_host *host, const struct apim_backend *backend, struct slice *path)
{
    const struct apim_call *call = &host->apim;
    bool has_query = call->query.p != NULL;
    struct slice base = backend->base_path;
    base.n -= slice_ends_with(base, SLICE("/")) && slice_starts_with(call->rest, SLICE("/"));
    char *text = arena_printf(host->arena, "%.*s%.*s%s%.*s", SLICE_ARG(base), SLICE_ARG(call->rest),
                              has_query ? "?" : "", SLICE_ARG(call->query));
    for (size_t i = 0; i < backend->n_query; i++) {
        struct slice value;
        bool secret = false;
        if (!apim_value_text(host, &backend->query[i].value, &value, &secret)) {
            return false;
        }
        value = apim_query_text(host->arena, value);
        text = arena_printf(host->arena, "%s%c%.*s=%.*s", text, has_query ? '&' : '?', SLICE_ARG(backend->query[i].name),
                            SLICE_ARG(value));
        has_query = true;
    }
    *path = slice_of(text);
    if (path->n == 0 || path->p[0] != '/') {
        *path = slice_of(arena_printf(host->arena, "/%s", text));
    }
    return true;
}

/* A backend that was sent before the program that asks for another version: as it has been spoken to so far. */
static struct slice cluster_of(const struct apim_call *call)
{
    enum apim_http http = call->forward == NULL ? APIM_HTTP1 : call->forward->http;
    for (size_t i = 0; call->proxy.n > 0 && i < call->backend->n_proxied; i++) {
        const struct apim_proxied *p = &call->backend->proxied[i];
        if (p->http == http && slice_eq(p->proxy, call->proxy)) {
            return p->cluster;
        }
    }
    if (call->proxy.n > 0) {
        return SLICE_NONE; /* never around it */
    }
    struct slice other = http == APIM_HTTP1 ? SLICE_NONE : call->backend->other_cluster[http - 1];
    return other.n > 0 ? other : call->backend->cluster;
}

/* Nobody expects a body behind a HEAD: a backend may take it for the next request. */
static void drop_body(struct filter_host *host)
{
    struct head *head = host->request;
    apim_drop_stages(host, true);
    host->replaces_request_body = host->drops_request_body = true;
    host->request_body = SLICE_NONE;
    head_remove_id(head, FIELD_CONTENT_TYPE);
    head_remove_id(head, FIELD_CONTENT_ENCODING);
    head_remove_id(head, FIELD_EXPECT);
    apim_forget_body(head);
}

static enum filter_verdict send_on(struct filter_host *host)
{
    struct apim_call *call = &host->apim;
    struct slice path, why = SLICE_NONE;
    call->backend = call->backend_name.n == 0
                        ? NULL
                        : apim_set_backend(snapshot_apim(host->snapshot), call->backend_name);
    if (call->backend == NULL) {
        why = call->backend_name.n == 0 ? SLICE("no backend is configured") : SLICE("its backend has not arrived");
    } else if (call->backend->closed.n > 0) {
        why = call->backend->closed;
    } else if (cluster_of(call).n == 0) {
        why = SLICE("policy <proxy>: no way through this proxy to its backend is known");
    } else if (!add_credentials(host, call->backend) || !backend_path(host, call->backend, &path)) {
        why = SLICE("a secret of its backend is not available");
    }
    if (why.n > 0) {
        apim_reply_closed(host, why);
        return FILTER_REPLIED;
    }
    call->cluster = cluster_of(call);
    if (host->request->protocol.n > 0) { /* an upgrade carries no body, but another protocol */
        apim_drop_stages(host, true);
        host->replaces_request_body = false;
    }
    bool plain = host->request->protocol.n == 0;
    if (plain && call->asked_method.n > 0 && slice_eq(host->request->method, SLICE("HEAD"))) {
        drop_body(host);
    }
    if (call->rewrites_response) { /* what is compressed cannot be read, nor a part of it */
        head_remove_id(host->request, FIELD_ACCEPT_ENCODING);
        head_remove_id(host->request, FIELD_RANGE);
        head_remove(host->request, SLICE("if-range"));
    }
    host->request->path = path;
    host->request->authority = call->authority.n > 0 ? call->authority : call->backend->authority;
    return FILTER_CONTINUE;
}

static enum filter_verdict check_key(const struct apim_filter_config *config, struct filter_host *host)
{
    const struct apim_api *api = host->apim.match->api;
    struct slice key;
    struct apim_key_output out;
    struct apim_key_input in = {
        .set = snapshot_apim(host->snapshot),
        .api = api,
        .given = apim_key_find(api, host->request, host->arena, &key),
        .reject_invalid_key_on_open_api = config->reject_invalid_key_on_open_api,
    };
    if (in.given) {
        in.subscription = apim_mac_find(host->mac, in.set, key);
    }
    apim_key_decide(&in, &out);
    host->apim.subscription = out.subscription;
    host->apim.product = out.product;
    if (out.verdict != KEY_ALLOWED) {
        apim_reply_key(host, out.verdict == KEY_MISSING);
        return FILTER_REPLIED;
    }
    return FILTER_CONTINUE;
}

static void mask_key(struct filter_host *host, const struct apim_api *api)
{
    if (api == NULL) {
        host->masks_whole_query = true;
        return;
    }
    host->masked_header = apim_lower(host->arena, api->conf.key_header);
    host->masked_query = api->conf.key_query;
}

/* The policies' part of it, once it is clear who asks for what. */
static enum filter_verdict run(struct filter_host *host)
{
    switch (apim_run_request(host)) {
    case APIM_RUN_REPLIED:
        return FILTER_REPLIED;
    case APIM_RUN_FORWARD:
        return send_on(host);
    case APIM_RUN_ANSWER: /* no forward-request: straight to outbound with an empty 200 */
        apim_run_answer(host);
        return FILTER_REPLIED;
    }
    return FILTER_REPLIED;
}

static enum filter_verdict on_request(const struct http_filter *filter, struct filter_host *host)
{
    const struct apim_filter_config *config = (const void *)filter;
    const struct apim_match *match = host->apim.match;
    if (match == NULL) {
        return FILTER_CONTINUE; /* an ordinary route */
    }
    mask_key(host, match->api);
    if (match->reason != APIM_MATCHED) {
        if (!apim_cors_preflight(host)) {
            apim_reply_not_found(host);
        }
        return FILTER_REPLIED;
    }
    if (check_key(config, host) == FILTER_REPLIED) {
        return FILTER_REPLIED;
    }
    struct slice why = apim_match_closed(match);
    if (why.n == 0 && host->apim.product != NULL) {
        why = host->apim.product->closed;
    }
    if (why.n > 0 || !apim_link(host, match, &why) || !apim_check_chain(host, &why)) {
        apim_reply_closed(host, why);
        return FILTER_REPLIED;
    }
    return run(host);
}

static void on_response(const struct http_filter *filter, struct filter_host *host)
{
    (void)filter;
    apim_leave_all(host); /* forward-request is through */
    if (host->apim.linked && host->response->status != 101) {
        apim_run_response(host);
    }
}

/* ---- configuration ---- */

static void *build_filter(const void *message, struct arena *arena, struct err *err)
{
    const Egret__Apim__V1__ApimFilter *m = message;
    struct apim_filter_config *config = arena_zalloc(arena, sizeof *config);
    (void)err;
    config->filter.on_request = on_request;
    config->filter.on_response = on_response;
    config->gateway_id = arena_slice(arena, slice_of(m->gateway_id));
    config->region = arena_slice(arena, slice_of(m->region));
    config->reject_invalid_key_on_open_api = m->reject_invalid_key_on_open_api;
    return config;
}

/* A virtual host that carries this is answered from the API table; the message itself says nothing more. */
static void *build_table(const void *message, struct arena *arena, struct err *err)
{
    (void)message;
    (void)err;
    return arena_zalloc(arena, 1);
}

const struct extension_type apim_filter_type = {
    .kind = EXTENSION_HTTP_FILTER,
    .message = "egret.apim.v1.ApimFilter",
    .build = build_filter,
};

const struct extension_type apim_per_host_type = {
    .kind = EXTENSION_PER_ROUTE,
    .message = "egret.apim.v1.ApiTable",
    .build = build_table,
};
