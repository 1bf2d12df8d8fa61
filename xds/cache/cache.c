#include "xds/cache/cache.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "base/mem.h"

struct resource_set {
    atomic_uint refs;
    struct resource_list *lists[XDS_TYPES];
    uint64_t sources[XDS_TYPES]; /* what a whole list was made from; 0: not said */
};

/*
 * One type under way. As long as resources come in the order of their names, as tens of thousands of subscriptions do,
 * a new name is told by the last one, and its place in the previous list by the last place. From the first one on that
 * does not, a map tells.
 */
struct adding {
    struct resource **items; /* one reference each */
    size_t n, cap, at;       /* at: where in the previous list the next one is expected */
    struct map *names;       /* NULL: all in order so far */
};

struct set_builder {
    const struct resource_set *previous;
    uint64_t source; /* of the resource that comes next */
    uint64_t sources[XDS_TYPES];
    bool whole[XDS_TYPES]; /* the previous list is taken as it is */
    struct adding added[XDS_TYPES];
};

struct cache {
    pthread_mutex_t lock;
    struct map *groups; /* name → struct resource_set */
};

struct set_builder *set_builder_create(const struct resource_set *previous)
{
    struct set_builder *b = mem_alloc(sizeof *b);
    b->previous = previous;
    return b;
}

void set_builder_destroy(struct set_builder **builder)
{
    if (*builder == NULL) {
        return;
    }
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        struct adding *a = &(*builder)->added[t];
        for (size_t i = 0; i < a->n; i++) {
            resource_unref(a->items[i]);
        }
        mem_free(a->items);
        map_destroy(&a->names);
    }
    mem_free(*builder);
    *builder = NULL;
}

static struct resource *find_before(struct set_builder *b, enum xds_type type, struct slice name)
{
    const struct resource_list *list = b->previous == NULL ? NULL : b->previous->lists[type];
    struct adding *a = &b->added[type];
    for (size_t i = a->at; i < resource_list_count(list) && i < a->at + 2; i++) { /* one may have gone */
        if (slice_eq(resource_get_name(resource_list_at(list, i)), name)) {
            a->at = i + 1;
            return resource_list_at(list, i);
        }
    }
    return resource_list_find(list, name);
}

static bool has(const struct adding *a, struct slice name)
{
    if (a->names != NULL) {
        return map_has(a->names, name);
    }
    return a->n > 0 && slice_eq(resource_get_name(a->items[a->n - 1]), name);
}

/* Takes the reference. false: the name is there. */
static bool take(struct adding *a, struct resource *r)
{
    struct slice name = resource_get_name(r);
    if (a->names == NULL && a->n > 0 && slice_cmp(resource_get_name(a->items[a->n - 1]), name) >= 0) {
        a->names = map_create(NULL);
        for (size_t i = 0; i < a->n; i++) {
            map_put(a->names, resource_get_name(a->items[i]), a->items[i]);
        }
    }
    if (has(a, name)) {
        resource_unref(r);
        return false;
    }
    if (a->names != NULL) {
        map_put(a->names, name, r);
    }
    if (a->n == a->cap) {
        a->cap = a->cap == 0 ? 64 : a->cap * 2;
        a->items = mem_resize(a->items, a->cap * sizeof a->items[0]);
    }
    a->items[a->n++] = r;
    return true;
}

bool set_builder_add(struct set_builder *builder, struct slice type_url, struct slice name, struct slice bytes,
                     struct err *err)
{
    enum xds_type type;
    if (!xds_type_find(type_url, &type)) {
        return err_set(err, ERR_UNSUPPORTED, "%.*s: not a type of this server", SLICE_ARG(type_url));
    }
    struct resource *r = resource_create(name, bytes);
    struct resource *before = find_before(builder, type, name);
    if (before != NULL && resource_equal(before, r)) {
        resource_unref(r);
        r = resource_ref(before);
    }
    uint64_t source = builder->source;
    builder->source = 0;
    resource_ref(r);
    bool added = take(&builder->added[type], r);
    if (added) {
        resource_set_source(r, source);
    }
    resource_unref(r);
    return added || err_set(err, ERR_INPUT, "%s %.*s: named twice", xds_type_name(type), SLICE_ARG(name));
}

bool set_builder_reuse(struct set_builder *builder, struct slice type_url, struct slice name, uint64_t source)
{
    enum xds_type type;
    builder->source = source;
    struct resource *before = xds_type_find(type_url, &type) ? find_before(builder, type, name) : NULL;
    if (before == NULL || resource_source(before) != source || !take(&builder->added[type], resource_ref(before))) {
        return false;
    }
    builder->source = 0;
    return true;
}

bool set_builder_reuse_all(struct set_builder *builder, struct slice type_url, uint64_t source)
{
    enum xds_type type;
    if (!xds_type_find(type_url, &type)) {
        return false;
    }
    builder->sources[type] = source;
    builder->whole[type] = builder->previous != NULL && builder->previous->sources[type] == source;
    return builder->whole[type];
}

/* The references move into the list. */
static struct resource_list *finish_list(struct adding *added, struct resource_list *before)
{
    struct resource_list *l = resource_list_create(added->items, added->n);
    added->n = 0;
    if (before != NULL && resource_list_equal(l, before)) {
        resource_list_unref(l);
        l = resource_list_ref(before);
    }
    return l;
}

struct resource_set *set_builder_finish(struct set_builder **builder)
{
    struct set_builder *b = *builder;
    struct resource_set *set = mem_alloc(sizeof *set);
    atomic_init(&set->refs, 1);
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        struct resource_list *before = b->previous == NULL ? NULL : b->previous->lists[t];
        set->lists[t] = b->whole[t] ? resource_list_ref(before) : finish_list(&b->added[t], before);
        set->sources[t] = b->sources[t];
    }
    set_builder_destroy(builder);
    return set;
}

struct resource_set *resource_set_ref(struct resource_set *set)
{
    atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void resource_set_unref(struct resource_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        resource_list_unref(set->lists[t]);
    }
    mem_free(set);
}

struct resource_list *resource_set_list(const struct resource_set *set, enum xds_type type)
{
    return set->lists[type];
}

bool resource_set_equal(const struct resource_set *a, const struct resource_set *b)
{
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        if (!resource_list_equal(a->lists[t], b->lists[t])) {
            return false;
        }
    }
    return true;
}

static void free_set(void *set)
{
    resource_set_unref(set);
}

struct cache *cache_create(void)
{
    struct cache *c = mem_alloc(sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    c->groups = map_create(free_set);
    return c;
}

void cache_destroy(struct cache **cache)
{
    if (*cache == NULL) {
        return;
    }
    map_destroy(&(*cache)->groups);
    pthread_mutex_destroy(&(*cache)->lock);
    mem_free(*cache);
    *cache = NULL;
}

bool cache_publish(struct cache *cache, const char *group, struct resource_set *set)
{
    pthread_mutex_lock(&cache->lock);
    const struct resource_set *before = map_get(cache->groups, slice_of(group));
    bool news = before == NULL || !resource_set_equal(before, set);
    map_put(cache->groups, slice_of(group), resource_set_ref(set)); /* equal or not: it knows newer sources */
    pthread_mutex_unlock(&cache->lock);
    return news;
}

struct resource_set *cache_get(struct cache *cache, const char *group)
{
    pthread_mutex_lock(&cache->lock);
    struct resource_set *set = map_get(cache->groups, slice_of(group));
    if (set != NULL) {
        resource_set_ref(set);
    }
    pthread_mutex_unlock(&cache->lock);
    return set;
}

void cache_drop(struct cache *cache, const char *group)
{
    pthread_mutex_lock(&cache->lock);
    map_del(cache->groups, slice_of(group));
    pthread_mutex_unlock(&cache->lock);
}
