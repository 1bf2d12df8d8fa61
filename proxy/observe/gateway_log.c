#include "proxy/observe/gateway_log.h"

#include <stdio.h>
#include <time.h>

#include "base/macros.h"

/* How one layout writes a field; everything above this is common to both. */
struct writer {
    const struct writer_ops *ops;
    struct line *out;
    unsigned fields;
};

struct writer_ops {
    void (*text)(struct writer *w, const char *name, struct slice value);
    void (*number)(struct writer *w, const char *name, int64_t value);
    void (*truth)(struct writer *w, const char *name, bool value);
    void (*time)(struct writer *w, const char *name, int64_t wall_us);
    void (*error)(struct writer *w, const char *name, const struct record_error *e);
    void (*errors)(struct writer *w, const char *name, const struct record_error *e, size_t n);
};

static void format_time(int64_t wall_us, const char *fmt, char text[32])
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(text, 32, fmt, &tm);
}

/* ---- one error, as JSON: on lines of its own (indent > 0: so deep) or compact ---- */

struct error_json {
    struct line *out;
    unsigned indent;
    bool any;
};

static void break_line(struct line *out, unsigned depth)
{
    line_add_char(out, '\n');
    for (unsigned i = 0; i < depth; i++) {
        line_add(out, SLICE("  "));
    }
}

static void error_name(struct error_json *j, const char *name)
{
    if (j->any) {
        line_add_char(j->out, ',');
    }
    j->any = true;
    if (j->indent > 0) {
        break_line(j->out, j->indent);
    }
    line_add_json(j->out, slice_of(name));
    line_add(j->out, j->indent > 0 ? SLICE(": ") : SLICE(":"));
}

static void error_text(struct error_json *j, const char *name, struct slice value)
{
    if (value.n > 0) {
        error_name(j, name);
        line_add_json(j->out, value);
    }
}

static void error_number(struct error_json *j, const char *name, int64_t value)
{
    error_name(j, name);
    line_add_i64(j->out, value);
}

/* An entry of the chain has neither reason nor transport code; those belong to the error that decided. */
static void write_error(struct line *out, const struct record_error *e, unsigned indent, bool deciding)
{
    struct error_json j = {.out = out, .indent = indent};
    line_add_char(out, '{');
    error_number(&j, "elapsed", e->elapsed_us / 1000);
    error_text(&j, "source", e->source);
    error_text(&j, "scope", e->scope);
    error_text(&j, "path", e->path);
    error_text(&j, "policyId", e->policy_id);
    if (deciding) {
        error_text(&j, "reason", e->reason);
    }
    error_text(&j, "message", e->message);
    error_text(&j, "section", e->section);
    if (deciding && e->transport_code != 0) {
        error_number(&j, "transportErrorCode", e->transport_code);
    }
    if (indent > 0) {
        break_line(out, indent - 1);
    }
    line_add_char(out, '}');
}

static void write_errors(struct line *out, const struct record_error *e, size_t n, bool indented)
{
    line_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            line_add_char(out, ',');
        }
        if (indented) {
            break_line(out, 1);
        }
        write_error(out, &e[i], indented ? 2 : 0, false);
    }
    if (indented) {
        break_line(out, 0);
    }
    line_add_char(out, ']');
}

/* ---- the text layout ---- */

static void text_name(struct writer *w, const char *name)
{
    line_add(w->out, SLICE(", "));
    line_add(w->out, slice_of(name));
    line_add(w->out, SLICE(": "));
}

/* A value ends where the next line would begin: nothing from outside may start a record of its own. */
static void text_text(struct writer *w, const char *name, struct slice value)
{
    text_name(w, name);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        line_add_char(w->out, c < ' ' || c == 0x7f ? ' ' : (char)c);
    }
}

static void text_number(struct writer *w, const char *name, int64_t value)
{
    text_name(w, name);
    line_add_i64(w->out, value);
}

static void text_truth(struct writer *w, const char *name, bool value)
{
    text_name(w, name);
    line_add(w->out, value ? SLICE("True") : SLICE("False"));
}

static void add_time_ms(struct line *out, int64_t wall_us)
{
    char seconds[32], millis[8];
    format_time(wall_us, "%Y-%m-%dT%H:%M:%S", seconds);
    snprintf(millis, sizeof millis, ".%03d", (int)(wall_us / 1000 % 1000));
    line_add(out, slice_of(seconds));
    line_add(out, slice_of(millis));
}

static void text_time(struct writer *w, const char *name, int64_t wall_us)
{
    text_name(w, name);
    add_time_ms(w->out, wall_us);
}

static void text_error(struct writer *w, const char *name, const struct record_error *e)
{
    text_name(w, name);
    write_error(w->out, e, 1, true);
}

static void text_errors(struct writer *w, const char *name, const struct record_error *e, size_t n)
{
    text_name(w, name);
    write_errors(w->out, e, n, true);
}

static const struct writer_ops text_ops = {text_text, text_number, text_truth, text_time, text_error, text_errors};

/* ---- the JSON layout ---- */

static void json_name(struct writer *w, const char *name)
{
    if (w->fields++ > 0) {
        line_add_char(w->out, ',');
    }
    line_add_json(w->out, slice_of(name));
    line_add_char(w->out, ':');
}

static void json_text(struct writer *w, const char *name, struct slice value)
{
    json_name(w, name);
    line_add_json(w->out, value);
}

static void json_number(struct writer *w, const char *name, int64_t value)
{
    json_name(w, name);
    line_add_i64(w->out, value);
}

static void json_truth(struct writer *w, const char *name, bool value)
{
    json_name(w, name);
    line_add(w->out, value ? SLICE("true") : SLICE("false"));
}

static void json_time(struct writer *w, const char *name, int64_t wall_us)
{
    char seconds[32], text[48];
    format_time(wall_us, "%Y-%m-%dT%H:%M:%S", seconds);
    int n = snprintf(text, sizeof text, "%s.%06d0Z", seconds, (int)(wall_us % 1000000));
    json_name(w, name);
    line_add_json(w->out, slice_make(text, (size_t)n));
}

static void json_error(struct writer *w, const char *name, const struct record_error *e)
{
    json_name(w, name);
    write_error(w->out, e, 0, true);
}

static void json_errors(struct writer *w, const char *name, const struct record_error *e, size_t n)
{
    json_name(w, name);
    write_errors(w->out, e, n, false);
}

static const struct writer_ops json_ops = {json_text, json_number, json_truth, json_time, json_error, json_errors};

/* ---- the fields, in their order ---- */

static void put_text(struct writer *w, const char *name, struct slice value)
{
    if (value.n > 0) {
        w->ops->text(w, name, value);
    }
}

static struct slice protocol_name(enum http_version version)
{
    switch (version) {
    case HTTP_1_0:
        return SLICE("HTTP/1.0");
    case HTTP_1_1:
        return SLICE("HTTP/1.1");
    case HTTP_2:
        return SLICE("HTTP/2.0");
    }
    return SLICE_NONE;
}

static int64_t span_ms(int64_t from, int64_t to)
{
    return to > from ? (to - from) / 1000 : 0;
}

/* Fields that the server layer under the gateway adds, which its count does not see. */
static bool is_counted(const struct field *f)
{
    switch (f->id) {
    case FIELD_DATE:
    case FIELD_SERVER:
    case FIELD_CONNECTION:
    case FIELD_KEEP_ALIVE:
    case FIELD_TRANSFER_ENCODING:
    case FIELD_CONTENT_LENGTH: /* from the head itself */
        return false;
    default:
        return true;
    }
}

/* responseSize as captured: "404 Resource Not Found" CR LF, each field with ": " and CR LF, the body. */
static int64_t response_size(const struct record *r)
{
    const struct head *h = r->response;
    if (h == NULL) {
        return (int64_t)r->bytes_sent;
    }
    struct slice reason = h->reason.n > 0 ? h->reason : head_reason(h->status);
    size_t size = sizeof "404 \r\n" - 1 + reason.n;
    for (unsigned i = 0; i < h->n; i++) {
        size += is_counted(&h->fields[i]) ? h->fields[i].name.n + h->fields[i].value.n + 4 : 0;
    }
    if (h->content_length >= 0) {
        char digits[24];
        size += sizeof "Content-Length: \r\n" - 1;
        size += (size_t)snprintf(digits, sizeof digits, "%lld", (long long)h->content_length);
    }
    return (int64_t)(size + r->bytes_sent);
}

static void put_ids(struct writer *w, const struct record *r)
{
    put_text(w, "apiId", r->api_id);
    put_text(w, "operationId", r->operation_id);
    put_text(w, "productId", r->product_id);
    put_text(w, "userId", r->user_id);
    put_text(w, "apimSubscriptionId", r->subscription_id);
}

static void put_request(struct writer *w, const struct record *r)
{
    char ip[ADDR_TEXT];
    w->ops->truth(w, "isRequestSuccess", r->status != 0 && r->status < 400);
    w->ops->number(w, "totalTime", span_ms(r->start_us, r->end_us));
    w->ops->text(w, "category", SLICE("GatewayLogs"));
    if (r->downstream != NULL && r->downstream->remote->len > 0) {
        put_text(w, "callerIpAddress", slice_of(addr_ip_text(r->downstream->remote, ip)));
    }
    w->ops->time(w, "timeGenerated", r->start_wall_us);
    put_text(w, "region", r->region);
    put_text(w, "correlationId", r->correlation_id);
    put_text(w, "method", r->request == NULL ? SLICE_NONE : r->request->method);
    put_text(w, "url", r->url);
}

static void put_answer(struct writer *w, const struct record *r)
{
    if (r->upstream_status != 0) {
        w->ops->number(w, "backendResponseCode", r->upstream_status);
    }
    if (r->status != 0) {
        w->ops->number(w, "responseCode", r->status);
        w->ops->number(w, "responseSize", response_size(r));
    }
    w->ops->text(w, "cache", SLICE("none"));
    if (r->reached_upstream && r->upstream_start_us != 0) {
        int64_t end = r->upstream_end_us != 0 ? r->upstream_end_us : r->end_us;
        w->ops->number(w, "backendTime", span_ms(r->upstream_start_us, end));
    }
    if (r->bytes_received > 0) {
        w->ops->number(w, "requestSize", (int64_t)r->bytes_received);
    }
}

static void put_errors(struct writer *w, const struct record *r)
{
    if (r->last_error.source.n > 0) {
        bool chain = r->n_errors > 0;
        w->ops->error(w, "lastError", &r->last_error);
        w->ops->errors(w, "errors", chain ? r->errors : &r->last_error, chain ? r->n_errors : 1);
    }
}

static void put_all(struct writer *w, const struct record *r)
{
    put_request(w, r);
    put_answer(w, r);
    put_ids(w, r);
    put_text(w, "clientProtocol", protocol_name(r->version));
    put_text(w, "backendProtocol", r->reached_upstream ? protocol_name(r->upstream_version) : SLICE_NONE);
    put_text(w, "apiRevision", r->api_revision);
    if (r->downstream != NULL && r->downstream->tls != NULL) {
        put_text(w, "clientTlsVersion", r->downstream->tls->version);
    }
    put_errors(w, r);
    if (r->reached_upstream) {
        put_text(w, "backendMethod", r->upstream_method);
        put_text(w, "backendUrl", r->upstream_url);
    }
}

void gateway_log_text(const struct record *r, struct line *out)
{
    struct writer w = {.ops = &text_ops, .out = out};
    line_add(out, SLICE("[Info] "));
    add_time_ms(out, r->start_wall_us);
    line_add(out, SLICE(" [GatewayLogs]"));
    put_all(&w, r);
    line_add_char(out, '\n');
}

void gateway_log_json(const struct record *r, struct line *out)
{
    struct writer w = {.ops = &json_ops, .out = out};
    line_add_char(out, '{');
    put_all(&w, r);
    line_add(out, SLICE("}\n"));
}
