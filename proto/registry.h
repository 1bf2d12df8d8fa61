/* registry: which messages an Any may carry, and every message below them. A table in the binary; any thread. */
#pragma once
#include <protobuf-c/protobuf-c.h>

#include "base/slice.h"

#define REGISTRY_PREFIX "type.googleapis.com/"

/* What stands behind the last slash is the message's name; NULL when we do not have it, or there is no slash. */
const ProtobufCMessageDescriptor *registry_find(struct slice type_url);
const ProtobufCMessageDescriptor *registry_find_name(struct slice full_name);
/* The roots themselves, NULL beyond the end. */
const ProtobufCMessageDescriptor *registry_at(size_t i);
