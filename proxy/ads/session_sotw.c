/* State of the world: each request names all that is wanted, each response holds all that there is. */
#include "proxy/ads/session_inside.h"

void sotw_pack(struct type_state *t, struct strbuf *out)
{
    Envoy__Service__Discovery__V3__DiscoveryRequest m = ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_REQUEST__INIT;
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    m.version_info = t->version;
    m.type_url = t->url;
    m.response_nonce = t->nonce;
    m.resource_names = t->wanted.list;
    m.n_resource_names = ads_is_legacy_wildcard(t) ? 0 : t->wanted.n;
    if (t->refusal != NULL) {
        status.code = GRPC_INTERNAL;
        status.message = t->refusal;
        m.error_detail = &status;
    }
    pack_append(&m.base, out);
}

/* xDS allows a resource in a wrapper that carries its name, version and time to live; we never ask for the last. */
static bool unwrap(struct store_resource *r, struct arena *arena, struct err *err)
{
    if (!slice_ends_with(r->type_url, SLICE("/envoy.service.discovery.v3.Resource"))) {
        return true;
    }
    struct guard guard = guard_default();
    guard.allow_unbuilt = true;
    const Envoy__Service__Discovery__V3__Resource *w =
        guard_unpack(&guard, &envoy__service__discovery__v3__resource__descriptor, r->bytes, arena, err);
    if (w == NULL || !ads_unwrap(w, r, err)) {
        return false;
    }
    r->name = r->version = SLICE_NONE; /* the response's version is all that counts here */
    return true;
}

static bool read_resources(const Envoy__Service__Discovery__V3__DiscoveryResponse *m, struct arena *arena,
                           struct ads_response *out, struct err *err)
{
    struct store_resource *all = arena_alloc(arena, (m->n_resources + 1) * sizeof *all);
    for (size_t i = 0; i < m->n_resources; i++) {
        const Google__Protobuf__Any *any = m->resources[i];
        all[i] = (struct store_resource){
            .type_url = slice_of(any->type_url), .bytes = slice_make(any->value.data, any->value.len)};
        if (!unwrap(&all[i], arena, err)) {
            return err_prefix(err, "resources[%zu]", i);
        }
        if (!slice_eq(all[i].type_url, out->type_url)) {
            return err_set(err, ERR_PROTOCOL, "resources[%zu]: of type %.*s in a response of type %.*s", i,
                           SLICE_ARG(all[i].type_url), SLICE_ARG(out->type_url));
        }
    }
    out->resources = all;
    out->n = m->n_resources;
    return true;
}

enum ads_verdict sotw_receive(struct ads_session *s, struct slice bytes, struct arena *arena, struct ads_response *out,
                              struct err *err)
{
    struct guard guard = guard_default();
    guard.max_bytes = ADS_MESSAGE_MAX;
    guard.allow_unbuilt = true;
    const Envoy__Service__Discovery__V3__DiscoveryResponse *m =
        guard_unpack(&guard, &envoy__service__discovery__v3__discovery_response__descriptor, bytes, arena, err);
    if (m == NULL) {
        err_prefix(err, "DiscoveryResponse");
        return ADS_BROKEN;
    }
    *out = (struct ads_response){
        .type_url = slice_of(m->type_url), .version = slice_of(m->version_info), .nonce = slice_of(m->nonce)};
    out->control_plane = m->control_plane == NULL ? SLICE_NONE : slice_of(m->control_plane->identifier);
    enum ads_verdict verdict = ads_note_response(s, out, err);
    if (verdict == ADS_TAKE && !read_resources(m, arena, out, err)) {
        ads_refuse(&s->types[out->type], slice_of(err->text));
        return ADS_DONE;
    }
    return verdict;
}
