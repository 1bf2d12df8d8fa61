#include "proxy/route/apim_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { SHARDS_MIN = 16, SHARD_FILL = 4, SHARDS_MAX = 1 << 16 };

static uint32_t home_of(const struct apim_table *t, uint64_t hash)
{
    return (uint32_t)(hash ^ (hash >> 32)) & t->shard_mask;
}

static struct apim_shard *shard_ref(struct apim_shard *s)
{
    if (s != NULL) {
        atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    }
    return s;
}

static void shard_unref(struct apim_shard **shard)
{
    struct apim_shard *s = *shard;
    *shard = NULL;
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; i < s->count; i++) {
        apim_group_unref(&s->slots[i].group);
    }
    mem_free(s);
}

static struct apim_slot *shard_find(struct apim_shard *s, uint64_t hash, struct slice key)
{
    for (uint32_t i = 0; s != NULL && i < s->count; i++) {
        if (s->slots[i].hash == hash && slice_eq(s->slots[i].group->key, key)) {
            return &s->slots[i];
        }
    }
    return NULL;
}

const struct apim_group *apim_table_group(const struct apim_table *t, uint64_t hash, struct slice key)
{
    const struct apim_slot *slot = shard_find(t->shards[home_of(t, hash)], hash, key);
    return slot == NULL ? NULL : slot->group;
}

/* A copy of the shard in which `group` (moved in; NULL: nothing) stands in place of `old` (NULL: nothing). */
static struct apim_shard *shard_replace(const struct apim_shard *s, const struct apim_group *old,
                                        struct apim_group *group, uint64_t hash)
{
    uint32_t count = s == NULL ? 0 : s->count;
    struct apim_shard *to = mem_alloc(sizeof *to + (count + 1) * sizeof to->slots[0]);
    atomic_init(&to->refs, 1);
    for (uint32_t i = 0; i < count; i++) {
        if (s->slots[i].group != old) {
            to->slots[to->count++] = (struct apim_slot){s->slots[i].hash, apim_group_ref(s->slots[i].group)};
        }
    }
    if (group != NULL) {
        to->slots[to->count++] = (struct apim_slot){hash, group};
    }
    if (to->count == 0) {
        mem_free(to);
        return NULL;
    }
    return to;
}

static void table_free(struct apim_table *t)
{
    for (uint32_t i = 0; i <= t->shard_mask; i++) {
        shard_unref(&t->shards[i]);
    }
    mem_free(t->shards);
    mem_free(t->apis);
    mem_free(t);
}

static uint32_t shards_for(size_t count)
{
    uint32_t n = SHARDS_MIN;
    while (n < SHARDS_MAX && (size_t)n * SHARD_FILL < count) {
        n *= 2;
    }
    return n;
}

/* A table with the shards of `old`, or with empty ones when the number of APIs asks for another spread. */
static struct apim_table *table_start(const struct apim_table **old, size_t count)
{
    uint32_t wanted = shards_for(count);
    if (*old != NULL) {
        uint32_t now = (*old)->shard_mask + 1;
        if (wanted > now * 2 || wanted * 4 < now) {
            *old = NULL;
        } else {
            wanted = now;
        }
    }
    struct apim_table *t = mem_alloc(sizeof *t);
    atomic_init(&t->refs, 1);
    t->shard_mask = wanted - 1;
    t->shards = mem_alloc(wanted * sizeof(struct apim_shard *));
    if (*old != NULL) {
        memcpy(t->depth_counts, (*old)->depth_counts, sizeof t->depth_counts);
        for (uint32_t i = 0; i < wanted; i++) {
            t->shards[i] = shard_ref((*old)->shards[i]);
        }
    }
    return t;
}

static int compare_names(const void *a, const void *b)
{
    return slice_cmp((*(struct apim_api *const *)a)->conf.name, (*(struct apim_api *const *)b)->conf.name);
}

static bool sort_apis(struct apim_table *t, struct apim_api *const *apis, size_t count, struct err *err)
{
    t->apis = mem_alloc(count * sizeof(struct apim_api *));
    t->count = count;
    if (count > 0) {
        memcpy(t->apis, apis, count * sizeof(struct apim_api *));
    }
    bool sorted = true;
    for (size_t i = 1; sorted && i < count; i++) {
        sorted = compare_names(&t->apis[i - 1], &t->apis[i]) < 0;
    }
    if (!sorted) {
        qsort(t->apis, count, sizeof(struct apim_api *), compare_names);
    }
    for (size_t i = 1; !sorted && i < count; i++) {
        if (slice_eq(t->apis[i - 1]->conf.name, t->apis[i]->conf.name)) {
            return err_set(err, ERR_INPUT, "\"%.*s\" stands twice", SLICE_ARG(t->apis[i]->conf.name));
        }
    }
    return true;
}

struct change {
    struct apim_api *api;
    bool added;
};

/* Both lists in name order. What stands in both by identity is passed over without a look into it. */
static size_t diff(const struct apim_table *old, const struct apim_table *now, struct change *out)
{
    size_t i = 0, k = 0, n = 0;
    size_t old_count = old == NULL ? 0 : old->count;
    while (i < old_count || k < now->count) {
        if (i < old_count && k < now->count && old->apis[i] == now->apis[k]) {
            i++;
            k++;
            continue;
        }
        int order = i == old_count ? 1 : k == now->count ? -1 : compare_names(&old->apis[i], &now->apis[k]);
        if (order <= 0) {
            out[n++] = (struct change){old->apis[i++], false};
        }
        if (order >= 0) {
            out[n++] = (struct change){now->apis[k++], true};
        }
    }
    return n;
}

static int compare_changes(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (x->api->hash != y->api->hash) {
        return x->api->hash < y->api->hash ? -1 : 1;
    }
    int order = slice_cmp(x->api->key, y->api->key);
    return order != 0 ? order : compare_names(&x->api, &y->api);
}

static bool is_removed(const struct change *changes, size_t n, const struct apim_api *api)
{
    for (size_t i = 0; i < n; i++) {
        if (!changes[i].added && changes[i].api == api) {
            return true;
        }
    }
    return false;
}

/* All changes of one path: its group made anew. */
static bool apply_run(struct apim_table *t, const struct change *run, size_t n, struct apim_clash *clash,
                      struct err *err)
{
    struct apim_shard **home = &t->shards[home_of(t, run[0].api->hash)];
    const struct apim_slot *slot = shard_find(*home, run[0].api->hash, run[0].api->key);
    struct apim_group *old = slot == NULL ? NULL : slot->group;
    size_t room = n + (old == NULL ? 0 : old->count);
    struct apim_api **members = mem_alloc(room * sizeof(struct apim_api *));
    uint32_t count = 0;
    for (uint32_t i = 0; old != NULL && i < old->count; i++) {
        if (!is_removed(run, n, old->members[i].api)) {
            members[count++] = old->members[i].api;
        }
    }
    for (size_t i = 0; i < n; i++) {
        t->depth_counts[run[i].api->depth] += run[i].added ? 1U : (uint32_t)-1;
        if (run[i].added) {
            members[count++] = run[i].api;
        }
    }
    qsort(members, count, sizeof(struct apim_api *), compare_names);
    struct apim_group *group = count == 0 ? NULL : apim_group_create(members, count, clash, err);
    mem_free(members);
    if (count > 0 && group == NULL) {
        return false;
    }
    struct apim_shard *shard = shard_replace(*home, old, group, run[0].api->hash);
    shard_unref(home);
    *home = shard;
    return true;
}

static bool same_path(const struct change *a, const struct change *b)
{
    return a->api->hash == b->api->hash && slice_eq(a->api->key, b->api->key);
}

static bool apply(struct apim_table *t, const struct apim_table *old, struct apim_clash *clash, struct err *err)
{
    size_t room = t->count + (old == NULL ? 0 : old->count);
    struct change *changes = mem_alloc(room * sizeof *changes);
    size_t count = diff(old, t, changes);
    bool ok = true;
    qsort(changes, count, sizeof *changes, compare_changes);
    for (size_t i = 0, n; ok && i < count; i += n) {
        for (n = 1; i + n < count && same_path(&changes[i], &changes[i + n]); n++) {
        }
        ok = apply_run(t, &changes[i], n, clash, err);
    }
    mem_free(changes);
    return ok;
}

struct apim_table *apim_table_update(const struct apim_table *old, struct apim_api *const *apis, size_t count,
                                     struct apim_clash *clash, struct err *err)
{
    if (clash != NULL) {
        *clash = (struct apim_clash){NULL, NULL};
    }
    struct apim_table *t = table_start(&old, count);
    if (!sort_apis(t, apis, count, err) || !apply(t, old, clash, err)) {
        table_free(t);
        return NULL;
    }
    for (uint32_t depth = 0; depth < APIM_DEPTHS; depth++) {
        t->max_depth = t->depth_counts[depth] > 0 ? depth : t->max_depth;
    }
    return t;
}

struct apim_table *apim_table_ref(struct apim_table *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void apim_table_unref(struct apim_table **table)
{
    struct apim_table *t = *table;
    *table = NULL;
    if (t != NULL && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        table_free(t);
    }
}

size_t apim_table_count(const struct apim_table *t)
{
    return t->count;
}

const struct apim_api *apim_table_at(const struct apim_table *t, size_t i)
{
    return t->apis[i];
}

const struct apim_api *apim_table_find(const struct apim_table *t, struct slice name)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_cmp(name, t->apis[middle]->conf.name);
        if (order == 0) {
            return t->apis[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}
