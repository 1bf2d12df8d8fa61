/*
 * response: one HTTP/1.1 response read from bytes as they come (RFC 9112 6.3). Pure; the body's first bytes are kept.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

enum { RESPONSE_HEAD_MAX = 65536, RESPONSE_BODY_KEPT = 65536 };

enum response_state {
    RESPONSE_HEAD,
    RESPONSE_LENGTH,
    RESPONSE_CHUNK_SIZE,
    RESPONSE_CHUNK,
    RESPONSE_CHUNK_END,
    RESPONSE_TRAILERS,
    RESPONSE_TO_CLOSE,
    RESPONSE_DONE,
    RESPONSE_BAD
};

struct response {
    enum response_state state;
    struct strbuf line; /* the head, or the line being read */
    int status;
    bool head_request, close;
    uint64_t left; /* of the body or chunk */
    struct strbuf body;
};

void response_init(struct response *r, bool head_request);
void response_fini(struct response *r);
/* Takes bytes up to the response's end and returns how many it took. See `state` for where it stands. */
size_t response_feed(struct response *r, const char *p, size_t n);
/* The peer closed; true: that is the end this response announced. */
bool response_end(struct response *r);
