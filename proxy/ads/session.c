#include "proxy/ads/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pb/envoy/service/discovery/v3/discovery.pb-c.h"
#include "proto/guard.h"
#include "proto/pack.h"

enum { GRPC_INTERNAL = 13, TYPES_MAX = 32, MESSAGE_MAX = 16 << 20, REASON_MAX = 4096 };

struct type_state {
    char *url;
    char **names; /* sorted */
    size_t n_names;
    char *version; /* accepted last; "" at first */
    char *nonce;   /* of the last response on this stream */
    char *refusal; /* to be sent once */
    bool due;      /* a request is to be sent */
    bool asked;    /* one was, on this stream */
};

struct ads_session {
    struct slice node;
    struct type_state types[TYPES_MAX];
    size_t n;
    bool open, node_sent;
    struct type_state *current; /* its response is being applied */
    char *current_version;
    bool current_stale; /* its stream is gone: accepted, but nobody to tell */
};

struct ads_session *ads_session_create(struct slice node)
{
    struct ads_session *s = mem_alloc(sizeof *s);
    s->node = slice_make(mem_str_slice(node), node.n);
    return s;
}

static void names_free(struct type_state *t)
{
    for (size_t i = 0; i < t->n_names; i++) {
        mem_free(t->names[i]);
    }
    mem_free(t->names);
    t->names = NULL;
    t->n_names = 0;
}

void ads_session_destroy(struct ads_session **session)
{
    struct ads_session *s = *session;
    *session = NULL;
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        names_free(&s->types[i]);
        mem_free(s->types[i].url);
        mem_free(s->types[i].version);
        mem_free(s->types[i].nonce);
        mem_free(s->types[i].refusal);
    }
    mem_free((char *)(uintptr_t)s->node.p);
    mem_free(s->current_version);
    mem_free(s);
}

void ads_session_add_type(struct ads_session *s, struct slice type_url)
{
    assert(s->n < TYPES_MAX && !s->open);
    s->types[s->n++] =
        (struct type_state){.url = mem_str_slice(type_url), .version = mem_str(""), .nonce = mem_str("")};
}

size_t ads_session_types(const struct ads_session *s)
{
    return s->n;
}

struct slice ads_session_type_url(const struct ads_session *s, size_t type)
{
    return slice_of(s->types[type].url);
}

struct slice ads_session_version(const struct ads_session *s, size_t type)
{
    return slice_of(s->types[type].version);
}

size_t ads_session_name_count(const struct ads_session *s, size_t type)
{
    return s->types[type].n_names;
}

static void set_text(char **text, struct slice value)
{
    char *old = *text;
    *text = value.p == NULL ? NULL : mem_str_slice(value);
    mem_free(old);
}

/* ---- subscriptions ---- */

static int by_text(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static bool same_names(const struct type_state *t, const struct slice *sorted, size_t n)
{
    if (n != t->n_names) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!slice_eq(sorted[i], slice_of(t->names[i]))) {
            return false;
        }
    }
    return true;
}

void ads_session_set_names(struct ads_session *s, size_t type, const struct slice *names, size_t n)
{
    struct type_state *t = &s->types[type];
    struct slice *sorted = mem_alloc((n + 1) * sizeof *sorted);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        sorted[i] = names[i];
    }
    qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !slice_eq(sorted[i], sorted[i - 1])) {
            sorted[kept++] = sorted[i];
        }
    }
    if (!same_names(t, sorted, kept)) {
        char **copies = mem_alloc((kept + 1) * sizeof *copies);
        for (size_t i = 0; i < kept; i++) {
            copies[i] = mem_str_slice(sorted[i]);
        }
        names_free(t);
        t->names = copies;
        t->n_names = kept;
        t->due = s->open;
    }
    mem_free(sorted);
}

/* The first request of a type says nothing of nonces, but carries the version accepted on an earlier stream. */
void ads_session_open(struct ads_session *s)
{
    s->open = true;
    s->node_sent = false;
    for (size_t i = 0; i < s->n; i++) {
        struct type_state *t = &s->types[i];
        set_text(&t->nonce, SLICE(""));
        set_text(&t->refusal, SLICE_NONE);
        t->asked = false;
        t->due = t->n_names > 0;
    }
}

void ads_session_close(struct ads_session *s)
{
    s->open = false;
    s->current_stale = s->current != NULL;
    for (size_t i = 0; i < s->n; i++) {
        s->types[i].due = false;
    }
}

/* ---- requests ---- */

static bool is_legacy_wildcard(const struct type_state *t)
{
    struct slice url = slice_of(t->url);
    return t->n_names == 1 && slice_eq(slice_of(t->names[0]), SLICE("*")) &&
           (slice_ends_with(url, SLICE("/envoy.config.listener.v3.Listener")) ||
            slice_ends_with(url, SLICE("/envoy.config.cluster.v3.Cluster")));
}

/* The node is packed already: its field (2, length-delimited) is written by hand behind the rest. */
static void append_node(struct strbuf *out, struct slice node)
{
    strbuf_add_char(out, (char)(2 << 3 | 2));
    size_t n = node.n;
    for (; n >= 0x80; n >>= 7) {
        strbuf_add_char(out, (char)((n & 0x7f) | 0x80));
    }
    strbuf_add_char(out, (char)n);
    strbuf_add(out, node);
}

static void pack_request(struct ads_session *s, struct type_state *t, struct strbuf *out)
{
    Envoy__Service__Discovery__V3__DiscoveryRequest m = ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_REQUEST__INIT;
    Google__Rpc__Status status = GOOGLE__RPC__STATUS__INIT;
    m.version_info = t->version;
    m.type_url = t->url;
    m.response_nonce = t->nonce;
    m.resource_names = t->names;
    m.n_resource_names = is_legacy_wildcard(t) ? 0 : t->n_names; /* as Envoy asks for all listeners and clusters */
    if (t->refusal != NULL) {
        status.code = GRPC_INTERNAL;
        status.message = t->refusal;
        m.error_detail = &status;
    }
    strbuf_clear(out);
    pack_append(&m.base, out);
    if (!s->node_sent) {
        append_node(out, s->node);
        s->node_sent = true;
    }
    set_text(&t->refusal, SLICE_NONE);
    t->due = false;
    t->asked = true;
}

bool ads_session_next(struct ads_session *s, struct strbuf *request)
{
    for (size_t i = 0; s->open && i < s->n; i++) {
        struct type_state *t = &s->types[i];
        if (t->due && (t->asked || t->n_names > 0)) {
            pack_request(s, t, request);
            return true;
        }
    }
    return false;
}

/* ---- responses ---- */

static struct type_state *find_type(struct ads_session *s, struct slice url)
{
    for (size_t i = 0; i < s->n; i++) {
        if (slice_eq(slice_of(s->types[i].url), url)) {
            return &s->types[i];
        }
    }
    return NULL;
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
    if (w == NULL) {
        return false;
    }
    if (w->ttl != NULL || w->resource == NULL) {
        return err_set(err, ERR_UNSUPPORTED, "ttl: resources that expire were not asked for");
    }
    *r = (struct store_resource){slice_of(w->resource->type_url),
                                 slice_make(w->resource->value.data, w->resource->value.len)};
    return true;
}

static bool read_resources(const Envoy__Service__Discovery__V3__DiscoveryResponse *m, struct arena *arena,
                           struct ads_response *out, struct err *err)
{
    struct store_resource *all = arena_alloc(arena, (m->n_resources + 1) * sizeof *all);
    for (size_t i = 0; i < m->n_resources; i++) {
        const Google__Protobuf__Any *any = m->resources[i];
        all[i] = (struct store_resource){slice_of(any->type_url), slice_make(any->value.data, any->value.len)};
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

/* A text that was cut to a length may end inside a UTF-8 sequence, which a protobuf string must not. */
static struct slice without_half_character(struct slice text)
{
    size_t back = 1;
    while (back < 4 && back < text.n && ((unsigned char)text.p[text.n - back] & 0xc0) == 0x80) {
        back++;
    }
    unsigned char lead = text.n == 0 ? 0 : (unsigned char)text.p[text.n - back];
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    return length > back ? slice_sub(text, 0, text.n - back) : text;
}

static void refuse(struct type_state *t, struct slice reason)
{
    set_text(&t->refusal, without_half_character(slice_sub(reason, 0, REASON_MAX)));
    t->due = true;
}

enum ads_verdict ads_session_receive(struct ads_session *s, struct slice bytes, struct arena *arena,
                                     struct ads_response *out, struct err *err)
{
    assert(s->open && s->current == NULL);
    struct guard guard = guard_default();
    guard.max_bytes = MESSAGE_MAX;
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
    struct type_state *t = find_type(s, out->type_url);
    if (t == NULL || !t->asked) {
        err_set(err, ERR_PROTOCOL, "%.*s: a type that was not asked for", SLICE_ARG(out->type_url));
        return ADS_DONE;
    }
    out->type = (size_t)(t - s->types);
    set_text(&t->nonce, out->nonce);
    if (t->n_names == 0) { /* crossed with our withdrawal */
        t->due = true;
        return ADS_DONE;
    }
    if (!read_resources(m, arena, out, err)) {
        refuse(t, slice_of(err->text));
        return ADS_DONE;
    }
    s->current = t;
    s->current_stale = false;
    set_text(&s->current_version, out->version);
    return ADS_TAKE;
}

void ads_session_ack(struct ads_session *s)
{
    assert(s->current != NULL);
    set_text(&s->current->version, slice_of(s->current_version));
    s->current->due = s->current->due || !s->current_stale;
    s->current = NULL;
}

void ads_session_nack(struct ads_session *s, struct slice reason)
{
    assert(s->current != NULL);
    if (!s->current_stale) {
        refuse(s->current, reason);
    }
    s->current = NULL;
}
