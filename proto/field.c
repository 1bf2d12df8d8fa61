#include "proto/field.h"

#include <stdio.h>
#include <string.h>

size_t field_size(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_ENUM:
        return 4;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    }
    return 0;
}

size_t field_count(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    return *(const size_t *)((const char *)m + f->quantifier_offset);
}

void *field_item(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, size_t i)
{
    return *(char **)field_at(m, f) + i * field_size(f);
}

static bool is_default(const void *value, const ProtobufCFieldDescriptor *f)
{
    static const char zero[8];
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        return *(void *const *)value == NULL;
    }
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(const char *const *)value;
        return text == NULL || text[0] == '\0';
    }
    if (f->type == PROTOBUF_C_TYPE_BYTES) {
        return ((const ProtobufCBinaryData *)value)->len == 0;
    }
    return memcmp(value, zero, field_size(f)) == 0;
}

bool field_is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    if (field_is_repeated(f)) {
        return field_count(m, f) > 0;
    }
    if (field_in_oneof(f)) {
        return *(const uint32_t *)((const char *)m + f->quantifier_offset) == f->id;
    }
    return !is_default(field_at(m, f), f);
}

const ProtobufCFieldDescriptor *field_oneof_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    uint32_t id = *(const uint32_t *)((const char *)m + f->quantifier_offset);
    return id == 0 ? NULL : protobuf_c_message_descriptor_get_field(m->descriptor, id);
}

bool field_is_map(const ProtobufCMessageDescriptor *parent, const ProtobufCFieldDescriptor *f)
{
    if (!field_is_repeated(f) || f->type != PROTOBUF_C_TYPE_MESSAGE) {
        return false;
    }
    const ProtobufCMessageDescriptor *entry = f->descriptor;
    size_t prefix = strlen(parent->name);
    if (entry->n_fields != 2 || strcmp(entry->fields[0].name, "key") != 0 ||
        strcmp(entry->fields[1].name, "value") != 0 || strncmp(entry->name, parent->name, prefix) != 0 ||
        entry->name[prefix] != '.') {
        return false;
    }
    const char *p = entry->name + prefix + 1;
    bool upper = true;
    for (const char *q = f->name; *q != '\0'; q++) {
        if (*q == '_') {
            upper = true;
            continue;
        }
        char c = upper && *q >= 'a' && *q <= 'z' ? (char)(*q - 32) : *q;
        if (*p++ != c) {
            return false;
        }
        upper = false;
    }
    return strcmp(p, "Entry") == 0;
}

bool field_name_is(const char *proto_name, struct slice name)
{
    if (slice_eq(slice_of(proto_name), name)) {
        return true;
    }
    size_t i = 0;
    bool upper = false;
    for (const char *q = proto_name; *q != '\0'; q++) {
        if (*q == '_') {
            upper = true;
            continue;
        }
        char c = upper && *q >= 'a' && *q <= 'z' ? (char)(*q - 32) : *q;
        if (i == name.n || name.p[i++] != c) {
            return false;
        }
        upper = false;
    }
    return i == name.n;
}

const ProtobufCFieldDescriptor *field_find(const ProtobufCMessageDescriptor *type, struct slice name)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (field_name_is(type->fields[i].name, name)) {
            return &type->fields[i];
        }
    }
    return NULL;
}

ProtobufCMessage *message_create(const ProtobufCMessageDescriptor *type, struct arena *arena)
{
    ProtobufCMessage *m = arena_alloc(arena, type->sizeof_message);
    type->message_init(m);
    return m;
}

bool message_is(const ProtobufCMessageDescriptor *type, const char *full_name)
{
    return strcmp(type->name, full_name) == 0;
}

char *field_path_text(const struct field_path *path, char *out, size_t n)
{
    size_t at = n - 1;
    out[at] = '\0';
    for (const struct field_path *p = path; p != NULL; p = p->up) {
        char part[160];
        int len = p->key.p != NULL
                      ? snprintf(part, sizeof part, "%s[\"%.80s\"]%s", p->name, p->key.p, p == path ? "" : ".")
                  : p->index >= 0
                      ? snprintf(part, sizeof part, "%s[%lld]%s", p->name, (long long)p->index, p == path ? "" : ".")
                      : snprintf(part, sizeof part, "%s%s", p->name, p == path ? "" : ".");
        if (len < 0 || (size_t)len > at) {
            break;
        }
        at -= (size_t)len;
        memcpy(out + at, part, (size_t)len);
    }
    memmove(out, out + at, n - at);
    return out;
}
