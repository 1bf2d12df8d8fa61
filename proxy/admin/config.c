/* What is configured: /config_dump, /clusters, /listeners, /certs. */
#include "base/map.h"
#include "base/mem.h"
#include "proxy/admin/internal.h"

static void answer_dump(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    static const char *const unsupported[] = {"resource", "mask", "name_regex"};
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        if (query_has(request, unsupported[i], NULL)) {
            reply_error(reply, 400, "resource, mask and name_regex are not supported: the dump is always whole");
            return;
        }
    }
    reply_json(reply);
    store_dump(a->config.store, &reply->body);
}

static void answer_clusters(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    if (query_is(request, "format", "json")) {
        reply_json(reply);
        clusters_json(a, &reply->body);
    } else {
        clusters_text(a, &reply->body);
    }
}

/* ---- listeners ---- */

/* The port that the system gave where 0 was asked for. */
static struct addr bound_address(const struct admin *a, const struct listener_conf *l)
{
    struct addr bound = l->addr;
    int fd = a->config.sockets == NULL ? -1 : listen_sockets_fd(a->config.sockets, &l->addr);
    if (fd >= 0) {
        bound.len = sizeof bound.un;
        if (getsockname(fd, &bound.sa, &bound.len) != 0) {
            bound = l->addr;
        }
    }
    return bound;
}

static void add_listener_text(const struct listener_conf *l, const struct addr *addr, struct strbuf *out)
{
    char text[ADDR_TEXT];
    strbuf_printf(out, "%.*s::%s%.*s\n", SLICE_ARG(l->name), l->internal ? "envoy://" : addr_text(addr, text),
                  SLICE_ARG(l->internal ? l->name : SLICE_NONE));
}

static void add_listener_json(const struct listener_conf *l, const struct addr *addr, struct strbuf *out)
{
    char text[ADDR_TEXT];
    strbuf_add_str(out, "{\"name\":");
    strbuf_add_json(out, l->name);
    strbuf_add_str(out, ",\"local_address\":{");
    if (l->internal) {
        strbuf_add_str(out, "\"envoy_internal_address\":{\"server_listener_name\":");
        strbuf_add_json(out, l->name);
        strbuf_add_str(out, "}}}");
    } else if (addr->sa.sa_family == AF_UNIX) {
        strbuf_add_str(out, "\"pipe\":{\"path\":");
        strbuf_add_json(out, slice_of(addr_text(addr, text)));
        strbuf_add_str(out, "}}}");
    } else {
        strbuf_add_str(out, "\"socket_address\":{\"address\":");
        strbuf_add_json(out, slice_of(addr_ip_text(addr, text)));
        strbuf_printf(out, ",\"port_value\":%u}}}", addr_port(addr));
    }
}

static void answer_listeners(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    const struct snapshot *snapshot = store_snapshot(a->config.store);
    bool json = query_is(request, "format", "json");
    if (json) {
        reply_json(reply);
        strbuf_add_str(&reply->body, "{\"listener_statuses\":[");
    }
    for (size_t i = 0; i < snapshot_listener_count(snapshot); i++) {
        const struct listener_conf *l = snapshot_listener_at(snapshot, i);
        struct addr addr = bound_address(a, l);
        if (json && i > 0) {
            strbuf_add_char(&reply->body, ',');
        }
        (json ? add_listener_json : add_listener_text)(l, &addr, &reply->body);
    }
    if (json) {
        strbuf_add_str(&reply->body, "]}\n");
    }
}

/* ---- certificates ---- */

struct seen {
    struct map *hashes;
    void (*visit)(void *ctx, const struct tls_context *c);
    void *ctx;
};

static void see(struct seen *s, const struct tls_context *c)
{
    if (c != NULL && !map_has(s->hashes, tls_context_hash(c))) {
        map_put(s->hashes, tls_context_hash(c), s);
        s->visit(s->ctx, c);
    }
}

void certs_each(const struct snapshot *snapshot, void (*visit)(void *ctx, const struct tls_context *c), void *ctx)
{
    struct seen s = {.hashes = map_create(NULL), .visit = visit, .ctx = ctx};
    for (size_t i = 0; i < snapshot_listener_count(snapshot); i++) {
        const struct listener_conf *l = snapshot_listener_at(snapshot, i);
        for (size_t k = 0; k < l->n_chains; k++) {
            see(&s, l->chains[k].tls);
        }
        see(&s, l->default_chain == NULL ? NULL : l->default_chain->tls);
    }
    for (size_t i = 0; i < snapshot_cluster_count(snapshot); i++) {
        see(&s, snapshot_cluster_at(snapshot, i)->tls);
    }
    map_destroy(&s.hashes);
}

static void add_cert(void *ctx, const struct tls_context *c)
{
    struct strbuf *out = ctx;
    char *chain = tls_context_describe(c);
    if (chain[0] == '[' && chain[1] != ']') { /* a client without a certificate of its own has none to show */
        strbuf_printf(out, "%s{\"ca_cert\":[],\"cert_chain\":%s}", out->p[out->n - 1] == '}' ? "," : "", chain);
    }
    mem_free(chain);
}

static void answer_certs(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    (void)request;
    reply_json(reply);
    strbuf_add_str(&reply->body, "{\"certificates\":[");
    certs_each(store_snapshot(a->config.store), add_cert, &reply->body);
    strbuf_add_str(&reply->body, "]}\n");
}

const struct endpoint endpoints_config[] = {
    {"/config_dump", false, "the configuration in force, secrets redacted", answer_dump},
    {"/clusters", false, "clusters and their hosts; ?format=json", answer_clusters},
    {"/listeners", false, "listeners and their addresses; ?format=json", answer_listeners},
    {"/certs", false, "certificates in use and when they expire", answer_certs},
    {NULL, false, NULL, NULL},
};
