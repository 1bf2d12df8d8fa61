/* X-Forwarded-Client-Cert: what a client says of itself is not believed unless the configuration says so. */
#include "proxy/exchange/internal.h"

#define XFCC_NAME SLICE("x-forwarded-client-cert")

/* One element of the header under construction: key=value pairs with ';' between (Envoy's format). */
static void add(struct strbuf *text, const char *key, struct slice value)
{
    strbuf_printf(text, "%s%s=%.*s", text->n > 0 ? ";" : "", key, SLICE_ARG(value));
}

static void add_each(struct strbuf *text, const char *key, struct slice lines)
{
    while (lines.p != NULL && lines.n > 0) {
        add(text, key, slice_cut(&lines, '\n'));
    }
}

static struct slice describe_peer(const struct request *r)
{
    const struct transport_tls *peer = transport_info_tls(r->host.downstream);
    struct strbuf text;
    strbuf_init(&text);
    add_each(&text, "By", peer->local_uri_sans);
    add(&text, "Hash", peer->peer_sha256);
    if (r->hcm->xfcc_subject) { /* RFC 2253 has put a backslash before what would end the quotes */
        strbuf_printf(&text, ";Subject=\"%.*s\"", SLICE_ARG(peer->peer_subject));
    }
    if (r->hcm->xfcc_uri && peer->peer_uri_sans.n == 0) {
        add(&text, "URI", SLICE_NONE);
    } else if (r->hcm->xfcc_uri) {
        add_each(&text, "URI", peer->peer_uri_sans);
    }
    if (r->hcm->xfcc_dns) {
        add_each(&text, "DNS", peer->peer_dns_sans);
    }
    struct slice all = arena_slice(r->host.arena, strbuf_slice(&text));
    strbuf_fini(&text);
    return all;
}

void headers_client_cert(struct request *r)
{
    struct head *h = r->head;
    bool mutual = transport_info_tls(r->host.downstream)->peer_cert, present = false;
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
        own = slice_of(arena_printf(r->host.arena, "%.*s,%.*s", SLICE_ARG(given), SLICE_ARG(own)));
    }
    head_add(h, XFCC_NAME, own);
}
