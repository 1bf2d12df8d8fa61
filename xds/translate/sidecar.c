/*
 * What a sidecar listens on: HTTP, HTTPS with a chain for each host name's certificate, and one virtual host that is
 * answered from the API table.
 */
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "xds/translate/fill.h"
#include "xds/translate/group.h"

enum { HTTP_PORT = 8080, HTTPS_PORT = 8081 };

struct names {
    const Egret__Control__V1__HostName **items; /* by name, each once; the group's own before a general one */
    size_t n;
    const Egret__Control__V1__HostName *by_default; /* without SNI; NULL: no certificate at all */
};

static const Egret__Control__V1__Sidecar *settings_of(const Egret__Control__V1__Config *config, const char *gateway)
{
    static const Egret__Control__V1__Sidecar none = EGRET__CONTROL__V1__SIDECAR__INIT;
    const Egret__Control__V1__Sidecar *general = &none;
    for (size_t i = 0; i < config->n_sidecars; i++) {
        const Egret__Control__V1__Sidecar *s = config->sidecars[i];
        if (strcmp(s->gateway_id, gateway) == 0) {
            return s;
        }
        if (s->gateway_id[0] == '\0') {
            general = s;
        }
    }
    return general;
}

static const Egret__Control__V1__Sidecar *settings(const struct group *g)
{
    return settings_of(g->in->config, g->cluster);
}

static const char *listen_address(const Egret__Control__V1__Sidecar *s)
{
    return s->address[0] == '\0' ? "127.0.0.1" : s->address;
}

static int by_name(const void *a, const void *b)
{
    const Egret__Control__V1__HostName *x = *(Egret__Control__V1__HostName *const *)a;
    const Egret__Control__V1__HostName *y = *(Egret__Control__V1__HostName *const *)b;
    int c = strcasecmp(x->name, y->name);
    return c != 0 ? c : (x->gateway_id[0] == '\0') - (y->gateway_id[0] == '\0');
}

static bool has_certificate(const Egret__Control__V1__HostName *h)
{
    return h->certificate[0] != '\0';
}

static struct names host_names(struct group *g)
{
    const Egret__Control__V1__Config *c = g->in->config;
    struct names out = {.items = arena_alloc(g->arena, (c->n_host_names + 1) * sizeof out.items[0])};
    for (size_t i = 0; i < c->n_host_names; i++) {
        const Egret__Control__V1__HostName *h = c->host_names[i];
        if (h->gateway_id[0] != '\0' && strcmp(h->gateway_id, g->cluster) != 0) {
            continue;
        }
        out.items[out.n++] = h;
        bool better = out.by_default == NULL || (h->is_default && !out.by_default->is_default);
        if (has_certificate(h) && better) {
            out.by_default = h;
        }
    }
    if (out.n > 0) {
        qsort(out.items, out.n, sizeof out.items[0], by_name);
    }
    size_t kept = 0;
    for (size_t i = 0; i < out.n; i++) {
        if (kept == 0 || strcasecmp(out.items[kept - 1]->name, out.items[i]->name) != 0) {
            out.items[kept++] = out.items[i];
        }
    }
    out.n = kept;
    return out;
}

static const char ACCESS_LOG[] = "[{'name': 'egret.access_loggers.gateway_logs', 'typed_config': {"
                                 "  '@type': '@/egret.config.v1.GatewayLogs', 'path': $s, 'format': $s}}]";

static const char *access_log(struct arena *a, const Egret__Control__V1__Sidecar *s)
{
    return fill(a, ACCESS_LOG, s->access_log[0] == '\0' ? "/dev/stdout" : s->access_log,
                strcmp(s->access_log_format, "json") == 0 ? "JSON" : "TEXT");
}

static const char CONNECTION_MANAGER[] =
    "{'name': 'envoy.filters.network.http_connection_manager', 'typed_config': {"
    "  '@type': '@/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',"
    "  'stat_prefix': $s, 'normalize_path': true,"
    "  'rds': {'config_source': {'ads': {}, 'resource_api_version': 'V3'}, 'route_config_name': 'apim'},"
    "  'http_filters': ["
    "    {'name': 'egret.apim', 'typed_config': {'@type': '@/egret.apim.v1.ApimFilter',"
    "      'gateway_id': $s, 'region': $s, 'reject_invalid_key_on_open_api': true}},"
    "    {'name': 'envoy.filters.http.router', 'typed_config': {"
    "      '@type': '@/envoy.extensions.filters.http.router.v3.Router'}}],"
    "  'access_log': $r}}";

static const char *connection_manager(struct group *g, const char *stat_prefix)
{
    const struct catalog_gateway *gateway = group_gateway(g);
    return fill(g->arena, CONNECTION_MANAGER, stat_prefix, g->cluster, gateway == NULL ? "" : gateway->region,
                access_log(g->arena, settings(g)));
}

static void http_listener(struct group *g, const Egret__Control__V1__Sidecar *s)
{
    uint32_t port = s->http_port == 0 ? HTTP_PORT : s->http_port;
    group_add_json(g, TYPE_LISTENER, "http",
                   fill(g->arena, "{'name': 'http', 'address': $r, 'filter_chains': [{'filters': [$r]}]}",
                        json_address(g->arena, listen_address(s), port), connection_manager(g, "http")));
}

static const char CHAIN[] =
    "{$r'transport_socket': {'name': 'envoy.transport_sockets.tls', 'typed_config': {"
    "  '@type': '@/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',"
    "  'common_tls_context': {'alpn_protocols': ['h2', 'http/1.1'], 'tls_certificates': [$r]}}}, 'filters': [$r]}";

static const char *chain(struct group *g, const Egret__Control__V1__HostName *h, bool by_default)
{
    struct arena *a = g->arena;
    const char *match = by_default ? "" : fill(a, "'filter_chain_match': {'server_names': [$s]}, ", h->name);
    struct json_certificate own = {h->certificate, h->private_key};
    return fill(a, CHAIN, match, json_certificate(a, own), connection_manager(g, "https"));
}

static const char HTTPS[] =
    "{'name': 'https', 'address': $r, 'listener_filters': [{"
    "  'name': 'envoy.filters.listener.tls_inspector', 'typed_config': {"
    "    '@type': '@/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector'}}], 'filter_chains': $r}";

static void https_listener(struct group *g, const Egret__Control__V1__Sidecar *s, const struct names *names)
{
    const char **chains = arena_alloc(g->arena, (names->n + 1) * sizeof chains[0]);
    size_t n = 0;
    for (size_t i = 0; i < names->n; i++) {
        if (has_certificate(names->items[i])) {
            chains[n++] = chain(g, names->items[i], false);
        }
    }
    chains[n++] = chain(g, names->by_default, true);
    uint32_t port = s->https_port == 0 ? HTTPS_PORT : s->https_port;
    group_add_json(
        g, TYPE_LISTENER, "https",
        fill(g->arena, HTTPS, json_address(g->arena, listen_address(s), port), fill_list(g->arena, chains, n)));
}

void sidecar_listeners(struct group *g)
{
    const Egret__Control__V1__Sidecar *s = settings(g);
    struct names names = host_names(g);
    http_listener(g, s);
    if (names.by_default != NULL) {
        https_listener(g, s, &names);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Host names, and the addresses by which a caller on this host may name the listener itself. */
static const char *domains(struct group *g)
{
    struct arena *a = g->arena;
    struct names names = host_names(g);
    const char *service = g->in->config->service_name;
    if (names.n == 0 && service[0] == '\0') {
        return "[\"*\"]";
    }
    const char **texts = arena_alloc(a, (names.n + 5) * sizeof texts[0]);
    size_t n = 0;
    for (size_t i = 0; i < names.n; i++) {
        texts[n++] = names.items[i]->name;
    }
    if (service[0] != '\0') {
        texts[n++] = arena_printf(a, "%s.azure-api.net", service);
    }
    const char *own = listen_address(settings(g));
    texts[n++] = "127.0.0.1";
    texts[n++] = "[::1]";
    texts[n++] = "localhost";
    texts[n++] = strchr(own, ':') != NULL ? arena_printf(a, "[%s]", own) : own;
    for (size_t i = 0; i < n; i++) {
        char *lower = arena_str(a, slice_of(texts[i]));
        for (char *p = lower; *p != '\0'; p++) {
            *p = ascii_lower(*p);
        }
        texts[i] = lower;
    }
    qsort(texts, n, sizeof texts[0], by_text);
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || strcmp(texts[kept - 1], texts[i]) != 0) {
            texts[kept++] = texts[i];
        }
    }
    return fill_strings(a, texts, kept);
}

static bool domain_fits(struct slice pattern, struct slice host)
{
    if (!slice_starts_with(pattern, SLICE("*"))) {
        return slice_eq_nocase(pattern, host);
    }
    return pattern.n == 1 || (host.n >= pattern.n && slice_ends_with_nocase(host, slice_from(pattern, 1)));
}

bool translate_serves_host(const Egret__Control__V1__Config *c, const char *gateway, const char *host)
{
    static const char *const own[] = {"127.0.0.1", "[::1]", "localhost"};
    struct slice name = slice_of(host), rest = name, label = slice_cut(&rest, '.');
    bool known = c->n_host_names == 0 && c->service_name[0] == '\0'; /* then every host is answered */
    for (size_t i = 0; i < c->n_host_names; i++) {
        const Egret__Control__V1__HostName *h = c->host_names[i];
        bool mine = h->gateway_id[0] == '\0' || gateway[0] == '\0' || strcmp(h->gateway_id, gateway) == 0;
        known |= mine && domain_fits(slice_of(h->name), name);
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        known |= slice_eq_nocase(slice_of(own[i]), name);
    }
    known |= c->service_name[0] != '\0' && slice_eq_nocase(label, slice_of(c->service_name)) &&
             slice_eq_nocase(rest, SLICE("azure-api.net"));
    return known || slice_eq_nocase(name, slice_of(listen_address(settings_of(c, gateway))));
}

static const char ROUTES[] = "{'name': 'apim', 'ignore_port_in_host_matching': true, 'virtual_hosts': [{"
                             "  'name': 'apim', 'domains': $r, 'typed_per_filter_config': {'egret.apim': {'@type': "
                             "'@/egret.apim.v1.ApiTable'}}}]}";

void sidecar_routes(struct group *g)
{
    group_add_json(g, TYPE_ROUTES, "apim", fill(g->arena, ROUTES, domains(g)));
}
