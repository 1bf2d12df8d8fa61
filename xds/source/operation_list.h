/*
 * operation_list: what the readers of specifications share: identifiers as on import, and operations that cannot be told
 * apart. Private to xds/source.
 */
#pragma once
#include "xds/source/openapi.h"

struct operation_list {
    struct arena *arena;
    struct openapi *out;
    struct openapi_operation *items;
    size_t cap;
};

/* o says method, template and place; an empty id is made from method and template. */
void operation_list_add(struct operation_list *l, struct slice id, struct openapi_operation o);
/* Numbers the ids that were made and are taken, closes twins, and gives everything to out. */
void operation_list_finish(struct operation_list *l);
