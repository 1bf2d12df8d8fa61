#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/macros.h"
#include "proxy/ads/session.h"
#include "unit/proxy/ads/ads_test.h"

enum { T_CDS, T_EDS, T_API };

typedef Envoy__Service__Discovery__V3__DeltaDiscoveryRequest pb_request;
typedef Envoy__Service__Discovery__V3__DeltaDiscoveryResponse pb_response;

static char seen[2048];

/* "Cluster node +a -b held=1 n=x error 13: text" */
static void add_request(struct strbuf *out, struct slice bytes)
{
    struct arena *arena = arena_create(0);
    struct err err;
    const pb_request *m =
        guard_unpack(NULL, &envoy__service__discovery__v3__delta_discovery_request__descriptor, bytes, arena, &err);
    assert_non_null(m);
    strbuf_printf(out, "%s%s%s", out->n > 0 ? "; " : "", strrchr(m->type_url, '.') + 1, m->node == NULL ? "" : " node");
    for (size_t i = 0; i < m->n_resource_names_subscribe; i++) {
        strbuf_printf(out, " +%s", m->resource_names_subscribe[i]);
    }
    for (size_t i = 0; i < m->n_resource_names_unsubscribe; i++) {
        strbuf_printf(out, " -%s", m->resource_names_unsubscribe[i]);
    }
    for (size_t i = 0; i < m->n_initial_resource_versions; i++) {
        strbuf_printf(out, " %s=%s", m->initial_resource_versions[i]->key, m->initial_resource_versions[i]->value);
    }
    if (m->response_nonce[0] != '\0') {
        strbuf_printf(out, " n=%s", m->response_nonce);
    }
    if (m->error_detail != NULL) {
        strbuf_printf(out, " error %d: %s", m->error_detail->code, m->error_detail->message);
    }
    arena_destroy(&arena);
}

static const char *requests(struct ads_session *s)
{
    struct strbuf request, all;
    strbuf_init(&request);
    strbuf_init(&all);
    while (ads_session_next(s, &request)) {
        add_request(&all, strbuf_slice(&request));
    }
    snprintf(seen, sizeof seen, "%s", strbuf_cstr(&all));
    strbuf_fini(&request);
    strbuf_fini(&all);
    return seen;
}

static void want(struct ads_session *s, size_t type, const char *names)
{
    struct slice list[8], rest = slice_of(names);
    size_t n = 0;
    while (rest.n > 0) {
        list[n++] = slice_cut(&rest, ' ');
    }
    ads_session_set_names(s, type, list, n);
}

static struct ads_session *session(void)
{
    struct ads_session *s = ads_session_create(NODE, true);
    ads_session_add_type(s, SLICE(CDS));
    ads_session_add_type(s, SLICE(EDS));
    ads_session_add_type(s, SLICE(API));
    want(s, T_CDS, "*");
    want(s, T_API, "*");
    return s;
}

struct item {
    const char *name, *inner; /* inner NULL: of the response's type; "": no content */
};

static enum ads_verdict receive(struct ads_session *s, const char *type, const char *nonce, const struct item *items,
                                size_t n, struct err *err)
{
    struct arena *arena = arena_create(0);
    pb_response m = ENVOY__SERVICE__DISCOVERY__V3__DELTA_DISCOVERY_RESPONSE__INIT;
    Envoy__Service__Discovery__V3__Resource list[4], *pointers[4];
    Google__Protobuf__Any contents[4];
    for (size_t i = 0; i < n; i++) {
        envoy__service__discovery__v3__resource__init(&list[i]);
        google__protobuf__any__init(&contents[i]);
        contents[i].type_url = (char *)(uintptr_t)(items[i].inner == NULL ? type : items[i].inner);
        list[i].name = (char *)(uintptr_t)items[i].name;
        list[i].version = (char *)(uintptr_t) "7";
        list[i].resource = items[i].inner != NULL && items[i].inner[0] == '\0' ? NULL : &contents[i];
        pointers[i] = &list[i];
    }
    char *removed[] = {(char *)(uintptr_t) "gone"};
    m.type_url = (char *)(uintptr_t)type;
    m.nonce = (char *)(uintptr_t)nonce;
    m.system_version_info = (char *)(uintptr_t) "v";
    m.resources = pointers;
    m.n_resources = n;
    m.removed_resources = removed;
    m.n_removed_resources = 1;
    struct ads_response response;
    enum ads_verdict verdict = ads_session_receive(s, pack_message(&m.base, arena), arena, &response, err);
    if (verdict == ADS_TAKE) {
        assert_int_equal(response.n, n);
        assert_int_equal(response.n_removed, 1);
        assert_true(slice_eq(response.removed[0], SLICE("gone")));
        assert_true(n == 0 || (slice_eq(response.resources[n - 1].name, slice_of(items[n - 1].name)) &&
                               slice_eq(response.resources[n - 1].version, SLICE("7"))));
    }
    arena_destroy(&arena);
    return verdict;
}

static void take(struct ads_session *s, const char *type, const char *nonce)
{
    struct err err;
    assert_int_equal(receive(s, type, nonce, &(struct item){"a", NULL}, 1, &err), ADS_TAKE);
}

static void a_new_stream_subscribes_and_says_the_node_once(void **state)
{
    (void)state;
    struct ads_session *s = session();
    ads_session_open(s);
    assert_string_equal(requests(s), "Cluster node; Api +*");
    assert_string_equal(requests(s), "");
    ads_session_destroy(&s);
}

static void an_acknowledgement_is_the_nonce_alone_and_names_come_by_increments(void **state)
{
    (void)state;
    struct ads_session *s = session();
    ads_session_open(s);
    requests(s);
    take(s, CDS, "x");
    ads_session_ack(s);
    assert_string_equal(requests(s), "Cluster n=x");
    want(s, T_EDS, "b a");
    assert_string_equal(requests(s), "ClusterLoadAssignment +a +b");
    want(s, T_EDS, "b c");
    assert_string_equal(requests(s), "ClusterLoadAssignment +c -a");
    take(s, EDS, "y");
    want(s, T_EDS, "c");
    ads_session_ack(s);
    assert_string_equal(requests(s), "ClusterLoadAssignment -b n=y");
    want(s, T_EDS, "");
    assert_string_equal(requests(s), "ClusterLoadAssignment -c");
    want(s, T_EDS, "c");
    assert_string_equal(requests(s), "ClusterLoadAssignment +c");
    ads_session_destroy(&s);
}

static void a_refusal_names_the_reason_once(void **state)
{
    (void)state;
    struct ads_session *s = session();
    ads_session_open(s);
    requests(s);
    take(s, CDS, "x");
    ads_session_nack(s, SLICE("a: bad"));
    assert_string_equal(requests(s), "Cluster n=x error 13: a: bad");
    take(s, CDS, "y");
    ads_session_ack(s);
    assert_string_equal(requests(s), "Cluster n=y");
    ads_session_destroy(&s);
}

static void who_comes_back_says_what_is_held_and_no_old_nonce(void **state)
{
    (void)state;
    struct ads_session *s = session();
    want(s, T_EDS, "e");
    ads_session_open(s);
    requests(s);
    take(s, CDS, "x");
    ads_session_close(s);
    ads_session_ack(s);
    assert_string_equal(requests(s), "");
    static const struct store_version held[] = {{{"a", 1}, {"7", 1}}, {{"b", 1}, {"8", 1}}};
    ads_session_open(s);
    ads_session_set_held(s, T_CDS, held, 2);
    ads_session_set_held(s, T_EDS, held, 1);
    assert_string_equal(requests(s), "Cluster node a=7 b=8; ClusterLoadAssignment +e a=7; Api +*");
    take(s, CDS, "1");
    ads_session_ack(s);
    assert_string_equal(requests(s), "Cluster n=1");
    ads_session_destroy(&s);
}

static void what_cannot_be_a_response_is_refused_whole(void **state)
{
    (void)state;
    static const struct {
        struct item item;
        const char *error;
    } rows[] = {
        {{"a", EDS}, "a: of type " EDS " in a response of type " CDS},
        {{"", NULL}, "resources[0]: it has no name"},
        {{"a", ""}, "resources[0]: ttl: resources that expire were not asked for"},
    };
    struct ads_session *s = session();
    ads_session_open(s);
    requests(s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err;
        char expected[300];
        assert_int_equal(receive(s, CDS, "x", &rows[i].item, 1, &err), ADS_DONE);
        snprintf(expected, sizeof expected, "Cluster n=x error 13: %s", rows[i].error);
        assert_string_equal(requests(s), expected);
    }
    struct err err;
    assert_int_equal(receive(s, LDS, "x", NULL, 0, &err), ADS_DONE);
    assert_string_equal(requests(s), "");
    struct arena *arena = arena_create(0);
    struct ads_response out;
    assert_int_equal(ads_session_receive(s, SLICE("\xff\xff"), arena, &out, &err), ADS_BROKEN);
    arena_destroy(&arena);
    ads_session_destroy(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_stream_subscribes_and_says_the_node_once),
        cmocka_unit_test(an_acknowledgement_is_the_nonce_alone_and_names_come_by_increments),
        cmocka_unit_test(a_refusal_names_the_reason_once),
        cmocka_unit_test(who_comes_back_says_what_is_held_and_no_old_nonce),
        cmocka_unit_test(what_cannot_be_a_response_is_refused_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
