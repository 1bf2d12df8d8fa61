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
    return a == b || (a->hash.hi == b->hash.hi && a->hash.lo == b->hash.lo && !resource_is_unknown(a) &&
                      slice_eq(resource_get_name(a), resource_get_name(b)));
}

void resource_version(const struct resource *r, char out[RESOURCE_VERSION_BYTES])
{
    snprintf(out, RESOURCE_VERSION_BYTES, "%016" PRIx64 "%016" PRIx64, r->hash.hi, r->hash.lo);
}

static bool read_hex(struct slice text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
        *out = *out << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

struct resource *resource_create_held(struct slice name, struct slice version)
{
    struct resource *r = resource_create(name, SLICE_NONE);
    bool known = version.n == RESOURCE_VERSION_BYTES - 1 && read_hex(slice_sub(version, 0, 16), &r->hash.hi) &&
                 read_hex(slice_from(version, 16), &r->hash.lo);
    if (!known) { /* of another kind of server: it holds something, which is none of ours */
        uint64_t hash = version.n == 0 ? 0 : slice_hash(version, 0) | 1;
        r->hash = (struct resource_hash){hash, hash};
    }
    return r;
}

bool resource_is_unknown(const struct resource *r)
{
    return r->hash.hi == 0 && r->hash.lo == 0;
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

static struct resource_list *create_sorted(struct resource **items, size_t n)
{
    struct resource_list *l = mem_alloc(sizeof *l + n * sizeof l->items[0]);
    atomic_init(&l->refs, 1);
    l->n = n;
    if (n > 0) {
        memcpy(l->items, items, n * sizeof items[0]);
    }
    set_version(l);
    return l;
}

/* What comes from the list before is in order already, and asking is cheaper than sorting. */
static void sort(struct resource **items, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (by_name(&items[i - 1], &items[i]) > 0) {
            qsort(items, n, sizeof items[0], by_name);
            return;
        }
    }
}

struct resource_list *resource_list_create(struct resource **items, size_t n)
{
    sort(items, n);
    for (size_t i = 1; i < n; i++) {
        assert(by_name(&items[i - 1], &items[i]) < 0);
    }
    return create_sorted(items, n);
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

/* Two sorted lists side by side: less than 0 when a[i] comes first (or b is at its end), 0 when both have the name. */
static int compare_at(const struct resource_list *a, size_t i, const struct resource_list *b, size_t k)
{
    if (i >= resource_list_count(a)) {
        return 1;
    }
    if (k >= resource_list_count(b)) {
        return -1;
    }
    return a->items[i] == b->items[k] ? 0 : by_name(&a->items[i], &b->items[k]);
}

struct resource_list *resource_list_union(struct resource_list *fresh, const struct resource_list *old)
{
    size_t n = 0, from_old = 0, total = resource_list_count(fresh) + resource_list_count(old);
    struct resource **items = mem_alloc((total + 1) * sizeof items[0]);
    for (size_t i = 0, k = 0; i < resource_list_count(fresh) || k < resource_list_count(old);) {
        int c = compare_at(fresh, i, old, k);
        from_old += c > 0;
        items[n++] = c > 0 ? old->items[k] : fresh->items[i];
        i += c <= 0;
        k += c >= 0;
    }
    if (from_old == 0) {
        mem_free(items);
        return resource_list_ref(fresh);
    }
    for (size_t i = 0; i < n; i++) {
        resource_ref(items[i]);
    }
    struct resource_list *out = create_sorted(items, n);
    mem_free(items);
    return out;
}

struct resource_list *resource_list_filter(struct resource_list *l, bool (*keep)(void *ctx, const struct resource *r),
                                           void *ctx)
{
    struct resource **items = mem_alloc((resource_list_count(l) + 1) * sizeof items[0]);
    size_t n = 0;
    for (size_t i = 0; i < resource_list_count(l); i++) {
        if (keep(ctx, l->items[i])) {
            items[n++] = resource_ref(l->items[i]);
        }
    }
    struct resource_list *out = create_sorted(items, n);
    mem_free(items);
    return out;
}

void resource_list_diff(const struct resource_list *before, const struct resource_list *now,
                        struct resource_list **changed, struct resource_list **removed)
{
    struct resource **come = mem_alloc((resource_list_count(now) + 1) * sizeof come[0]);
    struct resource **gone = mem_alloc((resource_list_count(before) + 1) * sizeof gone[0]);
    size_t n_come = 0, n_gone = 0;
    for (size_t i = 0, k = 0; i < resource_list_count(before) || k < resource_list_count(now);) {
        int c = compare_at(before, i, now, k);
        if (c < 0) {
            gone[n_gone++] = resource_ref(before->items[i]);
        } else if (c > 0 || !resource_equal(before->items[i], now->items[k])) {
            come[n_come++] = resource_ref(now->items[k]);
        }
        i += c <= 0;
        k += c >= 0;
    }
    *changed = create_sorted(come, n_come);
    *removed = create_sorted(gone, n_gone);
    mem_free(come);
    mem_free(gone);
}

bool resource_list_covers(const struct resource_list *held, const struct resource_list *wanted)
{
    if (resource_list_equal(held, wanted)) {
        return true;
    }
    for (size_t i = 0, k = 0; k < resource_list_count(wanted);) {
        int c = compare_at(held, i, wanted, k);
        if (c > 0 || (c == 0 && !resource_equal(held->items[i], wanted->items[k]))) {
            return false;
        }
        i++;
        k += c == 0;
    }
    return true;
}
