/* tcp.<stat_prefix>.…: what the sessions of a tcp_proxy are counted by. */
#include "base/mem.h"
#include "proxy/exchange/internal.h"

struct tcp_stats *exchanger_tcp_stats(struct exchanger *e, struct slice prefix)
{
    struct tcp_stats *s = map_get(e->tcp_stats, prefix);
    if (s == NULL) {
        s = mem_alloc(sizeof *s);
#define X(field, name) s->field = stat_counter(e->stats, "tcp.{envoy_tcp_prefix}." name, &prefix);
        TCP_COUNTERS(X)
#undef X
        map_put(e->tcp_stats, prefix, s);
    }
    return s;
}

void tcp_stats_free(void *p)
{
    struct tcp_stats *s = p;
#define X(field, name) stat_release(&s->field);
    TCP_COUNTERS(X)
#undef X
    mem_free(s);
}
