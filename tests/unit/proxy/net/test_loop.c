#include "tests/unit/proxy/net/net_test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "proxy/net/wheel.h"

struct trace {
    char text[256];
};

struct step {
    struct loop_task task;
    struct trace *trace;
    const char *name;
    struct loop *loop;
    struct step *delivers, *flushes;
    unsigned flush_level;
    unsigned times;
};

static void step_run(struct loop_task *task)
{
    struct step *s = container_of(task, struct step, task);
    strcat(s->trace->text, s->name);
    if (s->times > 0) {
        s->times--;
        loop_deliver(s->loop, &s->task);
    }
    if (s->delivers != NULL) {
        loop_deliver(s->loop, &s->delivers->task);
    }
    if (s->flushes != NULL) {
        loop_flush(s->loop, &s->flushes->task, s->flushes->flush_level);
    }
}

static struct step step_make(struct loop *loop, struct trace *trace, const char *name, unsigned level)
{
    return (struct step){.loop = loop, .trace = trace, .name = name, .flush_level = level};
}

static void deliveries_come_before_flushes_and_inner_flushes_before_outer(void **state)
{
    struct loop *loop = *state;
    struct trace trace = {""};
    struct step s0 = step_make(loop, &trace, "0", 0), s1 = step_make(loop, &trace, "1", 1);
    struct step s2 = step_make(loop, &trace, "2", 2), d = step_make(loop, &trace, "d", 0);
    struct step *all[] = {&s0, &s1, &s2, &d};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        loop_task_init(&all[i]->task, step_run);
    }
    loop_flush(loop, &s0.task, 0);
    loop_flush(loop, &s2.task, 2);
    loop_deliver(loop, &d.task);
    loop_deliver(loop, &d.task); /* queued once */
    s2.flushes = &s1;
    loop_turn(loop, true);
    assert_string_equal(trace.text, "d210");
}

static void a_delivery_caused_by_a_flush_runs_in_the_same_turn(void **state)
{
    struct loop *loop = *state;
    struct trace trace = {""};
    struct step f = step_make(loop, &trace, "f", 0), d = step_make(loop, &trace, "d", 0);
    loop_task_init(&f.task, step_run);
    loop_task_init(&d.task, step_run);
    f.delivers = &d;
    loop_flush(loop, &f.task, 0);
    loop_turn(loop, true);
    assert_string_equal(trace.text, "fd");
}

static void two_tasks_that_call_each_other_do_not_starve_the_loop(void **state)
{
    struct loop *loop = *state;
    struct trace *trace = calloc(1, 4096);
    struct step f = step_make(loop, trace, "", 0), d = step_make(loop, trace, "", 0);
    loop_task_init(&f.task, step_run);
    loop_task_init(&d.task, step_run);
    f.delivers = &d;
    d.flushes = &f;
    loop_deliver(loop, &d.task);
    for (unsigned i = 0; i < 10; i++) {
        loop_turn(loop, true); /* returns, and does not sleep */
    }
    loop_task_cancel(&f.task);
    loop_task_cancel(&d.task);
    free(trace);
}

static void a_cancelled_task_does_not_run(void **state)
{
    struct loop *loop = *state;
    struct trace trace = {""};
    struct step a = step_make(loop, &trace, "a", 0), b = step_make(loop, &trace, "b", 3);
    loop_task_init(&a.task, step_run);
    loop_task_init(&b.task, step_run);
    loop_deliver(loop, &a.task);
    loop_flush(loop, &b.task, 3);
    loop_task_cancel(&a.task);
    loop_task_cancel(&b.task);
    loop_turn(loop, false);
    assert_string_equal(trace.text, "");
}

static void count_free(void *obj)
{
    ++*(unsigned *)obj;
}

static void what_is_freed_later_goes_at_the_end_of_the_turn(void **state)
{
    struct loop *loop = *state;
    unsigned freed = 0;
    loop_free_later(loop, count_free, &freed);
    assert_int_equal(freed, 0);
    loop_turn(loop, true);
    assert_int_equal(freed, 1);
}

struct sender {
    struct loop *loop;
    unsigned next, got;
    bool in_order;
};

static struct sender *receiver;

static void on_number(void *arg)
{
    unsigned n = (unsigned)(uintptr_t)arg;
    receiver->in_order = receiver->in_order && n == receiver->got;
    receiver->got++;
    if (receiver->got == 10000) {
        loop_stop(receiver->loop);
    }
}

static void *send_numbers(void *arg)
{
    struct sender *s = arg;
    for (unsigned i = 0; i < 10000; i++) {
        loop_post(s->loop, on_number, (void *)(uintptr_t)i);
    }
    return NULL;
}

static void messages_of_another_thread_arrive_in_order(void **state)
{
    struct sender s = {.loop = *state, .in_order = true};
    receiver = &s;
    pthread_t thread;
    pthread_create(&thread, NULL, send_numbers, &s);
    loop_run(s.loop);
    pthread_join(thread, NULL);
    assert_int_equal(s.got, 10000);
    assert_true(s.in_order);
}

struct alarm {
    struct timer timer;
    int64_t fired_us;
    unsigned times;
    struct timer *cancels;
};

static void on_alarm(struct timer *timer)
{
    struct alarm *a = container_of(timer, struct alarm, timer);
    a->fired_us = loop_now_us(timer->loop);
    a->times++;
    if (a->cancels != NULL) {
        timer_cancel(a->cancels);
    }
}

static void a_timer_fires_once_not_early_and_at_most_two_slots_late(void **state)
{
    struct loop *loop = *state;
    struct alarm a = {0};
    timer_init(&a.timer, loop, on_alarm);
    int64_t start = loop_now_us(loop);
    timer_set_in(&a.timer, 30);
    assert_true(timer_is_set(&a.timer));
    while (a.times == 0) {
        loop_turn(loop, true);
    }
    int64_t took = a.fired_us - start;
    assert_true(took >= 30000);
    assert_true(took < 130000); /* a slow machine; two slots are 8 ms */
    assert_false(timer_is_set(&a.timer));
    run_for_ms(loop, 20);
    assert_int_equal(a.times, 1);
}

static void moving_a_timer_later_and_earlier_is_kept_to(void **state)
{
    struct loop *loop = *state;
    struct alarm late = {0}, early = {0};
    timer_init(&late.timer, loop, on_alarm);
    timer_init(&early.timer, loop, on_alarm);
    int64_t start = loop_now_us(loop);
    timer_set_in(&late.timer, 10);
    timer_set_in(&late.timer, 60);
    timer_set_in(&early.timer, 3600000);
    timer_set_in(&early.timer, 10);
    RUN_UNTIL(loop, late.times == 1 && early.times == 1);
    assert_true(late.fired_us - start >= 60000);
    assert_true(early.fired_us < late.fired_us);
}

static void a_timer_can_cancel_another_of_the_same_slot(void **state)
{
    struct loop *loop = *state;
    struct alarm a = {0}, b = {0};
    timer_init(&a.timer, loop, on_alarm);
    timer_init(&b.timer, loop, on_alarm);
    a.cancels = &b.timer;
    timer_set_in(&a.timer, 10);
    timer_set_in(&b.timer, 10);
    run_for_ms(loop, 40);
    assert_int_equal(a.times, 1);
    assert_int_equal(b.times, 0);
}

/* The wheel with a clock of its own: every distance up to weeks, on time and never early. */
static int64_t wheel_clock;
static unsigned wheel_fired;

static void on_wheel(struct timer *timer)
{
    struct alarm *a = container_of(timer, struct alarm, timer);
    assert_true(wheel_clock >= a->fired_us); /* here: the deadline that was asked for */
    assert_true(wheel_clock - a->fired_us <= 2 * 4096);
    wheel_fired++;
}

static void the_wheel_keeps_every_distance(void **state)
{
    (void)state;
    static struct wheel w;
    enum { TIMERS = 2000 };
    struct alarm *alarms = calloc(TIMERS, sizeof *alarms);
    wheel_clock = 123456789;
    wheel_fired = 0;
    wheel_init(&w, wheel_clock);
    uint64_t random = 88172645463325252u;
    for (unsigned i = 0; i < TIMERS; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        int64_t distance = (int64_t)(random >> 8) % ((int64_t)1 << (10 + i % 35)); /* up to 100 days */
        timer_init(&alarms[i].timer, NULL, on_wheel);
        alarms[i].timer.deadline_us = alarms[i].fired_us = wheel_clock + distance + 1;
        wheel_add(&w, &alarms[i].timer);
    }
    unsigned wakes = 0;
    for (int64_t next; (next = wheel_next(&w)) != INT64_MAX; wakes++) {
        assert_true(next > wheel_clock || wakes == 0);
        wheel_clock = next;
        wheel_advance(&w, wheel_clock);
    }
    assert_int_equal(wheel_fired, TIMERS);
    assert_true(wakes < TIMERS * 5);
    free(alarms);
}

static void a_thousand_idle_hours_cost_few_wakes(void **state)
{
    (void)state;
    static struct wheel w;
    static struct alarm alarms[1000];
    wheel_clock = 1;
    wheel_fired = 0;
    wheel_init(&w, wheel_clock);
    for (unsigned i = 0; i < 1000; i++) {
        timer_init(&alarms[i].timer, NULL, on_wheel);
        alarms[i].timer.deadline_us = alarms[i].fired_us = wheel_clock + 3600 * INT64_C(1000000) + i;
        wheel_add(&w, &alarms[i].timer);
    }
    unsigned wakes = 0;
    for (int64_t next; (next = wheel_next(&w)) != INT64_MAX; wakes++) {
        wheel_clock = next;
        wheel_advance(&w, wheel_clock);
    }
    assert_int_equal(wheel_fired, 1000);
    assert_true(wakes < 12);
}

static void on_usr1(void *ctx, int signo)
{
    assert_int_equal(signo, SIGUSR1);
    ++*(unsigned *)ctx;
}

static void a_signal_is_told_in_the_loop(void **state)
{
    struct loop *loop = *state;
    unsigned got = 0;
    loop_on_signal(loop, SIGUSR1, on_usr1, &got);
    raise(SIGUSR1);
    RUN_UNTIL(loop, got == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deliveries_come_before_flushes_and_inner_flushes_before_outer, given_loop,
                                        drop_loop),
        cmocka_unit_test_setup_teardown(a_delivery_caused_by_a_flush_runs_in_the_same_turn, given_loop, drop_loop),
        cmocka_unit_test_setup_teardown(two_tasks_that_call_each_other_do_not_starve_the_loop, given_loop, drop_loop),
        cmocka_unit_test_setup_teardown(a_cancelled_task_does_not_run, given_loop, drop_loop),
        cmocka_unit_test_setup_teardown(what_is_freed_later_goes_at_the_end_of_the_turn, given_loop, drop_loop),
        cmocka_unit_test_setup_teardown(messages_of_another_thread_arrive_in_order, given_loop, drop_loop),
        cmocka_unit_test_setup_teardown(a_timer_fires_once_not_early_and_at_most_two_slots_late, given_loop, drop_loop),
        cmocka_unit_test_setup_teardown(moving_a_timer_later_and_earlier_is_kept_to, given_loop, drop_loop),
        cmocka_unit_test_setup_teardown(a_timer_can_cancel_another_of_the_same_slot, given_loop, drop_loop),
        cmocka_unit_test(the_wheel_keeps_every_distance),
        cmocka_unit_test(a_thousand_idle_hours_cost_few_wakes),
        cmocka_unit_test_setup_teardown(a_signal_is_told_in_the_loop, given_loop, drop_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
