/*
 * 421 Misdirected Request (RFC 9110 15.5.20): a request whose authority belongs to another filter chain than the one its
 * connection was made for. It is refused only if that makes a difference: another certificate or another client policy.
 * Without it, a connection that was let in by one name's rules could speak to another's (RFC 9113 9.1.1).
 */
#include "proxy/exchange/internal.h"

static struct slice lower_case(struct arena *arena, struct slice s)
{
    char *p = arena_str(arena, s);
    for (size_t i = 0; i < s.n; i++) {
        p[i] = ascii_lower(p[i]);
    }
    return slice_make(p, s.n);
}

static bool same_policy(const struct chain_conf *a, const struct chain_conf *b)
{
    return a->tls != NULL && b->tls != NULL && a->require_client_cert == b->require_client_cert &&
           slice_eq(tls_context_hash(a->tls), tls_context_hash(b->tls));
}

bool request_is_misdirected(struct request *r)
{
    const struct transport_info *info = r->host.downstream;
    const struct connection_view *c = r->connection;
    struct slice host = route_host_of(r->head->authority);
    if (info->tls == NULL || c->sni.n == 0 || host.n == 0 || slice_eq_nocase(host, c->sni)) {
        return false;
    }
    struct chain_query query = {
        .local = info->local,
        .remote = info->remote,
        .sni = lower_case(r->host.arena, host),
        .transport_protocol = SLICE("tls"),
        .alpns = &info->tls->alpn,
        .n_alpns = info->tls->alpn.n > 0,
    };
    const struct chain_conf *chosen = listener_choose_chain(r->listener, &query);
    if (chosen == NULL || chosen == c->chain || same_policy(chosen, c->chain)) {
        return false;
    }
    reply_plain(r, 421, "", 0, "misdirected_request");
    return true;
}
