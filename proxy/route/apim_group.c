#include "proxy/route/apim_group.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

/* Lower-case pattern "a.b", "*.b" or "*" against a host. The star stands for at least one byte. */
static bool host_fits(struct slice pattern, struct slice host)
{
    if (pattern.n == 0 || pattern.p[0] != '*') {
        return slice_eq_nocase(pattern, host);
    }
    return pattern.n == 1 || (host.n >= pattern.n && slice_ends_with_nocase(host, slice_from(pattern, 1)));
}

bool apim_group_serves(const struct apim_api *api, struct slice host)
{
    for (size_t i = 0; i < api->conf.host_count; i++) {
        if (host_fits(api->conf.hosts[i], host)) {
            return true;
        }
    }
    return api->conf.host_count == 0;
}

/* Is there a host that both patterns fit? */
static bool patterns_meet(struct slice a, struct slice b)
{
    bool wild_a = a.n > 0 && a.p[0] == '*', wild_b = b.n > 0 && b.p[0] == '*';
    if (wild_a && wild_b) {
        struct slice x = slice_from(a, 1), y = slice_from(b, 1);
        return slice_ends_with(x, y) || slice_ends_with(y, x);
    }
    return wild_a ? host_fits(a, b) : host_fits(b, a);
}

static bool hosts_meet(const struct apim_api_conf *a, const struct apim_api_conf *b)
{
    for (size_t i = 0; i < a->host_count; i++) {
        for (size_t k = 0; k < b->host_count; k++) {
            if (patterns_meet(a->hosts[i], b->hosts[k])) {
                return true;
            }
        }
    }
    return a->host_count == 0 || b->host_count == 0;
}

/* NULL when both can stand, else why they cannot. */
static const char *conflict_of(const struct apim_api *a, const struct apim_api *b)
{
    const struct apim_api_conf *x = &a->conf, *y = &b->conf;
    if ((x->closed.n > 0 && y->closed.n > 0) || !slice_eq_nocase(x->version, y->version) || !hosts_meet(x, y)) {
        return NULL;
    }
    if (!slice_eq(a->identity, b->identity)) {
        return "are different APIs";
    }
    if (slice_eq(x->revision, y->revision)) {
        return "are the same revision";
    }
    return x->is_current && y->is_current ? "are both current" : NULL;
}

static bool check_pairs(struct apim_api *const *apis, uint32_t count, struct apim_clash *clash, struct err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = i + 1; k < count; k++) {
            const char *why = conflict_of(apis[i], apis[k]);
            if (why == NULL) {
                continue;
            }
            if (clash != NULL) {
                *clash = (struct apim_clash){apis[i], apis[k]};
            }
            const struct apim_api_conf *c = &apis[i]->conf;
            return err_set(err, ERR_INPUT,
                           "\"%.*s\" and \"%.*s\" share path \"%.*s\", version \"%.*s\" and a host, and %s",
                           SLICE_ARG(c->name), SLICE_ARG(apis[k]->conf.name), SLICE_ARG(slice_sub(c->path, 0, 100)),
                           SLICE_ARG(slice_sub(c->version, 0, 60)), why);
        }
    }
    return true;
}

struct apim_group *apim_group_create(struct apim_api *const *apis, uint32_t count, struct apim_clash *clash,
                                     struct err *err)
{
    if (!check_pairs(apis, count, clash, err)) {
        return NULL;
    }
    struct slice key = apis[0]->key;
    struct apim_group *g = mem_alloc(sizeof *g + count * sizeof g->members[0] + key.n);
    atomic_init(&g->refs, 1);
    g->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct apim_api_conf *c = &apis[i]->conf;
        g->members[i] = (struct apim_member){.api = apim_api_ref(apis[i]),
                                             .trie = *apis[i]->trie,
                                             .schemes = {c->http, c->https, c->ws, c->wss},
                                             .closed = c->closed.n > 0};
        g->plain = count == 1 && c->is_current && c->host_count == 0 && c->versioning == APIM_VERSION_NONE;
    }
    char *text = (char *)&g->members[count];
    if (key.n > 0) {
        memcpy(text, key.p, key.n);
    }
    g->key = slice_make(text, key.n);
    return g;
}

struct apim_group *apim_group_ref(struct apim_group *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void apim_group_unref(struct apim_group **group)
{
    struct apim_group *g = *group;
    *group = NULL;
    if (g == NULL || atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t i = 0; i < g->count; i++) {
        apim_api_unref(&g->members[i].api);
    }
    mem_free(g);
}
