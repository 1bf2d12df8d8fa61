/* Counters of rate limits and quotas. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>

#include "base/slice.h"
#include "proxy/config/apim_counters.h"

static bool use(struct apim_counters *c, uint64_t key, uint64_t now_s, struct apim_used *used)
{
    struct apim_use u = {.key = key, .calls = 3, .period_s = 60, .now_s = now_s};
    return apim_counters_use(c, &u, used);
}

static void a_window_begins_with_its_first_use_and_refuses_what_is_too_many(void **state)
{
    (void)state;
    struct apim_counters *c = apim_counters_create();
    struct apim_used used;
    assert_true(use(c, 7, 1000, &used));
    assert_int_equal(used.left, 2);
    assert_true(use(c, 7, 1030, &used));
    assert_true(use(c, 7, 1059, &used));
    assert_int_equal(used.left, 0);
    assert_false(use(c, 7, 1059, &used));
    assert_int_equal(used.again_s, 1);
    assert_false(use(c, 7, 1059, &used)); /* what is refused does not count */
    assert_true(use(c, 8, 1059, &used));  /* another key */
    assert_true(use(c, 7, 1060, &used));
    assert_int_equal(used.left, 2);
    apim_counters_unref(&c);
}

static void a_worker_whose_clock_is_behind_does_not_begin_the_window_again(void **state)
{
    (void)state;
    struct apim_counters *c = apim_counters_create();
    struct apim_used used;
    assert_true(use(c, 7, 1001, &used));
    assert_true(use(c, 7, 1000, &used));
    assert_int_equal(used.left, 1);
    assert_true(use(c, 7, 1001, &used));
    assert_false(use(c, 7, 1000, &used));
    assert_int_equal(used.again_s, 61);
    apim_counters_unref(&c);
}

static void a_window_without_a_period_never_ends(void **state)
{
    (void)state;
    struct apim_counters *c = apim_counters_create();
    struct apim_use u = {.key = 0, .calls = 1, .period_s = 0, .now_s = 0};
    struct apim_used used;
    assert_true(apim_counters_use(c, &u, &used));
    u.now_s = UINT32_MAX;
    assert_false(apim_counters_use(c, &u, &used));
    assert_int_equal(used.again_s, 0);
    apim_counters_unref(&c);
}

static void keys_that_collide_are_counted_apart(void **state)
{
    (void)state;
    struct apim_counters *c = apim_counters_create();
    struct apim_used used;
    for (uint64_t i = 0; i < 60; i++) {
        assert_true(use(c, 5 + (i << 32), 10, &used));
        assert_int_equal(used.left, 2);
    }
    for (uint64_t i = 0; i < 60; i++) {
        assert_true(use(c, 5 + (i << 32), 10, &used));
        assert_int_equal(used.left, 1);
    }
    apim_counters_unref(&c);
}

enum { THREADS = 4, USES = 20000, ALLOWED = 30000 };

static void *count(void *ctx)
{
    size_t passed = 0;
    for (unsigned i = 0; i < USES; i++) {
        struct apim_use u = {.key = 99, .calls = ALLOWED, .period_s = 600, .now_s = 5};
        struct apim_used used;
        passed += apim_counters_use(ctx, &u, &used) ? 1 : 0;
    }
    return (void *)passed;
}

static void workers_together_get_exactly_what_is_allowed(void **state)
{
    (void)state;
    struct apim_counters *c = apim_counters_create();
    pthread_t threads[THREADS];
    size_t passed = 0;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, c), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *n;
        pthread_join(threads[i], &n);
        passed += (size_t)n;
    }
    assert_int_equal(passed, ALLOWED);
    apim_counters_unref(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_begins_with_its_first_use_and_refuses_what_is_too_many),
        cmocka_unit_test(a_worker_whose_clock_is_behind_does_not_begin_the_window_again),
        cmocka_unit_test(a_window_without_a_period_never_ends),
        cmocka_unit_test(keys_that_collide_are_counted_apart),
        cmocka_unit_test(workers_together_get_exactly_what_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
