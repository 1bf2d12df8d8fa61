/*
 * Releases: each made one revision of its API the current one. Their files keep no order, so they decide only where
 * they cannot disagree: all of them name one revision, or each says when it was made.
 */
#include <string.h>

#include "xds/catalog/build.h"

struct choice {
    struct api_head *newest;
    const struct artifact *by;
    struct slice when;
    bool agree, dated;
};

static struct api_head *find_revision(struct api_head **group, size_t n, struct slice revision)
{
    for (size_t i = 0; i < n; i++) {
        bool plain = slice_find(slice_of(group[i]->folder), ';') == strlen(group[i]->folder);
        if (revision.n == 0 ? plain : slice_eq_nocase(slice_of(group[i]->revision), revision)) {
            return group[i];
        }
    }
    return NULL;
}

/* The revision that the release names; NULL, and said, when there is none. */
static struct api_head *named(struct build *b, const struct artifact *a, struct api_head **group, size_t n)
{
    struct props p = props_of(a, NULL);
    const struct doc *at = props_get(p, "apiId");
    struct slice text = last_segment(props_text(p, "apiId")), id = without_revision(text);
    struct closure where = closure_at(b, at, a->path, "-");
    if (text.n == 0) {
        build_problem(b, CATALOG_WARNING, where, group[0]->resource, "the release does not say of which API it is");
        return NULL;
    }
    if (strcmp(resource_name(b, a->workspace, "apis", id), group[0]->resource) != 0) {
        build_problem(b, CATALOG_WARNING, where, group[0]->resource, "the release is of another API");
        return NULL;
    }
    struct api_head *h = find_revision(group, n, id.n == text.n ? SLICE_NONE : slice_from(text, id.n + 5));
    if (h == NULL) {
        build_problem(b, CATALOG_WARNING, where, group[0]->resource,
                      "the release names a revision that does not exist: %.*s", SLICE_ARG(text));
    }
    return h;
}

static void add(struct choice *c, struct api_head *h, const struct artifact *a)
{
    struct slice when = props_text(props_of(a, NULL), "createdDateTime");
    c->dated = when.n > 0 && (c->newest == NULL || c->dated);
    c->agree = c->newest == NULL || (c->agree && c->newest == h);
    if (c->newest == NULL || (c->dated && slice_cmp(when, c->when) > 0)) { /* ISO 8601 sorts as text */
        c->newest = h;
        c->by = a;
        c->when = when;
    }
}

struct api_head *released(struct build *b, struct api_head **group, size_t n)
{
    struct choice c = {NULL, NULL, SLICE_NONE, true, true};
    const struct vec *all = map_get(b->releases, slice_of(group[0]->resource));
    for (size_t i = 0; all != NULL && i < all->n; i++) {
        const struct artifact *a = all->items[i];
        struct api_head *h = a->doc == NULL ? NULL : named(b, a, group, n);
        if (h != NULL) {
            add(&c, h, a);
        }
    }
    if (c.newest == NULL || (!c.agree && !c.dated)) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (group[i]->is_current && group[i] != c.newest) {
            struct closure at = {c.by->path, 1, 0, NULL};
            build_problem(b, CATALOG_WARNING, at, c.newest->name,
                          "it makes this revision the current one, though %s says \"isCurrent\"", group[i]->info->path);
        }
    }
    return c.newest;
}

void collect_releases(struct build *b)
{
    for (size_t i = 0; i < b->snap->other_count; i++) {
        const struct artifact *a = b->snap->others[i];
        if (a->kind != ARTIFACT_RELEASE) {
            continue;
        }
        const char *resource = resource_name(b, a->workspace, "apis", without_revision(slice_of(a->id)));
        struct vec *v = map_get(b->releases, slice_of(resource));
        if (v == NULL) {
            v = arena_zalloc(b->arena, sizeof *v);
            map_put(b->releases, slice_of(resource), v);
        }
        vec_add(v, (void *)(uintptr_t)a);
    }
}
