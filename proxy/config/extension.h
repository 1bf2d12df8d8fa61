/*
 * extension: how rooms above config make typed_config understood: app registers their types at start, the store calls
 * `build` on the decoded message while it checks a resource. Built objects are immutable and live as long as the
 * resource that holds them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

struct arena;

enum extension_kind {
    EXTENSION_HTTP_FILTER,
    EXTENSION_ACCESS_LOG,
    EXTENSION_PER_ROUTE, /* typed_per_filter_config */
};

struct extension_type {
    enum extension_kind kind;
    const char *message; /* full name, "egret.apim.v1.ApimFilter" */
    /* message: the unpacked protobuf-c structure of that type, with every field of our .proto; a field that the type does
     * not build must be refused here. It is gone after the call: copy. NULL with err ("field: reason") when it is not
     * acceptable. Memory in the arena needs no destroy; NULL destroy is fine. */
    void *(*build)(const void *message, struct arena *arena, struct err *err);
    void (*destroy)(void *object); /* not for PER_ROUTE: those live in their route table's arena alone */
};

struct extension_registry;
struct extension_registry *extension_registry_create(void);
void extension_registry_destroy(struct extension_registry **r);
void extension_register(struct extension_registry *r, const struct extension_type *type); /* type outlives r */
const struct extension_type *extension_find(const struct extension_registry *r, enum extension_kind kind,
                                            struct slice message);
