/* Policies on bodies: what each becomes as a stage, and whether it concerns this message at all. */
#include "base/crypto/crypto.h"
#include "proxy/filter/apim_run.h"
#include "proxy/route/path.h"

static struct body_chain **chain_of(struct filter_host *host, bool request)
{
    return request ? &host->request_stages : &host->response_stages;
}

static struct head *head_of(struct filter_host *host, bool request)
{
    return request ? host->request : host->response;
}

void apim_drop_stages(struct filter_host *host, bool request)
{
    struct body_chain **chain = chain_of(host, request);
    body_chain_fini(*chain);
    *chain = NULL;
}

/* ---- failing ---- */

void apim_fail_body(struct filter_host *host, const struct body_chain *chain, const struct err *err, bool request)
{
    host->apim.section = request ? APIM_INBOUND : APIM_OUTBOUND;
    host->apim.at = NULL; /* it was passed long ago */
    apim_blame(host, chain->failed->policy, err->kind == ERR_LIMIT ? "BodyTooLarge" : "BodyInvalid",
               arena_str(host->arena, slice_of(err->text)));
    apim_drop_stages(host, request);
    if (request && err->kind == ERR_LIMIT) {
        apim_reply_policy(host, 413, host->error.message);
    } else {
        apim_reply_internal(host);
    }
}

bool apim_finish_body(struct filter_host *host, bool request)
{
    struct body_chain *chain = *chain_of(host, request);
    struct slice *body = request ? &host->request_body : &host->response_body;
    bool replaces = request ? host->replaces_request_body : host->replaces_response_body;
    struct buf in, out;
    struct err err;
    if (chain == NULL || !replaces) {
        return true;
    }
    buf_init(&in);
    buf_init(&out);
    buf_append_slice(&in, *body);
    bool ok = body_chain_run(chain, &in, true, &out, &err);
    if (ok) {
        *body = arena_slice(host->arena, buf_pullup(&out, buf_len(&out)));
        apim_drop_stages(host, request);
    }
    buf_fini(&in);
    buf_fini(&out);
    if (!ok) {
        apim_fail_body(host, chain, &err, request);
    }
    return ok;
}

/* ---- what a message is ---- */

/* "type/subtype" of a media type, without parameters. */
static struct slice media_type(struct slice value)
{
    return slice_trim(slice_sub(value, 0, slice_find(value, ';')));
}

static bool is_media(struct slice type, struct slice subtype)
{
    struct slice given = slice_from(type, slice_find(type, '/') + 1);
    return slice_eq_nocase(given, subtype) ||
           (given.n > subtype.n + 1 && given.p[given.n - subtype.n - 1] == '+' && slice_ends_with_nocase(given, subtype));
}

/* The caller asks for this kind by name; "*" asks for nothing in particular. */
static bool accepts(const struct filter_host *host, struct slice subtype)
{
    bool present = false;
    struct slice rest = head_joined(host->request, SLICE("accept"), &present);
    while (rest.p != NULL && rest.n > 0) {
        if (is_media(media_type(slice_cut(&rest, ',')), subtype)) {
            return true;
        }
    }
    return false;
}

/* The first coding that hides the text, on whichever line; empty: none does. */
static struct slice coding_of(const struct head *head)
{
    for (unsigned i = 0; i < head->n; i++) {
        struct slice rest = head->fields[i].id == FIELD_CONTENT_ENCODING ? head->fields[i].value : SLICE_NONE;
        while (rest.p != NULL && rest.n > 0) {
            struct slice one = slice_trim(slice_cut(&rest, ','));
            if (one.n > 0 && !slice_eq_nocase(one, SLICE("identity"))) {
                return one;
            }
        }
    }
    return SLICE_NONE;
}

/* RFC 9110 14.4; a 416 only tells the length of what there is. */
static bool is_part(const struct head *head)
{
    return head->status == 206 || (head->status != 416 && head_find(head, SLICE("content-range")) != NULL);
}

/* false: *err says why a stage would make nonsense of this body. */
static bool check_readable(const struct head *head, const struct body_stage *stage, struct err *err)
{
    struct slice coding = slice_sub(coding_of(head), 0, 40);
    if (coding.n > 0) {
        return err_set(err, ERR_INPUT, "the body is compressed (%.*s), which %s cannot read", SLICE_ARG(coding), stage->policy);
    }
    return !is_part(head) || err_set(err, ERR_INPUT, "the body is a part of one, which %s cannot read", stage->policy);
}

void apim_forget_body(struct head *head)
{
    static const char *const sums[] = {"content-md5", "digest", "repr-digest", "content-digest"};
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++) {
        head_remove(head, slice_of(sums[i]));
    }
    if (head->status == 0) {
        return;
    }
    head_remove_id(head, FIELD_ACCEPT_RANGES);
    struct slice tag = head_value_id(head, FIELD_ETAG);
    if (tag.n > 0 && !slice_starts_with(tag, SLICE("W/"))) {
        head_set_id(head, FIELD_ETAG, slice_of(arena_printf(head->arena, "W/%.*s", SLICE_ARG(tag))));
    }
}

/* ---- the stages ---- */

static struct body_stage *replace_stage(struct filter_host *host, const struct apim_replace *r, bool *missing)
{
    bool secret = false;
    struct body_replace stage = {.from = arena_slice(host->arena, r->from)};
    *missing = !apim_value_text(host, &r->to, &stage.to, &secret);
    return *missing ? NULL : body_replace_create(host->arena, &stage, "find-and-replace");
}

static struct slice without_slash(struct slice url)
{
    while (slice_ends_with(url, SLICE("/"))) {
        url.n--;
    }
    return url;
}

/* NULL: no backend is known whose URL could stand there. */
static struct body_stage *urls_stage(struct filter_host *host, bool request)
{
    const struct apim_call *call = &host->apim;
    const struct apim_backend *backend = call->backend;
    if (backend == NULL && call->backend_name.n > 0) {
        backend = apim_set_backend(snapshot_apim(host->snapshot), call->backend_name);
    }
    if (backend == NULL || backend->url.n == 0) {
        return NULL;
    }
    struct slice theirs = without_slash(arena_slice(host->arena, backend->url));
    struct slice ours = without_slash(slice_of(arena_printf(host->arena, "%.*s://%.*s%.*s",
                                                            SLICE_ARG(host->request->scheme),
                                                            SLICE_ARG(call->own_authority), SLICE_ARG(call->own_path))));
    struct body_replace stage = {request ? ours : theirs, request ? theirs : ours, true};
    return body_replace_create(host->arena, &stage, "redirect-content-urls");
}

/* ECMAScript's identifiers as far as ASCII goes, with dots between them. */
static bool is_identifier(struct slice s)
{
    bool start = true;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        bool letter = (c >= 'a' && c <= 'z') || c == '_' || c == '$', digit = c >= '0' && c <= '9';
        if (c == '.' && !start && i + 1 < s.n) {
            start = true;
        } else if (letter || (digit && !start)) {
            start = false;
        } else {
            return false;
        }
    }
    return s.n > 0;
}

static bool find_callback(const struct filter_host *host, struct slice parameter, struct slice *value)
{
    struct slice query = host->apim.match->query, name, raw;
    while (query_next(&query, &name, &raw)) {
        if (slice_eq_nocase(query_decode(name, host->arena), parameter)) {
            *value = query_decode(raw, host->arena);
            return true;
        }
    }
    return false;
}

static bool add_jsonp(struct filter_host *host, struct slice parameter, struct body_stage **stage)
{
    struct slice function;
    if (!find_callback(host, parameter, &function)) {
        return true;
    }
    if (!is_identifier(function)) {
        apim_blame(host, "jsonp", "CallbackParameterInvalid",
                   arena_printf(host->arena, "Value of callback parameter %.*s is not a valid JavaScript identifier.",
                                SLICE_ARG(parameter)));
        apim_reply_policy(host, 400, host->error.message);
        return false;
    }
    head_set_id(host->response, FIELD_CONTENT_TYPE, SLICE("text/javascript"));
    *stage = body_wrap_create(host->arena, slice_of(arena_printf(host->arena, "%.*s(", SLICE_ARG(function))), SLICE(");"),
                              "jsonp");
    return true;
}

static struct body_stage *to_xml_stage(struct filter_host *host, const struct apim_to_xml *x, struct head *head)
{
    struct slice type = media_type(head_value_id(head, FIELD_CONTENT_TYPE));
    if ((x->only_json && !is_media(type, SLICE("json"))) || (x->consider_accept && !accepts(host, SLICE("xml")))) {
        return NULL;
    }
    struct body_to_xml stage = {arena_slice(host->arena, x->separator), arena_slice(host->arena, x->prefix),
                                arena_slice(host->arena, x->block), host->max_body_held};
    head_set_id(head, FIELD_CONTENT_TYPE, SLICE("text/xml"));
    return body_to_xml_create(host->arena, &stage, "json-to-xml");
}

static struct body_stage *to_json_stage(struct filter_host *host, const struct apim_to_json *j, struct head *head)
{
    struct slice type = media_type(head_value_id(head, FIELD_CONTENT_TYPE));
    if ((j->only_xml && !is_media(type, SLICE("xml"))) || (j->consider_accept && !accepts(host, SLICE("json")))) {
        return NULL;
    }
    struct body_to_json stage = {j->always_array, host->max_body_held};
    head_set_id(head, FIELD_CONTENT_TYPE, SLICE("application/json"));
    return body_to_json_create(host->arena, &stage, "xml-to-json");
}

/* *stage NULL: nothing is to be done to this message. false: replied. */
static bool make_stage(struct filter_host *host, const struct apim_instruction *i, bool request, struct body_stage **stage)
{
    struct head *head = head_of(host, request);
    bool missing = false;
    *stage = NULL;
    switch ((int)i->op) {
    case APIM_OP_REPLACE:
        *stage = replace_stage(host, i->replace, &missing);
        break;
    case APIM_OP_REDIRECT_URLS:
        *stage = urls_stage(host, request);
        break;
    case APIM_OP_JSONP:
        return add_jsonp(host, i->text, stage);
    case APIM_OP_TO_XML:
        *stage = to_xml_stage(host, i->to_xml, head);
        break;
    case APIM_OP_TO_JSON:
        *stage = to_json_stage(host, &i->to_json, head);
        break;
    default:
        break;
    }
    if (missing) {
        apim_blame(host, "find-and-replace", "SecretNotAvailable", "a secret of its policies is not available");
        apim_reply_internal(host);
    }
    return !missing;
}

bool apim_add_stage(struct filter_host *host, const struct apim_instruction *i, bool request)
{
    struct body_chain **chain = chain_of(host, request);
    bool own = request ? host->replaces_request_body : host->replaces_response_body;
    struct body_stage *stage;
    if (!make_stage(host, i, request, &stage)) {
        return false;
    }
    if (stage == NULL) {
        return true;
    }
    struct head *head = head_of(host, request);
    struct err err;
    if (!own && !apim_has_no_body(head->status) && !check_readable(head, stage, &err)) {
        struct body_chain one = {.first = stage, .failed = stage};
        apim_fail_body(host, &one, &err, request);
        return false;
    }
    if (!apim_has_no_body(head->status)) {
        apim_forget_body(head);
    }
    if (*chain == NULL) {
        *chain = body_chain_create(host->arena);
    }
    body_chain_add(*chain, stage);
    return true;
}
