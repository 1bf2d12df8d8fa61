// rooms: proto base/doc base
/* Any document as a bootstrap; what is read, shown and read again must be the same message. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "pb/envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "proto/guard.h"
#include "proto/pack.h"
#include "proto/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_create(0);
    struct doc_limits limits = {.max_bytes = 1 << 16, .max_nodes = 10000, .max_depth = 32};
    struct doc_source source = {.name = "fuzz", .bytes = slice_make(data, size), .format = DOC_YAML};
    const struct doc *d = doc_parse(arena, source, &limits, NULL);
    struct walk w = {.arena = arena};
    const ProtobufCMessageDescriptor *type = &envoy__config__bootstrap__v3__bootstrap__descriptor;
    struct err err = {.kind = ERR_NONE};
    ProtobufCMessage *m = d == NULL ? NULL : walk_message(&w, d, type, &err);
    assert(d == NULL || (m == NULL) == (err.kind != ERR_NONE));
    if (m != NULL) {
        struct slice bytes = pack_message(m, arena);
        struct guard guard = guard_default();
        guard.max_depth = 200; /* a level of a Struct in the document is three in the message */
        ProtobufCMessage *again = guard_unpack(&guard, type, bytes, arena, &err);
        assert(again != NULL && slice_eq(bytes, pack_message(again, arena)));
    }
    arena_destroy(&arena);
    return 0;
}
