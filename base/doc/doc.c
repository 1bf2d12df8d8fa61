#include "base/doc/doc.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doc/node.h"
#include "base/file.h"
#include "base/mem.h"

struct doc_limits doc_limits_default(void)
{
    return (struct doc_limits){.max_bytes = 64u << 20, .max_nodes = 4u << 20, .max_depth = 64};
}

static enum doc_format format_of(struct doc_source source)
{
    struct slice name = slice_of(source.name);
    if (source.format != DOC_AUTO) {
        return source.format;
    }
    if (slice_ends_with_nocase(name, SLICE(".json"))) {
        return DOC_JSON;
    }
    if (slice_ends_with_nocase(name, SLICE(".yaml")) || slice_ends_with_nocase(name, SLICE(".yml"))) {
        return DOC_YAML;
    }
    size_t i = 0;
    while (i < source.bytes.n && strchr(" \t\r\n", source.bytes.p[i]) != NULL && source.bytes.p[i] != '\0') {
        i++;
    }
    return i < source.bytes.n && (source.bytes.p[i] == '{' || source.bytes.p[i] == '[') ? DOC_JSON : DOC_YAML;
}

const struct doc *doc_parse(struct arena *arena, struct doc_source source, const struct doc_limits *limits,
                            struct err *err)
{
    struct doc_limits fallback = doc_limits_default();
    limits = limits == NULL ? &fallback : limits;
    if (source.bytes.n > limits->max_bytes) {
        err_set(err, ERR_LIMIT, "%s: larger than %zu bytes", source.name, limits->max_bytes);
        return NULL;
    }
    if (slice_starts_with(source.bytes, SLICE("\xef\xbb\xbf"))) {
        source.bytes = slice_from(source.bytes, 3);
    }
    if (source.bytes.p == NULL) {
        source.bytes = SLICE("");
    }
    struct builder b;
    builder_init(&b, arena, arena_str(arena, slice_of(source.name)), limits, err);
    b.text_block = source.bytes.n + 1; /* tens of thousands of small documents are held at once */
    bool ok = format_of(source) == DOC_JSON ? json_read(&b, source.bytes) : yaml_read(&b, source.bytes);
    const struct doc *root = ok ? builder_root(&b) : NULL;
    builder_fini(&b);
    return root;
}

const struct doc *doc_read(struct arena *arena, const char *path, const struct doc_limits *limits, struct err *err)
{
    struct doc_limits fallback = doc_limits_default();
    limits = limits == NULL ? &fallback : limits;
    char *bytes = NULL;
    size_t n = 0;
    if (!file_read(path, limits->max_bytes, &bytes, &n, err)) {
        return NULL;
    }
    struct doc_source source = {.name = path, .bytes = {bytes, n}, .format = DOC_AUTO};
    const struct doc *root = doc_parse(arena, source, limits, err);
    mem_wipe(bytes, n); /* inline keys and certificates may stand in it */
    mem_free(bytes);
    return root;
}

enum doc_kind doc_kind(const struct doc *d)
{
    return d == NULL ? DOC_NULL : (enum doc_kind)d->kind;
}

const char *doc_kind_name(enum doc_kind kind)
{
    static const char *const names[] = {
        [DOC_NULL] = "null",     [DOC_BOOL] = "boolean", [DOC_NUMBER] = "number",
        [DOC_STRING] = "string", [DOC_MAP] = "map",      [DOC_LIST] = "list",
    };
    return names[kind];
}

size_t doc_len(const struct doc *d)
{
    return d != NULL && (d->kind == DOC_MAP || d->kind == DOC_LIST) ? d->count : 0;
}

const struct doc *doc_at(const struct doc *d, size_t i)
{
    return i < doc_len(d) ? &d->items[i] : NULL;
}

const struct doc *doc_find(const struct doc *map, struct slice key)
{
    if (map == NULL || map->kind != DOC_MAP) {
        return NULL;
    }
    if (map->index != NULL) {
        uint32_t mask = map->index[-1];
        for (uint32_t i = (uint32_t)slice_hash(key, doc_seed(map)) & mask; map->index[i] != 0; i = (i + 1) & mask) {
            const struct doc *member = &map->items[map->index[i] - 1];
            if (slice_eq(member->key, key)) {
                return member;
            }
        }
        return NULL;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        if (slice_eq(map->items[i].key, key)) {
            return &map->items[i];
        }
    }
    return NULL;
}

const struct doc *doc_get(const struct doc *map, const char *key)
{
    return doc_find(map, slice_of(key));
}

struct slice doc_key(const struct doc *member)
{
    return member != NULL && member->member ? member->key : SLICE_NONE;
}

struct slice doc_text(const struct doc *d)
{
    return d == NULL || d->kind == DOC_MAP || d->kind == DOC_LIST ? SLICE_NONE : d->text;
}

bool doc_string(const struct doc *d, struct slice *out)
{
    if (!doc_is(d, DOC_STRING)) {
        return false;
    }
    *out = d->text;
    return true;
}

struct slice doc_get_string(const struct doc *map, const char *key)
{
    struct slice text = SLICE_NONE;
    doc_string(doc_get(map, key), &text);
    return text;
}

bool doc_bool(const struct doc *d, bool *out)
{
    if (!doc_is(d, DOC_BOOL)) {
        return false;
    }
    *out = ascii_lower(d->text.p[0]) == 't';
    return true;
}

/* 0x… and 0o… of YAML; false for every other text and on overflow. */
static bool based(struct slice text, uint64_t *out)
{
    if (text.n < 3 || text.p[0] != '0' || (text.p[1] != 'x' && text.p[1] != 'o')) {
        return false;
    }
    char *end = NULL;
    unsigned base = text.p[1] == 'x' ? 16 : 8;
    *out = strtoull(text.p + 2, &end, (int)base);
    size_t digits = 0;
    for (uint64_t v = *out; v != 0; v /= base) {
        digits++;
    }
    struct slice significant = slice_from(text, 2);
    while (significant.n > 0 && significant.p[0] == '0') {
        significant = slice_from(significant, 1);
    }
    return *end == '\0' && digits == significant.n;
}

bool doc_number(const struct doc *d, double *out)
{
    if (!doc_is(d, DOC_NUMBER)) {
        return false;
    }
    uint64_t whole = 0;
    if (based(d->text, &whole)) {
        *out = (double)whole;
        return true;
    }
    bool sign = d->text.p[0] == '-' || d->text.p[0] == '+';
    if (d->text.n > (sign ? 2 : 1) && ascii_lower(d->text.p[sign ? 2 : 1]) == 'i') {
        *out = d->text.p[0] == '-' ? -(double)INFINITY : (double)INFINITY;
    } else if (d->text.n > 1 && ascii_lower(d->text.p[1]) == 'n') {
        *out = (double)NAN;
    } else {
        *out = strtod(d->text.p, NULL);
    }
    return true;
}

/* Sign and magnitude of a whole number, however it is written. */
static bool whole_number(const struct doc *d, bool *negative, uint64_t *magnitude)
{
    if (!doc_is(d, DOC_NUMBER)) {
        return false;
    }
    *negative = d->text.p[0] == '-';
    struct slice text = slice_from(d->text, *negative || d->text.p[0] == '+' ? 1 : 0);
    if (slice_to_u64(text, magnitude) || (text.n == d->text.n && based(text, magnitude))) {
        return true;
    }
    double value = 0;
    if (slice_find(text, '.') == text.n && slice_find(text, 'e') == text.n && slice_find(text, 'E') == text.n) {
        return false; /* digits only: too many of them */
    }
    doc_number(d, &value);
    if (!(fabs(value) <= 9007199254740992.0) || value != nearbyint(value)) { /* 2^53: exact beyond doubt */
        return false;
    }
    *magnitude = (uint64_t)fabs(value);
    return true;
}

bool doc_u64(const struct doc *d, uint64_t *out)
{
    bool negative = false;
    uint64_t magnitude = 0;
    if (!whole_number(d, &negative, &magnitude) || (negative && magnitude != 0)) {
        return false;
    }
    *out = magnitude;
    return true;
}

bool doc_i64(const struct doc *d, int64_t *out)
{
    bool negative = false;
    uint64_t magnitude = 0;
    if (!whole_number(d, &negative, &magnitude) || magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return false;
    }
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

const char *doc_file(const struct doc *d)
{
    return d->file;
}

unsigned doc_line(const struct doc *d)
{
    return d->at.line;
}

unsigned doc_column(const struct doc *d)
{
    return d->at.column;
}

unsigned doc_key_line(const struct doc *member)
{
    return member->member ? member->key_at.line : member->at.line;
}

unsigned doc_key_column(const struct doc *member)
{
    return member->member ? member->key_at.column : member->at.column;
}

static bool fail_at(struct err *err, const char *file, struct place at, enum err_kind kind, const char *text)
{
    return err_set(err, kind, "%s:%u:%u: %s", file, at.line, at.column, text);
}

bool doc_fail(struct err *err, const struct doc *d, enum err_kind kind, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fail_at(err, d->file, d->at, kind, text);
}

bool doc_fail_key(struct err *err, const struct doc *member, enum err_kind kind, const char *fmt, ...)
{
    char text[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return fail_at(err, member->file, member->member ? member->key_at : member->at, kind, text);
}
