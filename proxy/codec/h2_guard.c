#include "proxy/codec/h2_impl.h"

enum {
    PREFACE_LEN = 24,
    USEFUL_DATA = 256, /* bytes of a DATA frame that earns something */
    EARNED_NOISE = 2,  /* frames a useful DATA frame pays for: peers that probe the bandwidth send PINGs with data */
    EARNED_UPDATES = 20,
    EARNED_BY_ANSWER = 4, /* a client may set a priority, open a window, ping, for each request */
    OVERFLOW_WEIGHT = 16, /* in resets */
    BLOCK_SLACK = 512,    /* padding, priority, size updates */
    BLOCK_NOISE = 64,     /* needless bytes that count as one frame */
    DECAY_FRAMES = 16, /* seconds until a full bucket is empty */
    DECAY_RESETS = 32,
};

void h2_guard_init(struct h2_guard *g, const struct h2_config *config)
{
    *g = (struct h2_guard){
        .frame_limit = config->max_control_frames,
        .reset_limit = config->max_resets,
        .preface_left = config->server ? PREFACE_LEN : 0,
    };
}

static void drain(uint32_t *bucket, uint64_t n)
{
    *bucket = n >= *bucket ? 0 : *bucket - (uint32_t)n;
}

void h2_guard_useful(struct h2_guard *g, size_t data_bytes, bool sent)
{
    if (data_bytes >= USEFUL_DATA) {
        drain(&g->noise, EARNED_NOISE);
    }
    if (sent && data_bytes > 0) {
        drain(&g->updates, EARNED_UPDATES);
    }
}

void h2_guard_answered(struct h2_guard *g)
{
    drain(&g->resets, 1);
    drain(&g->noise, EARNED_BY_ANSWER);
    drain(&g->updates, EARNED_BY_ANSWER);
}

static bool add_resets(struct h2_guard *g, size_t n)
{
    g->resets += (uint32_t)n;
    g->flood = H2_COUNT_RESET_FLOOD;
    return g->resets <= g->reset_limit;
}

bool h2_guard_reset(struct h2_guard *g)
{
    return add_resets(g, 1);
}

bool h2_guard_fault(struct h2_guard *g, bool overflow)
{
    return add_resets(g, (overflow ? OVERFLOW_WEIGHT : 1) + g->block_bytes / 1024);
}

void h2_guard_block(struct h2_guard *g, size_t decoded)
{
    size_t fair = decoded + BLOCK_SLACK;
    g->noise += (uint32_t)(g->block_bytes > fair ? (g->block_bytes - fair) / BLOCK_NOISE : 0);
}

static enum h2_count flood_of(unsigned type)
{
    switch (type) {
    case NGHTTP2_WINDOW_UPDATE:
        return H2_COUNT_WINDOW_UPDATE_FLOOD;
    case NGHTTP2_PRIORITY:
        return H2_COUNT_PRIORITY_FLOOD;
    case NGHTTP2_DATA:
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
        return H2_COUNT_EMPTY_FLOOD;
    default:
        return H2_COUNT_CONTROL_FLOOD;
    }
}

void h2_guard_advance(struct h2_guard *g, int64_t now_us)
{
    if (g->decayed_us == 0) {
        g->decayed_us = now_us;
        return;
    }
    int64_t seconds = (now_us - g->decayed_us) / 1000000;
    if (seconds <= 0) {
        return;
    }
    g->decayed_us += seconds * 1000000;
    uint64_t n = seconds > DECAY_RESETS ? DECAY_RESETS : (uint64_t)seconds;
    drain(&g->noise, n * (g->frame_limit / DECAY_FRAMES + 1));
    drain(&g->updates, n * (g->frame_limit / DECAY_FRAMES + 1));
    drain(&g->resets, n * (g->reset_limit / DECAY_RESETS + 1));
}

static bool count_frame(struct h2_guard *g, struct err *err)
{
    const unsigned char *h = g->header;
    size_t len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
    unsigned type = h[3], flags = h[4];
    g->payload_left = len;
    bool noise = true;
    if (type == NGHTTP2_WINDOW_UPDATE) {
        noise = false;
        g->updates++;
    } else if (type == NGHTTP2_DATA) {
        noise = (len == 0 && (flags & NGHTTP2_FLAG_END_STREAM) == 0) || (flags & NGHTTP2_FLAG_PADDED) != 0;
        h2_guard_useful(g, noise ? 0 : len, false);
    } else if (type == NGHTTP2_HEADERS) {
        noise = false;
        g->heads++;
        g->block_bytes = len;
    } else if (type == NGHTTP2_CONTINUATION) {
        noise = len == 0;
        g->block_bytes += len;
    }
    g->noise += noise;
    if (g->noise > g->frame_limit || g->updates > g->frame_limit) {
        g->flood = flood_of(type);
        return err_set(err, ERR_LIMIT, "flood of %s frames", noise ? "control or empty" : "window update");
    }
    return true;
}

static int32_t data_stream_of(const unsigned char *h)
{
    if (h[3] != NGHTTP2_DATA) {
        return 0;
    }
    return (int32_t)((uint32_t)(h[5] & 0x7f) << 24 | (uint32_t)h[6] << 16 | (uint32_t)h[7] << 8 | h[8]);
}

bool h2_guard_scan(struct h2_guard *g, struct slice bytes, size_t *n, int32_t *data_stream, struct err *err)
{
    size_t at = g->preface_left < bytes.n ? g->preface_left : bytes.n;
    g->preface_left -= at;
    *data_stream = 0;
    while (at < bytes.n && *data_stream == 0 && g->heads < H2_HEADS_A_STEP) {
        if (g->payload_left > 0) {
            size_t skip = g->payload_left < bytes.n - at ? g->payload_left : bytes.n - at;
            g->payload_left -= skip;
            at += skip;
            continue;
        }
        g->header[g->header_n++] = (unsigned char)bytes.p[at++];
        if (g->header_n == sizeof g->header) {
            g->header_n = 0;
            if (!count_frame(g, err)) {
                return false;
            }
            *data_stream = data_stream_of(g->header);
        }
    }
    *n = at;
    return true;
}
