#include "xds/source/sample.h"

#include <string.h>

enum { HOPS = 8, DEPTH = 12, NODES = 2000 };

struct sampling {
    const struct doc *root;
    struct strbuf *out;
    unsigned nodes;
};

const struct doc *openapi_pointer(const struct doc *root, struct slice reference)
{
    if (!slice_starts_with(reference, SLICE("#/"))) {
        return NULL;
    }
    const struct doc *d = root;
    struct slice rest = slice_from(reference, 2);
    while (rest.p != NULL && d != NULL) {
        struct slice token = slice_cut(&rest, '/');
        char name[256];
        size_t n = 0;
        for (size_t i = 0; i < token.n && n < sizeof name; i++) {
            bool escape = token.p[i] == '~' && i + 1 < token.n;
            name[n++] = escape ? (token.p[++i] == '1' ? '/' : '~') : token.p[i];
        }
        d = doc_find(d, slice_make(name, n));
    }
    return d;
}

const struct doc *openapi_resolve(const struct doc *root, const struct doc *d)
{
    for (unsigned hops = 0; hops < HOPS; hops++) {
        struct slice reference = doc_get_string(d, "$ref");
        if (reference.n == 0) {
            return d;
        }
        d = openapi_pointer(root, reference);
    }
    return NULL;
}

static void write_schema(struct sampling *s, const struct doc *schema, unsigned depth);

/* ---- objects ---- */

static void write_members(struct sampling *s, const struct doc *schema, unsigned depth, bool *first)
{
    const struct doc *properties = doc_get(schema, "properties"), *all = doc_get(schema, "allOf");
    for (size_t i = 0; i < doc_len(all) && depth < DEPTH; i++) {
        write_members(s, openapi_resolve(s->root, doc_at(all, i)), depth + 1, first);
    }
    for (size_t i = 0; i < doc_len(properties) && s->nodes < NODES; i++) {
        strbuf_add_str(s->out, *first ? "" : ",");
        *first = false;
        strbuf_add_json(s->out, doc_key(doc_at(properties, i)));
        strbuf_add_char(s->out, ':');
        write_schema(s, doc_at(properties, i), depth + 1);
    }
}

static void write_object(struct sampling *s, const struct doc *schema, unsigned depth)
{
    bool first = true;
    strbuf_add_char(s->out, '{');
    write_members(s, schema, depth, &first);
    strbuf_add_char(s->out, '}');
}

/* ---- scalars ---- */

static const char *text_of(struct slice format)
{
    static const char *const formats[][2] = {
        {"date", "2000-01-01"},          {"date-time", "2000-01-01T00:00:00Z"},
        {"email", "user@example.com"},   {"uri", "https://example.com"},
        {"uuid", "00000000-0000-0000-0000-000000000000"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (slice_eq(format, slice_of(formats[i][0]))) {
            return formats[i][1];
        }
    }
    return "string";
}

/* The value that the schema itself gives; NULL: none. */
static const struct doc *given(const struct doc *schema)
{
    static const char *const keys[] = {"example", "const", "default"}, *const lists[] = {"examples", "enum"};
    const struct doc *d = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && d == NULL; i++) {
        d = doc_get(schema, keys[i]);
    }
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && d == NULL; i++) {
        const struct doc *list = doc_get(schema, lists[i]);
        d = doc_is(list, DOC_LIST) ? doc_at(list, 0) : NULL;
    }
    return d;
}

/* OpenAPI 3.1 may give several: the first that is not null. */
static struct slice type_of(const struct doc *schema)
{
    const struct doc *type = doc_get(schema, "type");
    struct slice text = doc_is(type, DOC_STRING) ? doc_text(type) : SLICE_NONE;
    for (size_t i = 0; doc_is(type, DOC_LIST) && i < doc_len(type) && text.n == 0; i++) {
        struct slice one = doc_text(doc_at(type, i));
        text = slice_eq(one, SLICE("null")) ? SLICE_NONE : one;
    }
    if (text.n > 0) {
        return text;
    }
    bool object = doc_get(schema, "properties") != NULL || doc_get(schema, "allOf") != NULL;
    return object ? SLICE("object") : doc_get(schema, "items") != NULL ? SLICE("array") : SLICE_NONE;
}

static void write_type(struct sampling *s, const struct doc *schema, unsigned depth)
{
    struct slice type = type_of(schema);
    if (slice_eq(type, SLICE("object"))) {
        write_object(s, schema, depth);
    } else if (slice_eq(type, SLICE("array"))) {
        strbuf_add_char(s->out, '[');
        write_schema(s, doc_get(schema, "items"), depth + 1);
        strbuf_add_char(s->out, ']');
    } else if (slice_eq(type, SLICE("string"))) {
        strbuf_add_json(s->out, slice_of(text_of(doc_get_string(schema, "format"))));
    } else if (slice_eq(type, SLICE("integer")) || slice_eq(type, SLICE("number"))) {
        strbuf_add_char(s->out, '0');
    } else {
        strbuf_add_str(s->out, slice_eq(type, SLICE("boolean")) ? "true" : "null");
    }
}

static void write_schema(struct sampling *s, const struct doc *schema, unsigned depth)
{
    schema = openapi_resolve(s->root, schema);
    const struct doc *value = given(schema), *one = doc_get(schema, "oneOf");
    one = one != NULL ? one : doc_get(schema, "anyOf");
    if (++s->nodes > NODES || depth > DEPTH || schema == NULL) {
        strbuf_add_str(s->out, "null");
    } else if (value != NULL) {
        doc_write_json(value, s->out);
    } else if (doc_len(one) > 0 && doc_get(schema, "properties") == NULL) {
        write_schema(s, doc_at(one, 0), depth + 1);
    } else {
        write_type(s, schema, depth);
    }
}

void openapi_sample(const struct doc *root, const struct doc *schema, struct strbuf *out)
{
    struct sampling s = {root, out, 0};
    write_schema(&s, schema, 0);
}
