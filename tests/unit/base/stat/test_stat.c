#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/stat/stat.h"
#include "base/strbuf.h"

static void the_sum_over_the_slots_is_the_value(void **state)
{
    (void)state;
    struct stats *stats = stats_create(3);
    struct stat_handle *requests = stat_counter(stats, "http.requests", NULL);
    struct stat_handle *open = stat_gauge(stats, "http.open", NULL);
    stat_add(requests, 0, 5);
    stat_add(requests, 2, 7);
    assert_int_equal(stat_value(requests), 12);
    stat_add(open, 1, 3);
    stat_sub(open, 0, 2);
    assert_int_equal(stat_value(open), 1);
    stat_set(open, 1, 40);
    assert_int_equal(stat_value(open), 38);
    stats_destroy(&stats);
    assert_null(stats);
}

static void registering_again_gives_the_same_statistic_until_all_released_it(void **state)
{
    (void)state;
    struct stats *stats = stats_create(1);
    struct slice a = SLICE("a"), b = SLICE("b");
    struct stat_handle *first = stat_counter(stats, "cluster.{envoy_cluster_name}.rq", &a);
    struct stat_handle *again = stat_counter(stats, "cluster.{envoy_cluster_name}.rq", &a);
    struct stat_handle *other = stat_counter(stats, "cluster.{envoy_cluster_name}.rq", &b);
    struct stat_handle *gauge = stat_gauge(stats, "cluster.{envoy_cluster_name}.rq", &a);
    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, other);
    assert_ptr_not_equal(first, gauge);
    stat_add(first, 0, 9);
    stat_release(&first);
    assert_null(first);
    assert_int_equal(stat_value(again), 9);
    stat_release(&again);
    again = stat_counter(stats, "cluster.{envoy_cluster_name}.rq", &a);
    assert_int_equal(stat_value(again), 0);
    stat_release(&again);
    stat_release(&again);
    stats_destroy(&stats);
}

static void collect(void *ctx, const struct stat_view *view)
{
    struct strbuf *out = ctx;
    strbuf_printf(out, "%.*s|%.*s", SLICE_ARG(view->name), SLICE_ARG(view->base_name));
    for (size_t i = 0; i < view->n_tags; i++) {
        strbuf_printf(out, "|%.*s=%.*s", SLICE_ARG(view->tags[i].name), SLICE_ARG(view->tags[i].value));
    }
    strbuf_printf(out, "|%llu\n", (unsigned long long)view->value);
}

static void tags_stand_in_the_name_and_beside_the_base_name(void **state)
{
    (void)state;
    struct stats *stats = stats_create(2);
    struct slice values[] = {SLICE("third"), SLICE("2")};
    struct slice code[] = {SLICE("third"), SLICE("204")};
    stat_add(stat_counter(stats, "cluster.{envoy_cluster_name}.upstream_rq_{envoy_response_code_class}xx", values), 0,
             1);
    stat_add(stat_counter(stats, "cluster.{envoy_cluster_name}.upstream_rq_{envoy_response_code}", code), 1, 2);
    stat_add(stat_counter(stats, "server.live", NULL), 1, 3);
    stat_record(stat_histogram(stats, "cluster.{envoy_cluster_name}.upstream_rq_time", values), 1, 100);
    struct strbuf out;
    strbuf_init(&out);
    stats_each(stats, collect, &out);
    assert_string_equal(
        strbuf_cstr(&out),
        "cluster.third.upstream_rq_204|cluster.upstream_rq|envoy_cluster_name=third|envoy_response_code=204|2\n"
        "cluster.third.upstream_rq_time|cluster.upstream_rq_time|envoy_cluster_name=third|1\n"
        "cluster.third.upstream_rq_2xx|cluster.upstream_rq_xx|envoy_cluster_name=third|envoy_response_code_class=2|1\n"
        "server.live|server.live|3\n");
    strbuf_fini(&out);
    stats_destroy(&stats);
}

static void buckets_cover_every_value_without_gap(void **state)
{
    (void)state;
    for (unsigned i = 0; i + 1 < STAT_BUCKETS; i++) {
        assert_true(stat_bucket_high(i) + 1 == stat_bucket_low(i + 1));
        assert_int_equal(stat_bucket_of(stat_bucket_low(i)), i);
        assert_int_equal(stat_bucket_of(stat_bucket_high(i)), i);
    }
    assert_int_equal(stat_bucket_of(UINT64_MAX), STAT_BUCKETS - 1);
    assert_int_equal(stat_bucket_of((uint64_t)1 << 40), STAT_BUCKETS - 1);
}

static void quantiles_are_within_a_bucket_of_the_truth(void **state)
{
    (void)state;
    struct stats *stats = stats_create(2);
    struct stat_handle *time = stat_histogram(stats, "time", NULL);
    struct stat_buckets b;
    stat_read_buckets(time, &b);
    assert_true(stat_quantile(&b, 0.5) == 0);
    for (uint64_t i = 1; i <= 10000; i++) {
        stat_record(time, i % 2, i);
    }
    stat_read_buckets(time, &b);
    assert_int_equal(b.count, 10000);
    assert_int_equal(b.sum, 50005000);
    static const double q[] = {0.01, 0.25, 0.5, 0.9, 0.99, 1};
    for (size_t i = 0; i < ARRAY_LEN(q); i++) {
        double truth = q[i] * 10000, got = stat_quantile(&b, q[i]);
        assert_true(got > truth * 0.87 && got < truth * 1.13);
    }
    assert_int_equal(stat_count_below(&b, 7), 7);
    assert_int_equal(stat_count_below(&b, UINT64_MAX), 10000);
    assert_int_equal(stat_value(time), 10000);
    stats_destroy(&stats);
}

enum { THREADS = 4, ROUNDS = 20000 };
static struct stats *shared;
static struct stat_handle *shared_counter, *shared_histogram;

static void *count(void *arg)
{
    unsigned slot = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        stat_add(shared_counter, slot, 1);
        stat_record(shared_histogram, slot, i);
        if (i % 1000 == 0) {
            struct slice name = SLICE("x");
            struct stat_handle *more = stat_counter(shared, "cluster.{c}.y", &name);
            stat_add(more, slot, 1);
            stat_release(&more);
        }
    }
    return NULL;
}

static void threads_count_in_their_slots_while_others_read(void **state)
{
    (void)state;
    shared = stats_create(THREADS);
    shared_counter = stat_counter(shared, "n", NULL);
    shared_histogram = stat_histogram(shared, "h", NULL);
    struct slice name = SLICE("x");
    struct stat_handle *kept = stat_counter(shared, "cluster.{c}.y", &name);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, (void *)i), 0);
    }
    for (int i = 0; i < 50; i++) {
        struct strbuf out;
        strbuf_init(&out);
        stats_each(shared, collect, &out);
        strbuf_fini(&out);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(stat_value(shared_counter), THREADS * ROUNDS);
    assert_int_equal(stat_value(shared_histogram), THREADS * ROUNDS);
    assert_int_equal(stat_value(kept), THREADS * ROUNDS / 1000);
    stats_destroy(&shared);
}

static void many_statistics_come_and_go(void **state)
{
    (void)state;
    struct stats *stats = stats_create(2);
    struct stat_handle *all[2000];
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            char text[16];
            int n = snprintf(text, sizeof text, "c%zu", i);
            struct slice name = slice_make(text, (size_t)n);
            all[i] = stat_counter(stats, "cluster.{c}.n", &name);
            assert_int_equal(stat_value(all[i]), 0);
            stat_add(all[i], 1, i);
        }
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            assert_int_equal(stat_value(all[i]), i);
            stat_release(&all[i]);
        }
    }
    stats_destroy(&stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sum_over_the_slots_is_the_value),
        cmocka_unit_test(registering_again_gives_the_same_statistic_until_all_released_it),
        cmocka_unit_test(tags_stand_in_the_name_and_beside_the_base_name),
        cmocka_unit_test(buckets_cover_every_value_without_gap),
        cmocka_unit_test(quantiles_are_within_a_bucket_of_the_truth),
        cmocka_unit_test(threads_count_in_their_slots_while_others_read),
        cmocka_unit_test(many_statistics_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
