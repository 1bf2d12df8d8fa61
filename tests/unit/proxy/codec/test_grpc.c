#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proxy/codec/grpc.h"

static void messages_read_the_same_at_every_split(void **state)
{
    (void)state;
    static const char wire[] = "\0\0\0\0\5hello\0\0\0\0\0\0\0\0\0\1!";
    size_t n = sizeof wire - 1;
    for (size_t split = 0; split <= n; split++) {
        struct grpc_reader r;
        struct buf in, out;
        struct err err;
        char got[64] = "";
        unsigned messages = 0;
        buf_init(&in);
        buf_init(&out);
        grpc_reader_init(&r, 5);
        for (int part = 0; part < 2; part++) {
            buf_append(&in, part == 0 ? wire : wire + split, part == 0 ? split : n - split);
            while (grpc_read(&r, &in, &out, &err) == GRPC_MESSAGE) {
                struct slice text = buf_pullup(&out, out.len);
                strncat(got, text.n > 0 ? text.p : "", text.n);
                strcat(got, "|");
                buf_fini(&out);
                messages++;
            }
        }
        assert_int_equal(messages, 3);
        assert_string_equal(got, "hello||!|");
        assert_true(grpc_reader_is_clean(&r));
        grpc_reader_fini(&r);
        buf_fini(&in);
    }
}

static void what_is_too_large_or_compressed_is_refused(void **state)
{
    (void)state;
    static const char *const wires[] = {"\0\0\0\0\6", "\1\0\0\0\1", "\0\xff\xff\xff\xff"};
    for (int i = 0; i < 3; i++) {
        struct grpc_reader r;
        struct buf in, out;
        struct err err = {0};
        buf_init(&in);
        buf_init(&out);
        buf_append(&in, wires[i], 5);
        grpc_reader_init(&r, 5);
        assert_int_equal(grpc_read(&r, &in, &out, &err), GRPC_BAD);
        assert_int_not_equal(err.kind, ERR_NONE);
        grpc_reader_fini(&r);
        buf_fini(&in);
    }
}

static void a_written_message_is_read_back(void **state)
{
    (void)state;
    struct grpc_reader r;
    struct buf wire, message, out;
    struct err err;
    buf_init(&wire);
    buf_init(&message);
    buf_init(&out);
    char block[300];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 300; i++) {
        buf_append(&message, block, sizeof block);
    }
    grpc_write(&wire, &message);
    assert_int_equal(message.len, 0);
    grpc_reader_init(&r, 1 << 20);
    assert_int_equal(grpc_read(&r, &wire, &out, &err), GRPC_MESSAGE);
    assert_int_equal(out.len, 90000);
    buf_fini(&out);
    grpc_reader_fini(&r);
}

static void an_unfinished_message_shows(void **state)
{
    (void)state;
    struct grpc_reader r;
    struct buf in, out;
    struct err err;
    buf_init(&in);
    buf_init(&out);
    grpc_reader_init(&r, 10);
    buf_append(&in, "\0\0", 2);
    assert_int_equal(grpc_read(&r, &in, &out, &err), GRPC_MORE);
    assert_false(grpc_reader_is_clean(&r));
    grpc_reader_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_read_the_same_at_every_split),
        cmocka_unit_test(what_is_too_large_or_compressed_is_refused),
        cmocka_unit_test(a_written_message_is_read_back),
        cmocka_unit_test(an_unfinished_message_shows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
