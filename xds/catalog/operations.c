/* An API's operations: the policy document of each, and in which contexts it can be served. */
#include <string.h>

#include "base/macros.h"
#include "xds/catalog/build.h"
#include "xds/source/template.h"

enum { SCOPES = 5 }; /* operation, API, product, workspace, service */

struct linking {
    struct build *b;
    const struct api_head *h;
    struct catalog_api *api;
    const struct openapi *spec;
    const struct catalog_program *scopes[SCOPES];
    const struct catalog_program **of_operation; /* by index in the specification */
    const char *api_backend;                     /* "" = none */
    const struct doc *document;                  /* the specification, once a policy asked for its examples */
    bool document_read;
};

static const struct catalog_program *program_of(struct build *b, const char *name)
{
    return map_get(b->by_name, slice_of(name));
}

static struct closure at_instruction(const struct catalog_program *p, const struct policy_instruction *i,
                                     const char *text)
{
    return (struct closure){catalog_program_file(p, i), catalog_program_line(p, i), i->column, text};
}

/* What this chain does, or why it cannot. *backend is "" when closed. */
static struct closure link_chain(struct linking *l, const char **backend, bool *mocks)
{
    const struct policy_program *chain[SCOPES];
    struct policy_effect effect;
    struct build *b = l->b;
    for (size_t i = 0; i < SCOPES; i++) {
        chain[i] = l->scopes[i] == NULL ? NULL : l->scopes[i]->policy;
    }
    policy_link(chain, SCOPES, &effect);
    *backend = "";
    *mocks |= effect.mocks;
    if (effect.closed != NULL) {
        return at_instruction(l->scopes[effect.closed_scope], effect.closed, effect.reason);
    }
    struct closure none = {l->h->info->path, 1, 0, NULL};
    if (effect.forwards > 1) {
        none.text = "its policies reach <forward-request> more than once, which is not supported";
        return none;
    }
    if (effect.forwards == 0) { /* a policy answers */
        return (struct closure){NULL, 0, 0, NULL};
    }
    const char *name = l->api_backend;
    struct closure at = none;
    if (effect.backend != NULL) {
        const struct catalog_program *p = l->scopes[effect.backend_scope];
        name = catalog_program_backend(p, effect.backend);
        at = at_instruction(p, effect.backend, NULL);
        if (*name == '\0') {
            at.text = effect.backend->base_url != NULL
                          ? "set-backend-service: its URL cannot be used"
                          : arena_printf(b->arena, "there is no backend %s", effect.backend->backend_id);
            return at;
        }
    }
    const struct catalog_backend *k = *name == '\0' ? NULL : backend_find(b, name);
    if (k == NULL) {
        none.text = "it has no serviceUrl and no policy sets a backend";
        return none;
    }
    if (k->o.closed != NULL) {
        at.text = arena_printf(b->arena, "its backend %s is closed: %s", k->o.name, k->o.closed);
        return at;
    }
    if (effect.proxy != NULL && !k->https) {
        return at_instruction(l->scopes[effect.proxy_scope], effect.proxy,
                              "policy <proxy>: a backend without TLS is not reached through a proxy");
    }
    *backend = arena_str(l->api->o.arena, slice_of(name));
    return (struct closure){NULL, 0, 0, NULL};
}

/* The specification is read again, once for an API, for those few whose policies mock. */
static void read_examples(struct linking *l, const struct openapi_operation *from, struct catalog_operation *op)
{
    struct err err;
    if (l->h->spec == NULL) {
        return;
    }
    if (!l->document_read) {
        l->document_read = true;
        l->document = folder_specification(l->b->snap, l->h->spec, l->b->arena, &err);
        if (l->document == NULL) {
            struct closure at = {l->h->spec->path, 1, 0, NULL};
            object_problem(&l->api->o, CATALOG_WARNING, at, l->api->o.name, "no examples for mock-response: %s", err.text);
        }
    }
    if (l->document != NULL) {
        openapi_examples_read(l->api->o.arena, l->document, from, &op->examples);
    }
}

/* The closures of one operation: [0] without product, then the API's products. */
static void link_operation(struct linking *l, const struct openapi_operation *from, struct catalog_operation *op,
                           struct closure *why)
{
    struct arena *arena = l->api->o.arena;
    size_t n = l->api->product_count + 1;
    struct catalog_context *contexts = arena_zalloc(arena, n * sizeof *contexts);
    bool open = false, mocks = false;
    for (size_t i = 0; i < n; i++) {
        struct catalog_product *product = i == 0 ? NULL : l->h->products.items[i - 1];
        contexts[i].product = product == NULL ? "" : l->api->products[i - 1];
        contexts[i].backend = "";
        if (l->h->closed.text != NULL) {
            why[i] = l->h->closed;
        } else if (from->closed != NULL) {
            why[i] = (struct closure){l->h->spec->path, from->line, from->column, from->closed};
        } else if (product != NULL && product->o.closed != NULL) {
            const char *text = arena_printf(l->b->arena, "product %s is closed", product->o.name);
            why[i] = (struct closure){product->o.file, product->o.line, 0, text};
        } else {
            l->scopes[2] = product == NULL || *product->program == '\0' ? NULL : program_of(l->b, product->program);
            why[i] = link_chain(l, &contexts[i].backend, &mocks);
        }
        contexts[i].closed = why[i].text == NULL ? NULL : closure_text(arena, why[i]);
        open |= why[i].text == NULL;
    }
    if (open && mocks) {
        read_examples(l, from, op);
    }
    op->contexts = contexts;
    op->context_count = n;
    op->closed = open ? NULL : contexts[0].closed;
    l->api->open_operations += open ? 1 : 0;
}

static bool same_closure(struct closure a, struct closure b)
{
    return a.text != NULL && b.text != NULL && a.line == b.line && strcmp(a.text, b.text) == 0 &&
           strcmp(a.file, b.file) == 0;
}

static void report(struct linking *l, const char *object, struct closure why, size_t context)
{
    if (context == 0) {
        object_problem(&l->api->o, CATALOG_CLOSED, why, object, "%s", why.text);
    } else {
        object_problem(&l->api->o, CATALOG_CLOSED, why, object, "%s (for subscribers of %s)", why.text,
                       l->api->products[context - 1]);
    }
}

/* Each reason once for the whole API where it closes all operations, else once for each operation. */
static void report_closures(struct linking *l, const struct closure *why, size_t contexts)
{
    size_t n = l->api->operation_count;
    for (size_t c = 0; c < contexts; c++) {
        bool all = n > 0;
        for (size_t i = 1; i < n && all; i++) {
            all = same_closure(why[i * contexts + c], why[c]);
        }
        for (size_t i = 0; i < (all ? 1 : n); i++) {
            struct closure w = why[i * contexts + c];
            if (w.text == NULL || (c > 0 && same_closure(w, why[i * contexts]))) {
                continue;
            }
            const char *op = arena_printf(l->b->arena, "%s/operations/%s", l->api->o.name, l->api->operations[i].id);
            report(l, all ? l->api->o.name : lower(l->b->arena, slice_of(op)), w, c);
        }
    }
}

/* An operation id names a policy folder: exactly, else without regard to case, else as import would have written it. */
static size_t find_operation(struct build *b, const struct openapi *spec, const char *id)
{
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < spec->n; i++) {
            const char *own = spec->operations[i].id;
            if (pass == 0 ? strcmp(own, id) == 0
                : pass == 1
                    ? strcasecmp(own, id) == 0
                    : strcmp(openapi_normalise_id(b->arena, slice_of(own)), lower(b->arena, slice_of(id))) == 0) {
                return i;
            }
        }
    }
    return spec->n;
}

/* Returns true when some policy folder belongs to no operation. */
static bool assign_policies(struct linking *l)
{
    const struct openapi *spec = l->spec;
    bool orphan = false;
    for (size_t i = 0; i < l->h->operation_policies.n; i++) {
        const struct artifact *a = l->h->operation_policies.items[i];
        size_t at = find_operation(l->b, spec, a->item);
        const char *name =
            arena_printf(l->b->arena, "%s/operations/%s/policy", l->h->name, lower(l->b->arena, slice_of(a->item)));
        if (at < spec->n && l->of_operation[at] == NULL) {
            l->of_operation[at] = program_of(l->b, name);
            continue;
        }
        struct closure where = {a->path, 1, 0, NULL};
        object_problem(&l->api->o, CATALOG_WARNING, where, name, "the API has no operation %s", a->item);
        orphan = true;
    }
    return orphan;
}

/* The document of an operation without operationId may be the one that fits nothing: it must not be left out. */
static void close_unsure(struct openapi_operation *from)
{
    if (from->id_is_derived && from->closed == NULL) {
        from->closed = "it has no operationId, and a policy of this API belongs to no known operation: it may be its";
    }
}

static void report_derived(struct linking *l, const struct openapi_operation *from)
{
    if (from->id_is_derived) {
        struct closure at = {l->h->spec->path, from->line, from->column, NULL};
        object_problem(&l->api->o, CATALOG_WARNING, at, l->api->o.name, "%s %s has no operationId; taken as %s",
                       from->method, from->url_template, from->id);
    }
}

static void fill_operation(struct linking *l, const struct openapi_operation *from, size_t i,
                           struct catalog_operation *op)
{
    struct arena *arena = l->api->o.arena;
    op->id = arena_str(arena, slice_of(from->id));
    op->method = arena_str(arena, slice_of(from->method));
    op->url_template = arena_str(arena, slice_of(from->url_template));
    op->matchable = template_check(op->url_template) == NULL;
    op->line = from->line;
    l->scopes[0] = l->of_operation[i];
    op->program = l->scopes[0] == NULL ? "" : arena_str(arena, slice_of(l->scopes[0]->o.name));
}

/* A pass-through GraphQL API: queries as a body or in the URL, on the API's own path; what they say is the backend's. */
static const struct openapi_operation GRAPHQL_OPERATIONS[] = {
    {.id = "graphql-post", .method = "POST", .url_template = "/", .line = 1},
    {.id = "graphql-get", .method = "GET", .url_template = "/", .line = 1},
};
/* Likewise SOAP: envelopes to the API's own path, whatever the action. */
static const struct openapi_operation SOAP_OPERATIONS[] = {
    {.id = "soap", .method = "POST", .url_template = "/", .line = 1},
};
/* The one operation of a WebSocket API, by the name that the service gives it. */
static const struct openapi_operation WEBSOCKET_OPERATIONS[] = {
    {.id = "onHandshake", .method = "GET", .url_template = "/*", .line = 1},
};

static const struct openapi *specification(const struct api_head *h, const struct catalog_api *api)
{
    static const struct openapi graphql = {.operations = GRAPHQL_OPERATIONS, .n = ARRAY_LEN(GRAPHQL_OPERATIONS)};
    static const struct openapi soap = {.operations = SOAP_OPERATIONS, .n = ARRAY_LEN(SOAP_OPERATIONS)};
    static const struct openapi websocket = {.operations = WEBSOCKET_OPERATIONS, .n = ARRAY_LEN(WEBSOCKET_OPERATIONS)};
    switch (api->type) {
    case CATALOG_API_GRAPHQL:
        return &graphql;
    case CATALOG_API_SOAP:
        return &soap;
    case CATALOG_API_WEBSOCKET:
        return &websocket;
    case CATALOG_API_HTTP:
    case CATALOG_API_OTHER:
        break;
    }
    return h->spec == NULL ? NULL : h->spec->spec;
}

void api_operations(struct build *b, const struct api_head *h, struct catalog_api *api)
{
    const struct openapi *spec = specification(h, api);
    if (spec == NULL || spec->n == 0) {
        return;
    }
    size_t n = spec->n, contexts = api->product_count + 1;
    struct linking l = {.b = b, .h = h, .api = api, .spec = spec, .api_backend = api->backend};
    l.of_operation = arena_zalloc(b->arena, n * sizeof *l.of_operation);
    l.scopes[1] = *api->program == '\0' ? NULL : program_of(b, api->program);
    l.scopes[3] = *api->workspace_program == '\0' ? NULL : program_of(b, api->workspace_program);
    l.scopes[4] = *api->service_program == '\0' ? NULL : program_of(b, api->service_program);
    struct catalog_operation *ops = arena_zalloc(api->o.arena, n * sizeof *ops);
    struct closure *why = mem_alloc(n * contexts * sizeof *why);
    bool orphan = assign_policies(&l);
    api->operations = ops;
    api->operation_count = n;
    for (size_t i = 0; i < n; i++) {
        struct openapi_operation from = spec->operations[i];
        if (orphan) {
            close_unsure(&from);
        }
        fill_operation(&l, &from, i, &ops[i]);
        report_derived(&l, &from);
        link_operation(&l, &from, &ops[i], &why[i * contexts]);
    }
    if (h->closed.text == NULL) { /* else said once, for the API */
        report_closures(&l, why, contexts);
    }
    mem_free(why);
}
