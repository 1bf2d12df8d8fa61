/* What a proxy adds to and takes from a head, in Envoy's order and with its defaults. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/crypto/crypto.h"
#include "proxy/exchange/internal.h"

/* ---- edits from the configuration ---- */

static void apply_add(struct head *head, const struct header_add_conf *a)
{
    bool exists = head_find(head, a->name) != NULL;
    if (a->value.n == 0 && !a->keep_empty_value) {
        return;
    }
    switch (a->action) {
    case HEADER_APPEND_IF_EXISTS_OR_ADD:
        head_add(head, a->name, a->value);
        return;
    case HEADER_ADD_IF_ABSENT:
        if (!exists) {
            head_add(head, a->name, a->value);
        }
        return;
    case HEADER_OVERWRITE_IF_EXISTS_OR_ADD:
        head_set(head, a->name, a->value);
        return;
    case HEADER_OVERWRITE_IF_EXISTS:
        if (exists) {
            head_set(head, a->name, a->value);
        }
        return;
    }
}

void headers_edit(struct head *head, const struct header_edit_conf *edit)
{
    for (size_t i = 0; i < edit->remove_count; i++) {
        head_remove(head, edit->remove[i]);
    }
    for (size_t i = 0; i < edit->add_count; i++) {
        apply_add(head, &edit->add[i]);
    }
}

/* Weighted cluster, route, virtual host, table: the wider scope has the last word, unless told otherwise. */
static void edit_all(const struct route_match *m, struct head *head, bool response)
{
    const struct header_edits_conf *scopes[4];
    size_t n = 0;
    if (m->weighted != NULL) {
        scopes[n++] = &m->weighted->headers;
    }
    if (m->rule != NULL) {
        scopes[n++] = &m->rule->edits;
    }
    if (m->vhost != NULL) {
        scopes[n++] = &m->vhost->edits;
    }
    if (m->conf == NULL) {
        return;
    }
    scopes[n++] = &m->conf->edits;
    for (size_t i = 0; i < n; i++) {
        const struct header_edits_conf *e = scopes[m->conf->most_specific_edits_win ? n - 1 - i : i];
        headers_edit(head, response ? &e->response : &e->request);
    }
}

/* ---- request ---- */

/* RFC 9562 version 4. */
static struct slice make_uuid(struct request *r)
{
    enum { LEN = 36 };
    static const char hex[] = "0123456789abcdef";
    static const unsigned char byte_at[16] = {0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};
    char *text = arena_alloc(r->host.arena, LEN + 1);
    uint64_t bits[2] = {exchanger_random(r->owner), exchanger_random(r->owner)};
    unsigned char bytes[16];
    memcpy(bytes, bits, sizeof bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    for (unsigned i = 0; i < sizeof bytes; i++) {
        text[byte_at[i]] = hex[bytes[i] >> 4];
        text[byte_at[i] + 1] = hex[bytes[i] & 15];
    }
    text[8] = text[13] = text[18] = text[23] = '-';
    text[LEN] = '\0';
    return slice_make(text, LEN);
}

/* What proxies of one trust tell each other. From outside nobody may say it; that a request came from inside, nobody. */
static void remove_claims(struct request *r)
{
    static const char *const claims[] = {
        "x-envoy-decorator-operation", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node",
        "x-envoy-expected-rq-timeout-ms", "x-envoy-force-trace", "x-envoy-hedge-on-per-try-timeout", "x-envoy-ip-tags",
        "x-envoy-max-retries", "x-envoy-original-host", "x-envoy-original-path", "x-envoy-original-url",
        "x-envoy-retriable-header-names", "x-envoy-retriable-status-codes", "x-envoy-retry-grpc-on", "x-envoy-retry-on",
        "x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-per-try-timeout-ms",
        "x-envoy-upstream-rq-timeout-alt-response", "x-envoy-upstream-rq-timeout-ms"};
    bool any = false;
    for (unsigned i = 0; i < r->head->n && !any; i++) {
        any = slice_starts_with(r->head->fields[i].name, SLICE("x-envoy-"));
    }
    if (!any) {
        return;
    }
    head_remove(r->head, SLICE("x-envoy-internal"));
    for (size_t i = 0; r->hcm->use_remote_address && i < ARRAY_LEN(claims); i++) {
        head_remove(r->head, slice_of(claims[i]));
    }
}

static void add_forwarded(struct request *r)
{
    struct head *h = r->head;
    char text[ADDR_TEXT];
    const struct addr *peer = r->host.downstream->remote;
    addr_copy(&r->record.client, peer);
    if (r->hcm->use_remote_address && !r->hcm->skip_xff_append) {
        bool present = false;
        struct slice before = head_joined(h, SLICE("x-forwarded-for"), &present);
        char *value = arena_printf(h->arena, "%.*s%s%s", SLICE_ARG(before), before.n > 0 ? "," : "", addr_ip_text(peer, text));
        head_set_id(h, FIELD_X_FORWARDED_FOR, slice_of(value));
    }
    if (r->hcm->use_remote_address) {
        head_set(h, SLICE("x-envoy-external-address"), arena_slice(h->arena, slice_of(addr_ip_text(peer, text))));
    }
    if (r->hcm->use_remote_address || head_find_id(h, FIELD_X_FORWARDED_PROTO) == NULL) {
        head_set_id(h, FIELD_X_FORWARDED_PROTO, r->host.downstream->tls != NULL ? SLICE("https") : SLICE("http"));
    }
}

static void add_request_id(struct request *r)
{
    const struct field *given = head_find_id(r->head, FIELD_X_REQUEST_ID);
    if (!r->hcm->generate_request_id) {
        r->host.correlation_id = make_uuid(r);
        return;
    }
    bool keep = given != NULL && (r->hcm->preserve_external_request_id || !r->hcm->use_remote_address);
    r->host.correlation_id = keep && given->value.n > 0 && given->value.n <= 128 ? given->value : make_uuid(r);
    head_set_id(r->head, FIELD_X_REQUEST_ID, r->host.correlation_id);
}

static void strip_port(struct request *r)
{
    struct head *h = r->head;
    struct slice port = route_port_of(h->authority);
    uint64_t number = 0;
    bool matching = port.n > 0 && slice_to_u64(port, &number) && number == addr_port(r->host.downstream->local);
    if (slice_eq(r->method, SLICE("CONNECT"))) {
        return;
    }
    if (port.n > 0 && (r->hcm->strip_any_host_port || (r->hcm->strip_matching_host_port && matching))) {
        h->authority = route_host_of(h->authority);
    }
    struct slice host = route_host_of(h->authority);
    if (r->hcm->strip_trailing_host_dot && slice_ends_with(host, SLICE("."))) {
        struct slice rest = slice_from(h->authority, host.n);
        h->authority = slice_of(arena_printf(h->arena, "%.*s%.*s", SLICE_ARG(slice_sub(host, 0, host.n - 1)), SLICE_ARG(rest)));
    }
}

static bool normalise_path(struct request *r)
{
    struct path_options options = {
        .normalize = r->hcm->normalize_path,
        .merge_slashes = r->hcm->merge_slashes,
        .escaped_slashes = (enum path_slashes)r->hcm->escaped_slashes,
    };
    struct slice path;
    if (r->head->path.n == 0) {
        return true; /* CONNECT */
    }
    switch (path_normalize(r->head->path, &options, r->host.arena, &path)) {
    case PATH_SAME:
        return true;
    case PATH_CHANGED:
        r->head->path = path;
        return true;
    case PATH_REDIRECT: {
        struct field location = {.name = SLICE("location"), .value = path, .id = FIELD_LOCATION};
        struct local_reply reply = {.status = 307, .fields = &location, .n_fields = 1,
                                    .details = SLICE("path_normalization_failed")};
        reply_local(&r->host, &reply);
        return false;
    }
    case PATH_REJECTED:
        break;
    }
    reply_plain(r, 400, "", 0, "path_normalization_failed");
    return false;
}

bool headers_prepare_request(struct request *r)
{
    struct err err;
    struct slice content_type = head_value_id(r->head, FIELD_CONTENT_TYPE);
    r->grpc = slice_starts_with(content_type, SLICE("application/grpc")) &&
              (content_type.n == 16 || content_type.p[16] == '+' || content_type.p[16] == ';');
    add_request_id(r);
    if (!head_strip_hop_by_hop(r->head, &err)) {
        r->record.termination = arena_slice(r->host.arena, slice_of(err.text));
        reply_plain(r, 400, "Bad Request", FLAG_DOWNSTREAM_PROTOCOL_ERROR, "http.hop_by_hop");
        return false;
    }
    strip_port(r);
    remove_claims(r);
    add_forwarded(r);
    headers_client_cert(r);
    return normalise_path(r);
}

static void rewrite_host(struct request *r)
{
    struct slice host = SLICE_NONE;
    if (r->route.weighted != NULL && r->route.weighted->host_rewrite.n > 0) {
        host = r->route.weighted->host_rewrite;
    } else if (r->forward->host_rewrite.n > 0) {
        host = r->forward->host_rewrite;
    } else if (r->forward->host_rewrite_header.n > 0) {
        bool present = false;
        host = head_joined(r->head, r->forward->host_rewrite_header, &present);
    }
    if (host.n == 0) {
        return;
    }
    if (r->forward->append_x_forwarded_host) {
        head_add_id(r->head, FIELD_X_FORWARDED_HOST, r->head->authority);
    }
    bool by_weight = r->route.weighted != NULL && r->route.weighted->host_rewrite.n > 0; /* Envoy is silent about it then */
    if (!r->hcm->suppress_envoy_headers && !by_weight) {
        head_set(r->head, SLICE("x-envoy-original-host"), r->head->authority);
    }
    r->head->authority = host;
}

void headers_finish_request(struct request *r)
{
    struct head *h = r->head;
    struct slice path = h->path;
    if (r->forward != NULL) {
        struct route_request view = {.scheme = h->scheme, .method = h->method, .authority = h->authority, .path = h->path};
        if (h->path.n > 0 && route_rewrite_path(&r->route, &view, r->host.arena, &path) && path.p != h->path.p) {
            if (!r->hcm->suppress_envoy_headers) {
                head_set(h, SLICE("x-envoy-original-path"), h->path);
            }
            h->path = path;
        }
        rewrite_host(r);
        if (!r->hcm->suppress_envoy_headers && r->forward->timeout_ms > 0) {
            head_set_id(h, FIELD_X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
                        arena_u64(h->arena, r->forward->timeout_ms));
        }
    }
    edit_all(&r->route, h, false);
    if (r->hcm->via.n > 0) {
        head_add_id(h, FIELD_VIA, r->hcm->via);
    }
}

/* ---- response ---- */

/* Formatted once a second and worker; a response holds its own copy. */
static struct slice http_date(struct request *r)
{
    struct exchanger *e = r->owner;
    time_t now = (time_t)(loop_wall_us(e->loop) / 1000000);
    if (now != e->date_second) {
        struct tm tm;
        e->date_second = now;
        gmtime_r(&now, &tm);
        strftime(e->date, sizeof e->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return arena_slice(r->host.arena, slice_of(e->date));
}

static void set_server(struct request *r, struct head *head)
{
    switch (r->hcm->server_header) {
    case SERVER_OVERWRITE:
        head_set_id(head, FIELD_SERVER, r->hcm->server_name);
        return;
    case SERVER_APPEND_IF_ABSENT:
        if (head_find_id(head, FIELD_SERVER) == NULL) {
            head_add_id(head, FIELD_SERVER, r->hcm->server_name);
        }
        return;
    case SERVER_PASS_THROUGH:
        return;
    }
}

bool headers_prepare_response(struct request *r, struct head *head)
{
    struct err err;
    bool local = r->up == NULL;
    if (!local && !head_strip_hop_by_hop(head, &err)) {
        return false;
    }
    if (!local && !r->hcm->suppress_envoy_headers && r->host.apim.match == NULL) {
        int64_t took = (r->record.upstream_response_us - r->record.upstream_start_us) / 1000;
        head_set_id(head, FIELD_X_ENVOY_UPSTREAM_SERVICE_TIME, arena_u64(head->arena, took < 0 ? 0 : (uint64_t)took));
    }
    if (head->status >= 200) {
        edit_all(&r->route, head, true);
    }
    if (r->hcm->always_set_request_id_in_response) {
        head_set_id(head, FIELD_X_REQUEST_ID, r->host.correlation_id);
    }
    if (head_find_id(head, FIELD_DATE) == NULL && head->status >= 200) {
        head_add_id(head, FIELD_DATE, http_date(r));
    }
    if (head->status >= 200 && r->host.apim.match == NULL) {
        set_server(r, head);
    }
    if (r->hcm->via.n > 0) {
        head_add_id(head, FIELD_VIA, r->hcm->via);
    }
    return true;
}
