#include "tests/unit/proxy/net/net_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "proxy/net/tls.h"
#include "tests/unit/proxy/net/certs.h"

static struct test_cert ca, other_ca, leaf, client_leaf;

static int given_certs(void **state)
{
    (void)state;
    tls_use_pools();
    ca = cert_make((struct test_cert_wish){.name = "test ca", .is_ca = true});
    other_ca = cert_make((struct test_cert_wish){.name = "other ca", .is_ca = true});
    leaf = cert_make((struct test_cert_wish){
        .name = "leaf", .ca = &ca, .san = "DNS:good.example,DNS:*.wild.example,URI:spiffe://td/ns/a,IP:127.0.0.1"});
    client_leaf = cert_make((struct test_cert_wish){
        .name = "client", .ca = &ca, .san = "URI:spiffe://td/ns/client,DNS:client.example", .eku = "clientAuth"});
    return 0;
}

static int drop_certs(void **state)
{
    (void)state;
    cert_free(&ca);
    cert_free(&other_ca);
    cert_free(&leaf);
    cert_free(&client_leaf);
    return 0;
}

static struct tls_pem pem(const char *text, const char *name)
{
    return (struct tls_pem){slice_of(text), name};
}

static struct tls_config server_config(const struct test_cert *cert)
{
    return (struct tls_config){
        .server = true, .chain = pem(cert->chain_pem, "chain"), .key = pem(cert->key_pem, "key")};
}

static struct tls_config client_config(const char *sni)
{
    return (struct tls_config){.verify = true, .trusted_ca = pem(ca.chain_pem, "ca"), .sni = slice_of(sni)};
}

static struct tls_context *must(struct tls_config config)
{
    struct err err;
    struct tls_context *c = tls_context_create(&config, &err);
    if (c == NULL) {
        fail_msg("%s", err.text);
    }
    return c;
}

struct pair {
    struct loop *loop;
    struct tls_context *cc, *sc;
    struct transport *lower_client, *lower_server; /* borrowed */
    struct owner client, server;
};

static void pair_start(struct pair *p, struct loop *loop, struct tls_config client, struct tls_config server)
{
    memset(p, 0, sizeof *p);
    p->loop = loop;
    p->cc = must(client);
    p->sc = must(server);
    memory_transport_pair(loop, &p->lower_client, &p->lower_server);
    owner_init(&p->client, tls_transport_client(p->lower_client, p->cc, SLICE_NONE));
    owner_init(&p->server, tls_transport_server(p->lower_server, p->sc));
}

static void pair_end(struct pair *p)
{
    owner_fini(&p->client);
    owner_fini(&p->server);
    loop_turn(p->loop, false);
    tls_context_unref(&p->cc);
    tls_context_unref(&p->sc);
}

static bool both_open(const struct pair *p)
{
    return p->client.opened && p->server.opened;
}

static void a_handshake_opens_both_ends_and_says_who_is_there(void **state)
{
    struct pair p;
    struct slice client_alpn[] = {SLICE("h2"), SLICE("http/1.1")}, server_alpn[] = {SLICE("http/1.1")};
    struct tls_config cc = client_config("good.example"), sc = server_config(&leaf);
    cc.alpn = client_alpn;
    cc.n_alpn = 2;
    sc.alpn = server_alpn;
    sc.n_alpn = 1;
    pair_start(&p, *state, cc, sc);
    RUN_UNTIL(*state, both_open(&p));
    const struct transport_tls *ci = p.client.t->info->tls, *si = p.server.t->info->tls;
    assert_true(ci != NULL && ci->peer_cert);
    assert_true(slice_eq(ci->version, SLICE("1.3")));
    assert_true(slice_eq(ci->alpn, SLICE("http/1.1")));
    assert_true(slice_eq(si->alpn, SLICE("http/1.1")));
    assert_true(slice_eq(si->sni, SLICE("good.example")));
    assert_true(slice_eq(ci->peer_uri_san, SLICE("spiffe://td/ns/a")));
    assert_true(slice_eq(ci->peer_dns_san, SLICE("good.example")));
    assert_true(slice_eq(ci->peer_subject, SLICE("CN=leaf")));
    assert_false(si->peer_cert);
    owner_say_str(&p.client, "ping");
    RUN_UNTIL(*state, owner_has(&p.server, "ping"));
    owner_say_str(&p.server, "pong");
    RUN_UNTIL(*state, owner_has(&p.client, "pong"));
    assert_int_equal(p.client.n_opened, 1);
    pair_end(&p);
}

static void bytes_written_before_the_handshake_follow_it(void **state)
{
    struct pair p;
    pair_start(&p, *state, client_config("good.example"), server_config(&leaf));
    owner_say_str(&p.client, "early ");
    owner_say_str(&p.client, "bird");
    RUN_UNTIL(*state, owner_has(&p.server, "early bird"));
    pair_end(&p);
}

static void every_size_of_delivery_works(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 11, 64, 255, 517, 1000, 4096};
    for (int version = 0x0303; version <= 0x0304; version++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            struct pair p;
            struct tls_config cc = client_config("good.example");
            cc.max_version = version;
            pair_start(&p, *state, cc, server_config(&leaf));
            p.lower_client->in_limit = p.lower_server->in_limit = sizes[i];
            owner_say_str(&p.client, "question");
            RUN_UNTIL(*state, owner_has(&p.server, "question"));
            owner_say_str(&p.server, "answer");
            transport_finish(p.server.t);
            RUN_UNTIL(*state, p.client.eof);
            assert_true(owner_has(&p.client, "answer"));
            assert_false(p.client.t->in_truncated);
            assert_true(slice_eq(transport_info_tls(p.client.t->info)->version, version == 0x0303 ? SLICE("1.2") : SLICE("1.3")));
            pair_end(&p);
        }
    }
}

static void expect_refusal(void **state, struct tls_config cc, struct tls_config sc, const char *words)
{
    struct pair p;
    pair_start(&p, *state, cc, sc);
    owner_say_str(&p.client, "secret");
    RUN_UNTIL(*state, p.client.closed && p.server.closed);
    assert_int_equal(p.client.why.kind, ERR_TLS);
    assert_int_equal(p.client.why.retry, ERR_RETRY_ALWAYS);
    if (strstr(p.client.why.text, words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", p.client.why.text, words);
    }
    assert_int_equal(p.server.got.len, 0);
    assert_int_equal(p.client.n_opened, 0);
    pair_end(&p);
}

static void an_unknown_ca_is_refused(void **state)
{
    struct tls_config cc = client_config("good.example");
    cc.trusted_ca = pem(other_ca.chain_pem, "other");
    expect_refusal(state, cc, server_config(&leaf), "unable to get local issuer certificate");
}

static void another_host_name_is_refused(void **state)
{
    expect_refusal(state, client_config("bad.example"), server_config(&leaf), "hostname mismatch");
    expect_refusal(state, client_config("leaf"), server_config(&leaf), "hostname mismatch"); /* the common name */
    expect_refusal(state, client_config("a.b.wild.example"), server_config(&leaf), "hostname mismatch");
    expect_refusal(state, client_config("127.0.0.2"), server_config(&leaf), "IP address mismatch");
}

static void an_expired_or_future_certificate_is_refused(void **state)
{
    struct test_cert old = cert_make(
        (struct test_cert_wish){.name = "x", .ca = &ca, .san = "DNS:good.example", .from_s = -7200, .to_s = -3600});
    expect_refusal(state, client_config("good.example"), server_config(&old), "certificate has expired");
    cert_free(&old);
    struct test_cert young = cert_make(
        (struct test_cert_wish){.name = "x", .ca = &ca, .san = "DNS:good.example", .from_s = 3600, .to_s = 7200});
    expect_refusal(state, client_config("good.example"), server_config(&young), "not yet valid");
    cert_free(&young);
}

static void a_certificate_for_clients_does_not_make_a_server(void **state)
{
    expect_refusal(state, client_config("client.example"), server_config(&client_leaf), "certificate purpose");
}

static void a_nul_in_a_name_fools_nobody(void **state)
{
    static const char name[] = "good.example\0.evil.example";
    struct test_cert evil = cert_make(
        (struct test_cert_wish){.name = "good.example", .ca = &ca, .raw_dns_san = name, .raw_n = sizeof name - 1});
    expect_refusal(state, client_config("good.example"), server_config(&evil), "hostname mismatch");
    struct tls_config cc = client_config("good.example");
    struct tls_san_match sans[] = {{TLS_SAN_DNS, TLS_MATCH_EXACT, SLICE("good.example"), false},
                                   {TLS_SAN_ANY, TLS_MATCH_PREFIX, SLICE("good"), false}};
    cc.sans = sans;
    cc.n_sans = 2;
    expect_refusal(state, cc, server_config(&evil), "hostname mismatch");
    cert_free(&evil);
}

static void san_rules_decide_instead_of_the_server_name(void **state)
{
    static const struct {
        struct tls_san_match rule;
        bool fits;
    } cases[] = {
        {{TLS_SAN_URI, TLS_MATCH_EXACT, {"spiffe://td/ns/a", 16}, false}, true},
        {{TLS_SAN_URI, TLS_MATCH_EXACT, {"spiffe://td/ns/ab", 17}, false}, false},
        {{TLS_SAN_URI, TLS_MATCH_EXACT, {"spiffe://td/ns/", 15}, false}, false},
        {{TLS_SAN_URI, TLS_MATCH_EXACT, {"SPIFFE://td/ns/a", 16}, false}, false},
        {{TLS_SAN_URI, TLS_MATCH_EXACT, {"SPIFFE://td/ns/a", 16}, true}, true},
        {{TLS_SAN_URI, TLS_MATCH_PREFIX, {"spiffe://td/", 12}, false}, true},
        {{TLS_SAN_URI, TLS_MATCH_SUFFIX, {"/a", 2}, false}, true},
        {{TLS_SAN_URI, TLS_MATCH_CONTAINS, {"/ns/", 4}, false}, true},
        {{TLS_SAN_URI, TLS_MATCH_CONTAINS, {"/nx/", 4}, false}, false},
        {{TLS_SAN_DNS, TLS_MATCH_EXACT, {"GOOD.example", 12}, false}, true},
        {{TLS_SAN_DNS, TLS_MATCH_EXACT, {"x.wild.example", 14}, false}, true},
        {{TLS_SAN_DNS, TLS_MATCH_EXACT, {"x.y.wild.example", 16}, false}, false},
        {{TLS_SAN_DNS, TLS_MATCH_EXACT, {".wild.example", 13}, false}, false},
        {{TLS_SAN_DNS, TLS_MATCH_EXACT, {"wild.example", 12}, false}, false},
        {{TLS_SAN_DNS, TLS_MATCH_EXACT, {"spiffe://td/ns/a", 16}, false}, false},
        {{TLS_SAN_IP, TLS_MATCH_EXACT, {"127.0.0.1", 9}, false}, true},
        {{TLS_SAN_IP, TLS_MATCH_EXACT, {"127.0.0.2", 9}, false}, false},
        {{TLS_SAN_IP, TLS_MATCH_PREFIX, {"127.", 4}, false}, true},
        {{TLS_SAN_ANY, TLS_MATCH_EXACT, {"good.example", 12}, false}, true},
        {{TLS_SAN_EMAIL, TLS_MATCH_EXACT, {"good.example", 12}, false}, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_config cc = client_config("whatever.example");
        cc.sans = &cases[i].rule;
        cc.n_sans = 1;
        struct pair p;
        pair_start(&p, *state, cc, server_config(&leaf));
        RUN_UNTIL(*state, p.client.opened || p.client.closed);
        if (p.client.opened != cases[i].fits) {
            fail_msg("case %zu", i);
        }
        pair_end(&p);
    }
}

static void pins_are_checked_besides_the_chain(void **state)
{
    struct tls_pin pin = {.spki = false};
    X509_digest(leaf.x, EVP_sha256(), pin.sha256, NULL);
    struct tls_config cc = client_config("good.example");
    cc.pins = &pin;
    cc.n_pins = 1;
    struct pair p;
    pair_start(&p, *state, cc, server_config(&leaf));
    RUN_UNTIL(*state, both_open(&p));
    pair_end(&p);
    pin.sha256[3] ^= 1;
    expect_refusal(state, cc, server_config(&leaf), "rejected");
}

static void verification_without_any_name_is_refused(void **state)
{
    expect_refusal(state, client_config(""), server_config(&leaf), "neither a server name");
}

static void without_verification_any_certificate_will_do(void **state)
{
    struct test_cert self = cert_make((struct test_cert_wish){.name = "self"});
    struct pair p;
    pair_start(&p, *state, (struct tls_config){.verify = false}, server_config(&self));
    RUN_UNTIL(*state, both_open(&p));
    assert_false(transport_info_tls(p.client.t->info)->peer_cert);
    pair_end(&p);
    cert_free(&self);
}

static void a_client_certificate_is_verified_and_named(void **state)
{
    struct tls_config cc = client_config("good.example"), sc = server_config(&leaf);
    cc.chain = pem(client_leaf.chain_pem, "chain");
    cc.key = pem(client_leaf.key_pem, "key");
    sc.trusted_ca = pem(ca.chain_pem, "ca");
    sc.require_client_cert = true;
    struct pair p;
    pair_start(&p, *state, cc, sc);
    RUN_UNTIL(*state, both_open(&p));
    assert_true(transport_info_tls(p.server.t->info)->peer_cert);
    assert_true(slice_eq(transport_info_tls(p.server.t->info)->peer_uri_san, SLICE("spiffe://td/ns/client")));
    pair_end(&p);

    struct tls_san_match rule = {TLS_SAN_URI, TLS_MATCH_EXACT, SLICE("spiffe://td/ns/other"), false};
    sc.sans = &rule;
    sc.n_sans = 1;
    pair_start(&p, *state, cc, sc);
    RUN_UNTIL(*state, p.server.closed && p.client.closed);
    assert_non_null(strstr(p.server.why.text, "hostname mismatch"));
    pair_end(&p);
}

static void an_absent_client_certificate_is_refused_where_required(void **state)
{
    for (int version = 0x0303; version <= 0x0304; version++) {
        struct tls_config cc = client_config("good.example"), sc = server_config(&leaf);
        cc.max_version = version;
        sc.trusted_ca = pem(ca.chain_pem, "ca");
        sc.require_client_cert = true;
        struct pair p;
        pair_start(&p, *state, cc, sc);
        RUN_UNTIL(*state, p.server.closed && p.client.closed);
        assert_false(p.server.opened);
        assert_non_null(strstr(p.server.why.text, "peer did not return a certificate"));
        assert_int_equal(p.client.why.kind, ERR_TLS);
        assert_non_null(strstr(p.client.why.text, "alert"));
        pair_end(&p);

        sc.require_client_cert = false; /* asked for, but optional */
        pair_start(&p, *state, cc, sc);
        RUN_UNTIL(*state, both_open(&p));
        assert_false(transport_info_tls(p.server.t->info)->peer_cert);
        pair_end(&p);
    }
}

static void versions_that_do_not_meet_fail_cleanly(void **state)
{
    struct tls_config cc = client_config("good.example"), sc = server_config(&leaf);
    cc.max_version = 0x0303;
    sc.min_version = 0x0304;
    expect_refusal(state, cc, sc, "alert protocol version");
}

static void tls_runs_in_tls_in_tls(void **state)
{
    struct pair p;
    pair_start(&p, *state, client_config("good.example"), server_config(&leaf));
    struct tls_context *cc = must(client_config("good.example")), *sc = must(server_config(&leaf));
    for (unsigned i = 0; i < 2; i++) { /* stacked before the lower one is open */
        struct transport *c = p.client.t, *s = p.server.t;
        owner_init(&p.client, tls_transport_client(c, cc, SLICE_NONE));
        owner_init(&p.server, tls_transport_server(s, sc));
    }
    assert_int_equal(p.client.t->level, 3);
    static char block[300000];
    memset(block, 'q', sizeof block);
    owner_say(&p.client, block, sizeof block);
    transport_finish(p.client.t);
    RUN_UNTIL(*state, p.server.eof);
    assert_int_equal(p.server.got.len, sizeof block);
    assert_false(p.server.t->in_truncated);
    owner_say_str(&p.server, "ok");
    transport_finish(p.server.t);
    RUN_UNTIL(*state, p.client.closed && p.server.closed);
    assert_true(owner_has(&p.client, "ok"));
    assert_int_equal(p.client.why.kind, ERR_NONE);
    assert_int_equal(p.server.why.kind, ERR_NONE);
    pair_end(&p);
    tls_context_unref(&cc);
    tls_context_unref(&sc);
}

enum { BIG = 10 << 20 };

struct producer {
    struct owner *o;
    size_t made, most_queued;
};

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i * 31 >> 5);
}

static void produce(struct owner *o)
{
    struct producer *pr = o->arg;
    static unsigned char block[7001];
    while (pr->made < BIG && transport_queued(o->t) < o->t->out_high) {
        size_t n = BIG - pr->made < sizeof block ? BIG - pr->made : sizeof block;
        for (size_t i = 0; i < n; i++) {
            block[i] = byte_at(pr->made + i);
        }
        owner_say(o, block, n);
        pr->made += n;
        if (transport_queued(o->t) > pr->most_queued) {
            pr->most_queued = transport_queued(o->t);
        }
        if (pr->made == BIG) {
            transport_finish(o->t);
        }
    }
}

static void check_and_drop(struct owner *o)
{
    struct slice piece;
    size_t *seen = &((struct producer *)o->arg)[1].made;
    while ((piece = buf_front(&o->got)).n > 0) {
        for (size_t i = 0; i < piece.n; i++) {
            if ((unsigned char)piece.p[i] != byte_at(*seen + i)) {
                fail_msg("byte %zu differs", *seen + i);
            }
        }
        *seen += piece.n;
        buf_drain(&o->got, piece.n);
    }
}

static void ten_megabytes_each_way_arrive_under_back_pressure(void **state)
{
    struct pair p;
    pair_start(&p, *state, client_config("good.example"), server_config(&leaf));
    struct producer a[2] = {{.o = &p.client}}, b[2] = {{.o = &p.server}};
    p.client.arg = a;
    p.server.arg = b;
    p.client.when_writable = p.server.when_writable = produce;
    p.client.then = p.server.then = check_and_drop;
    RUN_UNTIL(*state, both_open(&p));
    produce(&p.client);
    produce(&p.server);
    RUN_UNTIL(*state, p.client.closed && p.server.closed);
    assert_int_equal(a[1].made, BIG);
    assert_int_equal(b[1].made, BIG);
    assert_true(a[0].most_queued < TRANSPORT_OUT_HIGH + 8192);
    assert_true(p.client.n_writable > 10);
    assert_int_equal(p.client.why.kind, ERR_NONE);
    pair_end(&p);
}

static void an_owner_that_takes_nothing_stops_the_peer(void **state)
{
    struct pair p;
    pair_start(&p, *state, client_config("good.example"), server_config(&leaf));
    RUN_UNTIL(*state, both_open(&p));
    p.server.keep = true;
    static char block[1 << 20];
    owner_say(&p.client, block, sizeof block);
    run_for_ms(*state, 30);
    assert_true(p.server.t->in.len >= TRANSPORT_IN_LIMIT);
    assert_true(p.server.t->in.len <= TRANSPORT_IN_LIMIT + (16 << 10));
    assert_true(transport_queued(p.client.t) > sizeof block / 2);
    unsigned told = p.server.n_readable;
    run_for_ms(*state, 5);
    assert_int_equal(p.server.n_readable, told);
    p.server.keep = false;
    owner_on_readable(&p.server);
    RUN_UNTIL(*state, p.server.got.len == sizeof block);
    pair_end(&p);
}

static void half_close_leaves_the_other_direction_open(void **state)
{
    struct pair p;
    pair_start(&p, *state, client_config("good.example"), server_config(&leaf));
    owner_say_str(&p.client, "all I have");
    transport_finish(p.client.t);
    RUN_UNTIL(*state, p.server.eof);
    assert_true(owner_has(&p.server, "all I have"));
    assert_false(p.server.t->in_truncated);
    for (unsigned i = 0; i < 3; i++) {
        owner_say_str(&p.server, "still talking ");
        run_for_ms(*state, 2);
    }
    assert_int_equal(p.client.got.len, 3 * 14);
    assert_false(p.client.closed);
    transport_finish(p.server.t);
    RUN_UNTIL(*state, p.client.closed && p.server.closed);
    assert_int_equal(p.client.why.kind, ERR_NONE);
    pair_end(&p);
}

static void an_end_without_close_notify_is_marked(void **state)
{
    struct pair p;
    pair_start(&p, *state, client_config("good.example"), server_config(&leaf));
    RUN_UNTIL(*state, both_open(&p));
    owner_say_str(&p.server, "part");
    RUN_UNTIL(*state, owner_has(&p.client, "part"));
    transport_finish(p.lower_server); /* as a peer that just closes its socket */
    RUN_UNTIL(*state, p.client.eof);
    assert_true(p.client.t->in_truncated);
    pair_end(&p);
}

static void a_reset_below_is_told_above(void **state)
{
    struct pair p;
    pair_start(&p, *state, client_config("good.example"), server_config(&leaf));
    RUN_UNTIL(*state, both_open(&p));
    transport_close(&p.server.t, TRANSPORT_ABORT);
    RUN_UNTIL(*state, p.client.closed);
    assert_int_equal(p.client.why.kind, ERR_RESET);
    pair_end(&p);
}

static void a_peer_that_leaves_during_the_handshake_is_a_tls_failure(void **state)
{
    struct loop *loop = *state;
    struct tls_context *cc = must(client_config("good.example"));
    struct transport *a, *b;
    memory_transport_pair(loop, &a, &b);
    struct owner client, raw;
    owner_init(&client, tls_transport_client(a, cc, SLICE_NONE));
    owner_init(&raw, b);
    RUN_UNTIL(loop, raw.got.len > 0);
    assert_int_equal(buf_front(&raw.got).p[0], 22);
    transport_close(&raw.t, TRANSPORT_FLUSH);
    RUN_UNTIL(loop, client.closed);
    assert_int_equal(client.why.kind, ERR_TLS);
    assert_int_equal(client.why.retry, ERR_RETRY_ALWAYS);
    assert_non_null(strstr(client.why.text, "closed during the handshake"));
    owner_fini(&client);
    owner_fini(&raw);
    loop_turn(loop, false);
    tls_context_unref(&cc);
}

static void plain_text_is_no_handshake(void **state)
{
    struct loop *loop = *state;
    struct tls_context *sc = must(server_config(&leaf));
    struct transport *a, *b;
    memory_transport_pair(loop, &a, &b);
    struct owner server, raw;
    owner_init(&server, tls_transport_server(a, sc));
    owner_init(&raw, b);
    owner_say_str(&raw, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    RUN_UNTIL(loop, server.closed);
    assert_int_equal(server.why.kind, ERR_TLS);
    assert_non_null(strstr(server.why.text, "http request"));
    owner_fini(&server);
    owner_fini(&raw);
    loop_turn(loop, false);
    tls_context_unref(&sc);
}

static void an_owner_may_close_inside_any_call(void **state)
{
    for (unsigned turn = 0; turn < 12; turn++) {
        struct pair p;
        pair_start(&p, *state, client_config("good.example"), server_config(&leaf));
        owner_say_str(&p.client, "x");
        for (unsigned i = 0; i < turn; i++) {
            loop_turn(*state, false);
        }
        transport_close(&p.client.t, turn % 2 ? TRANSPORT_FLUSH : TRANSPORT_ABORT);
        RUN_UNTIL(*state, p.server.closed || p.server.eof);
        pair_end(&p);
    }
}

static void bad_configurations_are_refused_with_words(void **state)
{
    (void)state;
    struct err err;
    struct tls_config c = server_config(&leaf);
    c.key = pem(client_leaf.key_pem, "wrong.key");
    assert_null(tls_context_create(&c, &err));
    assert_string_equal(err.text, "wrong.key: is not the key of the certificate");
    c = server_config(&leaf);
    c.chain = pem("garbage", "bad.pem");
    assert_null(tls_context_create(&c, &err));
    assert_non_null(strstr(err.text, "bad.pem"));
    c = (struct tls_config){.server = true};
    assert_null(tls_context_create(&c, &err));
    c = server_config(&leaf);
    c.key = (struct tls_pem){SLICE_NONE, "key"};
    assert_null(tls_context_create(&c, &err));
    c = (struct tls_config){.verify = true};
    assert_null(tls_context_create(&c, &err));
    assert_non_null(strstr(err.text, "no trusted CA"));
    c = client_config("x");
    c.trusted_ca = pem(leaf.key_pem, "ca.pem");
    assert_null(tls_context_create(&c, &err));
    assert_non_null(strstr(err.text, "ca.pem: no certificate in it"));
    c = client_config("x");
    c.ciphers = SLICE("NO-SUCH-CIPHER");
    assert_null(tls_context_create(&c, &err));
    assert_non_null(strstr(err.text, "cipher_suites"));
    c = client_config("x");
    c.curves = SLICE("no-such-curve");
    assert_null(tls_context_create(&c, &err));
    c = client_config("x");
    c.min_version = 0x0301;
    assert_null(tls_context_create(&c, &err));
    c = server_config(&leaf);
    c.require_client_cert = true;
    assert_null(tls_context_create(&c, &err));
}

static void equal_content_gives_an_equal_hash(void **state)
{
    (void)state;
    struct tls_context *a = must(client_config("good.example")), *b = must(client_config("good.example"));
    struct tls_context *c = must(client_config("other.example"));
    assert_true(slice_eq(tls_context_hash(a), tls_context_hash(b)));
    assert_false(slice_eq(tls_context_hash(a), tls_context_hash(c)));
    tls_context_unref(&a);
    tls_context_unref(&b);
    tls_context_unref(&c);
    struct tls_context *s = must(server_config(&leaf));
    char *text = tls_context_describe(s);
    assert_non_null(strstr(text, "\"subject\":\"CN=leaf\""));
    assert_non_null(strstr(text, "{\"dns\":\"good.example\"}"));
    assert_non_null(strstr(text, "{\"ip_address\":\"127.0.0.1\"}"));
    assert_non_null(strstr(text, "\"expiration_time\":\"20"));
    assert_null(strstr(text, "PRIVATE"));
    mem_free(text);
    tls_context_unref(&s);
}

/* Our server and client against the openssl program, over real sockets. */
static char *temp_file(const char *folder, const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    return path;
}

static pid_t run_openssl(char **argv, int *to, int *from)
{
    int in[2], out[2];
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2);
        close(in[1]);
        close(out[0]);
        execvp("openssl", argv);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    *to = in[1];
    *from = out[0];
    return pid;
}

static int loopback_listener(struct addr *at)
{
    addr_parse(at, SLICE("127.0.0.1"), 0, NULL);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &at->sa, at->len), 0);
    listen(fd, 4);
    getsockname(fd, &at->sa, &at->len);
    return fd;
}

static bool has_openssl(void)
{
    return access("/usr/bin/openssl", X_OK) == 0;
}

static int reap(struct loop *loop, pid_t pid)
{
    int status = 0;
    pid_t gone = 0;
    RUN_UNTIL(loop, gone == pid || (gone = waitpid(pid, &status, WNOHANG)) == pid);
    return status;
}

static void read_into(int fd, char *text, size_t cap)
{
    size_t n = strlen(text);
    ssize_t got = read(fd, text + n, cap - n - 1);
    if (got > 0) {
        text[n + (size_t)got] = '\0';
    }
}

static void s_client_talks_to_our_server(void **state)
{
    if (!has_openssl()) {
        print_message("SKIPPED: no openssl program\n");
        skip();
    }
    struct loop *loop = *state;
    char folder[] = "/tmp/egret-tls-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *ca_file = temp_file(folder, "ca.pem", ca.chain_pem);
    struct addr at;
    int listener = loopback_listener(&at);
    char target[ADDR_TEXT];
    addr_text(&at, target);
    char *argv[] = {"openssl",     "s_client",     "-connect", target, "-CAfile", ca_file, "-verify_return_error",
                    "-servername", "good.example", "-alpn",    "h2",   "-quiet",  NULL};
    int to, from;
    pid_t pid = run_openssl(argv, &to, &from);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct slice alpn[] = {SLICE("h2")};
    struct tls_config sc = server_config(&leaf);
    sc.alpn = alpn;
    sc.n_alpn = 1;
    struct tls_context *context = must(sc);
    struct owner server;
    owner_init(&server, tls_transport_server(socket_transport_create(loop, fd, &at), context));
    RUN_UNTIL(loop, server.opened);
    assert_true(slice_eq(transport_info_tls(server.t->info)->alpn, SLICE("h2")));
    assert_true(slice_eq(transport_info_tls(server.t->info)->sni, SLICE("good.example")));
    assert_int_equal(write(to, "hello\n", 6), 6);
    RUN_UNTIL(loop, owner_has(&server, "hello\n"));
    owner_say_str(&server, "welcome\n");
    char text[64] = "";
    RUN_UNTIL(loop, (read_into(from, text, sizeof text), strstr(text, "welcome") != NULL));
    transport_close(&server.t, TRANSPORT_FLUSH);
    assert_int_equal(WEXITSTATUS(reap(loop, pid)), 0);
    owner_fini(&server);
    loop_turn(loop, false);
    tls_context_unref(&context);
    close(to);
    close(from);
    close(listener);
    unlink(ca_file);
    rmdir(folder);
    mem_free(ca_file);
}

static void our_client_talks_to_s_server(void **state)
{
    if (!has_openssl()) {
        print_message("SKIPPED: no openssl program\n");
        skip();
    }
    struct loop *loop = *state;
    char folder[] = "/tmp/egret-tls-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char *cert_file = temp_file(folder, "cert.pem", leaf.chain_pem),
         *key_file = temp_file(folder, "key.pem", leaf.key_pem);
    char *ca_file = temp_file(folder, "ca.pem", ca.chain_pem);
    struct addr at;
    close(loopback_listener(&at)); /* a free port */
    char target[ADDR_TEXT];
    addr_text(&at, target);
    char *argv[] = {"openssl",
                    "s_server",
                    "-accept",
                    target,
                    "-cert",
                    cert_file,
                    "-key",
                    key_file,
                    "-CAfile",
                    ca_file,
                    "-Verify",
                    "2",
                    "-verify_return_error",
                    "-quiet",
                    "-naccept",
                    "1",
                    NULL};
    int to, from;
    pid_t pid = run_openssl(argv, &to, &from);
    struct tls_config cc = client_config("x.wild.example");
    cc.chain = pem(client_leaf.chain_pem, "chain");
    cc.key = pem(client_leaf.key_pem, "key");
    struct tls_context *context = must(cc);
    struct dial_tcp how = {.remote = at, .connect_timeout_ms = 1000};
    struct owner client;
    memset(&client, 0, sizeof client);
    for (unsigned i = 0; i < 100 && !client.opened; i++) { /* until it listens */
        owner_init(&client, tls_transport_client(socket_transport_dial(loop, &how), context, SLICE_NONE));
        RUN_UNTIL(loop, client.opened || client.closed);
        if (client.closed) {
            assert_int_equal(client.why.os_errno, ECONNREFUSED);
            usleep(20000);
        }
    }
    assert_true(client.opened);
    owner_say_str(&client, "ping\n");
    char text[64] = "";
    RUN_UNTIL(loop, (read_into(from, text, sizeof text), strstr(text, "ping") != NULL));
    assert_int_equal(write(to, "pong\n", 5), 5);
    RUN_UNTIL(loop, owner_has(&client, "pong\n"));
    transport_close(&client.t, TRANSPORT_FLUSH);
    run_for_ms(loop, 20);
    close(to);
    kill(pid, SIGTERM);
    reap(loop, pid);
    owner_fini(&client);
    loop_turn(loop, false);
    tls_context_unref(&context);
    close(from);
    char *files[] = {cert_file, key_file, ca_file};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        unlink(files[i]);
        mem_free(files[i]);
    }
    rmdir(folder);
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, given_loop, drop_loop)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        ON_LOOP(a_handshake_opens_both_ends_and_says_who_is_there),
        ON_LOOP(bytes_written_before_the_handshake_follow_it),
        ON_LOOP(every_size_of_delivery_works),
        ON_LOOP(an_unknown_ca_is_refused),
        ON_LOOP(another_host_name_is_refused),
        ON_LOOP(an_expired_or_future_certificate_is_refused),
        ON_LOOP(a_certificate_for_clients_does_not_make_a_server),
        ON_LOOP(a_nul_in_a_name_fools_nobody),
        ON_LOOP(san_rules_decide_instead_of_the_server_name),
        ON_LOOP(pins_are_checked_besides_the_chain),
        ON_LOOP(verification_without_any_name_is_refused),
        ON_LOOP(without_verification_any_certificate_will_do),
        ON_LOOP(a_client_certificate_is_verified_and_named),
        ON_LOOP(an_absent_client_certificate_is_refused_where_required),
        ON_LOOP(versions_that_do_not_meet_fail_cleanly),
        ON_LOOP(tls_runs_in_tls_in_tls),
        ON_LOOP(ten_megabytes_each_way_arrive_under_back_pressure),
        ON_LOOP(an_owner_that_takes_nothing_stops_the_peer),
        ON_LOOP(half_close_leaves_the_other_direction_open),
        ON_LOOP(an_end_without_close_notify_is_marked),
        ON_LOOP(a_reset_below_is_told_above),
        ON_LOOP(a_peer_that_leaves_during_the_handshake_is_a_tls_failure),
        ON_LOOP(plain_text_is_no_handshake),
        ON_LOOP(an_owner_may_close_inside_any_call),
        cmocka_unit_test(bad_configurations_are_refused_with_words),
        cmocka_unit_test(equal_content_gives_an_equal_hash),
        ON_LOOP(s_client_talks_to_our_server),
        ON_LOOP(our_client_talks_to_s_server),
    };
    return cmocka_run_group_tests(tests, given_certs, drop_certs);
}
