/* The cors policy: what browsers ask beforehand, and what they must find in the answer (Fetch standard, 3.2). */
#include "proxy/filter/apim_run.h"
#include "proxy/route/path.h"

static struct slice header_of(const struct filter_host *host, struct slice name)
{
    const struct field *f = head_find(host->request, name);
    return f == NULL ? SLICE_NONE : f->value;
}

static bool is_listed(const struct apim_texts *t, struct slice text, bool nocase)
{
    for (size_t i = 0; i < t->n; i++) {
        if (nocase ? slice_eq_nocase(t->items[i], text) : slice_eq(t->items[i], text)) {
            return true;
        }
    }
    return t->any;
}

/* Browsers leave the scheme's own port out; others may not. */
struct slice apim_plain_origin(struct slice origin)
{
    if (slice_starts_with_nocase(origin, SLICE("http://")) && slice_ends_with(origin, SLICE(":80"))) {
        origin.n -= 3;
    } else if (slice_starts_with_nocase(origin, SLICE("https://")) && slice_ends_with(origin, SLICE(":443"))) {
        origin.n -= 4;
    }
    return origin;
}

void apim_cors_headers(struct filter_host *host, struct head *response)
{
    const struct apim_cors *c = host->apim.cors;
    if (c == NULL) {
        return;
    }
    struct slice origin = arena_slice(host->arena, header_of(host, SLICE("origin")));
    head_set(response, SLICE("access-control-allow-origin"), c->origins.any ? SLICE("*") : origin);
    if (!c->origins.any) {
        head_add_id(response, FIELD_VARY, SLICE("Origin"));
    }
    if (c->credentials) {
        head_set(response, SLICE("access-control-allow-credentials"), SLICE("true"));
    }
    if (c->exposed.n > 0) {
        head_set(response, SLICE("access-control-expose-headers"), arena_slice(host->arena, c->exposed));
    }
}

static void answer_empty(struct filter_host *host, struct head *response)
{
    response->status = 200;
    host->response = response;
    host->response_body = SLICE_NONE;
    apim_send(host);
}

bool apim_check_cors(struct filter_host *host, const struct apim_cors *c)
{
    struct slice origin = header_of(host, SLICE("origin"));
    if (origin.n == 0) {
        return true;
    }
    if (is_listed(&c->origins, apim_plain_origin(origin), true)) {
        host->apim.cors = c;
        return true;
    }
    if (!c->terminate_unmatched || host->apim.failing) {
        return true;
    }
    struct head response;
    head_init(&response, host->arena);
    answer_empty(host, &response);
    return false;
}

/* ---- preflight ---- */

static struct slice find_header(const void *ctx, struct slice name, bool *present)
{
    return head_joined(ctx, name, present);
}

/* What the announced request would match. */
static bool match_announced(struct filter_host *host, struct slice method, struct apim_match *m)
{
    const struct apim_table *table = apim_set_table(snapshot_apim(host->snapshot));
    struct route_request view = {
        .scheme = host->downstream->tls == NULL ? SLICE("http") : SLICE("https"), /* as it is spoken, as for calls */
        .method = method,
        .authority = host->request->authority,
        .path = host->request->path,
        .header = find_header,
        .ctx = host->request,
    };
    return table != NULL && (apim_match(table, &view, host->arena, m) || m->reason == APIM_NO_OPERATION);
}

static bool headers_allowed(const struct apim_cors *c, struct slice names)
{
    while (names.p != NULL && names.n > 0) {
        struct slice name = slice_trim(slice_cut(&names, ','));
        if (name.n > 0 && !is_listed(&c->headers, name, true)) {
            return false;
        }
    }
    return true;
}

static void answer_preflight(struct filter_host *host, const struct apim_cors *c, struct slice method)
{
    struct head response;
    struct slice origin = header_of(host, SLICE("origin"));
    struct slice headers = header_of(host, SLICE("access-control-request-headers"));
    head_init(&response, host->arena);
    host->apim.cors = NULL;
    if (is_listed(&c->origins, apim_plain_origin(origin), true) && is_listed(&c->methods, method, false) &&
        headers_allowed(c, headers)) {
        host->apim.cors = c;
        apim_cors_headers(host, &response);
        head_remove(&response, SLICE("access-control-expose-headers"));
        head_set(&response, SLICE("access-control-allow-methods"), arena_slice(host->arena, method));
        if (headers.n > 0) {
            head_set(&response, SLICE("access-control-allow-headers"), arena_slice(host->arena, headers));
        }
        if (c->max_age_s > 0) {
            head_set(&response, SLICE("access-control-max-age"),
                     slice_of(arena_printf(host->arena, "%u", c->max_age_s)));
        }
    }
    answer_empty(host, &response);
}

/* The key is not asked for: a browser sends none. An open product's policies count, no other product's can. */
static const struct apim_product *product_without_key(const struct filter_host *host, const struct apim_api *api)
{
    struct apim_key_output out;
    struct apim_key_input in = {.set = snapshot_apim(host->snapshot), .api = api};
    apim_key_decide(&in, &out);
    return out.product;
}

bool apim_cors_preflight(struct filter_host *host)
{
    struct apim_match *m = arena_zalloc(host->arena, sizeof *m);
    struct slice method = header_of(host, SLICE("access-control-request-method")), why;
    if (!slice_eq(host->request->method, SLICE("OPTIONS")) || method.n == 0 ||
        header_of(host, SLICE("origin")).n == 0 || !match_announced(host, method, m) ||
        apim_match_closed(m).n > 0) {
        return false;
    }
    host->apim.product = product_without_key(host, m->api);
    if (!apim_link(host, m, &why) || !apim_check_chain(host, &why)) {
        host->apim.product = NULL;
        return false;
    }
    const struct apim_instruction *i = apim_find_inbound(host, APIM_OP_CORS);
    if (i == NULL) {
        host->apim.product = NULL;
        return false;
    }
    host->apim.match = m;
    answer_preflight(host, i->cors, method);
    return true;
}
