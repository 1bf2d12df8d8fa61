/* One edited subscription among tens of thousands: the others are taken over without being looked at one by one. */
#include <string.h>

#include "xds/catalog/build.h"

static bool is_same_file(const struct artifact *a, const struct catalog_source *s)
{
    return strcmp(a->path, s->made->file) == 0;
}

bool find_few(const struct build *b, struct few *out)
{
    const struct catalog *prev = b->prev;
    size_t at = 0;
    out->n = 0;
    for (size_t i = 0; i < b->snap->n; i++) {
        const struct artifact *a = b->snap->artifacts[i];
        if (a->kind != ARTIFACT_SUBSCRIPTION) {
            continue;
        }
        if (at == prev->subscription_source_count || !is_same_file(a, &prev->subscription_sources[at])) {
            return false;
        }
        if (a->hash != prev->subscription_sources[at].hash) {
            if (out->n == FEW) {
                return false;
            }
            out->now[out->n] = a;
            out->at[out->n++] = at;
        }
        at++;
    }
    return at == prev->subscription_source_count;
}

/* NULL: it stays. */
static struct catalog_object *replaced(const struct build *b, const struct few *few, struct catalog_object *const *made,
                                       const struct catalog_object *o)
{
    for (size_t i = 0; i < few->n; i++) {
        if (b->prev->subscription_sources[few->at[i]].made == o) {
            return made[i];
        }
    }
    return NULL;
}

void take_all_but_few(struct build *b, const struct few *few, struct catalog_object *const *made)
{
    const struct catalog *prev = b->prev;
    size_t n = prev->subscription_source_count;
    struct catalog_source *sources = arena_alloc(b->catalog->arena, (n + 1) * sizeof *sources);
    if (n > 0) {
        memcpy(sources, prev->subscription_sources, n * sizeof *sources);
    }
    for (size_t i = 0; i < few->n; i++) {
        sources[few->at[i]] = (struct catalog_source){few->now[i]->hash, made[i]};
    }
    for (size_t i = 0; i < prev->subscriptions.n; i++) {
        struct catalog_object *old = (void *)prev->subscriptions.items[i];
        struct catalog_object *now = replaced(b, few, made, old);
        if (now == NULL) {
            old->refs++;
        }
        vec_add(&b->subscriptions, now == NULL ? old : now);
    }
    b->catalog->subscription_sources = sources;
    b->catalog->subscription_source_count = n;
    b->catalog->subscriptions_frame = prev->subscriptions_frame;
}
