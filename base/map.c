#include "base/map.h"

#include <string.h>

#include "base/mem.h"
#define uthash_malloc(n) mem_alloc(n)
#define uthash_free(p, n) mem_free(p)
/* uthash's own function reads byte by byte, which is a sixth of what loading a large folder costs. */
#define HASH_FUNCTION(key, n, out) ((out) = (unsigned)slice_hash((struct slice){(key), (n)}, 0))
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <uthash.h>

struct map_item {
    UT_hash_handle hh;
    void *value;
    size_t key_len;
    char key[];
};

struct map {
    struct map_item *items;
    void (*free_value)(void *);
};

static struct map_item *find(const struct map *m, struct slice key)
{
    struct map_item *i = NULL;
    const char *p = key.n == 0 ? "" : key.p;
    HASH_FIND(hh, m->items, p, key.n, i);
    return i;
}

static void add(struct map *m, struct map_item *i)
{
    HASH_ADD_KEYPTR(hh, m->items, i->key, i->key_len, i);
}

static void unlink_item(struct map *m, struct map_item *i)
{
    HASH_DELETE(hh, m->items, i);
}
#pragma GCC diagnostic pop

struct map *map_create(void (*free_value)(void *))
{
    struct map *m = mem_alloc(sizeof *m);
    m->free_value = free_value;
    return m;
}

static void free_item(struct map *m, struct map_item *i)
{
    unlink_item(m, i);
    if (m->free_value != NULL && i->value != NULL) {
        m->free_value(i->value);
    }
    mem_free(i);
}

void map_destroy(struct map **m)
{
    if (*m == NULL) {
        return;
    }
    while ((*m)->items != NULL) {
        free_item(*m, (*m)->items);
    }
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

void map_put(struct map *m, struct slice key, void *value)
{
    struct map_item *i = find(m, key);
    if (i != NULL) {
        if (m->free_value != NULL && i->value != NULL && i->value != value) {
            m->free_value(i->value);
        }
        i->value = value;
        return;
    }
    i = mem_alloc(sizeof *i + key.n + 1);
    i->value = value;
    i->key_len = key.n;
    if (key.n > 0) {
        memcpy(i->key, key.p, key.n);
    }
    add(m, i);
}

void *map_take(struct map *m, struct slice key)
{
    struct map_item *i = find(m, key);
    if (i == NULL) {
        return NULL;
    }
    void *value = i->value;
    i->value = NULL;
    free_item(m, i);
    return value;
}

bool map_del(struct map *m, struct slice key)
{
    struct map_item *i = find(m, key);
    if (i == NULL) {
        return false;
    }
    free_item(m, i);
    return true;
}

size_t map_count(const struct map *m)
{
    return m->items == NULL ? 0 : m->items->hh.tbl->num_items;
}

struct map_item *map_first(const struct map *m)
{
    return m->items;
}

struct map_item *map_next(const struct map_item *i)
{
    return i->hh.next;
}

struct slice map_key(const struct map_item *i)
{
    return slice_make(i->key, i->key_len);
}

void *map_value(const struct map_item *i)
{
    return i->value;
}
