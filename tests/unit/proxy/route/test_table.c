#include "unit/proxy/route/fixture.h"

#include "proxy/route/table.h"

/* A table of virtual hosts without routes' details: each host has one prefix "/" route to a cluster of its name. */
struct host_spec {
    const char *name;
    const char *domains[4];
};

static const struct route_conf *conf_of_hosts(struct arena *arena, const struct host_spec *specs, size_t count)
{
    struct vhost_conf *hosts = arena_zalloc(arena, count * sizeof *hosts);
    for (size_t i = 0; i < count; i++) {
        struct slice *domains = arena_zalloc(arena, 4 * sizeof *domains);
        struct route_rule_conf *rule = arena_zalloc(arena, sizeof *rule);
        rule->path = SLICE("/");
        rule->forward.cluster = slice_of(specs[i].name);
        hosts[i] = (struct vhost_conf){.name = slice_of(specs[i].name), .domains = domains, .routes = rule};
        hosts[i].route_count = 1;
        for (; hosts[i].domain_count < 4 && specs[i].domains[hosts[i].domain_count] != NULL; hosts[i].domain_count++) {
            domains[hosts[i].domain_count] = slice_of(specs[i].domains[hosts[i].domain_count]);
        }
    }
    struct route_conf *conf = arena_zalloc(arena, sizeof *conf);
    *conf = (struct route_conf){.vhosts = hosts, .vhost_count = count};
    return conf;
}

/* A table of one host "*" with these routes. */
static struct route_table *table_of_rules(const struct route_rule_conf *rules, size_t count, struct err *err)
{
    static const struct slice any[] = {{"*", 1}};
    struct arena *arena = arena_create(0);
    struct vhost_conf *host = arena_zalloc(arena, sizeof *host);
    *host = (struct vhost_conf){
        .name = SLICE("host"), .domains = any, .domain_count = 1, .routes = rules, .route_count = count};
    struct route_conf *conf = arena_zalloc(arena, sizeof *conf);
    *conf = (struct route_conf){.vhosts = host, .vhost_count = 1};
    return route_table_create(&arena, conf, err);
}

static struct route_match match_with(const struct route_table *table, const char *line, const char *headers,
                                     uint64_t random)
{
    struct fixture_headers kept;
    struct route_request req = fixture_request(line, &kept, headers);
    struct arena *arena = arena_create(0);
    struct route_match m;
    route_table_match(table, &req, random, arena, &m);
    arena_destroy(&arena);
    return m;
}

/* Cluster or name of the rule that answers, "-" when none does. */
static void expect(const struct route_table *table, const char *line, const char *headers, const char *want)
{
    struct route_match m = match_with(table, line, headers, 0);
    struct slice got = m.rule == NULL ? SLICE("-") : m.rule->name.n > 0 ? m.rule->name : m.cluster;
    if (!slice_eq(got, slice_of(want))) {
        fail_msg("%s [%s]: got %.*s, want %s", line, headers == NULL ? "" : headers, SLICE_ARG(got), want);
    }
}

static void hosts_match_exact_then_longest_suffix_then_longest_prefix_then_any(void **state)
{
    (void)state;
    static const struct host_spec specs[] = {
        {"exact", {"www.foo.com", "foo.com:8080"}},
        {"suffix", {"*.foo.com"}},
        {"longer", {"*.bar.foo.com"}},
        {"dash", {"*-x.foo.com"}},
        {"prefix", {"foo.*"}},
        {"longprefix", {"foo.bar.*"}},
        {"any", {"*"}},
    };
    struct arena *arena = arena_create(0);
    const struct route_conf *conf = conf_of_hosts(arena, specs, ARRAY_LEN(specs));
    struct route_table *table = route_table_create(&arena, conf, NULL);
    assert_null(arena);
    static const char *const cases[][2] = {
        {"GET http://www.foo.com/", "exact"},  {"GET http://WWW.Foo.Com/", "exact"},
        {"GET http://foo.com:8080/", "exact"}, {"GET http://foo.com/", "prefix"},
        {"GET http://a.foo.com/", "suffix"},   {"GET http://.foo.com/", "any"},
        {"GET http://a.b.foo.com/", "suffix"}, {"GET http://a.BAR.foo.com/", "longer"},
        {"GET http://bar.foo.com/", "suffix"}, {"GET http://a-x.foo.com/", "dash"},
        {"GET http://-x.foo.com/", "suffix"},  {"GET http://foo.bar.org/", "longprefix"},
        {"GET http://foo.org/", "prefix"},     {"GET http://foo./", "any"},
        {"GET http://www.foo.com:80/", "any"}, {"GET http://a.foo.com:80/", "any"},
        {"GET http://else/", "any"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect(table, cases[i][0], NULL, cases[i][1]);
    }
    route_table_unref(&table);
}

static void the_port_is_part_of_the_host_unless_it_is_ignored(void **state)
{
    (void)state;
    static const struct host_spec specs[] = {{"plain", {"a.b", "[::1]"}}};
    struct arena *arena = arena_create(0);
    struct route_conf *conf = (struct route_conf *)(uintptr_t)conf_of_hosts(arena, specs, 1);
    conf->ignore_port = true;
    struct route_table *table = route_table_create(&arena, conf, NULL);
    expect(table, "GET http://a.b:81/", NULL, "plain");
    expect(table, "GET http://a.b/", NULL, "plain");
    expect(table, "GET http://[::1]:80/", NULL, "plain");
    assert_int_equal(match_with(table, "GET http://c:80/", NULL, 0).outcome, ROUTE_NO_HOST);
    route_table_unref(&table);
}

static void one_domain_or_name_in_two_hosts_is_refused_with_both_names(void **state)
{
    (void)state;
    static const struct host_spec twice[] = {{"first", {"a.b"}}, {"second", {"c", "A.B"}}};
    static const struct host_spec any[] = {{"first", {"*"}}, {"second", {"*"}}};
    static const struct host_spec names[] = {{"same", {"a"}}, {"same", {"b"}}};
    static const struct host_spec none[] = {{"empty", {NULL}}};
    const struct {
        const struct host_spec *specs;
        size_t count;
        const char *says;
    } cases[] = {{twice, 2, "\"A.B\" stands in virtual host \"first\" and in \"second\""},
                 {any, 2, "\"*\""},
                 {names, 2, "\"same\""},
                 {none, 1, "no domains"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *arena = arena_create(0);
        struct err err;
        const struct route_conf *conf = conf_of_hosts(arena, cases[i].specs, cases[i].count);
        assert_null(route_table_create(&arena, conf, &err));
        assert_null(arena);
        assert_text_has(&err, cases[i].says);
    }
}

#define RULE(label, kind_, text) \
    .name = SLICE(label), .path_kind = kind_, .path = SLICE(text), .forward = {.cluster = {"c", 1}}

static void paths_match_without_the_query_in_list_order(void **state)
{
    (void)state;
    static const struct route_rule_conf rules[] = {
        {RULE("connect", ROUTE_PATH_CONNECT, "")},
        {RULE("exact", ROUTE_PATH_EXACT, "/exact")},
        {RULE("nocase", ROUTE_PATH_EXACT, "/NoCase"), .ignore_case = true},
        {RULE("regex", ROUTE_PATH_REGEX, "/re/\\d+")},
        {RULE("sep", ROUTE_PATH_SEPARATED_PREFIX, "/sep")},
        {RULE("pre", ROUTE_PATH_PREFIX, "/pre")},
        {RULE("PRE", ROUTE_PATH_PREFIX, "/UP"), .ignore_case = true},
        {RULE("shadowed", ROUTE_PATH_PREFIX, "/pre/long")},
    };
    struct route_table *table = table_of_rules(rules, ARRAY_LEN(rules), NULL);
    static const char *const cases[][2] = {
        {"GET http://h/exact?x", "exact"},
        {"GET http://h/exact/", "-"},
        {"GET http://h/Exact", "-"},
        {"GET http://h/nocase", "nocase"},
        {"GET http://h/re/12?q", "regex"},
        {"GET http://h/re/12/", "-"},
        {"GET http://h/sep", "sep"},
        {"GET http://h/sep/x", "sep"},
        {"GET http://h/sepx", "-"},
        {"GET http://h/sep?x", "sep"},
        {"GET http://h/prefix", "pre"},
        {"GET http://h/pre/long", "pre"},
        {"GET http://h/upper", "PRE"},
        {"CONNECT http://h", "connect"},
        {"GET http://h", "-"},
        {"GET http://h/", "-"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect(table, cases[i][0], NULL, cases[i][1]);
    }
    route_table_unref(&table);
}

static void header_conditions_follow_envoys_rules(void **state)
{
    (void)state;
    static const struct {
        struct header_match_conf m;
        const char *headers;
        bool want;
    } cases[] = {
        {{.kind = HEADER_MATCH_PRESENT, .present = true}, "x: 1", true},
        {{.kind = HEADER_MATCH_PRESENT, .present = true}, "x:", true},
        {{.kind = HEADER_MATCH_PRESENT, .present = true}, "", false},
        {{.kind = HEADER_MATCH_PRESENT, .present = false}, "", true},
        {{.kind = HEADER_MATCH_PRESENT, .present = true, .invert = true}, "", true},
        {{.kind = HEADER_MATCH_PRESENT, .present = true, .treat_missing_as_empty = true}, "", true},
        {{.kind = HEADER_MATCH_RANGE, .range_start = -5, .range_end = 10}, "x: -5", true},
        {{.kind = HEADER_MATCH_RANGE, .range_start = -5, .range_end = 10}, "x: 10", false},
        {{.kind = HEADER_MATCH_RANGE, .range_start = -5, .range_end = 10}, "x: 1a", false},
        {{.kind = HEADER_MATCH_RANGE, .range_start = -5, .range_end = 10, .invert = true}, "x: 1a", true},
        {{.kind = HEADER_MATCH_RANGE, .range_start = INT64_MIN, .range_end = 0}, "x: -9223372036854775808", true},
        {{.kind = HEADER_MATCH_RANGE, .range_start = INT64_MIN, .range_end = 0}, "x: -9223372036854775809", false},
        {{.kind = HEADER_MATCH_RANGE, .range_start = 0, .range_end = 10, .invert = true}, "", false},
        {{.kind = HEADER_MATCH_RANGE, .range_end = 10, .invert = true, .treat_missing_as_empty = true}, "", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_EXACT, {"ab", 2}, false}}, "x: ab", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_EXACT, {"ab", 2}, false}}, "x: AB", false},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_EXACT, {"ab", 2}, true}}, "x: AB", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_EXACT, {"a,b", 3}, false}}, "x: a\nx: b", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_PREFIX, {"ab", 2}, true}}, "x: ABc", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_SUFFIX, {"bc", 2}, false}}, "x: abc", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_CONTAINS, {"b", 1}, false}}, "x: abc", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_CONTAINS, {"B", 1}, true}}, "x: abc", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_CONTAINS, {"B", 1}, false}}, "x: abc", false},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_REGEX, {"a+", 2}, false}}, "x: aaa", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_REGEX, {"a+", 2}, false}}, "x: aab", false},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_REGEX, {"a*", 2}, false}}, "", false},
        {{.kind = HEADER_MATCH_STRING,
          .string = {STRING_MATCH_REGEX, {"a*", 2}, false},
          .treat_missing_as_empty = true},
         "",
         true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_EXACT, {"a", 1}, false}, .invert = true}, "x: b", true},
        {{.kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_EXACT, {"a", 1}, false}, .invert = true}, "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct header_match_conf m = cases[i].m;
        m.name = SLICE("x");
        struct route_rule_conf rule = {RULE("hit", ROUTE_PATH_PREFIX, "/"), .headers = &m, .header_count = 1};
        struct route_table *table = table_of_rules(&rule, 1, NULL);
        assert_non_null(table);
        bool hit = match_with(table, "GET http://h/", cases[i].headers, 0).outcome == ROUTE_FORWARD;
        if (hit != cases[i].want) {
            fail_msg("case %zu with \"%s\"", i, cases[i].headers);
        }
        route_table_unref(&table);
    }
}

static void pseudo_headers_are_headers_to_a_matcher(void **state)
{
    (void)state;
    static const struct header_match_conf post = {
        .name = {":method", 7}, .kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_EXACT, {"POST", 4}, false}};
    static const struct header_match_conf host = {
        .name = {"host", 4}, .kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_SUFFIX, {".b", 2}, false}};
    static const struct route_rule_conf rules[] = {
        {RULE("post", ROUTE_PATH_PREFIX, "/"), .headers = &post, .header_count = 1},
        {RULE("host", ROUTE_PATH_PREFIX, "/"), .headers = &host, .header_count = 1},
    };
    struct route_table *table = table_of_rules(rules, 2, NULL);
    expect(table, "POST http://h/", NULL, "post");
    expect(table, "GET http://a.b/", NULL, "host");
    expect(table, "GET http://a/", NULL, "-");
    route_table_unref(&table);
}

static void query_conditions_look_at_the_first_raw_value(void **state)
{
    (void)state;
    static const struct query_match_conf present = {.name = {"p", 1}, .present_only = true, .present = true};
    static const struct query_match_conf absent = {.name = {"p", 1}, .present_only = true, .present = false};
    static const struct query_match_conf value = {.name = {"q", 1}, .string = {STRING_MATCH_PREFIX, {"a%", 2}, false}};
    static const struct query_match_conf both[] = {
        {.name = {"p", 1}, .present_only = true, .present = true},
        {.name = {"r", 1}, .string = {STRING_MATCH_REGEX, {"\\d", 2}, false}}};
    static const struct route_rule_conf rules[] = {
        {RULE("both", ROUTE_PATH_PREFIX, "/"), .query = both, .query_count = 2},
        {RULE("present", ROUTE_PATH_PREFIX, "/"), .query = &present, .query_count = 1},
        {RULE("value", ROUTE_PATH_PREFIX, "/"), .query = &value, .query_count = 1},
        {RULE("absent", ROUTE_PATH_PREFIX, "/"), .query = &absent, .query_count = 1},
    };
    struct route_table *table = table_of_rules(rules, 4, NULL);
    expect(table, "GET http://h/?p", NULL, "present");
    expect(table, "GET http://h/?p=&r=1", NULL, "both");
    expect(table, "GET http://h/?p=&r=12", NULL, "present");
    expect(table, "GET http://h/?q=a%20&q=b", NULL, "value");
    expect(table, "GET http://h/?q=b&q=a%20", NULL, "absent");
    expect(table, "GET http://h/", NULL, "absent");
    route_table_unref(&table);
}

static void a_pathological_expression_denies_and_never_falls_through(void **state)
{
    (void)state;
    static const struct route_rule_conf rules[] = {
        {RULE("evil", ROUTE_PATH_REGEX, "/(a|aa)*[bc]")},
        {RULE("open", ROUTE_PATH_PREFIX, "/")},
    };
    struct route_table *table = table_of_rules(rules, 2, NULL);
    char line[300] = "GET http://h/";
    memset(line + strlen(line), 'a', 200);
    assert_int_equal(match_with(table, line, NULL, 0).outcome, ROUTE_DENIED);
    expect(table, "GET http://h/aab", NULL, "evil");
    expect(table, "GET http://h/xaab", NULL, "open");
    route_table_unref(&table);
}

static void clusters_are_named_weighted_or_taken_from_a_header(void **state)
{
    (void)state;
    static const struct weighted_cluster_conf parts[] = {
        {.name = {"a", 1}, .weight = 1}, {.name = {"none", 4}, .weight = 0}, {.name = {"b", 1}, .weight = 3}};
    struct route_rule_conf rules[] = {
        {.path = SLICE("/w"), .forward = {.pick = CLUSTER_WEIGHTED, .weighted = parts, .weighted_count = 3}},
        {.path = SLICE("/h"), .forward = {.pick = CLUSTER_FROM_HEADER, .cluster = SLICE("x-cluster")}},
    };
    struct route_table *table = table_of_rules(rules, 2, NULL);
    static const char *const want[] = {"a", "b", "b", "b", "a"};
    for (uint64_t i = 0; i < 5; i++) {
        struct route_match m = match_with(table, "GET http://h/w", NULL, i);
        assert_slice(m.cluster, want[i]);
        assert_slice(m.weighted->name, want[i]);
    }
    struct fixture_headers kept;
    struct route_request req = fixture_request("GET http://h/h", &kept, "x-cluster: c9");
    struct route_match m;
    struct arena *arena = arena_create(0);
    route_table_match(table, &req, 0, arena, &m);
    assert_slice(m.cluster, "c9");
    req = fixture_request("GET http://h/h", &kept, NULL);
    route_table_match(table, &req, 0, arena, &m);
    assert_int_equal(m.outcome, ROUTE_FORWARD);
    assert_int_equal(m.cluster.n, 0);
    arena_destroy(&arena);
    route_table_unref(&table);
}

static void a_host_that_opted_in_answers_what_no_route_matches_from_the_api_table(void **state)
{
    (void)state;
    int marker = 0;
    static const struct slice any[] = {{"*", 1}};
    struct arena *arena = arena_create(0);
    struct route_rule_conf *rule = arena_zalloc(arena, sizeof *rule);
    *rule = (struct route_rule_conf){.path_kind = ROUTE_PATH_EXACT,
                                     .path = SLICE("/status"),
                                     .action = ROUTE_ACTION_DIRECT,
                                     .direct = {.status = 200}};
    struct vhost_conf *host = arena_zalloc(arena, sizeof *host);
    *host = (struct vhost_conf){.domains = any, .domain_count = 1, .routes = rule, .route_count = 1, .apim = &marker};
    struct route_conf *conf = arena_zalloc(arena, sizeof *conf);
    *conf = (struct route_conf){.vhosts = host, .vhost_count = 1};
    struct route_table *table = route_table_create(&arena, conf, NULL);
    assert_int_equal(match_with(table, "GET http://h/status", NULL, 0).outcome, ROUTE_DIRECT);
    struct route_match m = match_with(table, "GET http://h/other", NULL, 0);
    assert_int_equal(m.outcome, ROUTE_APIM);
    assert_ptr_equal(m.vhost->apim, &marker);
    route_table_unref(&table);
}

static void retry_and_upgrade_come_from_the_route_before_the_host(void **state)
{
    (void)state;
    static const struct retry_conf of_host = {.num_retries = 1}, of_route = {.num_retries = 7};
    static const struct upgrade_conf upgrades[] = {{{"WebSocket", 9}, true, false}, {{"CONNECT", 7}, false, true}};
    static const struct slice any[] = {{"*", 1}};
    struct arena *arena = arena_create(0);
    struct route_rule_conf *rules = arena_zalloc(arena, 2 * sizeof *rules);
    rules[0] = (struct route_rule_conf){RULE("own", ROUTE_PATH_PREFIX, "/own")};
    rules[0].forward.retry = &of_route;
    rules[0].forward.upgrades = upgrades;
    rules[0].forward.upgrade_count = 2;
    rules[1] = (struct route_rule_conf){RULE("other", ROUTE_PATH_PREFIX, "/")};
    struct vhost_conf *host = arena_zalloc(arena, sizeof *host);
    *host =
        (struct vhost_conf){.domains = any, .domain_count = 1, .routes = rules, .route_count = 2, .retry = &of_host};
    struct route_conf *conf = arena_zalloc(arena, sizeof *conf);
    *conf = (struct route_conf){.vhosts = host, .vhost_count = 1};
    struct route_table *table = route_table_create(&arena, conf, NULL);
    struct route_match m = match_with(table, "GET http://h/own", NULL, 0);
    assert_int_equal(route_retry(&m)->num_retries, 7);
    assert_non_null(route_upgrade(&m, SLICE("websocket")));
    assert_null(route_upgrade(&m, SLICE("connect")));
    m = match_with(table, "GET http://h/x", NULL, 0);
    assert_int_equal(route_retry(&m)->num_retries, 1);
    assert_null(route_upgrade(&m, SLICE("websocket")));
    route_table_unref(&table);
}

static void what_is_wrong_in_a_route_is_named(void **state)
{
    (void)state;
    static const struct weighted_cluster_conf zero[] = {{.name = {"a", 1}, .weight = 0}};
    static const struct weighted_cluster_conf huge[] = {{.weight = UINT32_MAX}, {.weight = 1}};
    static const struct header_match_conf upper = {.name = {"X", 1}, .present = true};
    static const struct header_match_conf empty = {
        .name = {"x", 1}, .kind = HEADER_MATCH_STRING, .string = {STRING_MATCH_PREFIX, {"", 0}, false}};
    static const struct {
        struct route_rule_conf rule;
        const char *says;
    } cases[] = {
        {{RULE("r", ROUTE_PATH_REGEX, "(?=a)")}, "safe_regex"},
        {{RULE("r", ROUTE_PATH_SEPARATED_PREFIX, "/a/")}, "path_separated_prefix"},
        {{RULE("r", ROUTE_PATH_SEPARATED_PREFIX, "/a?b")}, "path_separated_prefix"},
        {{.forward = {.pick = CLUSTER_NAMED}}, "no cluster"},
        {{.forward = {.pick = CLUSTER_WEIGHTED, .weighted = zero, .weighted_count = 1}}, "weighted_clusters"},
        {{.forward = {.pick = CLUSTER_WEIGHTED, .weighted = huge, .weighted_count = 2}}, "weighted_clusters"},
        {{.action = ROUTE_ACTION_DIRECT, .direct = {.status = 199}}, "199"},
        {{.action = ROUTE_ACTION_REDIRECT, .redirect = {.status = 200}}, "response_code"},
        {{.action = ROUTE_ACTION_REDIRECT, .redirect = {.port = 65536}}, "port_redirect"},
        {{.action = ROUTE_ACTION_REDIRECT, .redirect = {.path = {"/", 1}, .has_prefix_rewrite = true}},
         "path_redirect"},
        {{.forward = {.cluster = {"c", 1}, .regex_rewrite = {{"(a)", 3}, {"\\2", 2}}}}, "regex_rewrite"},
        {{RULE("r", ROUTE_PATH_PREFIX, "/"), .headers = &upper, .header_count = 1}, "lower case"},
        {{RULE("r", ROUTE_PATH_PREFIX, "/"), .headers = &empty, .header_count = 1}, "headers[x]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err;
        assert_null(table_of_rules(&cases[i].rule, 1, &err));
        assert_text_has(&err, cases[i].says);
        assert_text_has(&err, "virtual_hosts[host].routes[0]");
    }
}

/* Random lists of routes: the index must answer as the list does, whatever the order and the conditions. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static struct slice random_path(struct arena *arena, uint32_t *seed)
{
    char text[32] = "/";
    uint32_t n = next_random(seed) % 6;
    for (uint32_t i = 0; i < n; i++) {
        strcat(text, next_random(seed) % 4 == 0 ? "/" : next_random(seed) % 2 == 0 ? "a" : "B");
    }
    return arena_slice(arena, slice_of(text));
}

static bool naive_holds(const struct route_rule_conf *c, struct slice path, bool has_x)
{
    bool nocase = c->ignore_case,
         starts = nocase ? slice_starts_with_nocase(path, c->path) : slice_starts_with(path, c->path);
    if (c->header_count > 0 && !has_x) {
        return false;
    }
    if (c->path_kind == ROUTE_PATH_EXACT) {
        return starts && path.n == c->path.n;
    }
    if (c->path_kind == ROUTE_PATH_SEPARATED_PREFIX) {
        return starts && (path.n == c->path.n || path.p[c->path.n] == '/');
    }
    return starts;
}

static void make_random_rules(struct arena *arena, struct route_rule_conf *rules, uint32_t count, uint32_t *seed)
{
    static const struct header_match_conf x = {.name = {"x", 1}, .present = true};
    for (uint32_t i = 0; i < count; i++) {
        struct route_rule_conf *r = &rules[i];
        *r = (struct route_rule_conf){.path = random_path(arena, seed), .forward = {.cluster = {"c", 1}}};
        r->path_kind = (enum route_path_kind[]){ROUTE_PATH_PREFIX, ROUTE_PATH_EXACT,
                                                ROUTE_PATH_SEPARATED_PREFIX}[next_random(seed) % 3];
        if (r->path_kind == ROUTE_PATH_SEPARATED_PREFIX && (r->path.n < 2 || r->path.p[r->path.n - 1] == '/')) {
            r->path_kind = ROUTE_PATH_EXACT;
        }
        if (r->path.n == 1 && r->path_kind == ROUTE_PATH_PREFIX) {
            r->path_kind = ROUTE_PATH_EXACT; /* "/" would swallow everything behind it */
        }
        r->ignore_case = next_random(seed) % 8 == 0;
        r->headers = &x;
        r->header_count = next_random(seed) % 3 == 0;
    }
}

static void the_index_over_long_lists_keeps_list_order(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 60; round++) {
        struct arena *arena = arena_create(0), *paths = arena_create(0);
        uint32_t count = 16 + next_random(&seed) % 80;
        struct route_rule_conf *rules = arena_zalloc(paths, count * sizeof *rules);
        make_random_rules(paths, rules, count, &seed);
        struct route_table *table = table_of_rules(rules, count, NULL);
        assert_non_null(table);
        for (int i = 0; i < 100; i++) {
            struct slice path = random_path(arena, &seed);
            bool has_x = next_random(&seed) % 2 == 0;
            struct fixture_headers kept;
            struct route_request req = fixture_request("GET http://h/", &kept, has_x ? "x: 1" : "");
            req.path = path;
            struct route_match m;
            route_table_match(table, &req, 0, arena, &m);
            const struct route_rule_conf *want = NULL;
            for (uint32_t k = 0; want == NULL && k < count; k++) {
                want = naive_holds(&rules[k], path, has_x) ? &rules[k] : NULL;
            }
            if (m.rule != want) {
                fail_msg("round %d path %.*s: rule %td, want %td", round, SLICE_ARG(path),
                         m.rule == NULL ? -1 : m.rule - rules, want == NULL ? -1 : want - rules);
            }
        }
        route_table_unref(&table);
        arena_destroy(&arena);
        arena_destroy(&paths);
    }
}

/* More nested prefixes than the index follows at once. */
static void a_deep_nest_of_prefixes_is_walked_as_a_list(void **state)
{
    (void)state;
    enum { N = 100 };
    static char text[N + 2];
    static struct route_rule_conf rules[N];
    memset(text, 'a', sizeof text - 1);
    text[0] = '/';
    for (size_t i = 0; i < N; i++) { /* longest first */
        rules[i] = (struct route_rule_conf){.path = slice_make(text, N - i), .forward = {.cluster = {"c", 1}}};
    }
    struct route_table *table = table_of_rules(rules, N, NULL);
    struct fixture_headers kept;
    struct route_request req = fixture_request("GET http://h/", &kept, NULL);
    struct arena *arena = arena_create(0);
    for (size_t n = 1; n <= N; n++) {
        struct route_match m;
        req.path = slice_make(text, n);
        route_table_match(table, &req, 0, arena, &m);
        assert_ptr_equal(m.rule, &rules[N - n]);
    }
    arena_destroy(&arena);
    route_table_unref(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_match_exact_then_longest_suffix_then_longest_prefix_then_any),
        cmocka_unit_test(the_port_is_part_of_the_host_unless_it_is_ignored),
        cmocka_unit_test(one_domain_or_name_in_two_hosts_is_refused_with_both_names),
        cmocka_unit_test(paths_match_without_the_query_in_list_order),
        cmocka_unit_test(header_conditions_follow_envoys_rules),
        cmocka_unit_test(pseudo_headers_are_headers_to_a_matcher),
        cmocka_unit_test(query_conditions_look_at_the_first_raw_value),
        cmocka_unit_test(a_pathological_expression_denies_and_never_falls_through),
        cmocka_unit_test(clusters_are_named_weighted_or_taken_from_a_header),
        cmocka_unit_test(a_host_that_opted_in_answers_what_no_route_matches_from_the_api_table),
        cmocka_unit_test(retry_and_upgrade_come_from_the_route_before_the_host),
        cmocka_unit_test(what_is_wrong_in_a_route_is_named),
        cmocka_unit_test(the_index_over_long_lists_keeps_list_order),
        cmocka_unit_test(a_deep_nest_of_prefixes_is_walked_as_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
