/* From bytes to an artifact: parsing by kind, and what stays when that fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "xds/source/artifact.h"
#include "xds/source/wadl.h"

enum { MAX_NODES = 2 << 20, LARGE = 4096 };

static struct artifact *create(const char *path, struct slice bytes)
{
    /* Most are small: one block for the texts and the tree, without much to spare. */
    struct arena *arena = arena_create(bytes.n > LARGE ? 1024 : 512 + bytes.n * 4);
    struct artifact *a = arena_zalloc(arena, sizeof *a);
    struct artifact_path p;
    artifact_classify(slice_of(path), &p);
    a->arena = arena;
    a->refs = 1;
    a->kind = p.kind;
    a->path = arena_str(arena, slice_of(path));
    a->workspace = arena_str(arena, p.workspace);
    a->id = arena_str(arena, p.id);
    a->item = arena_str(arena, p.item);
    if (p.kind != ARTIFACT_SPECIFICATION) { /* the largest: only their operations stay */
        a->bytes = arena_slice(arena, bytes);
    }
    return a;
}

/* err's text begins "path:line:column: " when the reader knows where. */
static struct artifact_error split_error(struct arena *arena, const char *path, const char *text)
{
    struct artifact_error e = {0, 0, NULL};
    size_t n = strlen(path);
    const char *rest = text;
    if (strncmp(text, path, n) == 0 && text[n] == ':') {
        char *end = NULL;
        unsigned long line = strtoul(text + n + 1, &end, 10);
        unsigned long column = end != NULL && *end == ':' ? strtoul(end + 1, &end, 10) : 0;
        if (line > 0 && end != NULL && *end == ':') {
            e.line = (uint32_t)line;
            e.column = (uint32_t)column;
            rest = end + 1;
        } else {
            rest = text + n + 1;
        }
    }
    e.text = arena_str(arena, slice_trim(slice_of(rest)));
    return e;
}

static bool needs_properties(enum artifact_kind kind)
{
    return kind == ARTIFACT_API || kind == ARTIFACT_PRODUCT || kind == ARTIFACT_SUBSCRIPTION ||
           kind == ARTIFACT_BACKEND || kind == ARTIFACT_NAMED_VALUE || kind == ARTIFACT_GATEWAY ||
           kind == ARTIFACT_VERSION_SET;
}

static bool check_shape(const struct artifact *a, const struct doc *root, struct err *err)
{
    bool is_list = a->kind == ARTIFACT_PRODUCT_APIS || a->kind == ARTIFACT_GATEWAY_APIS;
    if (a->kind == ARTIFACT_OTHER) {
        return true;
    }
    if (!doc_is(root, is_list ? DOC_LIST : DOC_MAP)) {
        return doc_fail(err, root, ERR_INPUT, "expected %s", is_list ? "a list" : "an object");
    }
    const struct doc *p = doc_get(root, "properties");
    if (needs_properties(a->kind) && !doc_is(p, DOC_MAP)) {
        return doc_fail(err, p == NULL ? root : p, ERR_INPUT, "expected \"properties\" to be an object");
    }
    return true;
}

static enum doc_format format_of(const char *path)
{
    struct slice s = slice_of(path);
    if (slice_ends_with_nocase(s, SLICE(".json"))) {
        return DOC_JSON;
    }
    return slice_ends_with_nocase(s, SLICE(".yaml")) || slice_ends_with_nocase(s, SLICE(".yml")) ? DOC_YAML : DOC_AUTO;
}

static bool read_specification(struct artifact *a, struct slice bytes, struct err *err)
{
    enum doc_format format = format_of(a->path);
    if (slice_ends_with_nocase(slice_of(a->path), SLICE(".wadl"))) {
        a->spec = wadl_read(a->arena, a->path, bytes, err);
        return a->spec != NULL;
    }
    if (format == DOC_AUTO) {
        return true; /* another language: not read here, spec stays NULL */
    }
    struct doc_limits limits = doc_limits_default();
    limits.max_nodes = MAX_NODES;
    struct arena *tree = arena_create(0);
    const struct doc *root = doc_parse(tree, (struct doc_source){a->path, bytes, format}, &limits, err);
    bool ok = root != NULL;
    if (ok && !doc_is(root, DOC_MAP)) {
        ok = doc_fail(err, root, ERR_INPUT, "expected an OpenAPI document");
    }
    if (ok) {
        a->spec = openapi_read(a->arena, root);
    }
    arena_destroy(&tree);
    return ok;
}

static bool read_json(struct artifact *a, struct err *err)
{
    struct doc_limits limits = doc_limits_default();
    limits.max_nodes = MAX_NODES;
    const struct doc *root = doc_parse(a->arena, (struct doc_source){a->path, a->bytes, DOC_JSON}, &limits, err);
    if (root == NULL || !check_shape(a, root, err)) {
        return false;
    }
    a->doc = root;
    return true;
}

static void seal(struct artifact *a, struct slice content)
{
    uint64_t h = slice_hash(content, (uint64_t)a->state);
    a->hash = a->error.text == NULL ? h : slice_hash(slice_of(a->error.text), h + a->error.line * 1000003ull);
}

bool artifact_is_made_from(const struct artifact *a, struct slice bytes)
{
    return a->state == ARTIFACT_GOOD && a->hash == slice_hash(bytes, (uint64_t)a->state);
}

/* The same content under a new state. */
static struct artifact *keep_last(const char *path, struct artifact *last, struct artifact_error error)
{
    struct artifact *a = create(path, SLICE_NONE);
    a->kept = artifact_ref(last->kept != NULL ? last->kept : last);
    a->doc = a->kept->doc;
    a->spec = a->kept->spec;
    a->state = ARTIFACT_STALE;
    a->error = error;
    a->error.text = arena_str(a->arena, slice_of(error.text));
    seal(a, slice_make(&a->kept->hash, sizeof a->kept->hash));
    return a;
}

static struct artifact *give_up(struct artifact *a, struct slice bytes, struct artifact *last)
{
    if (last != NULL && last->state != ARTIFACT_BROKEN && !artifact_is_policy(a->kind)) {
        struct artifact *stale = keep_last(a->path, last, a->error);
        artifact_unref(&a);
        return stale;
    }
    a->state = ARTIFACT_BROKEN;
    seal(a, bytes);
    return a;
}

struct artifact *artifact_read(const char *path, struct slice bytes, struct artifact *last)
{
    struct artifact *a = create(path, bytes);
    struct err err = {.kind = ERR_NONE};
    bool ok = true;
    if (a->kind == ARTIFACT_SPECIFICATION) {
        ok = read_specification(a, bytes, &err);
    } else if (!artifact_is_policy(a->kind)) {
        ok = read_json(a, &err);
    }
    if (!ok) {
        a->error = split_error(a->arena, path, err.text);
        return give_up(a, bytes, last);
    }
    seal(a, bytes);
    return a;
}

struct artifact *artifact_unreadable(const char *path, const char *why, struct artifact *last)
{
    struct artifact *a = create(path, SLICE_NONE);
    a->error = (struct artifact_error){0, 0, arena_str(a->arena, slice_of(why))};
    return give_up(a, SLICE_NONE, last);
}
