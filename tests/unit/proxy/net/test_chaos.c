/*
 * Many connections, socket or memory, bare or with one to three layers of TLS, whose owners write, take, finish, change
 * hands and close at random, also from inside the calls. What must hold: on_closed comes at most once and last, bytes
 * arrive unchanged and in order, nothing is touched after it was freed (ASan looks on), and it all ends.
 */
#include "tests/unit/proxy/net/net_test.h"

#include <stdio.h>
#include <sys/socket.h>

#include "proxy/net/tls.h"
#include "tests/unit/proxy/net/certs.h"

enum { PAIRS = 12, STEPS = 4000 };

static uint64_t seed;

static unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 20) % n);
}

struct actor {
    struct transport *t;
    struct actor *other;
    struct loop *loop;
    size_t said, heard;  /* bytes; byte i of a direction is i * 7 */
    bool finished, quit; /* quit: closed by itself, nothing may be heard */
    unsigned closed;
};

static void act(struct actor *a);

static void check_alive(struct actor *a)
{
    assert_false(a->quit);
    assert_int_equal(a->closed, 0);
}

static void hear(struct actor *a, size_t max)
{
    struct slice piece;
    while (max > 0 && (piece = buf_front(&a->t->in)).n > 0) {
        size_t n = piece.n < max ? piece.n : max;
        for (size_t i = 0; i < n; i++) {
            if ((unsigned char)piece.p[i] != (unsigned char)((a->heard + i) * 7)) {
                fail_msg("a byte changed on the way");
            }
        }
        a->heard += n;
        max -= n;
        buf_drain(&a->t->in, n);
    }
    transport_taken(a->t);
}

static void on_open(void *ctx)
{
    check_alive(ctx);
    act(ctx);
}

static void on_readable(void *ctx)
{
    struct actor *a = ctx;
    check_alive(a);
    if (pick(8) > 0) {
        hear(a, pick(4) > 0 ? SIZE_MAX : 1 + pick(5000));
    }
    act(a);
}

static void on_writable(void *ctx)
{
    check_alive(ctx);
    act(ctx);
}

static void on_closed(void *ctx, const struct err *why)
{
    struct actor *a = ctx;
    check_alive(a);
    if (why->kind == ERR_NONE && !a->other->quit) {
        assert_true(a->heard == a->other->said); /* orderly: nothing was lost */
    }
    a->closed++;
    a->t = NULL;
}

static const struct transport_events chaos_events = {on_open, on_readable, on_writable, on_closed};

static void say(struct actor *a)
{
    size_t n = pick(10) == 0 ? pick(150000) : pick(3000);
    if (a->finished || transport_queued(a->t) > 200000) {
        return;
    }
    struct buf b;
    buf_init(&b);
    for (size_t i = 0; i < n;) {
        unsigned char block[997];
        size_t part = n - i < sizeof block ? n - i : sizeof block;
        for (size_t k = 0; k < part; k++) {
            block[k] = (unsigned char)((a->said + i + k) * 7);
        }
        buf_append(&b, block, part);
        i += part;
    }
    a->said += n;
    transport_write(a->t, &b);
}

static void act(struct actor *a)
{
    if (a->t == NULL) {
        return;
    }
    unsigned what = pick(1000);
    if (what < 500) {
        say(a);
    } else if (what < 700) {
        hear(a, SIZE_MAX);
    } else if (what < 720) {
        transport_own(a->t, &chaos_events, a);
    } else if (what < 723) {
        a->finished = true;
        transport_finish(a->t);
    } else if (what < 726) {
        a->quit = true;
        transport_close(&a->t, what == 725 ? TRANSPORT_ABORT : TRANSPORT_FLUSH);
    }
}

struct contexts {
    struct tls_context *client, *server;
};

static void connect_pair(struct loop *loop, struct actor *pair, const struct contexts *tls)
{
    struct transport *t[2];
    if (pick(2) == 0) {
        memory_transport_pair(loop, &t[0], &t[1]);
    } else {
        int fds[2];
        struct addr none = {.len = 0};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        t[0] = socket_transport_create(loop, fds[0], &none);
        t[1] = socket_transport_create(loop, fds[1], &none);
    }
    for (unsigned layers = pick(4); layers > 0; layers--) {
        t[0] = tls_transport_client(t[0], tls->client, SLICE("chaos.example"));
        t[1] = tls_transport_server(t[1], tls->server);
    }
    for (unsigned i = 0; i < 2; i++) {
        pair[i] = (struct actor){.t = t[i], .other = &pair[1 - i], .loop = loop};
        if (pick(3) == 0) {
            t[i]->in_limit = 1 + pick(20000);
            t[i]->out_high = 1 + pick(20000);
        }
        transport_own(t[i], &chaos_events, &pair[i]);
    }
}

static bool is_done(const struct actor *a)
{
    return a->closed > 0 || a->quit;
}

static void run_chaos(uint64_t with_seed, const struct contexts *tls)
{
    seed = with_seed;
    struct err err;
    struct loop *loop = loop_create(0, &err);
    struct actor *actors = calloc(2 * PAIRS, sizeof *actors);
    for (unsigned i = 0; i < PAIRS; i++) {
        connect_pair(loop, &actors[2 * i], tls);
    }
    for (unsigned step = 0; step < STEPS; step++) {
        for (unsigned k = pick(4); k > 0; k--) {
            act(&actors[pick(2 * PAIRS)]);
        }
        loop_turn(loop, false);
        unsigned i = pick(PAIRS);
        if (is_done(&actors[2 * i]) && is_done(&actors[2 * i + 1])) {
            connect_pair(loop, &actors[2 * i], tls);
        }
    }
    for (unsigned i = 0; i < 2 * PAIRS; i++) {
        if (actors[i].t != NULL) {
            actors[i].quit = true;
            transport_close(&actors[i].t, pick(2) ? TRANSPORT_ABORT : TRANSPORT_FLUSH);
        }
    }
    loop_turn(loop, false);
    loop_destroy(&loop);
    free(actors);
}

static void whatever_owners_do_nothing_breaks(void **state)
{
    (void)state;
    struct test_cert ca = cert_make((struct test_cert_wish){.name = "ca", .is_ca = true});
    struct test_cert leaf = cert_make((struct test_cert_wish){.name = "x", .ca = &ca, .san = "DNS:chaos.example"});
    struct tls_config cc = {.verify = true, .trusted_ca = {slice_of(ca.chain_pem), "ca"}};
    struct tls_config sc = {
        .server = true, .chain = {slice_of(leaf.chain_pem), "chain"}, .key = {slice_of(leaf.key_pem), "key"}};
    struct contexts tls = {tls_context_create(&cc, NULL), tls_context_create(&sc, NULL)};
    const char *more = getenv("EGRET_CHAOS_ROUNDS");
    unsigned rounds = more != NULL ? (unsigned)atoi(more) : 6;
    const char *from = getenv("EGRET_CHAOS_SEED");
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    for (unsigned i = 0; i < rounds; i++) {
        run_chaos((first + i) * UINT64_C(0x9E3779B97F4A7C15), &tls);
    }
    tls_context_unref(&tls.client);
    tls_context_unref(&tls.server);
    cert_free(&ca);
    cert_free(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_owners_do_nothing_breaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
