// rooms: proto base
/* The first byte chooses the message, the rest are its bytes. What is taken can be packed, dumped and taken again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "proto/dump.h"
#include "proto/guard.h"
#include "proto/pack.h"
#include "proto/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    size_t n = 0;
    while (registry_at(n) != NULL) {
        n++;
    }
    const ProtobufCMessageDescriptor *type = registry_at(data[0] % n);
    struct arena *arena = arena_create(0);
    struct guard guard = guard_default();
    guard.allow_unbuilt = (data[0] & 0x80) != 0;
    guard.max_memory = 64u << 20;
    struct err err = {.kind = ERR_NONE};
    ProtobufCMessage *m = guard_unpack(&guard, type, slice_make(data + 1, size - 1), arena, &err);
    assert((m == NULL) == (err.kind != ERR_NONE));
    if (m != NULL) {
        struct slice bytes = pack_message(m, arena);
        guard.allow_unbuilt = true;
        ProtobufCMessage *again = guard_unpack(&guard, type, bytes, arena, &err);
        assert(again != NULL);
        struct strbuf out;
        strbuf_init(&out);
        dump_json(again, 1, &out);
        strbuf_fini(&out);
    }
    arena_destroy(&arena);
    return 0;
}
