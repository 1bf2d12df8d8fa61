/*
 * A key twice in one map: on the wire the last one counts, for a reader of the list perhaps the first. Refused,
 * and so is an entry whose message is missing, so that nobody meets a NULL in a map.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/err.h"
#include "proto/field.h"

bool map_keys_check(const ProtobufCMessage *m, const struct field_path *at, struct err *err);
