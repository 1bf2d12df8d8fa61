/* Where each API answers: path, version, revision. What is needed of every API before any of them can be built. */
#include <string.h>

#include "xds/catalog/build.h"
#include "xds/source/template.h"

enum { PATH_MAX_SEGMENTS = 32, PATH_MAX_BYTES = 1000 };

static void close_head(struct api_head *h, struct closure why)
{
    if (h->closed.text == NULL) {
        h->closed = why;
    }
}

/* A text member of a file that cannot be parsed, wherever it stands: only good for closing the right place. */
static struct slice salvage(struct slice bytes, const char *key)
{
    char quoted[64] = "\"";
    strncat(quoted, key, sizeof quoted - 3);
    strcat(quoted, "\"");
    size_t at = slice_search(bytes, slice_of(quoted));
    struct slice rest = slice_from(bytes, at + strlen(quoted));
    while (rest.n > 0 && strchr(" \t\r\n", rest.p[0]) != NULL) {
        rest = slice_from(rest, 1);
    }
    if (rest.n == 0 || rest.p[0] != ':') {
        return SLICE_NONE;
    }
    rest = slice_from(rest, 1);
    while (rest.n > 0 && strchr(" \t\r\n", rest.p[0]) != NULL) {
        rest = slice_from(rest, 1);
    }
    if (rest.n == 0 || rest.p[0] != '"') {
        return SLICE_NONE;
    }
    rest = slice_from(rest, 1);
    size_t end = slice_find(rest, '"');
    struct slice text = slice_sub(rest, 0, end);
    return end < rest.n && slice_find(text, '\\') == text.n ? text : SLICE_NONE;
}

static struct slice text_of(const struct api_head *h, const char *key)
{
    struct slice text = props_text(h->props, key);
    return text.p == NULL && h->info->state == ARTIFACT_BROKEN ? salvage(h->info->bytes, key) : text;
}

/* What the proxy would refuse in a path that it is to match: dot segments, a zero byte, too much of it. */
static bool is_matchable(struct build *b, struct slice path)
{
    struct slice key = slice_of(template_path_key(b->arena, path));
    size_t segments = 0;
    bool fits = key.n <= PATH_MAX_BYTES && slice_search(path, SLICE("%00")) == path.n;
    slice_cut(&key, '/');
    while (key.p != NULL && fits) {
        struct slice segment = slice_cut(&key, '/');
        fits = !slice_eq(segment, SLICE(".")) && !slice_eq(segment, SLICE("..")) && ++segments <= PATH_MAX_SEGMENTS;
    }
    return fits;
}

static bool usable_text(struct slice path)
{
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if (c < ' ' || c == 0x7f || strchr("?#{}*\\;", c) != NULL || (c == '/' && i > 0 && path.p[i - 1] == '/')) {
            return false;
        }
    }
    return true;
}

static bool usable_path(struct build *b, struct slice path)
{
    return usable_text(path) && is_matchable(b, path);
}

static void read_path(struct build *b, struct api_head *h)
{
    struct slice path = text_of(h, "path");
    const struct doc *at = props_get(h->props, "path");
    h->path_known = path.p != NULL || doc_is(at, DOC_STRING);
    while (path.n > 0 && path.p[0] == '/') {
        path = slice_from(path, 1);
    }
    while (path.n > 0 && path.p[path.n - 1] == '/') {
        path.n--;
    }
    h->path = arena_str(b->arena, path);
    if (!h->path_known) {
        close_head(h, closure_at(b, NULL, h->info->path, "the API's path is not said"));
    } else if (!usable_path(b, path)) {
        h->path_known = false;
        h->path = "";
        close_head(h, closure_at(b, at, h->info->path, "the API's path cannot be used"));
    }
}

static bool usable_version(struct build *b, struct slice v)
{
    return usable_path(b, v) && slice_find(v, '/') == v.n;
}

static void unknown_version(struct api_head *h, struct closure why)
{
    h->version_known = false;
    h->scheme = *h->version == '\0' ? CATALOG_VERSION_NONE : CATALOG_VERSION_SEGMENT;
    close_head(h, why);
}

/* The set may also stand inside the API itself, as the management interface shows it. */
static struct version_set *inline_set(struct build *b, struct api_head *h)
{
    struct slice scheme = props_text(props_child(h->props, "apiVersionSet"), "versioningScheme");
    if (scheme.n == 0) {
        return NULL;
    }
    struct props p = props_child(h->props, "apiVersionSet");
    struct version_set *v = arena_zalloc(b->arena, sizeof *v);
    v->name = "";
    version_set_read(b, v, p, h->info->path);
    return v;
}

static void read_version(struct build *b, struct api_head *h)
{
    struct slice version = text_of(h, "apiVersion"), set = last_segment(text_of(h, "apiVersionSetId"));
    const struct doc *at = props_get(h->props, "apiVersionSetId");
    bool mentions_set = set.n > 0 || (h->info->state == ARTIFACT_BROKEN &&
                                      slice_search(h->info->bytes, SLICE("\"apiVersionSetId\"")) < h->info->bytes.n);
    h->version = arena_str(b->arena, version);
    h->version_known = true;
    h->version_set = h->version_parameter = "";
    struct version_set *v = inline_set(b, h);
    if (set.n > 0) {
        const char *name = resource_name(b, h->workspace, "versionsets", set);
        struct version_set *named = map_get(b->version_sets, slice_of(name));
        v = named != NULL ? named : v;
    }
    if (!usable_version(b, version)) {
        h->version = "";
        unknown_version(
            h, closure_at(b, props_get(h->props, "apiVersion"), h->info->path, "the API's version cannot be used"));
    } else if (v != NULL && v->closed.text != NULL) {
        unknown_version(h, v->closed);
    } else if (v != NULL) {
        h->scheme = v->scheme;
        h->version_set = v->name;
        h->version_parameter = v->parameter;
    } else if (mentions_set) {
        unknown_version(h, closure_at(b, at, h->info->path, "its version set %.*s does not exist", SLICE_ARG(set)));
    } else if (version.n > 0) {
        unknown_version(
            h, closure_at(b, props_get(h->props, "apiVersion"), h->info->path, "it has a version but no version set"));
    }
}

/* Overrides do not change revisions: apiRevision and isCurrent are those of the folder. */
static void read_revision(struct build *b, struct api_head *h)
{
    struct slice folder = slice_of(h->folder), id = without_revision(folder);
    struct slice revision = slice_from(folder, id.n + 5);
    struct props own = {h->props.base, NULL};
    bool current = false;
    if (revision.n == 0) {
        revision = props_text(own, "apiRevision");
        revision =
            revision.n == 0 && h->info->state == ARTIFACT_BROKEN ? salvage(h->info->bytes, "apiRevision") : revision;
    }
    h->id = arena_str(b->arena, id);
    h->revision = arena_str(b->arena, revision.n == 0 ? SLICE("1") : revision);
    h->resource = resource_name(b, h->workspace, "apis", id);
    const char *name = arena_printf(b->arena, "%s;rev=%s", h->resource, h->revision);
    h->name = lower(b->arena, slice_of(name));
    const struct doc *flag = props_get(own, "isCurrent");
    h->is_current = doc_bool(flag, &current) ? current : false;
}

static void read_head(struct build *b, struct api_head *h)
{
    const struct artifact *a = h->info;
    h->workspace = a->workspace;
    h->folder = a->id;
    h->over = override_of(b, a);
    h->props = props_of(a, h->over);
    read_revision(b, h);
    close_head(h, closure_of_override(b, h->over));
    if (a->state == ARTIFACT_BROKEN) {
        close_head(h, closure_of_artifact(a));
    }
    read_path(b, h);
    read_version(b, h);
}

static const char *folder_key(struct build *b, const struct artifact *a)
{
    const char *key = arena_printf(b->arena, "%s|%s", a->workspace, a->id);
    return key;
}

/* A revision that stands in two folders: the folder without ";rev=" is the current one and counts. */
static bool add_head(struct build *b, struct api_head *h, struct map *names)
{
    struct api_head *other = map_get(names, slice_of(h->name));
    if (other == NULL) {
        map_put(names, slice_of(h->name), h);
        vec_add(&b->heads, h);
        return true;
    }
    bool mine = slice_find(slice_of(h->folder), ';') < strlen(h->folder);
    bool theirs = slice_find(slice_of(other->folder), ';') < strlen(other->folder);
    struct closure at = {h->info->path, 1, 0, NULL};
    build_problem(b, mine == theirs ? CATALOG_CLOSED : CATALOG_WARNING, at, h->name, "%s is the same revision%s",
                  other->info->path, mine == theirs ? ", so neither is served" : "; that one counts");
    if (mine == theirs) {
        close_head(other, (struct closure){other->info->path, 1, 0,
                                           arena_printf(b->arena, "%s is the same revision", h->info->path)});
    }
    return false;
}

static void attach(struct build *b, const struct artifact *a)
{
    struct api_head *h = map_get(b->heads_by_folder, slice_of(folder_key(b, a)));
    struct closure at = {a->path, 1, 0, NULL};
    if (h == NULL) {
        if (a->kind == ARTIFACT_SPECIFICATION || a->kind == ARTIFACT_API_POLICY) {
            build_problem(b, CATALOG_WARNING, at, resource_name(b, a->workspace, "apis", slice_of(a->id)),
                          "the API's folder has no apiInformation.json that is served");
        }
        return;
    }
    if (a->kind == ARTIFACT_API_POLICY) {
        h->policy = a;
    } else if (a->kind == ARTIFACT_OPERATION_POLICY) {
        vec_add(&h->operation_policies, (void *)(uintptr_t)a);
    } else if (h->spec == NULL || h->spec->spec == NULL) {
        h->spec = a; /* of several, the first in OpenAPI */
    } else {
        build_problem(b, CATALOG_WARNING, at, h->name, "%s is the API's specification", h->spec->path);
    }
}

static void attach_all(struct build *b)
{
    for (size_t i = 0; i < b->snap->other_count; i++) {
        const struct artifact *a = b->snap->others[i];
        if (a->kind == ARTIFACT_SPECIFICATION || a->kind == ARTIFACT_API_POLICY ||
            a->kind == ARTIFACT_OPERATION_POLICY) {
            attach(b, a);
        }
    }
}

void build_heads(struct build *b)
{
    struct map *names = map_create(NULL);
    for (int with_revision = 0; with_revision < 2; with_revision++) {
        for (size_t i = 0; i < b->snap->other_count; i++) {
            const struct artifact *a = b->snap->others[i];
            bool has = slice_find(slice_of(a->id), ';') < strlen(a->id);
            if (a->kind != ARTIFACT_API || has != (with_revision == 1)) {
                continue;
            }
            b->catalog->api_files++;
            struct api_head *h = arena_zalloc(b->arena, sizeof *h);
            h->info = a;
            read_head(b, h);
            if (add_head(b, h, names)) {
                map_put(b->heads_by_folder, slice_of(folder_key(b, a)), h);
            }
        }
    }
    map_destroy(&names);
    attach_all(b);
}
