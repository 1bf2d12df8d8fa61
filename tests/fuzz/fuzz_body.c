// rooms: proxy/body
/* Bodies through each stage, cut where the input says: whatever comes, it ends in bytes or in an error. */
#include <stdint.h>
#include <stdlib.h>

#include "proxy/body/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct body_stage *make(struct arena *arena, unsigned which, struct slice body)
{
    struct body_replace r = {slice_sub(body, 0, 1 + which % 7), SLICE("<>"), (which & 8) != 0};
    struct body_to_xml x = {SLICE(":"), SLICE("xmlns"), SLICE("#a"), 1 << 16};
    struct body_to_json j = {(which & 8) != 0, 1 << 16};
    switch (which % 3) {
    case 0:
        return body_to_xml_create(arena, &x, "json-to-xml");
    case 1:
        return body_to_json_create(arena, &j, "xml-to-json");
    default:
        return r.from.n == 0 ? body_wrap_create(arena, SLICE("f("), SLICE(")"), "jsonp")
                             : body_replace_create(arena, &r, "find-and-replace");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    struct arena *arena = arena_create(0);
    struct body_chain *c = body_chain_create(arena);
    struct slice body = slice_make(data + 2, n - 2);
    struct buf in, out;
    struct err err;
    bool ok = true;
    buf_init(&in);
    buf_init(&out);
    body_chain_add(c, make(arena, data[0], body));
    while (ok && !c->over) {
        struct slice piece = slice_sub(body, 0, 1 + data[1]);
        body = slice_from(body, piece.n);
        buf_append_slice(&in, piece);
        ok = body_chain_run(c, &in, body.n == 0, &out, &err);
    }
    body_chain_fini(c);
    buf_fini(&out);
    arena_destroy(&arena);
    return 0;
}
