#include "base/stat/stat.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"

/*
 * A page holds the cells of PAGE_CELLS statistics, slot by slot, so that two slots never share a cache line.
 *
 * There are dozens of statistics for each of some thousand clusters: what a pattern says is kept once for all of them,
 * and full names are made only for who enumerates.
 */
enum { PAGE_CELLS = 512, LINE = 64, MAX_TAGS = 8, TABLE_FIRST = 64 };

struct page {
    struct page *next;
    _Atomic uint64_t *cells; /* slots * PAGE_CELLS */
};

struct pattern {
    char *text, *base_name, *tag_texts;
    struct slice tags[MAX_TAGS]; /* names, in tag_texts */
    unsigned n_tags;
};

struct stats {
    pthread_mutex_t mutex;
    unsigned slots;
    struct map *patterns;          /* text → struct pattern, as long as this lives */
    struct stat_handle **table;    /* open addressing; a power of two, at most half taken; NULL: free */
    size_t mask, n;
    struct page *pages;
    _Atomic uint64_t **free_cells; /* slot 0 of each that is not used */
    size_t n_free, free_cap;
};

struct slot_buckets {
    _Atomic uint64_t sum;
    _Atomic uint64_t bucket[STAT_BUCKETS];
};

struct stat_handle {
    struct stats *stats;
    union {
        _Atomic uint64_t *cell;                  /* counter, gauge: of slot 0; the next slot's PAGE_CELLS behind it */
        _Atomic(struct slot_buckets *) *buckets; /* histogram: one for each slot, made when it first records */
    };
    const struct pattern *pattern;
    uint32_t hash, refs;
    enum stat_kind kind;
    uint32_t values_len;
    char values[]; /* for each tag its value's length (uint32_t) and text */
};

static void free_pattern(void *p)
{
    struct pattern *pattern = p;
    mem_free(pattern->text);
    mem_free(pattern->base_name);
    mem_free(pattern->tag_texts);
    mem_free(pattern);
}

struct stats *stats_create(unsigned slots)
{
    assert(slots > 0);
    struct stats *s = mem_alloc(sizeof *s);
    pthread_mutex_init(&s->mutex, NULL);
    s->slots = slots;
    s->patterns = map_create(free_pattern);
    s->mask = TABLE_FIRST - 1;
    s->table = mem_alloc(TABLE_FIRST * sizeof(struct stat_handle *));
    return s;
}

unsigned stats_slots(const struct stats *s)
{
    return s->slots;
}

/* ---- cells ---- */

static void give_cell(struct stats *s, _Atomic uint64_t *cell)
{
    if (s->n_free == s->free_cap) {
        s->free_cap = s->free_cap == 0 ? PAGE_CELLS : s->free_cap * 2;
        s->free_cells = mem_resize((void *)s->free_cells, s->free_cap * sizeof(_Atomic uint64_t *));
    }
    s->free_cells[s->n_free++] = cell;
}

static void add_page(struct stats *s)
{
    struct page *page = mem_alloc(sizeof *page);
    size_t bytes = (size_t)s->slots * PAGE_CELLS * sizeof *page->cells;
    page->cells = aligned_alloc(LINE, bytes);
    assert(page->cells != NULL);
    page->next = s->pages;
    s->pages = page;
    for (size_t i = PAGE_CELLS; i > 0; i--) {
        give_cell(s, &page->cells[i - 1]);
    }
}

static _Atomic uint64_t *cell_at(const struct stat_handle *stat, unsigned slot)
{
    assert(slot < stat->stats->slots && stat->kind != STAT_HISTOGRAM);
    return &stat->cell[(size_t)slot * PAGE_CELLS];
}

static _Atomic uint64_t *take_cell(struct stats *s)
{
    if (s->n_free == 0) {
        add_page(s);
    }
    _Atomic uint64_t *cell = s->free_cells[--s->n_free];
    for (size_t slot = 0; slot < s->slots; slot++) {
        atomic_store_explicit(&cell[slot * PAGE_CELLS], 0, memory_order_relaxed);
    }
    return cell;
}

/* ---- names ---- */

/* Leaves the tag out of the base name, together with the separator that would stand alone. */
static void cut_tag(struct strbuf *base, const char **rest)
{
    if (**rest == '.') {
        ++*rest;
    } else if (**rest == '\0' && base->n > 0 && strchr("._", base->p[base->n - 1]) != NULL) {
        base->p[--base->n] = '\0';
    }
}

static struct pattern *pattern_create(const char *text)
{
    struct pattern *out = mem_alloc(sizeof *out);
    struct strbuf base;
    strbuf_init(&base);
    out->text = mem_str(text);
    out->tag_texts = mem_str(text);
    for (const char *p = text; *p != '\0';) {
        if (*p != '{') {
            strbuf_add_char(&base, *p++);
            continue;
        }
        const char *close = strchr(p, '}');
        assert(close != NULL && out->n_tags < MAX_TAGS);
        out->tags[out->n_tags++] = slice_make(out->tag_texts + (p + 1 - text), (size_t)(close - p - 1));
        p = close + 1;
        cut_tag(&base, &p);
    }
    out->base_name = strbuf_take(&base);
    return out;
}

static const struct pattern *find_pattern(struct stats *s, const char *text)
{
    struct pattern *pattern = map_get(s->patterns, slice_of(text));
    if (pattern == NULL) {
        pattern = pattern_create(text);
        map_put(s->patterns, slice_of(text), pattern);
    }
    return pattern;
}

static void pack_values(struct strbuf *out, const struct pattern *pattern, const struct slice *values)
{
    assert(values != NULL || pattern->n_tags == 0);
    for (unsigned i = 0; i < pattern->n_tags; i++) {
        uint32_t n = (uint32_t)values[i].n;
        strbuf_add(out, slice_make((const char *)&n, sizeof n));
        strbuf_add(out, values[i]);
    }
}

static void unpack_values(const struct stat_handle *stat, struct slice values[MAX_TAGS])
{
    const char *p = stat->values;
    for (unsigned i = 0; i < stat->pattern->n_tags; i++) {
        uint32_t n = 0;
        memcpy(&n, p, sizeof n);
        values[i] = slice_make(p + sizeof n, n);
        p += sizeof n + n;
    }
}

/* With the values in the tags' places. */
static void add_name(struct strbuf *out, const struct stat_handle *stat)
{
    struct slice values[MAX_TAGS];
    unsigned tag = 0;
    unpack_values(stat, values);
    for (const char *p = stat->pattern->text; *p != '\0'; p++) {
        if (*p == '{') {
            strbuf_add(out, values[tag++]);
            p = strchr(p, '}');
        } else {
            strbuf_add_char(out, *p);
        }
    }
}

/* ---- the table ---- */

static void table_file(struct stats *s, struct stat_handle *stat)
{
    size_t at = stat->hash & s->mask;
    while (s->table[at] != NULL) {
        at = (at + 1) & s->mask;
    }
    s->table[at] = stat;
}

static void table_add(struct stats *s, struct stat_handle *stat)
{
    if (++s->n * 2 > s->mask + 1) {
        struct stat_handle **old = s->table;
        size_t slots = s->mask + 1;
        s->mask = slots * 2 - 1;
        s->table = mem_alloc(slots * 2 * sizeof(struct stat_handle *));
        for (size_t i = 0; i < slots; i++) {
            if (old[i] != NULL) {
                table_file(s, old[i]);
            }
        }
        mem_free((void *)old);
    }
    table_file(s, stat);
}

static struct stat_handle *table_find(const struct stats *s, const struct stat_handle *like, struct slice values)
{
    for (size_t at = like->hash & s->mask; s->table[at] != NULL; at = (at + 1) & s->mask) {
        struct stat_handle *stat = s->table[at];
        if (stat->hash == like->hash && stat->kind == like->kind && stat->pattern == like->pattern &&
            slice_eq(slice_make(stat->values, stat->values_len), values)) {
            return stat;
        }
    }
    return NULL;
}

/* Closes the gap: whoever could stand nearer to its own place moves up. */
static void table_remove(struct stats *s, const struct stat_handle *stat)
{
    size_t gap = stat->hash & s->mask;
    while (s->table[gap] != stat) {
        gap = (gap + 1) & s->mask;
    }
    for (size_t i = (gap + 1) & s->mask; s->table[i] != NULL; i = (i + 1) & s->mask) {
        size_t home = s->table[i]->hash & s->mask;
        if (((i - home) & s->mask) >= ((i - gap) & s->mask)) {
            s->table[gap] = s->table[i];
            gap = i;
        }
    }
    s->table[gap] = NULL;
    s->n--;
}

/* ---- statistics ---- */

static void stat_free(struct stat_handle *stat)
{
    if (stat->kind == STAT_HISTOGRAM) {
        for (unsigned i = 0; i < stat->stats->slots; i++) {
            mem_free(atomic_load_explicit(&stat->buckets[i], memory_order_relaxed));
        }
        mem_free(stat->buckets);
    }
    mem_free(stat);
}

static struct stat_handle *stat_create(const struct stat_handle *like, struct slice values)
{
    struct stats *s = like->stats;
    struct stat_handle *stat = mem_alloc(sizeof *stat + values.n);
    *stat = *like;
    stat->values_len = (uint32_t)values.n;
    if (values.n > 0) {
        memcpy(stat->values, values.p, values.n);
    }
    if (stat->kind == STAT_HISTOGRAM) {
        stat->buckets = mem_alloc(s->slots * sizeof *stat->buckets);
    } else {
        stat->cell = take_cell(s);
    }
    table_add(s, stat);
    return stat;
}

static struct stat_handle *acquire(struct stats *s, enum stat_kind kind, const char *text, const struct slice *values)
{
    struct strbuf packed;
    strbuf_init(&packed);
    pthread_mutex_lock(&s->mutex);
    struct stat_handle like = {.stats = s, .kind = kind, .pattern = find_pattern(s, text)};
    pack_values(&packed, like.pattern, values);
    like.hash = (uint32_t)slice_hash(strbuf_slice(&packed), (uint64_t)(uintptr_t)like.pattern + kind);
    struct stat_handle *stat = table_find(s, &like, strbuf_slice(&packed));
    if (stat == NULL) {
        stat = stat_create(&like, strbuf_slice(&packed));
    }
    stat->refs++;
    pthread_mutex_unlock(&s->mutex);
    strbuf_fini(&packed);
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
        table_remove(s, stat);
        if (stat->kind != STAT_HISTOGRAM) {
            give_cell(s, stat->cell);
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
    for (size_t i = 0; i <= s->mask; i++) {
        if (s->table[i] != NULL) {
            stat_free(s->table[i]);
        }
    }
    mem_free((void *)s->table);
    map_destroy(&s->patterns);
    while (s->pages != NULL) {
        struct page *next = s->pages->next;
        free((void *)s->pages->cells);
        mem_free(s->pages);
        s->pages = next;
    }
    mem_free((void *)s->free_cells);
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

struct named {
    const struct stat_handle *stat;
    size_t at, n; /* of its name, in one text for all */
    const char *name;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = x->stat->pattern == y->stat->pattern
                    ? 0
                    : strcmp(x->stat->pattern->base_name, y->stat->pattern->base_name);
    return order != 0 ? order : strcmp(x->name, y->name);
}

static struct named *name_all(const struct stats *s, struct strbuf *names)
{
    struct named *all = mem_alloc((s->n + 1) * sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i <= s->mask; i++) {
        if (s->table[i] != NULL) {
            all[n] = (struct named){.stat = s->table[i], .at = names->n};
            add_name(names, s->table[i]);
            all[n].n = names->n - all[n].at;
            n++;
            strbuf_add_char(names, '\0');
        }
    }
    for (size_t i = 0; i < n; i++) {
        all[i].name = names->p + all[i].at;
    }
    qsort(all, n, sizeof all[0], by_name);
    return all;
}

static void show(const struct named *one, void (*visit)(void *ctx, const struct stat_view *view), void *ctx)
{
    const struct pattern *pattern = one->stat->pattern;
    struct slice values[MAX_TAGS];
    struct stat_tag tags[MAX_TAGS];
    unpack_values(one->stat, values);
    for (unsigned i = 0; i < pattern->n_tags; i++) {
        tags[i] = (struct stat_tag){pattern->tags[i], values[i]};
    }
    struct stat_view view = {
        .kind = one->stat->kind,
        .name = slice_make(one->name, one->n),
        .base_name = slice_of(pattern->base_name),
        .tags = tags,
        .n_tags = pattern->n_tags,
        .value = stat_value(one->stat),
        .stat = one->stat,
    };
    visit(ctx, &view);
}

void stats_each(struct stats *s, void (*visit)(void *ctx, const struct stat_view *view), void *ctx)
{
    struct strbuf names;
    strbuf_init(&names);
    pthread_mutex_lock(&s->mutex);
    struct named *all = name_all(s, &names);
    for (size_t i = 0; i < s->n; i++) {
        show(&all[i], visit, ctx);
    }
    pthread_mutex_unlock(&s->mutex);
    mem_free(all);
    strbuf_fini(&names);
}
