/* What walk.c and walk_known.c share. */
#pragma once
#include "proto/walk.h"

struct walking {
    const struct walk *w;
    struct err *err;
};

bool walk_fail(const struct walking *k, const struct doc *d, const struct field_path *at, enum err_kind kind,
               const char *fmt, ...) __attribute__((format(printf, 5, 6)));
bool walk_wants(const struct walking *k, const struct doc *d, const struct field_path *at, const char *what);

/* Any message; `content` says the map is an Any's, whose "@type" was read. */
bool walk_object(const struct walking *k, const struct doc *d, ProtobufCMessage *m, const struct field_path *at,
                 bool content);
bool walk_into(const struct walking *k, const struct doc *d, ProtobufCMessage *m, const struct field_path *at);
/* One value of field f, to `out`. */
bool walk_value(const struct walking *k, const struct doc *d, const ProtobufCFieldDescriptor *f, void *out,
                const struct field_path *at);
/* A scalar; not for messages. walk_scalar.c. */
bool walk_scalar(const struct walking *k, const struct doc *d, const ProtobufCFieldDescriptor *f, void *out,
                 const struct field_path *at);
bool walk_key(const struct walking *k, const struct doc *member, const ProtobufCFieldDescriptor *f, void *out,
              const struct field_path *at);

/* How a message of google.protobuf is written in JSON, or NULL when it is written as any other. walk_known.c. */
typedef bool walk_known_fn(const struct walking *k, const struct doc *d, ProtobufCMessage *m,
                           const struct field_path *at);
walk_known_fn *walk_known(const ProtobufCMessageDescriptor *type);
