#include "base/map.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

/*
 * Open addressing over an array of (hash, item): a look-up touches one line of the table and the item that fits. Items
 * are linked in the order in which they came.
 */
enum { SLOTS_FIRST = 8 };

struct map_item {
    struct map_item *prev, *next;
    void *value;
    uint64_t hash;
    size_t key_len;
    char key[];
};

struct slot {
    uint64_t hash;
    struct map_item *item; /* NULL: free */
};

struct map {
    struct slot *slots; /* a power of two, at most three quarters taken; NULL while the map was never used */
    size_t mask, n;
    struct map_item *first, *last;
    void (*free_value)(void *);
};

/* Where the map lies is nobody's to know: keys that come from outside cannot be made to crowd in one place. */
static uint64_t hash_of(const struct map *m, struct slice key)
{
    return slice_hash(key, (uint64_t)(uintptr_t)m);
}

/* The slot of the key, or the free one where it belongs. The table is never full. */
static struct slot *probe(const struct map *m, struct slice key, uint64_t hash)
{
    for (size_t i = (size_t)hash & m->mask;; i = (i + 1) & m->mask) {
        struct slot *s = &m->slots[i];
        if (s->item == NULL || (s->hash == hash && slice_eq(map_key(s->item), key))) {
            return s;
        }
    }
}

static struct map_item *find(const struct map *m, struct slice key)
{
    return m->n == 0 ? NULL : probe(m, key, hash_of(m, key))->item;
}

static void grow(struct map *m)
{
    struct slot *old = m->slots;
    size_t slots = old == NULL ? SLOTS_FIRST : (m->mask + 1) * 2;
    m->slots = mem_alloc(slots * sizeof m->slots[0]);
    m->mask = slots - 1;
    for (struct map_item *i = m->first; i != NULL; i = i->next) {
        size_t at = (size_t)i->hash & m->mask;
        while (m->slots[at].item != NULL) {
            at = (at + 1) & m->mask;
        }
        m->slots[at] = (struct slot){i->hash, i};
    }
    mem_free(old);
}

/* Closes the gap that a removal leaves: whoever could stand nearer to its own place moves up. */
static void remove_slot(struct map *m, size_t gap)
{
    for (size_t i = (gap + 1) & m->mask; m->slots[i].item != NULL; i = (i + 1) & m->mask) {
        size_t home = (size_t)m->slots[i].hash & m->mask;
        if (((i - home) & m->mask) >= ((i - gap) & m->mask)) {
            m->slots[gap] = m->slots[i];
            gap = i;
        }
    }
    m->slots[gap] = (struct slot){0, NULL};
}

static void unlink_item(struct map *m, struct map_item *i)
{
    *(i->prev == NULL ? &m->first : &i->prev->next) = i->next;
    *(i->next == NULL ? &m->last : &i->next->prev) = i->prev;
    m->n--;
}

static void free_item(const struct map *m, struct map_item *i)
{
    if (m->free_value != NULL && i->value != NULL) {
        m->free_value(i->value);
    }
    mem_free(i);
}

struct map *map_create(void (*free_value)(void *))
{
    struct map *m = mem_alloc(sizeof *m);
    m->free_value = free_value;
    return m;
}

void map_destroy(struct map **m)
{
    if (*m == NULL) {
        return;
    }
    for (struct map_item *i = (*m)->first, *next; i != NULL; i = next) {
        next = i->next;
        free_item(*m, i);
    }
    mem_free((*m)->slots);
    mem_free(*m);
    *m = NULL;
}

void *map_get(const struct map *m, struct slice key)
{
    const struct map_item *i = find(m, key);
    return i == NULL ? NULL : i->value;
}

bool map_has(const struct map *m, struct slice key)
{
    return find(m, key) != NULL;
}

static struct map_item *append(struct map *m, struct slice key, uint64_t hash)
{
    struct map_item *i = mem_alloc(sizeof *i + key.n + 1);
    i->hash = hash;
    i->key_len = key.n;
    if (key.n > 0) {
        memcpy(i->key, key.p, key.n);
    }
    i->prev = m->last;
    *(m->last == NULL ? &m->first : &m->last->next) = i;
    m->last = i;
    m->n++;
    return i;
}

void map_put(struct map *m, struct slice key, void *value)
{
    if (m->slots == NULL || (m->n + 1) * 4 > (m->mask + 1) * 3) {
        grow(m);
    }
    uint64_t hash = hash_of(m, key);
    struct slot *s = probe(m, key, hash);
    if (s->item == NULL) {
        *s = (struct slot){hash, append(m, key, hash)};
        s->item->value = value;
        return;
    }
    void *old = s->item->value;
    s->item->value = value;
    if (m->free_value != NULL && old != NULL && old != value) {
        m->free_value(old);
    }
}

/* The item, out of the map; NULL: there is none. */
static struct map_item *detach(struct map *m, struct slice key)
{
    struct slot *s = m->n == 0 ? NULL : probe(m, key, hash_of(m, key));
    if (s == NULL || s->item == NULL) {
        return NULL;
    }
    struct map_item *i = s->item;
    remove_slot(m, (size_t)(s - m->slots));
    unlink_item(m, i);
    return i;
}

void *map_take(struct map *m, struct slice key)
{
    struct map_item *i = detach(m, key);
    void *value = i == NULL ? NULL : i->value;
    mem_free(i);
    return value;
}

bool map_del(struct map *m, struct slice key)
{
    struct map_item *i = detach(m, key);
    if (i == NULL) {
        return false;
    }
    free_item(m, i);
    return true;
}

size_t map_count(const struct map *m)
{
    return m->n;
}

struct map_item *map_first(const struct map *m)
{
    return m->first;
}

struct map_item *map_next(const struct map_item *i)
{
    return i->next;
}

struct slice map_key(const struct map_item *i)
{
    return slice_make(i->key, i->key_len);
}

void *map_value(const struct map_item *i)
{
    return i->value;
}
