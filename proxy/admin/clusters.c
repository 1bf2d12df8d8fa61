/*
 * /clusters: what is configured of each cluster, then its hosts with their figures. Workers describe their own hosts as
 * lines "cluster::host::name::value"; figures that count something are added up here, of all else the first is shown.
 */
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "proxy/admin/internal.h"

enum { FIGURES_MAX = 32 };

struct figure {
    struct slice name, text;
    uint64_t sum;
    bool counted;
};

struct host {
    struct slice cluster, name;
    struct figure figures[FIGURES_MAX];
    size_t n;
};

struct hosts {
    struct strbuf text; /* the workers' lines: everything points into it */
    struct map *by_key; /* "cluster::host" */
};

/* Cuts what stands behind the last "::" off the line. */
static bool cut_last(struct slice *line, struct slice *last)
{
    for (size_t i = line->n; i >= 2; i--) {
        if (line->p[i - 1] == ':' && line->p[i - 2] == ':') {
            *last = slice_from(*line, i);
            line->n = i - 2;
            return true;
        }
    }
    return false;
}

static void add_figure(struct host *h, struct slice name, struct slice value)
{
    uint64_t number = 0;
    bool counted = (slice_starts_with(name, SLICE("cx_")) || slice_starts_with(name, SLICE("rq_"))) &&
                   slice_to_u64(value, &number);
    for (size_t i = 0; i < h->n; i++) {
        if (slice_eq(h->figures[i].name, name)) {
            h->figures[i].sum += number;
            return;
        }
    }
    if (h->n < FIGURES_MAX) {
        h->figures[h->n++] = (struct figure){.name = name, .text = value, .sum = number, .counted = counted};
    }
}

static void add_line(struct hosts *hosts, struct slice line)
{
    struct slice value, name;
    if (!cut_last(&line, &value) || !cut_last(&line, &name)) {
        return;
    }
    struct host *h = map_get(hosts->by_key, line);
    if (h == NULL) {
        size_t mark = slice_search(line, SLICE("::"));
        h = mem_alloc(sizeof *h);
        h->cluster = slice_sub(line, 0, mark);
        h->name = slice_from(line, mark + 2);
        map_put(hosts->by_key, line, h);
    }
    add_figure(h, name, value);
}

static void hosts_read(struct hosts *hosts, struct admin *a)
{
    strbuf_init(&hosts->text);
    hosts->by_key = map_create(mem_free);
    if (a->sources->hosts != NULL) {
        a->sources->hosts(a->ctx, &hosts->text);
    }
    for (struct slice rest = strbuf_slice(&hosts->text); rest.n > 0;) {
        add_line(hosts, slice_cut(&rest, '\n'));
    }
}

static void hosts_fini(struct hosts *hosts)
{
    map_destroy(&hosts->by_key);
    strbuf_fini(&hosts->text);
}

/* ---- text ---- */

static void add_breakers(const struct cluster_conf *c, struct strbuf *out)
{
    static const char *const priorities[] = {"default", "high"};
    for (size_t i = 0; i < 2; i++) {
        const struct breaker_conf *b = &c->breakers[i];
        const struct {
            const char *name;
            uint32_t value;
        } rows[] = {{"connections", b->max_connections},
                    {"pending_requests", b->max_pending},
                    {"requests", b->max_requests},
                    {"retries", b->max_retries}};
        for (size_t k = 0; k < 4; k++) {
            strbuf_printf(out, "%.*s::%s_priority::max_%s::%u\n", SLICE_ARG(c->name), priorities[i], rows[k].name,
                          rows[k].value);
        }
    }
}

static struct slice observability_name(const struct cluster_conf *c)
{
    return c->alt_stat_name.n > 0 ? c->alt_stat_name : c->name;
}

static void add_hosts_text(const struct hosts *hosts, struct slice cluster, struct strbuf *out)
{
    for (struct map_item *i = map_first(hosts->by_key); i != NULL; i = map_next(i)) {
        const struct host *h = map_value(i);
        for (size_t k = 0; slice_eq(h->cluster, cluster) && k < h->n; k++) {
            const struct figure *f = &h->figures[k];
            strbuf_printf(out, "%.*s::%.*s::%.*s::", SLICE_ARG(cluster), SLICE_ARG(h->name), SLICE_ARG(f->name));
            if (f->counted) {
                strbuf_printf(out, "%llu\n", (unsigned long long)f->sum);
            } else {
                strbuf_printf(out, "%.*s\n", SLICE_ARG(f->text));
            }
        }
    }
}

void clusters_text(struct admin *a, struct strbuf *out)
{
    const struct snapshot *snapshot = store_snapshot(a->config.store);
    struct hosts hosts;
    hosts_read(&hosts, a);
    for (size_t i = 0; i < snapshot_cluster_count(snapshot); i++) {
        const struct cluster_conf *c = snapshot_cluster_at(snapshot, i);
        strbuf_printf(out, "%.*s::observability_name::%.*s\n", SLICE_ARG(c->name), SLICE_ARG(observability_name(c)));
        add_breakers(c, out);
        strbuf_printf(out, "%.*s::added_via_api::%s\n", SLICE_ARG(c->name), c->is_static ? "false" : "true");
        if (c->type == CLUSTER_EDS) {
            strbuf_printf(out, "%.*s::eds_service_name::%.*s\n", SLICE_ARG(c->name), SLICE_ARG(c->eds_name));
        }
        add_hosts_text(&hosts, c->name, out);
    }
    hosts_fini(&hosts);
}

/* ---- JSON: envoy.admin.v3.Clusters ---- */

static void add_address_json(struct slice host, struct strbuf *out)
{
    size_t colon = host.n;
    while (colon > 0 && host.p[colon - 1] != ':') {
        colon--;
    }
    uint64_t port;
    if (colon == 0 || !slice_to_u64(slice_from(host, colon), &port) || port > 65535) {
        strbuf_add_str(out, "{\"envoy_internal_address\":{\"server_listener_name\":");
        strbuf_add_json(out, host);
        strbuf_add_str(out, "}}");
        return;
    }
    struct slice ip = slice_sub(host, 0, colon - 1);
    bool bracketed = ip.n > 2 && ip.p[0] == '[';
    strbuf_add_str(out, "{\"socket_address\":{\"address\":");
    strbuf_add_json(out, bracketed ? slice_sub(ip, 1, ip.n - 2) : ip);
    strbuf_printf(out, ",\"port_value\":%u}}", (unsigned)port);
}

static bool is_gauge(struct slice name)
{
    return slice_ends_with(name, SLICE("_active"));
}

static void add_figures_json(const struct host *h, struct strbuf *out)
{
    bool first = true;
    strbuf_add_str(out, ",\"stats\":[");
    for (size_t i = 0; i < h->n; i++) {
        const struct figure *f = &h->figures[i];
        if (f->counted) {
            strbuf_printf(out, "%s{\"name\":\"%.*s\",\"type\":\"%s\",\"value\":\"%llu\"}", first ? "" : ",",
                          SLICE_ARG(f->name), is_gauge(f->name) ? "GAUGE" : "COUNTER", (unsigned long long)f->sum);
            first = false;
        }
    }
    strbuf_add_char(out, ']');
}

static void add_host_json(const struct host *h, struct strbuf *out)
{
    strbuf_add_str(out, "{\"address\":");
    add_address_json(h->name, out);
    add_figures_json(h, out);
    for (size_t i = 0; i < h->n; i++) {
        const struct figure *f = &h->figures[i];
        uint64_t number;
        if (slice_eq(f->name, SLICE("health_flags"))) {
            bool healthy = slice_eq(f->text, SLICE("healthy"));
            strbuf_printf(out, ",\"health_status\":{\"eds_health_status\":\"%s\"}", healthy ? "HEALTHY" : "UNHEALTHY");
        } else if (slice_eq(f->name, SLICE("hostname"))) {
            strbuf_add_str(out, ",\"hostname\":");
            strbuf_add_json(out, f->text);
        } else if ((slice_eq(f->name, SLICE("weight")) || slice_eq(f->name, SLICE("priority"))) &&
                   slice_to_u64(f->text, &number)) {
            strbuf_printf(out, ",\"%.*s\":%llu", SLICE_ARG(f->name), (unsigned long long)number);
        }
    }
    strbuf_add_char(out, '}');
}

static void add_cluster_json(const struct cluster_conf *c, const struct hosts *hosts, struct strbuf *out)
{
    strbuf_add_str(out, "{\"name\":");
    strbuf_add_json(out, c->name);
    strbuf_printf(out, ",\"added_via_api\":%s,\"observability_name\":", c->is_static ? "false" : "true");
    strbuf_add_json(out, observability_name(c));
    if (c->type == CLUSTER_EDS) {
        strbuf_add_str(out, ",\"eds_service_name\":");
        strbuf_add_json(out, c->eds_name);
    }
    strbuf_add_str(out, ",\"host_statuses\":[");
    bool first = true;
    for (struct map_item *i = map_first(hosts->by_key); i != NULL; i = map_next(i)) {
        const struct host *h = map_value(i);
        if (slice_eq(h->cluster, c->name)) {
            strbuf_add_str(out, first ? "" : ",");
            add_host_json(h, out);
            first = false;
        }
    }
    strbuf_add_str(out, "]}");
}

void clusters_json(struct admin *a, struct strbuf *out)
{
    const struct snapshot *snapshot = store_snapshot(a->config.store);
    struct hosts hosts;
    hosts_read(&hosts, a);
    strbuf_add_str(out, "{\"cluster_statuses\":[");
    for (size_t i = 0; i < snapshot_cluster_count(snapshot); i++) {
        strbuf_add_str(out, i > 0 ? "," : "");
        add_cluster_json(snapshot_cluster_at(snapshot, i), &hosts, out);
    }
    strbuf_add_str(out, "]}\n");
    hosts_fini(&hosts);
}
