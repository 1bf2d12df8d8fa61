/* What a call must not do, however its policies, its backend's secrets or its backend's answer are made. */
static const char *test_secret = "hidden";
#define TEST_SECRET test_secret
#define TEST_BACKEND_MORE ", query: [ { name: code, value: { parts: [ { literal: \"x=\" }, { secret: namedvalues/s } ] } } ]"
#include "unit/proxy/filter/runner_test.h"

static struct fixture f;

static int open_store(void **state)
{
    (void)state;
    fixture_open(&f);
    return 0;
}

static int close_store(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

#define FORWARD "backend: [ { forward_request: { follow_redirects: true } } ]"
#define REPLACE "{ find_and_replace: { from: a, to: { parts: [ { literal: bb } ] } } }"

static void a_secret_in_a_backends_query_stays_one_parameter(void **state)
{
    (void)state;
    static const struct {
        const char *secret, *query;
    } rows[] = {
        {"Az09-._~!$'()*+,;:@/?==", "x=Az09-._~!$'()*+,;:@/?=="},
        {"a b", "x=a%20b"},
        {"a&b=c", "x=a%26b=c"},
        {"a#b", "x=a%23b"},
        {"a\\r\\nX-Injected: yes", "x=a%0D%0AX-Injected:%20yes"},
        {"\\u00e9\\\"<>\\x7f", "x=%C3%A9%22%3C%3E%7F"},
        {"a%2Fb%2f", "x=a%2Fb%2f"},
        {"50%", "x=50%25"},
        {"%zz%4", "x=%25zz%254"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct call c;
        char path[200];
        fixture_close(&f);
        fixture_open(&f);
        test_secret = rows[i].secret;
        load(&f, &(struct documents){FORWARD, NULL, NULL});
        call_init(&c, &f, "GET", "/a/items/7?q=1");
        assert_int_equal(call_request(&c), FILTER_CONTINUE);
        snprintf(path, sizeof path, "%.*s", SLICE_ARG(c.request.path));
        char expected[200];
        snprintf(expected, sizeof expected, "/base/items/7?q=1&code=%s", rows[i].query);
        assert_string_equal(path, expected);
        call_fini(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_secret_in_a_backends_query_stays_one_parameter, open_store, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
