/* The one pump: request and response, every pair of protocols, tunnels and raw sessions. */
#include "proxy/exchange/internal.h"

/* What fits now; asked for until there is no room or nothing left, so that a sink without room knows that we wait. */
static size_t fits(const struct stream *from, const struct stream *to)
{
    size_t waiting = buf_len(&from->in);
    if (waiting == 0 || to->out_end) {
        return 0;
    }
    size_t room = stream_room(to);
    return waiting < room ? waiting : room;
}

static void send_end(struct stream *from, struct stream *to)
{
    struct buf none;
    if (from->trailers != NULL) {
        stream_send_trailers(to, from->trailers);
        return;
    }
    buf_init(&none);
    stream_send(to, &none, true);
}

size_t pump(struct stream *from, struct stream *to)
{
    size_t moved = 0;
    for (size_t n; (n = fits(from, to)) > 0;) {
        struct buf bytes;
        buf_init(&bytes);
        buf_move(&bytes, &from->in, n);
        bool last = from->in_end && buf_is_empty(&from->in) && from->trailers == NULL;
        stream_send(to, &bytes, last);
        moved += n;
    }
    if (moved > 0) {
        stream_taken(from, moved);
    }
    if (from->in_end && buf_is_empty(&from->in) && !to->out_end) {
        send_end(from, to);
    }
    return moved;
}
