/*
 * cache: what each node group gets. A resource_set holds one list for each type, is immutable and reference-counted;
 * the cache maps group names to the set published last. A builder makes the next set and takes over from the previous
 * one whatever did not change. Sets and the cache may be used from any thread, a builder from one.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"
#include "xds/cache/resource.h"
#include "xds/cache/type.h"

struct resource_set;
struct set_builder;
struct cache;

/* previous may be NULL; it must outlive the builder. */
struct set_builder *set_builder_create(const struct resource_set *previous);
void set_builder_destroy(struct set_builder **builder);
/* false: the type is not known, or the name is there already (the first one stays). */
bool set_builder_add(struct set_builder *builder, struct slice type_url, struct slice name, struct slice bytes,
                     struct err *err);
/*
 * Saves making what did not change. true: the previous set's resource of this name was made from the same source (a hash,
 * never 0) and is in the new set now. false: the caller makes and adds it, as the next thing it does.
 */
bool set_builder_reuse(struct set_builder *builder, struct slice type_url, struct slice name, uint64_t source);
/* The same for all of a type: false: the caller makes and adds them all. */
bool set_builder_reuse_all(struct set_builder *builder, struct slice type_url, uint64_t source);
struct resource_set *set_builder_finish(struct set_builder **builder); /* one reference; the builder is gone */

struct resource_set *resource_set_ref(struct resource_set *set);
void resource_set_unref(struct resource_set *set);                                           /* NULL is fine */
struct resource_list *resource_set_list(const struct resource_set *set, enum xds_type type); /* borrowed, never NULL */
bool resource_set_equal(const struct resource_set *a, const struct resource_set *b);

struct cache *cache_create(void);
void cache_destroy(struct cache **cache);
/* Takes its own reference. false: nothing changed for this group. */
bool cache_publish(struct cache *cache, const char *group, struct resource_set *set);
struct resource_set *cache_get(struct cache *cache, const char *group); /* one reference, or NULL: never published */
void cache_drop(struct cache *cache, const char *group);
