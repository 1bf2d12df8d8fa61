/* Merging of two messages, for --config-yaml over the file. */
#include <string.h>

#include "proto/field.h"
#include "proxy/config/bootstrap_inside.h"

static void *member(pb_message *m, unsigned offset)
{
    return (char *)m + offset;
}

static const char *map_key_of(const pb_message *entry)
{
    return *(char *const *)field_at(entry, &entry->descriptor->fields[0]);
}

/* An entry of a map with a key that is there already replaces it. */
static bool replace_entry(void **list, size_t n, void *entry)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(map_key_of(list[i]), map_key_of(entry)) == 0) {
            list[i] = entry;
            return true;
        }
    }
    return false;
}

static void merge_list(pb_message *dst, const pb_message *src, const ProtobufCFieldDescriptor *f, struct arena *arena)
{
    size_t *count = member(dst, f->quantifier_offset);
    size_t more = field_count(src, f), size = field_size(f);
    if (more == 0) {
        return;
    }
    char *list = arena_alloc(arena, (*count + more) * size);
    if (*count > 0) {
        memcpy(list, *(void **)member(dst, f->offset), *count * size);
    }
    bool keyed = field_is_map(dst->descriptor, f) && ((const pb_type *)f->descriptor)->fields[0].type == PROTOBUF_C_TYPE_STRING;
    for (size_t i = 0; i < more; i++) {
        void *item = field_item(src, f, i);
        if (!keyed || !replace_entry((void **)(void *)list, *count, *(void **)item)) {
            memcpy(list + *count * size, item, size);
            (*count)++;
        }
    }
    *(void **)member(dst, f->offset) = list;
}

/* A wrapper, a Duration, an Any is one value: `false` over `true` is false. */
static bool is_one_value(const pb_type *type)
{
    return strncmp(type->name, "google.protobuf.", 16) == 0 && strcmp(type->name, "google.protobuf.Struct") != 0;
}

static void merge_single(pb_message *dst, const pb_message *src, const ProtobufCFieldDescriptor *f, struct arena *arena)
{
    if (!field_is_set(src, f)) {
        return;
    }
    if (f->type == PROTOBUF_C_TYPE_MESSAGE && field_is_set(dst, f) && !is_one_value(f->descriptor)) {
        message_merge(*(pb_message **)member(dst, f->offset), *(pb_message *const *)field_at(src, f), arena);
        return;
    }
    memcpy(member(dst, f->offset), field_at(src, f), field_size(f));
    if (field_in_oneof(f) || f->label == PROTOBUF_C_LABEL_OPTIONAL) {
        memcpy(member(dst, f->quantifier_offset), (const char *)src + f->quantifier_offset, sizeof(int));
    }
}

void message_merge(pb_message *dst, const pb_message *src, struct arena *arena)
{
    for (unsigned i = 0; i < dst->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &dst->descriptor->fields[i];
        if (field_is_repeated(f)) {
            merge_list(dst, src, f, arena);
        } else {
            merge_single(dst, src, f, arena);
        }
    }
}
