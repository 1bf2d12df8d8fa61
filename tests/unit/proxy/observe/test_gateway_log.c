#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "proxy/observe/gateway_log.h"
#include "unit/proxy/observe/observe_test.h"

static char text[8192];

static const char *render(void (*how)(const struct record *r, struct line *out), const struct record *r)
{
    struct line line;
    line_init(&line);
    how(r, &line);
    snprintf(text, sizeof text, "%.*s", SLICE_ARG(line_slice(&line)));
    line_fini(&line);
    return text;
}

/* The captured request of the seed, as exchange would record it. */
static void seed_init(struct sample *s)
{
    sample_init(s);
    addr_parse(&s->remote, SLICE("172.17.0.1"), 40000, NULL);
    s->tls.version = SLICE("1.2");
    struct record *r = &s->record;
    r->apim = true;
    r->start_wall_us = 1631631535494000; /* 2021-09-14T14:58:55.494Z */
    r->start_us = 1000000;
    r->end_us = 1032500;
    r->upstream_start_us = 1010000;
    r->upstream_end_us = 1027900;
    r->bytes_received = 0;
    r->version = HTTP_1_1;
    r->url = SLICE("https://127.0.0.1:7002/self/api/products");
    r->region = SLICE("nn-onprem-east");
    r->correlation_id = SLICE("022d5382-61ee-4658-bdb1-73271f3414cd");
    r->api_id = SLICE("self-hosted-api");
    r->api_revision = SLICE("1");
    r->operation_id = SLICE("wsl-linux-get-products");
    r->subscription_id = SLICE("nehali-all-product-subscription");
    r->upstream_method = SLICE("GET");
    r->upstream_url = SLICE("http://192.168.1.232:3001/api/products");
    s->response.n = 0;
    s->response.reason = SLICE("OK");
    head_add(&s->response, SLICE("content-type"), SLICE("application/json; charset=utf-8"));
    s->response.content_length = 551;
    r->bytes_sent = 551;
}

static void seed_failed(struct sample *s, struct record_error *chain)
{
    seed_init(s);
    struct record *r = &s->record;
    r->start_wall_us = 1631631563892000; /* 2021-09-14T14:59:23.892Z */
    r->end_us = r->start_us + 2104999;
    r->correlation_id = SLICE("2bbf232e-0757-472c-8f69-5ae6466aa2c2");
    r->reached_upstream = false;
    r->upstream_status = 0;
    r->status = 500;
    s->response.status = 500;
    s->response.reason = SLICE_NONE;
    s->response.n = 0;
    head_add(&s->response, SLICE("content-type"), SLICE("application/json"));
    head_add(&s->response, SLICE("date"), SLICE("Tue, 14 Sep 2021 14:59:23 GMT"));
    s->response.content_length = 111;
    r->bytes_sent = 111;
    r->last_error = (struct record_error){
        .source = SLICE("request-forwarder"),
        .reason = SLICE("BackendConnectionFailure"),
        .message = SLICE("LogError connecting to 192.168.1.232:3001"),
        .section = SLICE("backend"),
        .path = SLICE("forward-request\\forward-request"),
        .transport_code = 111,
        .elapsed_us = 2094000,
    };
    *chain = r->last_error;
    chain->elapsed_us = 2079000;
    r->errors = chain;
    r->n_errors = 1;
}

/* The captures are of the first text layout, copied from a page that lost the indentation: this makes of a captured
 * record what the second layout writes, and takes the indentation from ours. */
static char *captured(const char *seed, const char *from, const char *prefix, const char *generated)
{
    const char *begin = strstr(seed, from);
    assert_non_null(begin);
    const char *end = strstr(begin, "\n]\n");
    const char *line_end = strchr(begin, '\n');
    end = strncmp(line_end, "\n\"elapsed", 9) == 0 ? end + 3 : line_end + 1;
    char *old = mem_str_slice(slice_make(begin, (size_t)(end - begin)));
    const char *rest = strstr(old, ", isRequestSuccess");
    const char *time = strstr(old, "timeGenerated: ");
    assert_true(rest != NULL && time != NULL);
    char *made =
        mem_printf("%s%.*stimeGenerated: %s%s", prefix, (int)(time - rest), rest, generated, strchr(time, ','));
    mem_free(old);
    return made;
}

static void strip_indentation(char *p)
{
    char *to = p;
    for (bool at_start = false; *p != '\0'; p++) {
        if (at_start && *p == ' ') {
            continue;
        }
        at_start = *p == '\n';
        *to++ = *p;
    }
    *to = '\0';
}

static char *read_seed(void)
{
    const char *shared = getenv("EGRET_SHARED");
    char *path = mem_printf("%s/seeds/apim-external-mode.txt", shared == NULL ? "../shared" : shared);
    char *seed = NULL;
    size_t n;
    struct err err;
    if (!file_read(path, 1 << 20, &seed, &n, &err)) {
        print_message("SKIPPED: %s\n", err.text);
    }
    mem_free(path);
    return seed;
}

static void a_record_equals_the_captured_line(void **state)
{
    (void)state;
    char *seed = read_seed();
    if (seed == NULL) {
        skip();
    }
    struct sample s;
    seed_init(&s);
    char *want = captured(seed, "[Info] 2021-09-14T02:58:55.494", "[Info] 2021-09-14T14:58:55.494 [GatewayLogs]",
                          "2021-09-14T14:58:55.494");
    assert_string_equal(render(gateway_log_text, &s.record), want);
    mem_free(want);
    mem_free(seed);
    sample_fini(&s);
}

static void a_failed_request_equals_the_captured_record(void **state)
{
    (void)state;
    char *seed = read_seed();
    if (seed == NULL) {
        skip();
    }
    struct sample s;
    struct record_error chain;
    seed_failed(&s, &chain);
    char *want = captured(seed, "[Info] 2021-09-14T02:59:23.892", "[Info] 2021-09-14T14:59:23.892 [GatewayLogs]",
                          "2021-09-14T14:59:23.892");
    render(gateway_log_text, &s.record);
    assert_non_null(strstr(text, ", lastError: {\n  \"elapsed\": 2094,\n  \"source\""));
    assert_non_null(strstr(text, "\n}, errors: [\n  {\n    \"elapsed\": 2079,\n"));
    strip_indentation(text);
    assert_string_equal(text, want);
    mem_free(want);
    mem_free(seed);
    sample_fini(&s);
}

static void json_has_the_same_fields_on_one_line(void **state)
{
    (void)state;
    struct sample s;
    struct record_error chain;
    seed_failed(&s, &chain);
    s.record.start_wall_us += 123;
    assert_string_equal(
        render(gateway_log_json, &s.record),
        "{\"isRequestSuccess\":false,\"totalTime\":2104,\"category\":\"GatewayLogs\",\"callerIpAddress\":\"172.17.0."
        "1\","
        "\"timeGenerated\":\"2021-09-14T14:59:23.8921230Z\",\"region\":\"nn-onprem-east\","
        "\"correlationId\":\"2bbf232e-0757-472c-8f69-5ae6466aa2c2\",\"method\":\"GET\","
        "\"url\":\"https://127.0.0.1:7002/self/api/"
        "products\",\"responseCode\":500,\"responseSize\":191,\"cache\":\"none\","
        "\"apiId\":\"self-hosted-api\",\"operationId\":\"wsl-linux-get-products\","
        "\"apimSubscriptionId\":\"nehali-all-product-subscription\",\"clientProtocol\":\"HTTP/"
        "1.1\",\"apiRevision\":\"1\","
        "\"clientTlsVersion\":\"1.2\",\"lastError\":{\"elapsed\":2094,\"source\":\"request-forwarder\","
        "\"path\":\"forward-request\\\\forward-request\",\"reason\":\"BackendConnectionFailure\","
        "\"message\":\"LogError connecting to 192.168.1.232:3001\",\"section\":\"backend\",\"transportErrorCode\":111},"
        "\"errors\":[{\"elapsed\":2079,\"source\":\"request-forwarder\",\"path\":\"forward-request\\\\forward-"
        "request\","
        "\"message\":\"LogError connecting to 192.168.1.232:3001\",\"section\":\"backend\"}]}\n");
    sample_fini(&s);
}

static void a_missing_resource_is_counted_as_captured(void **state)
{
    (void)state;
    struct sample s;
    struct record_error chain;
    seed_failed(&s, &chain);
    s.record.status = s.response.status = 404;
    s.response.reason = SLICE("Resource Not Found");
    s.response.content_length = 54;
    s.record.bytes_sent = 54;
    s.record.n_errors = 0;
    s.record.last_error = (struct record_error){.source = SLICE("configuration"),
                                                .reason = SLICE("OperationNotFound"),
                                                .message = SLICE("Unable to match incoming request to an operation."),
                                                .section = SLICE("backend")};
    render(gateway_log_json, &s.record);
    assert_non_null(strstr(text, "\"responseSize\":130,"));
    assert_non_null(strstr(text, "\"lastError\":{\"elapsed\":0,\"source\":\"configuration\",\"reason\":"));
    assert_non_null(strstr(text, "\"errors\":[{\"elapsed\":0,\"source\":\"configuration\",\"message\":"));
    sample_fini(&s);
}

static void nothing_from_outside_can_begin_a_record(void **state)
{
    (void)state;
    struct sample s;
    seed_init(&s);
    s.record.url = SLICE("https://x.test/\n[Info] 2021-09-14T02:58:55.494, isRequestSuccess: True");
    render(gateway_log_text, &s.record);
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    sample_fini(&s);
}

static void a_request_without_anything_still_makes_a_record(void **state)
{
    (void)state;
    struct record r;
    memset(&r, 0, sizeof r);
    assert_string_equal(render(gateway_log_json, &r),
                        "{\"isRequestSuccess\":false,\"totalTime\":0,\"category\":\"GatewayLogs\","
                        "\"timeGenerated\":\"1970-01-01T00:00:00.0000000Z\",\"cache\":\"none\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_equals_the_captured_line),
        cmocka_unit_test(a_failed_request_equals_the_captured_record),
        cmocka_unit_test(json_has_the_same_fields_on_one_line),
        cmocka_unit_test(a_missing_resource_is_counted_as_captured),
        cmocka_unit_test(nothing_from_outside_can_begin_a_record),
        cmocka_unit_test(a_request_without_anything_still_makes_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
