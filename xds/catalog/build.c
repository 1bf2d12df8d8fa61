#include "xds/catalog/build.h"

#include <stdlib.h>
#include <string.h>

static int compare_objects(const void *a, const void *b)
{
    const struct catalog_object *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* What comes from the catalog before is in order already. */
static void sort(void **items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (compare_objects(&items[i - 1], &items[i]) > 0) {
            qsort(items, n, sizeof items[0], compare_objects);
            return;
        }
    }
}

/* Sorts a list into the catalog's memory. The references move along. */
static const void *finish_list(struct build *b, struct vec *v)
{
    void **items = arena_alloc(b->catalog->arena, (v->n + 1) * sizeof(void *));
    if (v->n > 0) {
        memcpy(items, v->items, v->n * sizeof(void *));
        sort(items, v->n);
    }
    vec_fini(v);
    return items;
}

static int compare_problems(const void *a, const void *b)
{
    const struct catalog_problem *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    if (order == 0) {
        order = x->line < y->line ? -1 : x->line > y->line;
    }
    if (order == 0) {
        order = strcmp(x->object, y->object);
    }
    return order != 0 ? order : strcmp(x->reason, y->reason);
}

static size_t count_problems(const struct vec *objects)
{
    size_t n = 0;
    for (size_t i = 0; i < objects->n; i++) {
        n += ((const struct catalog_object *)objects->items[i])->problem_count;
    }
    return n;
}

/* Objects keep their problems, because one that is used again is not looked into again. */
static void finish_problems(struct build *b)
{
    const struct vec *lists[] = {&b->apis,         &b->products, &b->subscriptions, &b->backends,
                                 &b->named_values, &b->programs, &b->gateways};
    size_t max = b->problems.n, n = 0;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        max += count_problems(lists[i]);
    }
    struct catalog_problem *all = arena_alloc(b->catalog->arena, (max + 1) * sizeof *all);
    for (size_t i = 0; i < b->problems.n; i++) {
        all[n++] = *(struct catalog_problem *)b->problems.items[i];
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t k = 0; k < lists[i]->n; k++) {
            const struct catalog_object *o = lists[i]->items[k];
            for (size_t p = 0; p < o->problem_count; p++) {
                all[n++] = o->problems[p];
            }
        }
    }
    qsort(all, n, sizeof *all, compare_problems);
    b->catalog->problems = all;
    b->catalog->problem_count = n;
}

static void build_init(struct build *b, const struct catalog *prev, const struct folder_snapshot *snapshot)
{
    struct arena *arena = arena_create(0);
    *b = (struct build){.prev = prev, .snap = snapshot, .arena = arena_create(0)};
    b->catalog = arena_zalloc(arena, sizeof *b->catalog);
    b->catalog->arena = arena;
    b->catalog->refs = 1;
    b->heads_by_folder = map_create(NULL);
    b->resources = map_create(NULL);
    b->version_sets = map_create(NULL);
    b->product_links = map_create(NULL);
    b->releases = map_create(NULL);
    b->by_name = map_create(NULL);
    b->values_by_display = map_create(NULL);
}

static void free_links(struct map *links)
{
    for (struct map_item *i = map_first(links); i != NULL; i = map_next(i)) {
        vec_fini(map_value(i));
    }
}

static void build_fini(struct build *b)
{
    for (size_t i = 0; i < b->heads.n; i++) {
        struct api_head *h = b->heads.items[i];
        vec_fini(&h->operation_policies);
        vec_fini(&h->products);
    }
    free_links(b->product_links);
    free_links(b->releases);
    map_destroy(&b->releases);
    map_destroy(&b->heads_by_folder);
    map_destroy(&b->resources);
    map_destroy(&b->version_sets);
    map_destroy(&b->product_links);
    map_destroy(&b->by_name);
    map_destroy(&b->values_by_display);
    vec_fini(&b->heads);
    vec_fini(&b->problems);
    arena_destroy(&b->arena);
}

#define FINISH(list)                                      \
    do {                                                  \
        b.catalog->list.n = b.list.n;                     \
        b.catalog->list.items = finish_list(&b, &b.list); \
    } while (0)

struct catalog *catalog_build(const struct catalog *prev, const struct folder_snapshot *snapshot)
{
    struct build b;
    build_init(&b, prev, snapshot);
    build_named_values(&b);
    build_backends(&b);
    build_version_sets(&b);
    build_heads(&b);
    check_heads(&b);
    build_programs(&b);
    build_products(&b);
    build_apis(&b);
    build_subscriptions(&b);
    build_gateways(&b);
    report_artifacts(&b);
    report_overrides(&b);
    finish_problems(&b);
    FINISH(apis);
    FINISH(products);
    FINISH(subscriptions);
    FINISH(backends);
    FINISH(named_values);
    FINISH(programs);
    FINISH(gateways);
    struct catalog *c = b.catalog;
    build_fini(&b);
    return c;
}
