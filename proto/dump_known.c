/* The messages of google.protobuf whose JSON is not that of their fields. */
#include <string.h>

#include "base/arena.h"
#include "base/macros.h"
#include "pb/google/protobuf/any.pb-c.h"
#include "pb/google/protobuf/duration.pb-c.h"
#include "pb/google/protobuf/struct.pb-c.h"
#include "proto/dump_internal.h"
#include "proto/duration.h"
#include "proto/guard.h"

enum { DEEPEST = 256 };

static void dump_duration(struct dumping *d, const ProtobufCMessage *m)
{
    const Google__Protobuf__Duration *duration = (const void *)m;
    char text[32];
    duration_format(duration->seconds, duration->nanos, text);
    strbuf_add_json(d->out, slice_of(text));
}

static void dump_any(struct dumping *d, const ProtobufCMessage *m)
{
    const Google__Protobuf__Any *any = (const void *)m;
    struct arena *arena = arena_create(0);
    struct guard guard = guard_default();
    guard.allow_unbuilt = true;
    bool deep = d->level > DEEPEST; /* an Any can hold an Any for as long as there are bytes */
    ProtobufCMessage *content = deep ? NULL
                                     : guard_unpack_any(&guard, slice_of(any->type_url),
                                                        slice_make(any->value.data, any->value.len), arena, NULL);
    bool first = false;
    dump_open(d, '{');
    dump_item(d, true);
    dump_name(d, SLICE("@type"));
    strbuf_add_json(d->out, slice_of(any->type_url));
    if (content == NULL || dump_known(content->descriptor) != NULL) {
        dump_item(d, false);
        dump_name(d, SLICE("value"));
        if (content == NULL) {
            strbuf_add_str(d->out, "\"[unreadable]\"");
        } else {
            dump_message(d, content);
        }
    } else {
        dump_members(d, content, &first);
    }
    dump_close(d, '}', false);
    arena_destroy(&arena);
}

static void dump_wrapper(struct dumping *d, const ProtobufCMessage *m)
{
    const ProtobufCFieldDescriptor *f = &m->descriptor->fields[0];
    dump_scalar(d, f, field_at(m, f));
}

static void dump_struct(struct dumping *d, const ProtobufCMessage *m);
static void dump_list_value(struct dumping *d, const ProtobufCMessage *m);

static void dump_any_value(struct dumping *d, const ProtobufCMessage *m)
{
    const Google__Protobuf__Value *value = (const void *)m;
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(m->descriptor, value->kind_case);
    if (f == NULL || value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_NULL_VALUE) {
        strbuf_add_str(d->out, "null");
    } else {
        dump_value(d, f, field_at(m, f));
    }
}

static void dump_struct(struct dumping *d, const ProtobufCMessage *m)
{
    const Google__Protobuf__Struct *s = (const void *)m;
    dump_open(d, '{');
    for (size_t i = 0; i < s->n_fields; i++) {
        dump_item(d, i == 0);
        dump_name(d, slice_of(s->fields[i]->key));
        if (s->fields[i]->value == NULL) {
            strbuf_add_str(d->out, "null");
        } else {
            dump_any_value(d, &s->fields[i]->value->base);
        }
    }
    dump_close(d, '}', s->n_fields == 0);
}

static void dump_list_value(struct dumping *d, const ProtobufCMessage *m)
{
    const Google__Protobuf__ListValue *list = (const void *)m;
    dump_open(d, '[');
    for (size_t i = 0; i < list->n_values; i++) {
        dump_item(d, i == 0);
        dump_any_value(d, &list->values[i]->base);
    }
    dump_close(d, ']', list->n_values == 0);
}

dump_known_fn *dump_known(const ProtobufCMessageDescriptor *type)
{
    static const struct {
        const char *name;
        dump_known_fn *dump;
    } known[] = {
        {"Any", dump_any},
        {"Duration", dump_duration},
        {"Struct", dump_struct},
        {"Value", dump_any_value},
        {"ListValue", dump_list_value},
        {"DoubleValue", dump_wrapper},
        {"FloatValue", dump_wrapper},
        {"Int64Value", dump_wrapper},
        {"UInt64Value", dump_wrapper},
        {"Int32Value", dump_wrapper},
        {"UInt32Value", dump_wrapper},
        {"BoolValue", dump_wrapper},
        {"StringValue", dump_wrapper},
        {"BytesValue", dump_wrapper},
    };
    if (strcmp(type->package_name, "google.protobuf") != 0) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(type->short_name, known[i].name) == 0) {
            return known[i].dump;
        }
    }
    return NULL;
}
