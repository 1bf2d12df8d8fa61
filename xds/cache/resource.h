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

enum { RESOURCE_VERSION_BYTES = 33 };
/* A hash of the content as text: equal on every replica that makes the same bytes. */
void resource_version(const struct resource *r, char out[RESOURCE_VERSION_BYTES]);
/* Stands for what a client says it holds: equal to the resource of this name and version, without its bytes. A version
 * that no server like this one gave is equal to nothing; an empty one says that nothing is known of the content. */
struct resource *resource_create_held(struct slice name, struct slice version);
bool resource_is_unknown(const struct resource *r); /* a version was not given */

/* Takes over n references; sorts items by name. Names must differ. The array stays the caller's. */
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
/* All of fresh, and what only old has (NULL: nothing). Gives fresh itself when that is all. */
struct resource_list *resource_list_union(struct resource_list *fresh, const struct resource_list *old);
/* Those of l that keep says yes to. */
struct resource_list *resource_list_filter(struct resource_list *l, bool (*keep)(void *ctx, const struct resource *r),
                                           void *ctx);
/* What makes `now` out of `before`: two lists, one reference each. NULL is an empty list. */
void resource_list_diff(const struct resource_list *before, const struct resource_list *now,
                        struct resource_list **changed, struct resource_list **removed);
/* Every resource of `wanted` is in `held`, in the same form. NULL is an empty list. */
bool resource_list_covers(const struct resource_list *held, const struct resource_list *wanted);
