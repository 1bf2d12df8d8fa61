#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/strbuf.h"

static void assert_holds(const struct buf *b, const char *text)
{
    char flat[256];
    assert_int_equal(buf_len(b), strlen(text));
    assert_int_equal(buf_copy_out(b, 0, flat, sizeof flat), strlen(text));
    assert_memory_equal(flat, text, strlen(text));
}

static void what_is_appended_comes_out_in_order(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    assert_true(buf_is_empty(&b));
    assert_int_equal(buf_front(&b).n, 0);
    buf_append_str(&b, "one ");
    buf_printf(&b, "%d ", 2);
    buf_append_slice(&b, SLICE("three"));
    buf_append(&b, NULL, 0);
    assert_holds(&b, "one 2 three");
    buf_drain(&b, 4);
    assert_holds(&b, "2 three");
    buf_drain(&b, 7);
    assert_true(buf_is_empty(&b));
    buf_append_str(&b, "again");
    assert_holds(&b, "again");
    buf_fini(&b);
    assert_int_equal(buf_len(&b), 0);
}

static void shared_chunks_are_not_written_by_their_owners(void **state)
{
    (void)state;
    struct buf a, b;
    buf_init(&a);
    buf_init(&b);
    buf_append_str(&a, "shared");
    buf_share(&b, &a);
    buf_append_str(&a, "-a");
    buf_append_str(&b, "-b");
    assert_holds(&a, "shared-a");
    assert_holds(&b, "shared-b");
    buf_fini(&a);
    assert_holds(&b, "shared-b");
    buf_fini(&b);
}

static void moving_splits_anywhere_without_loss(void **state)
{
    (void)state;
    static const char text[] = "abcdefghij";
    for (size_t cut = 0; cut <= 11; cut++) {
        struct buf src, dst;
        buf_init(&src);
        buf_init(&dst);
        buf_append_str(&src, "abcd");
        struct chunk *c = chunk_create(64);
        memcpy(chunk_data(c), "efghij", 6);
        buf_append_chunk(&src, c, 0, 6);
        assert_int_equal(chunk_refs(c), 2);
        chunk_unref(c);
        size_t n = buf_move(&dst, &src, cut);
        assert_int_equal(n, cut > 10 ? 10 : cut);
        char expected[16];
        memcpy(expected, text, n);
        expected[n] = '\0';
        assert_holds(&dst, expected);
        assert_holds(&src, text + n);
        buf_append_str(&src, "!");
        buf_append_str(&dst, "?");
        buf_move_all(&dst, &src);
        assert_int_equal(buf_len(&src), 0);
        assert_int_equal(buf_len(&dst), 12);
        buf_fini(&dst);
        buf_fini(&src);
    }
}

static void reserve_and_commit_take_what_was_written(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    size_t got = 0;
    char *p = buf_reserve(&b, 10, &got);
    assert_true(got >= 10);
    memcpy(p, "hello", 5);
    buf_commit(&b, 5);
    p = buf_reserve(&b, 1, &got);
    *p = '!';
    buf_commit(&b, 1);
    assert_holds(&b, "hello!");
    buf_reserve(&b, 100000, &got);
    assert_true(got >= 100000);
    buf_commit(&b, 0);
    assert_holds(&b, "hello!");
    buf_fini(&b);
}

static void pullup_makes_a_prefix_contiguous(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 9; n++) {
        struct buf b;
        buf_init(&b);
        for (int i = 0; i < 3; i++) {
            struct chunk *c = chunk_create(16);
            memcpy(chunk_data(c), "abc", 3);
            buf_append_chunk(&b, c, 0, 3);
            chunk_unref(c);
        }
        struct slice s = buf_pullup(&b, n);
        assert_int_equal(s.n, n);
        assert_true(slice_eq(s, slice_make("abcabcabc", n)));
        assert_holds(&b, "abcabcabc");
        buf_fini(&b);
    }
}

static void compacting_lets_a_large_chunk_go(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b);
    struct chunk *c = chunk_create(100000);
    memcpy(chunk_data(c), "few", 3);
    buf_append_chunk(&b, c, 0, 3);
    assert_true(buf_pinned(&b) >= 100000);
    buf_compact(&b);
    assert_int_equal(chunk_refs(c), 1);
    assert_true(buf_pinned(&b) < 1000);
    assert_holds(&b, "few");
    buf_drain(&b, 3);
    buf_compact(&b);
    assert_int_equal(buf_pinned(&b), 0);
    chunk_unref(c);
    buf_fini(&b);
}

/* Random operations on a buf and on a flat text must agree. */
static void a_long_random_life_agrees_with_a_flat_text(void **state)
{
    (void)state;
    unsigned seed = 7;
    struct buf b, other;
    struct strbuf flat;
    buf_init(&b);
    buf_init(&other);
    strbuf_init(&flat);
    for (int step = 0; step < 20000; step++) {
        unsigned n = (unsigned)rand_r(&seed) % 700;
        char block[700];
        memset(block, 'a' + step % 26, sizeof block);
        switch (rand_r(&seed) % 6) {
        case 0:
        case 1:
            buf_append(&b, block, n);
            strbuf_add(&flat, slice_make(block, n));
            break;
        case 2:
            n = n < b.len ? n : (unsigned)b.len;
            buf_drain(&b, n);
            if (n > 0) {
                memmove(flat.p, flat.p + n, flat.n - n);
                flat.n -= n;
            }
            break;
        case 3: /* there and back: splits a segment */
            buf_move(&other, &b, n);
            buf_move_all(&other, &b);
            buf_move_all(&b, &other);
            break;
        case 4:
            if (n < b.len) {
                buf_pullup(&b, n);
            }
            break;
        default:
            if (step % 50 == 0) {
                buf_compact(&b);
            }
        }
        assert_int_equal(b.len, flat.n);
        struct iovec iov[64];
        size_t at = 0;
        int pieces = buf_iovec(&b, iov, 64);
        for (int i = 0; i < pieces; i++) {
            assert_memory_equal(iov[i].iov_base, flat.p + at, iov[i].iov_len);
            at += iov[i].iov_len;
        }
        assert_true(pieces == 64 || at == flat.n);
    }
    buf_fini(&b);
    strbuf_fini(&flat);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_appended_comes_out_in_order),
        cmocka_unit_test(shared_chunks_are_not_written_by_their_owners),
        cmocka_unit_test(moving_splits_anywhere_without_loss),
        cmocka_unit_test(reserve_and_commit_take_what_was_written),
        cmocka_unit_test(pullup_makes_a_prefix_contiguous),
        cmocka_unit_test(compacting_lets_a_large_chunk_go),
        cmocka_unit_test(a_long_random_life_agrees_with_a_flat_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
