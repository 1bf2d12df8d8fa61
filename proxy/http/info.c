#include <string.h>

#include "base/mem.h"
#include "proxy/http/internal.h"

enum { LIMIT_MIN = 16 << 10, LIMIT_MAX = TRANSPORT_OUT_HIGH };

size_t connection_limit(struct transport *t, uint32_t buffer_limit)
{
    size_t limit = buffer_limit == 0 || buffer_limit > LIMIT_MAX ? LIMIT_MAX : buffer_limit;
    if (limit < LIMIT_MIN) {
        limit = LIMIT_MIN;
    }
    t->in_limit = limit;
    t->out_high = limit;
    return limit;
}

void connection_hold_head(struct transport *t, size_t max_head_bytes)
{
    if (t->in_limit <= max_head_bytes) {
        t->in_limit = max_head_bytes + 1;
    }
}

char *transport_info_copy(struct transport_info *to, const struct transport_info *from)
{
    *to = *from;
    struct slice *texts[] = {&to->tls_version,  &to->cipher,       &to->alpn,        &to->sni,
                             &to->peer_uri_san, &to->peer_dns_san, &to->peer_subject, &to->peer_uri_sans,
                             &to->peer_dns_sans, &to->local_uri_sans, &to->peer_sha256};
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        n += texts[i]->n;
    }
    if (n == 0) {
        return NULL;
    }
    char *block = mem_alloc(n), *at = block;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i]->n > 0) {
            memcpy(at, texts[i]->p, texts[i]->n);
            texts[i]->p = at;
            at += texts[i]->n;
        }
    }
    return block;
}
