/* Heads as HTTP/2 brings them, held against what HTTP/1 could say (RFC 9113 8.2, 8.3; RFC 8441). */
#include <string.h>

#include "proxy/codec/chars.h"
#include "proxy/codec/h2_impl.h"

void h2_builder_start(struct h2_builder *b, struct arena *arena)
{
    *b = (struct h2_builder){.head = arena_alloc(arena, sizeof *b->head)};
    head_init(b->head, arena);
    b->head->version = HTTP_2;
}

static struct slice *pseudo_place(struct head *h, struct slice name)
{
    if (slice_eq(name, SLICE(":method"))) {
        return &h->method;
    }
    if (slice_eq(name, SLICE(":path"))) {
        return &h->path;
    }
    if (slice_eq(name, SLICE(":authority"))) {
        return &h->authority;
    }
    if (slice_eq(name, SLICE(":scheme"))) {
        return &h->scheme;
    }
    return slice_eq(name, SLICE(":protocol")) ? &h->protocol : NULL;
}

static void add_pseudo(struct h2_builder *b, struct slice name, struct slice value)
{
    struct head *h = b->head;
    uint64_t status = 0;
    if (slice_eq(name, SLICE(":status"))) {
        b->malformed |= value.n != 3 || !slice_to_u64(value, &status) || h->status != 0;
        h->status = (unsigned)status;
        return;
    }
    struct slice *place = pseudo_place(h, name);
    if (place == NULL || place->p != NULL || value.n == 0) {
        b->malformed = true;
        return;
    }
    *place = arena_slice(h->arena, value);
}

static void add_field(struct h2_builder *b, struct slice name, struct slice value, bool never_index)
{
    struct head *h = b->head;
    enum head_field id = head_intern(name);
    uint64_t length;
    if (id == FIELD_CONTENT_LENGTH) {
        b->malformed |= h->content_length >= 0 || value.n > 19 || !slice_to_u64(value, &length) || length > INT64_MAX;
        h->content_length = b->malformed ? -1 : (int64_t)length;
        return;
    }
    if (id == FIELD_HOST) {
        b->hosts++;
        b->host = arena_slice(h->arena, value);
        return;
    }
    if (id == FIELD_OTHER) {
        b->malformed |= chars_looks_like_framing(name);
        name = arena_slice(h->arena, name);
    }
    head_add_sound(h, id, name, arena_slice(h->arena, value));
    h->fields[h->n - 1].never_index = never_index;
    b->cookies += id == FIELD_COOKIE;
}

void h2_builder_add(struct h2_builder *b, struct slice name, struct slice value, bool never_index)
{
    if (b->malformed || b->over_budget) {
        return;
    }
    if (!chars_is_value(value)) {
        b->malformed = true;
    } else if (name.n > 0 && name.p[0] == ':') {
        add_pseudo(b, name, value);
    } else if (!chars_is_lower_token(name)) {
        b->malformed = true;
    } else {
        add_field(b, name, value, never_index);
    }
}

/* Connection-specific fields make a message malformed (RFC 9113 8.2.2). */
static bool has_connection_fields(const struct head *h)
{
    for (unsigned i = 0; i < h->n; i++) {
        const struct field *f = &h->fields[i];
        if (head_is_connection_field(f) || (f->id == FIELD_TE && !slice_eq_nocase(f->value, SLICE("trailers")))) {
            return true;
        }
    }
    return false;
}

/* HTTP/1 knows one Cookie field (RFC 9113 8.2.3). */
static void join_cookies(struct head *h)
{
    size_t total = 0;
    for (unsigned i = 0; i < h->n; i++) {
        total += h->fields[i].id == FIELD_COOKIE ? h->fields[i].value.n + 2 : 0;
    }
    char *text = arena_alloc(h->arena, total);
    size_t n = 0;
    for (unsigned i = 0; i < h->n; i++) {
        struct slice value = h->fields[i].value;
        if (h->fields[i].id == FIELD_COOKIE && value.n > 0) {
            if (n > 0) {
                memcpy(text + n, "; ", 2);
                n += 2;
            }
            memcpy(text + n, value.p, value.n);
            n += value.n;
        }
    }
    head_set_id(h, FIELD_COOKIE, slice_make(text, n));
}

/* :authority and Host are one thing; both may be there if they agree (RFC 9113 8.3.1). */
static bool settle_authority(struct h2_builder *b)
{
    struct head *h = b->head;
    struct authority target, host;
    unsigned port = slice_eq(h->scheme, SLICE("https")) ? 443 : 80;
    if (b->hosts > 1 || (b->hosts == 1 && !authority_parse(b->host, &host))) {
        return false;
    }
    if (h->authority.p == NULL) {
        h->authority = b->host;
        return b->hosts == 1;
    }
    if (!authority_parse(h->authority, &target) || (b->hosts == 1 && !authority_same(&target, &host, port))) {
        return false;
    }
    if (h->authority.p[h->authority.n - 1] == ':') {
        h->authority.n--;
    }
    return true;
}

static bool settle_connect(struct h2_builder *b)
{
    struct head *h = b->head;
    struct authority target;
    return h->path.p == NULL && h->scheme.p == NULL && h->content_length < 0 && settle_authority(b) &&
           authority_parse(h->authority, &target) && target.port.n > 0;
}

static bool settle_target(struct h2_builder *b)
{
    struct head *h = b->head;
    bool connect = slice_eq(h->method, SLICE("CONNECT"));
    if (connect && h->protocol.p == NULL) {
        return settle_connect(b);
    }
    if (h->protocol.p != NULL && (!connect || !chars_is_token(h->protocol) || h->content_length >= 0)) {
        return false;
    }
    if (!slice_eq(h->scheme, SLICE("http")) && !slice_eq(h->scheme, SLICE("https"))) {
        return false;
    }
    bool star = slice_eq(h->path, SLICE("*")) && slice_eq(h->method, SLICE("OPTIONS"));
    if (!chars_is_target(h->path) || (h->path.p[0] != '/' && !star)) {
        return false;
    }
    return settle_authority(b);
}

bool h2_builder_finish_request(struct h2_builder *b)
{
    struct head *h = b->head;
    if (b->malformed || h->status != 0 || !chars_is_token(h->method) || h->method.n > 32) {
        return false;
    }
    if (has_connection_fields(h) || !settle_target(b)) {
        return false;
    }
    if (b->cookies > 1) {
        join_cookies(h);
    }
    return true;
}

bool h2_builder_finish_response(struct h2_builder *b)
{
    struct head *h = b->head;
    bool request_pseudo = h->method.p != NULL || h->path.p != NULL || h->authority.p != NULL || h->scheme.p != NULL ||
                          h->protocol.p != NULL;
    if (b->malformed || request_pseudo || h->status < 100 || h->status > 599 || h->status == 101) {
        return false;
    }
    if (h->status < 200 || h->status == 204) {
        h->content_length = -1;
    }
    return !has_connection_fields(h);
}

bool h2_builder_finish_trailers(struct h2_builder *b)
{
    struct head *h = b->head;
    static const enum head_field never[] = {
        FIELD_AUTHORIZATION,
        FIELD_COOKIE,
        FIELD_SET_COOKIE,
        FIELD_EXPECT,
        FIELD_TE,
        FIELD_RANGE,
        FIELD_CONTENT_TYPE,
        FIELD_CONTENT_ENCODING,
        FIELD_SUBSCRIPTION_KEY,
        FIELD_X_FORWARDED_FOR,
        FIELD_TRAILER,
        FIELD_PROXY_AUTHORIZATION,
    };
    if (b->malformed || b->hosts > 0 || h->content_length >= 0 || h->status != 0 || h->method.p != NULL ||
        h->path.p != NULL || h->authority.p != NULL || h->scheme.p != NULL || h->protocol.p != NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (head_find_id(h, never[i]) != NULL) {
            return false;
        }
    }
    return !has_connection_fields(h);
}
