// rooms: base/doc base
/* Any bytes as JSON and as YAML; what JSON gives must be written and read again to the same text. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/doc/doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_again(const struct doc *d)
{
    struct strbuf first, second;
    strbuf_init(&first);
    strbuf_init(&second);
    struct arena *arena = arena_create(0);
    doc_write_json(d, &first);
    struct doc_source source = {.name = "again", .bytes = strbuf_slice(&first), .format = DOC_JSON};
    const struct doc *again = doc_parse(arena, source, NULL, NULL);
    assert(again != NULL);
    doc_write_json(again, &second);
    assert(slice_eq(strbuf_slice(&first), strbuf_slice(&second)));
    arena_destroy(&arena);
    strbuf_fini(&first);
    strbuf_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum doc_format formats[] = {DOC_JSON, DOC_YAML, DOC_AUTO};
    struct doc_limits limits = {.max_bytes = 1 << 16, .max_nodes = 10000, .max_depth = 32};
    for (size_t i = 0; i < 3; i++) {
        struct arena *arena = arena_create(0);
        struct err err = {.kind = ERR_NONE};
        struct doc_source source = {.name = "fuzz", .bytes = slice_make(data, size), .format = formats[i]};
        const struct doc *d = doc_parse(arena, source, &limits, &err);
        assert((d == NULL) == (err.kind != ERR_NONE));
        if (d != NULL) {
            write_again(d);
        }
        arena_destroy(&arena);
    }
    return 0;
}
