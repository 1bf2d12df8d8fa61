/* Repetitions as the cluster sees them: its breaker and its counters. */
#include "base/mem.h"
#include "proxy/upstream/internal.h"

struct upstream_retry {
    struct cluster *cluster; /* held */
};

static struct stat_handle *counter_of(const struct cluster *c, enum upstream_count what)
{
    switch (what) {
    case UPSTREAM_COUNT_RETRY_LIMIT:
        return c->stats.rq_retry_limit_exceeded;
    case UPSTREAM_COUNT_RETRY_ABANDONED:
        return c->stats.retry_or_shadow_abandoned;
    case UPSTREAM_COUNT_PER_TRY_TIMEOUT:
        return c->stats.rq_per_try_timeout;
    }
    return NULL;
}

void upstream_count(struct upstream *u, struct slice cluster, enum upstream_count what)
{
    const struct cluster *c = cluster_find(u, cluster);
    if (c != NULL) {
        stat_add(counter_of(c, what), upstream_slot(u), 1);
    }
}

struct upstream_retry *upstream_retry_begin(struct upstream *u, struct slice cluster)
{
    struct cluster *c = cluster_find(u, cluster);
    if (c == NULL) {
        return NULL;
    }
    unsigned slot = upstream_slot(u);
    if (atomic_fetch_add_explicit(&c->shared->retries, 1, memory_order_relaxed) >= c->conf->breakers[0].max_retries) {
        atomic_fetch_sub_explicit(&c->shared->retries, 1, memory_order_relaxed);
        stat_add(c->stats.rq_retry_overflow, slot, 1);
        return NULL;
    }
    stat_add(c->stats.rq_retry, slot, 1);
    stat_add(c->stats.rq_retry_backoff, slot, 1);
    struct upstream_retry *r = mem_alloc(sizeof *r);
    r->cluster = c;
    cluster_hold(c);
    return r;
}

void upstream_retry_end(struct upstream_retry **retry, bool success)
{
    struct upstream_retry *r = *retry;
    *retry = NULL;
    if (r == NULL) {
        return;
    }
    if (success) {
        stat_add(r->cluster->stats.rq_retry_success, upstream_slot(r->cluster->up), 1);
    }
    atomic_fetch_sub_explicit(&r->cluster->shared->retries, 1, memory_order_relaxed);
    cluster_release(r->cluster);
    mem_free(r);
}
