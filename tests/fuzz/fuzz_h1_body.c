// rooms: base proxy/codec
/* Any bytes as a chunked body: never a crash; whole and byte by byte give the same verdict, the same bytes. */
#include <assert.h>
#include <string.h>

#include "proxy/codec/h1.h"

static const struct h1_limits limits = {4096, 1024, 16, 512, 64, true};

static enum h1_result read_body(const uint8_t *data, size_t size, size_t step, struct buf *out, size_t *left)
{
    struct h1_message message = {.framing = H1_CHUNKED};
    struct h1_body body;
    struct head trailers;
    struct err err;
    struct buf in;
    buf_init(&in);
    head_init(&trailers, arena_create(0));
    h1_body_init(&body, &message, &limits);
    enum h1_result r = H1_MORE;
    size_t at = 0;
    while (at < size && r == H1_MORE) {
        size_t n = step < size - at ? step : size - at;
        struct buf piece;
        buf_init(&piece);
        buf_append(&piece, data + at, n);
        buf_move_all(&in, &piece);
        at += n;
        r = h1_body_read(&body, &in, out, SIZE_MAX, &trailers, &err);
    }
    *left = in.len + size - at;
    buf_fini(&in);
    arena_destroy(&trailers.arena);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf a, b;
    size_t left_a = 0, left_b = 0;
    buf_init(&a);
    buf_init(&b);
    enum h1_result ra = read_body(data, size, size + 1, &a, &left_a);
    enum h1_result rb = read_body(data, size, 1, &b, &left_b);
    assert(ra == rb);
    if (ra == H1_DONE) {
        assert(left_a == left_b && a.len == b.len);
        assert(slice_eq(buf_pullup(&a, a.len), buf_pullup(&b, b.len)));
    }
    buf_fini(&a);
    buf_fini(&b);
    return 0;
}
