#include "xds/session/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void watch_init(struct watch *w, enum xds_type type)
{
    memset(w, 0, sizeof *w);
    w->type = type;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        mem_free(names[i]);
    }
    mem_free(names);
}

void watch_fini(struct watch *w)
{
    free_names(w->names, w->name_count);
    resource_list_unref(w->target);
    resource_list_unref(w->sent);
    resource_list_unref(w->accepted);
    resource_list_unref(w->joined);
    mem_free(w->rejected);
    watch_init(w, w->type);
}

static void replace(struct resource_list **at, struct resource_list *list)
{
    resource_list_unref(*at);
    *at = list;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted copies without doubles and without "*". */
static char **copy_names(const struct slice *names, size_t n, size_t *count)
{
    char **out = mem_alloc((n + 1) * sizeof out[0]);
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (!slice_eq(names[i], SLICE("*"))) {
            out[used++] = mem_str_slice(names[i]);
        }
    }
    qsort(out, used, sizeof out[0], by_text);
    size_t kept = 0;
    for (size_t i = 0; i < used; i++) {
        if (kept > 0 && strcmp(out[kept - 1], out[i]) == 0) {
            mem_free(out[i]);
        } else {
            out[kept++] = out[i];
        }
    }
    *count = kept;
    return out;
}

static bool has_name(char *const *names, size_t n, const char *name)
{
    return n > 0 && bsearch(&name, names, n, sizeof names[0], by_text) != NULL;
}

static struct resource_list *narrow(const struct watch *w, struct resource_list *list)
{
    return w->wildcard ? resource_list_ref(list)
                       : resource_list_subset(list, (const char *const *)w->names, w->name_count);
}

static bool any_new_exists(const struct watch *w, char *const *before, size_t n, const struct resource_set *set)
{
    for (size_t i = 0; set != NULL && i < w->name_count; i++) {
        if (!has_name(before, n, w->names[i]) &&
            resource_list_find(resource_set_list(set, w->type), slice_of(w->names[i])) != NULL) {
            return true;
        }
    }
    return false;
}

static bool means_wildcard(struct watch *w, const struct slice *names, size_t n)
{
    bool may = xds_type_is_full_set(w->type);
    for (size_t i = 0; may && i < n; i++) {
        if (slice_eq(names[i], SLICE("*"))) {
            return true;
        }
    }
    return n == 0 && xds_type_has_legacy_wildcard(w->type) && !w->ever_named;
}

bool watch_set_names(struct watch *w, const struct slice *names, size_t n, const struct resource_set *set)
{
    bool was_wildcard = w->wildcard;
    char **before = w->names;
    size_t before_count = w->name_count;
    w->wildcard = means_wildcard(w, names, n);
    w->ever_named = w->ever_named || n > 0;
    w->names = copy_names(names, n, &w->name_count);
    bool added = !was_wildcard && (w->wildcard || any_new_exists(w, before, before_count, set));
    free_names(before, before_count);
    if (w->sent != NULL) {
        replace(&w->sent, narrow(w, w->sent));
    }
    if (w->accepted != NULL) {
        replace(&w->accepted, narrow(w, w->accepted));
    }
    replace(&w->joined, NULL);
    watch_set_target(w, set);
    return added;
}

void watch_set_target(struct watch *w, const struct resource_set *set)
{
    replace(&w->target, set == NULL ? NULL : narrow(w, resource_set_list(set, w->type)));
    replace(&w->joined, NULL);
}

/* Listeners with an address of their own are withdrawn at once: another one may need the address. */
static struct resource_list *only_tunnels(const struct resource_list *list)
{
    struct resource **items = mem_alloc((resource_list_count(list) + 1) * sizeof items[0]);
    size_t n = 0;
    for (size_t i = 0; i < resource_list_count(list); i++) {
        struct resource *r = resource_list_at(list, i);
        if (slice_starts_with(resource_get_name(r), SLICE(XDS_TUNNEL_PREFIX))) {
            items[n++] = resource_ref(r);
        }
    }
    struct resource_list *out = resource_list_create(items, n);
    mem_free(items);
    return out;
}

struct resource_list *watch_joined(struct watch *w)
{
    if (w->joined != NULL) {
        return w->joined;
    }
    if (w->type == XDS_LISTENER) {
        struct resource_list *kept = only_tunnels(w->sent);
        w->joined = resource_list_union(w->target, kept);
        resource_list_unref(kept);
    } else {
        w->joined = resource_list_union(w->target, w->sent);
    }
    return w->joined;
}

bool watch_wants_anything(const struct watch *w)
{
    return w->wildcard || w->name_count > 0;
}

/* Every resource of `wanted` is in `held`, in the same form. */
static bool covers(const struct resource_list *held, const struct resource_list *wanted)
{
    if (resource_list_equal(held, wanted)) {
        return true;
    }
    for (size_t i = 0; i < resource_list_count(wanted); i++) {
        const struct resource *r = resource_list_at(wanted, i);
        const struct resource *h = held == NULL ? NULL : resource_list_find(held, resource_get_name(r));
        if (h == NULL || !resource_equal(h, r)) {
            return false;
        }
    }
    return true;
}

bool watch_is_made(const struct watch *w)
{
    if (!w->subscribed || !watch_wants_anything(w)) {
        return true;
    }
    return !w->awaiting && w->rejected == NULL && covers(w->accepted, w->target);
}

bool watch_is_settled(const struct watch *w)
{
    bool exact = !w->subscribed || !xds_type_is_full_set(w->type) || w->target == NULL ||
                 resource_list_count(w->sent) == resource_list_count(w->target);
    return exact && watch_is_made(w);
}

bool watch_needs(const struct watch *w, const struct resource_list *list)
{
    if (!w->subscribed || !watch_wants_anything(w)) {
        return false;
    }
    if (!xds_type_is_full_set(w->type)) { /* what is missing says nothing; an empty response would say nothing */
        return resource_list_count(list) > 0 && (w->owed || !covers(w->sent, list));
    }
    if (w->sent == NULL) {
        return w->wildcard || resource_list_count(list) > 0;
    }
    return w->owed || !resource_list_equal(w->sent, list);
}

void watch_note_sent(struct watch *w, struct resource_list *list, unsigned long long nonce)
{
    snprintf(w->nonce, sizeof w->nonce, "%llu", nonce);
    snprintf(w->version, sizeof w->version, "%s", resource_list_version(list));
    bool full = xds_type_is_full_set(w->type);
    replace(&w->joined, NULL);
    replace(&w->sent, full ? resource_list_ref(list) : resource_list_union(list, w->sent));
    w->owed = false;
    w->awaiting = true;
    mem_free(w->rejected);
    w->rejected = NULL;
}
