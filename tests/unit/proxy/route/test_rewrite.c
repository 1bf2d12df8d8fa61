#include "unit/proxy/route/fixture.h"

#include "proxy/route/table.h"

static struct route_table *table_of(const struct route_rule_conf *rule, enum vhost_tls tls)
{
    static const struct slice any[] = {{"*", 1}};
    struct arena *arena = arena_create(0);
    struct vhost_conf *host = arena_zalloc(arena, sizeof *host);
    *host = (struct vhost_conf){
        .name = SLICE("h"), .domains = any, .domain_count = 1, .routes = rule, .route_count = 1, .require_tls = tls};
    struct route_conf *conf = arena_zalloc(arena, sizeof *conf);
    *conf = (struct route_conf){.vhosts = host, .vhost_count = 1};
    struct err err;
    struct route_table *table = route_table_create(&arena, conf, &err);
    if (table == NULL) {
        fail_msg("%s", err.text);
    }
    return table;
}

static void forwarded_paths_are_rewritten_and_keep_their_query(void **state)
{
    (void)state;
    static const struct {
        enum route_path_kind kind;
        const char *path, *prefix_rewrite, *pattern, *substitution, *target, *want;
    } cases[] = {
        {ROUTE_PATH_PREFIX, "/", NULL, "", "", "/a?b", "/a?b"},
        {ROUTE_PATH_PREFIX, "/api/", "/", "", "", "/api/x?y=1", "/x?y=1"},
        {ROUTE_PATH_PREFIX, "/api", "/v2", "", "", "/apix", "/v2x"},
        {ROUTE_PATH_PREFIX, "/api", "", "", "", "/api/x", "/api/x"},
        {ROUTE_PATH_EXACT, "/api", "/other", "", "", "/api?q", "/other?q"},
        {ROUTE_PATH_SEPARATED_PREFIX, "/api", "/v2", "", "", "/api/x", "/v2/x"},
        {ROUTE_PATH_REGEX, "/a.*", "/b", "", "", "/abc?q", "/b?q"},
        {ROUTE_PATH_PREFIX, "/", NULL, "^/(\\w+)/(\\w+)", "/\\2/\\1", "/a/b/c?x=/a/b", "/b/a/c?x=/a/b"},
        {ROUTE_PATH_PREFIX, "/", NULL, "nothing", "x", "/a?b", "/a?b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route_rule_conf rule = {.path_kind = cases[i].kind, .path = slice_of(cases[i].path)};
        rule.forward.cluster = SLICE("c");
        rule.forward.has_prefix_rewrite = cases[i].prefix_rewrite != NULL;
        rule.forward.prefix_rewrite = slice_of(cases[i].prefix_rewrite);
        rule.forward.regex_rewrite.pattern = slice_of(cases[i].pattern);
        rule.forward.regex_rewrite.substitution = slice_of(cases[i].substitution);
        struct route_table *table = table_of(&rule, VHOST_TLS_NONE);
        struct route_request req = {.method = SLICE("GET"), .authority = SLICE("h"), .path = slice_of(cases[i].target)};
        struct arena *arena = arena_create(0);
        struct route_match m;
        struct slice out;
        route_table_match(table, &req, 0, arena, &m);
        assert_int_equal(m.outcome, ROUTE_FORWARD);
        assert_true(route_rewrite_path(&m, &req, arena, &out));
        assert_slice(out, cases[i].want);
        arena_destroy(&arena);
        route_table_unref(&table);
    }
}

static void redirects_name_the_whole_location(void **state)
{
    (void)state;
    static const struct {
        struct redirect_conf r;
        const char *scheme, *authority, *target, *want;
        uint32_t status;
    } cases[] = {
        {{.host = {"n", 1}}, "http", "h:8080", "/p/x?q", "http://n/p/x?q", 301},
        {{.scheme = {"https", 5}}, "http", "h:80", "/p", "https://h/p", 301},
        {{.scheme = {"https", 5}}, "http", "h:8080", "/p", "https://h:8080/p", 301},
        {{.scheme = {"http", 4}}, "https", "h:443", "/p", "http://h/p", 301},
        {{.scheme = {"https", 5}}, "https", "h:80", "/p", "https://h:80/p", 301},
        {{.port = 8443, .scheme = {"https", 5}}, "http", "h:80", "/p", "https://h:8443/p", 301},
        {{.port = 81}, "http", "[::1]:80", "/p", "http://[::1]:81/p", 301},
        {{.host = {"n", 1}, .port = 81}, "http", "h", "/p", "http://n:81/p", 301},
        {{.path = {"/new", 4}, .status = 302}, "http", "h", "/p?q", "http://h/new?q", 302},
        {{.path = {"/new?z", 6}, .status = 307}, "http", "h", "/p?q", "http://h/new?z", 307},
        {{.path = {"/new", 4}, .strip_query = true}, "http", "h", "/p?q", "http://h/new", 301},
        {{.strip_query = true}, "http", "h", "/p?q", "http://h/p", 301},
        {{.prefix_rewrite = {"/n", 2}, .has_prefix_rewrite = true, .status = 308},
         "http",
         "h",
         "/p/x?q",
         "http://h/n/x?q",
         308},
        {{.regex_rewrite = {{"/p/(.)", 6}, {"/\\1", 3}}, .status = 303}, "http", "h", "/p/x?q", "http://h/x?q", 303},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route_rule_conf rule = {.path = SLICE("/p"), .action = ROUTE_ACTION_REDIRECT, .redirect = cases[i].r};
        struct route_table *table = table_of(&rule, VHOST_TLS_NONE);
        struct route_request req = {.scheme = slice_of(cases[i].scheme),
                                    .method = SLICE("GET"),
                                    .authority = slice_of(cases[i].authority),
                                    .path = slice_of(cases[i].target)};
        struct arena *arena = arena_create(0);
        struct route_match m;
        struct slice location;
        uint32_t status = 0;
        route_table_match(table, &req, 0, arena, &m);
        assert_int_equal(m.outcome, ROUTE_REDIRECT);
        assert_true(route_redirect_location(&m, &req, arena, &status, &location));
        assert_slice(location, cases[i].want);
        assert_int_equal(status, cases[i].status);
        arena_destroy(&arena);
        route_table_unref(&table);
    }
}

static void a_host_that_requires_tls_redirects_before_any_route(void **state)
{
    (void)state;
    static const struct {
        enum vhost_tls tls;
        const char *scheme;
        bool internal, redirected;
    } cases[] = {
        {VHOST_TLS_ALL, "http", true, true},
        {VHOST_TLS_ALL, "https", false, false},
        {VHOST_TLS_EXTERNAL_ONLY, "http", false, true},
        {VHOST_TLS_EXTERNAL_ONLY, "http", true, false},
        {VHOST_TLS_NONE, "http", false, false},
    };
    struct route_rule_conf rule = {.path = SLICE("/"), .forward = {.cluster = SLICE("c")}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route_table *table = table_of(&rule, cases[i].tls);
        struct route_request req = {.scheme = slice_of(cases[i].scheme),
                                    .method = SLICE("GET"),
                                    .authority = SLICE("h:80"),
                                    .path = SLICE("/a?b"),
                                    .internal = cases[i].internal};
        struct arena *arena = arena_create(0);
        struct route_match m;
        route_table_match(table, &req, 0, arena, &m);
        assert_int_equal(m.outcome, cases[i].redirected ? ROUTE_REDIRECT : ROUTE_FORWARD);
        if (cases[i].redirected) {
            struct slice location;
            uint32_t status = 0;
            assert_true(route_redirect_location(&m, &req, arena, &status, &location));
            assert_slice(location, "https://h/a?b");
            assert_int_equal(status, 301);
        }
        arena_destroy(&arena);
        route_table_unref(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forwarded_paths_are_rewritten_and_keep_their_query),
        cmocka_unit_test(redirects_name_the_whole_location),
        cmocka_unit_test(a_host_that_requires_tls_redirects_before_any_route),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
