/* The messages of google.protobuf whose JSON is not that of their fields. */
#include <string.h>

#include "base/macros.h"
#include "pb/google/protobuf/any.pb-c.h"
#include "pb/google/protobuf/duration.pb-c.h"
#include "pb/google/protobuf/struct.pb-c.h"
#include "proto/duration.h"
#include "proto/pack.h"
#include "proto/registry.h"
#include "proto/walk_internal.h"

static bool read_duration(const struct walking *k, const struct doc *d, ProtobufCMessage *m,
                          const struct field_path *at)
{
    Google__Protobuf__Duration *duration = (void *)m;
    struct slice text;
    if (!doc_string(d, &text) || !duration_parse(text, &duration->seconds, &duration->nanos)) {
        return walk_fail(k, d, at, ERR_INPUT, "expected a duration such as \"1.5s\"");
    }
    return true;
}

/* Behind an Any's "@type": the message's own fields, or "value" for those with a JSON of their own. */
static bool read_content(const struct walking *k, const struct doc *d, ProtobufCMessage *m, const struct field_path *at)
{
    walk_known_fn *known = walk_known(m->descriptor);
    if (known == NULL) {
        return walk_object(k, d, m, at, true);
    }
    const struct doc *value = doc_get(d, "value");
    if (value == NULL || doc_len(d) != 2) {
        return walk_fail(k, d, at, ERR_INPUT, "expected \"@type\" and \"value\"");
    }
    struct field_path path = {.up = at, .name = "value", .index = -1};
    return known(k, value, m, &path);
}

static bool read_any(const struct walking *k, const struct doc *d, ProtobufCMessage *m, const struct field_path *at)
{
    Google__Protobuf__Any *any = (void *)m;
    if (!doc_is(d, DOC_MAP)) {
        return walk_wants(k, d, at, "a map");
    }
    const struct doc *type_doc = doc_get(d, "@type");
    struct slice url;
    if (!doc_string(type_doc, &url)) {
        return walk_fail(k, d, at, ERR_INPUT, "\"@type\" is missing");
    }
    const ProtobufCMessageDescriptor *type = registry_find(url);
    if (type == NULL) {
        return walk_fail(k, type_doc, at, ERR_UNSUPPORTED, "type \"%.*s\" is not supported by Egret",
                         url.n > 150 ? 150 : (int)url.n, url.p);
    }
    ProtobufCMessage *content = message_create(type, k->w->arena);
    if (!read_content(k, d, content, at)) {
        return false;
    }
    struct slice bytes = pack_message(content, k->w->arena);
    any->type_url = arena_str(k->w->arena, url);
    any->value = (ProtobufCBinaryData){.len = bytes.n, .data = (uint8_t *)(uintptr_t)bytes.p};
    return true;
}

static bool read_wrapper(const struct walking *k, const struct doc *d, ProtobufCMessage *m, const struct field_path *at)
{
    const ProtobufCFieldDescriptor *f = &m->descriptor->fields[0];
    return walk_scalar(k, d, f, field_at(m, f), at);
}

/* Struct { fields }, ListValue { values }: the map or list itself. */
static bool read_struct(const struct walking *k, const struct doc *d, ProtobufCMessage *m, const struct field_path *at);
static bool read_list_value(const struct walking *k, const struct doc *d, ProtobufCMessage *m,
                            const struct field_path *at);

static bool read_any_value(const struct walking *k, const struct doc *d, ProtobufCMessage *m,
                           const struct field_path *at)
{
    Google__Protobuf__Value *value = (void *)m;
    bool flag = false;
    switch (doc_kind(d)) {
    case DOC_NULL:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE;
        return true;
    case DOC_BOOL:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
        doc_bool(d, &flag);
        value->bool_value = flag;
        return true;
    case DOC_NUMBER:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
        return doc_number(d, &value->number_value);
    case DOC_STRING:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
        if (slice_find(doc_text(d), '\0') != doc_text(d).n) {
            return walk_fail(k, d, at, ERR_INPUT, "holds a NUL character");
        }
        value->string_value = arena_str(k->w->arena, doc_text(d));
        return true;
    case DOC_MAP:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
        value->struct_value = (void *)message_create(&google__protobuf__struct__descriptor, k->w->arena);
        return read_struct(k, d, &value->struct_value->base, at);
    case DOC_LIST:
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
        value->list_value = (void *)message_create(&google__protobuf__list_value__descriptor, k->w->arena);
        return read_list_value(k, d, &value->list_value->base, at);
    }
    return false;
}

static bool read_struct(const struct walking *k, const struct doc *d, ProtobufCMessage *m, const struct field_path *at)
{
    Google__Protobuf__Struct *out = (void *)m;
    if (!doc_is(d, DOC_MAP)) {
        return walk_wants(k, d, at, "a map");
    }
    const ProtobufCFieldDescriptor *f = &m->descriptor->fields[0];
    const ProtobufCMessageDescriptor *entry = f->descriptor;
    out->fields = arena_zalloc(k->w->arena, (doc_len(d) + 1) * sizeof out->fields[0]);
    for (; out->n_fields < doc_len(d); out->n_fields++) {
        const struct doc *member = doc_at(d, out->n_fields);
        ProtobufCMessage *e = message_create(entry, k->w->arena);
        char name[80];
        struct slice key = slice_sub(doc_key(member), 0, sizeof name - 1);
        memcpy(name, key.n == 0 ? "" : key.p, key.n);
        name[key.n] = '\0';
        struct field_path path = {.up = at, .name = name, .index = -1};
        if (!walk_key(k, member, &entry->fields[0], field_at(e, &entry->fields[0]), &path) ||
            !walk_value(k, member, &entry->fields[1], field_at(e, &entry->fields[1]), &path)) {
            return false;
        }
        out->fields[out->n_fields] = (void *)e;
    }
    return true;
}

static bool read_list_value(const struct walking *k, const struct doc *d, ProtobufCMessage *m,
                            const struct field_path *at)
{
    Google__Protobuf__ListValue *out = (void *)m;
    if (!doc_is(d, DOC_LIST)) {
        return walk_wants(k, d, at, "a list");
    }
    out->values = arena_zalloc(k->w->arena, (doc_len(d) + 1) * sizeof out->values[0]);
    for (; out->n_values < doc_len(d); out->n_values++) {
        struct field_path path = {.up = at, .name = "", .index = (int64_t)out->n_values};
        ProtobufCMessage *value = message_create(&google__protobuf__value__descriptor, k->w->arena);
        if (!read_any_value(k, doc_at(d, out->n_values), value, &path)) {
            return false;
        }
        out->values[out->n_values] = (void *)value;
    }
    return true;
}

walk_known_fn *walk_known(const ProtobufCMessageDescriptor *type)
{
    static const struct {
        const char *name;
        walk_known_fn *read;
    } known[] = {
        {"Any", read_any},
        {"Duration", read_duration},
        {"Struct", read_struct},
        {"Value", read_any_value},
        {"ListValue", read_list_value},
        {"DoubleValue", read_wrapper},
        {"FloatValue", read_wrapper},
        {"Int64Value", read_wrapper},
        {"UInt64Value", read_wrapper},
        {"Int32Value", read_wrapper},
        {"UInt32Value", read_wrapper},
        {"BoolValue", read_wrapper},
        {"StringValue", read_wrapper},
        {"BytesValue", read_wrapper},
    };
    if (strcmp(type->package_name, "google.protobuf") != 0) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(type->short_name, known[i].name) == 0) {
            return known[i].read;
        }
    }
    return NULL;
}
