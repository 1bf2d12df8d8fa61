/* catalog_free: an object's end, for the files of this room. */
#pragma once
#include "xds/catalog/catalog.h"

void catalog_object_unref(struct catalog_object *o);
const struct catalog_object *catalog_object_find(const void *items, size_t n, const char *name);
