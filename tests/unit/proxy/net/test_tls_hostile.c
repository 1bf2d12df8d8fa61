// wrap: time
/* Our TLS server against a client made of bare OpenSSL, which can do what ours never would. */
#include "tests/unit/proxy/net/net_test.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <time.h>

#include "proxy/net/tls.h"
#include "tests/unit/proxy/net/certs.h"

static struct test_cert ca, one, two;

static int given_certs(void **state)
{
    (void)state;
    ca = cert_make((struct test_cert_wish){.name = "ca", .is_ca = true});
    one = cert_make((struct test_cert_wish){.name = "one", .ca = &ca, .san = "DNS:one.example"});
    two = cert_make((struct test_cert_wish){.name = "two", .ca = &ca, .san = "DNS:two.example"});
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    cert_free(&ca);
    cert_free(&one);
    cert_free(&two);
    return 0;
}

static struct tls_context *server_context(const struct test_cert *cert, const char *seed)
{
    struct tls_config config = {.server = true,
                                .chain = {slice_of(cert->chain_pem), "chain"},
                                .key = {slice_of(cert->key_pem), "key"},
                                .session_ticket_seed = slice_of(seed)};
    struct err err;
    struct tls_context *c = tls_context_create(&config, &err);
    assert_non_null(c);
    return c;
}

struct bare { /* the client, on the other end of a memory pair */
    struct loop *loop;
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in, *out;
    struct owner raw, server;
};

static SSL_SESSION *caught;

static int catch_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(caught);
    caught = session;
    return 1;
}

static void bare_start(struct bare *b, struct loop *loop, struct tls_context *sc, int version, SSL_SESSION *session)
{
    b->loop = loop;
    b->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(b->ctx, version);
    SSL_CTX_set_session_cache_mode(b->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(b->ctx, catch_session);
    b->ssl = SSL_new(b->ctx);
    b->in = BIO_new(BIO_s_mem());
    b->out = BIO_new(BIO_s_mem());
    SSL_set_bio(b->ssl, b->in, b->out);
    SSL_set_connect_state(b->ssl);
    if (session != NULL) {
        SSL_set_session(b->ssl, session);
    }
    struct transport *c, *s;
    memory_transport_pair(loop, &c, &s);
    owner_init(&b->raw, c);
    owner_init(&b->server, tls_transport_server(s, sc));
}

/* Carries bytes between the bare client and the wire, once. */
static void bare_move(struct bare *b)
{
    char *p = NULL;
    long n = BIO_get_mem_data(b->out, &p);
    if (n > 0 && b->raw.t != NULL) {
        owner_say(&b->raw, p, (size_t)n);
        (void)BIO_reset(b->out);
    }
    loop_turn(b->loop, false);
    while (b->raw.got.len > 0) {
        struct slice piece = buf_front(&b->raw.got);
        BIO_write(b->in, piece.p, (int)piece.n);
        buf_drain(&b->raw.got, piece.n);
    }
}

static void bare_handshake(struct bare *b)
{
    for (unsigned i = 0; i < 20 && !(b->server.opened && SSL_is_init_finished(b->ssl)); i++) {
        SSL_do_handshake(b->ssl);
        bare_move(b);
    }
    assert_true(b->server.opened);
    owner_say_str(&b->server, "hi");
    char text[8];
    for (unsigned i = 0; i < 5; i++) { /* reading takes the tickets of TLS 1.3 in too */
        bare_move(b);
        if (SSL_read(b->ssl, text, sizeof text) == 2) {
            return;
        }
    }
    fail_msg("the server said nothing");
}

static void bare_end(struct bare *b)
{
    owner_fini(&b->raw);
    owner_fini(&b->server);
    loop_turn(b->loop, false);
    SSL_set_shutdown(b->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* else its session could not be used again */
    SSL_free(b->ssl);
    SSL_CTX_free(b->ctx);
}

static bool resumes(struct loop *loop, struct tls_context *sc, int version)
{
    struct bare b;
    bare_start(&b, loop, sc, version, caught);
    bare_handshake(&b);
    bool resumed = SSL_session_reused(b.ssl) == 1;
    assert_true(resumed == transport_info_tls(b.server.t->info)->resumed);
    bare_end(&b);
    return resumed;
}

static void a_session_is_resumed_only_under_the_context_that_gave_it(void **state)
{
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_context *a = server_context(&one, "seed"), *same = server_context(&one, "seed");
        struct tls_context *other = server_context(&two, "seed"), *rotated = server_context(&one, "new seed");
        struct tls_context *random = server_context(&one, "");
        struct tls_context *refusing[] = {other, rotated, random};
        for (size_t i = 0; i < ARRAY_LEN(refusing); i++) {
            struct bare b;
            bare_start(&b, *state, a, version, NULL);
            bare_handshake(&b);
            bare_end(&b);
            assert_non_null(caught);
            SSL_SESSION *kept = SSL_SESSION_dup(caught);
            assert_false(resumes(*state, refusing[i], version));
            SSL_SESSION_free(caught);
            caught = kept;
            assert_true(resumes(*state, same, version)); /* as another worker or replica has it */
            SSL_SESSION_free(caught);
            caught = NULL;
        }
        struct tls_context *all[] = {a, same, other, rotated, random};
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            tls_context_unref(&all[i]);
        }
    }
}

static time_t later; /* how far the clock that ticket keys go by runs ahead */

time_t __wrap_time(time_t *out);
time_t __wrap_time(time_t *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += later;
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

static void ticket_keys_change_by_themselves_and_those_of_the_period_before_still_open(void **state)
{
    enum { PERIOD_S = 12 * 3600 };
    struct tls_context *c = server_context(&one, "seed");
    struct bare b;
    later = 0;
    bare_start(&b, *state, c, TLS1_3_VERSION, NULL);
    bare_handshake(&b);
    bare_end(&b);
    SSL_SESSION *first = SSL_SESSION_dup(caught);
    later = PERIOD_S;
    assert_true(resumes(*state, c, TLS1_3_VERSION)); /* and catches a renewed one */
    SSL_SESSION *renewed = SSL_SESSION_dup(caught);
    later = 2 * PERIOD_S;
    SSL_SESSION_free(caught);
    caught = first;
    assert_false(resumes(*state, c, TLS1_3_VERSION));
    SSL_SESSION_free(caught);
    caught = renewed;
    assert_true(resumes(*state, c, TLS1_3_VERSION));
    later = 0;
    SSL_SESSION_free(caught);
    caught = NULL;
    tls_context_unref(&c);
}

static void a_flood_of_key_updates_is_cut(void **state)
{
    struct tls_context *sc = server_context(&one, "");
    struct bare b;
    bare_start(&b, *state, sc, TLS1_3_VERSION, NULL);
    bare_handshake(&b);
    b.raw.keep = true; /* asks, and never reads an answer */
    unsigned sent = 0;
    for (; sent < 20000 && !b.server.closed; sent++) {
        SSL_key_update(b.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(b.ssl);
        bare_move(&b);
    }
    assert_true(b.server.closed);
    assert_int_equal(b.server.why.kind, ERR_TLS);
    assert_non_null(strstr(b.server.why.text, "more answers than it reads"));
    assert_true(sent > 1000);
    bare_end(&b);
    tls_context_unref(&sc);
}

static void key_updates_of_a_peer_that_reads_are_fine(void **state)
{
    struct tls_context *sc = server_context(&one, "");
    struct bare b;
    bare_start(&b, *state, sc, TLS1_3_VERSION, NULL);
    bare_handshake(&b);
    for (unsigned i = 0; i < 6000; i++) {
        char c;
        SSL_key_update(b.ssl, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(b.ssl);
        bare_move(&b);
        SSL_read(b.ssl, &c, 1);
    }
    assert_false(b.server.closed);
    assert_int_equal(SSL_write(b.ssl, "ok", 2), 2);
    bare_move(&b);
    assert_true(owner_has(&b.server, "ok"));
    bare_end(&b);
    tls_context_unref(&sc);
}

static void renegotiation_is_refused(void **state)
{
    struct tls_context *sc = server_context(&one, "");
    struct bare b;
    bare_start(&b, *state, sc, TLS1_2_VERSION, NULL);
    bare_handshake(&b);
    SSL_renegotiate(b.ssl);
    int done = 0;
    for (unsigned i = 0; i < 10 && done != 1; i++) {
        done = SSL_do_handshake(b.ssl);
        bare_move(&b);
        if (done != 1 && SSL_get_error(b.ssl, done) == SSL_ERROR_SSL) {
            break;
        }
    }
    assert_false(done == 1 && SSL_num_renegotiations(b.ssl) == 0);
    assert_true(b.server.n_opened == 1);
    bare_end(&b);
    tls_context_unref(&sc);
}

static void every_flipped_bit_of_a_record_ends_the_connection(void **state)
{
    struct tls_context *sc = server_context(&one, "");
    for (unsigned bit = 0; bit < 8; bit++) {
        struct bare b;
        bare_start(&b, *state, sc, TLS1_3_VERSION, NULL);
        bare_handshake(&b);
        assert_int_equal(SSL_write(b.ssl, "payload", 7), 7);
        char *p = NULL;
        long n = BIO_get_mem_data(b.out, &p);
        p[n - 3] = (char)(p[n - 3] ^ (1 << bit));
        for (unsigned i = 0; i < 4; i++) {
            bare_move(&b);
        }
        assert_true(b.server.closed);
        assert_int_equal(b.server.got.len, 0);
        assert_int_equal(b.server.why.kind, ERR_TLS);
        bare_end(&b);
    }
    tls_context_unref(&sc);
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, given_loop, drop_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOOP(a_session_is_resumed_only_under_the_context_that_gave_it),
        ON_LOOP(ticket_keys_change_by_themselves_and_those_of_the_period_before_still_open),
        ON_LOOP(a_flood_of_key_updates_is_cut),
        ON_LOOP(key_updates_of_a_peer_that_reads_are_fine),
        ON_LOOP(renegotiation_is_refused),
        ON_LOOP(every_flipped_bit_of_a_record_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, given_certs, drop_certs);
}
