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

struct set_builder {
    const struct resource_set *previous;
    uint64_t source; /* of the resource that comes next */
    uint64_t sources[XDS_TYPES];
    bool whole[XDS_TYPES];        /* the previous list is taken as it is */
    struct map *added[XDS_TYPES]; /* name → struct resource, one reference each */
};

struct cache {
    pthread_mutex_t lock;
    struct map *groups; /* name → struct resource_set */
};

static void free_resource(void *r)
{
    resource_unref(r);
}

struct set_builder *set_builder_create(const struct resource_set *previous)
{
    struct set_builder *b = mem_alloc(sizeof *b);
    b->previous = previous;
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        b->added[t] = map_create(free_resource);
    }
    return b;
}

void set_builder_destroy(struct set_builder **builder)
{
    if (*builder == NULL) {
        return;
    }
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        map_destroy(&(*builder)->added[t]);
    }
    mem_free(*builder);
    *builder = NULL;
}

static struct resource *find_before(const struct set_builder *b, enum xds_type type, struct slice name)
{
    return b->previous == NULL ? NULL : resource_list_find(b->previous->lists[type], name);
}

bool set_builder_add(struct set_builder *builder, struct slice type_url, struct slice name, struct slice bytes,
                     struct err *err)
{
    enum xds_type type;
    if (!xds_type_find(type_url, &type)) {
        return err_set(err, ERR_UNSUPPORTED, "%.*s: not a type of this server", SLICE_ARG(type_url));
    }
    if (map_has(builder->added[type], name)) {
        return err_set(err, ERR_INPUT, "%s %.*s: named twice", xds_type_name(type), SLICE_ARG(name));
    }
    struct resource *r = resource_create(name, bytes);
    struct resource *before = find_before(builder, type, name);
    if (before != NULL && resource_equal(before, r)) {
        resource_unref(r);
        r = resource_ref(before);
    }
    resource_set_source(r, builder->source);
    builder->source = 0;
    map_put(builder->added[type], name, r);
    return true;
}

bool set_builder_reuse(struct set_builder *builder, struct slice type_url, struct slice name, uint64_t source)
{
    enum xds_type type;
    builder->source = source;
    struct resource *before = xds_type_find(type_url, &type) ? find_before(builder, type, name) : NULL;
    if (before == NULL || resource_source(before) != source || map_has(builder->added[type], name)) {
        return false;
    }
    builder->source = 0;
    map_put(builder->added[type], name, resource_ref(before));
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

static struct resource_list *finish_list(struct map *added, struct resource_list *before)
{
    struct resource **items = mem_alloc((map_count(added) + 1) * sizeof items[0]);
    size_t n = 0;
    for (struct map_item *i = map_first(added); i != NULL; i = map_next(i)) {
        items[n++] = resource_ref(map_value(i));
    }
    struct resource_list *l = resource_list_create(items, n);
    mem_free(items);
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
        set->lists[t] = b->whole[t] ? resource_list_ref(before) : finish_list(b->added[t], before);
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
