#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "proxy/codec/h1.h"

static const struct h1_limits limits = {
    .max_head_bytes = 2048,
    .max_uri_bytes = 256,
    .max_fields = 8,
    .max_trailer_bytes = 128,
    .max_chunk_line_bytes = 40,
};

struct read {
    enum h1_result result;
    struct buf out;
    struct head trailers;
    size_t left;
};

static struct read read_body(const struct h1_message *message, struct slice text, size_t split, size_t max)
{
    struct read r = {.result = H1_MORE};
    struct h1_body body;
    struct buf in;
    struct err err = {0};
    buf_init(&in);
    buf_init(&r.out);
    head_init(&r.trailers, arena_create(0));
    h1_body_init(&body, message, &limits);
    for (size_t at = 0; at < text.n && r.result == H1_MORE;) {
        size_t n = split == 0 ? 1 : at < split ? split - at : text.n - at;
        struct buf piece;
        buf_init(&piece);
        buf_append(&piece, text.p + at, n);
        buf_move_all(&in, &piece);
        at += n;
        size_t before;
        do {
            before = r.out.len;
            r.result = h1_body_read(&body, &in, &r.out, max, &r.trailers, &err);
        } while (r.result == H1_MORE && r.out.len > before);
        r.left = in.len + text.n - at;
    }
    assert_int_equal(r.result == H1_BAD, err.kind != ERR_NONE);
    buf_fini(&in);
    return r;
}

static void done(struct read *r)
{
    buf_fini(&r->out);
    arena_destroy(&r->trailers.arena);
}

static void chunks_read_the_same_at_every_split(void **state)
{
    (void)state;
    struct h1_message message = {.framing = H1_CHUNKED};
    struct slice text =
        SLICE("5\r\nhello\r\n1;a=b;c=\"d\\\"e\"\r\n \r\n005\r\nworld\r\n0; x\r\nX-Sum: 1\r\nx-b:\r\n\r\nNEXT");
    for (size_t split = 0; split <= text.n; split++) {
        for (size_t max = 1; max < 12; max += 5) {
            struct read r = read_body(&message, text, split, max);
            assert_int_equal(r.result, H1_DONE);
            assert_true(slice_eq(buf_pullup(&r.out, r.out.len), SLICE("hello world")));
            assert_int_equal(r.left, 4);
            assert_int_equal(r.trailers.n, 2);
            assert_true(slice_eq(r.trailers.fields[0].name, SLICE("x-sum")));
            done(&r);
        }
    }
}

static void unsound_chunks_are_refused_at_every_split(void **state)
{
    (void)state;
    struct h1_message message = {.framing = H1_CHUNKED};
    static const struct slice cases[] = {
        SLICE("\r\n"),
        SLICE("g\r\n"),
        SLICE("+1\r\na\r\n"),
        SLICE("-1\r\na\r\n"),
        SLICE("0x1\r\na\r\n"),
        SLICE("1_0\r\na\r\n"),
        SLICE(" 1\r\na\r\n"),
        SLICE("1 \r\na\r\n"),
        SLICE("1\t\r\na\r\n"),
        SLICE("1\na\n"),
        SLICE("1\ra\r"),
        SLICE("1\r\na\n"),
        SLICE("1\r\nab"),
        SLICE("1\r\na\r\r"),
        SLICE("1\r\n\r\n\r\n"),
        SLICE("1;\r\na\r\n"),
        SLICE("1;a=\r\n"),
        SLICE("1;a b\r\n"),
        SLICE("1;a=\"\n\"\r\n"),
        SLICE("1;a=\"\r\n"),
        SLICE("1;a\n"),
        SLICE("1;a\rb"),
        SLICE("1;a\0\r\n"),
        SLICE("1,1\r\n"),
        SLICE("FFFFFFFFFFFFFFFF\r\n"),
        SLICE("00000000000000001\r\n"),
        SLICE("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
        SLICE("0\r\nContent-Length: 1\r\n\r\n"),
        SLICE("0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE("0\r\nHost: a\r\n\r\n"),
        SLICE("0\r\nAuthorization: a\r\n\r\n"),
        SLICE("0\r\nX : a\r\n\r\n"),
        SLICE("0\r\nX: a\n\r\n"),
        SLICE("0\r\n\n"),
        SLICE("0\r\n a: b\r\n\r\n"),
        SLICE("0\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t split = 0; split <= cases[i].n; split++) {
            struct read r = read_body(&message, cases[i], split, 100);
            if (r.result != H1_BAD) {
                fail_msg("split %zu result %d: %.*s", split, r.result, SLICE_ARG(cases[i]));
            }
            done(&r);
        }
    }
}

static void many_tiny_chunks_with_extensions_are_refused(void **state)
{
    (void)state;
    struct h1_message message = {.framing = H1_CHUNKED};
    char text[64 << 10];
    size_t n = 0;
    static const char chunk[] = "1;abcdefghijklmnopqrstuvwxyz=1\r\nx\r\n";
    while (n + sizeof chunk < sizeof text) {
        memcpy(text + n, chunk, sizeof chunk - 1);
        n += sizeof chunk - 1;
    }
    struct read r = read_body(&message, slice_make(text, n), n, sizeof text);
    assert_int_equal(r.result, H1_BAD);
    done(&r);
}

static void a_body_of_known_length_ends_exactly_there(void **state)
{
    (void)state;
    struct h1_message message = {.framing = H1_LENGTH, .length = 5};
    for (size_t split = 0; split <= 8; split++) {
        struct read r = read_body(&message, SLICE("helloXYZ"), split, 2);
        assert_int_equal(r.result, H1_DONE);
        assert_int_equal(r.left, 3);
        assert_int_equal(r.out.len, 5);
        done(&r);
    }
    struct read r = read_body(&message, SLICE("hell"), 4, 100);
    assert_int_equal(r.result, H1_MORE);
    done(&r);
}

static void a_body_until_close_is_complete_only_then(void **state)
{
    (void)state;
    struct h1_message message = {.framing = H1_UNTIL_CLOSE};
    struct read r = read_body(&message, SLICE("anything"), 0, 100);
    assert_int_equal(r.result, H1_MORE);
    assert_int_equal(r.out.len, 8);
    done(&r);
    struct h1_body body;
    h1_body_init(&body, &message, &limits);
    assert_true(h1_body_eof(&body));
    message.framing = H1_CHUNKED;
    h1_body_init(&body, &message, &limits);
    assert_false(h1_body_eof(&body));
}

static void chunked_output_carries_trailers_and_no_empty_chunk(void **state)
{
    (void)state;
    struct buf out, bytes;
    struct head trailers;
    buf_init(&out);
    buf_init(&bytes);
    head_init(&trailers, arena_create(0));
    h1_write_body(&out, H1_CHUNKED, &bytes);
    buf_append_str(&bytes, "sixteen bytes ..");
    h1_write_body(&out, H1_CHUNKED, &bytes);
    head_add(&trailers, SLICE("x-sum"), SLICE("1"));
    head_add(&trailers, SLICE("content-length"), SLICE("1"));
    h1_write_end(&out, H1_CHUNKED, &trailers);
    assert_true(slice_eq(buf_pullup(&out, out.len), SLICE("10\r\nsixteen bytes ..\r\n0\r\nx-sum: 1\r\n\r\n")));
    buf_fini(&out);
    arena_destroy(&trailers.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_read_the_same_at_every_split),
        cmocka_unit_test(unsound_chunks_are_refused_at_every_split),
        cmocka_unit_test(many_tiny_chunks_with_extensions_are_refused),
        cmocka_unit_test(a_body_of_known_length_ends_exactly_there),
        cmocka_unit_test(a_body_until_close_is_complete_only_then),
        cmocka_unit_test(chunked_output_carries_trailers_and_no_empty_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
