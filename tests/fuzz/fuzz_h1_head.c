// rooms: base proxy/codec
/*
 * Any bytes as a request and as a response head: never a crash, the same verdict whole and split, and what was accepted
 * and written again is accepted again with the same meaning.
 */
#include <assert.h>

#include "proxy/codec/h1.h"

static const struct h1_limits limits = {4096, 1024, 32, 1024, 64, true};

static enum h1_result read_head(const uint8_t *data, size_t size, size_t split, bool request, struct head *head,
                                struct h1_message *message, size_t *left)
{
    struct buf in;
    struct h1_parser parser;
    struct err err;
    enum h1_result r = H1_MORE;
    buf_init(&in);
    h1_parser_init(&parser);
    for (int part = 0; part < 2 && r == H1_MORE; part++) {
        struct buf piece;
        buf_init(&piece);
        buf_append(&piece, part == 0 ? data : data + split, part == 0 ? split : size - split);
        buf_move_all(&in, &piece);
        if (in.len > 0) {
            r = request ? h1_read_request(&parser, &in, &limits, head, message, &err)
                        : h1_read_response(&parser, &in, &limits, SLICE("GET"), head, message, &err);
        }
        *left = in.len + (part == 0 ? size - split : 0);
    }
    buf_fini(&in);
    return r;
}

static void check_again(const struct head *head, const struct h1_message *message, bool request)
{
    struct buf out;
    buf_init(&out);
    enum h1_connection connection = message->upgrade ? H1_UPGRADE : H1_KEEP_ALIVE;
    if (request) {
        h1_write_request(&out, head, message->framing, connection);
    } else {
        h1_write_response(&out, head, message->framing, connection);
    }
    struct head again;
    struct h1_message m;
    struct err err;
    struct h1_parser parser;
    struct h1_limits wide = limits;
    wide.max_head_bytes *= 4;
    wide.max_fields += 2; /* Connection, Transfer-Encoding in their own lines */
    h1_parser_init(&parser);
    head_init(&again, arena_create(0));
    enum h1_result r = request ? h1_read_request(&parser, &out, &wide, &again, &m, &err)
                               : h1_read_response(&parser, &out, &wide, SLICE("GET"), &again, &m, &err);
    if (head->authority.n > 0 || !request) { /* HTTP/1.0 may come without Host; the connection never forwards that */
        assert(r == H1_DONE && out.len == 0);
        assert(m.framing == message->framing && m.length == message->length);
        assert(slice_eq(again.path, head->path) && slice_eq(again.authority, head->authority));
    }
    arena_destroy(&again.arena);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    bool request = data[0] % 2 == 0;
    size_t split = data[1] % (size - 1);
    data += 2;
    size -= 2;
    struct head whole, parts;
    struct h1_message m1, m2;
    size_t left1 = 0, left2 = 0;
    head_init(&whole, arena_create(0));
    head_init(&parts, arena_create(0));
    enum h1_result r1 = read_head(data, size, size, request, &whole, &m1, &left1);
    enum h1_result r2 = read_head(data, size, split, request, &parts, &m2, &left2);
    assert(r1 == r2);
    if (r1 == H1_DONE) {
        assert(left1 == left2 && m1.framing == m2.framing && m1.length == m2.length && whole.n == parts.n);
        check_again(&whole, &m1, request);
    }
    arena_destroy(&whole.arena);
    arena_destroy(&parts.arena);
    return 0;
}
