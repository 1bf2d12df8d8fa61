/* Subscriptions as resources: keys leave only as HMACs, and only those that can reach the group's Apis leave at all. */
#include <string.h>

#include "pb/egret/apim/v1/apim.pb-c.h"
#include "xds/translate/apim.h"

#define TYPE_SUBSCRIPTION TYPE_URL("egret.apim.v1.Subscription")

static bool product_reaches(const struct apim *m, const char *name)
{
    const struct catalog_product *p = catalog_find_product(m->g->in->catalog, name);
    for (size_t i = 0; p != NULL && i < p->api_count; i++) {
        if (map_has(m->apis, slice_of(p->apis[i]))) {
            return true;
        }
    }
    return false;
}

/* name: "workspaces/<id>". */
static bool workspace_reaches(const struct apim *m, const char *name)
{
    for (const struct map_item *i = map_first(m->apis); i != NULL; i = map_next(i)) {
        struct slice api = map_key(i);
        if (slice_starts_with(api, slice_of(name)) && api.n > strlen(name) && api.p[strlen(name)] == '/') {
            return true;
        }
    }
    return false;
}

static bool can_reach(const struct apim *m, const struct catalog_subscription *s)
{
    if (s->o.closed != NULL || (s->primary_key == NULL && s->secondary_key == NULL)) {
        return false;
    }
    switch (s->scope) {
    case CATALOG_SCOPE_PRODUCT:
        return product_reaches(m, s->scope_name);
    case CATALOG_SCOPE_API:
        return map_has(m->apis, slice_of(s->scope_name));
    case CATALOG_SCOPE_WORKSPACE:
        return workspace_reaches(m, s->scope_name);
    case CATALOG_SCOPE_ALL_APIS:
        break;
    }
    return map_count(m->apis) > 0;
}

static Egret__Apim__V1__KeyMac **make_macs(struct apim *m, const char *key, size_t *n)
{
    const struct translate_input *in = m->g->in;
    struct arena *a = m->g->arena;
    *n = key == NULL ? 0 : in->config->n_mac_keys;
    Egret__Apim__V1__KeyMac **out = arena_alloc(a, (*n + 1) * sizeof out[0]);
    for (size_t i = 0; i < *n; i++) {
        Egret__Apim__V1__KeyMac *mac = out[i] = arena_alloc(a, sizeof *mac);
        egret__apim__v1__key_mac__init(mac);
        mac->mac_key_id = arena_str(a, slice_of(in->config->mac_keys[i]->id));
        mac->mac.len = HMAC_BYTES;
        mac->mac.data = arena_alloc(a, HMAC_BYTES);
        hmac_sign(in->macs[i], slice_of(key), mac->mac.data);
    }
    return out;
}

static Egret__Apim__V1__Subscription__State state_of(enum catalog_subscription_state state)
{
    switch (state) {
    case CATALOG_SUBSCRIPTION_ACTIVE:
        return EGRET__APIM__V1__SUBSCRIPTION__STATE__ACTIVE;
    case CATALOG_SUBSCRIPTION_EXPIRED:
        return EGRET__APIM__V1__SUBSCRIPTION__STATE__EXPIRED;
    case CATALOG_SUBSCRIPTION_SUBMITTED:
        return EGRET__APIM__V1__SUBSCRIPTION__STATE__SUBMITTED;
    case CATALOG_SUBSCRIPTION_REJECTED:
        return EGRET__APIM__V1__SUBSCRIPTION__STATE__REJECTED;
    case CATALOG_SUBSCRIPTION_CANCELLED:
        return EGRET__APIM__V1__SUBSCRIPTION__STATE__CANCELLED;
    case CATALOG_SUBSCRIPTION_SUSPENDED:
        break;
    }
    return EGRET__APIM__V1__SUBSCRIPTION__STATE__SUSPENDED;
}

static Egret__Apim__V1__Subscription__Scope scope_of(enum catalog_scope scope)
{
    switch (scope) {
    case CATALOG_SCOPE_PRODUCT:
        return EGRET__APIM__V1__SUBSCRIPTION__SCOPE__PRODUCT;
    case CATALOG_SCOPE_API:
        return EGRET__APIM__V1__SUBSCRIPTION__SCOPE__API;
    case CATALOG_SCOPE_WORKSPACE:
        return EGRET__APIM__V1__SUBSCRIPTION__SCOPE__WORKSPACE;
    case CATALOG_SCOPE_ALL_APIS:
        break;
    }
    return EGRET__APIM__V1__SUBSCRIPTION__SCOPE__ALL_APIS;
}

static void add_subscription(struct apim *m, const struct catalog_subscription *s)
{
    struct arena *a = m->g->arena;
    if (group_reuse(m->g, TYPE_SUBSCRIPTION, s->o.name, source_of(&s->o, 0))) {
        return;
    }
    Egret__Apim__V1__Subscription out = EGRET__APIM__V1__SUBSCRIPTION__INIT;
    out.name = arena_str(a, slice_of(s->o.name));
    out.subscription_id = arena_str(a, slice_of(s->id));
    out.display_name = arena_str(a, slice_of(s->display_name));
    out.owner = arena_str(a, slice_of(s->owner));
    out.state = state_of(s->state);
    out.scope = scope_of(s->scope);
    out.scope_name = arena_str(a, slice_of(s->scope_name));
    out.primary = make_macs(m, s->primary_key, &out.n_primary);
    out.secondary = make_macs(m, s->secondary_key, &out.n_secondary);
    group_add_message(m->g, TYPE_SUBSCRIPTION, s->o.name, &out.base);
}

/* Everything that decides which subscriptions go and what they say; 0: look at each. */
static uint64_t source_of_all(const struct apim *m)
{
    const struct catalog *c = m->g->in->catalog;
    uint64_t h = c->subscriptions_inputs;
    if (h == 0) {
        return 0;
    }
    for (const struct map_item *i = map_first(m->apis); i != NULL; i = map_next(i)) {
        h = slice_hash(map_key(i), h);
    }
    for (size_t i = 0; i < c->products.n; i++) {
        h = source_of(&c->products.items[i]->o, slice_hash(slice_of(c->products.items[i]->o.name), h));
    }
    return h;
}

void apim_subscriptions(struct apim *m)
{
    const struct catalog *c = m->g->in->catalog;
    uint64_t source = source_of_all(m);
    if (source != 0 && group_reuse_all(m->g, TYPE_SUBSCRIPTION, source)) {
        return;
    }
    struct arena *whole = m->g->arena;
    m->g->arena = arena_create(0); /* for each by itself: there may be tens of thousands */
    for (size_t i = 0; i < c->subscriptions.n; i++) {
        if (can_reach(m, c->subscriptions.items[i])) {
            add_subscription(m, c->subscriptions.items[i]);
            arena_reset(m->g->arena);
        }
    }
    arena_destroy(&m->g->arena);
    m->g->arena = whole;
}
