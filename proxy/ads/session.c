#include "proxy/ads/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proxy/ads/session_inside.h"

enum { REASON_MAX = 4096 };

struct ads_session *ads_session_create(struct slice node, bool delta)
{
    struct ads_session *s = mem_alloc(sizeof *s);
    s->node = slice_make(mem_str_slice(node), node.n);
    s->delta = delta;
    return s;
}

void ads_names_free(struct ads_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        mem_free(names->list[i]);
    }
    mem_free(names->list);
    *names = (struct ads_names){NULL, 0};
}

void ads_names_copy(struct ads_names *to, const struct ads_names *from)
{
    ads_names_free(to);
    to->list = mem_alloc((from->n + 1) * sizeof to->list[0]);
    for (; to->n < from->n; to->n++) {
        to->list[to->n] = mem_str(from->list[to->n]);
    }
}

void ads_session_destroy(struct ads_session **session)
{
    struct ads_session *s = *session;
    *session = NULL;
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        ads_names_free(&s->types[i].wanted);
        ads_names_free(&s->types[i].subscribed);
        mem_free(s->types[i].url);
        mem_free(s->types[i].version);
        mem_free(s->types[i].nonce);
        mem_free(s->types[i].refusal);
    }
    mem_free((char *)(uintptr_t)s->node.p);
    mem_free(s->current_version);
    mem_free(s);
}

bool ads_session_is_delta(const struct ads_session *s)
{
    return s->delta;
}

void ads_session_add_type(struct ads_session *s, struct slice type_url)
{
    assert(s->n < ADS_TYPES_MAX && !s->open);
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
    return s->types[type].wanted.n;
}

void ads_set_text(char **text, struct slice value)
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
    if (n != t->wanted.n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!slice_eq(sorted[i], slice_of(t->wanted.list[i]))) {
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
        ads_names_free(&t->wanted);
        t->wanted = (struct ads_names){copies, kept};
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
        ads_set_text(&t->nonce, s->delta ? SLICE_NONE : SLICE(""));
        ads_set_text(&t->refusal, SLICE_NONE);
        ads_names_free(&t->subscribed);
        t->held = NULL;
        t->n_held = 0;
        t->asked = false;
        t->due = t->wanted.n > 0;
    }
}

void ads_session_set_held(struct ads_session *s, size_t type, const struct store_version *held, size_t n)
{
    assert(s->delta);
    s->types[type].held = held;
    s->types[type].n_held = n;
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

bool ads_is_legacy_wildcard(const struct type_state *t)
{
    struct slice url = slice_of(t->url);
    return t->wanted.n == 1 && slice_eq(slice_of(t->wanted.list[0]), SLICE("*")) &&
           (slice_ends_with(url, SLICE("/envoy.config.listener.v3.Listener")) ||
            slice_ends_with(url, SLICE("/envoy.config.cluster.v3.Cluster")));
}

/* The node is packed already: its field (length-delimited) is written by hand behind the rest. */
static void append_node(struct strbuf *out, unsigned field, struct slice node)
{
    strbuf_add_char(out, (char)(field << 3 | 2));
    size_t n = node.n;
    for (; n >= 0x80; n >>= 7) {
        strbuf_add_char(out, (char)((n & 0x7f) | 0x80));
    }
    strbuf_add_char(out, (char)n);
    strbuf_add(out, node);
}

static void pack_request(struct ads_session *s, struct type_state *t, struct strbuf *out)
{
    strbuf_clear(out);
    if (s->delta) {
        delta_pack(t, out);
    } else {
        sotw_pack(t, out);
    }
    if (!s->node_sent) {
        append_node(out, s->delta ? 1 : 2, s->node);
        s->node_sent = true;
    }
    ads_set_text(&t->refusal, SLICE_NONE);
    t->due = false;
    t->asked = true;
}

bool ads_session_next(struct ads_session *s, struct strbuf *request)
{
    for (size_t i = 0; s->open && i < s->n; i++) {
        struct type_state *t = &s->types[i];
        if (t->due && (t->asked || t->wanted.n > 0)) {
            pack_request(s, t, request);
            return true;
        }
    }
    return false;
}

/* ---- responses ---- */

struct type_state *ads_find_type(struct ads_session *s, struct slice url)
{
    for (size_t i = 0; i < s->n; i++) {
        if (slice_eq(slice_of(s->types[i].url), url)) {
            return &s->types[i];
        }
    }
    return NULL;
}

bool ads_unwrap(const Envoy__Service__Discovery__V3__Resource *w, struct store_resource *out, struct err *err)
{
    if (w->ttl != NULL || w->resource == NULL) {
        return err_set(err, ERR_UNSUPPORTED, "ttl: resources that expire were not asked for");
    }
    *out = (struct store_resource){slice_of(w->resource->type_url),
                                   slice_make(w->resource->value.data, w->resource->value.len), slice_of(w->name),
                                   slice_of(w->version)};
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

void ads_refuse(struct type_state *t, struct slice reason)
{
    ads_set_text(&t->refusal, without_half_character(slice_sub(reason, 0, REASON_MAX)));
    t->due = true;
}

enum ads_verdict ads_note_response(struct ads_session *s, struct ads_response *out, struct err *err)
{
    struct type_state *t = ads_find_type(s, out->type_url);
    if (t == NULL || !t->asked) {
        err_set(err, ERR_PROTOCOL, "%.*s: a type that was not asked for", SLICE_ARG(out->type_url));
        return ADS_DONE;
    }
    out->type = (size_t)(t - s->types);
    ads_set_text(&t->nonce, out->nonce.p == NULL ? SLICE("") : out->nonce);
    if (t->wanted.n == 0) { /* crossed with our withdrawal */
        t->due = true;
        return ADS_DONE;
    }
    return ADS_TAKE;
}

enum ads_verdict ads_session_receive(struct ads_session *s, struct slice bytes, struct arena *arena,
                                     struct ads_response *out, struct err *err)
{
    assert(s->open && s->current == NULL);
    *out = (struct ads_response){.n = 0};
    enum ads_verdict verdict =
        s->delta ? delta_receive(s, bytes, arena, out, err) : sotw_receive(s, bytes, arena, out, err);
    if (verdict == ADS_TAKE) {
        s->current = &s->types[out->type];
        s->current_stale = false;
        ads_set_text(&s->current_version, out->version);
    }
    return verdict;
}

void ads_session_ack(struct ads_session *s)
{
    assert(s->current != NULL);
    ads_set_text(&s->current->version, slice_of(s->current_version));
    s->current->due = s->current->due || !s->current_stale;
    s->current = NULL;
}

void ads_session_nack(struct ads_session *s, struct slice reason)
{
    assert(s->current != NULL);
    if (!s->current_stale) {
        ads_refuse(s->current, reason);
    }
    s->current = NULL;
}
