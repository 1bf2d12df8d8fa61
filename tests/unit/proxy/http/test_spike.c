/*
 * The shape everything else rests on: a socket, TLS, HTTP/2, CONNECT streams as transports, TLS inside each, bytes. One
 * tunnel that nobody reads beside three that run.
 */
#include <sys/socket.h>

#include "proxy/net/tls.h"
#include "unit/proxy/http/fixture.h"
#include "unit/proxy/net/certs.h"

enum { TUNNELS = 4, ROUND = 64 << 10, TOTAL = 4 << 20 };

static struct test_cert ca, leaf;
static struct tls_context *outer_client, *outer_server, *inner_client, *inner_server;

static struct tls_pem pem(const char *text)
{
    return (struct tls_pem){slice_of(text), "test"};
}

static struct tls_context *context(bool server, const struct slice *alpn)
{
    struct err err;
    struct tls_config config = {.server = server, .alpn = alpn, .n_alpn = alpn == NULL ? 0 : 1};
    if (server) {
        config.chain = pem(leaf.chain_pem);
        config.key = pem(leaf.key_pem);
    } else {
        config.verify = true;
        config.trusted_ca = pem(ca.chain_pem);
        config.sni = SLICE("far.example");
    }
    struct tls_context *c = tls_context_create(&config, &err);
    if (c == NULL) {
        fail_msg("%s", err.text);
    }
    return c;
}

static int make_contexts(void **state)
{
    static const struct slice h2 = {"h2", 2};
    (void)state;
    ca = cert_make((struct test_cert_wish){.name = "ca", .is_ca = true});
    leaf = cert_make((struct test_cert_wish){.name = "leaf", .ca = &ca, .san = "DNS:far.example"});
    outer_client = context(false, &h2);
    outer_server = context(true, &h2);
    inner_client = context(false, NULL);
    inner_server = context(true, NULL);
    return 0;
}

static int drop_contexts(void **state)
{
    (void)state;
    tls_context_unref(&outer_client);
    tls_context_unref(&outer_server);
    tls_context_unref(&inner_client);
    tls_context_unref(&inner_server);
    cert_free(&ca);
    cert_free(&leaf);
    return 0;
}

/* One end of a tunnel's innermost bytes. */
struct end {
    struct transport *t;
    bool open, eof, closed, echo;
    size_t sent, got, to_send;
    struct err why;
};

static void end_fill(struct end *e)
{
    static char block[ROUND];
    while (e->open && e->t != NULL && e->sent < e->to_send && transport_queued(e->t) < e->t->out_high) {
        struct buf b;
        buf_init(&b);
        buf_append(&b, block, sizeof block);
        transport_write(e->t, &b);
        e->sent += sizeof block;
    }
}

static void end_open(void *ctx)
{
    struct end *e = ctx;
    e->open = true;
    end_fill(e);
}

static void end_readable(void *ctx)
{
    struct end *e = ctx;
    if (e->echo && transport_queued(e->t) >= e->t->out_high) {
        return; /* on_writable comes back to it */
    }
    e->got += e->t->in.len;
    if (e->echo) {
        struct buf b;
        buf_init(&b);
        buf_move_all(&b, &e->t->in);
        transport_write(e->t, &b);
    } else {
        buf_drain(&e->t->in, e->t->in.len);
    }
    e->eof = e->t->in_eof;
    transport_taken(e->t);
}

static void end_writable(void *ctx)
{
    struct end *e = ctx;
    if (e->echo) {
        end_readable(e);
    }
    end_fill(e);
}

static void end_closed(void *ctx, const struct err *why)
{
    struct end *e = ctx;
    e->closed = true;
    e->t = NULL;
    e->why = *why;
}

static const struct transport_events end_events = {end_open, end_readable, end_writable, end_closed};

static void end_start(struct end *e, struct transport *t)
{
    e->t = t;
    e->open = t->open;
    transport_own(t, &end_events, e);
}

/* The outer connection. */
static struct served gateway;
static struct calling sidecar;
static struct owner outer[TUNNELS + 1];
static struct end near_ends[TUNNELS], far_ends[TUNNELS];

static struct transport *client_lower;
static bool client_open;

static void note_open(void *ctx)
{
    (void)ctx;
    client_open = true;
}

static void note_closed(void *ctx, const struct err *why)
{
    (void)ctx;
    fail_msg("%s", why->text);
}

static const struct transport_events waiting = {note_open, peer_nothing, peer_nothing, note_closed};

static int set_up(void **state)
{
    int fds[2];
    struct addr none = {.len = 0};
    loop_set_up(state);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    struct transport *a = socket_transport_create(the_loop, fds[0], &none);
    struct transport *b = socket_transport_create(the_loop, fds[1], &none);
    serve(&gateway, tls_transport_server(a, outer_server), HTTP_CODEC_AUTO);
    client_lower = tls_transport_client(b, outer_client, SLICE_NONE);
    client_open = false;
    transport_own(client_lower, &waiting, NULL);
    settle_ms(30);
    assert_true(client_open && slice_eq(transport_info_tls(client_lower->info)->alpn, SLICE("h2")));
    call_over(&sidecar, client_lower, true);
    settle();
    memset(outer, 0, sizeof outer);
    memset(near_ends, 0, sizeof near_ends);
    memset(far_ends, 0, sizeof far_ends);
    return 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < TUNNELS; i++) {
        transport_close(&near_ends[i].t, TRANSPORT_ABORT);
        transport_close(&far_ends[i].t, TRANSPORT_ABORT);
    }
    settle();
    for (int i = 0; i <= TUNNELS; i++) {
        owner_fini(&outer[i]);
    }
    calling_fini(&sidecar);
    served_fini(&gateway);
    return loop_tear_down(state);
}

static void connect_tunnel(int i)
{
    open_call(&sidecar, &outer[i]);
    struct head h = request_head(&outer[i], "CONNECT", "");
    h.authority = SLICE("far.example:443");
    stream_send_head(outer[i].s, &h, false);
    settle();
    respond_head(&gateway.streams[i], 200, -1, false);
    settle();
    assert_true(outer[i].s->raw);
}

static void stack_tls(int i)
{
    struct transport *near = stream_transport_create(&outer[i].s, &outer[i].arena);
    struct transport *far = stream_transport_create(&gateway.streams[i].s, NULL);
    far_ends[i].echo = true;
    end_start(&far_ends[i], tls_transport_server(far, inner_server));
    end_start(&near_ends[i], tls_transport_client(near, inner_client, SLICE_NONE));
}

static void three_tunnels_run_at_full_speed_beside_one_that_nobody_reads(void **state)
{
    (void)state;
    for (int i = 0; i < TUNNELS; i++) {
        connect_tunnel(i);
    }
    struct stream *stuck = gateway.streams[0].s;
    gateway.streams[0].hold = true;
    for (int i = 1; i < TUNNELS; i++) {
        near_ends[i].to_send = TOTAL;
        stack_tls(i);
    }
    static char block[8193];
    memset(block, 'x', sizeof block - 1);
    bool done = false;
    for (int turn = 0; turn < 3000 && !done; turn++) {
        while (stream_room(outer[0].s) > 0) {
            send_text(&outer[0], block, false);
        }
        settle_ms(4);
        done = true;
        for (int i = 1; i < TUNNELS; i++) {
            done = done && near_ends[i].got >= TOTAL;
        }
    }
    for (int i = 1; i < TUNNELS; i++) {
        assert_int_equal(near_ends[i].got, TOTAL);
        assert_int_equal(far_ends[i].got, TOTAL);
    }
    assert_true(stuck->in.len <= 65535 && stuck->in.len > 0);
    assert_true(buf_pinned(&stuck->in) < (1 << 20));
    gateway.streams[0].hold = false;
    owner_pull(&gateway.streams[0]);
    settle();
    assert_true(gateway.streams[0].taken > 65535);
}

static void each_direction_of_a_tunnel_ends_by_itself(void **state)
{
    (void)state;
    connect_tunnel(0);
    near_ends[0].to_send = ROUND;
    stack_tls(0);
    settle_ms(50);
    assert_int_equal(near_ends[0].got, ROUND);
    transport_finish(near_ends[0].t);
    settle_ms(20);
    assert_true(far_ends[0].eof && !near_ends[0].eof && !near_ends[0].closed);
    far_ends[0].to_send = far_ends[0].sent + ROUND;
    end_fill(&far_ends[0]);
    settle_ms(30);
    assert_int_equal(near_ends[0].got, 2 * ROUND);
    transport_finish(far_ends[0].t);
    settle_ms(30);
    assert_true(near_ends[0].eof);
    settle_ms(30);
    assert_true(near_ends[0].closed && near_ends[0].why.kind == ERR_NONE);
    assert_true(far_ends[0].closed && far_ends[0].why.kind == ERR_NONE);
    settle();
    assert_int_equal(http_client_streams(sidecar.client), 0);
}

static void an_early_answer_passes_beside_a_running_tunnel(void **state)
{
    (void)state;
    connect_tunnel(0);
    near_ends[0].to_send = TOTAL;
    stack_tls(0);
    call(&sidecar, &outer[1], "POST", "/upload", false);
    settle();
    send_text(&outer[1], "some of it", false);
    settle();
    respond(&gateway.streams[1], 413, "enough");
    for (int i = 0; i < 1000 && near_ends[0].got < TOTAL; i++) {
        settle();
    }
    assert_int_equal(outer[1].heads[0].status, 413);
    assert_true(body_is(&outer[1], "enough") && outer[1].closed && outer[1].why.kind == ERR_NONE);
    assert_int_equal(near_ends[0].got, TOTAL);
}

static void a_far_end_that_breaks_is_heard_at_the_near_end(void **state)
{
    (void)state;
    connect_tunnel(0);
    stack_tls(0);
    settle_ms(30);
    assert_true(near_ends[0].open);
    transport_close(&far_ends[0].t, TRANSPORT_ABORT);
    settle_ms(30);
    assert_true(near_ends[0].closed && near_ends[0].why.kind != ERR_NONE);
    assert_non_null(sidecar.client);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(three_tunnels_run_at_full_speed_beside_one_that_nobody_reads),
        T(each_direction_of_a_tunnel_ends_by_itself),
        T(an_early_answer_passes_beside_a_running_tunnel),
        T(a_far_end_that_breaks_is_heard_at_the_near_end),
    };
    return cmocka_run_group_tests(tests, make_contexts, drop_contexts);
}
