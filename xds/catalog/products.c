/* Products and their links to APIs; gateways, whose links have the same two forms. */
#include <stdlib.h>
#include <string.h>

#include "xds/catalog/build.h"

struct link_kinds {
    enum artifact_kind each, list; /* a folder for each link; apis.json */
    const char *section;
};

static const struct link_kinds PRODUCT_LINKS = {ARTIFACT_PRODUCT_API, ARTIFACT_PRODUCT_APIS, "products"};
static const struct link_kinds GATEWAY_LINKS = {ARTIFACT_GATEWAY_API, ARTIFACT_GATEWAY_APIS, "gateways"};

/* What links one product or gateway. */
struct links {
    struct vec apis; /* const char *: resources */
    uint64_t inputs;
    bool stale;
};

static struct links *links_of(struct build *b, struct map *all, const char *name)
{
    struct links *l = map_get(all, slice_of(name));
    if (l == NULL) {
        l = arena_zalloc(b->arena, sizeof *l);
        map_put(all, slice_of(name), l);
    }
    return l;
}

static void add_link(struct build *b, struct links *l, const struct artifact *a, struct slice api, uint32_t line)
{
    const char *resource = resource_name(b, a->workspace, "apis", without_revision(last_segment(api)));
    for (size_t i = 0; i < l->apis.n; i++) {
        if (strcmp(l->apis.items[i], resource) == 0) {
            return; /* both layouts say it */
        }
    }
    vec_add(&l->apis, (void *)(uintptr_t)resource);
    if (!map_has(b->resources, slice_of(resource))) {
        struct closure at = {a->path, line, 0, NULL};
        build_problem(b, CATALOG_WARNING, at, resource_name(b, a->workspace, "apis", without_revision(api)),
                      "%s names an API that does not exist", a->path);
    }
}

static void read_links(struct build *b, const struct link_kinds *kinds, struct map *all)
{
    for (size_t i = 0; i < b->snap->other_count; i++) {
        const struct artifact *a = b->snap->others[i];
        if ((a->kind != kinds->each && a->kind != kinds->list) || a->state == ARTIFACT_BROKEN) {
            continue;
        }
        struct links *l = links_of(b, all, resource_name(b, a->workspace, kinds->section, slice_of(a->id)));
        l->inputs = inputs_add(l->inputs, inputs_of(a, NULL));
        l->stale |= a->state == ARTIFACT_STALE;
        if (a->kind == kinds->each) {
            add_link(b, l, a, slice_of(a->item), 1);
            continue;
        }
        for (size_t k = 0; k < doc_len(a->doc); k++) {
            const struct doc *entry = doc_at(a->doc, k);
            struct slice name = doc_text(doc_get(entry, "name"));
            if (name.n > 0) {
                add_link(b, l, a, name, doc_line(entry));
            } else {
                struct closure at = {a->path, doc_line(entry), doc_column(entry), NULL};
                build_problem(b, CATALOG_WARNING, at, "", "a link without a name");
            }
        }
    }
}

static int compare_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static const char *const *copy_links(struct arena *arena, const struct links *l)
{
    size_t n = l == NULL ? 0 : l->apis.n;
    const char **out = arena_alloc(arena, (n + 1) * sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        out[i] = arena_str(arena, slice_of(l->apis.items[i]));
    }
    qsort(out, n, sizeof(char *), compare_text);
    return out;
}

static void free_links(struct map *all)
{
    for (struct map_item *i = map_first(all); i != NULL; i = map_next(i)) {
        struct links *l = map_value(i);
        vec_fini(&l->apis);
    }
    map_destroy(&all);
}

static void read_properties(struct build *b, struct catalog_product *p, const struct artifact *a, struct props props)
{
    const struct doc *required = props_get(props, "subscriptionRequired");
    bool value = true;
    if (required != NULL && !doc_bool(required, &value)) {
        object_close(&p->o, closure_at(b, required, a->path, "\"subscriptionRequired\" is neither true nor false"));
    }
    struct slice display = props_text(props, "displayName");
    p->subscription_required = value;
    p->published = slice_eq_nocase(props_text(props, "state"), SLICE("published"));
    p->display_name = arena_str(p->o.arena, display.n == 0 ? slice_of(a->id) : display);
}

/* The first CLOSED in a product's document; which of its calls that concerns, the operations' contexts say. */
static const char *program_closed(struct catalog_product *p, const struct catalog_program *program)
{
    if (program == NULL) {
        return NULL;
    }
    struct policy_effect effect;
    const struct policy_program *chain[] = {program->policy};
    policy_link(chain, 1, &effect);
    if (effect.closed == NULL) {
        return NULL;
    }
    struct closure c = {program->o.file, program->first_line + effect.closed->line - 1, 0, effect.closed->reason};
    return closure_text(p->o.arena, c);
}

static struct catalog_product *make_product(struct build *b, const struct artifact *a, const char *name,
                                            const struct links *links)
{
    const struct override *o = override_of(b, a);
    struct catalog_product *p = object_create(b, sizeof *p, name, a->path);
    const char *program = arena_printf(b->arena, "%s/policy", name);
    bool has_program = map_has(b->by_name, slice_of(program));
    p->workspace = arena_str(p->o.arena, slice_of(a->workspace));
    p->id = arena_str(p->o.arena, slice_of(a->id));
    p->o.stale = a->state == ARTIFACT_STALE || (links != NULL && links->stale);
    if (a->state == ARTIFACT_BROKEN) {
        p->o.closed = closure_text(p->o.arena, closure_of_artifact(a));
    }
    object_close(&p->o, closure_of_override(b, o));
    read_properties(b, p, a, props_of(a, o));
    p->program = has_program ? arena_str(p->o.arena, slice_of(program)) : "";
    p->program_closed = program_closed(p, map_get(b->by_name, slice_of(p->program)));
    p->apis = copy_links(p->o.arena, links);
    p->api_count = links == NULL ? 0 : links->apis.n;
    struct catalog_hash *h = &p->o.hash;
    hash_text(h, p->display_name);
    hash_number(h, p->published * 2u + p->subscription_required);
    hash_text(h, p->program);
    hash_text(h, p->program_closed);
    hash_text(h, p->o.closed);
    for (size_t i = 0; i < p->api_count; i++) {
        hash_text(h, p->apis[i]);
    }
    return p;
}

/* Each revision of a linked API is in the product. */
static void add_to_heads(struct build *b)
{
    for (size_t i = 0; i < b->heads.n; i++) {
        struct api_head *h = b->heads.items[i];
        struct vec *names = map_get(b->product_links, slice_of(h->resource));
        for (size_t k = 0; names != NULL && k < names->n; k++) {
            vec_add(&h->products, names->items[k]);
        }
    }
}

static void remember(struct build *b, struct catalog_product *p)
{
    for (size_t i = 0; i < p->api_count; i++) {
        struct vec *v = map_get(b->product_links, slice_of(p->apis[i]));
        if (v == NULL) {
            v = arena_zalloc(b->arena, sizeof *v);
            map_put(b->product_links, slice_of(p->apis[i]), v);
        }
        vec_add(v, p);
    }
}

static int compare_objects(const void *a, const void *b)
{
    const struct catalog_object *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

void build_products(struct build *b)
{
    struct map *all = map_create(NULL);
    read_links(b, &PRODUCT_LINKS, all);
    for (size_t i = 0; i < b->snap->other_count; i++) {
        const struct artifact *a = b->snap->others[i];
        if (a->kind != ARTIFACT_PRODUCT) {
            continue;
        }
        const char *name = resource_name(b, a->workspace, "products", slice_of(a->id));
        const struct links *links = map_get(all, slice_of(name));
        const struct catalog_object *program = map_get(b->by_name, slice_of(arena_printf(b->arena, "%s/policy", name)));
        uint64_t inputs = inputs_add(inputs_of(a, override_of(b, a)), links == NULL ? 0 : links->inputs);
        inputs = inputs_add(inputs, program == NULL ? 0 : program->inputs);
        const struct catalog_object *old = b->prev == NULL ? NULL : (const void *)catalog_find_product(b->prev, name);
        struct catalog_product *p = object_reuse(b, old, inputs);
        if (p == NULL) {
            p = make_product(b, a, name, links);
            p->o.inputs = inputs;
        }
        object_publish(b, &b->products, &p->o);
    }
    if (b->products.n > 0) {
        qsort(b->products.items, b->products.n, sizeof(void *), compare_objects);
    }
    for (size_t i = 0; i < b->products.n; i++) {
        remember(b, b->products.items[i]);
    }
    add_to_heads(b);
    free_links(all);
}

void build_gateways(struct build *b)
{
    struct map *all = map_create(NULL);
    read_links(b, &GATEWAY_LINKS, all);
    for (size_t i = 0; i < b->snap->other_count; i++) {
        const struct artifact *a = b->snap->others[i];
        if (a->kind != ARTIFACT_GATEWAY) {
            continue;
        }
        const struct override *o = override_of(b, a);
        const char *name = resource_name(b, a->workspace, "gateways", slice_of(a->id));
        const struct links *links = map_get(all, slice_of(name));
        uint64_t inputs = inputs_add(inputs_of(a, o), links == NULL ? 0 : links->inputs);
        const struct catalog_object *old = b->prev == NULL ? NULL : (const void *)catalog_find_gateway(b->prev, name);
        struct catalog_gateway *g = object_reuse(b, old, inputs);
        if (g == NULL) {
            g = object_create(b, sizeof *g, name, a->path);
            g->o.inputs = inputs;
            g->o.stale = a->state == ARTIFACT_STALE;
            g->id = arena_str(g->o.arena, slice_of(a->id));
            g->region = arena_str(g->o.arena, props_text(props_child(props_of(a, o), "locationData"), "name"));
            g->apis = copy_links(g->o.arena, links);
            g->api_count = links == NULL ? 0 : links->apis.n;
            hash_text(&g->o.hash, g->region);
            for (size_t k = 0; k < g->api_count; k++) {
                hash_text(&g->o.hash, g->apis[k]);
            }
        }
        object_publish(b, &b->gateways, &g->o);
    }
    free_links(all);
}
