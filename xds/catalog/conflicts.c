/* What APIs mean for each other: which revision is current, who would answer in whose place. */
#include <stdlib.h>
#include <string.h>

#include "xds/catalog/build.h"
#include "xds/source/template.h"

static void close_head(struct build *b, struct api_head *h, const char *text)
{
    if (h->closed.text == NULL) {
        const struct doc *at = props_get(h->props, "path");
        h->closed = closure_at(b, at, h->info->path, "%s", text);
    }
}

static int compare_heads(const void *a, const void *b)
{
    const struct api_head *const *x = a, *const *y = b;
    int order = strcmp((*x)->resource, (*y)->resource);
    return order != 0 ? order : strcmp((*x)->name, (*y)->name);
}

/* What a broken revision cannot say, its siblings can: revisions share path and version. */
static void learn_from_siblings(struct api_head **group, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n && group[i]->info->state == ARTIFACT_BROKEN; k++) {
            const struct api_head *s = group[k];
            if (s->info->state == ARTIFACT_BROKEN || !s->path_known || !s->version_known) {
                continue;
            }
            group[i]->path = s->path;
            group[i]->path_known = group[i]->version_known = true;
            group[i]->version = s->version;
            group[i]->scheme = s->scheme;
            group[i]->version_parameter = s->version_parameter;
            group[i]->version_set = s->version_set;
        }
    }
}

/* The one that a release says; else the one that says so itself; else the folder without ";rev="; else none. More than one: the folder without decides. */
static void choose_current(struct build *b, struct api_head **group, size_t n)
{
    struct api_head *said = NULL, *plain = NULL;
    for (size_t i = 0; i < n; i++) {
        struct api_head *h = group[i];
        bool is_plain = slice_find(slice_of(h->folder), ';') == strlen(h->folder);
        plain = is_plain ? h : plain;
        if (h->is_current && said != NULL) {
            struct closure at = {h->info->path, 1, 0, NULL};
            build_problem(b, CATALOG_WARNING, at, h->name, "%s says that it is the current revision too",
                          said->info->path);
            said = is_plain ? h : said;
        } else if (h->is_current) {
            said = h;
        }
    }
    struct api_head *current = released(b, group, n);
    current = current != NULL ? current : said != NULL ? said : plain;
    for (size_t i = 0; i < n; i++) {
        group[i]->is_current = group[i] == current;
    }
    if (current == NULL) {
        struct closure at = {group[0]->info->path, 1, 0, NULL};
        build_problem(b, CATALOG_WARNING, at, group[0]->resource, "no revision of it is the current one");
    }
}

static const char *place_key(struct build *b, const struct api_head *h)
{
    const char *path = template_path_key(b->arena, slice_of(h->path));
    return arena_printf(b->arena, "%s|%s", path, template_path_key(b->arena, slice_of(h->version)));
}

/* Two APIs in one place: neither is served. */
static void close_twins(struct build *b)
{
    struct map *places = map_create(NULL);
    for (size_t i = 0; i < b->heads.n; i++) {
        struct api_head *h = b->heads.items[i];
        const char *key = place_key(b, h);
        struct api_head *other = map_get(places, slice_of(key));
        if (!h->path_known || !h->version_known) {
            continue;
        }
        if (other == NULL) {
            map_put(places, slice_of(key), h);
        } else if (strcmp(other->resource, h->resource) != 0) {
            close_head(b, h, arena_printf(b->arena, "%s has the same path and version", other->name));
            close_head(b, other, arena_printf(b->arena, "%s has the same path and version", h->name));
        }
    }
    for (size_t i = 0; i < b->heads.n; i++) { /* the other revisions of what was closed after they passed */
        struct api_head *h = b->heads.items[i];
        struct api_head *first = map_get(places, slice_of(place_key(b, h)));
        if (first != NULL && first != h && first->closed.text != NULL && h->path_known && h->version_known &&
            strstr(first->closed.text, "has the same path and version") != NULL) {
            close_head(b, h,
                       arena_printf(b->arena, "%s is closed in the same place: %s", first->name, first->closed.text));
        }
    }
    map_destroy(&places);
}

/* A closed API whose place is not fully known must not let its calls fall to a neighbour. */
static void close_swallowers(struct build *b, const struct api_head *lost)
{
    for (size_t i = 0; i < b->heads.n; i++) {
        struct api_head *h = b->heads.items[i];
        if (h == lost || !h->path_known || strcmp(h->resource, lost->resource) == 0) {
            continue;
        }
        if (!lost->path_known && *h->path == '\0') {
            close_head(b, h, arena_printf(b->arena, "it would answer for %s, whose path is not known", lost->name));
        }
        bool same = lost->path_known && strcasecmp(h->path, lost->path) == 0;
        if (same && !lost->version_known && *h->version == '\0') {
            close_head(b, h, arena_printf(b->arena, "it would answer for %s, whose version is not known", lost->name));
        }
    }
}

void check_heads(struct build *b)
{
    struct api_head **all = (void *)b->heads.items;
    collect_releases(b);
    if (b->heads.n > 0) {
        qsort(all, b->heads.n, sizeof *all, compare_heads);
    }
    for (size_t i = 0, n; i < b->heads.n; i += n) {
        n = 1;
        while (i + n < b->heads.n && strcmp(all[i]->resource, all[i + n]->resource) == 0) {
            n++;
        }
        learn_from_siblings(all + i, n);
        choose_current(b, all + i, n);
        map_put(b->resources, slice_of(all[i]->resource), all[i]);
        if (*all[i]->workspace != '\0') {
            map_put(b->resources, slice_of(workspace_name(b, all[i]->workspace)), all[i]);
        }
    }
    close_twins(b);
    for (size_t i = 0; i < b->heads.n; i++) {
        if (!all[i]->path_known || !all[i]->version_known) {
            close_swallowers(b, all[i]);
        }
    }
}
