/*
 * A request that may be sent more than once: what has gone of its body is kept, up to a limit. For retry policies, for
 * buffer-request-body, and for redirects that are followed here instead of by the caller.
 */
#include "proxy/exchange/internal.h"

void replay_begin(struct request *r, size_t limit)
{
    r->keeps_body = r->head->protocol.n == 0;
    r->keep_limit = limit;
}

void replay_end(struct request *r)
{
    r->keeps_body = false;
    buf_fini(&r->kept);
}

void replay_keep(struct request *r, const struct buf *bytes, size_t n)
{
    struct buf part;
    if (n == 0) {
        return;
    }
    if (!r->keeps_body || buf_len(&r->kept) + n > r->keep_limit) {
        if (r->keeps_body) {
            retry_lost_body(r);
        }
        replay_end(r);
        r->body_taken = true;
        return;
    }
    buf_init(&part);
    buf_share_part(&part, bytes, 0, n);
    buf_compact(&part); /* a large chunk of the reader's would be held by little */
    buf_move_all(&r->kept, &part);
}

size_t replay_pump(struct request *r)
{
    struct buf before;
    if (!r->keeps_body) {
        size_t moved = pump(r->down, r->up);
        r->body_taken |= moved > 0;
        return moved;
    }
    buf_init(&before);
    buf_share(&before, &r->down->in);
    size_t moved = pump(r->down, r->up);
    replay_keep(r, &before, moved);
    buf_fini(&before);
    return moved;
}

void replay_send(struct request *r, bool end)
{
    struct buf again;
    if (buf_is_empty(&r->kept)) {
        return;
    }
    buf_init(&again);
    buf_share(&again, &r->kept);
    stream_send(r->up, &again, end);
}

/* ---- redirects ---- */

static bool give_up(struct request *r, const char *why)
{
    struct err err;
    err_set(&err, ERR_DENIED, "%s", why);
    r->stale_retry_done = true;
    request_upstream_failed(r, &err);
    return true;
}

static void drop_body(struct request *r)
{
    body_drop_request(r);
    replay_end(r);
    r->host.replaces_request_body = true;
    r->host.request_body = SLICE_NONE;
    r->no_body = true;
}

bool replay_redirect(struct request *r, const struct head *head)
{
    if (r->host.apim.forward == NULL || !r->host.apim.forward->follows_redirects ||
        r->redirects == APIM_REDIRECTS_MAX) {
        return false;
    }
    switch (apim_redirect(&r->host, head)) {
    case APIM_REDIRECT_NONE:
        return false;
    case APIM_REDIRECT_AWAY:
        return give_up(r, "the backend redirects to another origin, which is not followed");
    case APIM_REDIRECT_NO_BODY:
        drop_body(r);
        break;
    case APIM_REDIRECT_FOLLOW:
        if (r->body_taken) {
            return give_up(r, "the request's body is too large to follow the backend's redirect with it");
        }
        break;
    }
    r->redirects++;
    stream_release(&r->up);
    request_acquire(r, false);
    return true;
}
