/*
 * apim_run: the policy programs of one call. apim_link finds the documents of its scopes; what <base/> reaches is then
 * walked through section by section: linear in its length, and without memory for a chain of nothing but <base/>.
 * Private to proxy/filter. One request, one loop; all memory from host->arena.
 */
#pragma once
#include "proxy/filter/apim.h"

/* ---- apim_link.c ---- */

/* The documents for a match, in the product context already decided. false: one has not arrived. */
bool apim_link(struct filter_host *host, const struct apim_match *match, struct slice *why);
/* For an answer before policies ran: what can be linked of it, if it can run at all. */
void apim_link_matched(struct filter_host *host);
/* false: something that is reached cannot run. */
bool apim_check_chain(struct filter_host *host, struct slice *why);
/* The first instruction of this kind that inbound reaches. */
const struct apim_instruction *apim_find_inbound(const struct filter_host *host, enum apim_op op);

/* ---- apim_program.c ---- */

enum apim_run_result {
    APIM_RUN_FORWARD, /* everything in front of forward-request ran */
    APIM_RUN_ANSWER,  /* there is none */
    APIM_RUN_REPLIED,
};
enum apim_run_result apim_run_request(struct filter_host *host);
bool apim_run_response(struct filter_host *host); /* outbound on host->response; false: replied */
void apim_run_answer(struct filter_host *host);   /* outbound on an empty 200, which is then sent */

/* ---- apim_response.c ---- */

/* A failure in APIM's words: host->error says them. */
struct apim_failure {
    unsigned status;
    struct slice reason, body; /* JSON */
    const struct field *field; /* one more header; may be NULL */
};
void apim_fail(struct filter_host *host, const struct apim_failure *failure);   /* through on-error */
void apim_answer(struct filter_host *host, const struct apim_failure *failure); /* as it is */
/* Makes the response what return-response says. */
bool apim_respond(struct filter_host *host, struct head *head, const struct apim_response *r);
bool apim_has_no_body(unsigned status); /* RFC 9110 15.3.5, 15.4.5 */
/* The operation's example for this status and type. */
bool apim_respond_mock(struct filter_host *host, struct head *head, const struct apim_mock *mock);
/* Sends host->response and its body. */
void apim_send(struct filter_host *host);
/* Runs on-error on host->response; false: something in it failed. apim_program.c. */
bool apim_run_on_error(struct filter_host *host);
/* A failed policy: { "statusCode": …, "message": … }; apim_reply.c. */
void apim_reply_policy(struct filter_host *host, unsigned status, struct slice message);

/* ---- apim_edit.c: false: a secret is not there ---- */

struct slice apim_lower(struct arena *arena, struct slice s);
bool apim_value_text(const struct filter_host *host, const struct apim_value *v, struct slice *out, bool *secret);
bool apim_set_header(struct filter_host *host, struct head *head, const struct apim_set_value *set);
bool apim_set_query(struct filter_host *host, const struct apim_set_value *set);
/* A query parameter's value, as it may stand in a query. */
struct slice apim_query_text(struct arena *arena, struct slice s);
bool apim_set_basic(struct filter_host *host, const struct apim_value *values);
/* A template with secrets in it; false also when one of them has no place in a URL. */
bool apim_template_text(struct filter_host *host, const struct apim_value *v, struct slice *template);
/* false: the operation's template has no such parameter. */
bool apim_rewrite(struct filter_host *host, struct slice template, bool copy_unmatched);

/* ---- apim_cors.c ---- */

/* "scheme://host[:port]" without the port that its scheme has anyway. */
struct slice apim_plain_origin(struct slice origin);

/* ---- apim_hold.c ---- */

bool apim_enter(struct filter_host *host, const struct apim_enter *enter); /* false: replied */
void apim_leave(struct filter_host *host);                                 /* the innermost */
void apim_leave_all(struct filter_host *host);

/* ---- apim_body.c: on the body of host->response, or of the request. false: replied ---- */

/* What the message says of a body that is about to change: sums go, a strong ETag becomes a weak one. */
void apim_forget_body(struct head *head);
bool apim_add_stage(struct filter_host *host, const struct apim_instruction *i, bool request);
/* A filter's own body goes through its stages at once. */
bool apim_finish_body(struct filter_host *host, bool request);
void apim_drop_stages(struct filter_host *host, bool request);

/* ---- apim_guard.c: false: replied ---- */

/* Fills host->error for a policy that failed where host->apim says. Returns false. */
bool apim_blame(struct filter_host *host, const char *source, const char *reason, const char *message);

bool apim_check_ip(struct filter_host *host, const struct apim_ip_filter *f);
bool apim_check_header(struct filter_host *host, const struct apim_check_header *h);


/* ---- apim_limit.c ---- */

bool apim_check_limit(struct filter_host *host, const struct apim_limit *l); /* false: replied */
void apim_limit_headers(struct filter_host *host, struct head *response);

/* ---- apim_cors.c ---- */

bool apim_check_cors(struct filter_host *host, const struct apim_cors *c); /* false: replied */
void apim_cors_headers(struct filter_host *host, struct head *response);
/* A preflight for something that a cors policy covers: answered. */
bool apim_cors_preflight(struct filter_host *host);
