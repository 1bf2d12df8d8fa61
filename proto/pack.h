/* Message → bytes. Deterministic: fields by number, lists and maps in the order they are held. */
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"
#include "pb/google/protobuf/any.pb-c.h"

struct slice pack_message(const ProtobufCMessage *message, struct arena *arena);
void pack_append(const ProtobufCMessage *message, struct strbuf *out);
/* An Any around it, all in the arena. */
Google__Protobuf__Any *pack_any(const ProtobufCMessage *message, struct arena *arena);
