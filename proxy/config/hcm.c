/* HttpConnectionManager → hcm_conf. */
#include "proxy/config/listener.h"
#include "proxy/config/protocol.h"
#include "proxy/config/routes.h"
#include "proxy/route/path.h"

#define HCM(x) ENVOY__EXTENSIONS__FILTERS__NETWORK__HTTP_CONNECTION_MANAGER__V3__HTTP_CONNECTION_MANAGER__##x

enum {
    STREAM_IDLE_MS = 5 * 60 * 1000,
    REQUEST_HEADERS_MS = 10000, /* Envoy: none */
};

/* ---- routes ---- */

static void drop_routes(void *object)
{
    struct route_table *t = object;
    route_table_unref(&t);
}

static bool read_rds(struct reader *r, const pb_rds *m, struct hcm_conf *out)
{
    size_t mark = read_push(r, "rds");
    if (!read_ads(r, "config_source", m->config_source)) {
        return false;
    }
    if (m->route_config_name[0] == '\0') {
        return read_required(r, "route_config_name");
    }
    out->route_name = read_text(r, m->route_config_name);
    read_need(r, TYPE_ROUTES, out->route_name);
    read_pop(r, mark);
    return true;
}

static bool read_routes(struct reader *r, const pb_hcm *m, struct hcm_conf *out)
{
    switch ((int)m->route_specifier_case) {
    case HCM(ROUTE_SPECIFIER_RDS):
        return read_rds(r, m->rds, out);
    case HCM(ROUTE_SPECIFIER_ROUTE_CONFIG): {
        size_t mark = read_push(r, "route_config");
        out->inline_routes = routes_create(r, m->route_config, true);
        if (out->inline_routes == NULL) {
            return false;
        }
        read_own(r, drop_routes, out->inline_routes);
        read_pop(r, mark);
        return true;
    }
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of rds, route_config is required");
    }
}

/* ---- HTTP filters ---- */

static bool is_router(const pb_http_filter *m)
{
    const pb_type *type = &envoy__extensions__filters__http__router__v3__router__descriptor;
    return m->typed_config != NULL && slice_eq(any_type_name(m->typed_config), slice_of(type->name));
}

static bool read_router(struct reader *r, const pb_http_filter *m, struct hcm_conf *out)
{
    const pb_message *typed = NULL;
    if (m->disabled) {
        return read_fail(r, "disabled", ERR_INPUT, "has no meaning for the router");
    }
    if (!read_any(r, "typed_config", m->typed_config, &typed)) {
        return false;
    }
    out->suppress_envoy_headers = ((const pb_router *)(const void *)typed)->suppress_envoy_headers != 0;
    return true;
}

/* *count grows by one unless the filter is optional and unknown. */
static bool read_filter(struct reader *r, const pb_http_filter *m, struct filter_conf *list, size_t *count)
{
    if (m->name[0] == '\0') {
        return read_required(r, "name");
    }
    if (m->typed_config == NULL) {
        return read_required(r, "typed_config");
    }
    struct filter_conf *f = &list[*count];
    f->name = read_text(r, m->name);
    f->disabled = m->disabled != 0;
    size_t mark = read_push(r, "typed_config");
    if (!read_extension(r, EXTENSION_HTTP_FILTER, m->typed_config, &f->type, &f->config)) {
        return false;
    }
    read_pop(r, mark);
    *count += f->type != NULL;
    return f->type != NULL || m->is_optional ||
           read_fail(r, "typed_config", ERR_UNSUPPORTED, "type \"%.200s\" is not supported by Egret as an HTTP filter",
                     m->typed_config->type_url);
}

static bool read_filters(struct reader *r, const pb_hcm *m, struct hcm_conf *out)
{
    struct filter_conf *list = read_list(r, m->n_http_filters, sizeof *list);
    for (size_t i = 0; i < m->n_http_filters; i++) {
        size_t mark = read_push_at(r, "http_filters", i);
        bool last = i + 1 == m->n_http_filters;
        if (is_router(m->http_filters[i]) != last) {
            return read_fail(r, NULL, ERR_INPUT, "the router must be the last filter, and only there");
        }
        if (last ? !read_router(r, m->http_filters[i], out)
                 : !read_filter(r, m->http_filters[i], list, &out->n_filters)) {
            return false;
        }
        read_pop(r, mark);
    }
    out->filters = list;
    return m->n_http_filters > 0 || read_fail(r, "http_filters", ERR_INPUT, "the router is required");
}

static bool read_upgrades(struct reader *r, const pb_hcm *m, struct hcm_conf *out)
{
    struct upgrade_conf *list = read_list(r, m->n_upgrade_configs, sizeof *list);
    for (size_t i = 0; i < m->n_upgrade_configs; i++) {
        size_t mark = read_push_at(r, "upgrade_configs", i);
        if (!read_header_value(r, "upgrade_type", m->upgrade_configs[i]->upgrade_type, &list[i].type)) {
            return false;
        }
        if (list[i].type.n == 0) {
            return read_required(r, "upgrade_type");
        }
        list[i].enabled = read_bool(m->upgrade_configs[i]->enabled, true);
        read_pop(r, mark);
    }
    out->upgrades = list;
    out->n_upgrades = m->n_upgrade_configs;
    return true;
}

/* ---- protocol, time, headers ---- */

static bool read_protocol(struct reader *r, const pb_hcm *m, struct hcm_conf *out)
{
    if (m->codec_type == HCM(CODEC_TYPE__HTTP3)) {
        return read_fail(r, "codec_type", ERR_UNSUPPORTED, "HTTP3 is not supported by Egret");
    }
    out->codec = (int)m->codec_type; /* AUTO, HTTP1, HTTP2 as enum http_codec has them */
    struct protocol p;
    protocol_init(&p, &r->env->limits, true);
    if (!protocol_head_kb(r, "max_request_headers_kb", m->max_request_headers_kb, &p) ||
        !protocol_common(r, "common_http_protocol_options", m->common_http_protocol_options, &p) ||
        !protocol_http1(r, "http_protocol_options", m->http_protocol_options, &p) ||
        !protocol_http2(r, "http2_protocol_options", m->http2_protocol_options, &p)) {
        return false;
    }
    if (p.keepalive_interval_ms > 0) {
        return read_fail(r, "http2_protocol_options.connection_keepalive", ERR_UNSUPPORTED,
                         "not supported by Egret for clients' connections");
    }
    out->h1 = p.h1;
    out->h2 = p.h2;
    out->idle_timeout_ms = p.idle_timeout_ms;
    out->max_connection_duration_ms = p.max_connection_duration_ms;
    out->max_stream_duration_ms = p.max_stream_duration_ms;
    out->max_requests = p.max_requests;
    return true;
}

static bool read_times(struct reader *r, const pb_hcm *m, struct hcm_conf *out)
{
    bool ok = read_ms(r, "stream_idle_timeout", m->stream_idle_timeout, (struct ms_rule){STREAM_IDLE_MS, 0},
                   &out->stream_idle_timeout_ms) &&
           read_ms(r, "request_timeout", m->request_timeout, (struct ms_rule){0, 0}, &out->request_timeout_ms) &&
           read_ms(r, "request_headers_timeout", m->request_headers_timeout, (struct ms_rule){REQUEST_HEADERS_MS, 0},
                   &out->request_headers_timeout_ms) &&
           read_ms(r, "delayed_close_timeout", m->delayed_close_timeout,
                   (struct ms_rule){r->env->limits.lingering_close_ms, 0}, &out->delayed_close_ms);
    out->delayed_close_ms = out->delayed_close_ms == 0 ? 1 : out->delayed_close_ms; /* 0s: not at all */
    return ok;
}

static bool read_identity(struct reader *r, const pb_hcm *m, struct hcm_conf *out)
{
    static const enum server_header server[] = {SERVER_OVERWRITE, SERVER_APPEND_IF_ABSENT, SERVER_PASS_THROUGH};
    static const enum client_cert_header xfcc[] = {XFCC_SANITIZE, XFCC_FORWARD_ONLY, XFCC_APPEND_FORWARD,
                                                   XFCC_SANITIZE_SET, XFCC_ALWAYS_FORWARD};
    out->server_header = server[m->server_header_transformation];
    out->xfcc = xfcc[m->forward_client_cert_details];
    if (m->set_current_client_cert_details != NULL) {
        out->xfcc_subject = read_bool(m->set_current_client_cert_details->subject, false);
        out->xfcc_dns = m->set_current_client_cert_details->dns != 0;
        out->xfcc_uri = m->set_current_client_cert_details->uri != 0;
    }
    const char *name = m->server_name[0] == '\0' ? "envoy" : m->server_name;
    return read_header_value(r, "server_name", name, &out->server_name) && read_header_value(r, "via", m->via, &out->via);
}

static bool read_path_rules(struct reader *r, const pb_hcm *m, struct hcm_conf *out)
{
    out->normalize_path = read_bool(m->normalize_path, false);
    out->merge_slashes = m->merge_slashes != 0;
    switch ((int)m->path_with_escaped_slashes_action) {
    case HCM(PATH_WITH_ESCAPED_SLASHES_ACTION__REJECT_REQUEST):
        out->escaped_slashes = PATH_SLASHES_REJECT;
        break;
    case HCM(PATH_WITH_ESCAPED_SLASHES_ACTION__UNESCAPE_AND_REDIRECT):
        out->escaped_slashes = PATH_SLASHES_UNESCAPE_REDIRECT;
        break;
    case HCM(PATH_WITH_ESCAPED_SLASHES_ACTION__UNESCAPE_AND_FORWARD):
        out->escaped_slashes = PATH_SLASHES_UNESCAPE;
        break;
    default:
        out->escaped_slashes = PATH_SLASHES_KEEP;
    }
    out->strip_matching_host_port = m->strip_matching_host_port != 0;
    out->strip_any_host_port = m->strip_port_mode_case == HCM(STRIP_PORT_MODE_STRIP_ANY_HOST_PORT) && m->strip_any_host_port;
    out->strip_trailing_host_dot = m->strip_trailing_host_dot != 0;
    return !(out->strip_matching_host_port && out->strip_any_host_port) ||
           read_fail(r, "strip_any_host_port", ERR_INPUT, "excluded by strip_matching_host_port");
}

static void read_request_rules(const pb_hcm *m, struct hcm_conf *out)
{
    out->use_remote_address = read_bool(m->use_remote_address, false);
    out->skip_xff_append = m->skip_xff_append != 0;
    out->generate_request_id = read_bool(m->generate_request_id, true);
    out->preserve_external_request_id = m->preserve_external_request_id != 0;
    out->always_set_request_id_in_response = m->always_set_request_id_in_response != 0;
    out->proxy_100_continue = m->proxy_100_continue != 0;
}

bool hcm_read(struct reader *r, const pb_hcm *m, struct hcm_conf *out)
{
    if (m->stat_prefix[0] == '\0') {
        return read_required(r, "stat_prefix");
    }
    out->stat_prefix = read_text(r, m->stat_prefix);
    out->n_access_logs = m->n_access_log;
    read_request_rules(m, out);
    return read_protocol(r, m, out) && read_times(r, m, out) && read_identity(r, m, out) &&
           read_path_rules(r, m, out) && read_upgrades(r, m, out) && read_filters(r, m, out) &&
           access_logs_read(r, m->access_log, m->n_access_log, &out->access_logs) && read_routes(r, m, out);
}
