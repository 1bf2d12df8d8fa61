#include "proto/support.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/macros.h"
#include "base/mem.h"
#include "proto/registry.h"
#include "proto/unbuilt.h"

enum { MASK_WORDS = 2 }; /* up to 128 fields; Envoy's largest message has 61 */

struct entry {
    const ProtobufCMessageDescriptor *type;
    uint64_t built[MASK_WORDS]; /* by position in type->fields */
};

struct support {
    struct entry *entries; /* every message below the registry's roots, sorted by address */
    size_t n, cap;
};

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct entry *)a)->type, y = (uintptr_t)((const struct entry *)b)->type;
    return x < y ? -1 : x > y;
}

static bool is_known(const struct support *s, const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->entries[i].type == type) {
            return true;
        }
    }
    return false;
}

static void add_type(struct support *s, const ProtobufCMessageDescriptor *type)
{
    if (is_known(s, type)) {
        return;
    }
    assert(type->n_fields <= MASK_WORDS * 64);
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 256 : s->cap * 2;
        s->entries = mem_resize(s->entries, s->cap * sizeof *s->entries);
    }
    s->entries[s->n++] = (struct entry){.type = type};
}

static bool is_always_built(const char *name)
{
    static const char *const packages[] = {"google.protobuf.", "google.rpc.", "xds.type.", "udpa.type.", "egret."};
    for (size_t i = 0; i < ARRAY_LEN(packages); i++) {
        if (strncmp(name, packages[i], strlen(packages[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_entry_of_map(const ProtobufCMessageDescriptor *type)
{
    size_t n = strlen(type->name);
    return n > 5 && strcmp(type->name + n - 5, "Entry") == 0 && type->n_fields == 2 &&
           strcmp(type->fields[0].name, "key") == 0 && strcmp(type->fields[1].name, "value") == 0;
}

static void build(struct entry *e, unsigned field)
{
    e->built[field / 64] |= (uint64_t)1 << field % 64;
}

static void build_ignored(struct entry *e)
{
    bool all = is_always_built(e->type->name) || is_entry_of_map(e->type);
    for (unsigned i = 0; i < e->type->n_fields; i++) {
        if (all || ignored_has(e->type->name, slice_of(e->type->fields[i].name))) {
            build(e, i);
        }
    }
}

static void bug(const char *message, struct slice field)
{
    LOG(LOG_CRITICAL, "proto", "support rule names %s %.*s, which does not exist", message, SLICE_ARG(field));
    abort();
}

static void apply(struct support *s, const struct support_rule *rule)
{
    struct entry *e = NULL;
    for (size_t i = 0; i < s->n; i++) {
        if (message_is(s->entries[i].type, rule->message)) {
            e = &s->entries[i];
        }
    }
    if (e == NULL) {
        bug(rule->message, SLICE(""));
        return;
    }
    struct slice rest = slice_of(rule->fields);
    while (rest.p != NULL) {
        struct slice name = slice_cut(&rest, ' ');
        bool found = name.n == 0 || slice_eq(name, SLICE("*"));
        for (unsigned i = 0; i < e->type->n_fields; i++) {
            if (slice_eq(name, SLICE("*")) || slice_eq(name, slice_of(e->type->fields[i].name))) {
                build(e, i);
                found = true;
            }
        }
        if (!found) {
            bug(rule->message, name);
        }
    }
}

struct support *support_create(const struct support_rule *rules, size_t n)
{
    struct support *s = mem_alloc(sizeof *s);
    for (size_t i = 0; registry_at(i) != NULL; i++) {
        add_type(s, registry_at(i));
    }
    for (size_t i = 0; i < s->n; i++) {
        const ProtobufCMessageDescriptor *type = s->entries[i].type;
        for (unsigned k = 0; k < type->n_fields; k++) {
            if (type->fields[k].type == PROTOBUF_C_TYPE_MESSAGE) {
                add_type(s, type->fields[k].descriptor);
            }
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        build_ignored(&s->entries[i]);
    }
    for (size_t i = 0; i < n; i++) {
        apply(s, &rules[i]);
    }
    qsort(s->entries, s->n, sizeof s->entries[0], by_address);
    return s;
}

void support_destroy(struct support **s)
{
    if (*s != NULL) {
        mem_free((*s)->entries);
        mem_free(*s);
        *s = NULL;
    }
}

bool support_has(const struct support *s, const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *f)
{
    if (s == NULL) {
        return true;
    }
    struct entry wanted = {.type = type};
    const struct entry *e = bsearch(&wanted, s->entries, s->n, sizeof s->entries[0], by_address);
    unsigned field = (unsigned)(f - type->fields);
    return e != NULL && (e->built[field / 64] >> field % 64 & 1) != 0;
}

static bool check_field(const struct support *s, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                        const struct field_path *at, struct err *err)
{
    struct field_path path = {.up = at, .name = f->name, .index = -1};
    if (!support_has(s, m->descriptor, f)) {
        char text[300];
        return err_set(err, ERR_UNSUPPORTED, "%s: not supported by Egret", field_path_text(&path, text, sizeof text));
    }
    if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
        return true;
    }
    if (!field_is_repeated(f)) {
        return support_check(s, *(ProtobufCMessage *const *)field_at(m, f), &path, err);
    }
    for (size_t i = 0; i < field_count(m, f); i++) {
        path.index = (int64_t)i;
        if (!support_check(s, *(ProtobufCMessage *const *)field_item(m, f, i), &path, err)) {
            return false;
        }
    }
    return true;
}

bool support_check(const struct support *s, const ProtobufCMessage *m, const struct field_path *at, struct err *err)
{
    if (s == NULL) {
        return true;
    }
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (field_is_set(m, f) && !check_field(s, m, f, at, err)) {
            return false;
        }
    }
    return true;
}
