/* APIM's own answers, byte for byte (refs: exact error responses on the wire). */
#include "base/strbuf.h"
#include "proxy/filter/apim.h"
#include "proxy/filter/apim_run.h"

static void send_json(struct filter_host *host, unsigned status, struct slice reason, const char *body,
                      const struct field *field)
{
    struct apim_failure failure = {.status = status, .reason = reason, .body = slice_of(body), .field = field};
    apim_fail(host, &failure);
}

void apim_reply_not_found(struct filter_host *host)
{
    host->error = (struct filter_error){
        .source = SLICE("configuration"),
        .reason = SLICE("OperationNotFound"),
        .message = SLICE("Unable to match incoming request to an operation."),
        .section = SLICE("backend"),
    };
    apim_link_matched(host);
    send_json(host, 404, SLICE("Resource Not Found"), "{ \"statusCode\": 404, \"message\": \"Resource not found\" }", NULL);
}

void apim_reply_key(struct filter_host *host, bool missing)
{
    const struct apim_api_conf *api = &host->apim.match->api->conf;
    struct field challenge = {.name = SLICE("www-authenticate"), .id = FIELD_WWW_AUTHENTICATE};
    char *text = arena_printf(host->arena, "AzureApiManagementKey realm=\"%.*s://%.*s/%.*s\",name=\"%.*s\",type=\"header\"",
                              SLICE_ARG(host->request->scheme), SLICE_ARG(host->request->authority), SLICE_ARG(api->path),
                              SLICE_ARG(api->key_header));
    challenge.value = slice_of(text);
    host->error = (struct filter_error){
        .source = SLICE("authorization"),
        .reason = missing ? SLICE("SubscriptionKeyNotFound") : SLICE("SubscriptionKeyInvalid"),
        .message = missing ? SLICE("Access denied due to missing subscription key. Make sure to include subscription key "
                                   "when making requests to this API.")
                           : SLICE("Access denied due to invalid subscription key. Make sure to provide a valid key for an "
                                   "active subscription."),
        .section = SLICE("inbound"),
    };
    apim_link_matched(host);
    send_json(host, 401, SLICE("Access Denied"),
              missing ? "{ \"statusCode\": 401, \"message\": \"Access denied due to missing subscription key. Make sure to "
                        "include subscription key when making requests to an API.\" }"
                      : "{ \"statusCode\": 401, \"message\": \"Access denied due to invalid subscription key. Make sure to "
                        "provide a valid key for an active subscription.\" }",
              &challenge);
}

void apim_reply_closed(struct filter_host *host, struct slice why)
{
    struct strbuf text;
    if (host->apim.failing) {
        return;
    }
    strbuf_init(&text);
    strbuf_add_json(&text, why);
    char *body = arena_printf(host->arena, "{ \"statusCode\": 501, \"message\": %s }", strbuf_cstr(&text));
    strbuf_fini(&text);
    host->error = (struct filter_error){
        .source = SLICE("configuration"),
        .reason = SLICE("OperationClosed"),
        .message = arena_slice(host->arena, why),
        .section = SLICE("inbound"),
    };
    host->apim.linked = false; /* its policies are what cannot run */
    struct apim_failure failure = {501, SLICE("Not Implemented"), slice_of(body), NULL};
    apim_answer(host, &failure);
}

void apim_reply_internal(struct filter_host *host)
{
    char *body = arena_printf(host->arena,
                              "{ \"statusCode\": 500, \"message\": \"Internal server error\", \"activityId\": \"%.*s\" }",
                              SLICE_ARG(host->correlation_id));
    send_json(host, 500, SLICE("Internal Server Error"), body, NULL);
}

void apim_reply_policy(struct filter_host *host, unsigned status, struct slice message)
{
    struct strbuf text;
    strbuf_init(&text);
    strbuf_add_json(&text, message);
    char *body = arena_printf(host->arena, "{ \"statusCode\": %u, \"message\": %s }", status, strbuf_cstr(&text));
    strbuf_fini(&text);
    send_json(host, status, SLICE_NONE, body, NULL);
}
