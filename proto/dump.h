/*
 * dump: message → JSON for people and /config_dump: names as in the .proto, what is not set left out, Any opened,
 * private keys, passwords, ticket keys, generic secrets and key digests replaced by "[redacted]".
 */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

#include "base/strbuf.h"

/* `indent` spaces a level; 0: all on one line. */
void dump_json(const ProtobufCMessage *m, unsigned indent, struct strbuf *out);
