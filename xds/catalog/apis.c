/* APIs: everything of a head, with its operations. */
#include <string.h>

#include "xds/catalog/build.h"

static const char *copy(struct catalog_api *api, const char *text)
{
    return arena_str(api->o.arena, slice_of(text));
}

static void close_head(struct api_head *h, struct closure why)
{
    if (h->closed.text == NULL) {
        h->closed = why;
    }
}

struct type_name {
    const char *text;
    enum catalog_api_type type;
};

static const struct type_name TYPES[] = {
    {"http", CATALOG_API_HTTP},
    {"websocket", CATALOG_API_WEBSOCKET},
    {"graphql", CATALOG_API_GRAPHQL},
    {"soap", CATALOG_API_SOAP},
};

static void read_type(struct build *b, struct api_head *h, struct catalog_api *api)
{
    struct slice text = props_text(h->props, "type");
    text = text.n == 0 ? props_text(h->props, "apiType") : text;
    text = text.n == 0 ? SLICE("http") : text;
    api->type_text = lower(api->o.arena, text);
    api->type = CATALOG_API_OTHER;
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        if (strcmp(api->type_text, TYPES[i].text) == 0) {
            api->type = TYPES[i].type;
        }
    }
    if (api->type == CATALOG_API_OTHER) {
        close_head(h, closure_at(b, props_get(h->props, "type"), h->info->path, "APIs of type %s are not supported yet",
                                 api->type_text));
    }
}

static void add_protocol(struct catalog_api *api, struct slice text)
{
    bool socket = api->type == CATALOG_API_WEBSOCKET; /* takes nothing but handshakes, however that is written */
    bool graphql = api->type == CATALOG_API_GRAPHQL;  /* whose subscriptions are WebSockets */
    bool http = slice_eq_nocase(text, SLICE("http")), https = slice_eq_nocase(text, SLICE("https"));
    bool ws = slice_eq_nocase(text, SLICE("ws")), wss = slice_eq_nocase(text, SLICE("wss"));
    api->http |= http && !socket;
    api->https |= https && !socket;
    api->ws |= (ws && (socket || graphql)) || (http && socket);
    api->wss |= (wss && (socket || graphql)) || (https && socket);
}

static void read_protocols(struct build *b, struct api_head *h, struct catalog_api *api)
{
    const struct doc *list = props_get(h->props, "protocols");
    if (list == NULL || (doc_is(list, DOC_LIST) && doc_len(list) == 0)) {
        add_protocol(api, SLICE("https")); /* the service's default */
        return;
    }
    if (!doc_is(list, DOC_LIST)) {
        close_head(h, closure_at(b, list, h->info->path, "\"protocols\" is not a list"));
    }
    for (size_t i = 0; i < doc_len(list); i++) {
        add_protocol(api, doc_text(doc_at(list, i)));
    }
    if (!api->http && !api->https && !api->ws && !api->wss) {
        close_head(h, closure_at(b, list, h->info->path, "\"protocols\" names none that an API of type %s can have",
                                 api->type_text));
    }
}

static void read_keys(struct build *b, struct api_head *h, struct catalog_api *api)
{
    struct props names = props_child(h->props, "subscriptionKeyParameterNames");
    struct slice header = props_text(names, "header"), query = props_text(names, "query");
    const struct doc *required = props_get(h->props, "subscriptionRequired");
    bool value = true;
    header = header.n == 0 ? SLICE("Ocp-Apim-Subscription-Key") : header;
    query = query.n == 0 ? SLICE("subscription-key") : query;
    api->key_header = arena_str(api->o.arena, header);
    api->key_query = arena_str(api->o.arena, query);
    if (!is_api_token(header)) {
        close_head(h, closure_at(b, props_get(names, "header"), h->info->path,
                                 "the header that carries the key cannot be used"));
    }
    if (required != NULL && !doc_bool(required, &value)) {
        close_head(h, closure_at(b, required, h->info->path, "\"subscriptionRequired\" is neither true nor false"));
    }
    api->subscription_required = value;
}

static void check_specification(struct build *b, struct api_head *h, const struct catalog_api *api)
{
    if (api->type == CATALOG_API_SOAP && h->operation_policies.n > 0) {
        const struct artifact *a = h->operation_policies.items[0];
        close_head(h, closure_at(b, NULL, a->path,
                                 "which operation of a SOAP API is called is not looked at yet, so the policies of "
                                 "its operations cannot be carried out"));
    }
    if (api->type != CATALOG_API_HTTP) {
        return;
    }
    if (h->spec == NULL) {
        close_head(h, closure_at(b, NULL, h->info->path, "it has no specification, so its operations are not known"));
    } else if (h->spec->state == ARTIFACT_BROKEN) {
        close_head(h, closure_of_artifact(h->spec));
    } else if (h->spec->spec == NULL) {
        close_head(h, closure_at(b, NULL, h->spec->path, "of specifications, only those in OpenAPI and WADL say an HTTP API's operations"));
    } else if (h->spec->spec->closed != NULL) {
        const struct openapi *spec = h->spec->spec;
        close_head(h, (struct closure){h->spec->path, spec->line, spec->column, spec->closed});
    }
}

/* The service allows an API in one open product at most; in two it could not say whose context counts. */
static void check_open_products(struct build *b, struct api_head *h)
{
    const struct catalog_product *open = NULL;
    for (size_t i = 0; i < h->products.n; i++) {
        const struct catalog_product *p = h->products.items[i];
        if (p->o.closed != NULL || p->subscription_required) {
            continue;
        }
        if (open != NULL) {
            close_head(h, closure_at(b, NULL, h->info->path, "it is in two open products, %s and %s", open->o.name,
                                     p->o.name));
        }
        open = p;
    }
}

static const char *existing(struct build *b, struct catalog_api *api, const char *name)
{
    return map_has(b->by_name, slice_of(name)) ? copy(api, name) : "";
}

static void set_programs(struct build *b, const struct api_head *h, struct catalog_api *api)
{
    api->service_program = existing(b, api, "policy");
    api->workspace_program = "";
    if (*h->workspace != '\0') {
        const char *name = arena_printf(b->arena, "workspaces/%s/policy", h->workspace);
        api->workspace_program = existing(b, api, lower(b->arena, slice_of(name)));
    }
    api->program = existing(b, api, arena_printf(b->arena, "%s/policy", h->name));
}

static void set_products(const struct api_head *h, struct catalog_api *api)
{
    const char **names = arena_alloc(api->o.arena, (h->products.n + 1) * sizeof(char *));
    for (size_t i = 0; i < h->products.n; i++) {
        const struct catalog_product *p = h->products.items[i];
        names[i] = copy(api, p->o.name);
    }
    api->products = names;
    api->product_count = h->products.n;
}

static void set_place(const struct api_head *h, struct catalog_api *api)
{
    api->workspace = copy(api, h->workspace);
    api->id = copy(api, h->id);
    api->resource = copy(api, h->resource);
    api->path = copy(api, h->path);
    api->path_known = h->path_known;
    api->version_scheme = h->scheme;
    api->version_parameter = copy(api, h->version_parameter);
    api->version = copy(api, h->version);
    api->version_set = copy(api, h->version_set);
    api->revision = copy(api, h->revision);
    api->is_current = h->is_current;
    api->is_online = props_bool(h->props, "isOnline", true);
    struct slice display = props_text(h->props, "displayName");
    api->display_name = arena_str(api->o.arena, display.n == 0 ? slice_of(h->id) : display);
}

static void hash_operations(struct catalog_hash *hash, const struct catalog_api *api)
{
    hash_number(hash, api->operation_count);
    for (size_t i = 0; i < api->operation_count; i++) {
        const struct catalog_operation *op = &api->operations[i];
        hash_text(hash, op->id);
        hash_text(hash, op->method);
        hash_text(hash, op->url_template);
        hash_text(hash, op->program);
        for (size_t k = 0; k < op->context_count; k++) {
            hash_text(hash, op->contexts[k].product);
            hash_text(hash, op->contexts[k].closed);
            hash_text(hash, op->contexts[k].backend);
        }
        for (size_t k = 0; k < op->examples.n; k++) {
            hash_number(hash, op->examples.items[k].status);
            hash_text(hash, op->examples.items[k].type);
            hash_text(hash, op->examples.items[k].body);
        }
    }
}

static void seal(struct catalog_api *api)
{
    struct catalog_hash *hash = &api->o.hash;
    const char *const texts[] = {
        api->id,       api->display_name,    api->path,       api->version_parameter, api->version,
        api->revision, api->type_text,       api->key_header, api->key_query,         api->service_url,
        api->backend,  api->service_program, api->program,    api->o.closed,          api->workspace_program};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hash_text(hash, texts[i]);
    }
    const bool flags[] = {api->path_known, api->is_current, api->is_online,
                          api->http,       api->https,      api->subscription_required,
                          api->ws,         api->wss};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        hash_number(hash, flags[i]);
    }
    hash_number(hash, (uint64_t)api->version_scheme);
    for (size_t i = 0; i < api->product_count; i++) {
        hash_text(hash, api->products[i]);
    }
    hash_operations(hash, api);
}

static void finish_closed(struct build *b, struct api_head *h, struct catalog_api *api)
{
    (void)b;
    if (h->closed.text == NULL) {
        return;
    }
    api->o.closed = closure_text(api->o.arena, h->closed);
    bool said = (h->info->state == ARTIFACT_BROKEN && strcmp(h->closed.file, h->info->path) == 0) ||
                (h->spec != NULL && h->spec->state == ARTIFACT_BROKEN && strcmp(h->closed.file, h->spec->path) == 0);
    if (!said) { /* a broken file is reported with all others */
        object_problem(&api->o, CATALOG_CLOSED, h->closed, api->o.name, "%s", h->closed.text);
    }
}

static struct catalog_api *make_api(struct build *b, struct api_head *h, const struct catalog_backend *backend)
{
    struct catalog_api *api = object_create(b, sizeof *api, h->name, h->info->path);
    api->o.stale = h->info->state == ARTIFACT_STALE || (h->spec != NULL && h->spec->state == ARTIFACT_STALE);
    set_place(h, api);
    read_type(b, h, api);
    read_protocols(b, h, api);
    read_keys(b, h, api);
    check_specification(b, h, api);
    check_open_products(b, h);
    set_programs(b, h, api);
    set_products(h, api);
    api->service_url = arena_str(api->o.arena, slice_trim(doc_text(props_get(h->props, "serviceUrl"))));
    api->backend = backend == NULL ? "" : copy(api, backend->o.name);
    finish_closed(b, h, api);
    api_operations(b, h, api);
    if (h->closed.text == NULL && api->operation_count == 0) {
        struct closure at = {h->spec->path, 1, 0, NULL};
        object_problem(&api->o, CATALOG_WARNING, at, api->o.name, "the specification has no operations");
    }
    seal(api);
    return api;
}

/* Everything that make_api looks at. */
static uint64_t inputs_of_api(struct build *b, const struct api_head *h)
{
    uint64_t in = inputs_add(inputs_of(h->info, h->over), h->spec == NULL ? 0 : h->spec->hash);
    in = inputs_text(inputs_text(inputs_text(in, h->name), h->path), h->version);
    in = inputs_text(inputs_text(in, h->version_parameter), h->spec == NULL ? "" : h->spec->path);
    in = inputs_text(inputs_text(in, h->closed.text), h->closed.file);
    in = inputs_add(inputs_add(in, h->closed.line), (uint64_t)h->scheme * 4 + h->is_current * 2u + h->path_known);
    in = inputs_add(in, b->backends_inputs);
    const char *const scopes[] = {
        "policy",
        *h->workspace == '\0' ? "policy"
                              : lower(b->arena, slice_of(arena_printf(b->arena, "workspaces/%s/policy", h->workspace))),
        arena_printf(b->arena, "%s/policy", h->name)};
    for (size_t i = 0; i < 3; i++) {
        const struct catalog_object *p = map_get(b->by_name, slice_of(scopes[i]));
        in = inputs_add(in, p == NULL ? 0 : p->inputs);
    }
    for (size_t i = 0; i < h->operation_policies.n; i++) {
        const struct artifact *a = h->operation_policies.items[i];
        const char *name =
            arena_printf(b->arena, "%s/operations/%s/policy", h->name, lower(b->arena, slice_of(a->item)));
        const struct catalog_object *p = map_get(b->by_name, slice_of(name));
        in = inputs_add(in, p == NULL ? 0 : p->inputs);
    }
    for (size_t i = 0; i < h->products.n; i++) {
        const struct catalog_product *p = h->products.items[i];
        const struct catalog_object *program = map_get(b->by_name, slice_of(p->program));
        in = inputs_text(inputs_text(in, p->o.name), p->o.closed);
        in = inputs_add(inputs_add(in, p->subscription_required), program == NULL ? 0 : program->inputs);
    }
    return in;
}

void build_apis(struct build *b)
{
    for (size_t i = 0; i < b->heads.n; i++) {
        struct api_head *h = b->heads.items[i];
        const struct catalog_backend *backend = backend_for_api(b, h);
        uint64_t inputs = inputs_of_api(b, h);
        inputs = backend == NULL ? inputs : inputs_text(inputs_add(inputs, backend->o.hash.lo), backend->o.closed);
        const struct catalog_object *old = b->prev == NULL ? NULL : (const void *)catalog_find_api(b->prev, h->name);
        struct catalog_api *api = object_reuse(b, old, inputs);
        if (api == NULL) {
            api = make_api(b, h, backend);
            api->o.inputs = inputs;
        }
        object_publish(b, &b->apis, &api->o);
    }
}
