/* Incremental xDS: requests say what is wanted besides and no more, responses what changed and what went. */
#include <string.h>

#include "proxy/ads/session_inside.h"

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest__InitialResourceVersionsEntry pb_held;

/* What only `of` has. Both are sorted. The texts stay where they are. */
static size_t only_in(const struct ads_names *of, const struct ads_names *other, char **out)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < of->n; i++) {
        while (k < other->n && strcmp(other->list[k], of->list[i]) < 0) {
            k++;
        }
        if (k == other->n || strcmp(other->list[k], of->list[i]) != 0) {
            out[n++] = of->list[i];
        }
    }
    return n;
}

static void set_names(const struct type_state *t, struct arena *arena,
                      Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *m)
{
    m->resource_names_subscribe = arena_alloc(arena, (t->wanted.n + 1) * sizeof(char *));
    m->resource_names_unsubscribe = arena_alloc(arena, (t->subscribed.n + 1) * sizeof(char *));
    m->n_resource_names_subscribe = only_in(&t->wanted, &t->subscribed, m->resource_names_subscribe);
    m->n_resource_names_unsubscribe = only_in(&t->subscribed, &t->wanted, m->resource_names_unsubscribe);
    if (!t->asked && ads_is_legacy_wildcard(t)) {
        m->n_resource_names_subscribe = 0;
    }
}

static void set_held(const struct type_state *t, struct arena *arena,
                     Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *m)
{
    pb_held *all = arena_alloc(arena, (t->n_held + 1) * sizeof *all);
    m->initial_resource_versions = arena_alloc(arena, (t->n_held + 1) * sizeof(pb_held *));
    for (size_t i = 0; i < t->n_held; i++) {
        envoy__service__discovery__v3__delta_discovery_request__initial_resource_versions_entry__init(&all[i]);
        all[i].key = arena_str(arena, t->held[i].name);
        all[i].value = arena_str(arena, t->held[i].version);
        m->initial_resource_versions[i] = &all[i];
    }
    m->n_initial_resource_versions = t->n_held;
}

void delta_pack(struct type_state *t, struct strbuf *out)
{
    Envoy__Service__Discovery__V3__DeltaDiscoveryRequest m =
        ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_REQUEST__INIT;
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    struct arena *arena = arena_create(0);
    m.type_url = t->url;
    m.response_nonce = t->nonce == NULL ? m.response_nonce : t->nonce;
    set_names(t, arena, &m);
    if (!t->asked) {
        set_held(t, arena, &m);
    }
    if (t->refusal != NULL) {
        status.code = GRPC_INTERNAL;
        status.message = t->refusal;
        m.error_detail = &status;
    }
    pack_append(&m.base, out);
    arena_destroy(&arena);
    ads_set_text(&t->nonce, SLICE_NONE); /* answered; what follows is about names only */
    ads_names_copy(&t->subscribed, &t->wanted);
    t->held = NULL;
    t->n_held = 0;
}

static bool read_resources(const Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *m, struct arena *arena,
                           struct ads_response *out, struct err *err)
{
    struct store_resource *all = arena_alloc(arena, (m->n_resources + 1) * sizeof *all);
    for (size_t i = 0; i < m->n_resources; i++) {
        if (!ads_unwrap(m->resources[i], &all[i], err)) {
            return err_prefix(err, "resources[%zu]", i);
        }
        if (all[i].name.n == 0) {
            return err_set(err, ERR_PROTOCOL, "resources[%zu]: it has no name", i);
        }
        if (!slice_eq(all[i].type_url, out->type_url)) {
            return err_set(err, ERR_PROTOCOL, "%.*s: of type %.*s in a response of type %.*s",
                           SLICE_ARG(slice_sub(all[i].name, 0, 200)), SLICE_ARG(all[i].type_url),
                           SLICE_ARG(out->type_url));
        }
    }
    out->resources = all;
    out->n = m->n_resources;
    return true;
}

/* Both ways of writing down a name that went. */
static void read_removed(const Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *m, struct arena *arena,
                         struct ads_response *out)
{
    struct slice *all =
        arena_alloc(arena, (m->n_removed_resources + m->n_removed_resource_names + 1) * sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < m->n_removed_resources; i++) {
        all[n++] = slice_of(m->removed_resources[i]);
    }
    for (size_t i = 0; i < m->n_removed_resource_names; i++) {
        all[n++] = slice_of(m->removed_resource_names[i]->name);
    }
    out->removed = all;
    out->n_removed = n;
}

enum ads_verdict delta_receive(struct ads_session *s, struct slice bytes, struct arena *arena,
                               struct ads_response *out, struct err *err)
{
    struct guard guard = guard_default();
    guard.max_bytes = ADS_MESSAGE_MAX;
    guard.allow_unbuilt = true;
    const Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *m =
        guard_unpack(&guard, &envoy__service__discovery__v3__delta_discovery_response__descriptor, bytes, arena, err);
    if (m == NULL) {
        err_prefix(err, "DeltaDiscoveryResponse");
        return ADS_BROKEN;
    }
    *out = (struct ads_response){
        .type_url = slice_of(m->type_url), .version = slice_of(m->system_version_info), .nonce = slice_of(m->nonce)};
    out->control_plane = m->control_plane == NULL ? SLICE_NONE : slice_of(m->control_plane->identifier);
    enum ads_verdict verdict = ads_note_response(s, out, err);
    if (verdict != ADS_TAKE) {
        return verdict;
    }
    if (!read_resources(m, arena, out, err)) {
        ads_refuse(&s->types[out->type], slice_of(err->text));
        return ADS_DONE;
    }
    read_removed(m, arena, out);
    return ADS_TAKE;
}
