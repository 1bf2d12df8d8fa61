#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/macros.h"
#include "proxy/observe/stats_render.h"

static struct stats *sample(void)
{
    struct stats *stats = stats_create(2);
    struct slice shop = SLICE("shop"), odd = SLICE("a\"b\\c"), code[] = {SLICE("shop"), SLICE("200")};
    stat_add(stat_counter(stats, "cluster.{envoy_cluster_name}.upstream_rq_total", &shop), 0, 7);
    stat_add(stat_counter(stats, "cluster.{envoy_cluster_name}.upstream_rq_total", &odd), 1, 1);
    stat_add(stat_counter(stats, "cluster.{envoy_cluster_name}.upstream_rq_{envoy_response_code}", code), 1, 6);
    stat_set(stat_gauge(stats, "server.live", NULL), 0, 1);
    stat_counter(stats, "server.debug-failures", NULL);
    struct stat_handle *time = stat_histogram(stats, "cluster.{envoy_cluster_name}.upstream_rq_time", &shop);
    stat_record(time, 0, 3);
    stat_record(time, 1, 7);
    stat_histogram(stats, "cluster.{envoy_cluster_name}.upstream_cx_length_ms", &shop);
    return stats;
}

static void text_is_sorted_and_shows_histograms_last(void **state)
{
    (void)state;
    struct stats *stats = sample();
    struct strbuf out;
    strbuf_init(&out);
    stats_render_text(stats, NULL, &out);
    assert_string_equal(out.p, "cluster.a\"b\\c.upstream_rq_total: 1\n"
                               "cluster.shop.upstream_rq_200: 6\n"
                               "cluster.shop.upstream_rq_total: 7\n"
                               "server.debug-failures: 0\n"
                               "server.live: 1\n"
                               "cluster.shop.upstream_cx_length_ms: No recorded values\n"
                               "cluster.shop.upstream_rq_time: P0(nan,3) P25(nan,3) P50(nan,3) P75(nan,7) P90(nan,7) "
                               "P95(nan,7) P99(nan,7) P99.5(nan,7) P99.9(nan,7) P100(nan,7)\n");
    strbuf_fini(&out);
    stats_destroy(&stats);
}

static void json_holds_values_and_quantiles(void **state)
{
    (void)state;
    struct stats *stats = stats_create(1);
    struct strbuf out;
    strbuf_init(&out);
    stats_render_json(stats, NULL, &out);
    assert_string_equal(out.p,
                        "{\"stats\":[{\"histograms\":{\"supported_quantiles\":[0,25,50,75,90,95,99,99.5,99.9,100],"
                        "\"computed_quantiles\":[]}}]}");
    strbuf_clear(&out);
    stat_add(stat_counter(stats, "a", NULL), 0, 2);
    stat_histogram(stats, "h", NULL);
    stats_render_json(stats, NULL, &out);
    assert_non_null(strstr(out.p, "{\"stats\":[{\"name\":\"a\",\"value\":2},{\"histograms\":"));
    assert_non_null(strstr(out.p, "[{\"name\":\"h\",\"values\":[{\"interval\":null,\"cumulative\":null},"));
    strbuf_fini(&out);
    stats_destroy(&stats);
}

static void prometheus_has_envoys_names_and_labels(void **state)
{
    (void)state;
    struct stats *stats = sample();
    struct strbuf out;
    strbuf_init(&out);
    stats_render_prometheus(stats, NULL, &out);
    static const char *const expected[] = {
        "# TYPE envoy_cluster_upstream_rq counter\n"
        "envoy_cluster_upstream_rq{envoy_cluster_name=\"shop\",envoy_response_code=\"200\"} 6\n",
        "# TYPE envoy_cluster_upstream_rq_total counter\n"
        "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"a\\\"b\\\\c\"} 1\n"
        "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"shop\"} 7\n",
        "# TYPE envoy_cluster_upstream_rq_time histogram\n"
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"shop\",le=\"0.5\"} 0\n"
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"shop\",le=\"1\"} 0\n"
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"shop\",le=\"5\"} 1\n"
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"shop\",le=\"10\"} 2\n",
        "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"shop\",le=\"+Inf\"} 2\n"
        "envoy_cluster_upstream_rq_time_sum{envoy_cluster_name=\"shop\"} 10\n"
        "envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"shop\"} 2\n",
        "# TYPE envoy_server_debug_failures counter\nenvoy_server_debug_failures{} 0\n",
        "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        if (strstr(out.p, expected[i]) == NULL) {
            fail_msg("not found:\n%s\nin:\n%s", expected[i], out.p);
        }
    }
    strbuf_fini(&out);
    stats_destroy(&stats);
}

static void a_filter_leaves_out_what_does_not_match(void **state)
{
    (void)state;
    struct stats *stats = sample();
    struct strbuf out;
    strbuf_init(&out);
    struct stats_filter *f = stats_filter_create(SLICE("^server\\."), true, NULL);
    stats_render_text(stats, f, &out);
    assert_string_equal(out.p, "server.live: 1\n");
    stats_filter_destroy(&f);
    strbuf_fini(&out);
    stats_destroy(&stats);
}

static void a_filter_that_could_cost_without_bound_is_refused(void **state)
{
    (void)state;
    static const char *const patterns[] = {"(a", "(a)\\1", "a{1,255}", "["};
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        struct err err;
        assert_null(stats_filter_create(slice_of(patterns[i]), false, &err));
        assert_string_equal(err.text, "filter: not an acceptable regular expression");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_sorted_and_shows_histograms_last),
        cmocka_unit_test(json_holds_values_and_quantiles),
        cmocka_unit_test(prometheus_has_envoys_names_and_labels),
        cmocka_unit_test(a_filter_leaves_out_what_does_not_match),
        cmocka_unit_test(a_filter_that_could_cost_without_bound_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
