#include "xds/cache/resource.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct resource {
    atomic_uint refs;
    struct resource_hash hash;
    uint64_t source;
    size_t name_len, bytes_len;
    char data[]; /* name, NUL, bytes */
};

struct resource_list {
    atomic_uint refs;
    char version[33];
    size_t n;
    struct resource *items[];
};

enum { SEED_HI = 0x45a7, SEED_LO = 0x91c3 };

struct resource *resource_create(struct slice name, struct slice bytes)
{
    struct resource *r = mem_alloc(sizeof *r + name.n + 1 + bytes.n);
    atomic_init(&r->refs, 1);
    r->name_len = name.n;
    r->bytes_len = bytes.n;
    if (name.n > 0) {
        memcpy(r->data, name.p, name.n);
    }
    if (bytes.n > 0) {
        memcpy(r->data + name.n + 1, bytes.p, bytes.n);
    }
    r->hash.hi = slice_hash(bytes, SEED_HI);
    r->hash.lo = slice_hash(bytes, SEED_LO);
    return r;
}

struct resource *resource_ref(struct resource *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void resource_unref(struct resource *r)
{
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1) {
        mem_wipe(r->data + r->name_len + 1, r->bytes_len); /* some are secrets */
        mem_free(r);
    }
}

struct slice resource_get_name(const struct resource *r)
{
    return slice_make(r->data, r->name_len);
}

struct slice resource_bytes(const struct resource *r)
{
    return slice_make(r->data + r->name_len + 1, r->bytes_len);
}

struct resource_hash resource_hash(const struct resource *r)
{
    return r->hash;
}

void resource_set_source(struct resource *r, uint64_t source)
{
    r->source = source;
}

uint64_t resource_source(const struct resource *r)
{
    return r->source;
}

bool resource_equal(const struct resource *a, const struct resource *b)
{
    return a == b || (a->hash.hi == b->hash.hi && a->hash.lo == b->hash.lo && a->bytes_len == b->bytes_len &&
                      slice_eq(resource_get_name(a), resource_get_name(b)));
}

static int by_name(const void *a, const void *b)
{
    return slice_cmp(resource_get_name(*(struct resource *const *)a), resource_get_name(*(struct resource *const *)b));
}

static void set_version(struct resource_list *l)
{
    uint64_t hi = SEED_HI, lo = SEED_LO;
    for (size_t i = 0; i < l->n; i++) {
        struct slice name = resource_get_name(l->items[i]);
        struct resource_hash h = l->items[i]->hash;
        hi = slice_hash(slice_make(&h, sizeof h), slice_hash(name, hi));
        lo = slice_hash(slice_make(&h, sizeof h), slice_hash(name, lo));
    }
    snprintf(l->version, sizeof l->version, "%016" PRIx64 "%016" PRIx64, hi, lo);
}

struct resource_list *resource_list_create(struct resource **items, size_t n)
{
    struct resource_list *l = mem_alloc(sizeof *l + n * sizeof l->items[0]);
    atomic_init(&l->refs, 1);
    l->n = n;
    if (n > 0) {
        memcpy(l->items, items, n * sizeof items[0]);
        qsort(l->items, n, sizeof l->items[0], by_name);
    }
    for (size_t i = 1; i < n; i++) {
        assert(by_name(&l->items[i - 1], &l->items[i]) < 0);
    }
    set_version(l);
    return l;
}

struct resource_list *resource_list_ref(struct resource_list *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void resource_list_unref(struct resource_list *l)
{
    if (l == NULL || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < l->n; i++) {
        resource_unref(l->items[i]);
    }
    mem_free(l);
}

size_t resource_list_count(const struct resource_list *l)
{
    return l == NULL ? 0 : l->n;
}

struct resource *resource_list_at(const struct resource_list *l, size_t i)
{
    assert(i < l->n);
    return l->items[i];
}

struct resource *resource_list_find(const struct resource_list *l, struct slice name)
{
    size_t lo = 0, hi = resource_list_count(l);
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = slice_cmp(resource_get_name(l->items[mid]), name);
        if (c == 0) {
            return l->items[mid];
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return NULL;
}

const char *resource_list_version(const struct resource_list *l)
{
    return l->version;
}

bool resource_list_equal(const struct resource_list *a, const struct resource_list *b)
{
    return a == b || (a != NULL && b != NULL && a->n == b->n && strcmp(a->version, b->version) == 0);
}

struct resource_list *resource_list_subset(struct resource_list *l, const char *const *names, size_t n)
{
    struct resource **items = mem_alloc((n + 1) * sizeof items[0]);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct resource *r = resource_list_find(l, slice_of(names[i]));
        if (r != NULL) {
            items[count++] = resource_ref(r);
        }
    }
    struct resource_list *out = resource_list_create(items, count);
    mem_free(items);
    return out;
}

struct resource_list *resource_list_union(struct resource_list *fresh, const struct resource_list *old)
{
    size_t extra = 0;
    struct resource **items = mem_alloc((resource_list_count(fresh) + resource_list_count(old) + 1) * sizeof items[0]);
    for (size_t i = 0; i < resource_list_count(old); i++) {
        if (resource_list_find(fresh, resource_get_name(old->items[i])) == NULL) {
            items[extra++] = resource_ref(old->items[i]);
        }
    }
    if (extra == 0) {
        mem_free(items);
        return resource_list_ref(fresh);
    }
    for (size_t i = 0; i < fresh->n; i++) {
        items[extra++] = resource_ref(fresh->items[i]);
    }
    struct resource_list *out = resource_list_create(items, extra);
    mem_free(items);
    return out;
}
