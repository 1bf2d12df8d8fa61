/*
 * doc: one tree for YAML and JSON, every node with its line and column. Read-only once parsed; it lives in the
 * caller's arena, as do all its texts (each with a NUL behind it). Any thread may read it.
 *
 * YAML: the scalars of YAML 1.2's core schema (`no` is a string), anchors and aliases within the limits; merge
 * keys, several documents and foreign tags are refused. JSON: RFC 8259, strict; a byte order mark is tolerated.
 * Both: UTF-8 only, a key twice in one map is refused.
 *
 * Looking into a NULL node is allowed and finds nothing, so that look-ups chain.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "base/strbuf.h"

enum doc_kind { DOC_NULL, DOC_BOOL, DOC_NUMBER, DOC_STRING, DOC_MAP, DOC_LIST };

/* AUTO: by the name's ending (.json, .yaml, .yml); else JSON when the first character is '{' or '['. */
enum doc_format { DOC_AUTO, DOC_YAML, DOC_JSON };

struct doc;

struct doc_source {
    const char *name; /* of the file, for positions */
    struct slice bytes;
    enum doc_format format;
};

struct doc_limits {
    size_t max_bytes;
    size_t max_nodes;   /* what an alias stands for counts each time */
    unsigned max_depth; /* nested maps and lists */
};

struct doc_limits doc_limits_default(void); /* 64 MB, 4 million nodes, depth 64 */

/* NULL on failure, with "name:line:column: reason" in err. limits NULL: the default. */
const struct doc *doc_parse(struct arena *arena, struct doc_source source, const struct doc_limits *limits,
                            struct err *err);
/* The same for a file, named by its path. */
const struct doc *doc_read(struct arena *arena, const char *path, const struct doc_limits *limits, struct err *err);

enum doc_kind doc_kind(const struct doc *d); /* DOC_NULL for NULL */
const char *doc_kind_name(enum doc_kind kind);
static inline bool doc_is(const struct doc *d, enum doc_kind kind)
{
    return d != NULL && doc_kind(d) == kind;
}

size_t doc_len(const struct doc *d);                               /* members of a map, items of a list, else 0 */
const struct doc *doc_at(const struct doc *d, size_t i);           /* in document order; NULL beyond the end */
const struct doc *doc_get(const struct doc *map, const char *key); /* NULL when absent or not a map */
const struct doc *doc_find(const struct doc *map, struct slice key);
struct slice doc_key(const struct doc *member);  /* empty for what is not a member of a map */
struct slice doc_text(const struct doc *scalar); /* as written, quotes and escapes resolved */

/* False when the node is of another kind or the number does not fit (i64, u64: whole numbers only, 1e3 is one). */
bool doc_string(const struct doc *d, struct slice *out);
bool doc_bool(const struct doc *d, bool *out);
bool doc_number(const struct doc *d, double *out);
bool doc_i64(const struct doc *d, int64_t *out);
bool doc_u64(const struct doc *d, uint64_t *out);
struct slice doc_get_string(const struct doc *map, const char *key); /* empty when absent or not a string */

const char *doc_file(const struct doc *d);
unsigned doc_line(const struct doc *d); /* from 1 */
unsigned doc_column(const struct doc *d);
unsigned doc_key_line(const struct doc *member); /* where its key stands */
unsigned doc_key_column(const struct doc *member);

/* "file:line:column: " and the text; returns false. doc_fail_key points at the member's key. */
bool doc_fail(struct err *err, const struct doc *d, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool doc_fail_key(struct err *err, const struct doc *member, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Compact JSON, members in document order. Infinity and NaN, which JSON lacks, become strings. */
void doc_write_json(const struct doc *d, struct strbuf *out);
