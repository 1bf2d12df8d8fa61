#include "tests/unit/proxy/net/net_test.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>

#include "proxy/net/resolve.h"

/* A name server of this test: answers by the first label of the name. */
struct name_server {
    int fd;
    struct event *event;
    char address[ADDR_TEXT];
    unsigned asked;
};

static size_t put(unsigned char *to, const char *bytes, size_t n)
{
    memcpy(to, bytes, n);
    return n;
}

static size_t put_record(unsigned char *to, unsigned type, unsigned ttl, const void *data, size_t n)
{
    unsigned char head[] = {0xc0,
                            12,
                            0,
                            (unsigned char)type,
                            0,
                            1,
                            0,
                            0,
                            (unsigned char)(ttl >> 8),
                            (unsigned char)ttl,
                            0,
                            (unsigned char)n};
    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, data, n);
    return sizeof head + n;
}

static bool is_name(const unsigned char *question, const char *label)
{
    return question[0] == strlen(label) && memcmp(question + 1, label, question[0]) == 0;
}

static void on_question(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct name_server *s = arg;
    unsigned char q[1500], a[1500];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t n = recvfrom(fd, q, sizeof q, 0, (struct sockaddr *)&from, &from_len);
    if (n < 17) {
        return;
    }
    s->asked++;
    const unsigned char *name = q + 12;
    size_t end = 12 + strlen((const char *)name) + 1 + 4;
    unsigned type = q[end - 3];
    if (is_name(name, "silent")) {
        return;
    }
    memcpy(a, q, end);
    a[2] = 0x84;
    a[3] = is_name(name, "none") ? 0x83 : is_name(name, "broken") ? 0x82 : 0x80;
    memset(a + 6, 0, 6);
    size_t at = end;
    if (is_name(name, "both") && type == 28) {
        at += put_record(a + at, 28, 30, "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", 16);
        a[7] = 1;
    } else if ((is_name(name, "both") || is_name(name, "four")) && type == 1) {
        at += put_record(a + at, 1, 60, "\x0a\x00\x00\x01", 4);
        at += put_record(a + at, 1, 20, "\x0a\x00\x00\x02", 4);
        a[7] = 2;
    } else if (is_name(name, "garbage")) {
        at += put(a + at, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
        a[7] = 200;
    }
    sendto(fd, a, at, 0, (struct sockaddr *)&from, from_len);
}

static void server_start(struct name_server *s, struct loop *loop)
{
    struct addr at;
    addr_parse(&at, SLICE("127.0.0.1"), 0, NULL);
    s->asked = 0;
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(s->fd, &at.sa, at.len), 0);
    getsockname(s->fd, &at.sa, &at.len);
    addr_text(&at, s->address);
    s->event = event_new(loop_base(loop), s->fd, EV_READ | EV_PERSIST, on_question, s);
    event_add(s->event, NULL);
}

static void server_end(struct name_server *s)
{
    event_free(s->event);
    close(s->fd);
}

struct asker {
    unsigned times;
    char text[512];
    uint32_t ttl_s;
    struct err err;
    struct resolver **destroys;
};

static void on_done(void *ctx, const struct resolve_answer *answer, const struct err *err)
{
    struct asker *k = ctx;
    k->times++;
    k->err = *err;
    k->ttl_s = answer->ttl_s;
    k->text[0] = '\0';
    for (size_t i = 0; i < answer->n; i++) {
        char one[ADDR_TEXT];
        strcat(strcat(k->text, i > 0 ? " " : ""), addr_text(&answer->addrs[i], one));
    }
    if (k->destroys != NULL) {
        resolver_destroy(k->destroys);
    }
}

struct given {
    struct loop *loop;
    struct name_server server;
    struct resolver *resolver;
};

static int given_resolver(void **state)
{
    struct given *g = calloc(1, sizeof *g);
    struct err err;
    g->loop = loop_create(0, &err);
    server_start(&g->server, g->loop);
    g->resolver = resolver_create_with_servers(g->loop, g->server.address, &err);
    assert_non_null(g->resolver);
    *state = g;
    return 0;
}

static int drop_resolver(void **state)
{
    struct given *g = *state;
    resolver_destroy(&g->resolver);
    server_end(&g->server);
    loop_destroy(&g->loop);
    free(g);
    return 0;
}

static struct asker ask(struct given *g, const char *name, enum resolve_family family)
{
    struct asker k = {0};
    resolver_query(g->resolver, slice_of(name), family, on_done, &k);
    assert_int_equal(k.times, 0); /* never inside the call */
    RUN_UNTIL(g->loop, k.times > 0);
    run_for_ms(g->loop, 3);
    assert_int_equal(k.times, 1);
    return k;
}

static void addresses_come_with_the_smallest_time_to_live(void **state)
{
    struct asker k = ask(*state, "four.test.example.", RESOLVE_V4_ONLY);
    assert_int_equal(k.err.kind, ERR_NONE);
    assert_string_equal(k.text, "10.0.0.1:0 10.0.0.2:0");
    assert_int_equal(k.ttl_s, 20);
}

static void the_family_rules_choose(void **state)
{
    assert_string_equal(ask(*state, "both.test.example.", RESOLVE_V6_ONLY).text, "[2001:db8::1]:0");
    assert_string_equal(ask(*state, "both.test.example.", RESOLVE_V4_ONLY).text, "10.0.0.1:0 10.0.0.2:0");
    assert_string_equal(ask(*state, "both.test.example.", RESOLVE_V4_PREFERRED).text, "10.0.0.1:0 10.0.0.2:0");
    assert_string_equal(ask(*state, "both.test.example.", RESOLVE_ALL).text, "[2001:db8::1]:0 10.0.0.1:0 10.0.0.2:0");
    assert_string_equal(ask(*state, "four.test.example.", RESOLVE_AUTO).text, "10.0.0.1:0 10.0.0.2:0");
    struct asker k = ask(*state, "four.test.example.", RESOLVE_V6_ONLY);
    assert_int_equal(k.err.kind, ERR_RESOLVE);
}

static void literals_answer_themselves(void **state)
{
    struct given *g = *state;
    assert_string_equal(ask(g, "192.0.2.1", RESOLVE_AUTO).text, "192.0.2.1:0");
    assert_string_equal(ask(g, "::1", RESOLVE_AUTO).text, "[::1]:0");
    assert_int_equal(ask(g, "192.0.2.1", RESOLVE_V6_ONLY).err.kind, ERR_RESOLVE);
    assert_int_equal(g->server.asked, 0);
}

static void the_hosts_file_comes_first(void **state)
{
    struct given *g = *state;
    assert_string_equal(ask(g, "localhost", RESOLVE_V4_ONLY).text, "127.0.0.1:0");
    assert_int_equal(g->server.asked, 0);
}

static void a_name_that_is_not_there_is_an_error(void **state)
{
    struct asker k = ask(*state, "none.test.example.", RESOLVE_V4_ONLY);
    assert_int_equal(k.err.kind, ERR_RESOLVE);
    assert_int_equal(k.err.retry, ERR_RETRY_ALWAYS);
    assert_string_equal(k.err.text, "resolve none.test.example.: Domain name not found");
    k = ask(*state, "broken.test.example.", RESOLVE_V4_ONLY);
    assert_int_equal(k.err.kind, ERR_RESOLVE);
    k = ask(*state, "garbage.test.example.", RESOLVE_V4_ONLY);
    assert_int_equal(k.err.kind, ERR_RESOLVE);
}

static void names_that_cannot_be_names_are_refused(void **state)
{
    struct given *g = *state;
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[299] = '\0';
    assert_int_equal(ask(g, "", RESOLVE_AUTO).err.kind, ERR_RESOLVE);
    assert_int_equal(ask(g, longest, RESOLVE_AUTO).err.kind, ERR_RESOLVE);
    assert_int_equal(ask(g, "a b", RESOLVE_AUTO).err.kind, ERR_RESOLVE);
    assert_int_equal(g->server.asked, 0);
}

static void a_cancelled_query_is_silent(void **state)
{
    struct given *g = *state;
    struct asker k = {0};
    struct resolve_query *q = resolver_query(g->resolver, SLICE("four.test.example."), RESOLVE_V4_ONLY, on_done, &k);
    resolver_cancel(&q);
    assert_null(q);
    q = resolver_query(g->resolver, SLICE("192.0.2.1"), RESOLVE_V4_ONLY, on_done, &k);
    resolver_cancel(&q);
    run_for_ms(g->loop, 20);
    assert_int_equal(k.times, 0);
}

static void a_silent_server_gives_up_in_time(void **state)
{
    struct given *g = *state;
    struct asker k = {0};
    int64_t start = clock_mono_us();
    resolver_query(g->resolver, SLICE("silent.test.example."), RESOLVE_V4_ONLY, on_done, &k);
    while (k.times == 0 && clock_mono_us() - start < 10000000) {
        loop_turn(g->loop, true);
    }
    assert_int_equal(k.err.kind, ERR_RESOLVE);
    assert_true(clock_mono_us() - start < 9000000);
    assert_true(g->server.asked >= 2);
}

static void a_resolver_may_end_with_queries_open_or_in_its_own_answer(void **state)
{
    struct given *g = *state;
    struct asker k = {0};
    resolver_query(g->resolver, SLICE("silent.test.example."), RESOLVE_V4_ONLY, on_done, &k);
    struct asker d = {.destroys = &g->resolver};
    resolver_query(g->resolver, SLICE("four.test.example."), RESOLVE_V4_ONLY, on_done, &d);
    RUN_UNTIL(g->loop, d.times == 1);
    run_for_ms(g->loop, 5);
    assert_int_equal(k.times, 0);
    assert_null(g->resolver);
}

#define ASKING(test) cmocka_unit_test_setup_teardown(test, given_resolver, drop_resolver)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ASKING(addresses_come_with_the_smallest_time_to_live),
        ASKING(the_family_rules_choose),
        ASKING(literals_answer_themselves),
        ASKING(the_hosts_file_comes_first),
        ASKING(a_name_that_is_not_there_is_an_error),
        ASKING(names_that_cannot_be_names_are_refused),
        ASKING(a_cancelled_query_is_silent),
        ASKING(a_silent_server_gives_up_in_time),
        ASKING(a_resolver_may_end_with_queries_open_or_in_its_own_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
