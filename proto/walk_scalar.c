#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/doc/utf8.h"
#include "proto/walk_internal.h"

static bool text_u64(struct slice text, bool *negative, uint64_t *magnitude)
{
    *negative = text.n > 0 && text.p[0] == '-';
    return slice_to_u64(slice_from(text, *negative ? 1 : 0), magnitude);
}

/* A whole number, or its decimal digits as a string (JSON mapping: 64-bit numbers are strings). */
static bool whole(const struct doc *d, int64_t *i, uint64_t *u, bool *negative)
{
    if (doc_is(d, DOC_STRING)) {
        uint64_t magnitude = 0;
        if (!text_u64(doc_text(d), negative, &magnitude) || (*negative && magnitude > (uint64_t)INT64_MAX + 1)) {
            return false;
        }
        *u = *negative ? 0 : magnitude;
        *i = (int64_t)(*negative ? 0 - magnitude : magnitude);
        return true;
    }
    if (doc_u64(d, u)) {
        *i = (int64_t)*u;
        *negative = false;
        return true;
    }
    *u = 0;
    *negative = true;
    return doc_i64(d, i);
}

static bool read_signed(const struct walking *k, const struct doc *d, const struct field_path *at, bool wide, void *out)
{
    int64_t i = 0;
    uint64_t u = 0;
    bool negative = false;
    if (!whole(d, &i, &u, &negative)) {
        return walk_fail(k, d, at, ERR_INPUT, "expected a whole number");
    }
    if ((!negative && u > INT64_MAX) || (!wide && (i < INT32_MIN || i > INT32_MAX))) {
        return walk_fail(k, d, at, ERR_INPUT, "out of range");
    }
    if (wide) {
        *(int64_t *)out = i;
    } else {
        *(int32_t *)out = (int32_t)i;
    }
    return true;
}

static bool read_unsigned(const struct walking *k, const struct doc *d, const struct field_path *at, bool wide,
                          void *out)
{
    int64_t i = 0;
    uint64_t u = 0;
    bool negative = false;
    if (!whole(d, &i, &u, &negative)) {
        return walk_fail(k, d, at, ERR_INPUT, "expected a whole number");
    }
    if ((negative && i != 0) || (!wide && u > UINT32_MAX)) {
        return walk_fail(k, d, at, ERR_INPUT, "out of range");
    }
    if (wide) {
        *(uint64_t *)out = u;
    } else {
        *(uint32_t *)out = (uint32_t)u;
    }
    return true;
}

static bool text_double(struct slice text, double *out)
{
    if (slice_eq(text, SLICE("NaN"))) {
        *out = (double)NAN;
        return true;
    }
    if (slice_eq(text, SLICE("Infinity")) || slice_eq(text, SLICE("-Infinity"))) {
        *out = text.p[0] == '-' ? -(double)INFINITY : (double)INFINITY;
        return true;
    }
    if (text.n == 0 || strspn(text.p, "0123456789+-.eE") != text.n) {
        return false;
    }
    char *end = NULL;
    *out = strtod(text.p, &end);
    return end == text.p + text.n && isfinite(*out);
}

static bool read_float(const struct walking *k, const struct doc *d, const struct field_path *at, bool wide, void *out)
{
    double value = 0;
    bool ok = doc_is(d, DOC_STRING) ? text_double(doc_text(d), &value) : doc_number(d, &value);
    if (!ok) {
        return walk_wants(k, d, at, "a number");
    }
    if (wide) {
        *(double *)out = value;
    } else {
        *(float *)out = (float)value;
    }
    return true;
}

static bool read_bool(const struct walking *k, const struct doc *d, const struct field_path *at, void *out)
{
    bool value = false;
    if (!doc_bool(d, &value)) {
        return walk_wants(k, d, at, "true or false");
    }
    *(protobuf_c_boolean *)out = value;
    return true;
}

static bool read_string(const struct walking *k, const struct doc *d, const struct field_path *at, void *out)
{
    struct slice text;
    if (!doc_string(d, &text)) {
        return doc_is(d, DOC_NUMBER) || doc_is(d, DOC_BOOL)
                   ? walk_fail(k, d, at, ERR_INPUT, "expected a string, found a %s: write it in quotes",
                               doc_kind_name(doc_kind(d)))
                   : walk_wants(k, d, at, "a string");
    }
    if (slice_find(text, '\0') != text.n) {
        return walk_fail(k, d, at, ERR_INPUT, "holds a NUL character");
    }
    *(char **)out = arena_str(k->w->arena, text);
    return true;
}

static bool read_bytes(const struct walking *k, const struct doc *d, const struct field_path *at, void *out)
{
    struct slice text;
    if (!doc_string(d, &text)) {
        return walk_wants(k, d, at, "a string");
    }
    struct strbuf bytes;
    strbuf_init(&bytes);
    bool ok = base64_decode(text, &bytes) || base64url_decode(text, &bytes);
    if (ok) {
        struct slice copy = arena_slice(k->w->arena, strbuf_slice(&bytes));
        *(ProtobufCBinaryData *)out = (ProtobufCBinaryData){.len = copy.n, .data = (uint8_t *)(uintptr_t)copy.p};
    }
    strbuf_fini(&bytes);
    return ok || walk_fail(k, d, at, ERR_INPUT, "not base64");
}

static bool read_enum(const struct walking *k, const struct doc *d, const ProtobufCEnumDescriptor *type, void *out,
                      const struct field_path *at)
{
    struct slice name;
    int64_t number = 0;
    const ProtobufCEnumValue *value = NULL;
    if (doc_string(d, &name)) {
        value = slice_find(name, '\0') == name.n ? protobuf_c_enum_descriptor_get_value_by_name(type, name.p) : NULL;
    } else if (!doc_i64(d, &number)) {
        return walk_wants(k, d, at, "a name");
    } else if (number >= INT32_MIN && number <= INT32_MAX) {
        value = protobuf_c_enum_descriptor_get_value(type, (int)number);
    }
    if (value == NULL) {
        struct slice text = doc_text(d);
        return walk_fail(k, d, at, ERR_INPUT, "\"%.*s\" is not a %s", text.n > 60 ? 60 : (int)text.n, text.p,
                         type->short_name);
    }
    *(int32_t *)out = value->value;
    return true;
}

bool walk_scalar(const struct walking *k, const struct doc *d, const ProtobufCFieldDescriptor *f, void *out,
                 const struct field_path *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return read_signed(k, d, at, false, out);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return read_signed(k, d, at, true, out);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return read_unsigned(k, d, at, false, out);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return read_unsigned(k, d, at, true, out);
    case PROTOBUF_C_TYPE_FLOAT:
        return read_float(k, d, at, false, out);
    case PROTOBUF_C_TYPE_DOUBLE:
        return read_float(k, d, at, true, out);
    case PROTOBUF_C_TYPE_BOOL:
        return read_bool(k, d, at, out);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(k, d, f->descriptor, out, at);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(k, d, at, out);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(k, d, at, out);
    case PROTOBUF_C_TYPE_MESSAGE:
        break;
    }
    return walk_fail(k, d, at, ERR_UNSUPPORTED, "of a type that is not supported");
}

bool walk_key(const struct walking *k, const struct doc *member, const ProtobufCFieldDescriptor *f, void *out,
              const struct field_path *at)
{
    struct slice key = doc_key(member);
    if (f->type != PROTOBUF_C_TYPE_STRING) {
        return walk_fail(k, member, at, ERR_UNSUPPORTED, "only maps with text keys are supported");
    }
    if (slice_find(key, '\0') != key.n) {
        return walk_fail(k, member, at, ERR_INPUT, "the key holds a NUL character");
    }
    *(char **)out = arena_str(k->w->arena, key);
    return true;
}
