#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/budget.h"

static void pressure_rises_in_steps(void **state)
{
    (void)state;
    struct budget b;
    uint64_t held = 0;
    budget_init(&b, 100);
    const struct {
        uint64_t n;
        enum budget_pressure pressure;
    } steps[] = {{49, BUDGET_FREE}, {1, BUDGET_HALF}, {24, BUDGET_HALF}, {1, BUDGET_TIGHT}, {24, BUDGET_TIGHT}, {1, BUDGET_SPENT}};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        budget_take(&b, &held, steps[i].n);
        assert_int_equal(budget_pressure(&b), steps[i].pressure);
    }
    assert_int_equal(b.pressed, 1);
    budget_set(&b, &held, 7);
    assert_int_equal(budget_used(&b), 7);
    budget_give(&b, &held, 1000);
    assert_true(held == 0 && budget_used(&b) == 0 && b.holders == 0);
}

static void without_a_limit_there_is_no_pressure(void **state)
{
    (void)state;
    struct budget b;
    uint64_t held = 0;
    budget_init(&b, 0);
    budget_take(&b, &held, UINT32_MAX);
    assert_int_equal(budget_pressure(&b), BUDGET_FREE);
    assert_false(budget_is_over_share(&b, held));
}

static int resumed;

static void resume(struct budget_waiter *waiter)
{
    (void)waiter;
    resumed++;
}

static void who_has_more_than_a_share_waits_until_something_is_given_back(void **state)
{
    (void)state;
    struct budget b;
    uint64_t large = 0, small = 0;
    struct budget_waiter waiter = {.resume = resume};
    list_init(&waiter.link);
    budget_init(&b, 100);
    budget_take(&b, &large, 80);
    assert_false(budget_is_over_share(&b, large));
    budget_take(&b, &small, 25);
    assert_true(budget_is_over_share(&b, large));
    assert_false(budget_is_over_share(&b, small));
    budget_wait(&b, &waiter);
    budget_wait(&b, &waiter);
    assert_int_equal(b.waits, 1);
    budget_give(&b, &large, 5);
    assert_int_equal(resumed, 0);
    budget_give(&b, &small, 1);
    assert_int_equal(resumed, 1);
    assert_true(list_is_empty(&waiter.link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pressure_rises_in_steps),
        cmocka_unit_test(without_a_limit_there_is_no_pressure),
        cmocka_unit_test(who_has_more_than_a_share_waits_until_something_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
