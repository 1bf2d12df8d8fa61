/* h1_out: the body of one HTTP/1 message we send, held to the length its head declared. A plain value. */
#pragma once
#include "proxy/codec/h1.h"

struct h1_out {
    enum h1_framing framing;
    uint64_t left; /* of a declared length */
    bool broken;   /* more or less came than was declared: the connection cannot carry on */
};

void h1_out_start(struct h1_out *o, enum h1_framing framing, const struct head *head);
void h1_out_body(struct h1_out *o, struct buf *out, struct buf *bytes);
void h1_out_end(struct h1_out *o, struct buf *out, const struct head *trailers);
