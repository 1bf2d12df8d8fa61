#include "proto/walk.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/unbuilt.h"
#include "proto/walk_internal.h"

enum { SEEN_WORDS = 2 };

bool walk_fail(const struct walking *k, const struct doc *d, const struct field_path *at, enum err_kind kind,
               const char *fmt, ...)
{
    char path[240], text[240];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    field_path_text(at, path, sizeof path);
    return doc_fail(k->err, d, kind, "%s%s%s", path, path[0] == '\0' ? "" : ": ", text);
}

bool walk_wants(const struct walking *k, const struct doc *d, const struct field_path *at, const char *what)
{
    return walk_fail(k, d, at, ERR_INPUT, "expected %s, found a %s", what, doc_kind_name(doc_kind(d)));
}

/* The name as the .proto has it, for the tables: "maxCount" → "max_count". */
static struct slice snake_name(struct slice name, char *out, size_t n)
{
    size_t at = 0;
    for (size_t i = 0; i < name.n && at + 2 < n; i++) {
        if (name.p[i] >= 'A' && name.p[i] <= 'Z') {
            out[at++] = '_';
        }
        out[at++] = ascii_lower(name.p[i]);
    }
    return slice_make(out, at);
}

static bool unknown(const struct walking *k, const struct doc *member, const ProtobufCMessage *m,
                    const struct field_path *at)
{
    struct slice key = doc_key(member);
    char name[128], snake[128];
    snprintf(name, sizeof name, "%.*s", key.n > 100 ? 100 : (int)key.n, key.p);
    struct field_path path = {.up = at, .name = name, .index = -1};
    char text[300];
    field_path_text(&path, text, sizeof text);
    return unbuilt_has(m->descriptor->name, snake_name(key, snake, sizeof snake))
               ? doc_fail_key(k->err, member, ERR_UNSUPPORTED, "%s: not supported by Egret", text)
               : doc_fail_key(k->err, member, ERR_INPUT, "%s: unknown field of %s", text, m->descriptor->name);
}

static bool is_ignored(const ProtobufCMessage *m, struct slice name)
{
    char text[128];
    return ignored_has(m->descriptor->name, snake_name(name, text, sizeof text));
}

bool walk_into(const struct walking *k, const struct doc *d, ProtobufCMessage *m, const struct field_path *at)
{
    walk_known_fn *known = walk_known(m->descriptor);
    return known != NULL ? known(k, d, m, at) : walk_object(k, d, m, at, false);
}

bool walk_value(const struct walking *k, const struct doc *d, const ProtobufCFieldDescriptor *f, void *out,
                const struct field_path *at)
{
    if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
        return walk_scalar(k, d, f, out, at);
    }
    ProtobufCMessage *m = message_create(f->descriptor, k->w->arena);
    *(ProtobufCMessage **)out = m;
    return walk_into(k, d, m, at);
}

static bool read_list(const struct walking *k, const struct doc *d, ProtobufCMessage *m,
                      const ProtobufCFieldDescriptor *f, const struct field_path *at)
{
    if (!doc_is(d, DOC_LIST)) {
        return walk_wants(k, d, at, "a list");
    }
    size_t n = doc_len(d), size = field_size(f);
    char *items = arena_zalloc(k->w->arena, n * size);
    struct field_path path = *at;
    for (size_t i = 0; i < n; i++) {
        path.index = (int64_t)i;
        if (!walk_value(k, doc_at(d, i), f, items + i * size, &path)) {
            return false;
        }
    }
    *(char **)field_at(m, f) = n == 0 ? NULL : items;
    *(size_t *)(void *)((char *)m + f->quantifier_offset) = n;
    return true;
}

static bool read_map(const struct walking *k, const struct doc *d, ProtobufCMessage *m,
                     const ProtobufCFieldDescriptor *f, const struct field_path *at)
{
    if (!doc_is(d, DOC_MAP)) {
        return walk_wants(k, d, at, "a map");
    }
    size_t n = doc_len(d);
    ProtobufCMessage **entries = arena_zalloc(k->w->arena, (n + 1) * sizeof *entries);
    struct field_path path = *at;
    for (size_t i = 0; i < n; i++) {
        const struct doc *member = doc_at(d, i);
        path.key = doc_key(member);
        entries[i] = message_create(f->descriptor, k->w->arena);
        const ProtobufCFieldDescriptor *fields = entries[i]->descriptor->fields;
        if (!walk_key(k, member, &fields[0], field_at(entries[i], &fields[0]), &path) ||
            !walk_value(k, member, &fields[1], field_at(entries[i], &fields[1]), &path)) {
            return false;
        }
    }
    *(ProtobufCMessage ***)field_at(m, f) = n == 0 ? NULL : entries;
    *(size_t *)(void *)((char *)m + f->quantifier_offset) = n;
    return true;
}

static bool read_single(const struct walking *k, const struct doc *d, ProtobufCMessage *m,
                        const ProtobufCFieldDescriptor *f, const struct field_path *at)
{
    if (field_in_oneof(f)) {
        const ProtobufCFieldDescriptor *other = field_oneof_set(m, f);
        if (other != NULL) {
            return walk_fail(k, d, at, ERR_INPUT, "excludes \"%s\", which is given too", other->name);
        }
        *(uint32_t *)(void *)((char *)m + f->quantifier_offset) = f->id;
    }
    return walk_value(k, d, f, field_at(m, f), at);
}

/* Whether the mere mention of the field sets it; a plain scalar may still turn out to be its default. */
static bool sets_by_mention(const struct doc *d, const ProtobufCFieldDescriptor *f)
{
    return field_is_repeated(f) ? doc_len(d) > 0 : field_in_oneof(f) || f->type == PROTOBUF_C_TYPE_MESSAGE;
}

static bool read_field(const struct walking *k, const struct doc *d, ProtobufCMessage *m,
                       const ProtobufCFieldDescriptor *f, const struct field_path *at)
{
    struct field_path path = {.up = at, .name = f->name, .index = -1};
    char text[300];
    bool built = support_has(k->w->support, m->descriptor, f);
    if (!built && sets_by_mention(d, f)) {
        return doc_fail_key(k->err, d, ERR_UNSUPPORTED, "%s: not supported by Egret",
                            field_path_text(&path, text, sizeof text));
    }
    bool ok = field_is_map(m->descriptor, f) ? read_map(k, d, m, f, &path)
              : field_is_repeated(f)         ? read_list(k, d, m, f, &path)
                                             : read_single(k, d, m, f, &path);
    if (ok && !built && field_is_set(m, f)) {
        return doc_fail_key(k->err, d, ERR_UNSUPPORTED, "%s: not supported by Egret",
                            field_path_text(&path, text, sizeof text));
    }
    return ok;
}

static bool is_value(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_MESSAGE && message_is(f->descriptor, "google.protobuf.Value");
}

static bool read_member(const struct walking *k, const struct doc *member, ProtobufCMessage *m, uint64_t *seen,
                        const struct field_path *at)
{
    const ProtobufCFieldDescriptor *f = field_find(m->descriptor, doc_key(member));
    if (f == NULL) {
        return is_ignored(m, doc_key(member)) || unknown(k, member, m, at);
    }
    unsigned i = (unsigned)(f - m->descriptor->fields);
    if ((seen[i / 64] >> i % 64 & 1) != 0) {
        return doc_fail_key(k->err, member, ERR_INPUT, "\"%s\" is given in both spellings", f->name);
    }
    seen[i / 64] |= (uint64_t)1 << i % 64;
    return (doc_is(member, DOC_NULL) && !is_value(f)) || read_field(k, member, m, f, at);
}

bool walk_object(const struct walking *k, const struct doc *d, ProtobufCMessage *m, const struct field_path *at,
                 bool content)
{
    if (!doc_is(d, DOC_MAP)) {
        return walk_wants(k, d, at, "a map");
    }
    uint64_t seen[SEEN_WORDS] = {0};
    assert(m->descriptor->n_fields <= SEEN_WORDS * 64);
    for (size_t i = 0; i < doc_len(d); i++) {
        const struct doc *member = doc_at(d, i);
        if (content && slice_eq(doc_key(member), SLICE("@type"))) {
            continue;
        }
        if (!read_member(k, member, m, seen, at)) {
            return false;
        }
    }
    return true;
}

void *walk_message(const struct walk *w, const struct doc *d, const ProtobufCMessageDescriptor *type, struct err *err)
{
    struct walking k = {.w = w, .err = err};
    ProtobufCMessage *m = message_create(type, w->arena);
    return walk_into(&k, d, m, NULL) ? m : NULL;
}
