/* Responses that are made here: by policies, and by what went wrong. */
#include "proxy/filter/apim_run.h"

bool apim_respond(struct filter_host *host, struct head *head, const struct apim_response *r)
{
    bool secret = false;
    struct slice date = head_value_id(head, FIELD_DATE);
    head->n = 0;
    head->status = r->status;
    head->reason = r->reason;
    head->content_length = -1;
    if (date.n > 0) {
        head_add_id(head, FIELD_DATE, date);
    }
    apim_cors_headers(host, head);
    apim_limit_headers(host, head);
    host->replaces_response_body = true;
    host->response_body = SLICE_NONE;
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!apim_set_header(host, head, &r->headers[i])) {
            return false;
        }
    }
    return apim_value_text(host, &r->body, &host->response_body, &secret);
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
    host->response = head;
    host->response_body = f->body;
}

void apim_answer(struct filter_host *host, const struct apim_failure *failure)
{
    struct head head;
    begin(host, &head, failure);
    apim_send(host);
}

void apim_fail(struct filter_host *host, const struct apim_failure *failure)
{
    struct head head;
    begin(host, &head, failure);
    if (host->apim.linked) {
        apim_run_on_error(host);
    }
    apim_send(host);
}
