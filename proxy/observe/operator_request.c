/* Operators about the request and where it was routed to. */
#include "proxy/observe/mask.h"
#include "proxy/observe/operator.h"

static struct slice protocol_name(enum http_version version)
{
    switch (version) {
    case HTTP_1_0:
        return SLICE("HTTP/1.0");
    case HTTP_1_1:
        return SLICE("HTTP/1.1");
    case HTTP_2:
        return SLICE("HTTP/2");
    }
    return SLICE_NONE; /* 0: not HTTP */
}

/* The head as received may hold a key in its query; original_path is the masked form of the same path. */
static struct slice safe_path(const struct record *r)
{
    if (r->original_path.n > 0 || r->request == NULL) {
        return r->original_path;
    }
    return slice_sub(r->request->path, 0, slice_find(r->request->path, '?'));
}

static bool is_path(const struct operator_field *f)
{
    return slice_eq(f->name, SLICE(":path")) || slice_eq(f->name, SLICE("x-envoy-original-path"));
}

static void eval_req(const struct operator* op, const struct record *r, struct value *v)
{
    if (is_path(&op->fields[0])) {
        value_text(v, safe_path(r));
        return;
    }
    operator_eval_fields(op, r->request, v);
    if (v->kind == VALUE_NONE && is_path(&op->fields[1])) {
        value_text(v, safe_path(r));
    }
}

static void eval_req_without_query(const struct operator* op, const struct record *r, struct value *v)
{
    eval_req(op, r, v);
    if (v->kind == VALUE_TEXT) {
        v->text.n = slice_find(v->text, '?');
    }
}

/* PATH(WQ|NQ:…): with or without the query. What the second part chooses among is one and the same here. */
static bool prepare_path(struct operator* op, struct arena *arena, struct err *err)
{
    static const bool yes = true;
    (void)arena;
    struct slice rest = op->argument, query = slice_cut(&rest, ':');
    bool known = rest.n == 0 || slice_eq(rest, SLICE("PATH")) || slice_eq(rest, SLICE("ORIG")) ||
                 slice_eq(rest, SLICE("ORIG_OR_PATH"));
    bool with = query.n == 0 || slice_eq(query, SLICE("WQ"));
    if (!known || (!with && !slice_eq(query, SLICE("NQ")))) {
        return err_set(err, ERR_INPUT, "the argument is WQ or NQ, then PATH, ORIG or ORIG_OR_PATH");
    }
    op->prepared = with ? (void *)(uintptr_t)&yes : NULL;
    return true;
}

static void eval_path(const struct operator* op, const struct record *r, struct value *v)
{
    struct slice path = safe_path(r);
    value_text(v, op->prepared != NULL ? path : slice_sub(path, 0, slice_find(path, '?')));
}

static void eval_query_param(const struct operator* op, const struct record *r, struct value *v)
{
    struct slice path = safe_path(r), rest = slice_from(path, slice_find(path, '?') + 1);
    while (rest.n > 0) {
        struct slice value = slice_cut(&rest, '&'), name = slice_cut(&value, '=');
        if (slice_eq(name, op->argument)) {
            value_text(v, value);
            return;
        }
    }
}

static void eval_protocol(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, protocol_name(r->version));
}

static void eval_bytes_received(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_number(v, (int64_t)r->bytes_received);
}

static void eval_request_id(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->request_id);
}

static void eval_route(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->route);
}

static void eval_virtual_cluster(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->virtual_cluster);
}

static void eval_filter_chain(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->filter_chain);
}

static void eval_cluster(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->cluster);
}

static void eval_upstream_protocol(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->reached_upstream ? protocol_name(r->upstream_version) : SLICE_NONE);
}

static void eval_attempts(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_number(v, r->attempts);
}

static void eval_log_type(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->version == 0 ? SLICE("TcpConnectionEnd") : SLICE("DownstreamEnd"));
}

const struct operator_type operator_request_table[] = {
    {"REQ", ARGUMENT_NEEDED, operator_prepare_fields, eval_req},
    {"REQUEST_HEADER", ARGUMENT_NEEDED, operator_prepare_fields, eval_req},
    {"REQ_WITHOUT_QUERY", ARGUMENT_NEEDED, operator_prepare_fields, eval_req_without_query},
    {"PATH", ARGUMENT_OPTIONAL, prepare_path, eval_path},
    {"QUERY_PARAM", ARGUMENT_NEEDED, NULL, eval_query_param},
    {"PROTOCOL", ARGUMENT_NONE, NULL, eval_protocol},
    {"BYTES_RECEIVED", ARGUMENT_NONE, NULL, eval_bytes_received},
    {"STREAM_ID", ARGUMENT_NONE, NULL, eval_request_id},
    {"ROUTE_NAME", ARGUMENT_NONE, NULL, eval_route},
    {"VIRTUAL_CLUSTER_NAME", ARGUMENT_NONE, NULL, eval_virtual_cluster},
    {"FILTER_CHAIN_NAME", ARGUMENT_NONE, NULL, eval_filter_chain},
    {"UPSTREAM_CLUSTER", ARGUMENT_NONE, NULL, eval_cluster},
    {"UPSTREAM_CLUSTER_RAW", ARGUMENT_NONE, NULL, eval_cluster},
    {"UPSTREAM_PROTOCOL", ARGUMENT_NONE, NULL, eval_upstream_protocol},
    {"UPSTREAM_REQUEST_ATTEMPT_COUNT", ARGUMENT_NONE, NULL, eval_attempts},
    {"ACCESS_LOG_TYPE", ARGUMENT_NONE, NULL, eval_log_type},
    {NULL, ARGUMENT_NONE, NULL, NULL},
};
