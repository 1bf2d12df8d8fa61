#include "proxy/config/read.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "proto/field.h"
#include "proto/guard.h"
#include "proto/registry.h"

void reader_init(struct reader *r, const struct build_env *env, struct err *err)
{
    *r = (struct reader){.env = env, .err = err, .arena = arena_create(512), .scratch = arena_create(0)};
}

void reader_done(struct reader *r)
{
    arena_destroy(&r->scratch);
    r->arena = NULL;
    r->cleanups = NULL;
}

void reader_abandon(struct reader *r)
{
    cleanup_run(r->cleanups);
    r->cleanups = NULL;
    r->needs = NULL;
    r->files = NULL;
    arena_destroy(&r->arena);
    arena_destroy(&r->scratch);
}

/* ---- where we are ---- */

static size_t push(struct reader *r, const char *dot, const char *text)
{
    size_t mark = r->path_n, room = sizeof r->path - r->path_n;
    int n = snprintf(r->path + mark, room, "%s%s", dot, text);
    r->path_n = n < 0 || (size_t)n >= room ? sizeof r->path - 1 : mark + (size_t)n;
    return mark;
}

size_t read_push(struct reader *r, const char *field)
{
    return push(r, r->path_n == 0 ? "" : ".", field);
}

size_t read_push_at(struct reader *r, const char *field, size_t index)
{
    char text[32];
    snprintf(text, sizeof text, "[%zu]", index);
    size_t mark = read_push(r, field);
    push(r, "", text);
    return mark;
}

size_t read_push_key(struct reader *r, const char *field, const char *key)
{
    size_t mark = read_push(r, field);
    push(r, "[\"", key);
    push(r, "", "\"]");
    return mark;
}

void read_pop(struct reader *r, size_t mark)
{
    r->path_n = mark;
    r->path[mark] = '\0';
}

bool read_fail(struct reader *r, const char *field, enum err_kind kind, const char *fmt, ...)
{
    char text[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    size_t mark = field == NULL ? r->path_n : read_push(r, field);
    err_set(r->err, kind, "%s%s%s", r->path, r->path_n == 0 ? "" : ": ", text);
    read_pop(r, mark);
    return false;
}

bool read_required(struct reader *r, const char *field)
{
    return read_fail(r, field, ERR_INPUT, "is required");
}

/* "a.b[0]: reason" begins with a path, "not a X" does not. */
static bool begins_with_path(const char *text)
{
    const char *colon = strstr(text, ": ");
    const char *blank = strchr(text, ' ');
    return colon != NULL && blank == colon + 1 && colon != text && !isupper((unsigned char)text[0]);
}

static bool put_before(struct reader *r, const char *field, bool joins)
{
    if (r->err == NULL) {
        return false;
    }
    size_t mark = field == NULL ? r->path_n : read_push(r, field);
    char text[sizeof r->err->text];
    memcpy(text, r->err->text, sizeof text);
    snprintf(r->err->text, sizeof r->err->text, "%.300s%s%.170s", r->path,
             r->path_n == 0 ? "" : joins ? "." : ": ", text);
    read_pop(r, mark);
    return false;
}

bool read_wrap(struct reader *r, const char *field)
{
    return put_before(r, field, r->err != NULL && begins_with_path(r->err->text));
}

bool read_reason(struct reader *r, const char *field)
{
    return put_before(r, field, false);
}

/* ---- notes ---- */

void read_need(struct reader *r, enum resource_type type, struct slice name)
{
    for (const struct need *n = r->needs; n != NULL; n = n->next) {
        if (n->type == type && slice_eq(n->name, name)) {
            return;
        }
    }
    struct need *need = arena_alloc(r->arena, sizeof *need);
    *need = (struct need){r->needs, type, arena_slice(r->arena, name)};
    r->needs = need;
}

void read_own(struct reader *r, void (*run)(void *object), void *object)
{
    struct cleanup *c = arena_alloc(r->arena, sizeof *c);
    *c = (struct cleanup){r->cleanups, run, object};
    r->cleanups = c;
}

/* ---- plain values ---- */

struct slice read_text(struct reader *r, const char *text)
{
    return arena_slice(r->arena, slice_of(text));
}

void *read_list(struct reader *r, size_t n, size_t size)
{
    return n == 0 ? NULL : arena_zalloc(r->arena, n * size);
}

static bool is_token(unsigned char c)
{
    return isalnum(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

bool read_header_name(struct reader *r, const char *field, const char *text, struct slice *lower)
{
    struct slice s = slice_of(text);
    char *copy = arena_str(r->arena, s);
    for (size_t i = 0; i < s.n; i++) {
        if (!is_token((unsigned char)s.p[i]) && !(i == 0 && s.n > 1 && s.p[0] == ':')) {
            return read_fail(r, field, ERR_INPUT, "not a header name");
        }
        copy[i] = ascii_lower(s.p[i]);
    }
    *lower = slice_make(copy, s.n);
    return (s.n > 0 && s.n <= 16384) || read_fail(r, field, ERR_INPUT, "not a header name");
}

bool read_header_value(struct reader *r, const char *field, const char *text, struct slice *out)
{
    *out = read_text(r, text);
    for (size_t i = 0; i < out->n; i++) {
        if (out->p[i] == '\r' || out->p[i] == '\n' || out->p[i] == '\0') {
            return read_fail(r, field, ERR_INPUT, "not a header value");
        }
    }
    return out->n <= 16384 || read_fail(r, field, ERR_INPUT, "longer than 16384 bytes");
}

uint32_t read_u32(const pb_u32 *value, uint32_t otherwise)
{
    return value == NULL ? otherwise : value->value;
}

bool read_bool(const pb_bool *value, bool otherwise)
{
    return value == NULL ? otherwise : value->value != 0;
}

bool read_ms(struct reader *r, const char *field, const pb_duration *d, struct ms_rule rule, uint32_t *out)
{
    *out = rule.otherwise;
    if (d == NULL) {
        return true;
    }
    if (d->seconds < 0 || d->nanos < 0 || d->nanos >= 1000000000) {
        return read_fail(r, field, ERR_INPUT, "not a duration of zero or more");
    }
    if (d->seconds > 4233600) {
        return read_fail(r, field, ERR_INPUT, "more than 49 days");
    }
    *out = (uint32_t)d->seconds * 1000 + (uint32_t)((d->nanos + 999999) / 1000000);
    return *out >= rule.least || read_fail(r, field, ERR_INPUT, "must be at least %u ms", rule.least);
}

/* ---- messages ---- */

bool pb_is(const pb_message *m, const pb_type *type)
{
    return m != NULL && m->descriptor == type;
}

struct slice any_type_name(const pb_any *any)
{
    struct slice url = slice_of(any->type_url);
    size_t at = url.n;
    while (at > 0 && url.p[at - 1] != '/') {
        at--;
    }
    return slice_from(url, at);
}

static bool check_enums(struct reader *r, const pb_message *m, unsigned depth);

static bool check_item(struct reader *r, const ProtobufCFieldDescriptor *f, const void *at, unsigned depth)
{
    if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        return check_enums(r, *(const pb_message *const *)at, depth + 1);
    }
    int value = *(const int *)at;
    return protobuf_c_enum_descriptor_get_value(f->descriptor, value) != NULL ||
           read_fail(r, NULL, ERR_INPUT, "%d is not a value of %s", value,
                     ((const ProtobufCEnumDescriptor *)f->descriptor)->short_name);
}

/* proto3 lets any number through; Envoy's rules (defined_only) do not. */
static bool check_enums(struct reader *r, const pb_message *m, unsigned depth)
{
    for (unsigned i = 0; m != NULL && depth < 64 && i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if ((f->type != PROTOBUF_C_TYPE_MESSAGE && f->type != PROTOBUF_C_TYPE_ENUM) || !field_is_set(m, f)) {
            continue;
        }
        size_t n = field_is_repeated(f) ? field_count(m, f) : 1;
        for (size_t k = 0; k < n; k++) {
            size_t mark = field_is_repeated(f) ? read_push_at(r, f->name, k) : read_push(r, f->name);
            if (!check_item(r, f, field_is_repeated(f) ? field_item(m, f, k) : field_at(m, f), depth)) {
                return false;
            }
            read_pop(r, mark);
        }
    }
    return true;
}

bool read_check(struct reader *r, const pb_message *message)
{
    return support_check(r->env->support, message, NULL, r->err) ? check_enums(r, message, 0) : read_wrap(r, NULL);
}

bool read_message(struct reader *r, const pb_type *type, struct slice bytes, const pb_message **out)
{
    struct guard guard = guard_default();
    guard.support = r->env->support;
    guard.unknown_fields = r->env->unknown_fields;
    *out = guard_unpack(&guard, type, bytes, r->scratch, r->err);
    return *out != NULL ? check_enums(r, *out, 0) : read_wrap(r, NULL);
}

static struct slice any_bytes(const pb_any *any)
{
    return slice_make(any->value.data, any->value.len);
}

bool read_any(struct reader *r, const char *field, const pb_any *any, const pb_message **out)
{
    if (any == NULL) {
        return read_required(r, field);
    }
    const pb_type *type = registry_find(slice_of(any->type_url));
    if (type == NULL) {
        return read_fail(r, field, ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret", any->type_url);
    }
    size_t mark = read_push(r, field);
    bool ok = read_message(r, type, any_bytes(any), out);
    if (ok) {
        read_pop(r, mark);
    }
    return ok;
}

bool read_extension(struct reader *r, enum extension_kind kind, const pb_any *any, const struct extension_type **type,
                    void **object)
{
    *object = NULL;
    *type = any == NULL ? NULL : extension_find(r->env->extensions, kind, any_type_name(any));
    const pb_type *message_type = *type == NULL ? NULL : registry_find(slice_of(any->type_url));
    if (message_type == NULL) {
        *type = NULL;
        return true;
    }
    struct guard guard = guard_default();
    guard.unknown_fields = r->env->unknown_fields;
    const pb_message *m = guard_unpack(&guard, message_type, any_bytes(any), r->scratch, r->err);
    if (m == NULL) {
        return read_wrap(r, NULL);
    }
    if (!check_enums(r, m, 0)) {
        return false;
    }
    *object = (*type)->build(m, r->arena, r->err);
    if (*object == NULL) {
        return read_wrap(r, NULL);
    }
    if ((*type)->destroy != NULL) {
        read_own(r, (*type)->destroy, *object);
    }
    return true;
}

bool read_ads(struct reader *r, const char *field, const pb_config_source *source)
{
    if (source == NULL) {
        return read_required(r, field);
    }
    size_t mark = read_push(r, field);
    if (source->config_source_specifier_case != ENVOY__CONFIG__CORE__V3__CONFIG_SOURCE__CONFIG_SOURCE_SPECIFIER_ADS) {
        return read_fail(r, NULL, ERR_UNSUPPORTED, "only `ads: {}` is supported by Egret");
    }
    if (source->resource_api_version != ENVOY__CONFIG__CORE__V3__API_VERSION__V3) {
        return read_fail(r, "resource_api_version", ERR_INPUT, "must be V3");
    }
    if (!r->env->has_ads) {
        return read_fail(r, NULL, ERR_INPUT, "the bootstrap has no dynamic_resources.ads_config");
    }
    read_pop(r, mark);
    return true;
}
