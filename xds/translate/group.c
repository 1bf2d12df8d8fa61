#include "xds/translate/group.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/doc/doc.h"
#include "base/mem.h"
#include "proto/pack.h"
#include "proto/registry.h"
#include "proto/walk.h"
#include "xds/translate/fill.h"

const char JSON_KEEPALIVE[] = ", \"upstream_connection_options\": {\"tcp_keepalive\": {"
                              "  \"keepalive_time\": 60, \"keepalive_interval\": 15, \"keepalive_probes\": 4}}";

bool group_begins(struct group *g, const char *type_url, const char *name)
{
    struct slice key = slice_of(arena_printf(g->arena, "%s %s", type_url, name));
    if (map_has(g->done, key)) {
        return false;
    }
    map_put(g->done, key, NULL);
    return true;
}

void group_add_message(struct group *g, const char *type_url, const char *name, const ProtobufCMessage *message)
{
    if (g->failed) {
        return;
    }
    struct slice bytes = pack_message(message, g->arena);
    if (!g->sink->add(g->sink->ctx, slice_of(type_url), slice_of(name), bytes, g->err)) {
        g->failed = true;
    }
}

uint64_t source_of(const struct catalog_object *o, uint64_t with)
{
    uint64_t h = slice_hash(slice_make(&o->hash, sizeof o->hash), with);
    return h == 0 ? 1 : h;
}

bool group_reuse(struct group *g, const char *type_url, const char *name, uint64_t source)
{
    return g->failed ||
           (g->sink->reuse != NULL && g->sink->reuse(g->sink->ctx, slice_of(type_url), slice_of(name), source));
}

bool group_reuse_all(struct group *g, const char *type_url, uint64_t source)
{
    return g->failed || (g->sink->reuse_all != NULL && g->sink->reuse_all(g->sink->ctx, slice_of(type_url), source));
}

void group_add_json(struct group *g, const char *type_url, const char *name, const char *json)
{
    uint64_t text = slice_hash(slice_of(json), 1);
    if (g->failed || group_reuse(g, type_url, name, text == 0 ? 1 : text)) {
        return;
    }
    struct doc_source source = {.name = name, .bytes = slice_of(json), .format = DOC_JSON};
    const struct doc *doc = doc_parse(g->arena, source, NULL, g->err);
    struct walk walk = {.arena = g->arena};
    const ProtobufCMessage *m =
        doc == NULL ? NULL : walk_message(&walk, doc, registry_find(slice_of(type_url)), g->err);
    if (m == NULL) {
        g->failed = true;
        return;
    }
    group_add_message(g, type_url, name, m);
}

bool is_ip_literal(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

const char *host_port(struct arena *a, const char *host, uint32_t port)
{
    return arena_printf(a, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
}

const char *json_address(struct arena *a, const char *host, uint32_t port)
{
    return fill(a, "{'socket_address': {'address': $s, 'port_value': $u}}", host, port);
}

const char *json_endpoint(struct arena *a, const char *name, const char *address)
{
    return fill(a, "{'cluster_name': $s, 'endpoints': [{'lb_endpoints': [{'endpoint': {'address': $r}}]}]}", name,
                address);
}

const char *json_certificate(struct arena *a, struct json_certificate certificate)
{
    return fill(a, "{'certificate_chain': {'filename': $s}, 'private_key': {'filename': $s}}", certificate.chain,
                certificate.key);
}

const struct catalog_gateway *group_gateway(const struct group *g)
{
    char *name = arena_printf(g->arena, "gateways/%s", g->cluster);
    for (char *p = name; *p != '\0'; p++) {
        *p = ascii_lower(*p);
    }
    return catalog_find_gateway(g->in->catalog, name);
}
