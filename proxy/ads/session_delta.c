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

/*
 * A first response may hold a hundred thousand resources. They are unpacked one after the other and stay where they
 * are: the message must outlive the response. `rest` is the message without them.
 */
struct parts {
    struct slice *list; /* of Resource */
    size_t n;
    struct strbuf rest;
};

enum { FIELD_RESOURCES = 2 };

static bool take_apart(struct slice message, struct arena *arena, struct parts *out, struct err *err)
{
    struct guard_field f;
    size_t n = 0;
    for (struct slice in = message; in.n > 0;) {
        if (!guard_next_field(&in, &f)) {
            return err_set(err, ERR_INPUT, "not a protobuf message");
        }
        n += f.number == FIELD_RESOURCES;
    }
    out->list = arena_alloc(arena, (n + 1) * sizeof *out->list);
    for (struct slice in = message; in.n > 0 && guard_next_field(&in, &f);) {
        if (f.number == FIELD_RESOURCES && f.has_length) {
            out->list[out->n++] = f.payload;
        } else {
            strbuf_add(&out->rest, f.all);
        }
    }
    return true;
}

/* The same text, where it stands in the message. */
static struct slice in_place(struct slice message, struct slice text)
{
    size_t at = text.n == 0 ? message.n : slice_search(message, text);
    return at < message.n ? slice_sub(message, at, text.n) : SLICE_NONE;
}

static bool unwrap(struct slice bytes, struct arena *scratch, struct store_resource *out, struct err *err)
{
    struct guard guard = guard_default();
    guard.allow_unbuilt = true;
    const Envoy__Service__Discovery__V3__Resource *m =
        guard_unpack(&guard, &envoy__service__discovery__v3__resource__descriptor, bytes, scratch, err);
    if (m == NULL || !ads_unwrap(m, out, err)) {
        return false;
    }
    return out->name.n > 0 || err_set(err, ERR_PROTOCOL, "it has no name");
}

/* Of the right type, and nothing of it in memory that the next one gets. */
static bool settle(struct slice bytes, struct slice type_url, struct store_resource *out, struct err *err)
{
    if (!slice_eq(out->type_url, type_url)) {
        return err_set(err, ERR_PROTOCOL, "%.*s: of type %.*s in a response of type %.*s",
                       SLICE_ARG(slice_sub(out->name, 0, 200)), SLICE_ARG(out->type_url), SLICE_ARG(type_url));
    }
    *out = (struct store_resource){.type_url = type_url,
                                   .bytes = in_place(bytes, out->bytes),
                                   .name = in_place(bytes, out->name),
                                   .version = in_place(bytes, out->version)};
    return true;
}

static bool read_resources(const struct parts *parts, struct arena *arena, struct ads_response *out, struct err *err)
{
    struct store_resource *all = arena_alloc(arena, (parts->n + 1) * sizeof *all);
    struct arena *scratch = arena_create(0);
    bool ok = true;
    for (size_t i = 0; i < parts->n && ok; i++) {
        arena_reset(scratch);
        ok = unwrap(parts->list[i], scratch, &all[i], err) ? settle(parts->list[i], out->type_url, &all[i], err)
                                                           : err_prefix(err, "resources[%zu]", i);
    }
    arena_destroy(&scratch);
    out->resources = all;
    out->n = ok ? parts->n : 0;
    return ok;
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

static const Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *
unpack_rest(struct slice bytes, struct arena *arena, struct parts *parts, struct err *err)
{
    struct guard guard = guard_default();
    guard.max_bytes = ADS_MESSAGE_MAX;
    guard.allow_unbuilt = true;
    if (bytes.n > guard.max_bytes) {
        err_set(err, ERR_LIMIT, "larger than %zu bytes", guard.max_bytes);
        return NULL;
    }
    return !take_apart(bytes, arena, parts, err)
               ? NULL
               : guard_unpack(&guard, &envoy__service__discovery__v3__delta_discovery_response__descriptor,
                              strbuf_slice(&parts->rest), arena, err);
}

enum ads_verdict delta_receive(struct ads_session *s, struct slice bytes, struct arena *arena,
                               struct ads_response *out, struct err *err)
{
    struct parts parts = {.n = 0};
    strbuf_init(&parts.rest);
    const Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *m = unpack_rest(bytes, arena, &parts, err);
    strbuf_fini(&parts.rest);
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
    if (!read_resources(&parts, arena, out, err)) {
        ads_refuse(&s->types[out->type], slice_of(err->text));
        return ADS_DONE;
    }
    read_removed(m, arena, out);
    return ADS_TAKE;
}
