/* Reading and writing a message's fields through its descriptor; for the files of this room and those it serves. */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

size_t field_size(const ProtobufCFieldDescriptor *f); /* of one value in memory */
static inline void *field_at(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    return (char *)(uintptr_t)m + f->offset;
}
static inline bool field_is_repeated(const ProtobufCFieldDescriptor *f)
{
    return f->label == PROTOBUF_C_LABEL_REPEATED;
}
static inline bool field_in_oneof(const ProtobufCFieldDescriptor *f)
{
    return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}
size_t field_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f); /* of a repeated field */
void *field_item(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i);

/* Set, as the wire would show it: a plain scalar with its default value is not. */
bool field_is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);
/* The member of f's oneof that is set, or NULL. */
const ProtobufCFieldDescriptor *field_oneof_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f);

/* map<k, v> is a repeated message "<Field>Entry" of key = 1 and value = 2; protobuf-c does not mark it. */
bool field_is_map(const ProtobufCMessageDescriptor *parent, const ProtobufCFieldDescriptor *f);

/* By its proto name, or by its JSON name (lowerCamelCase). */
const ProtobufCFieldDescriptor *field_find(const ProtobufCMessageDescriptor *type, struct slice name);
bool field_name_is(const char *proto_name, struct slice name);

ProtobufCMessage *message_create(const ProtobufCMessageDescriptor *type, struct arena *arena);
bool message_is(const ProtobufCMessageDescriptor *type, const char *full_name);

/* Where we are in a message, for errors: "virtual_hosts[2].routes[0].match". Links on the stack. */
struct field_path {
    const struct field_path *up;
    const char *name;
    struct slice key; /* of a map's entry */
    int64_t index;    /* -1: not in a list */
};
char *field_path_text(const struct field_path *path, char *out, size_t n); /* "" for NULL; cut at the front if long */
