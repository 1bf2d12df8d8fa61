/*
 * support: which fields of the messages we take are really built. The one who builds says so in a table; what is
 * not in it, and not in proto/ignored.txt, is refused when it is set, in files and over xDS alike. Immutable once
 * created; any thread.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/err.h"
#include "proto/field.h"

struct support;

struct support_rule {
    const char *message; /* full name */
    const char *fields;  /* names with a space between; "*": all that our .proto has */
};

/*
 * A message without a rule has no field built. Messages of google.protobuf, google.rpc, xds.type, udpa.type and
 * egret are always built in full. A rule that names what does not exist is our own bug and ends the process.
 */
struct support *support_create(const struct support_rule *rules, size_t n);
void support_destroy(struct support **s);

/* NULL for s: everything is. */
bool support_has(const struct support *s, const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *f);
/* The whole message below `at` (NULL at the root): "path: field: not supported by Egret". Does not look into Any. */
bool support_check(const struct support *s, const ProtobufCMessage *m, const struct field_path *at, struct err *err);
