#include "xds/status.h"

#include <string.h>

#include "base/clock.h"
#include "xds/explain.h"
#include "xds/problems.h"

/* Puts a comma before every item but the first. */
struct rows {
    struct strbuf *out;
    size_t n;
};

static void begin_row(struct rows *r)
{
    strbuf_add_str(r->out, r->n++ == 0 ? "" : ",");
}

static void text(struct strbuf *out, const char *key, const char *value)
{
    strbuf_printf(out, "\"%s\":", key);
    if (value == NULL) {
        strbuf_add_str(out, "null");
    } else {
        strbuf_add_json(out, slice_of(value));
    }
}

static void time_member(struct strbuf *out, const char *key, int64_t wall_us)
{
    char iso[32];
    if (wall_us != 0) {
        clock_format_iso(wall_us, iso);
    }
    text(out, key, wall_us == 0 ? NULL : iso);
}

static void own_fault(struct rows *r, const char *file, const char *object, const char *reason)
{
    begin_row(r);
    strbuf_add_char(r->out, '{');
    text(r->out, "kind", "FAULT");
    strbuf_add_char(r->out, ',');
    text(r->out, "file", file);
    strbuf_add_str(r->out, ",\"line\":0,\"column\":0,");
    text(r->out, "object", object);
    strbuf_add_char(r->out, ',');
    text(r->out, "reason", reason);
    strbuf_add_char(r->out, '}');
}

static void translate_fault(void *ctx, const char *group, const char *reason)
{
    own_fault(ctx, "", group, reason);
}

static size_t faults(const struct status_view *v, struct strbuf *out)
{
    struct rows r = {.out = out};
    const struct catalog *c = publish_newest(v->publish);
    strbuf_add_char(out, '[');
    for (size_t i = 0; i < v->trouble_count; i++) {
        own_fault(&r, v->troubles[i].file, "", v->troubles[i].reason);
    }
    publish_each_trouble(v->publish, translate_fault, &r);
    if (c == NULL) {
        own_fault(&r, v->folder, "", "nothing good was read yet: no proxy is answered");
    } else if (c->closed != NULL) {
        own_fault(&r, "", "", c->closed);
    }
    for (size_t i = 0; c != NULL && i < c->problem_count; i++) {
        begin_row(&r);
        problem_json(&c->problems[i], out);
    }
    strbuf_add_char(out, ']');
    return r.n;
}

static const char *state_text(const struct server_proxy *proxy, struct session_status status)
{
    return proxy->connected ? session_state_name(status.state) : "DISCONNECTED";
}

static void type_row(struct rows *r, const struct server_proxy *proxy, enum xds_type type)
{
    struct session_status status = {.state = SESSION_NOT_SENT, .version = ""};
    if (proxy->session != NULL) {
        status = session_status(proxy->session, type);
    }
    begin_row(r);
    strbuf_add_char(r->out, '{');
    text(r->out, "type", xds_type_name(type));
    strbuf_add_char(r->out, ',');
    text(r->out, "state", state_text(proxy, status));
    strbuf_add_char(r->out, ',');
    text(r->out, "reason", status.reason);
    strbuf_add_char(r->out, ',');
    text(r->out, "version", status.version);
    strbuf_printf(r->out, ",\"resources\":%zu,\"sent\":{\"responses\":%llu,\"resources\":%llu,\"bytes\":%llu}}",
                  status.resources, (unsigned long long)status.responses, (unsigned long long)status.resources_sent,
                  (unsigned long long)status.bytes_sent);
}

static void proxy_row(void *ctx, const struct server_proxy *proxy)
{
    struct rows *r = ctx;
    struct strbuf *out = r->out;
    begin_row(r);
    strbuf_add_char(out, '{');
    text(out, "node", proxy->node_id);
    strbuf_add_char(out, ',');
    text(out, "cluster", proxy->cluster);
    strbuf_add_char(out, ',');
    text(out, "peer", proxy->peer);
    strbuf_add_char(out, ',');
    text(out, "user_agent", proxy->user_agent);
    strbuf_printf(out, ",\"connected\":%s,\"protocol\":\"%s\",", proxy->connected ? "true" : "false",
                  proxy->delta ? "delta" : "state of the world");
    time_member(out, "since", proxy->since_us);
    strbuf_add_char(out, ',');
    time_member(out, "until", proxy->until_us);
    strbuf_add_str(out, ",\"types\":[");
    struct rows types = {.out = out};
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        if (proxy->egret || !xds_type_is_egret((enum xds_type)t)) {
            type_row(&types, proxy, (enum xds_type)t);
        }
    }
    strbuf_add_str(out, "]}");
}

static void proxies(const struct status_view *v, struct strbuf *out)
{
    struct rows r = {.out = out};
    strbuf_add_char(out, '[');
    server_each_proxy(v->server, proxy_row, &r);
    strbuf_add_char(out, ']');
}

struct tally {
    size_t connected, disconnected;
};

static void count_proxy(void *ctx, const struct server_proxy *proxy)
{
    struct tally *t = ctx;
    t->connected += proxy->connected ? 1 : 0;
    t->disconnected += proxy->connected ? 0 : 1;
}

static void summary(const struct status_view *v, struct strbuf *out)
{
    const struct catalog *c = publish_newest(v->publish);
    struct tally tally = {0, 0};
    server_each_proxy(v->server, count_proxy, &tally);
    strbuf_add_char(out, '{');
    text(out, "version", EGRET_VERSION);
    strbuf_add_char(out, ',');
    time_member(out, "since", v->since_us);
    strbuf_add_char(out, ',');
    text(out, "folder", v->folder);
    strbuf_printf(out, ",\"polling\":%s,", v->polling ? "true" : "false");
    time_member(out, "published", publish_time_us(v->publish));
    strbuf_add_str(out, ",\"served\":");
    if (c == NULL) {
        strbuf_add_str(out, "null");
    } else {
        struct catalog_counts counts = catalog_count(c);
        counts_json(&counts, out);
    }
    struct strbuf ignored;
    strbuf_init(&ignored);
    strbuf_printf(out, ",\"proxies\":{\"connected\":%zu,\"disconnected\":%zu},\"faults\":%zu}", tally.connected,
                  tally.disconnected, faults(v, &ignored));
    strbuf_fini(&ignored);
}

static void egress_row(void *ctx, const struct translate_egress_row *row)
{
    struct rows *r = ctx;
    begin_row(r);
    strbuf_add_char(r->out, '{');
    text(r->out, "host", row->host);
    strbuf_printf(r->out, ",\"port\":%u,", row->port);
    text(r->out, "gateway", row->gateway);
    strbuf_add_char(r->out, ',');
    text(r->out, "pool", row->pool);
    strbuf_add_char(r->out, ',');
    text(r->out, "address", row->source);
    strbuf_add_char(r->out, '}');
}

static void egress_ips(const struct status_view *v, struct strbuf *out)
{
    const Egret__Control__V1__Config *config = v->settings->config;
    const struct translate_input in = {
        .catalog = publish_newest(v->publish), .config = config, .macs = v->settings->macs};
    struct rows r = {.out = out};
    strbuf_add_str(out, "{\"destinations\":[");
    if (in.catalog != NULL) {
        translate_each_egress(&in, egress_row, &r);
    }
    strbuf_add_str(out, "],\"pools\":[");
    struct rows pools = {.out = out};
    for (size_t i = 0; i < config->n_pools; i++) {
        begin_row(&pools);
        strbuf_add_char(out, '{');
        text(out, "pool", config->pools[i]->name);
        strbuf_add_str(out, ",\"addresses\":[");
        struct rows addresses = {.out = out};
        for (size_t k = 0; k < config->pools[i]->n_addresses; k++) {
            begin_row(&addresses);
            strbuf_add_json(out, slice_of(config->pools[i]->addresses[k]));
        }
        strbuf_add_str(out, "]}");
    }
    strbuf_add_str(out, "]}");
}

static bool add_decoded(struct strbuf *out, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] != '%') {
            strbuf_add_char(out, text.p[i]);
            continue;
        }
        const char *hi = i + 2 < text.n ? strchr(digits, ascii_lower(text.p[i + 1])) : NULL;
        const char *lo = hi == NULL ? NULL : strchr(digits, ascii_lower(text.p[i + 2]));
        if (lo == NULL || *hi == '\0' || *lo == '\0') {
            return false;
        }
        strbuf_add_char(out, (char)((hi - digits) * 16 + (lo - digits)));
        i += 2;
    }
    return true;
}

/* /explain/<method>/<URL>[/<subscription>[/<gateway>[/<header>]…]], each percent-encoded, the optional ones may be empty. */
static bool explain(const struct status_view *v, const char *path, struct strbuf *out)
{
    enum { METHOD, URL, KEY, GATEWAY, HEADERS, PARTS = HEADERS + 16 };
    struct strbuf parts[PARTS];
    const char *texts[PARTS];
    struct slice rest = slice_of(path);
    size_t n = 0;
    bool ok = true;
    while (n < HEADERS || (rest.p != NULL && n < PARTS)) {
        strbuf_init(&parts[n]);
        ok = add_decoded(&parts[n], rest.p == NULL ? SLICE_NONE : slice_cut(&rest, '/')) && ok;
        texts[n] = strbuf_cstr(&parts[n]);
        n++;
    }
    const struct explain_request request = {texts[METHOD],  texts[URL],      texts[KEY],
                                            texts[GATEWAY], texts + HEADERS, n - HEADERS};
    const struct catalog *c = publish_newest(v->publish);
    ok = ok && c != NULL && rest.p == NULL && request.method[0] != '\0' && request.url[0] != '\0';
    if (ok) {
        explain_route(c, v->settings->config, &request, out);
    }
    while (n > 0) {
        strbuf_fini(&parts[--n]);
    }
    return ok;
}

static bool apis(const struct status_view *v, struct strbuf *out)
{
    const struct catalog *c = publish_newest(v->publish);
    if (c == NULL) {
        return false;
    }
    explain_apis(c, out);
    return true;
}

int status_answer(const struct status_view *view, const char *path, struct strbuf *body)
{
    bool known = true;
    if (strcmp(path, "/status") == 0) {
        summary(view, body);
    } else if (strcmp(path, "/faults") == 0) {
        faults(view, body);
    } else if (strcmp(path, "/proxies") == 0) {
        proxies(view, body);
    } else if (strcmp(path, "/egress-ips") == 0) {
        egress_ips(view, body);
    } else if (strcmp(path, "/apis") == 0) {
        known = apis(view, body);
    } else {
        known = strncmp(path, "/explain/", 9) == 0 && explain(view, path + 9, body);
    }
    if (!known) {
        strbuf_add_str(body, "{\"error\":\"/status, /faults, /proxies, /egress-ips, /apis and "
                             "/explain/<method>/<URL>[/<subscription>[/<gateway>[/<header>]...]] are served here\"}");
    }
    strbuf_add_char(body, '\n');
    return known ? 200 : 404;
}
