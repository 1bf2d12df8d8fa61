#include "unit/proxy/route/apim_fixture.h"

#include "proxy/route/apim_table.h"

static struct apim_api *api_of(const char *name, const char *path)
{
    struct fixture_api f = {.name = name, .path = path};
    return fixture_api(&f);
}

static void only_touched_shards_are_made_anew(void **state)
{
    (void)state;
    enum { N = 200 };
    struct apim_api *apis[N];
    for (int i = 0; i < N; i++) {
        char name[32], path[32];
        snprintf(name, sizeof name, "a%03d", i);
        snprintf(path, sizeof path, "p%d/q", i);
        apis[i] = api_of(name, path);
    }
    struct apim_table *old = apim_table_update(NULL, apis, N, NULL, NULL);
    struct apim_api *before = apis[77];
    apis[77] = api_of("a077", "p77/q");
    struct apim_table *now = apim_table_update(old, apis, N, NULL, NULL);
    assert_int_equal(now->shard_mask, old->shard_mask);
    unsigned different = 0;
    for (uint32_t i = 0; i <= now->shard_mask; i++) {
        different += now->shards[i] != old->shards[i];
    }
    assert_int_equal(different, 1);
    assert_ptr_equal(apim_table_find(old, SLICE("apis/a077;rev=1")), before);
    assert_ptr_equal(apim_table_find(now, SLICE("apis/a077;rev=1")), apis[77]);
    assert_null(apim_table_find(now, SLICE("apis/a0770;rev=1")));
    assert_int_equal(apim_table_count(now), N);
    assert_ptr_equal(apim_table_at(now, 3), apis[3]);
    for (int i = 0; i < N; i++) {
        apim_api_unref(&apis[i]);
    }
    apim_api_unref(&before);
    apim_table_unref(&old);
    static const struct fixture_call calls[] = {{"GET http://h/p77/q/x", NULL, "a077;rev=1 * /* /x *=x"}};
    fixture_calls(now, calls, 1);
    apim_table_unref(&now);
}

/* Any order of additions and removals must leave the table that a fresh build gives. */
static void updates_in_steps_end_where_a_fresh_build_does(void **state)
{
    (void)state;
    enum { N = 60 };
    struct apim_api *all[N], *chosen[N];
    for (int i = 0; i < N; i++) {
        char name[32], path[32];
        snprintf(name, sizeof name, "n%02d", i);
        snprintf(path, sizeof path, i % 3 == 0 ? "p%d" : i % 3 == 1 ? "p%d/sub" : "p%d/sub/deep", i / 3);
        all[i] = api_of(name, path);
    }
    uint32_t seed = 3;
    struct apim_table *table = apim_table_update(NULL, NULL, 0, NULL, NULL);
    for (int round = 0; round < 40; round++) {
        size_t count = 0;
        for (int i = 0; i < N; i++) {
            seed = seed * 1664525u + 1013904223u;
            if ((seed >> 16) % 3 != 0) {
                chosen[count++] = all[round % 2 == 0 ? i : N - 1 - i];
            }
        }
        struct apim_table *next = apim_table_update(table, chosen, count, NULL, NULL);
        struct apim_table *fresh = apim_table_update(NULL, chosen, count, NULL, NULL);
        apim_table_unref(&table);
        table = next;
        assert_int_equal(table->max_depth, fresh->max_depth);
        assert_memory_equal(table->depth_counts, fresh->depth_counts, sizeof table->depth_counts);
        for (int i = 0; i < N; i++) {
            struct arena *arena = arena_create(0);
            char line[64];
            snprintf(line, sizeof line, "GET http://h/p%d/sub/deep/x", i / 3);
            assert_string_equal(fixture_answer(table, line, NULL, arena), fixture_answer(fresh, line, NULL, arena));
            arena_destroy(&arena);
        }
        apim_table_unref(&fresh);
    }
    apim_table_unref(&table);
    for (int i = 0; i < N; i++) {
        apim_api_unref(&all[i]);
    }
}

static void a_growing_and_a_shrinking_table_spreads_its_shards_anew(void **state)
{
    (void)state;
    enum { N = 500 };
    static struct apim_api *apis[N];
    for (int i = 0; i < N; i++) {
        char name[32], path[32];
        snprintf(name, sizeof name, "a%03d", i);
        snprintf(path, sizeof path, "p%d", i);
        apis[i] = api_of(name, path);
    }
    struct apim_table *small = apim_table_update(NULL, apis, 10, NULL, NULL);
    struct apim_table *large = apim_table_update(small, apis, N, NULL, NULL);
    assert_true(large->shard_mask > small->shard_mask);
    struct apim_table *again = apim_table_update(large, apis, 10, NULL, NULL);
    assert_int_equal(again->shard_mask, small->shard_mask);
    static const struct fixture_call in_large[] = {{"GET http://h/p400", NULL, "a400;rev=1 * /*  *="}};
    static const struct fixture_call in_small[] = {{"GET http://h/p400", NULL, "no API has this path"},
                                                   {"GET http://h/p9", NULL, "a009;rev=1 * /*  *="}};
    fixture_calls(large, in_large, 1);
    fixture_calls(again, in_small, 2);
    for (int i = 0; i < N; i++) {
        apim_api_unref(&apis[i]);
    }
    apim_table_unref(&small);
    apim_table_unref(&large);
    apim_table_unref(&again);
}

static void two_apis_that_claim_the_same_calls_are_refused_with_both_names(void **state)
{
    (void)state;
    static const struct {
        struct fixture_api a, b;
        const char *says; /* NULL: both may stand */
    } cases[] = {
        {{.name = "x", .path = "p"}, {.name = "y", .path = "P/"}, "are different APIs"},
        {{.name = "x", .path = "p"}, {.name = "y", .path = "q"}, NULL},
        {{.name = "x;rev=1", .path = "p"}, {.name = "x;rev=2", .path = "p"}, "are both current"},
        {{.name = "x;rev=1", .path = "p"}, {.name = "x;rev=2", .path = "p", .not_current = true}, NULL},
        {{.name = "x", .path = "p", .host = "a"}, {.name = "y", .path = "p", .host = "b"}, NULL},
        {{.name = "x", .path = "p", .host = "a.b"}, {.name = "y", .path = "p", .host = "*.b"}, "are different APIs"},
        {{.name = "x", .path = "p", .host = "*.a.b"}, {.name = "y", .path = "p", .host = "*.b"}, "are different APIs"},
        {{.name = "x", .path = "p", .host = "*.a"}, {.name = "y", .path = "p", .host = "*.b"}, NULL},
        {{.name = "x", .path = "p", .host = "a"}, {.name = "y", .path = "p"}, "are different APIs"},
        {{.name = "x", .path = "p", .closed = "c"}, {.name = "y", .path = "p", .closed = "c"}, NULL},
        {{.name = "x", .path = "p", .closed = "c"}, {.name = "y", .path = "p"}, "are different APIs"},
        {{.name = "x", .path = "p", .versioning = APIM_VERSION_SEGMENT, .version = "v1"},
         {.name = "y", .path = "p", .versioning = APIM_VERSION_SEGMENT, .version = "V1"},
         "are different APIs"},
        {{.name = "x", .path = "p", .versioning = APIM_VERSION_SEGMENT, .version = "v1"},
         {.name = "y", .path = "p"},
         NULL},
        {{.name = "x", .path = "p"}, {.name = "x", .path = "q"}, "stands twice"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct apim_api *apis[] = {fixture_api(&cases[i].b), fixture_api(&cases[i].a)};
        struct apim_clash clash;
        struct err err;
        struct apim_table *table = apim_table_update(NULL, apis, 2, &clash, &err);
        if ((table != NULL) != (cases[i].says == NULL)) {
            fail_msg("case %zu", i);
        }
        if (table == NULL) {
            assert_text_has(&err, cases[i].says);
            assert_text_has(&err, "apis/x");
        }
        if (table == NULL && clash.first != NULL) {
            assert_ptr_equal(clash.first, apis[1]);
            assert_ptr_equal(clash.second, apis[0]);
        }
        apim_table_unref(&table);
        apim_api_unref(&apis[0]);
        apim_api_unref(&apis[1]);
    }
}

static void a_refused_update_leaves_the_old_table_as_it_was(void **state)
{
    (void)state;
    struct apim_api *apis[] = {api_of("a", "p"), api_of("b", "q"), api_of("c", "Q")};
    struct apim_table *old = apim_table_update(NULL, apis, 2, NULL, NULL);
    assert_null(apim_table_update(old, apis, 3, NULL, NULL));
    static const struct fixture_call calls[] = {{"GET http://h/q", NULL, "b;rev=1 * /*  *="}};
    fixture_calls(old, calls, 1);
    apim_table_unref(&old);
    for (int i = 0; i < 3; i++) {
        apim_api_unref(&apis[i]);
    }
}

static unsigned freed;

static void count_free(void *user)
{
    freed++;
    free(user);
}

static void what_hangs_on_an_api_is_freed_with_its_last_table(void **state)
{
    (void)state;
    struct apim_api_conf conf = {
        .name = SLICE("apis/x;rev=1"), .path = SLICE("x"), .user = malloc(1), .free_user = count_free};
    struct apim_api *api = apim_api_create(&conf, NULL);
    struct apim_table *one = apim_table_update(NULL, &api, 1, NULL, NULL);
    struct apim_table *two = apim_table_update(one, &api, 1, NULL, NULL);
    struct apim_table *same = apim_table_ref(two);
    freed = 0;
    apim_api_unref(&api);
    apim_table_unref(&one);
    apim_table_unref(&two);
    assert_int_equal(freed, 0);
    apim_table_unref(&same);
    assert_int_equal(freed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_touched_shards_are_made_anew),
        cmocka_unit_test(updates_in_steps_end_where_a_fresh_build_does),
        cmocka_unit_test(a_growing_and_a_shrinking_table_spreads_its_shards_anew),
        cmocka_unit_test(two_apis_that_claim_the_same_calls_are_refused_with_both_names),
        cmocka_unit_test(a_refused_update_leaves_the_old_table_as_it_was),
        cmocka_unit_test(what_hangs_on_an_api_is_freed_with_its_last_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
