#include "tests/unit/proxy/net/net_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/ioctl.h>

static struct addr any_loopback(void)
{
    struct addr a;
    assert_true(addr_parse(&a, SLICE("127.0.0.1"), 0, NULL));
    return a;
}

static int listen_loopback(struct addr *bound)
{
    *bound = any_loopback();
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &bound->sa, bound->len), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, &bound->sa, &bound->len), 0);
    return fd;
}

/* A connected pair of TCP sockets: a is ours as a transport, b a blocking descriptor of the test. */
static int peer_of(struct loop *loop, struct owner *o)
{
    struct addr at, from;
    int listener = listen_loopback(&at);
    int b = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(b, &at.sa, at.len), 0);
    from.len = sizeof from.un;
    int a = accept4(listener, &from.sa, &from.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(a >= 0);
    close(listener);
    owner_init(o, socket_transport_create(loop, a, &from));
    return b;
}

static void reset_peer(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void addresses_are_parsed_and_printed(void **state)
{
    (void)state;
    static const struct {
        const char *ip, *text;
    } good[] = {
        {"1.2.3.4", "1.2.3.4:80"},
        {"::1", "[::1]:80"},
        {"[::1]", "[::1]:80"},
        {"::ffff:1.2.3.4", "[::ffff:1.2.3.4]:80"},
        {"2001:DB8::1", "[2001:db8::1]:80"},
    };
    static const char *const bad[] = {"",         "1.2.3",     "1.2.3.4.5",    "0x7f.1", "127.1",      "01.2.3.4",
                                      "1.2.3.4 ", "[1.2.3.4]", "::1%nosuchif", "[::1",   "2130706433", "localhost"};
    char text[ADDR_TEXT];
    struct addr a;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(addr_parse(&a, slice_of(good[i].ip), 80, NULL));
        assert_string_equal(addr_text(&a, text), good[i].text);
        assert_int_equal(addr_port(&a), 80);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(addr_parse(&a, slice_of(bad[i]), 80, NULL));
        assert_int_equal(a.len, 0);
    }
    assert_false(addr_parse(&a, slice_make("1.2.3.4\0x", 9), 80, NULL));
}

static void pipes_may_be_abstract(void **state)
{
    (void)state;
    char text[ADDR_TEXT];
    struct addr a, b;
    assert_true(addr_pipe(&a, SLICE("/tmp/x"), NULL));
    assert_string_equal(addr_text(&a, text), "/tmp/x");
    assert_true(addr_pipe(&b, SLICE("@x"), NULL));
    assert_string_equal(addr_text(&b, text), "@x");
    assert_false(addr_eq(&a, &b));
    assert_true(addr_eq(&b, &b));
    char path[200];
    memset(path, 'a', sizeof path);
    assert_false(addr_pipe(&a, slice_make(path, sizeof path), NULL));
    assert_false(addr_pipe(&a, SLICE(""), NULL));
}

static void equal_addresses_have_ip_and_port_in_common(void **state)
{
    (void)state;
    struct addr a, b;
    addr_parse(&a, SLICE("10.0.0.1"), 1, NULL);
    addr_parse(&b, SLICE("10.0.0.1"), 2, NULL);
    assert_true(addr_same_ip(&a, &b));
    assert_false(addr_eq(&a, &b));
    addr_set_port(&b, 1);
    assert_true(addr_eq(&a, &b));
    addr_parse(&b, SLICE("::ffff:10.0.0.1"), 1, NULL);
    assert_false(addr_same_ip(&a, &b));
}

static void what_is_written_on_one_end_arrives_on_the_other(void **state)
{
    struct loop *loop = *state;
    struct transport *ta, *tb;
    memory_transport_pair(loop, &ta, &tb);
    struct owner a, b;
    owner_init(&a, ta);
    owner_init(&b, tb);
    owner_say_str(&a, "hello");
    loop_turn(loop, false);
    assert_true(owner_has(&b, "hello"));
    transport_finish(a.t);
    loop_turn(loop, false);
    assert_true(b.eof);
    owner_say_str(&b, "bye");
    transport_finish(b.t);
    loop_turn(loop, false);
    assert_true(owner_has(&a, "bye"));
    assert_true(a.closed && b.closed);
    assert_int_equal(a.why.kind, ERR_NONE);
    owner_fini(&a);
    owner_fini(&b);
}

static void a_full_memory_end_holds_its_writer_back(void **state)
{
    struct loop *loop = *state;
    struct transport *ta, *tb;
    memory_transport_pair(loop, &ta, &tb);
    struct owner a, b;
    owner_init(&a, ta);
    owner_init(&b, tb);
    b.keep = true;
    static char block[200000];
    owner_say(&a, block, sizeof block);
    loop_turn(loop, false);
    assert_int_equal(b.t->in.len, TRANSPORT_IN_LIMIT);
    assert_int_equal(transport_queued(a.t), sizeof block - TRANSPORT_IN_LIMIT);
    b.keep = false;
    owner_on_readable(&b);
    RUN_UNTIL(loop, b.got.len == sizeof block);
    assert_int_equal(a.n_writable, 1);
    owner_fini(&a);
    RUN_UNTIL(loop, b.closed);
    assert_int_equal(b.why.kind, ERR_RESET);
    owner_fini(&b);
}

static void closing_a_memory_end_delivers_what_was_queued(void **state)
{
    struct loop *loop = *state;
    struct transport *ta, *tb;
    memory_transport_pair(loop, &ta, &tb);
    struct owner a, b;
    owner_init(&a, ta);
    owner_init(&b, tb);
    owner_say_str(&a, "last words");
    transport_close(&a.t, TRANSPORT_FLUSH);
    loop_turn(loop, false);
    assert_true(owner_has(&b, "last words"));
    assert_true(b.eof);
    owner_fini(&a);
    owner_fini(&b);
}

static void a_new_owner_hears_of_bytes_that_already_wait(void **state)
{
    struct loop *loop = *state;
    struct transport *ta, *tb;
    memory_transport_pair(loop, &ta, &tb);
    struct owner a, first, second;
    owner_init(&a, ta);
    owner_init(&first, tb);
    first.keep = true;
    owner_say_str(&a, "peeked");
    loop_turn(loop, false);
    assert_int_equal(first.n_readable, 1);
    owner_init(&second, first.t);
    first.t = NULL;
    loop_turn(loop, false);
    assert_true(owner_has(&second, "peeked"));
    assert_int_equal(first.n_readable, 1);
    owner_fini(&a);
    owner_fini(&first);
    owner_fini(&second);
}

static void a_socket_reads_and_writes(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    assert_true(o.t->open);
    assert_int_equal(write(peer, "ping", 4), 4);
    RUN_UNTIL(loop, o.got.len == 4);
    owner_say_str(&o, "po");
    owner_say_str(&o, "ng");
    loop_turn(loop, false);
    char text[8];
    assert_int_equal(recv(peer, text, sizeof text, 0), 4);
    assert_memory_equal(text, "pong", 4);
    assert_int_equal(o.t->bytes_in, 4);
    assert_int_equal(o.t->bytes_out, 4);
    owner_fini(&o);
    close(peer);
}

static void a_fin_is_told_and_the_other_direction_goes_on(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    assert_int_equal(write(peer, "all", 3), 3);
    shutdown(peer, SHUT_WR);
    RUN_UNTIL(loop, o.eof);
    assert_true(owner_has(&o, "all"));
    owner_say_str(&o, "answer");
    transport_finish(o.t);
    RUN_UNTIL(loop, o.closed);
    assert_int_equal(o.why.kind, ERR_NONE);
    char text[16];
    assert_int_equal(recv(peer, text, sizeof text, MSG_WAITALL), 6);
    close(peer);
    owner_fini(&o);
}

static void after_our_finish_the_peer_may_go_on(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    owner_say_str(&o, "q");
    transport_finish(o.t);
    owner_say_str(&o, "ignored");
    loop_turn(loop, false);
    char text[16];
    assert_int_equal(recv(peer, text, sizeof text, MSG_WAITALL), 1);
    assert_int_equal(write(peer, "late", 4), 4);
    RUN_UNTIL(loop, o.got.len == 4);
    assert_false(o.closed);
    close(peer);
    RUN_UNTIL(loop, o.closed);
    assert_true(o.eof);
    assert_int_equal(o.why.kind, ERR_NONE);
    owner_fini(&o);
}

static void a_reset_is_told_with_its_cause(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    owner_say_str(&o, "x");
    loop_turn(loop, false);
    reset_peer(peer);
    RUN_UNTIL(loop, o.closed);
    assert_int_equal(o.why.kind, ERR_RESET);
    assert_int_equal(o.why.os_errno, ECONNRESET);
    assert_int_equal(o.why.retry, ERR_RETRY_IF_IDEMPOTENT);
    assert_int_equal(o.n_closed, 1);
    owner_fini(&o);
}

static void a_reset_is_seen_while_reading_is_off(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    o.keep = true;
    static char block[300000];
    fcntl(peer, F_SETFL, O_NONBLOCK);
    assert_true(write(peer, block, sizeof block) > TRANSPORT_IN_LIMIT);
    run_for_ms(loop, 30);
    assert_true(o.t->in.len >= TRANSPORT_IN_LIMIT);
    unsigned told = o.n_readable;
    run_for_ms(loop, 10);
    assert_int_equal(o.n_readable, told); /* stalled: no calls meanwhile */
    reset_peer(peer);
    RUN_UNTIL(loop, o.closed);
    assert_int_equal(o.why.kind, ERR_RESET);
    owner_fini(&o);
}

static void a_reset_is_seen_after_the_fin(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    shutdown(peer, SHUT_WR);
    RUN_UNTIL(loop, o.eof);
    run_for_ms(loop, 5);
    assert_false(o.closed);
    reset_peer(peer);
    RUN_UNTIL(loop, o.closed);
    assert_int_equal(o.why.kind, ERR_RESET);
    owner_fini(&o);
}

static void on_wake(struct timer *timer)
{
    assert_false(timer_is_set(timer));
}

static void a_stalled_socket_does_not_spin(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    o.keep = true;
    static char block[200000];
    fcntl(peer, F_SETFL, O_NONBLOCK);
    assert_true(write(peer, block, sizeof block) > 0);
    shutdown(peer, SHUT_WR);
    run_for_ms(loop, 30);
    struct timer wake; /* the loop must sleep until this, whatever waits in the kernel */
    timer_init(&wake, loop, on_wake);
    unsigned turns = 0;
    int64_t start = clock_mono_us();
    timer_set_in(&wake, 60);
    while (timer_is_set(&wake)) {
        loop_turn(loop, true);
        turns++;
    }
    assert_true(clock_mono_us() - start >= 60000);
    assert_true(turns < 10);
    owner_fini(&o);
    close(peer);
}

static void stalled_input_continues_when_it_is_taken(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    o.keep = true;
    static char block[400000];
    memset(block, 'z', sizeof block);
    fcntl(peer, F_SETFL, O_NONBLOCK);
    ssize_t sent = write(peer, block, sizeof block);
    assert_true(sent > TRANSPORT_IN_LIMIT);
    close(peer);
    run_for_ms(loop, 20);
    assert_false(o.eof);
    o.keep = false;
    owner_on_readable(&o);
    RUN_UNTIL(loop, o.eof);
    assert_int_equal(o.got.len, sent);
    owner_fini(&o);
}

static void a_slow_reader_holds_the_writer_back_and_gets_all(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    enum { TOTAL = 8 << 20 };
    char *block = malloc(TOTAL);
    for (size_t i = 0; i < TOTAL; i++) {
        block[i] = (char)(i * 7 >> 3);
    }
    owner_say(&o, block, TOTAL);
    transport_finish(o.t);
    loop_turn(loop, false);
    assert_true(transport_queued(o.t) > 0);
    char *got = malloc(TOTAL);
    size_t n = 0;
    fcntl(peer, F_SETFL, O_NONBLOCK);
    int64_t give_up = clock_mono_us() + 5000000;
    for (;;) {
        ssize_t part = read(peer, got + n, TOTAL - n);
        if (part == 0 && n < TOTAL) {
            break;
        }
        n += part > 0 ? (size_t)part : 0;
        if (n == TOTAL || clock_mono_us() > give_up) {
            break;
        }
        loop_turn(loop, false);
    }
    assert_int_equal(n, TOTAL);
    assert_memory_equal(got, block, TOTAL);
    assert_int_equal(o.n_writable, 1);
    free(block);
    free(got);
    owner_fini(&o);
    close(peer);
}

static void a_flushing_close_delivers_everything_then_fin(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    enum { TOTAL = 3 << 20 };
    char *block = calloc(1, TOTAL), *got = malloc(TOTAL);
    owner_say(&o, block, TOTAL);
    assert_int_equal(write(peer, "unread request body", 19), 19);
    transport_close(&o.t, TRANSPORT_FLUSH);
    fcntl(peer, F_SETFL, O_NONBLOCK);
    size_t n = 0;
    ssize_t part = -1;
    int64_t give_up = clock_mono_us() + 5000000;
    while (part != 0 && clock_mono_us() < give_up) {
        loop_turn(loop, false);
        part = read(peer, got, TOTAL);
        n += part > 0 ? (size_t)part : 0;
        assert_true(part >= 0 || errno == EAGAIN);
    }
    assert_int_equal(n, TOTAL);
    assert_int_equal(part, 0);
    close(peer);
    run_for_ms(loop, 5);
    free(block);
    free(got);
    owner_fini(&o);
}

static void a_lingering_socket_is_closed_after_a_second(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    transport_close(&o.t, TRANSPORT_FLUSH);
    run_for_ms(loop, 50);
    char c;
    assert_int_equal(read(peer, &c, 1), 0);
    assert_int_equal(write(peer, "x", 1), 1); /* discarded */
    run_for_ms(loop, 1200);
    int error = 0;
    socklen_t len = sizeof error;
    ssize_t ignored = write(peer, "y", 1);
    (void)ignored;
    usleep(1000);
    getsockopt(peer, SOL_SOCKET, SO_ERROR, &error, &len);
    assert_true(error == ECONNRESET || error == EPIPE);
    close(peer);
    owner_fini(&o);
}

static void a_loop_that_ends_closes_what_lingers(void **state)
{
    (void)state;
    struct loop *loop = loop_create(0, NULL);
    struct owner o;
    int peer = peer_of(loop, &o);
    owner_say_str(&o, "bye");
    transport_close(&o.t, TRANSPORT_FLUSH);
    loop_destroy(&loop);
    char text[8];
    assert_int_equal(recv(peer, text, sizeof text, MSG_WAITALL), 3);
    close(peer);
    owner_fini(&o);
}

static void an_abort_with_unsent_bytes_resets(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    owner_say_str(&o, "never sent");
    transport_close(&o.t, TRANSPORT_ABORT);
    char c;
    assert_int_equal(read(peer, &c, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    close(peer);
    owner_fini(&o);
}

static void an_early_answer_survives_a_broken_upload(void **state)
{
    struct loop *loop = *state;
    struct owner o;
    int peer = peer_of(loop, &o);
    /* The peer answers, then closes with our bytes unread: its kernel sends RST. */
    owner_say_str(&o, "upload");
    loop_turn(loop, false);
    usleep(1000);
    assert_int_equal(write(peer, "413", 3), 3);
    close(peer);
    usleep(1000);
    owner_say_str(&o, "more");
    RUN_UNTIL(loop, o.closed || o.eof);
    assert_true(owner_has(&o, "413"));
    owner_fini(&o);
}

static void a_dial_opens_and_sends_what_was_written_before(void **state)
{
    struct loop *loop = *state;
    struct addr at;
    int listener = listen_loopback(&at);
    struct dial_tcp how = {
        .remote = at, .source = any_loopback(), .connect_timeout_ms = 1000, .keepalive = true, .keepalive_time_s = 60};
    struct owner o;
    owner_init(&o, socket_transport_dial(loop, &how));
    owner_say_str(&o, "early");
    assert_false(o.opened);
    RUN_UNTIL(loop, o.opened);
    int fd = accept(listener, NULL, NULL);
    loop_turn(loop, false);
    char text[8];
    assert_int_equal(recv(fd, text, 5, MSG_WAITALL), 5);
    assert_true(addr_same_ip(o.t->info->local, &how.source));
    assert_true(addr_port(o.t->info->local) != 0);
    assert_int_equal(o.n_opened, 1);
    owner_fini(&o);
    close(fd);
    close(listener);
}

static void a_refused_dial_says_so_and_may_be_retried(void **state)
{
    struct loop *loop = *state;
    struct addr at;
    close(listen_loopback(&at));
    struct dial_tcp how = {.remote = at, .connect_timeout_ms = 1000};
    struct owner o;
    owner_init(&o, socket_transport_dial(loop, &how));
    owner_say_str(&o, "lost");
    RUN_UNTIL(loop, o.closed);
    assert_int_equal(o.why.kind, ERR_IO);
    assert_int_equal(o.why.os_errno, ECONNREFUSED);
    assert_int_equal(o.why.retry, ERR_RETRY_ALWAYS);
    assert_non_null(strstr(o.why.text, "connect to 127.0.0.1:"));
    assert_int_equal(o.n_opened, 0);
    owner_fini(&o);
}

static void a_dial_that_cannot_start_fails_in_a_turn(void **state)
{
    struct loop *loop = *state;
    struct dial_tcp how = {.connect_timeout_ms = 1000};
    assert_true(addr_parse(&how.remote, SLICE("127.0.0.1"), 9, NULL));
    assert_true(addr_parse(&how.source, SLICE("192.0.2.77"), 0, NULL)); /* not ours */
    struct owner o;
    owner_init(&o, socket_transport_dial(loop, &how));
    assert_false(o.closed);
    RUN_UNTIL(loop, o.closed);
    assert_int_equal(o.why.os_errno, EADDRNOTAVAIL);
    owner_fini(&o);
}

static void a_dial_nobody_answers_times_out(void **state)
{
    struct loop *loop = *state;
    struct addr at;
    int listener = listen_loopback(&at);
    listen(listener, 0);
    int fill[4]; /* a full backlog drops further SYNs */
    for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fill[i], &at.sa, at.len);
    }
    usleep(10000);
    struct dial_tcp how = {.remote = at, .connect_timeout_ms = 50};
    struct owner o;
    owner_init(&o, socket_transport_dial(loop, &how));
    RUN_UNTIL(loop, o.closed);
    assert_int_equal(o.why.kind, ERR_TIMEOUT);
    assert_int_equal(o.why.retry, ERR_RETRY_ALWAYS);
    owner_fini(&o);
    for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
        close(fill[i]);
    }
    close(listener);
}

static void a_dial_can_be_given_up(void **state)
{
    struct loop *loop = *state;
    struct addr at;
    int listener = listen_loopback(&at);
    struct dial_tcp how = {.remote = at, .connect_timeout_ms = 1000};
    struct owner o;
    owner_init(&o, socket_transport_dial(loop, &how));
    transport_close(&o.t, TRANSPORT_FLUSH);
    run_for_ms(loop, 5);
    assert_false(o.opened || o.closed);
    owner_fini(&o);
    close(listener);
}

static void a_unix_socket_can_be_dialled(void **state)
{
    struct loop *loop = *state;
    struct dial_tcp how = {.connect_timeout_ms = 1000};
    char name[64];
    snprintf(name, sizeof name, "@egret-test-%d", (int)getpid());
    assert_true(addr_pipe(&how.remote, slice_of(name), NULL));
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, &how.remote.sa, how.remote.len), 0);
    listen(listener, 4);
    struct owner o;
    owner_init(&o, socket_transport_dial(loop, &how));
    assert_false(o.opened);
    RUN_UNTIL(loop, o.opened);
    owner_fini(&o);
    close(listener);
}

/* Bytes that were forwarded but not sent yet pin the read chunk: the next read must not overwrite them. */
static void forwarded_bytes_are_not_overwritten_by_the_next_read(void **state)
{
    struct loop *loop = *state;
    enum { PAIRS = 40 };
    struct owner o[PAIRS];
    int peer[PAIRS];
    for (unsigned i = 0; i < PAIRS; i++) {
        peer[i] = peer_of(loop, &o[i]);
        char text[3000];
        memset(text, 'A' + (int)i, sizeof text);
        assert_int_equal(write(peer[i], text, sizeof text), sizeof text);
    }
    usleep(2000);
    for (unsigned i = 0; i < 3; i++) {
        loop_turn(loop, false);
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        assert_int_equal(o[i].got.len, 3000);
        buf_append(&o[i].got, "tail", 4); /* in place, had the chunk room there */
    }
    for (unsigned i = 0; i < PAIRS; i++) {
        struct slice all = buf_pullup(&o[i].got, 3004);
        for (size_t k = 0; k < 3000; k++) {
            assert_int_equal(all.p[k], 'A' + (int)i);
        }
        owner_fini(&o[i]);
        close(peer[i]);
    }
}

static void facts_of_a_peer_outlive_its_transport_and_are_one_object(void **state)
{
    (void)state;
    struct addr remote, local, copy = {.len = 0};
    char text[ADDR_TEXT];
    assert_true(addr_parse(&remote, SLICE("192.0.2.7"), 4711, NULL) && addr_parse(&local, SLICE("2001:db8::1"), 80, NULL));
    struct transport_info *info = transport_info_create(NULL, &remote), *second = transport_info_ref(info);
    assert_int_equal(info->local->len, 0);
    transport_info_set_local(info, &local);
    char alpn[] = "h2", name[] = "api.test";
    struct transport_tls tls = {.version = SLICE("1.3"), .alpn = slice_of(alpn), .sni = slice_of(name)};
    transport_info_set_tls(info, &tls);
    alpn[0] = name[0] = '?';
    transport_info_unref(&info);
    assert_null(info);
    assert_string_equal(addr_text(second->local, text), "[2001:db8::1]:80");
    addr_copy(&copy, second->remote);
    assert_string_equal(addr_text(&copy, text), "192.0.2.7:4711");
    assert_true(slice_eq(transport_info_tls(second)->alpn, SLICE("h2")));
    assert_true(slice_eq(transport_info_tls(second)->sni, SLICE("api.test")));
    assert_int_equal(transport_info_tls(second)->peer_subject.n, 0);
    transport_info_unref(&second);
    assert_int_equal(transport_info_tls(NULL)->alpn.n, 0);
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, given_loop, drop_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_parsed_and_printed),
        cmocka_unit_test(facts_of_a_peer_outlive_its_transport_and_are_one_object),
        cmocka_unit_test(pipes_may_be_abstract),
        cmocka_unit_test(equal_addresses_have_ip_and_port_in_common),
        ON_LOOP(what_is_written_on_one_end_arrives_on_the_other),
        ON_LOOP(a_full_memory_end_holds_its_writer_back),
        ON_LOOP(closing_a_memory_end_delivers_what_was_queued),
        ON_LOOP(a_new_owner_hears_of_bytes_that_already_wait),
        ON_LOOP(a_socket_reads_and_writes),
        ON_LOOP(a_fin_is_told_and_the_other_direction_goes_on),
        ON_LOOP(after_our_finish_the_peer_may_go_on),
        ON_LOOP(a_reset_is_told_with_its_cause),
        ON_LOOP(a_reset_is_seen_while_reading_is_off),
        ON_LOOP(a_reset_is_seen_after_the_fin),
        ON_LOOP(a_stalled_socket_does_not_spin),
        ON_LOOP(stalled_input_continues_when_it_is_taken),
        ON_LOOP(a_slow_reader_holds_the_writer_back_and_gets_all),
        ON_LOOP(a_flushing_close_delivers_everything_then_fin),
        ON_LOOP(a_lingering_socket_is_closed_after_a_second),
        cmocka_unit_test(a_loop_that_ends_closes_what_lingers),
        ON_LOOP(an_abort_with_unsent_bytes_resets),
        ON_LOOP(an_early_answer_survives_a_broken_upload),
        ON_LOOP(a_dial_opens_and_sends_what_was_written_before),
        ON_LOOP(a_refused_dial_says_so_and_may_be_retried),
        ON_LOOP(a_dial_that_cannot_start_fails_in_a_turn),
        ON_LOOP(a_dial_nobody_answers_times_out),
        ON_LOOP(a_dial_can_be_given_up),
        ON_LOOP(a_unix_socket_can_be_dialled),
        ON_LOOP(forwarded_bytes_are_not_overwritten_by_the_next_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
