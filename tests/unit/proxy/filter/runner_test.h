/* A call through the filter "egret.apim" without any stream: programs as YAML, a request, what the backend would see. */
#pragma once
#include "unit/proxy/config/fixture.h"

#include "base/strbuf.h"
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "proxy/filter/apim.h"
#include "proxy/filter/apim_mac.h"

struct call {
    struct filter_host host;
    struct arena *arena;
    struct head request, response;
    struct apim_match match;
    struct transport_info info;
    struct addr remote;
    struct apim_filter_config config;
    struct strbuf replied; /* "status reason|name: value|…|body"; empty: no reply */
};

static inline void call_reply(struct filter_host *host, const struct local_reply *reply)
{
    struct call *c = container_of(host, struct call, host);
    assert_true(slice_is_empty(strbuf_slice(&c->replied))); /* once */
    strbuf_printf(&c->replied, "%u %.*s|", reply->status, SLICE_ARG(reply->reason));
    for (size_t i = 0; i < reply->n_fields; i++) {
        strbuf_printf(&c->replied, "%.*s: %.*s|", SLICE_ARG(reply->fields[i].name), SLICE_ARG(reply->fields[i].value));
    }
    strbuf_add(&c->replied, reply->body);
}

/* service, api, operation: sections of a PolicyProgram in YAML flow style ("inbound: [ … ]"); NULL: no document. */
struct documents {
    const char *service, *api, *operation;
};

#define TEST_API                                                                                                       \
    "{ name: \"apis/a;rev=1\", api_id: a, display_name: \"The API\", path: a, revision: \"1\", is_current: true, "      \
    "is_online: true, http: true, key_header: k, key_query: kq, backend: backends/up, %s %s operations: [ "           \
    "{ id: get, method: GET, url_template: \"/items/{id}\", %s examples: [ { status: 200, content_type: text/one, body: one }, " \
    "{ status: 200, content_type: \"text/two; a=b\", body: two }, { status: 404, content_type: text/none }, "         \
    "{ content_type: text/any, body: any } ] }, "                                                                     \
    "{ id: post, method: POST, url_template: \"/items/{id}\", %s } ] }"

#ifndef TEST_SECRET /* a test's own secret and what else its backend has */
#define TEST_SECRET "hidden"
#define TEST_BACKEND_MORE ""
#endif

static inline void load(struct fixture *f, const struct documents *d)
{
    static int version;
    char v[16], secret[300], api[2000], programs[3][4000];
    const char *texts[] = {d->service, d->api, d->operation};
    const char *const names[] = {"policy", "apis/a;rev=1/policy", "apis/a;rev=1/operations/get/policy"};
    const char *list[4] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < 3; i++) {
        if (texts[i] != NULL) {
            snprintf(programs[n], sizeof programs[n], "{ name: \"%s\", %s }", names[i], texts[i]);
            list[n] = programs[n];
            n++;
        }
    }
    snprintf(v, sizeof v, "%d", ++version);
    const char *op = d->operation == NULL ? "" : "program: \"apis/a;rev=1/operations/get/policy\",";
    snprintf(api, sizeof api, TEST_API, d->service == NULL ? "" : "service_program: policy,",
             d->api == NULL ? "" : "api_program: \"apis/a;rev=1/policy\",", op, op);
    if (!fixture_apply(f, URL_PROGRAM, v, list)) {
        fail_msg("%s", f->err.text);
    }
    assert_true(APPLY(f, URL_CDS, v, "{ name: up, load_assignment: { cluster_name: up } }",
                      "{ name: up2, load_assignment: { cluster_name: up2 } }",
                      "{ name: up3, load_assignment: { cluster_name: up3 } }"));
    snprintf(secret, sizeof secret, "{ name: namedvalues/s, generic_secret: { secret: { inline_string: \"%s\" } } }", TEST_SECRET);
    assert_true(APPLY(f, URL_BACKEND, v,
                      "{ name: backends/up, cluster: up, base_path: /base, authority: up.test, url: \"http://up.test/base\", "
                      "http2_cluster: up2, proxied: [ { proxy: \"p:80\", version: HTTP2, cluster: up2 }, { proxy: \"p:80\", cluster: up3 } ]"
                      TEST_BACKEND_MORE " }"));
    assert_true(APPLY(f, URL_SDS, v, secret)); /* what nobody asks for is not kept */
    assert_true(APPLY(f, URL_API, v, api));
    assert_non_null(apim_set_table(snapshot_apim(fixture_now(f))));
}

static inline struct slice call_header(const void *ctx, struct slice name, bool *present)
{
    return head_joined(ctx, name, present);
}

static inline void call_init(struct call *c, struct fixture *f, const char *method, const char *path)
{
    memset(c, 0, sizeof *c);
    c->arena = arena_create(0);
    strbuf_init(&c->replied);
    head_init(&c->request, c->arena);
    c->request.method = slice_of(method);
    c->request.scheme = SLICE("http");
    c->request.authority = SLICE("gw.test");
    c->request.path = slice_of(path);
    c->remote = (struct addr){.len = sizeof c->remote.in4};
    c->remote.in4.sin_family = AF_INET;
    c->remote.in4.sin_addr.s_addr = htonl(0x0a000001);
    c->info.remote = &c->remote;
    c->host = (struct filter_host){.arena = c->arena,
                                   .snapshot = fixture_now(f),
                                   .downstream = &c->info,
                                   .request = &c->request,
                                   .correlation_id = SLICE("id-1"),
                                   .reply = call_reply,
                                   .max_body_held = 1000};
    struct route_request view = {.scheme = c->request.scheme, .method = c->request.method,
                                 .authority = c->request.authority, .path = c->request.path,
                                 .header = call_header, .ctx = &c->request};
    apim_match(apim_set_table(snapshot_apim(c->host.snapshot)), &view, c->arena, &c->match);
    c->host.apim.match = &c->match;
}

static inline void call_fini(struct call *c)
{
    apim_end(&c->host);
    apim_end(&c->host); /* harmless */
    strbuf_fini(&c->replied);
    arena_destroy(&c->arena);
}

static inline const struct http_filter *call_filter(struct call *c)
{
    struct err err;
    Egret__Apim__V1__ApimFilter message = EGRET__APIM__V1__APIM_FILTER__INIT;
    return apim_filter_type.build(&message, c->arena, &err);
}

static inline enum filter_verdict call_request(struct call *c)
{
    const struct http_filter *filter = call_filter(c);
    return filter->on_request(filter, &c->host);
}

/* The backend's answer; its body is handed through the stages when they are asked. */
static inline void call_response(struct call *c, unsigned status)
{
    const struct http_filter *filter = call_filter(c);
    head_init(&c->response, c->arena);
    c->response.status = status;
    c->host.response = &c->response;
    filter->on_response(filter, &c->host);
}

static inline void call_stages(struct body_chain *chain, const char *body, struct strbuf *out)
{
    struct buf in, made;
    struct err err;
    buf_init(&in);
    buf_init(&made);
    buf_append_str(&in, body);
    assert_non_null(chain);
    assert_true(body_chain_run(chain, &in, true, &made, &err));
    strbuf_add(out, buf_pullup(&made, buf_len(&made)));
    buf_fini(&made);
}
