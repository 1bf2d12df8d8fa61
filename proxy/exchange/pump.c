/* The one pump: request and response, every pair of protocols, tunnels and raw sessions. */
#include "proxy/exchange/internal.h"

size_t pump(struct stream *from, struct stream *to)
{
    size_t moved = 0;
    size_t waiting = buf_len(&from->in);
    size_t room = to->out_end ? 0 : stream_room(to);
    size_t n = waiting < room ? waiting : room;
    bool last = from->in_end && n == waiting && !to->out_end;
    if (n > 0) {
        struct buf bytes;
        buf_init(&bytes);
        moved = buf_move(&bytes, &from->in, n);
        stream_send(to, &bytes, last && from->trailers == NULL);
        stream_taken(from, moved);
    }
    if (last && !to->out_end) {
        if (from->trailers != NULL) {
            stream_send_trailers(to, from->trailers);
        } else {
            struct buf none;
            buf_init(&none);
            stream_send(to, &none, true);
        }
    }
    return moved;
}
