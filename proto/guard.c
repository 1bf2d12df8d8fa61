#include "proto/guard.h"

#include <assert.h>
#include <string.h>

#include "base/doc/utf8.h"
#include "proto/field.h"
#include "proto/map_keys.h"
#include "proto/registry.h"
#include "proto/unbuilt.h"

/* Wire types, https://protobuf.dev/programming-guides/encoding. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_LEN = 2, WIRE_32 = 5 };
enum { SEEN_WORDS = 2 };

struct scan {
    const struct guard *g;
    size_t fields, memory, unknown;
    struct err *err;
};

/* One field as it stands on the wire. */
struct wire_field {
    uint32_t number;
    unsigned type;
    struct slice payload; /* of WIRE_LEN */
};

struct guard guard_default(void)
{
    return (struct guard){
        .max_bytes = 64u << 20, .max_fields = 16u << 20, .max_memory = (size_t)512 << 20, .max_depth = 64};
}

static bool fail(struct scan *s, const struct field_path *at, enum err_kind kind, const char *reason)
{
    char path[300];
    field_path_text(at, path, sizeof path);
    return err_set(s->err, kind, "%s%s%s", path, path[0] == '\0' ? "" : ": ", reason);
}

static bool take_varint(struct slice *in, uint64_t *out)
{
    *out = 0;
    for (unsigned i = 0; i < 10 && i < in->n; i++) {
        unsigned char c = (unsigned char)in->p[i];
        *out |= (uint64_t)(c & 0x7f) << (7 * i);
        if ((c & 0x80) == 0) {
            *in = slice_from(*in, i + 1);
            return i < 9 || c == 1;
        }
    }
    return false;
}

static bool take_bytes(struct slice *in, uint64_t n, struct slice *out)
{
    if (n > in->n) {
        return false;
    }
    *out = slice_sub(*in, 0, n);
    *in = slice_from(*in, n);
    return true;
}

static bool take_field(struct slice *in, struct wire_field *f)
{
    uint64_t tag = 0, value = 0;
    if (!take_varint(in, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
        return false;
    }
    f->number = (uint32_t)(tag >> 3);
    f->type = (unsigned)tag & 7;
    f->payload = SLICE_NONE;
    switch (f->type) {
    case WIRE_VARINT:
        return take_varint(in, &value);
    case WIRE_64:
        return take_bytes(in, 8, &f->payload);
    case WIRE_LEN:
        return take_varint(in, &value) && take_bytes(in, value, &f->payload);
    case WIRE_32:
        return take_bytes(in, 4, &f->payload);
    default:
        return false; /* groups */
    }
}

static unsigned wire_type_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_LEN;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return WIRE_VARINT;
    }
    return WIRE_VARINT;
}

bool guard_next_field(struct slice *message, struct guard_field *out)
{
    struct wire_field f;
    const char *start = message->p;
    if (!take_field(message, &f)) {
        return false;
    }
    *out = (struct guard_field){.number = f.number,
                                .has_length = f.type == WIRE_LEN,
                                .all = slice_make(start, (size_t)(message->p - start)),
                                .payload = f.type == WIRE_LEN ? f.payload : SLICE_NONE};
    return true;
}

static bool on_unknown(struct scan *s, const ProtobufCMessageDescriptor *type, const struct wire_field *w,
                       const struct field_path *at)
{
    const char *name = unbuilt_name(type->name, w->number);
    if (name != NULL && ignored_has(type->name, slice_of(name))) {
        return true;
    }
    if (name != NULL && !s->g->allow_unbuilt) {
        struct field_path path = {.up = at, .name = name, .index = -1};
        return fail(s, &path, ERR_UNSUPPORTED, "not supported by Egret");
    }
    s->unknown++;
    s->memory += sizeof(ProtobufCMessageUnknownField) + w->payload.n;
    return true;
}

static bool seen_before(uint64_t *seen, unsigned field)
{
    uint64_t bit = (uint64_t)1 << field % 64;
    bool before = (seen[field / 64] & bit) != 0;
    seen[field / 64] |= bit;
    return before;
}

/* Single fields once, and one member of a oneof. */
static bool check_single(struct scan *s, const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *f,
                         uint64_t *seen, const struct field_path *at)
{
    if (seen_before(seen, (unsigned)(f - type->fields))) {
        return fail(s, at, ERR_INPUT, "given more than once");
    }
    for (unsigned i = 0; field_in_oneof(f) && i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *other = &type->fields[i];
        bool rival = other != f && field_in_oneof(other) && other->quantifier_offset == f->quantifier_offset;
        if (rival && (seen[i / 64] >> i % 64 & 1) != 0) {
            return fail(s, at, ERR_INPUT, "excludes another field that is given too");
        }
    }
    return true;
}

static bool scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, struct slice in, unsigned depth,
                         const struct field_path *at);

static bool check_packed(struct scan *s, const ProtobufCFieldDescriptor *f, struct slice in,
                         const struct field_path *at)
{
    uint64_t value = 0;
    size_t n = 0;
    for (unsigned wire = wire_type_of(f); wire == WIRE_VARINT && in.n > 0; n++) {
        if (!take_varint(&in, &value)) {
            return fail(s, at, ERR_INPUT, "not a protobuf list");
        }
    }
    s->memory += n * field_size(f) + in.n;
    s->fields += n;
    return true;
}

static bool check_value(struct scan *s, const ProtobufCFieldDescriptor *f, const struct wire_field *w, unsigned depth,
                        const struct field_path *at)
{
    bool packed = field_is_repeated(f) && wire_type_of(f) != WIRE_LEN && w->type == WIRE_LEN;
    if (packed) {
        return check_packed(s, f, w->payload, at);
    }
    if (wire_type_of(f) != w->type) {
        return fail(s, at, ERR_INPUT, "of another type than expected");
    }
    s->memory += w->payload.n + (field_is_repeated(f) ? field_size(f) : 0);
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        if (!utf8_is_valid(w->payload)) {
            return fail(s, at, ERR_INPUT, "not UTF-8");
        }
        return slice_find(w->payload, '\0') == w->payload.n || fail(s, at, ERR_INPUT, "holds a NUL character");
    }
    return f->type != PROTOBUF_C_TYPE_MESSAGE || scan_message(s, f->descriptor, w->payload, depth + 1, at);
}

static bool scan_message(struct scan *s, const ProtobufCMessageDescriptor *type, struct slice in, unsigned depth,
                         const struct field_path *at)
{
    if (depth > s->g->max_depth) {
        return err_set(s->err, ERR_LIMIT, "nested more than %u deep", s->g->max_depth);
    }
    uint64_t seen[SEEN_WORDS] = {0};
    uint32_t index[SEEN_WORDS * 64] = {0}; /* of the next item of a repeated field */
    assert(type->n_fields <= SEEN_WORDS * 64);
    s->memory += type->sizeof_message;
    while (in.n > 0) {
        struct wire_field w;
        if (!take_field(&in, &w)) {
            return fail(s, at, ERR_INPUT, "not a protobuf message");
        }
        if (++s->fields > s->g->max_fields || s->memory > s->g->max_memory) {
            return fail(s, at, ERR_LIMIT, "the message is too large");
        }
        const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(type, w.number);
        if (f == NULL) {
            if (!on_unknown(s, type, &w, at)) {
                return false;
            }
            continue;
        }
        struct field_path path = {.up = at, .name = f->name, .index = -1};
        if (field_is_repeated(f)) {
            path.index = index[f - type->fields]++;
        }
        if ((!field_is_repeated(f) && !check_single(s, type, f, seen, &path)) || !check_value(s, f, &w, depth, &path)) {
            return false;
        }
    }
    return true;
}

static void *arena_take(void *arena, size_t n)
{
    return arena_alloc(arena, n);
}

static void arena_keep(void *arena, void *p)
{
    (void)arena, (void)p;
}

void *guard_unpack(const struct guard *g, const ProtobufCMessageDescriptor *type, struct slice bytes,
                   struct arena *arena, struct err *err)
{
    struct guard fallback = guard_default();
    struct scan s = {.g = g == NULL ? &fallback : g, .err = err};
    if (bytes.n > s.g->max_bytes) {
        err_set(err, ERR_LIMIT, "larger than %zu bytes", s.g->max_bytes);
        return NULL;
    }
    if (!scan_message(&s, type, bytes, 1, NULL)) {
        return NULL;
    }
    ProtobufCAllocator allocator = {.alloc = arena_take, .free = arena_keep, .allocator_data = arena};
    static const uint8_t nothing[1];
    ProtobufCMessage *m =
        protobuf_c_message_unpack(type, &allocator, bytes.n, bytes.n == 0 ? nothing : (const uint8_t *)bytes.p);
    if (m == NULL) {
        err_set(err, ERR_INPUT, "not a %s", type->name);
        return NULL;
    }
    if (s.g->unknown_fields != NULL) {
        *s.g->unknown_fields += s.unknown;
    }
    return map_keys_check(m, NULL, err) && support_check(s.g->support, m, NULL, err) ? m : NULL;
}

void *guard_unpack_any(const struct guard *g, struct slice type_url, struct slice bytes, struct arena *arena,
                       struct err *err)
{
    const ProtobufCMessageDescriptor *type = registry_find(type_url);
    if (type == NULL) {
        err_set(err, ERR_UNSUPPORTED, "type \"%.*s\" is not supported by Egret",
                type_url.n > 200 ? 200 : (int)type_url.n, type_url.n == 0 ? "" : type_url.p);
        return NULL;
    }
    return guard_unpack(g, type, bytes, arena, err);
}
