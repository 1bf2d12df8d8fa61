#include "proxy/filter/apim.h"

#include "pb/egret/apim/v1/apim.pb-c.h"
#include "proxy/filter/apim_mac.h"
#include "proxy/route/path.h"

/* ---- credentials of the backend ---- */

static bool credential_text(struct filter_host *host, const struct apim_credential *c, struct slice *out, bool *secret)
{
    *out = SLICE_NONE;
    for (size_t i = 0; i < c->n_parts; i++) {
        struct slice part = c->parts[i].text;
        if (c->parts[i].secret) {
            *secret = true;
            if (!snapshot_secret(host->snapshot, c->parts[i].text, &part)) {
                return false;
            }
        }
        *out = slice_of(arena_printf(host->arena, "%.*s%.*s", SLICE_ARG(*out), SLICE_ARG(part)));
    }
    return true;
}

static struct slice lower_case(struct arena *arena, struct slice s)
{
    char *p = arena_str(arena, s);
    for (size_t i = 0; i < s.n; i++) {
        p[i] = ascii_lower(p[i]);
    }
    return slice_make(p, s.n);
}

static bool add_credentials(struct filter_host *host, const struct apim_backend *backend)
{
    bool secret = false;
    for (size_t i = 0; i < backend->n_headers; i++) {
        struct slice value;
        if (!credential_text(host, &backend->headers[i], &value, &secret)) {
            return false;
        }
        struct slice name = lower_case(host->arena, backend->headers[i].name);
        head_set(host->request, name, value);
        for (unsigned f = 0; f < host->request->n; f++) {
            if (secret && slice_eq(host->request->fields[f].name, name)) {
                host->request->fields[f].never_index = true;
            }
        }
    }
    return true;
}

/* ---- the path towards the backend ---- */

static bool backend_path(struct filter_host *host, const struct apim_backend *backend, struct slice *path)
{
    const struct apim_match *m = host->apim.match;
    bool has_query = m->query.p != NULL;
    char *text = arena_printf(host->arena, "%.*s%.*s%s%.*s", SLICE_ARG(backend->base_path), SLICE_ARG(m->rest),
                              has_query ? "?" : "", SLICE_ARG(m->query));
    for (size_t i = 0; i < backend->n_query; i++) {
        struct slice value;
        bool secret = false;
        if (!credential_text(host, &backend->query[i], &value, &secret)) {
            return false;
        }
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

static enum filter_verdict send_on(struct filter_host *host)
{
    const struct apim_backend *backend = host->apim.backend;
    struct slice path;
    if (!add_credentials(host, backend) || !backend_path(host, backend, &path)) {
        apim_reply_closed(host, SLICE("a secret of its backend is not available"));
        return FILTER_REPLIED;
    }
    host->request->path = path;
    host->request->authority = backend->authority;
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
    host->masked_header = lower_case(host->arena, api->conf.key_header);
    host->masked_query = api->conf.key_query;
}

/* APIM without forward-request: straight to outbound with an empty 200. */
static enum filter_verdict answer_empty(struct filter_host *host)
{
    struct local_reply reply = {.status = 200, .details = SLICE("apim_no_forward_request")};
    host->reply(host, &reply);
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
        apim_reply_not_found(host);
        return FILTER_REPLIED;
    }
    if (check_key(config, host) == FILTER_REPLIED) {
        return FILTER_REPLIED;
    }
    struct slice why = apim_match_closed(match);
    if (why.n == 0 && host->apim.product != NULL) {
        why = host->apim.product->closed;
    }
    if (why.n > 0 || !apim_programs_run(host, &why)) {
        apim_reply_closed(host, why);
        return FILTER_REPLIED;
    }
    return host->apim.forwards ? send_on(host) : answer_empty(host);
}

/* ---- configuration ---- */

static void *build_filter(const void *message, struct arena *arena, struct err *err)
{
    const Egret__Apim__V1__ApimFilter *m = message;
    struct apim_filter_config *config = arena_zalloc(arena, sizeof *config);
    (void)err;
    config->filter.on_request = on_request;
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
