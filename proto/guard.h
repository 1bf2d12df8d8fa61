/*
 * guard: the only way from bytes to a message. protobuf-c's own unpacking recurses without a limit and keeps what
 * it does not know, so the bytes are first scanned: depth, size, and how much memory the message will take; text
 * that is not UTF-8 or holds a NUL; a single field or a map's key given twice, or two members of a oneof (two readers
 * could take different ones); fields that Envoy has and we do not. No state; any thread.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"
#include "proto/support.h"

struct guard {
    size_t max_bytes;
    size_t max_fields;
    size_t max_memory; /* estimate of what the message takes */
    unsigned max_depth;
    bool allow_unbuilt;            /* for requests of foreign peers: Envoy's other fields are only counted */
    const struct support *support; /* NULL: every field of our .proto will do */
    size_t *unknown_fields;        /* added to; may be NULL */
};

struct guard guard_default(void); /* 64 MB, 16 million fields, 512 MB, depth 64 */

/* In the arena, with all it refers to; NULL on failure, "path.to.field: reason" in err. g NULL: the default. */
void *guard_unpack(const struct guard *g, const ProtobufCMessageDescriptor *type, struct slice bytes,
                   struct arena *arena, struct err *err);
/* The next field of a message by itself: all its bytes; payload: of what has a length. false: not a message. */
struct guard_field {
    uint32_t number;
    bool has_length;
    struct slice all, payload;
};
bool guard_next_field(struct slice *message, struct guard_field *out);
/* The same by type URL: an Any's content. */
void *guard_unpack_any(const struct guard *g, struct slice type_url, struct slice bytes, struct arena *arena,
                       struct err *err);
