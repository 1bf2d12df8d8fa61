/*
 * map: text keys → pointers, insertion order kept for map_each. Keys are copied, values are borrowed unless a
 * free function is given. Off the request path. One thread.
 */
#pragma once
#include "base/slice.h"

struct map;

struct map *map_create(void (*free_value)(void *)); /* NULL: values are not owned */
void map_destroy(struct map **m);
void *map_get(const struct map *m, struct slice key); /* NULL when absent */
bool map_has(const struct map *m, struct slice key);
void map_put(struct map *m, struct slice key, void *value); /* replaces, freeing the old value */
bool map_del(struct map *m, struct slice key);              /* false when absent */
void *map_take(struct map *m, struct slice key);            /* removes without freeing the value */
size_t map_count(const struct map *m);

/* for (struct map_item *i = map_first(m); i != NULL; i = map_next(i)): do not change the map meanwhile. */
struct map_item;
struct map_item *map_first(const struct map *m);
struct map_item *map_next(const struct map_item *i);
struct slice map_key(const struct map_item *i);
void *map_value(const struct map_item *i);
