/* X-Forwarded-Client-Cert: what a client says of itself is not believed unless the configuration says so. */
#include "proxy/exchange/internal.h"

#define XFCC_NAME SLICE("x-forwarded-client-cert")

static struct slice add(struct arena *arena, struct slice before, const char *key, struct slice value)
{
    return slice_of(arena_printf(arena, "%.*s%s%s=%.*s", SLICE_ARG(before), before.n > 0 ? ";" : "", key,
                                 SLICE_ARG(value)));
}

static struct slice quoted(struct arena *arena, struct slice text)
{
    char *to = arena_alloc(arena, 2 * text.n + 2);
    size_t n = 0;
    to[n++] = '"';
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"' || text.p[i] == '\\') {
            to[n++] = '\\';
        }
        to[n++] = text.p[i];
    }
    to[n++] = '"';
    return slice_make(to, n);
}

static struct slice describe_peer(const struct request *r)
{
    const struct transport_info *peer = r->host.downstream;
    struct arena *arena = r->host.arena;
    struct slice text = SLICE_NONE;
    if (r->hcm->xfcc_subject && peer->peer_subject.n > 0) {
        text = add(arena, text, "Subject", quoted(arena, peer->peer_subject));
    }
    if (r->hcm->xfcc_uri && peer->peer_uri_san.n > 0) {
        text = add(arena, text, "URI", peer->peer_uri_san);
    }
    if (r->hcm->xfcc_dns && peer->peer_dns_san.n > 0) {
        text = add(arena, text, "DNS", peer->peer_dns_san);
    }
    return text;
}

void headers_client_cert(struct request *r)
{
    struct head *h = r->head;
    bool mutual = r->host.downstream->tls && r->host.downstream->peer_cert, present = false;
    if (r->hcm->xfcc == XFCC_ALWAYS_FORWARD || (mutual && r->hcm->xfcc == XFCC_FORWARD_ONLY)) {
        return;
    }
    struct slice given = head_joined(h, XFCC_NAME, &present);
    head_remove(h, XFCC_NAME);
    if (!mutual || r->hcm->xfcc == XFCC_SANITIZE) {
        return;
    }
    struct slice own = describe_peer(r);
    if (r->hcm->xfcc == XFCC_APPEND_FORWARD && given.n > 0) {
        own = own.n == 0 ? given : slice_of(arena_printf(r->host.arena, "%.*s,%.*s", SLICE_ARG(given), SLICE_ARG(own)));
    }
    if (own.n > 0) {
        head_add(h, XFCC_NAME, own);
    }
}
