/* arena, pools, map, list, err: what holds memory and what hangs in it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

static void an_arena_gives_aligned_memory_until_it_is_reset(void **state)
{
    (void)state;
    struct arena *a = arena_create(0);
    size_t empty = arena_bytes(a);
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < 500; n++) {
            char *p = arena_alloc(a, n);
            assert_int_equal((uintptr_t)p % 16, 0);
            memset(p, 0x5a, n);
            char *z = arena_zalloc(a, n);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(z[i], 0);
            }
        }
        memset(arena_alloc(a, 1 << 20), 1, 1 << 20);
        assert_true(arena_bytes(a) > 1 << 20);
        arena_reset(a);
        assert_int_equal(arena_bytes(a), empty);
    }
    assert_string_equal(arena_str(a, SLICE("text")), "text");
    assert_string_equal(arena_printf(a, "%s-%d", "n", 7), "n-7");
    struct slice copy = arena_slice(a, SLICE_NONE);
    assert_int_equal(copy.n, 0);
    assert_int_equal(copy.p[0], 0);
    arena_destroy(&a);
    assert_null(a);
    arena_destroy(&a);
}

static void a_small_first_block_still_holds_the_arena(void **state)
{
    (void)state;
    struct arena *a = arena_create(1);
    memset(arena_alloc(a, 100), 1, 100);
    arena_destroy(&a);
}

static void a_pool_takes_back_what_it_gave(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 300000; n = n * 3 + 1) {
            size_t cap = 0;
            void *p = pool_alloc(n, &cap);
            assert_true(cap >= n);
            memset(p, 1, cap);
            pool_free(p, round == 1 ? n : cap);
        }
    }
    pool_free(NULL, 0);
    pool_trim();
}

static void a_pool_block_goes_back_without_its_size(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 300000; n = n * 5 / 4 + 1) {
            unsigned char *classed = pool_take(n), *exact = pool_take_exact(n);
            assert_true(pool_size(classed) >= n && pool_size(exact) >= n);
            memset(classed, 1, n);
            memset(exact, 2, n);
            assert_int_equal(classed[n - 1], 1);
            pool_give(round == 1 ? exact : classed);
            pool_give(round == 1 ? classed : exact);
        }
    }
    pool_give(NULL);
    pool_trim();
}

static void a_page_rests_while_it_is_empty(void **state)
{
    (void)state;
    unsigned char *page = page_take();
    assert_true(page_rest(page));
    page[PAGE_BYTES - 1] = 7;
    assert_false(page_rest(page));
    assert_int_equal(page[PAGE_BYTES - 1], 7);
    page_give(page);
    unsigned char *again = page_take();
    assert_ptr_equal(again, page);
    for (size_t i = 0; i < PAGE_BYTES; i++) {
        assert_int_equal(again[i], 0);
    }
    page_give(again);
}

static void an_error_is_kept_only_where_there_is_one(void **state)
{
    (void)state;
    struct err err;
    err_clear(&err);
    assert_null(err_keep(&err));
    assert_int_equal(err_kept(NULL)->kind, ERR_NONE);
    err_set(&err, ERR_RESET, "gone");
    err.retry = ERR_RETRY_ALWAYS;
    struct err *kept = err_keep(&err);
    assert_int_equal(err_kept(kept)->kind, ERR_RESET);
    assert_int_equal(err_kept(kept)->retry, ERR_RETRY_ALWAYS);
    assert_string_equal(err_kept(kept)->text, "gone");
    mem_free(kept);
}

static unsigned freed;

static void count_free(void *value)
{
    (void)value;
    freed++;
}

static void a_map_keeps_order_and_frees_what_it_owns(void **state)
{
    (void)state;
    int values[200];
    freed = 0;
    struct map *m = map_create(count_free);
    assert_null(map_first(m));
    for (int i = 0; i < 200; i++) {
        char key[16];
        values[i] = i;
        map_put(m, slice_make(key, (size_t)snprintf(key, sizeof key, "key-%d", i)), &values[i]);
    }
    assert_int_equal(map_count(m), 200);
    int n = 0;
    for (struct map_item *i = map_first(m); i != NULL; i = map_next(i)) {
        assert_ptr_equal(map_value(i), &values[n++]);
    }
    assert_int_equal(n, 200);
    assert_true(map_has(m, SLICE("key-7")));
    assert_false(map_has(m, SLICE("key-")));
    assert_ptr_equal(map_get(m, SLICE("key-7")), &values[7]);
    map_put(m, SLICE("key-7"), &values[8]);
    assert_int_equal(freed, 1);
    map_put(m, SLICE("key-7"), &values[8]);
    assert_int_equal(freed, 1);
    assert_ptr_equal(map_take(m, SLICE("key-7")), &values[8]);
    assert_int_equal(freed, 1);
    assert_null(map_take(m, SLICE("key-7")));
    assert_true(map_del(m, SLICE("key-8")));
    assert_false(map_del(m, SLICE("key-8")));
    assert_int_equal(freed, 2);
    map_put(m, SLICE_NONE, &values[0]);
    assert_true(map_has(m, SLICE("")));
    map_destroy(&m);
    assert_null(m);
    assert_int_equal(freed, 201);
}

static void a_map_of_colliding_neighbours_loses_nothing_when_others_go(void **state)
{
    (void)state;
    enum { KEYS = 300, STEPS = 40000 };
    static int values[KEYS];
    bool there[KEYS] = {false};
    size_t count = 0;
    uint32_t random = 12345;
    struct map *m = map_create(NULL);
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525u + 1013904223u;
        uint32_t k = (random >> 8) % KEYS;
        struct slice key = slice_make(&k, sizeof k);
        assert_int_equal(map_has(m, key), there[k]);
        if ((random >> 28) % 2 == 0) {
            map_put(m, key, &values[k]);
            count += there[k] ? 0 : 1;
            there[k] = true;
        } else {
            assert_ptr_equal(map_take(m, key), there[k] ? &values[k] : NULL);
            count -= there[k] ? 1 : 0;
            there[k] = false;
        }
        assert_int_equal(map_count(m), count);
    }
    for (struct map_item *i = map_first(m); i != NULL; i = map_next(i)) {
        uint32_t k;
        memcpy(&k, map_key(i).p, sizeof k);
        assert_true(there[k]);
        assert_ptr_equal(map_value(i), &values[k]);
        count--;
    }
    assert_int_equal(count, 0);
    map_destroy(&m);
}

struct node {
    int id;
    struct list link;
};

static void a_list_is_a_ring_that_nodes_leave_by_themselves(void **state)
{
    (void)state;
    struct list head;
    struct node nodes[3] = {{.id = 0}, {.id = 1}, {.id = 2}};
    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(list_pop(&head));
    list_push(&head, &nodes[1].link);
    list_push(&head, &nodes[2].link);
    list_push_front(&head, &nodes[0].link);
    list_remove(&nodes[1].link);
    list_remove(&nodes[1].link);
    assert_int_equal(container_of(list_pop(&head), struct node, link)->id, 0);
    assert_int_equal(container_of(list_pop(&head), struct node, link)->id, 2);
    assert_true(list_is_empty(&head));
}

static void an_error_text_is_cut_and_never_overflows(void **state)
{
    (void)state;
    struct err err;
    char text[600];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(err_set(&err, ERR_LIMIT, "%s", text));
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_false(err_prefix(&err, "%s", "context"));
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "context: x", 10);
    assert_false(err_prefix(&err, "%s", text));
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_int_equal(err.kind, ERR_LIMIT);
    assert_false(err_errno(&err, 2, "file"));
    assert_string_equal(err.text, "file: No such file or directory");
    assert_int_equal(err.os_errno, 2);
    assert_false(err_set(NULL, ERR_INPUT, "nobody listens"));
    assert_false(err_prefix(NULL, "x"));
    for (int k = ERR_NONE; k <= ERR_OVERFLOW; k++) {
        assert_non_null(err_kind_name((enum err_kind)k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_arena_gives_aligned_memory_until_it_is_reset),
        cmocka_unit_test(a_small_first_block_still_holds_the_arena),
        cmocka_unit_test(a_pool_takes_back_what_it_gave),
        cmocka_unit_test(a_pool_block_goes_back_without_its_size),
        cmocka_unit_test(a_page_rests_while_it_is_empty),
        cmocka_unit_test(an_error_is_kept_only_where_there_is_one),
        cmocka_unit_test(a_map_keeps_order_and_frees_what_it_owns),
        cmocka_unit_test(a_map_of_colliding_neighbours_loses_nothing_when_others_go),
        cmocka_unit_test(a_list_is_a_ring_that_nodes_leave_by_themselves),
        cmocka_unit_test(an_error_text_is_cut_and_never_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
