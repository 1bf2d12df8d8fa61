#include "xds/catalog/catalog.h"

#include <string.h>

#include "base/arena.h"
#include "xds/catalog/catalog_free.h"

struct catalog *catalog_ref(struct catalog *catalog)
{
    if (catalog != NULL) {
        catalog->refs++;
    }
    return catalog;
}

void catalog_object_unref(struct catalog_object *o)
{
    if (o != NULL && --o->refs == 0) {
        struct arena *arena = o->arena;
        if (o->fini != NULL) {
            o->fini(o);
        }
        arena_destroy(&arena);
    }
}

/* Every object begins with its struct catalog_object, so that a list of any kind is a list of those. */
static void unref_list(const void *items, size_t n)
{
    struct catalog_object *const *objects = items;
    for (size_t i = 0; i < n; i++) {
        catalog_object_unref(objects[i]);
    }
}

void catalog_unref(struct catalog **catalog)
{
    struct catalog *c = *catalog;
    *catalog = NULL;
    if (c == NULL || --c->refs > 0) {
        return;
    }
    unref_list(c->apis.items, c->apis.n);
    unref_list(c->products.items, c->products.n);
    unref_list(c->subscriptions.items, c->subscriptions.n);
    unref_list(c->backends.items, c->backends.n);
    unref_list(c->named_values.items, c->named_values.n);
    unref_list(c->programs.items, c->programs.n);
    unref_list(c->gateways.items, c->gateways.n);
    struct arena *arena = c->arena;
    arena_destroy(&arena);
}

const struct catalog_object *catalog_object_find(const void *items, size_t n, const char *name)
{
    const struct catalog_object *const *objects = items;
    size_t from = 0, to = n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = strcmp(objects[mid]->name, name);
        if (order == 0) {
            return objects[mid];
        }
        if (order < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return NULL;
}

#define FIND(list, name) (const void *)catalog_object_find((list).items, (list).n, name)

const struct catalog_api *catalog_find_api(const struct catalog *c, const char *name)
{
    return FIND(c->apis, name);
}

const struct catalog_product *catalog_find_product(const struct catalog *c, const char *name)
{
    return FIND(c->products, name);
}

const struct catalog_subscription *catalog_find_subscription(const struct catalog *c, const char *name)
{
    return FIND(c->subscriptions, name);
}

const struct catalog_backend *catalog_find_backend(const struct catalog *c, const char *name)
{
    return FIND(c->backends, name);
}

const struct catalog_named_value *catalog_find_named_value(const struct catalog *c, const char *name)
{
    return FIND(c->named_values, name);
}

const struct catalog_program *catalog_find_program(const struct catalog *c, const char *name)
{
    return FIND(c->programs, name);
}

const struct catalog_gateway *catalog_find_gateway(const struct catalog *c, const char *name)
{
    return FIND(c->gateways, name);
}

static const struct catalog_context *context_of(const struct catalog_operation *op, const char *product)
{
    for (size_t i = 1; i < op->context_count; i++) {
        if (strcmp(op->contexts[i].product, product) == 0) {
            return &op->contexts[i];
        }
    }
    return op->context_count == 0 ? NULL : &op->contexts[0];
}

const char *catalog_operation_closed(const struct catalog_operation *op, const char *product)
{
    const struct catalog_context *c = context_of(op, product);
    return op->closed != NULL || c == NULL ? op->closed : c->closed;
}

const char *catalog_program_backend(const struct catalog_program *program, const struct policy_instruction *i)
{
    const struct policy_list *inbound = &program->policy->sections[POLICY_INBOUND];
    const struct policy_list *backend = &program->policy->sections[POLICY_BACKEND];
    if (i >= inbound->items && i < inbound->items + inbound->n) {
        return program->backends[i - inbound->items];
    }
    if (i >= backend->items && i < backend->items + backend->n) {
        return program->backends[inbound->n + (size_t)(i - backend->items)];
    }
    return "";
}

const char *catalog_program_file(const struct catalog_program *program, const struct policy_instruction *i)
{
    return i->file != NULL ? i->file : program->o.file;
}

uint32_t catalog_program_line(const struct catalog_program *program, const struct policy_instruction *i)
{
    return i->file != NULL ? i->line : program->first_line + i->line - 1;
}

static bool contains(const char *const *sorted, size_t n, const char *name)
{
    size_t from = 0, to = n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int order = strcmp(sorted[mid], name);
        if (order == 0) {
            return true;
        }
        if (order < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return false;
}

bool catalog_gateway_serves(const struct catalog_gateway *gateway, const struct catalog_api *api)
{
    return contains(gateway->apis, gateway->api_count, api->resource);
}

static bool api_serves(const struct catalog_api *api, const char *product)
{
    for (size_t i = 0; i < api->operation_count; i++) {
        if (catalog_operation_closed(&api->operations[i], product) == NULL) {
            return true;
        }
    }
    return false;
}

bool catalog_product_serves(const struct catalog *c, const struct catalog_product *product)
{
    for (size_t i = 0; product->o.closed == NULL && i < c->apis.n; i++) {
        const struct catalog_api *api = c->apis.items[i];
        if (api->open_operations > 0 && contains(api->products, api->product_count, product->o.name) &&
            api_serves(api, product->o.name)) {
            return true;
        }
    }
    return false;
}

const char *catalog_problem_kind_name(enum catalog_problem_kind kind)
{
    switch (kind) {
    case CATALOG_WARNING:
        return "WARNING";
    case CATALOG_STALE:
        return "STALE";
    case CATALOG_CLOSED:
        return "CLOSED";
    }
    return "";
}

struct catalog_counts catalog_count(const struct catalog *c)
{
    struct catalog_counts n = {0};
    for (size_t i = 0; c->closed == NULL && i < c->apis.n; i++) {
        n.apis += c->apis.items[i]->open_operations > 0 ? 1 : 0;
        n.operations += c->apis.items[i]->open_operations;
    }
    for (size_t i = 0; c->closed == NULL && i < c->products.n; i++) {
        n.products += catalog_product_serves(c, c->products.items[i]) ? 1 : 0;
    }
    for (size_t i = 0; i < c->subscriptions.n; i++) {
        const struct catalog_subscription *s = c->subscriptions.items[i];
        n.subscriptions += s->o.closed == NULL && (s->primary_key != NULL || s->secondary_key != NULL) ? 1 : 0;
    }
    n.left_out = c->api_files - n.apis;
    return n;
}
