/* egret.apim.v1.Instruction → what the runner walks through: counting, forwarding, mocking, bodies. */
#include "proxy/config/apim_set.h"

enum { DEFAULT_TIMEOUT_MS = 300000, NEEDLE_MAX = 4096 };

/* ---- rate-limit, quota, limit-concurrency ---- */

static bool read_optional_name(struct reader *r, const char *field, const char *text, struct slice *out)
{
    return text[0] == '\0' || read_header_name(r, field, text, out);
}

static bool read_narrower(struct reader *r, Egret__Apim__V1__NarrowLimit *const *list, size_t n, struct apim_limit *l)
{
    struct apim_narrow *all = read_list(r, n, sizeof *all);
    for (size_t i = 0; i < n; i++) {
        const Egret__Apim__V1__NarrowLimit *m = list[i];
        size_t mark = read_push_at(r, "narrower", i);
        all[i] = (struct apim_narrow){.api_id = read_text(r, m->api_id),
                                      .api_name = read_text(r, m->api_name),
                                      .operation_id = read_text(r, m->operation_id),
                                      .calls = m->calls,
                                      .period_s = m->renewal_period_s};
        if (all[i].api_id.n + all[i].api_name.n == 0) {
            return read_required(r, "api_id");
        }
        if (m->calls == 0 || (!l->quota && m->renewal_period_s == 0)) {
            return read_fail(r, m->calls == 0 ? "calls" : "renewal_period_s", ERR_INPUT, "must not be 0");
        }
        read_pop(r, mark);
    }
    l->narrower = all;
    l->n_narrower = n;
    return true;
}

static bool read_rate(struct reader *r, const Egret__Apim__V1__RateLimit *m, struct apim_limit *l)
{
    return read_optional_name(r, "retry_after_header", m->retry_after_header, &l->retry_after) &&
           read_optional_name(r, "remaining_calls_header", m->remaining_calls_header, &l->remaining) &&
           read_optional_name(r, "total_calls_header", m->total_calls_header, &l->total) &&
           read_narrower(r, m->narrower, m->n_narrower, l);
}

bool apim_limit_read(struct reader *r, const Egret__Apim__V1__Instruction *m, struct apim_instruction *out)
{
    struct apim_limit *l = arena_zalloc(r->arena, sizeof *l);
    bool quota = m->op_case == EGRET__APIM__V1__INSTRUCTION__OP_QUOTA;
    out->op = APIM_OP_LIMIT;
    out->limit = l;
    l->quota = quota;
    l->calls = quota ? m->quota->calls : m->rate_limit->calls;
    l->period_s = quota ? m->quota->renewal_period_s : m->rate_limit->renewal_period_s;
    l->retry_after = SLICE("retry-after");
    if (l->calls == 0 || (!quota && l->period_s == 0)) {
        return read_fail(r, l->calls == 0 ? "calls" : "renewal_period_s", ERR_INPUT, "must not be 0");
    }
    return quota ? read_narrower(r, m->quota->narrower, m->quota->n_narrower, l) : read_rate(r, m->rate_limit, l);
}

static bool read_enter(struct reader *r, const Egret__Apim__V1__EnterLimit *m, struct apim_instruction *out)
{
    out->op = APIM_OP_ENTER;
    out->enter.key = slice_hash(slice_of(m->key), 0x656e746572); /* shared by all who name this key */
    out->enter.most = m->max_count;
    return m->max_count > 0 || read_fail(r, "enter_limit.max_count", ERR_INPUT, "must not be 0");
}

/* ---- forward-request, mock-response ---- */

void apim_forward_read(const Egret__Apim__V1__ForwardRequest *m, struct apim_forward *out)
{
    static const enum apim_http versions[] = {APIM_HTTP1, APIM_HTTP2, APIM_HTTP2_OR_1};
    uint64_t ms = m->timeout_ms > 0 ? m->timeout_ms : (uint64_t)m->timeout_s * 1000;
    out->timeout_ms = ms == 0 ? DEFAULT_TIMEOUT_MS : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    out->http = versions[m->version];
    out->follows_redirects = m->follow_redirects != 0;
    out->keeps_body = m->buffer_request_body != 0 || m->follow_redirects != 0;
    out->fails_on_error = m->fail_on_error_status_code != 0;
}

static bool read_mock(struct reader *r, const Egret__Apim__V1__MockResponse *m, struct apim_instruction *out)
{
    out->op = APIM_OP_MOCK;
    out->mock.status = m->status == 0 ? 200 : m->status;
    if (out->mock.status < 200 || out->mock.status > 599) {
        return read_fail(r, "mock_response.status", ERR_INPUT, "must be from 200 to 599");
    }
    return read_header_value(r, "mock_response.content_type", m->content_type, &out->mock.type);
}

/* ---- bodies ---- */

static bool read_replace(struct reader *r, const Egret__Apim__V1__FindAndReplace *m, struct apim_instruction *out)
{
    struct apim_replace *replace = arena_zalloc(r->arena, sizeof *replace);
    out->op = APIM_OP_REPLACE;
    out->replace = replace;
    replace->from = read_text(r, m->from);
    if (replace->from.n == 0 || replace->from.n > NEEDLE_MAX) {
        return read_fail(r, "find_and_replace.from", ERR_INPUT, "must have from 1 to %d bytes", NEEDLE_MAX);
    }
    return apim_value_read(r, m->to, false, &replace->to);
}

static bool read_to_xml(struct reader *r, const Egret__Apim__V1__JsonToXml *m, struct apim_instruction *out)
{
    struct apim_to_xml *x = arena_zalloc(r->arena, sizeof *x);
    out->op = APIM_OP_TO_XML;
    out->to_xml = x;
    x->only_json = m->only_json != 0;
    x->consider_accept = m->consider_accept != 0;
    x->separator = read_text(r, m->namespace_separator);
    x->prefix = read_text(r, m->namespace_prefix);
    x->block = read_text(r, m->attribute_block);
    return x->separator.n > 0 || read_required(r, "json_to_xml.namespace_separator");
}

bool apim_step_read(struct reader *r, const Egret__Apim__V1__Instruction *m, struct apim_instruction *out)
{
    switch ((int)m->op_case) {
    case EGRET__APIM__V1__INSTRUCTION__OP_ENTER_LIMIT:
        return read_enter(r, m->enter_limit, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_LEAVE_LIMIT:
        out->op = APIM_OP_LEAVE;
        return true;
    case EGRET__APIM__V1__INSTRUCTION__OP_MOCK_RESPONSE:
        return read_mock(r, m->mock_response, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_FIND_AND_REPLACE:
        return read_replace(r, m->find_and_replace, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_REDIRECT_CONTENT_URLS:
        out->op = APIM_OP_REDIRECT_URLS;
        return true;
    case EGRET__APIM__V1__INSTRUCTION__OP_JSONP:
        out->op = APIM_OP_JSONP;
        out->text = read_text(r, m->jsonp->callback_parameter);
        return out->text.n > 0 || read_required(r, "jsonp.callback_parameter");
    case EGRET__APIM__V1__INSTRUCTION__OP_JSON_TO_XML:
        return read_to_xml(r, m->json_to_xml, out);
    case EGRET__APIM__V1__INSTRUCTION__OP_XML_TO_JSON:
        out->op = APIM_OP_TO_JSON;
        out->to_json = (struct apim_to_json){.only_xml = m->xml_to_json->only_xml != 0,
                                             .consider_accept = m->xml_to_json->consider_accept != 0,
                                             .always_array = m->xml_to_json->always_array != 0};
        return true;
    case EGRET__APIM__V1__INSTRUCTION__OP_USE_PROXY:
        out->op = APIM_OP_PROXY;
        out->text = read_text(r, m->use_proxy->address);
        return out->text.n > 0 || read_required(r, "use_proxy.address");
    default: /* one that this version does not know: running the rest without it would change what the document says */
        return read_fail(r, NULL, ERR_UNSUPPORTED, "unknown instruction (line %u of the policy)", m->line);
    }
}
