/* What is wrong with files as such: unreadable ones, and overrides that fit nothing. */
#include <string.h>

#include "xds/catalog/build.h"

/* Resource name of what an artifact belongs to. */
static const char *object_of(struct build *b, const struct artifact *a)
{
    const struct api_head *h = NULL;
    struct slice id = slice_of(a->id);
    switch (a->kind) {
    case ARTIFACT_API:
    case ARTIFACT_SPECIFICATION:
    case ARTIFACT_API_POLICY:
    case ARTIFACT_OPERATION_POLICY:
    case ARTIFACT_RELEASE:
    case ARTIFACT_API_DIAGNOSTIC:
        h = map_get(b->heads_by_folder, slice_of(arena_printf(b->arena, "%s|%s", a->workspace, a->id)));
        return h != NULL ? h->name : resource_name(b, a->workspace, "apis", id);
    case ARTIFACT_VERSION_SET:
        return resource_name(b, a->workspace, "versionsets", id);
    case ARTIFACT_PRODUCT:
    case ARTIFACT_PRODUCT_POLICY:
    case ARTIFACT_PRODUCT_API:
    case ARTIFACT_PRODUCT_APIS:
        return resource_name(b, a->workspace, "products", id);
    case ARTIFACT_SUBSCRIPTION:
        return resource_name(b, a->workspace, "subscriptions", id);
    case ARTIFACT_BACKEND:
        return resource_name(b, a->workspace, "backends", id);
    case ARTIFACT_NAMED_VALUE:
        return resource_name(b, a->workspace, "namedvalues", id);
    case ARTIFACT_GATEWAY:
    case ARTIFACT_GATEWAY_API:
    case ARTIFACT_GATEWAY_APIS:
        return resource_name(b, a->workspace, "gateways", id);
    case ARTIFACT_FRAGMENT:
    case ARTIFACT_FRAGMENT_POLICY:
        return resource_name(b, a->workspace, "policyfragments", id);
    case ARTIFACT_POLICY:
    case ARTIFACT_WORKSPACE:
    case ARTIFACT_DIAGNOSTIC:
    case ARTIFACT_GROUP:
    case ARTIFACT_LOGGER:
    case ARTIFACT_TAG:
    case ARTIFACT_OTHER:
        return "";
    }
    return "";
}

static bool closes_something(enum artifact_kind kind)
{
    return kind == ARTIFACT_API || kind == ARTIFACT_SPECIFICATION || kind == ARTIFACT_VERSION_SET ||
           kind == ARTIFACT_PRODUCT || kind == ARTIFACT_PRODUCT_API || kind == ARTIFACT_PRODUCT_APIS ||
           kind == ARTIFACT_SUBSCRIPTION || kind == ARTIFACT_BACKEND || kind == ARTIFACT_NAMED_VALUE ||
           kind == ARTIFACT_GATEWAY || kind == ARTIFACT_GATEWAY_API || kind == ARTIFACT_GATEWAY_APIS;
}

static bool has_information(struct build *b, const struct artifact *a)
{
    const char *name = resource_name(
        b, a->workspace, a->kind == ARTIFACT_GATEWAY_API || a->kind == ARTIFACT_GATEWAY_APIS ? "gateways" : "products",
        slice_of(a->id));
    return map_has(b->by_name, slice_of(name));
}

static void report_lonely(struct build *b, const struct artifact *a)
{
    bool belongs = a->kind == ARTIFACT_PRODUCT_API || a->kind == ARTIFACT_PRODUCT_APIS ||
                   a->kind == ARTIFACT_PRODUCT_POLICY || a->kind == ARTIFACT_GATEWAY_API ||
                   a->kind == ARTIFACT_GATEWAY_APIS;
    if (belongs && !has_information(b, a)) {
        struct closure at = {a->path, 1, 0, NULL};
        build_problem(b, CATALOG_WARNING, at, object_of(b, a), "its folder has no file that says what it is");
    }
}

void report_artifacts(struct build *b)
{
    for (size_t i = 0; i < b->snap->n; i++) {
        const struct artifact *a = b->snap->artifacts[i];
        report_lonely(b, a);
        if (a->state == ARTIFACT_STALE) {
            build_problem(b, CATALOG_STALE, closure_of_artifact(a), object_of(b, a), "%s", a->error.text);
        } else if (a->state == ARTIFACT_BROKEN && !artifact_is_policy(a->kind)) {
            enum catalog_problem_kind kind = closes_something(a->kind) ? CATALOG_CLOSED : CATALOG_WARNING;
            build_problem(b, kind, closure_of_artifact(a), object_of(b, a), "%s", a->error.text);
        }
    }
    for (size_t i = 0; i < b->snap->problem_count; i++) {
        struct closure at = {b->snap->problems[i].file, 1, 0, NULL};
        build_problem(b, CATALOG_STALE, at, "", "the folder cannot be listed: %s", b->snap->problems[i].text);
    }
}

/* "subscriptions/…" and "namedvalues/…" may be added; "…/operations/x" only holds policies. */
static bool needs_artifact(const struct override *o)
{
    struct slice rest = slice_of(o->path);
    if (slice_starts_with(rest, SLICE("workspaces/"))) {
        slice_cut(&rest, '/');
        slice_cut(&rest, '/');
    }
    if (rest.p != NULL &&
        (slice_starts_with(rest, SLICE("subscriptions/")) || slice_starts_with(rest, SLICE("namedvalues/")))) {
        return false;
    }
    struct slice first = rest;
    slice_cut(&first, '/');
    slice_cut(&first, '/');
    bool operation = first.p != NULL && slice_starts_with(first, SLICE("operations/")) &&
                     slice_search(first, SLICE("/policies/")) == first.n;
    return !operation || o->properties != NULL;
}

/* Paths that an entry may name and that make nothing by themselves; subscriptions never need an artifact. */
static void report_unmatched(struct build *b, const struct overrides *o)
{
    struct map *there = map_create(NULL);
    struct strbuf path;
    strbuf_init(&path);
    for (size_t i = 0; i < b->snap->other_count; i++) {
        const struct artifact *a = b->snap->others[i];
        bool links = a->kind == ARTIFACT_SPECIFICATION || a->kind == ARTIFACT_RELEASE ||
                     a->kind == ARTIFACT_PRODUCT_API || a->kind == ARTIFACT_PRODUCT_APIS ||
                     a->kind == ARTIFACT_GATEWAY_API || a->kind == ARTIFACT_GATEWAY_APIS ||
                     a->kind == ARTIFACT_FRAGMENT_POLICY || a->kind == ARTIFACT_OTHER;
        if (!links) {
            strbuf_clear(&path);
            artifact_override_path(a, &path);
            map_put(there, strbuf_slice(&path), b);
            if (*a->workspace != '\0') { /* a workspace may have no file of its own */
                map_put(there,
                        slice_of(lower(b->arena, slice_of(arena_printf(b->arena, "workspaces/%s", a->workspace)))), b);
            }
        }
    }
    for (size_t i = 0; i < o->n; i++) {
        const struct override *e = &o->entries[i];
        if (needs_artifact(e) && !map_has(there, slice_of(e->path))) {
            struct closure at = {o->file, e->line, e->column, NULL};
            build_problem(b, CATALOG_WARNING, at, e->path,
                          "\"%s\" overrides nothing: there is no such thing in the folder", e->name);
        }
    }
    strbuf_fini(&path);
    map_destroy(&there);
}

void report_overrides(struct build *b)
{
    const struct folder_snapshot *s = b->snap;
    struct closure at = {s->overrides_file, s->overrides_error.line, s->overrides_error.column,
                         s->overrides_error.text};
    if (s->overrides_state == ARTIFACT_STALE) {
        build_problem(b, CATALOG_STALE, at, "", "%s", at.text);
    } else if (s->overrides_state == ARTIFACT_BROKEN) {
        /* What an environment changes is not known, so nothing of the folder may be served as it stands. */
        build_problem(b, CATALOG_CLOSED, at, "", "%s", at.text);
        b->catalog->closed = closure_text(b->catalog->arena, at);
    }
    if (s->overrides == NULL) {
        return;
    }
    for (size_t i = 0; i < s->overrides->problem_count; i++) {
        const struct override_problem *p = &s->overrides->problems[i];
        struct closure where = {s->overrides->file, p->line, p->column, NULL};
        build_problem(b, CATALOG_WARNING, where, p->path, "%s", p->text);
    }
    report_unmatched(b, s->overrides);
}
