/* Backends as resources, with the cluster that carries each, and the secrets that their credentials refer to. */
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "pb/envoy/extensions/transport_sockets/tls/v3/secret.pb-c.h"
#include "xds/translate/apim.h"

typedef Envoy__Extensions__TransportSockets__Tls__V3__Secret pb_secret;
typedef Envoy__Extensions__TransportSockets__Tls__V3__GenericSecret pb_generic;
typedef Envoy__Config__Core__V3__DataSource pb_data;

struct credentials {
    const struct catalog_credential *items;
    size_t n;
};

/* The first secret of these credentials whose value is not known, or NULL. */
static const char *missing_secret(const struct catalog *c, struct credentials all)
{
    for (size_t i = 0; i < all.n; i++) {
        for (size_t p = 0; p < all.items[i].part_count; p++) {
            const char *secret = all.items[i].parts[p].literal == NULL ? all.items[i].parts[p].secret : NULL;
            const struct catalog_named_value *v = secret == NULL ? NULL : catalog_find_named_value(c, secret);
            if (secret != NULL && (v == NULL || v->value == NULL || v->o.closed != NULL)) {
                return secret;
            }
        }
    }
    return NULL;
}

static const char *backend_closed(const struct apim *m, const struct catalog_backend *b)
{
    const struct catalog *c = m->g->in->catalog;
    if (b->o.closed != NULL) {
        return b->o.closed;
    }
    const char *missing = missing_secret(c, (struct credentials){b->headers, b->header_count});
    missing = missing != NULL ? missing : missing_secret(c, (struct credentials){b->query, b->query_count});
    return missing == NULL
               ? NULL
               : arena_printf(m->g->arena, "%s:%u: the value of %s is not known", b->o.file, b->o.line, missing);
}

static Egret__Apim__V1__Value *make_value(struct apim *m, const struct catalog_credential *c)
{
    struct arena *a = m->g->arena;
    Egret__Apim__V1__Value *out = arena_alloc(a, sizeof *out);
    egret__apim__v1__value__init(out);
    out->n_parts = c->part_count;
    out->parts = arena_alloc(a, (c->part_count + 1) * sizeof out->parts[0]);
    for (size_t i = 0; i < c->part_count; i++) {
        Egret__Apim__V1__Value__Part *part = out->parts[i] = arena_alloc(a, sizeof *part);
        egret__apim__v1__value__part__init(part);
        if (c->parts[i].literal != NULL) {
            part->part_case = EGRET__APIM__V1__VALUE__PART__PART_LITERAL;
            part->literal = arena_str(a, slice_of(c->parts[i].literal));
        } else {
            part->part_case = EGRET__APIM__V1__VALUE__PART__PART_SECRET;
            part->secret = arena_str(a, slice_of(c->parts[i].secret));
            map_put(m->secrets, slice_of(c->parts[i].secret), NULL);
        }
    }
    return out;
}

static Egret__Apim__V1__NamedValue **make_values(struct apim *m, struct credentials all)
{
    struct arena *a = m->g->arena;
    Egret__Apim__V1__NamedValue **out = arena_alloc(a, (all.n + 1) * sizeof out[0]);
    for (size_t i = 0; i < all.n; i++) {
        out[i] = arena_alloc(a, sizeof *out[i]);
        egret__apim__v1__named_value__init(out[i]);
        out[i]->name = arena_str(a, slice_of(all.items[i].name));
        out[i]->value = make_value(m, &all.items[i]);
    }
    return out;
}

static void add_way(struct apim *m, const struct catalog_backend *b, struct translate_way way, Egret__Apim__V1__Backend *out)
{
    struct arena *a = m->g->arena;
    const char *cluster = backend_cluster(m->g, b, way);
    if (cluster != NULL) {
        Egret__Apim__V1__ProxiedCluster *p = out->proxied[out->n_proxied++] = arena_alloc(a, sizeof *p);
        egret__apim__v1__proxied_cluster__init(p);
        p->proxy = arena_str(a, slice_of(way.proxy));
        p->version = (Egret__Apim__V1__ForwardRequest__HttpVersion)way.http;
        p->cluster = arena_str(a, slice_of(cluster));
    }
}

/* Through each proxy that some program names; only https backends are reached so. */
static void add_proxied(struct apim *m, const struct catalog_backend *b, Egret__Apim__V1__Backend *out)
{
    const bool used[] = {[BACKEND_HTTP1] = true, [BACKEND_HTTP2] = m->http2, [BACKEND_HTTP2_OR_1] = m->http2_or_1};
    if (!b->https || map_count(m->proxies) == 0) {
        return;
    }
    out->proxied = arena_alloc(m->g->arena, map_count(m->proxies) * 3 * sizeof out->proxied[0]);
    for (struct map_item *i = map_first(m->proxies); i != NULL; i = map_next(i)) {
        const char *proxy = arena_str(m->g->arena, map_key(i));
        for (unsigned v = BACKEND_HTTP1; v <= BACKEND_HTTP2_OR_1; v++) {
            if (used[v]) {
                add_way(m, b, (struct translate_way){.http = v, .proxy = proxy}, out);
            }
        }
    }
}

static void add_backend(struct apim *m, const struct catalog_backend *b)
{
    struct arena *a = m->g->arena;
    const char *closed = backend_closed(m, b);
    Egret__Apim__V1__Backend out = EGRET__APIM__V1__BACKEND__INIT;
    out.name = arena_str(a, slice_of(b->o.name));
    out.url = arena_str(a, slice_of(b->url));
    out.closed = arena_str(a, slice_of(closed));
    if (closed == NULL) {
        out.cluster = arena_str(a, slice_of(backend_cluster(m->g, b, (struct translate_way){BACKEND_HTTP1, NULL})));
        if (m->http2) {
            out.http2_cluster = arena_str(a, slice_of(backend_cluster(m->g, b, (struct translate_way){BACKEND_HTTP2, NULL})));
        }
        if (m->http2_or_1 && b->https) { /* without TLS nothing tells which: HTTP/1 */
            out.http2_or_1_cluster = arena_str(a, slice_of(backend_cluster(m->g, b, (struct translate_way){BACKEND_HTTP2_OR_1, NULL})));
        }
        add_proxied(m, b, &out);
        out.base_path = arena_str(a, slice_of(b->base_path));
        out.authority = arena_str(a, slice_of(b->authority));
        out.n_headers = b->header_count;
        out.headers = make_values(m, (struct credentials){b->headers, b->header_count});
        out.n_query = b->query_count;
        out.query = make_values(m, (struct credentials){b->query, b->query_count});
    }
    group_add_message(m->g, TYPE_URL("egret.apim.v1.Backend"), b->o.name, &out.base);
}

static void add_secret(struct apim *m, const struct catalog_named_value *v)
{
    struct arena *a = m->g->arena;
    pb_data data;
    envoy__config__core__v3__data_source__init(&data);
    data.specifier_case = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING;
    data.inline_string = arena_str(a, slice_of(v->value));
    pb_generic generic;
    envoy__extensions__transport_sockets__tls__v3__generic_secret__init(&generic);
    generic.secret = &data;
    pb_secret secret;
    envoy__extensions__transport_sockets__tls__v3__secret__init(&secret);
    secret.name = arena_str(a, slice_of(v->o.name));
    secret.type_case = ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_GENERIC_SECRET;
    secret.generic_secret = &generic;
    group_add_message(m->g, TYPE_SECRET, v->o.name, &secret.base);
}

void apim_backends(struct apim *m)
{
    const struct catalog *c = m->g->in->catalog;
    for (size_t i = 0; i < c->backends.n; i++) {
        if (map_has(m->backends, slice_of(c->backends.items[i]->o.name))) {
            add_backend(m, c->backends.items[i]);
        }
    }
    for (size_t i = 0; i < c->named_values.n; i++) {
        if (map_has(m->secrets, slice_of(c->named_values.items[i]->o.name))) {
            add_secret(m, c->named_values.items[i]);
        }
    }
}
