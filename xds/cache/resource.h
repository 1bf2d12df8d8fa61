/*
 * resource: one serialised xDS resource, and sorted lists of them with a version. Immutable and reference-counted
 * (atomically): made once, shared by every set, list, stream and thread that needs it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct resource;
struct resource_list;

struct resource_hash {
    uint64_t hi, lo;
};

struct resource *resource_create(struct slice name, struct slice bytes); /* copies both */
struct resource *resource_ref(struct resource *r);
void resource_unref(struct resource *r);
struct slice resource_get_name(const struct resource *r);
struct slice resource_bytes(const struct resource *r);
struct resource_hash resource_hash(const struct resource *r);            /* of the bytes */
/* What its maker made it from, as a hash; 0: not said. Only for the builder of the next set, on the makers' thread. */
void resource_set_source(struct resource *r, uint64_t source);
uint64_t resource_source(const struct resource *r);
bool resource_equal(const struct resource *a, const struct resource *b); /* same name and bytes, by hash */

/* Takes over n references; sorts by name. Names must differ. items is copied, the array stays the caller's. */
struct resource_list *resource_list_create(struct resource **items, size_t n);
struct resource_list *resource_list_ref(struct resource_list *l);
void resource_list_unref(struct resource_list *l);         /* NULL is fine */
size_t resource_list_count(const struct resource_list *l); /* NULL: 0 */
struct resource *resource_list_at(const struct resource_list *l, size_t i);
struct resource *resource_list_find(const struct resource_list *l, struct slice name); /* borrowed; NULL: absent */
/* A hash of the sorted (name, content hash) pairs: equal on every replica that holds the same resources. */
const char *resource_list_version(const struct resource_list *l);
bool resource_list_equal(const struct resource_list *a, const struct resource_list *b);

/* Those of l whose name stands in names (sorted, no doubles). One reference to the caller; so for the next two. */
struct resource_list *resource_list_subset(struct resource_list *l, const char *const *names, size_t n);
/* All of fresh, and what only old has. Gives fresh itself when that is all. */
struct resource_list *resource_list_union(struct resource_list *fresh, const struct resource_list *old);
