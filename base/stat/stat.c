#include "base/stat/stat.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"

/* A page holds the cells of PAGE_CELLS statistics, slot by slot, so that two slots never share a cache line. */
enum { PAGE_CELLS = 512, LINE = 64, MAX_TAGS = 8 };

struct page {
    struct page *next;
    _Atomic uint64_t *cells; /* slots * PAGE_CELLS */
};

struct cell {
    struct cell *next; /* free list */
    struct page *page;
    unsigned index;
};

struct stats {
    pthread_mutex_t mutex;
    unsigned slots;
    struct map *by_key;
    struct page *pages;
    struct cell *free_cells;
    struct cell *cell_blocks; /* the first of each block owns it */
};

struct slot_buckets {
    _Atomic uint64_t sum;
    _Atomic uint64_t bucket[STAT_BUCKETS];
};

struct stat_handle {
    struct stats *stats;
    enum stat_kind kind;
    unsigned refs;
    char *key, *name, *base_name, *texts; /* texts: where the tags point */
    struct stat_tag tags[MAX_TAGS];
    size_t n_tags;
    struct cell *cell;                       /* counter, gauge */
    _Atomic(struct slot_buckets *) *buckets; /* histogram: one for each slot, made when it first records */
};

struct stats *stats_create(unsigned slots)
{
    assert(slots > 0);
    struct stats *s = mem_alloc(sizeof *s);
    pthread_mutex_init(&s->mutex, NULL);
    s->slots = slots;
    s->by_key = map_create(NULL);
    return s;
}

unsigned stats_slots(const struct stats *s)
{
    return s->slots;
}

static void add_page(struct stats *s)
{
    struct page *page = mem_alloc(sizeof *page);
    size_t bytes = (size_t)s->slots * PAGE_CELLS * sizeof *page->cells;
    page->cells = aligned_alloc(LINE, bytes);
    assert(page->cells != NULL);
    for (size_t i = 0; i < (size_t)s->slots * PAGE_CELLS; i++) {
        atomic_init(&page->cells[i], 0);
    }
    page->next = s->pages;
    s->pages = page;
    struct cell *cells = mem_alloc((PAGE_CELLS + 1) * sizeof *cells);
    cells[0].next = s->cell_blocks;
    s->cell_blocks = cells;
    for (unsigned i = PAGE_CELLS; i > 0; i--) {
        cells[i] = (struct cell){.next = s->free_cells, .page = page, .index = i - 1};
        s->free_cells = &cells[i];
    }
}

static _Atomic uint64_t *cell_at(const struct stat_handle *stat, unsigned slot)
{
    assert(slot < stat->stats->slots && stat->cell != NULL);
    return &stat->cell->page->cells[(size_t)slot * PAGE_CELLS + stat->cell->index];
}

static struct cell *take_cell(struct stats *s)
{
    if (s->free_cells == NULL) {
        add_page(s);
    }
    struct cell *cell = s->free_cells;
    s->free_cells = cell->next;
    for (unsigned slot = 0; slot < s->slots; slot++) {
        atomic_store_explicit(&cell->page->cells[(size_t)slot * PAGE_CELLS + cell->index], 0, memory_order_relaxed);
    }
    return cell;
}

/* Leaves the tag out of the base name, together with the separator that would stand alone. */
static void cut_tag(struct strbuf *base, const char **rest)
{
    if (**rest == '.') {
        ++*rest;
    } else if (**rest == '\0' && base->n > 0 && strchr("._", base->p[base->n - 1]) != NULL) {
        base->p[--base->n] = '\0';
    }
}

static void expand(struct stat_handle *stat, const char *pattern, const struct slice *values)
{
    struct strbuf name, base, texts;
    strbuf_init(&name);
    strbuf_init(&base);
    strbuf_init(&texts);
    size_t ends[MAX_TAGS * 2];
    for (const char *p = pattern; *p != '\0';) {
        if (*p != '{') {
            strbuf_add_char(&name, *p);
            strbuf_add_char(&base, *p++);
            continue;
        }
        const char *close = strchr(p, '}');
        assert(close != NULL && values != NULL && stat->n_tags < MAX_TAGS);
        strbuf_add(&texts, slice_make(p + 1, (size_t)(close - p - 1)));
        ends[stat->n_tags * 2] = texts.n;
        strbuf_add(&texts, values[stat->n_tags]);
        ends[stat->n_tags * 2 + 1] = texts.n;
        strbuf_add(&name, values[stat->n_tags++]);
        p = close + 1;
        cut_tag(&base, &p);
        if (p[-1] == '.') {
            strbuf_add_char(&name, '.');
        }
    }
    stat->name = strbuf_take(&name);
    stat->base_name = strbuf_take(&base);
    stat->texts = strbuf_take(&texts);
    for (size_t i = 0, at = 0; i < stat->n_tags; i++) {
        stat->tags[i].name = slice_make(stat->texts + at, ends[i * 2] - at);
        stat->tags[i].value = slice_make(stat->texts + ends[i * 2], ends[i * 2 + 1] - ends[i * 2]);
        at = ends[i * 2 + 1];
    }
}

static char *make_key(enum stat_kind kind, const char *pattern, const struct slice *values)
{
    struct strbuf key;
    strbuf_init(&key);
    strbuf_printf(&key, "%d %s", (int)kind, pattern);
    size_t i = 0;
    for (const char *p = strchr(pattern, '{'); p != NULL; p = strchr(p + 1, '{')) {
        strbuf_printf(&key, "\n%zu:", values[i].n);
        strbuf_add(&key, values[i++]);
    }
    return strbuf_take(&key);
}

static void stat_free(struct stat_handle *stat)
{
    if (stat->buckets != NULL) {
        for (unsigned i = 0; i < stat->stats->slots; i++) {
            mem_free(atomic_load_explicit(&stat->buckets[i], memory_order_relaxed));
        }
        mem_free(stat->buckets);
    }
    mem_free(stat->key);
    mem_free(stat->name);
    mem_free(stat->base_name);
    mem_free(stat->texts);
    mem_free(stat);
}

static struct stat_handle *acquire(struct stats *s, enum stat_kind kind, const char *pattern,
                                   const struct slice *values)
{
    char *key = make_key(kind, pattern, values);
    pthread_mutex_lock(&s->mutex);
    struct stat_handle *stat = map_get(s->by_key, slice_of(key));
    if (stat == NULL) {
        stat = mem_alloc(sizeof *stat);
        stat->stats = s;
        stat->kind = kind;
        stat->key = mem_str(key);
        expand(stat, pattern, values);
        if (kind == STAT_HISTOGRAM) {
            stat->buckets = mem_alloc(s->slots * sizeof *stat->buckets);
        } else {
            stat->cell = take_cell(s);
        }
        map_put(s->by_key, slice_of(key), stat);
    }
    stat->refs++;
    pthread_mutex_unlock(&s->mutex);
    mem_free(key);
    return stat;
}

struct stat_handle *stat_counter(struct stats *s, const char *pattern, const struct slice *values)
{
    return acquire(s, STAT_COUNTER, pattern, values);
}

struct stat_handle *stat_gauge(struct stats *s, const char *pattern, const struct slice *values)
{
    return acquire(s, STAT_GAUGE, pattern, values);
}

struct stat_handle *stat_histogram(struct stats *s, const char *pattern, const struct slice *values)
{
    return acquire(s, STAT_HISTOGRAM, pattern, values);
}

void stat_release(struct stat_handle **handle)
{
    struct stat_handle *stat = *handle;
    *handle = NULL;
    if (stat == NULL) {
        return;
    }
    struct stats *s = stat->stats;
    pthread_mutex_lock(&s->mutex);
    assert(stat->refs > 0);
    bool last = --stat->refs == 0;
    if (last) {
        map_del(s->by_key, slice_of(stat->key));
        if (stat->cell != NULL) {
            stat->cell->next = s->free_cells;
            s->free_cells = stat->cell;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    if (last) {
        stat_free(stat);
    }
}

void stats_destroy(struct stats **handle)
{
    struct stats *s = *handle;
    *handle = NULL;
    if (s == NULL) {
        return;
    }
    for (struct map_item *i = map_first(s->by_key); i != NULL; i = map_next(i)) {
        stat_free(map_value(i));
    }
    map_destroy(&s->by_key);
    while (s->pages != NULL) {
        struct page *next = s->pages->next;
        free((void *)s->pages->cells);
        mem_free(s->pages);
        s->pages = next;
    }
    while (s->cell_blocks != NULL) {
        struct cell *next = s->cell_blocks->next;
        mem_free(s->cell_blocks);
        s->cell_blocks = next;
    }
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

/* One writer for each cell: a load and a store are enough, and cheaper than a locked addition. */
static void bump(_Atomic uint64_t *cell, uint64_t n)
{
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + n, memory_order_relaxed);
}

void stat_add(struct stat_handle *stat, unsigned slot, uint64_t n)
{
    bump(cell_at(stat, slot), n);
}

void stat_sub(struct stat_handle *stat, unsigned slot, uint64_t n)
{
    assert(stat->kind == STAT_GAUGE);
    bump(cell_at(stat, slot), 0 - n);
}

void stat_set(struct stat_handle *stat, unsigned slot, uint64_t value)
{
    assert(stat->kind == STAT_GAUGE);
    atomic_store_explicit(cell_at(stat, slot), value, memory_order_relaxed);
}

void stat_record(struct stat_handle *stat, unsigned slot, uint64_t value)
{
    assert(stat->kind == STAT_HISTOGRAM && slot < stat->stats->slots);
    struct slot_buckets *b = atomic_load_explicit(&stat->buckets[slot], memory_order_relaxed);
    if (b == NULL) {
        b = mem_alloc(sizeof *b);
        atomic_store_explicit(&stat->buckets[slot], b, memory_order_release);
    }
    bump(&b->sum, value);
    bump(&b->bucket[stat_bucket_of(value)], 1);
}

void stat_read_buckets(const struct stat_handle *stat, struct stat_buckets *out)
{
    memset(out, 0, sizeof *out);
    for (unsigned slot = 0; slot < stat->stats->slots; slot++) {
        struct slot_buckets *b = atomic_load_explicit(&stat->buckets[slot], memory_order_acquire);
        for (unsigned i = 0; b != NULL && i < STAT_BUCKETS; i++) {
            uint64_t n = atomic_load_explicit(&b->bucket[i], memory_order_relaxed);
            out->bucket[i] += n;
            out->count += n;
        }
        out->sum += b == NULL ? 0 : atomic_load_explicit(&b->sum, memory_order_relaxed);
    }
}

uint64_t stat_value(const struct stat_handle *stat)
{
    if (stat->kind == STAT_HISTOGRAM) {
        struct stat_buckets b;
        stat_read_buckets(stat, &b);
        return b.count;
    }
    uint64_t sum = 0;
    for (unsigned slot = 0; slot < stat->stats->slots; slot++) {
        sum += atomic_load_explicit(cell_at(stat, slot), memory_order_relaxed);
    }
    return sum;
}

static int by_name(const void *a, const void *b)
{
    const struct stat_handle *x = *(const struct stat_handle *const *)a, *y = *(const struct stat_handle *const *)b;
    int order = strcmp(x->base_name, y->base_name);
    return order != 0 ? order : strcmp(x->name, y->name);
}

void stats_each(struct stats *s, void (*visit)(void *ctx, const struct stat_view *view), void *ctx)
{
    pthread_mutex_lock(&s->mutex);
    size_t n = 0;
    struct stat_handle **all = mem_alloc((map_count(s->by_key) + 1) * sizeof(struct stat_handle *));
    for (struct map_item *i = map_first(s->by_key); i != NULL; i = map_next(i)) {
        all[n++] = map_value(i);
    }
    qsort(all, n, sizeof all[0], by_name);
    for (size_t i = 0; i < n; i++) {
        struct stat_view view = {
            .kind = all[i]->kind,
            .name = slice_of(all[i]->name),
            .base_name = slice_of(all[i]->base_name),
            .tags = all[i]->tags,
            .n_tags = all[i]->n_tags,
            .value = stat_value(all[i]),
            .stat = all[i],
        };
        visit(ctx, &view);
    }
    pthread_mutex_unlock(&s->mutex);
    mem_free(all);
}
