/*
 * Credit for what the peer sends. Of a stream it comes back when the owner took the bytes; while the inbox budget is
 * under pressure only when nothing of the stream waits any more, and all streams get smaller windows (RFC 9113 6.9.2:
 * they may become negative), so that what many stalled readers can pin stays bounded.
 */
#include "proxy/codec/h2_impl.h"

enum {
    WINDOW_PRESSED = 65535,
    WINDOW_TIGHT = 16 << 10,
    WINDOW_REST_US = 1000000, /* until a larger one is announced again */
};

void h2_hold(struct h2_stream_impl *st, size_t n)
{
    struct h2_session *s = st->pub.session;
    if (s->config.inbox != NULL) {
        st->held += n;
        budget_take(s->config.inbox, &s->held, n);
    }
}

void h2_unhold(struct h2_stream_impl *st, uint64_t n)
{
    struct h2_session *s = st->pub.session;
    n = n < st->held ? n : st->held;
    if (n > 0) {
        st->held -= n;
        budget_give(s->config.inbox, &s->held, n);
    }
}

static enum budget_pressure pressure(const struct h2_session *s)
{
    return s->config.inbox == NULL ? BUDGET_FREE : budget_pressure(s->config.inbox);
}

uint32_t h2_window_now(const struct h2_session *s)
{
    enum budget_pressure p = pressure(s);
    uint32_t most = p == BUDGET_FREE ? s->config.stream_window : p == BUDGET_HALF ? WINDOW_PRESSED : WINDOW_TIGHT;
    return s->config.stream_window < most ? s->config.stream_window : most;
}

/* Smaller at once, larger only after a while below a quarter: a peer is not to be flooded with SETTINGS. */
void h2_adapt_window(struct h2_session *s)
{
    uint32_t window = h2_window_now(s);
    if (window == s->window || s->over) {
        return;
    }
    if (window > s->window && (budget_used(s->config.inbox) >= s->config.inbox->limit / 4 ||
                               s->now_us < s->window_set_us + WINDOW_REST_US)) {
        return;
    }
    nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    if (nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, &entry, 1) == 0) {
        s->window = window;
        s->window_set_us = s->now_us;
    }
}

bool h2_is_over_share(const struct h2_session *s)
{
    return s->config.inbox != NULL && budget_is_over_share(s->config.inbox, s->held);
}

void h2_taken(struct h2_stream *pub, size_t n)
{
    struct h2_stream_impl *st = h2_impl(pub);
    h2_unhold(st, n);
    st->owed += n;
    bool wait = st->held > 0 && pressure(pub->session) != BUDGET_FREE;
    if (st->owed > 0 && !wait && !st->closed) {
        nghttp2_session_consume_stream(pub->session->ng, pub->id, st->owed);
        st->owed = 0;
    }
}

void h2_dropped(struct h2_stream *pub)
{
    struct h2_stream_impl *st = h2_impl(pub);
    h2_unhold(st, st->held);
}
