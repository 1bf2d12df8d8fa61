#include "proxy/http/h1_out.h"

void h1_out_start(struct h1_out *o, enum h1_framing framing, const struct head *head)
{
    *o = (struct h1_out){.framing = framing};
    if (framing == H1_LENGTH && head->content_length > 0) {
        o->left = (uint64_t)head->content_length;
    }
}

void h1_out_body(struct h1_out *o, struct buf *out, struct buf *bytes)
{
    if (o->framing == H1_LENGTH) {
        if (bytes->len > o->left) {
            o->broken = true; /* what is too much would be read as the next message */
            struct buf fits;
            buf_init(&fits);
            buf_move(&fits, bytes, (size_t)o->left);
            buf_fini(bytes);
            *bytes = fits;
        }
        o->left -= bytes->len;
    }
    h1_write_body(out, o->framing, bytes);
}

void h1_out_end(struct h1_out *o, struct buf *out, const struct head *trailers)
{
    o->broken = o->broken || o->left > 0;
    if (!o->broken) {
        h1_write_end(out, o->framing, trailers);
    }
}
