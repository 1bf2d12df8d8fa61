#include "xds/publish.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

struct publish {
    const struct settings *settings;
    struct catalog *catalog; /* NULL: nothing was good yet */
    int64_t time_us;
    struct cache *cache;
    struct map *groups;  /* those that were admitted */
    struct map *trouble; /* group → text: could not be translated, its set before stays */
};

struct publish *publish_create(const struct settings *settings)
{
    struct publish *p = mem_alloc(sizeof *p);
    p->settings = settings;
    p->cache = cache_create();
    p->groups = map_create(NULL);
    p->trouble = map_create(mem_free);
    return p;
}

void publish_destroy(struct publish **publish)
{
    struct publish *p = *publish;
    if (p == NULL) {
        return;
    }
    if (p->catalog != NULL) {
        catalog_unref(&p->catalog);
    }
    cache_destroy(&p->cache);
    map_destroy(&p->groups);
    map_destroy(&p->trouble);
    mem_free(p);
    *publish = NULL;
}

static struct translate_input input(const struct publish *p)
{
    return (struct translate_input){.catalog = p->catalog, .config = p->settings->config, .macs = p->settings->macs};
}

static bool add(void *ctx, struct slice type_url, struct slice name, struct slice bytes, struct err *err)
{
    return set_builder_add(ctx, type_url, name, bytes, err);
}

static bool reuse(void *ctx, struct slice type_url, struct slice name, uint64_t source)
{
    return set_builder_reuse(ctx, type_url, name, source);
}

static bool reuse_all(void *ctx, struct slice type_url, uint64_t source)
{
    return set_builder_reuse_all(ctx, type_url, source);
}

/* true: the group has a new set in the cache. */
static bool make(struct publish *p, const char *cluster)
{
    struct resource_set *before = cache_get(p->cache, cluster);
    struct set_builder *b = set_builder_create(before);
    const struct translate_sink sink = {.add = add, .reuse = reuse, .reuse_all = reuse_all, .ctx = b};
    struct translate_input in = input(p);
    struct err err = {0};
    bool news = false;
    if (translate_group(&in, cluster, &sink, &err)) {
        struct resource_set *set = set_builder_finish(&b);
        news = cache_publish(p->cache, cluster, set);
        resource_set_unref(set);
        map_del(p->trouble, slice_of(cluster));
    } else {
        set_builder_destroy(&b);
        map_put(p->trouble, slice_of(cluster), mem_str(err.text));
        LOG(LOG_ERROR, "control", "not translated, the state before stays: %s", err.text);
    }
    resource_set_unref(before);
    return news;
}

bool publish_admit(void *publish, struct slice cluster, struct resource_set **set, struct err *err)
{
    struct publish *p = publish;
    struct translate_input in = input(p);
    *set = NULL;
    if (p->catalog != NULL && !translate_knows(&in, cluster, err)) {
        return false;
    }
    map_put(p->groups, cluster, NULL);
    if (p->catalog == NULL) {
        return true; /* it waits for the first good state */
    }
    char *name = mem_str_slice(cluster);
    *set = cache_get(p->cache, name);
    if (*set == NULL) {
        make(p, name);
        *set = cache_get(p->cache, name);
    }
    mem_free(name);
    return true;
}

struct search {
    const char *cluster;
    bool found;
};

static void look(void *ctx, const struct server_proxy *proxy)
{
    struct search *s = ctx;
    s->found = s->found || (proxy->connected && strcmp(proxy->cluster, s->cluster) == 0);
}

/* A group that nobody is connected of is forgotten; the next one to come has it made anew. */
static bool is_connected(struct server *server, const char *cluster)
{
    struct search s = {.cluster = cluster};
    server_each_proxy(server, look, &s);
    return s.found;
}

static void publish_group(struct publish *p, const char *cluster, struct server *server)
{
    struct translate_input in = input(p);
    struct err err = {0};
    if (!translate_knows(&in, slice_of(cluster), &err)) {
        server_deny(server, cluster, err.text);
        cache_drop(p->cache, cluster);
        return;
    }
    if (!is_connected(server, cluster)) {
        cache_drop(p->cache, cluster);
        return;
    }
    if (make(p, cluster)) {
        struct resource_set *set = cache_get(p->cache, cluster);
        server_publish(server, cluster, set);
        resource_set_unref(set);
    }
}

void publish_catalog(struct publish *publish, struct catalog *catalog, struct server *server)
{
    catalog_ref(catalog);
    if (publish->catalog != NULL) {
        catalog_unref(&publish->catalog);
    }
    publish->catalog = catalog;
    publish->time_us = clock_wall_us();
    for (struct map_item *i = map_first(publish->groups); server != NULL && i != NULL; i = map_next(i)) {
        char *cluster = mem_str_slice(map_key(i));
        publish_group(publish, cluster, server);
        mem_free(cluster);
    }
}

const struct catalog *publish_newest(const struct publish *publish)
{
    return publish->catalog;
}

int64_t publish_time_us(const struct publish *publish)
{
    return publish->time_us;
}

void publish_each_trouble(const struct publish *publish, void (*fn)(void *ctx, const char *group, const char *text),
                          void *ctx)
{
    for (struct map_item *i = map_first(publish->trouble); i != NULL; i = map_next(i)) {
        char *group = mem_str_slice(map_key(i));
        fn(ctx, group, map_value(i));
        mem_free(group);
    }
}
