/* Which filter chain a connection gets; the index and the graveyard below the snapshot. */
#include "fixture.h"
#include "proxy/config/index.h"
#include "proxy/config/grave.h"

enum { MAX = 6 };

struct row {
    const char *name;
    const char *match[MAX]; /* filter_chain_match of each chain; "-": none given */
    const char *local, *remote;
    uint16_t local_port, remote_port;
    const char *sni, *transport, *alpn;
    int wants; /* index; -1: the default chain */
};

static const struct row rows[] = {
    {"no condition", {"{}"}, "10.0.0.1", "10.0.0.9", 80, 999, "", "", "", 0},
    {"port first", {"{ destination_port: 80 }", "{ server_names: [a.test] }"}, "10.0.0.1", "10.0.0.9", 80, 999, "a.test", "tls", "", 0},
    {"no way back from the port", {"{ destination_port: 80, server_names: [b.test] }", "{ server_names: [a.test] }"}, "10.0.0.1", "10.0.0.9", 80, 999, "a.test", "tls", "", -1},
    {"longest destination prefix", {"{ prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ] }", "{ prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 24 } ] }", "{}"}, "10.0.0.1", "1.1.1.1", 80, 1, "", "", "", 1},
    {"destination outside", {"{ prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ] }", "{}"}, "11.0.0.1", "1.1.1.1", 80, 1, "", "", "", 1},
    {"a mapped address is its IPv4 one", {"{ prefix_ranges: [ { address_prefix: 10.0.0.0, prefix_len: 8 } ] }"}, "::ffff:10.2.3.4", "::1", 80, 1, "", "", "", 0},
    {"exact name before wildcard", {"{ server_names: [\"*.x.test\"] }", "{ server_names: [a.x.test] }", "{}"}, "1.1.1.1", "2.2.2.2", 1, 1, "A.x.test", "tls", "", 1},
    {"longest wildcard", {"{ server_names: [\"*.test\"] }", "{ server_names: [\"*.x.test\"] }"}, "1.1.1.1", "2.2.2.2", 1, 1, "b.x.test", "tls", "", 1},
    {"a wildcard needs a label", {"{ server_names: [\"*.x.test\"] }", "{}"}, "1.1.1.1", "2.2.2.2", 1, 1, "x.test", "tls", "", 1},
    {"no name", {"{ server_names: [a.test] }"}, "1.1.1.1", "2.2.2.2", 1, 1, "", "raw_buffer", "", -1},
    {"transport", {"{ transport_protocol: tls }", "{ transport_protocol: raw_buffer }"}, "1.1.1.1", "2.2.2.2", 1, 1, "", "", "", 1},
    {"first ALPN of the client", {"{ application_protocols: [http/1.1] }", "{ application_protocols: [h2] }"}, "1.1.1.1", "2.2.2.2", 1, 1, "", "tls", "h2,http/1.1", 1},
    {"ALPN that nobody names", {"{ application_protocols: [h2] }", "{}"}, "1.1.1.1", "2.2.2.2", 1, 1, "", "tls", "x", 1},
    {"direct source before source", {"{ direct_source_prefix_ranges: [ { address_prefix: 2.0.0.0, prefix_len: 8 } ] }", "{ source_prefix_ranges: [ { address_prefix: 2.2.2.2, prefix_len: 32 } ] }"}, "1.1.1.1", "2.2.2.2", 1, 1, "", "", "", 0},
    {"source type local", {"{ source_type: SAME_IP_OR_LOOPBACK }", "{ source_type: EXTERNAL }"}, "1.1.1.1", "127.0.0.1", 1, 1, "", "", "", 0},
    {"source type same address", {"{ source_type: SAME_IP_OR_LOOPBACK }", "{}"}, "1.1.1.1", "1.1.1.1", 1, 1, "", "", "", 0},
    {"source type external", {"{ source_type: SAME_IP_OR_LOOPBACK }", "{ source_type: EXTERNAL }"}, "1.1.1.1", "2.2.2.2", 1, 1, "", "", "", 1},
    {"source address", {"{ source_prefix_ranges: [ { address_prefix: 2.2.0.0, prefix_len: 16 } ] }", "{ source_prefix_ranges: [ { address_prefix: 2.2.2.0, prefix_len: 23 } ] }"}, "1.1.1.1", "2.2.3.2", 1, 1, "", "", "", 1},
    {"source port", {"{ source_ports: [5, 6] }", "{}"}, "1.1.1.1", "2.2.2.2", 1, 6, "", "", "", 0},
    {"another source port", {"{ source_ports: [5, 6] }", "{}"}, "1.1.1.1", "2.2.2.2", 1, 7, "", "", "", 1},
    {"IPv6", {"{ prefix_ranges: [ { address_prefix: \"fd00::\", prefix_len: 9 } ] }", "{}"}, "fd7f::1", "::1", 1, 1, "", "", "", 0},
};

static struct config_bootstrap *load(const struct row *r, const struct extension_registry *registry, struct err *err)
{
    char *yaml = mem_str("static_resources: { listeners: [ { name: l, address: { socket_address: { address: 127.0.0.1, port_value: 1 } }, "
                         "default_filter_chain: { name: last }, filter_chains: [");
    for (int i = 0; i < MAX && r->match[i] != NULL; i++) {
        char *more = mem_printf("%s%s { name: \"%d\", filter_chain_match: %s }", yaml, i == 0 ? "" : ",", i, r->match[i]);
        mem_free(yaml);
        yaml = more;
    }
    char *all = mem_printf("%s ] } ] }", yaml);
    struct config_bootstrap *b = fixture_load(registry, all, err);
    mem_free(yaml);
    mem_free(all);
    return b;
}

static const struct chain_conf *choose(const struct row *r, const struct listener_conf *l)
{
    struct addr local, remote;
    struct slice alpns[4], rest = slice_of(r->alpn);
    size_t n = 0;
    assert_true(addr_parse(&local, slice_of(r->local), r->local_port, NULL));
    assert_true(addr_parse(&remote, slice_of(r->remote), r->remote_port, NULL));
    while (rest.n > 0) {
        alpns[n++] = slice_cut(&rest, ',');
    }
    struct chain_query q = {.local = &local, .remote = &remote, .sni = slice_of(r->sni),
                            .transport_protocol = slice_of(r->transport), .alpns = alpns, .n_alpns = n};
    return listener_choose_chain(l, &q);
}

static void the_most_specific_chain_is_chosen_criterion_by_criterion(void **state)
{
    (void)state;
    struct extension_registry *registry = fixture_registry();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err;
        struct config_bootstrap *b = load(&rows[i], registry, &err);
        if (b == NULL) {
            fail_msg("%s: %s", rows[i].name, err.text);
        }
        struct config_store *s = store_create(b, registry, &err);
        const struct listener_conf *l = snapshot_listener(store_snapshot(s), SLICE("l"));
        const struct chain_conf *c = choose(&rows[i], l);
        const struct chain_conf *wanted = rows[i].wants < 0 ? l->default_chain : &l->chains[rows[i].wants];
        if (c != wanted) {
            fail_msg("%s: chain \"%.*s\"", rows[i].name, SLICE_ARG(c == NULL ? SLICE("none") : c->name));
        }
        store_destroy(&s);
        bootstrap_destroy(&b);
    }
    extension_registry_destroy(&registry);
}

/* ---- the index ---- */

struct thing {
    int refs;
    struct slice name;
};

static struct slice thing_key(const void *o)
{
    return ((const struct thing *)o)->name;
}

static void thing_ref(const void *o)
{
    ((struct thing *)(uintptr_t)o)->refs++;
}

static void thing_unref(const void *o)
{
    ((struct thing *)(uintptr_t)o)->refs--;
}

static const struct index_kind things = {thing_key, thing_ref, thing_unref};

enum { N = 1000 };

static void an_index_finds_all_and_shares_what_did_not_change(void **state)
{
    (void)state;
    static struct thing list[N + 1];
    static char names[N + 1][16];
    struct index_change changes[N];
    for (int i = 0; i <= N; i++) {
        snprintf(names[i], sizeof names[i], "t%d", i);
        list[i] = (struct thing){0, slice_of(names[i])};
        if (i < N) {
            changes[i] = (struct index_change){NULL, &list[i]};
        }
    }
    struct index *a = index_update(NULL, &things, changes, N);
    assert_int_equal(index_count(a), N);
    struct index_change one[2] = {{&list[5], &list[N]}, {&list[6], NULL}};
    struct index *b = index_update(a, &things, one, 2);
    assert_int_equal(index_count(b), N - 1);
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(index_find(a, list[i].name), &list[i]);
        assert_ptr_equal(index_find(b, list[i].name), i == 5 || i == 6 ? NULL : &list[i]);
    }
    assert_ptr_equal(index_find(b, list[N].name), &list[N]);
    size_t twice = 0;
    for (int i = 0; i < N; i++) {
        twice += list[i].refs > 1;
        assert_non_null(index_at(a, (size_t)i));
    }
    assert_true(twice < N / 10); /* at most three of 64 shards were copied */
    struct index *same = index_update(b, &things, NULL, 0);
    assert_ptr_equal(same, b);
    index_unref(&same);
    index_unref(&a);
    index_unref(&b);
    for (int i = 0; i <= N; i++) {
        assert_int_equal(list[i].refs, 0);
    }
}

struct dead {
    struct grave grave;
    int *count;
};

static void count_dead(struct grave *g)
{
    ++*((struct dead *)(void *)g)->count;
}

static void a_graveyard_frees_a_slice_at_a_time(void **state)
{
    (void)state;
    struct graveyard yard;
    struct dead list[10];
    int count = 0;
    graveyard_init(&yard);
    for (int i = 0; i < 10; i++) {
        list[i] = (struct dead){{.yard = &yard}, &count};
        grave_bury(&list[i].grave, count_dead);
    }
    assert_int_equal(count, 0);
    assert_true(graveyard_dig(&yard, 4));
    assert_int_equal(count, 4);
    assert_false(graveyard_dig(&yard, 100));
    assert_int_equal(count, 10);
    struct dead alone = {{.yard = NULL}, &count};
    grave_bury(&alone.grave, count_dead);
    assert_int_equal(count, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_chain_is_chosen_criterion_by_criterion),
        cmocka_unit_test(an_index_finds_all_and_shares_what_did_not_change),
        cmocka_unit_test(a_graveyard_frees_a_slice_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
