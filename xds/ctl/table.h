/* table: rows of texts in aligned columns, for people. */
#pragma once
#include <stdio.h>

#include "base/slice.h"

struct table;

struct table *table_create(const char *const *heads, size_t columns);
void table_destroy(struct table **table);
void table_add(struct table *table, const struct slice *cells); /* as many as there are columns; copied */
size_t table_rows(const struct table *table);
void table_print(const struct table *table, FILE *out); /* nothing but the heads when there are no rows */
