/*
 * Egret's own resources for a sidecar: the Apis this gateway serves and all that they reach. Fail closed: what the
 * resources cannot say exactly is closed with a reason.
 */
#include <string.h>

#include "pb/egret/apim/v1/apim.pb-c.h"
#include "xds/translate/group.h"
#include "xds/translate/apim.h"

static char *text(struct group *g, const char *s)
{
    return arena_str(g->arena, slice_of(s));
}

static void reach(struct map *set, const char *name)
{
    if (name != NULL && name[0] != '\0') {
        map_put(set, slice_of(name), NULL);
    }
}

static bool is_reached(const struct map *set, const char *name)
{
    return map_has(set, slice_of(name));
}

/* Why the whole API answers 501 here, or NULL. */
static const char *api_closed(const struct apim *m, const struct catalog_api *api)
{
    const struct catalog *c = m->g->in->catalog;
    if (c->closed != NULL) {
        return c->closed;
    }
    if (api->o.closed != NULL) {
        return api->o.closed;
    }
    if (api->type == CATALOG_API_OTHER) {
        return arena_printf(m->g->arena, "%s:%u: APIs of type %s are not served", api->o.file, api->o.line,
                            api->type_text);
    }
    return NULL;
}

static void fill_examples(struct group *g, const struct catalog_operation *op, Egret__Apim__V1__Operation *out)
{
    out->n_examples = op->examples.n;
    out->examples = arena_alloc(g->arena, (op->examples.n + 1) * sizeof out->examples[0]);
    for (size_t i = 0; i < op->examples.n; i++) {
        Egret__Apim__V1__MockExample *e = out->examples[i] = arena_alloc(g->arena, sizeof *e);
        egret__apim__v1__mock_example__init(e);
        e->status = op->examples.items[i].status;
        e->content_type = text(g, op->examples.items[i].type);
        e->body = text(g, op->examples.items[i].body);
    }
}

static Egret__Apim__V1__Operation *make_operation(struct group *g, const struct catalog_operation *op)
{
    Egret__Apim__V1__Operation *out = arena_alloc(g->arena, sizeof *out);
    egret__apim__v1__operation__init(out);
    out->id = text(g, op->id);
    out->method = text(g, op->method);
    out->url_template = text(g, op->url_template);
    out->program = text(g, op->program);
    /* What closes it in some contexts only stands in the programs, which the proxy links for each. */
    out->closed = text(g, op->closed);
    fill_examples(g, op, out);
    return out;
}

static Egret__Apim__V1__Api__VersionScheme version_scheme(enum catalog_version_scheme scheme)
{
    switch (scheme) {
    case CATALOG_VERSION_SEGMENT:
        return EGRET__APIM__V1__API__VERSION_SCHEME__SEGMENT;
    case CATALOG_VERSION_HEADER:
        return EGRET__APIM__V1__API__VERSION_SCHEME__HEADER;
    case CATALOG_VERSION_QUERY:
        return EGRET__APIM__V1__API__VERSION_SCHEME__QUERY;
    case CATALOG_VERSION_NONE:
        break;
    }
    return EGRET__APIM__V1__API__VERSION_SCHEME__NONE;
}

static Egret__Apim__V1__Api__Type api_type(enum catalog_api_type type)
{
    switch (type) {
    case CATALOG_API_WEBSOCKET:
        return EGRET__APIM__V1__API__TYPE__WEBSOCKET_API;
    case CATALOG_API_GRAPHQL:
        return EGRET__APIM__V1__API__TYPE__GRAPHQL_API;
    case CATALOG_API_SOAP:
        return EGRET__APIM__V1__API__TYPE__SOAP_API;
    case CATALOG_API_HTTP:
    case CATALOG_API_OTHER:
        break;
    }
    return EGRET__APIM__V1__API__TYPE__HTTP_API;
}

static void fill_identity(struct group *g, const struct catalog_api *api, Egret__Apim__V1__Api *out)
{
    out->name = text(g, api->o.name);
    out->api_id = text(g, api->id);
    out->display_name = text(g, api->display_name);
    out->path = text(g, api->path);
    out->version_scheme = version_scheme(api->version_scheme);
    out->version_parameter = text(g, api->version_parameter);
    out->version = text(g, api->version);
    out->revision = text(g, api->revision);
    out->is_current = api->is_current;
    out->is_online = api->is_online;
    out->http = api->http;
    out->https = api->https;
    out->ws = api->ws;
    out->wss = api->wss;
    out->key_header = text(g, api->key_header);
    out->key_query = text(g, api->key_query);
    out->subscription_required = api->subscription_required;
    out->type = api_type(api->type);
}

static void reach_from(struct apim *m, const struct catalog_api *api)
{
    for (size_t i = 0; i < api->operation_count; i++) {
        const struct catalog_operation *op = &api->operations[i];
        reach(m->programs, op->program);
        for (size_t k = 0; k < op->context_count; k++) {
            if (op->contexts[k].backend != api->backend) {
                reach(m->backends, op->contexts[k].backend);
            }
        }
    }
    for (size_t i = 0; i < api->product_count; i++) {
        reach(m->products, api->products[i]);
    }
    reach(m->apis, api->resource);
    reach(m->backends, api->backend);
    reach(m->programs, api->service_program);
    reach(m->programs, api->workspace_program);
    reach(m->programs, api->program);
}

static void add_api(struct apim *m, const struct catalog_api *api)
{
    struct group *g = m->g;
    const char *closed = api_closed(m, api);
    reach_from(m, api);
    uint64_t source = source_of(&api->o, closed == NULL ? 0 : slice_hash(slice_of(closed), 1));
    if (group_reuse(g, TYPE_URL("egret.apim.v1.Api"), api->o.name, source)) {
        return;
    }
    Egret__Apim__V1__Api out = EGRET__APIM__V1__API__INIT;
    fill_identity(g, api, &out);
    out.operations = arena_alloc(g->arena, (api->operation_count + 1) * sizeof out.operations[0]);
    for (size_t i = 0; i < api->operation_count; i++) {
        if (api->operations[i].matchable) {
            out.operations[out.n_operations++] = make_operation(g, &api->operations[i]);
        }
    }
    out.n_products = api->product_count;
    out.products = arena_alloc(g->arena, (api->product_count + 1) * sizeof out.products[0]);
    for (size_t i = 0; i < api->product_count; i++) {
        out.products[i] = text(g, api->products[i]);
    }
    out.backend = text(g, api->backend);
    out.service_program = text(g, api->service_program);
    out.workspace_program = text(g, api->workspace_program);
    out.api_program = text(g, api->program);
    out.closed = text(g, closed);
    group_add_message(g, TYPE_URL("egret.apim.v1.Api"), api->o.name, &out.base);
}

static void add_apis(struct apim *m)
{
    const struct catalog *c = m->g->in->catalog;
    const struct catalog_gateway *gateway = group_gateway(m->g);
    for (size_t i = 0; i < c->apis.n; i++) {
        const struct catalog_api *api = c->apis.items[i];
        bool mine = c->gateways.n == 0 || (gateway != NULL && catalog_gateway_serves(gateway, api));
        if (mine && api->path_known) { /* without its path it would swallow every call; the catalog says so */
            add_api(m, api);
        }
    }
}

static void add_products(struct apim *m)
{
    struct group *g = m->g;
    const struct catalog *c = g->in->catalog;
    for (size_t i = 0; i < c->products.n; i++) {
        const struct catalog_product *p = c->products.items[i];
        if (!is_reached(m->products, p->o.name)) {
            continue;
        }
        Egret__Apim__V1__Product out = EGRET__APIM__V1__PRODUCT__INIT;
        out.name = text(g, p->o.name);
        out.product_id = text(g, p->id);
        out.published = p->published;
        out.subscription_required = p->subscription_required;
        out.program = text(g, p->program);
        out.closed = text(g, p->o.closed);
        reach(m->programs, p->program);
        group_add_message(g, TYPE_URL("egret.apim.v1.Product"), p->o.name, &out.base);
    }
}

void apim_resources(struct group *g)
{
    struct apim m = {
        .g = g,
        .apis = map_create(NULL),
        .products = map_create(NULL),
        .programs = map_create(NULL),
        .backends = map_create(NULL),
        .secrets = map_create(NULL),
        .proxies = map_create(NULL),
    };
    add_apis(&m);
    add_products(&m);
    apim_programs(&m);
    apim_backends(&m);
    apim_subscriptions(&m);
    map_destroy(&m.apis);
    map_destroy(&m.products);
    map_destroy(&m.programs);
    map_destroy(&m.backends);
    map_destroy(&m.secrets);
    map_destroy(&m.proxies);
}
