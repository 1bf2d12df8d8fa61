#include "xds/source/examples.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "xds/source/sample.h"

enum { EXAMPLES_MAX = 64, EXAMPLE_BYTES = 256 * 1024, FILE_MAX = 64 << 20 };

struct reading {
    struct arena *arena;
    const struct doc *root;
    struct openapi_example items[EXAMPLES_MAX];
    size_t n;
};

static void add(struct reading *r, unsigned status, struct slice type, struct slice body)
{
    if (r->n < EXAMPLES_MAX && body.n <= EXAMPLE_BYTES) {
        r->items[r->n++] =
            (struct openapi_example){status, arena_str(r->arena, type), arena_str(r->arena, body)};
    }
}

static bool is_json(struct slice type)
{
    type = slice_trim(slice_sub(type, 0, slice_find(type, ';')));
    return slice_ends_with_nocase(type, SLICE("/json")) || slice_ends_with_nocase(type, SLICE("+json")) ||
           slice_eq(type, SLICE("*/*"));
}

/* A text may be the message itself, written down as a string, or a JSON string. */
static bool is_message(struct slice text, struct slice type)
{
    return !is_json(type) || (text.n > 0 && strchr("{[\"", text.p[0]) != NULL);
}

static void add_value(struct reading *r, unsigned status, struct slice type, const struct doc *value)
{
    struct strbuf text;
    strbuf_init(&text);
    if (doc_is(value, DOC_STRING) && is_message(doc_text(value), type)) {
        strbuf_add(&text, doc_text(value));
    } else {
        doc_write_json(value, &text);
    }
    add(r, status, type, strbuf_slice(&text));
    strbuf_fini(&text);
}

static void add_sample(struct reading *r, unsigned status, struct slice type, const struct doc *schema)
{
    struct strbuf text;
    strbuf_init(&text);
    if (schema != NULL && is_json(type)) {
        openapi_sample(r->root, schema, &text);
    }
    add(r, status, type, strbuf_slice(&text));
    strbuf_fini(&text);
}

/* ---- OpenAPI 3 ---- */

/* The example of a media type object; NULL: it has none. */
static const struct doc *example_of(const struct reading *r, const struct doc *media)
{
    const struct doc *example = doc_get(media, "example"), *all = doc_get(media, "examples");
    for (size_t i = 0; example == NULL && i < doc_len(all); i++) {
        example = doc_get(openapi_resolve(r->root, doc_at(all, i)), "value");
    }
    return example != NULL ? example : doc_get(openapi_resolve(r->root, doc_get(media, "schema")), "example");
}

static void read_content(struct reading *r, unsigned status, const struct doc *content)
{
    for (int made = 0; made < 2; made++) {
        for (size_t i = 0; i < doc_len(content); i++) {
            const struct doc *media = doc_at(content, i), *example = example_of(r, media);
            if (!made && example != NULL) {
                add_value(r, status, doc_key(media), example);
            } else if (made && example == NULL) {
                add_sample(r, status, doc_key(media), doc_get(media, "schema"));
            }
        }
    }
}

/* ---- Swagger 2 ---- */

static void read_produced(struct reading *r, unsigned status, const struct doc *response, const struct doc *operation)
{
    const struct doc *examples = doc_get(response, "examples"), *schema = doc_get(response, "schema");
    const struct doc *produces = doc_get(operation, "produces");
    produces = produces != NULL ? produces : doc_get(r->root, "produces");
    for (size_t i = 0; i < doc_len(examples); i++) {
        add_value(r, status, doc_key(doc_at(examples, i)), doc_at(examples, i));
    }
    if (schema != NULL && doc_len(produces) == 0) {
        add_sample(r, status, SLICE("application/json"), schema);
    }
    for (size_t i = 0; schema != NULL && i < doc_len(produces); i++) {
        if (doc_find(examples, doc_text(doc_at(produces, i))) == NULL) {
            add_sample(r, status, doc_text(doc_at(produces, i)), schema);
        }
    }
}

/* ---- both ---- */

/* "200", "2XX", "default". */
static bool read_status(struct slice key, unsigned *status)
{
    uint64_t n = 0;
    *status = 0;
    if (slice_eq_nocase(key, SLICE("default"))) {
        return true;
    }
    if (key.n == 3 && slice_eq_nocase(slice_from(key, 1), SLICE("xx")) && key.p[0] >= '2' && key.p[0] <= '5') {
        *status = (unsigned)(key.p[0] - '0') * 100;
        return true;
    }
    if (!slice_to_u64(key, &n) || n < 100 || n > 599) {
        return false;
    }
    *status = (unsigned)n;
    return true;
}

static void read_responses(struct reading *r, const struct doc *operation)
{
    const struct doc *responses = doc_get(operation, "responses");
    for (size_t i = 0; i < doc_len(responses); i++) {
        const struct doc *member = doc_at(responses, i), *response = openapi_resolve(r->root, member);
        unsigned status;
        size_t before = r->n;
        if (!read_status(doc_key(member), &status)) {
            continue;
        }
        read_content(r, status, doc_get(response, "content"));
        read_produced(r, status, response, operation);
        if (r->n == before) {
            add(r, status, SLICE_NONE, SLICE_NONE);
        }
    }
}

static const struct doc *find_operation(const struct doc *root, const struct openapi_operation *operation)
{
    const struct doc *paths = doc_get(root, "paths");
    char method[16];
    size_t n = strlen(operation->method);
    for (size_t i = 0; i <= n && i < sizeof method; i++) {
        method[i] = ascii_lower(operation->method[i]);
    }
    if (n >= sizeof method) {
        return NULL;
    }
    const struct doc *item = doc_get(paths, operation->url_template);
    item = item != NULL ? item : doc_get(paths, operation->url_template + 1); /* written without its slash */
    for (int hops = 0; item != NULL && hops < 8; hops++) {
        const struct doc *found = doc_get(item, method);
        if (found != NULL) {
            return found;
        }
        const struct doc *next = openapi_resolve(root, item);
        item = next == item ? NULL : next;
    }
    return NULL;
}

void openapi_examples_read(struct arena *arena, const struct doc *root, const struct openapi_operation *operation,
                           struct openapi_examples *out)
{
    struct reading *r = mem_alloc(sizeof *r);
    const struct doc *found = find_operation(root, operation);
    *out = (struct openapi_examples){NULL, 0};
    *r = (struct reading){.arena = arena, .root = root};
    if (found != NULL) {
        read_responses(r, found);
    }
    if (r->n > 0) {
        struct openapi_example *items = arena_alloc(arena, r->n * sizeof *items);
        memcpy(items, r->items, r->n * sizeof *items);
        *out = (struct openapi_examples){items, r->n};
    }
    mem_free(r);
}

const struct doc *folder_specification(const struct folder_snapshot *s, const struct artifact *spec,
                                       struct arena *arena, struct err *err)
{
    char *text = NULL, *path = arena_printf(arena, "%s/%s", s->root, spec->path);
    size_t n = 0;
    if (!file_read(path, FILE_MAX, &text, &n, err)) {
        return NULL;
    }
    struct slice bytes = arena_slice(arena, slice_make(text, n));
    mem_free(text);
    if (spec->state != ARTIFACT_GOOD || !artifact_is_made_from(spec, bytes)) {
        err_set(err, ERR_INPUT, "%s has changed", spec->path);
        return NULL;
    }
    struct doc_limits limits = doc_limits_default();
    return doc_parse(arena, (struct doc_source){spec->path, bytes, DOC_AUTO}, &limits, err);
}
