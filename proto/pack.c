#include "proto/pack.h"

#include "base/mem.h"
#include "proto/registry.h"

struct slice pack_message(const ProtobufCMessage *message, struct arena *arena)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = arena_alloc(arena, n + 1);
    protobuf_c_message_pack(message, bytes);
    return slice_make(bytes, n);
}

void pack_append(const ProtobufCMessage *message, struct strbuf *out)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(n + 1);
    protobuf_c_message_pack(message, bytes);
    strbuf_add(out, slice_make(bytes, n));
    mem_wipe(bytes, n); /* it may hold a private key */
    mem_free(bytes);
}

Google__Protobuf__Any *pack_any(const ProtobufCMessage *message, struct arena *arena)
{
    Google__Protobuf__Any *any = arena_alloc(arena, sizeof *any);
    google__protobuf__any__init(any);
    any->type_url = arena_printf(arena, REGISTRY_PREFIX "%s", message->descriptor->name);
    struct slice bytes = pack_message(message, arena);
    any->value = (ProtobufCBinaryData){.len = bytes.n, .data = (uint8_t *)(uintptr_t)bytes.p};
    return any;
}
