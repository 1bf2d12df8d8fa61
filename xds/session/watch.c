#include "xds/session/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void watch_init(struct watch *w, enum xds_type type, bool delta)
{
    memset(w, 0, sizeof *w);
    w->type = type;
    w->delta = delta;
}

/* Absence is removal: so for some types in state of the world, and for all in delta, which says it by name. */
static bool is_exact(const struct watch *w)
{
    return w->delta || xds_type_is_full_set(w->type);
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
    resource_list_unref(w->changing);
    resource_list_unref(w->refused);
    mem_free(w->rejected);
    watch_init(w, w->type, w->delta);
}

void watch_replace(struct resource_list **at, struct resource_list *list)
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

struct resource_list *watch_narrow(const struct watch *w, struct resource_list *list)
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
        watch_replace(&w->sent, watch_narrow(w, w->sent));
    }
    if (w->accepted != NULL) {
        watch_replace(&w->accepted, watch_narrow(w, w->accepted));
    }
    watch_replace(&w->joined, NULL);
    watch_set_target(w, set);
    return added;
}

void watch_set_target(struct watch *w, const struct resource_set *set)
{
    watch_replace(&w->target, set == NULL ? NULL : watch_narrow(w, resource_set_list(set, w->type)));
    watch_replace(&w->joined, NULL);
}

/* Listeners with an address of their own are withdrawn at once: another one may need the address. What nothing is known
 * of is not held at all. */
static bool may_stay(void *ctx, const struct resource *r)
{
    const struct watch *w = ctx;
    return !resource_is_unknown(r) &&
           (w->type != XDS_LISTENER || slice_starts_with(resource_get_name(r), SLICE(XDS_TUNNEL_PREFIX)));
}

struct resource_list *watch_joined(struct watch *w)
{
    if (w->joined == NULL) {
        struct resource_list *kept = resource_list_filter(w->sent, may_stay, w);
        w->joined = resource_list_union(w->target, kept);
        resource_list_unref(kept);
    }
    return w->joined;
}

bool watch_wants_anything(const struct watch *w)
{
    return w->wildcard || w->name_count > 0;
}

bool watch_is_made(const struct watch *w)
{
    if (!w->subscribed || !watch_wants_anything(w)) {
        return true;
    }
    return !w->awaiting && w->rejected == NULL && resource_list_covers(w->accepted, w->target);
}

bool watch_is_settled(const struct watch *w)
{
    bool exact = !w->subscribed || !is_exact(w) || w->target == NULL ||
                 resource_list_count(w->sent) == resource_list_count(w->target);
    return exact && watch_is_made(w);
}

bool watch_needs(const struct watch *w, const struct resource_list *list)
{
    if (!w->subscribed || !watch_wants_anything(w)) {
        return false;
    }
    if (w->delta) {
        return w->owed || !resource_list_equal(w->sent, list);
    }
    if (!xds_type_is_full_set(w->type)) { /* what is missing says nothing; an empty response would say nothing */
        return resource_list_count(list) > 0 && (w->owed || !resource_list_covers(w->sent, list));
    }
    if (w->sent == NULL) {
        return w->wildcard || resource_list_count(list) > 0;
    }
    return w->owed || !resource_list_equal(w->sent, list);
}

void watch_count(struct watch *w, const struct resource_list *list)
{
    w->responses++;
    w->resources_sent += resource_list_count(list);
    for (size_t i = 0; i < resource_list_count(list); i++) {
        w->bytes_sent += resource_bytes(resource_list_at(list, i)).n;
    }
}

void watch_note_sent(struct watch *w, struct resource_list *list, unsigned long long nonce)
{
    snprintf(w->nonce, sizeof w->nonce, "%llu", nonce);
    snprintf(w->version, sizeof w->version, "%s", resource_list_version(list));
    watch_replace(&w->sent, is_exact(w) ? resource_list_ref(list) : resource_list_union(list, w->sent));
    watch_replace(&w->joined, NULL); /* it may be `list` */
    w->owed = false;
    w->awaiting = true;
    mem_free(w->rejected);
    w->rejected = NULL;
}
