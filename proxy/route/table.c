#include "proxy/route/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "proxy/route/compiled.h"

static bool compile_host(const struct vhost_conf *conf, struct arena *arena, struct route_host *out, struct err *err)
{
    struct route_entry *entries = arena_alloc(arena, conf->route_count * sizeof *entries);
    for (size_t i = 0; i < conf->route_count; i++) {
        if (!route_entry_compile(&conf->routes[i], arena, &entries[i], err)) {
            return err_prefix(err, "virtual_hosts[%.*s].routes[%zu]", SLICE_ARG(conf->name), i);
        }
    }
    *out = (struct route_host){.conf = conf, .entries = entries, .entry_count = (uint32_t)conf->route_count};
    if (conf->route_count >= ROUTE_INDEX_MIN) {
        out->index = route_index_build(entries, out->entry_count, arena);
    }
    return true;
}

static struct slice lower_copy(struct slice s, struct arena *arena)
{
    char *p = arena_str(arena, s);
    for (size_t i = 0; i < s.n; i++) {
        p[i] = ascii_lower(p[i]);
    }
    return slice_make(p, s.n);
}

/* Domains while they are sorted into their kinds. */
struct domains {
    struct arena *arena;
    struct map *seen; /* lower-case domain → vhost_conf */
    struct host_name *exact, *suffix, *prefix;
    uint32_t exact_count, suffix_count, prefix_count;
    int64_t any; /* host with "*", or -1 */
};

static bool add_domain(struct domains *d, const struct vhost_conf *vhost, uint32_t host, struct slice domain,
                       struct err *err)
{
    struct slice text = lower_copy(domain, d->arena);
    const struct vhost_conf *other = map_get(d->seen, text);
    if (other != NULL) {
        return err_set(err, ERR_INPUT, "domain \"%.*s\" stands in virtual host \"%.*s\" and in \"%.*s\"",
                       SLICE_ARG(domain), SLICE_ARG(other->name), SLICE_ARG(vhost->name));
    }
    if (text.n == 0) {
        return err_set(err, ERR_INPUT, "virtual host \"%.*s\": an empty domain", SLICE_ARG(vhost->name));
    }
    map_put(d->seen, text, (void *)(uintptr_t)vhost);
    if (slice_eq(text, SLICE("*"))) {
        d->any = host;
    } else if (text.p[0] == '*') {
        d->suffix[d->suffix_count++] = (struct host_name){slice_from(text, 1), host};
    } else if (text.p[text.n - 1] == '*') {
        d->prefix[d->prefix_count++] = (struct host_name){slice_sub(text, 0, text.n - 1), host};
    } else {
        d->exact[d->exact_count++] = (struct host_name){text, host};
    }
    return true;
}

static int longer_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x > y ? -1 : x < y;
}

static void build_names(struct host_names *to, const struct host_name *names, uint32_t count, struct arena *arena)
{
    uint32_t *lengths = arena_alloc(arena, count * sizeof *lengths);
    uint32_t kept = 0;
    hash_index_init(&to->index, count, arena);
    to->names = names;
    for (uint32_t i = 0; i < count; i++) {
        hash_index_add(&to->index, fold_hash(names[i].text), i);
        lengths[i] = (uint32_t)names[i].text.n;
    }
    qsort(lengths, count, sizeof *lengths, longer_first);
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || lengths[kept - 1] != lengths[i]) {
            lengths[kept++] = lengths[i];
        }
    }
    to->lengths = lengths;
    to->length_count = kept;
}

static bool collect_domains(struct domains *d, const struct route_conf *conf, struct err *err)
{
    for (size_t i = 0; i < conf->vhost_count; i++) {
        const struct vhost_conf *v = &conf->vhosts[i];
        if (v->domain_count == 0) {
            return err_set(err, ERR_INPUT, "virtual host \"%.*s\": no domains", SLICE_ARG(v->name));
        }
        for (size_t k = 0; k < v->domain_count; k++) {
            if (!add_domain(d, v, (uint32_t)i, v->domains[k], err)) {
                return false;
            }
        }
    }
    return true;
}

static bool build_domains(struct route_table *table, struct err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < table->conf->vhost_count; i++) {
        total += table->conf->vhosts[i].domain_count;
    }
    struct arena *arena = table->arena;
    struct domains d = {.arena = arena, .seen = map_create(NULL), .any = -1};
    d.exact = arena_alloc(arena, total * sizeof *d.exact);
    d.suffix = arena_alloc(arena, total * sizeof *d.suffix);
    d.prefix = arena_alloc(arena, total * sizeof *d.prefix);
    bool ok = collect_domains(&d, table->conf, err);
    map_destroy(&d.seen);
    if (!ok) {
        return false;
    }
    build_names(&table->exact, d.exact, d.exact_count, arena);
    build_names(&table->suffix, d.suffix, d.suffix_count, arena);
    build_names(&table->prefix, d.prefix, d.prefix_count, arena);
    table->any = d.any < 0 ? NULL : &table->hosts[d.any];
    return true;
}

static bool check_names(const struct route_conf *conf, struct err *err)
{
    struct map *names = map_create(NULL);
    bool ok = true;
    for (size_t i = 0; ok && i < conf->vhost_count; i++) {
        struct slice name = conf->vhosts[i].name;
        ok = !map_has(names, name) || err_set(err, ERR_INPUT, "two virtual hosts are called \"%.*s\"", SLICE_ARG(name));
        map_put(names, name, (void *)(uintptr_t)conf);
    }
    map_destroy(&names);
    return ok;
}

static bool build(struct route_table *table, struct err *err)
{
    const struct route_conf *conf = table->conf;
    if (!check_names(conf, err)) {
        return false;
    }
    struct route_host *hosts = arena_alloc(table->arena, conf->vhost_count * sizeof *hosts);
    for (size_t i = 0; i < conf->vhost_count; i++) {
        if (!compile_host(&conf->vhosts[i], table->arena, &hosts[i], err)) {
            return false;
        }
    }
    table->hosts = hosts;
    return build_domains(table, err);
}

struct route_table *route_table_create(struct arena **arena, const struct route_conf *conf, struct err *err)
{
    struct arena *own = *arena;
    *arena = NULL;
    struct route_table *table = arena_zalloc(own, sizeof *table);
    atomic_init(&table->refs, 1);
    table->arena = own;
    table->conf = conf;
    if (!build(table, err)) {
        arena_destroy(&own);
        return NULL;
    }
    return table;
}

struct route_table *route_table_ref(struct route_table *table)
{
    atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

void route_table_unref(struct route_table **table)
{
    struct route_table *t = *table;
    *table = NULL;
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct arena *arena = t->arena;
    arena_destroy(&arena);
}

const struct route_conf *route_table_conf(const struct route_table *table)
{
    return table->conf;
}
