#include "proto/map_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static const char *key_of(const ProtobufCMessage *entry)
{
    return *(const char *const *)field_at(entry, &entry->descriptor->fields[0]);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool has_value(const ProtobufCMessage *entry)
{
    const ProtobufCFieldDescriptor *f = &entry->descriptor->fields[1];
    return f->type != PROTOBUF_C_TYPE_MESSAGE || *(void *const *)field_at(entry, f) != NULL;
}

static bool fail(struct err *err, const struct field_path *at, const char *name, const char *key, const char *reason)
{
    struct field_path path = {.up = at, .name = name, .key = slice_of(key), .index = -1};
    char text[300];
    return err_set(err, ERR_INPUT, "%s: %s", field_path_text(&path, text, sizeof text), reason);
}

static bool check_keys(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const struct field_path *at,
                       struct err *err)
{
    size_t n = field_count(m, f);
    const ProtobufCMessageDescriptor *entry_type = f->descriptor;
    if (entry_type->fields[0].type != PROTOBUF_C_TYPE_STRING) {
        return true;
    }
    const char **keys = mem_alloc((n + 1) * sizeof *keys);
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        const ProtobufCMessage *entry = *(ProtobufCMessage *const *)field_item(m, f, i);
        keys[i] = key_of(entry);
        ok = ok && (has_value(entry) || fail(err, at, f->name, keys[i], "has no value"));
    }
    qsort(keys, n, sizeof keys[0], by_text);
    for (size_t i = 1; ok && i < n; i++) {
        ok = strcmp(keys[i - 1], keys[i]) != 0 || fail(err, at, f->name, keys[i], "given more than once");
    }
    mem_free(keys);
    return ok;
}

static bool check_below(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, const struct field_path *at,
                        struct err *err)
{
    struct field_path path = {.up = at, .name = f->name, .index = -1};
    if (!field_is_repeated(f)) {
        return map_keys_check(*(ProtobufCMessage *const *)field_at(m, f), &path, err);
    }
    if (field_is_map(m->descriptor, f) && !check_keys(m, f, at, err)) {
        return false;
    }
    for (size_t i = 0; i < field_count(m, f); i++) {
        path.index = (int64_t)i;
        if (!map_keys_check(*(ProtobufCMessage *const *)field_item(m, f, i), &path, err)) {
            return false;
        }
    }
    return true;
}

bool map_keys_check(const ProtobufCMessage *m, const struct field_path *at, struct err *err)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (f->type == PROTOBUF_C_TYPE_MESSAGE && field_is_set(m, f) && !check_below(m, f, at, err)) {
            return false;
        }
    }
    return true;
}
