/*
 * grpc: messages on an HTTP/2 stream: one byte of flags, four of length, the bytes (gRPC over HTTP/2, "Length-Prefixed-
 * Message"). Incremental, pure. Compressed messages are refused: nobody here offers a grpc-encoding.
 */
#pragma once
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

enum { GRPC_PREFIX = 5 };

enum grpc_result { GRPC_MORE, GRPC_MESSAGE, GRPC_BAD };

struct grpc_reader { /* a plain value */
    size_t max;      /* bytes of a message */
    size_t left;     /* of the message being read */
    bool in_message;
    struct buf message;
};

void grpc_reader_init(struct grpc_reader *r, size_t max_message);
void grpc_reader_fini(struct grpc_reader *r);
/* Takes bytes from `in`, at most to the end of one message. GRPC_MESSAGE: it was moved to out (which was empty).
 * GRPC_BAD: compressed or larger than max; the stream is of no further use. */
enum grpc_result grpc_read(struct grpc_reader *r, struct buf *in, struct buf *out, struct err *err);
/* Nothing of an unfinished message has been seen: the stream may end here. */
bool grpc_reader_is_clean(const struct grpc_reader *r);

/* Names of the status codes: "DEADLINE_EXCEEDED", or in camel case "DeadlineExceeded"; NULL: no such code. */
enum { GRPC_STATUS_CODES = 17 };
const char *grpc_status_name(uint64_t code, bool camel);

/* Moves message behind its prefix. */
void grpc_write(struct buf *out, struct buf *message);
