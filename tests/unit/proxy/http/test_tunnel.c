#include "unit/proxy/http/fixture.h"

/* A stream as a transport that its owner closes: what is left is sent, then it must go without waiting for its timer.
 * One that stays shows as a leak. */
static struct peer far;
static struct transport *near;
static struct owner owner;

static int set_up(void **state)
{
    struct transport *a, *b;
    struct arena *arena = arena_create(0);
    loop_set_up(state);
    memory_transport_pair(the_loop, &a, &b);
    peer_start(&far, b);
    struct stream *s = raw_stream_create(&a, arena, &owner_events, &owner);
    near = stream_transport_create(&s, &arena);
    return 0;
}

static int tear_down(void **state)
{
    transport_close(&near, TRANSPORT_ABORT);
    peer_end(&far);
    return loop_tear_down(state);
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void forget(void *ctx, const struct err *why)
{
    (void)ctx;
    (void)why;
    near = NULL;
}

static const struct transport_events lazy_events = {nothing, nothing, nothing, forget}; /* takes nothing */

static void closing_with_unread_bytes_ends_once_the_far_end_has(void **state)
{
    (void)state;
    struct buf b;
    transport_own(near, &lazy_events, NULL);
    say(&far, "nobody reads this");
    assert_int_equal(near->in.len, 17);
    buf_init(&b);
    buf_append_str(&b, "bye");
    transport_write(near, &b);
    transport_close(&near, TRANSPORT_FLUSH);
    settle();
    heard_is(&far, "bye");
    assert_true(far.eof);
    transport_finish(far.t);
    settle();
    assert_true(far.closed && far.why.kind == ERR_NONE);
}

static void closing_after_both_directions_ended_ends_at_once(void **state)
{
    (void)state;
    transport_own(near, &lazy_events, NULL);
    say(&far, "nobody reads this");
    transport_finish(near);
    transport_finish(far.t);
    settle();
    assert_non_null(near); /* bytes wait: its owner has not heard of the end */
    transport_close(&near, TRANSPORT_FLUSH);
    settle();
    assert_true(far.closed && far.why.kind == ERR_NONE);
}

static void bytes_that_came_with_the_end_are_read_before_it(void **state)
{
    (void)state;
    struct peer p;
    peer_start(&p, near);
    near = NULL;
    transport_finish(p.t);
    settle();
    p.deaf = true;
    say(&far, "last words");
    transport_finish(far.t);
    settle();
    assert_false(p.closed);
    p.deaf = false;
    peer_readable(&p);
    settle();
    heard_is(&p, "last words");
    assert_true(p.eof && p.closed && p.why.kind == ERR_NONE);
    peer_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(closing_with_unread_bytes_ends_once_the_far_end_has, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_after_both_directions_ended_ends_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_came_with_the_end_are_read_before_it, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
