// rooms: base proxy/codec
/*
 * Any bytes after the preface, to a server and to a client session whose owner answers, takes, resets and releases as
 * the bytes say: never a crash or a leak, and every head that is heard can be written as HTTP/1 and read again.
 */
#include <assert.h>

#include "proxy/codec/h1.h"
#include "proxy/codec/h2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct h2_config config = {
    .max_concurrent_streams = 10,
    .stream_window = 65535,
    .connection_window = 1 << 17,
    .max_head_bytes = 4096,
    .max_fields = 20,
    .max_uri_bytes = 200,
    .connect_protocol = true,
    .max_control_frames = 100,
    .max_resets = 20,
};

static void check_as_h1(const struct head *head)
{
    static const struct h1_limits limits = {1 << 16, 1 << 12, 64, 1024, 64, true};
    struct head again;
    struct h1_message message;
    struct h1_parser parser;
    struct buf out;
    struct err err;
    buf_init(&out);
    head_init(&again, arena_create(0));
    h1_parser_init(&parser);
    struct head h = *head;
    if (h.protocol.n > 0) {
        h.method = SLICE("GET");
    }
    enum h1_connection connection = h.protocol.n > 0 ? H1_UPGRADE : H1_KEEP_ALIVE;
    h1_write_request(&out, &h, h1_choose_framing(&h, false, SLICE_NONE, false, false), connection);
    enum h1_result r = h1_read_request(&parser, &out, &limits, &again, &message, &err);
    bool odd_expect = head_find_id(&h, FIELD_EXPECT) != NULL;
    assert((r == H1_DONE || odd_expect) && slice_eq(again.authority, h.authority));
    arena_destroy(&again.arena);
    buf_fini(&out);
}

static void act(struct h2_stream *st, unsigned events, unsigned choice, struct arena *arena, bool server)
{
    struct head answer;
    bool end;
    head_init(&answer, arena);
    answer.status = 200;
    for (struct head *h; (events & H2_HEAD) != 0 && (h = h2_take_head(st, &end)) != NULL;) {
        if (server && st->refuse_status == 0) {
            check_as_h1(h);
        }
    }
    if (choice & 1) {
        size_t n = st->in.len;
        buf_drain(&st->in, n);
        h2_taken(st, n);
    }
    if ((choice & 2) && server) {
        struct buf text;
        buf_init(&text);
        buf_append_str(&text, "body");
        h2_send_head(st, &answer, false);
        h2_send_data(st, &text, (choice & 4) != 0);
    }
    if ((choice & 8) || (events & H2_CLOSED)) {
        h2_release(&st);
    } else if (choice & 16) {
        h2_reset(st, 8);
    }
}

static void run(const uint8_t *data, size_t size, bool server)
{
    struct err err;
    unsigned events;
    config.server = server;
    struct h2_session *s = h2_create(&config, &err);
    struct arena *arena = arena_create(0);
    struct buf in, out;
    buf_init(&in);
    buf_init(&out);
    if (server) {
        buf_append_str(&in, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    } else {
        struct head h;
        head_init(&h, arena);
        h.method = SLICE("POST");
        h.authority = SLICE("a");
        for (int i = 0; i < 3; i++) {
            h2_open(s, &h, i > 0, arena, NULL, &err);
        }
    }
    size_t at = 1;
    bool ok = true;
    while (ok && at < size) {
        size_t n = size - at < 50 ? size - at : 50;
        buf_append(&in, data + at, n);
        at += n;
        ok = h2_receive(s, &in, 1 << 20, &err);
        for (struct h2_stream *st; (st = h2_next_event(s, &events)) != NULL;) {
            act(st, events, data[at / 2], arena, server);
        }
        h2_produce(s, &out, 100);
        buf_fini(&out);
    }
    h2_is_done(s);
    buf_fini(&in);
    h2_destroy(&s);
    arena_destroy(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1) {
        run(data, size, data[0] % 2 == 0);
    }
    return 0;
}
