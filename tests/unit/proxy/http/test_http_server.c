#include "unit/proxy/http/fixture.h"

/* The choice of a protocol by the first bytes. */
static struct peer p;
static struct served v;

static int set_up(void **state)
{
    struct transport *a, *b;
    loop_set_up(state);
    memory_transport_pair(the_loop, &a, &b);
    peer_start(&p, b);
    v = (struct served){.config = {.h1 = test_h1, .h2 = test_h2, .request_headers_timeout_ms = 200}};
    v.server = http_server_create(&a, &v.config, &served_events, &v);
    return 0;
}

static int tear_down(void **state)
{
    served_fini(&v);
    peer_end(&p);
    return loop_tear_down(state);
}

static void the_clock_of_a_head_runs_from_its_first_byte_even_before_the_protocol_is_known(void **state)
{
    (void)state;
    settle_ms(260);
    assert_int_equal(v.closed, 0); /* nothing has begun */
    say(&p, "P");
    settle_ms(100);
    say(&p, "R");
    settle_ms(150);
    assert_int_equal(v.closed, 1);
}

static void what_only_began_like_a_preface_is_http_1(void **state)
{
    (void)state;
    say(&p, "P");
    say(&p, "UT / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    assert_int_equal(v.n, 1);
    assert_int_equal(v.streams[0].s->version, HTTP_1_1);
}

static void a_drain_before_the_protocol_is_known_closes_after_the_first_answer(void **state)
{
    (void)state;
    http_server_drain(v.server);
    say(&p, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    respond(&v.streams[0], 200, "ok");
    settle();
    assert_non_null(strstr(strbuf_cstr(&p.heard), "connection: close"));
    assert_int_equal(v.closed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            the_clock_of_a_head_runs_from_its_first_byte_even_before_the_protocol_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_only_began_like_a_preface_is_http_1, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_drain_before_the_protocol_is_known_closes_after_the_first_answer, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
