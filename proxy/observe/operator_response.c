/* Operators about the answer and how the exchange ended. */
#include "base/macros.h"
#include "proxy/codec/grpc.h"
#include "proxy/observe/flags.h"
#include "proxy/observe/operator.h"

static void eval_resp(const struct operator* op, const struct record *r, struct value *v)
{
    operator_eval_fields(op, r->response, v);
}

static void eval_trailer(const struct operator* op, const struct record *r, struct value *v)
{
    operator_eval_fields(op, r->response_trailers, v);
}

static void eval_code(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_number(v, r->status);
}

static void eval_details(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->details);
}

static void eval_flags(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    _Static_assert(sizeof v->scratch >= FLAGS_TEXT, "all flags fit");
    value_text(v, flags_short(r->flags, v->scratch));
}

static void eval_flags_long(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, flags_long(r->flags, v->scratch));
}

static void eval_bytes_sent(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_number(v, (int64_t)r->bytes_sent);
}

static void eval_termination(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->termination);
}

static void eval_upstream_failure(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->upstream_failure);
}

/* Names of gRPC status codes, CamelCase and SNAKE_CASE. */
/* In the trailers, or in the head of an answer that has no body. */
static bool grpc_status(const struct record *r, struct slice *text, uint64_t *code)
{
    *text = r->response_trailers != NULL ? head_value_id(r->response_trailers, FIELD_GRPC_STATUS) : SLICE_NONE;
    if (text->n == 0 && r->response != NULL) {
        *text = head_value_id(r->response, FIELD_GRPC_STATUS);
    }
    return text->n > 0 && slice_to_u64(*text, code) && grpc_status_name(*code, true) != NULL;
}

static void eval_grpc_number(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    struct slice text;
    uint64_t code;
    if (grpc_status(r, &text, &code)) {
        value_number(v, (int64_t)code);
    }
}

enum grpc_form { GRPC_CAMEL = 1, GRPC_SNAKE, GRPC_NUMBER };

static bool prepare_grpc(struct operator* op, struct arena *arena, struct err *err)
{
    enum grpc_form *form = arena_alloc(arena, sizeof *form);
    *form = op->argument.n == 0 || slice_eq(op->argument, SLICE("CAMEL_STRING")) ? GRPC_CAMEL
            : slice_eq(op->argument, SLICE("SNAKE_STRING"))                      ? GRPC_SNAKE
                                                                                 : GRPC_NUMBER;
    op->prepared = form;
    return *form != GRPC_NUMBER || slice_eq(op->argument, SLICE("NUMBER")) ||
           err_set(err, ERR_INPUT, "the argument is CAMEL_STRING, SNAKE_STRING or NUMBER");
}

static void eval_grpc(const struct operator* op, const struct record *r, struct value *v)
{
    const enum grpc_form *form = op->prepared;
    struct slice text;
    uint64_t code;
    if (*form == GRPC_NUMBER) {
        eval_grpc_number(op, r, v);
    } else if (grpc_status(r, &text, &code)) {
        value_text(v, slice_of(grpc_status_name(code, *form == GRPC_CAMEL)));
    } else {
        value_text(v, text); /* a number without a name, as it is */
    }
}

const struct operator_type operator_response_table[] = {
    {"RESP", ARGUMENT_NEEDED, operator_prepare_fields, eval_resp},
    {"RESPONSE_HEADER", ARGUMENT_NEEDED, operator_prepare_fields, eval_resp},
    {"TRAILER", ARGUMENT_NEEDED, operator_prepare_fields, eval_trailer},
    {"RESPONSE_TRAILER", ARGUMENT_NEEDED, operator_prepare_fields, eval_trailer},
    {"RESPONSE_CODE", ARGUMENT_NONE, NULL, eval_code},
    {"RESPONSE_CODE_DETAILS", ARGUMENT_NONE, NULL, eval_details},
    {"RESPONSE_FLAGS", ARGUMENT_NONE, NULL, eval_flags},
    {"RESPONSE_FLAGS_LONG", ARGUMENT_NONE, NULL, eval_flags_long},
    {"BYTES_SENT", ARGUMENT_NONE, NULL, eval_bytes_sent},
    {"CONNECTION_TERMINATION_DETAILS", ARGUMENT_NONE, NULL, eval_termination},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", ARGUMENT_NONE, NULL, eval_upstream_failure},
    {"GRPC_STATUS", ARGUMENT_OPTIONAL, prepare_grpc, eval_grpc},
    {"GRPC_STATUS_NUMBER", ARGUMENT_NONE, NULL, eval_grpc_number},
    {NULL, ARGUMENT_NONE, NULL, NULL},
};
