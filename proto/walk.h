/*
 * walk: document tree → message, by the descriptor, with proto3's JSON mapping: field names as in the .proto or in
 * lowerCamelCase, enums by name or number, wrappers as plain values, Duration "1.5s", Struct as it is, bytes in
 * base64, Any by its "@type" (its content is checked and packed at once). Everything lives in the arena.
 * What is unknown, given twice, excluded by another field or not built is refused:
 * "file:line:column: path.to[2].field: reason".
 */
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/doc/doc.h"
#include "base/err.h"
#include "proto/support.h"

struct walk {
    struct arena *arena;
    const struct support *support; /* NULL: every field of our .proto will do */
};

void *walk_message(const struct walk *w, const struct doc *d, const ProtobufCMessageDescriptor *type, struct err *err);
