/* Responses that are made here: by policies, and by what went wrong. */
#include "proxy/filter/apim_run.h"

/* An empty response in the place of what was there. */
static void clear(struct filter_host *host, struct head *head, unsigned status)
{
    struct slice date = head_value_id(head, FIELD_DATE);
    head->n = 0;
    head->status = status;
    head->reason = SLICE_NONE;
    head->content_length = -1;
    if (date.n > 0) {
        head_add_id(head, FIELD_DATE, date);
    }
    apim_cors_headers(host, head);
    apim_limit_headers(host, head);
    apim_drop_stages(host, false);
    host->replaces_response_body = true;
    host->response_body = SLICE_NONE;
}

bool apim_respond(struct filter_host *host, struct head *head, const struct apim_response *r)
{
    bool secret = false;
    clear(host, head, r->status);
    head->reason = r->reason;
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!apim_set_header(host, head, &r->headers[i])) {
            return false;
        }
    }
    return apim_value_text(host, &r->body, &host->response_body, &secret);
}

static struct slice plain_type(struct slice type)
{
    return slice_trim(slice_sub(type, 0, slice_find(type, ';')));
}

/* The first of this status, of this type if one was asked for; else the default response's. */
static const struct apim_example *find_example(struct apim_examples all, const struct apim_mock *mock)
{
    const struct apim_example *otherwise = NULL;
    for (size_t i = 0; i < all.n; i++) {
        const struct apim_example *e = &all.items[i];
        bool fits = mock->type.n == 0 || slice_eq_nocase(plain_type(e->type), plain_type(mock->type));
        if (fits && e->status == mock->status) {
            return e;
        }
        otherwise = fits && e->status == 0 && otherwise == NULL ? e : otherwise;
    }
    return otherwise;
}

bool apim_respond_mock(struct filter_host *host, struct head *head, const struct apim_mock *mock)
{
    const struct apim_match *m = host->apim.match;
    struct apim_examples all = {NULL, 0};
    if (m != NULL && m->operation != NULL) {
        all = apim_operation_examples(m->operation);
    }
    const struct apim_example *e = find_example(all, mock);
    clear(host, head, mock->status);
    struct slice type = mock->type.n > 0 || e == NULL ? mock->type : e->type;
    if (type.n > 0) {
        head_set_id(head, FIELD_CONTENT_TYPE, arena_slice(host->arena, type));
    }
    host->response_body = e == NULL ? SLICE_NONE : e->body; /* of the snapshot, which outlives the answer */
    return true;
}

bool apim_has_no_body(unsigned status)
{
    return status == 204 || status == 304;
}

void apim_send(struct filter_host *host)
{
    struct head *head = host->response;
    struct slice reason = host->error.reason;
    struct local_reply reply = {
        .status = head->status,
        .reason = head->reason,
        .body = apim_has_no_body(head->status) ? SLICE_NONE : host->response_body,
        .fields = head->fields,
        .n_fields = head->n,
        .details = reason.n == 0 ? SLICE("apim_policy_response")
                                 : slice_of(arena_printf(host->arena, "apim_%.*s", SLICE_ARG(reason))),
    };
    host->response = NULL;
    host->reply(host, &reply);
}

static void begin(struct filter_host *host, struct head *head, const struct apim_failure *f)
{
    head_init(head, host->arena);
    head->status = f->status;
    head->reason = f->reason;
    head_add_id(head, FIELD_CONTENT_TYPE, SLICE("application/json"));
    if (f->field != NULL) {
        head_add(head, f->field->name, f->field->value);
    }
    apim_cors_headers(host, head);
    apim_limit_headers(host, head);
    apim_drop_stages(host, false);
    host->response = head;
    host->replaces_response_body = true;
    host->response_body = f->body;
}

void apim_answer(struct filter_host *host, const struct apim_failure *failure)
{
    struct head head;
    begin(host, &head, failure);
    apim_send(host);
}

/* An error inside on-error ends it: the answer to the first one goes out as it is by then. */
void apim_fail(struct filter_host *host, const struct apim_failure *failure)
{
    struct head head;
    if (host->apim.failing) {
        return;
    }
    begin(host, &head, failure);
    apim_leave_all(host);
    if (host->apim.linked) {
        apim_run_on_error(host);
        apim_leave_all(host);
        host->apim.failing = true; /* what on-error wants done to the body is a part of it */
        apim_finish_body(host, false);
        host->apim.failing = false;
    }
    apim_send(host);
}
