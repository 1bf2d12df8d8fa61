/* One HTTP connection of the pool: its counts, what it can take, its end. */
#include "base/mem.h"
#include "proxy/upstream/conn.h"

static void conn_free(void *p)
{
    mem_free(p);
}

/* The pool is not in the way of a lent stream's events: it learns of its end through on_capacity. */
static void gauge_move(struct stat_handle *gauge, unsigned slot, int diff)
{
    if (diff > 0) {
        stat_add(gauge, slot, (uint64_t)diff);
    } else {
        stat_sub(gauge, slot, (uint64_t)-diff);
    }
}

void conn_count(struct conn *c, unsigned now)
{
    struct cluster *cluster = c->host->cluster;
    unsigned slot = upstream_slot(cluster->up);
    int diff = (int)now - (int)c->streams;
    if (diff == 0) {
        return;
    }
    c->streams = now;
    c->host->active = (unsigned)((int)c->host->active + diff);
    host_add(c->host, HOST_rq_active, diff);
    cluster->up->streams = (unsigned)((int)cluster->up->streams + diff);
    gauge_move(cluster->stats.rq_active, slot, diff);
    atomic_fetch_add_explicit(&cluster->shared->requests, (unsigned)diff, memory_order_relaxed);
}

void conn_end(struct conn *c)
{
    struct host *h = c->host;
    struct cluster *cluster = h->cluster;
    unsigned slot = upstream_slot(cluster->up);
    conn_count(c, 0);
    timer_cancel(&c->idle);
    timer_cancel(&c->age);
    list_remove(&c->link);
    list_remove(&c->every);
    if (c->dialer != NULL) {
        h->n_dialing--;
        dialer_cancel(&c->dialer);
    }
    http_client_close(&c->client);
    if (c->counted) {
        stat_sub(cluster->stats.cx_active, slot, 1);
        host_add(h, HOST_cx_active, -1);
        stat_add(cluster->stats.cx_destroy, slot, 1);
    }
    atomic_fetch_sub_explicit(&cluster->shared->connections, 1, memory_order_relaxed);
    loop_free_later(cluster->up->loop, conn_free, c);
    host_release(h);
    cluster_release(cluster);
}

bool conn_is_spent(const struct conn *c)
{
    uint32_t max = c->host->cluster->conf->max_requests;
    return c->draining || http_client_is_ending(c->client) || (max != 0 && http_client_opened(c->client) >= max);
}

struct slice conn_name_for(const struct host *h, const struct acquire *a)
{
    struct slice name = h->cluster->conf->auto_sni ? route_host_of(a->request.authority) : SLICE_NONE;
    return name.n < sizeof ((struct conn *)0)->sni ? name : SLICE_NONE;
}

bool conn_can_take(struct conn *c, const struct acquire *a)
{
    if (conn_is_spent(c) || !http_client_can_open(c->client)) {
        return false;
    }
    if (!slice_eq(slice_of(c->sni), conn_name_for(c->host, a)) || (a->request.fresh && c->served)) {
        return false;
    }
    return !a->request.extended_connect || !c->h2 || http_client_extended_connect(c->client);
}
