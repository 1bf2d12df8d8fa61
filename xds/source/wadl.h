/*
 * wadl: the operations of a WADL document (the W3C submission of 2009): its resources with their methods. What it
 * describes elsewhere (resource types, methods by reference) is not looked up: the API is then closed, by name.
 */
#pragma once
#include "base/err.h"
#include "xds/source/openapi.h"

/* NULL and err, "file:line:column: reason", when it is not well-formed or no WADL. */
const struct openapi *wadl_read(struct arena *arena, const char *file, struct slice text, struct err *err);
