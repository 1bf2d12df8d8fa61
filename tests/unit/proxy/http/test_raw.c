#include "unit/proxy/http/fixture.h"

/* A raw stream and a stream as a transport, each over one end of a memory pair. */
static struct peer p;
static struct owner o;

static int set_up(void **state)
{
    struct transport *a, *b;
    loop_set_up(state);
    memory_transport_pair(the_loop, &a, &b);
    peer_start(&p, b);
    o = (struct owner){.arena = arena_create(0)};
    o.s = raw_stream_create(&a, o.arena, &owner_events, &o);
    return 0;
}

static int tear_down(void **state)
{
    owner_fini(&o);
    peer_end(&p);
    return loop_tear_down(state);
}

static void bytes_cross_and_each_direction_ends_by_itself(void **state)
{
    (void)state;
    assert_true(o.s->raw);
    say(&p, "in");
    assert_true(body_is(&o, "in"));
    send_text(&o, "out", true);
    settle();
    heard_is(&p, "out");
    assert_true(p.eof && !o.closed);
    say(&p, "still");
    transport_finish(p.t);
    settle();
    assert_true(body_is(&o, "still") && o.ended);
    assert_true(o.closed && o.why.kind == ERR_NONE);
}

static void a_lost_transport_closes_the_stream(void **state)
{
    (void)state;
    transport_close(&p.t, TRANSPORT_ABORT);
    settle();
    assert_true(o.closed && o.why.kind == ERR_RESET);
}

static void a_reset_is_heard_on_both_sides(void **state)
{
    (void)state;
    stream_reset(o.s, STREAM_CANCEL);
    settle();
    assert_true(o.closed && o.why.side == ERR_SIDE_LOCAL);
    assert_true(p.closed && p.why.kind == ERR_RESET);
}

static void what_nobody_takes_stops_the_other_side(void **state)
{
    (void)state;
    o.hold = true;
    static char block[1 << 20];
    say_bytes(&p, block, sizeof block);
    assert_true(o.s->in.len <= 256 << 10);
    assert_true(transport_queued(p.t) > 512 << 10);
    o.hold = false;
    owner_pull(&o);
    settle();
    assert_int_equal(o.taken, sizeof block);
}

static void a_stream_as_a_transport_keeps_the_transports_promises(void **state)
{
    (void)state;
    struct peer q;
    peer_start(&q, stream_transport_create(&o.s, &o.arena));
    say(&p, "to");
    heard_is(&q, "to");
    say(&q, "fro");
    heard_is(&p, "fro");
    transport_finish(q.t);
    settle();
    assert_true(p.eof && !q.closed);
    transport_finish(p.t);
    settle();
    assert_true(q.eof && q.closed && q.why.kind == ERR_NONE);
    assert_true(p.closed && p.why.kind == ERR_NONE);
    strbuf_fini(&q.heard);
}

static void a_stream_as_a_transport_flushes_after_its_close(void **state)
{
    (void)state;
    struct transport *t = stream_transport_create(&o.s, &o.arena);
    struct buf b;
    static char block[300000];
    buf_init(&b);
    buf_append(&b, block, sizeof block);
    transport_write(t, &b);
    transport_close(&t, TRANSPORT_FLUSH);
    settle_ms(30);
    assert_int_equal(p.heard.n, sizeof block);
    assert_true(p.eof);
    transport_finish(p.t);
    settle_ms(30);
    assert_true(p.closed);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(bytes_cross_and_each_direction_ends_by_itself),
        T(a_lost_transport_closes_the_stream),
        T(a_reset_is_heard_on_both_sides),
        T(what_nobody_takes_stops_the_other_side),
        T(a_stream_as_a_transport_keeps_the_transports_promises),
        T(a_stream_as_a_transport_flushes_after_its_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
