#include "xds/session/delta.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static bool is_wildcard(struct slice name)
{
    return slice_eq(name, SLICE("*"));
}

static int by_name(const void *a, const void *b)
{
    const struct session_held *x = a, *y = b;
    return slice_cmp(x->name, y->name);
}

/* What the client holds, as resources; of a name that stands twice, one. */
static struct resource_list *held_list(const struct session_held *held, size_t n)
{
    struct session_held *sorted = mem_alloc((n + 1) * sizeof *sorted);
    struct resource **items = mem_alloc((n + 1) * sizeof items[0]);
    size_t kept = 0;
    if (n > 0) {
        memcpy(sorted, held, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_name);
    }
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !slice_eq(resource_get_name(items[kept - 1]), sorted[i].name)) {
            items[kept++] = resource_create_held(sorted[i].name, sorted[i].version);
        }
    }
    struct resource_list *list = resource_list_create(items, kept);
    mem_free(items);
    mem_free(sorted);
    return list;
}

static struct resource_list *unknown_list(const struct slice *names, size_t n)
{
    struct session_held *held = mem_alloc((n + 1) * sizeof *held);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_wildcard(names[i])) {
            held[kept++] = (struct session_held){names[i], SLICE_NONE};
        }
    }
    struct resource_list *list = held_list(held, kept);
    mem_free(held);
    return list;
}

static void set_version(struct watch *w)
{
    size_t n = strlen(resource_list_version(w->sent));
    memcpy(w->version, resource_list_version(w->sent), n + 1);
}

void delta_begin(struct watch *w, const struct session_delta_request *r)
{
    w->subscribed = true;
    w->wildcard = r->subscribe_count == 0 && xds_type_has_legacy_wildcard(w->type);
    w->owed = w->wildcard; /* the client waits for a first answer, even if it says nothing */
    watch_replace(&w->sent, held_list(r->held, r->held_count));
    watch_replace(&w->accepted, resource_list_ref(w->sent));
    set_version(w);
    struct resource_list *asked = unknown_list(r->subscribe, r->subscribe_count);
    watch_replace(&w->sent, resource_list_union(w->sent, asked)); /* what it holds is not sent again */
    resource_list_unref(asked);
}

static size_t find_name(const struct watch *w, struct slice name, bool *found)
{
    size_t from = 0, to = w->name_count;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int c = slice_cmp(slice_of(w->names[mid]), name);
        if (c == 0) {
            *found = true;
            return mid;
        }
        from = c < 0 ? mid + 1 : from;
        to = c > 0 ? mid : to;
    }
    *found = false;
    return from;
}

static void add_name(struct watch *w, struct slice name)
{
    bool found;
    size_t at = find_name(w, name, &found);
    if (found) {
        return;
    }
    w->names = mem_resize(w->names, (w->name_count + 1) * sizeof w->names[0]);
    memmove(&w->names[at + 1], &w->names[at], (w->name_count - at) * sizeof w->names[0]);
    w->names[at] = mem_str_slice(name);
    w->name_count++;
}

static bool remove_name(struct watch *w, struct slice name)
{
    bool found;
    size_t at = find_name(w, name, &found);
    if (!found) {
        return false;
    }
    mem_free(w->names[at]);
    w->name_count--;
    memmove(&w->names[at], &w->names[at + 1], (w->name_count - at) * sizeof w->names[0]);
    return true;
}

/* Of these the client is told once more. */
static void forget(struct watch *w, struct resource_list *unknown)
{
    watch_replace(&w->sent, resource_list_union(unknown, w->sent));
}

void delta_subscribe(struct watch *w, const struct session_delta_request *r)
{
    bool first = !w->ever_named;
    for (size_t i = 0; i < r->subscribe_count; i++) {
        if (!is_wildcard(r->subscribe[i])) {
            add_name(w, r->subscribe[i]);
        } else if (xds_type_is_full_set(w->type) && !w->wildcard) {
            w->wildcard = w->owed = true;
        }
    }
    if (!first && r->subscribe_count > 0) {
        struct resource_list *unknown = unknown_list(r->subscribe, r->subscribe_count);
        forget(w, unknown);
        resource_list_unref(unknown);
    }
    if (first) { /* what it holds beside what it asks for is no matter of ours */
        watch_replace(&w->sent, watch_narrow(w, w->sent));
        watch_replace(&w->accepted, watch_narrow(w, w->accepted));
    }
    w->ever_named = true; /* the first request was dealt with */
}

void delta_unsubscribe(struct watch *w, const struct session_delta_request *r)
{
    struct slice *gone = mem_alloc((r->unsubscribe_count + 1) * sizeof *gone);
    size_t n = 0;
    for (size_t i = 0; i < r->unsubscribe_count; i++) {
        if (is_wildcard(r->unsubscribe[i])) {
            w->wildcard = w->owed = false;
        } else if (remove_name(w, r->unsubscribe[i])) {
            gone[n++] = r->unsubscribe[i];
        }
    }
    if (r->unsubscribe_count > 0) {
        if (w->wildcard && n > 0) { /* still wanted by the wildcard, but the client may have dropped it */
            struct resource_list *unknown = unknown_list(gone, n);
            forget(w, unknown);
            resource_list_unref(unknown);
        }
        watch_replace(&w->sent, watch_narrow(w, w->sent));
        watch_replace(&w->accepted, watch_narrow(w, w->accepted));
        watch_replace(&w->joined, NULL);
    }
    mem_free(gone);
}

/* ---- verdicts ---- */

struct sifting {
    struct slice reason;               /* of the client */
    const struct resource_list *other; /* a list to look into */
};

/* Clients write one line "name: reason" for each resource they refuse. */
static bool is_named(void *ctx, const struct resource *r)
{
    const struct sifting *s = ctx;
    struct slice name = resource_get_name(r), rest = s->reason;
    while (rest.p != NULL) {
        struct slice line = slice_trim(slice_cut(&rest, '\n'));
        if (slice_starts_with(line, name) && line.n > name.n && line.p[name.n] == ':') {
            return true;
        }
    }
    return false;
}

static bool is_not_in(void *ctx, const struct resource *r)
{
    const struct sifting *s = ctx;
    const struct resource *other =
        s->other == NULL ? NULL : resource_list_find(s->other, resource_get_name(r));
    return other == NULL || !resource_equal(other, r);
}

static bool is_in(void *ctx, const struct resource *r)
{
    return !is_not_in(ctx, r);
}

/* Whoever refuses without saying what, refused all of it. */
static void note_refused(struct watch *w, struct slice text)
{
    struct sifting s = {.reason = text};
    struct resource_list *named = resource_list_filter(w->changing, is_named, &s);
    if (resource_list_count(named) == 0) {
        watch_replace(&named, resource_list_ref(w->changing));
    }
    watch_replace(&w->refused, resource_list_union(named, w->refused));
    resource_list_unref(named);
}

void delta_take_verdict(struct watch *w, struct slice text, char *shown)
{
    w->awaiting = false;
    if (shown != NULL) {
        note_refused(w, text);
        mem_free(w->rejected);
        w->rejected = shown;
    }
    struct sifting s = {.other = w->refused};
    watch_replace(&w->accepted,
                  w->refused == NULL ? resource_list_ref(w->sent) : resource_list_filter(w->sent, is_not_in, &s));
}

void delta_note_sent(struct watch *w, struct resource_list *list, struct resource_list *changed,
                     unsigned long long nonce)
{
    char *before = w->rejected;
    w->rejected = NULL;
    watch_note_sent(w, list, nonce);
    watch_replace(&w->changing, resource_list_ref(changed));
    if (w->refused != NULL) { /* what was refused and stands unchanged is not sent again, and still refused */
        struct sifting s = {.other = list};
        watch_replace(&w->refused, resource_list_filter(w->refused, is_in, &s));
        if (resource_list_count(w->refused) == 0) {
            watch_replace(&w->refused, NULL);
        }
    }
    if (w->refused != NULL) {
        w->rejected = before;
    } else {
        mem_free(before);
    }
}

/* ---- endpoints after clusters ---- */

/* A cluster names its endpoints, or gives them its own name: the name stands in its bytes in any case. */
static bool is_named_in(void *ctx, const struct resource *r)
{
    const struct resource_list *clusters = ((const struct sifting *)ctx)->other;
    struct slice name = resource_get_name(r);
    for (size_t i = 0; i < resource_list_count(clusters); i++) {
        struct slice bytes = resource_bytes(resource_list_at(clusters, i));
        if (slice_search(bytes, name) != bytes.n) {
            return true;
        }
    }
    return false;
}

void delta_resend_named_in(struct watch *w, const struct resource_list *clusters)
{
    if (!w->subscribed || resource_list_count(clusters) == 0 || resource_list_count(w->sent) == 0) {
        return;
    }
    struct sifting s = {.other = clusters};
    struct resource_list *named = resource_list_filter(w->sent, is_named_in, &s);
    struct slice *names = mem_alloc((resource_list_count(named) + 1) * sizeof *names);
    for (size_t i = 0; i < resource_list_count(named); i++) {
        names[i] = resource_get_name(resource_list_at(named, i));
    }
    struct resource_list *unknown = unknown_list(names, resource_list_count(named));
    forget(w, unknown);
    resource_list_unref(unknown);
    resource_list_unref(named);
    mem_free(names);
}
