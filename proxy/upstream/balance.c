/* Which host of a cluster serves next. */
#include "proxy/upstream/internal.h"

static uint64_t next_random(struct upstream *u)
{
    u->random ^= u->random << 13;
    u->random ^= u->random >> 7;
    u->random ^= u->random << 17;
    return u->random;
}

static struct host *pick_by_weight(struct cluster *c, uint64_t point)
{
    uint64_t total = 0;
    for (size_t i = 0; i < c->n_hosts; i++) {
        total += c->hosts[i]->endpoint.weight;
    }
    point %= total == 0 ? 1 : total;
    for (size_t i = 0; i < c->n_hosts; i++) {
        if (point < c->hosts[i]->endpoint.weight) {
            return c->hosts[i];
        }
        point -= c->hosts[i]->endpoint.weight;
    }
    return c->hosts[0];
}

/* Everybody earns its weight, the richest serves and pays for all: turns are spread evenly whatever the weights. With
 * `by_load` who is busy earns less. */
static struct host *pick_by_turn(struct cluster *c, bool by_load)
{
    struct host *best = c->hosts[0];
    int64_t total = 0;
    for (size_t i = 0; i < c->n_hosts; i++) {
        struct host *h = c->hosts[i];
        int64_t income = ((int64_t)h->endpoint.weight << 16) / (by_load ? h->active + 1 : 1);
        h->credit += income;
        total += income;
        best = h->credit > best->credit ? h : best;
    }
    best->credit -= total;
    return best;
}

static bool weights_differ(const struct cluster *c)
{
    for (size_t i = 1; i < c->n_hosts; i++) {
        if (c->hosts[i]->endpoint.weight != c->hosts[0]->endpoint.weight) {
            return true;
        }
    }
    return false;
}

struct host *cluster_pick(struct cluster *c)
{
    if (c->n_hosts == 0) {
        return NULL;
    }
    if (c->n_hosts == 1) {
        return c->hosts[0];
    }
    switch (c->conf->lb) {
    case LB_RANDOM:
        return pick_by_weight(c, next_random(c->up));
    case LB_LEAST_REQUEST: {
        if (weights_differ(c)) {
            return pick_by_turn(c, true);
        }
        struct host *a = c->hosts[next_random(c->up) % c->n_hosts];
        struct host *b = c->hosts[next_random(c->up) % c->n_hosts];
        return a->active <= b->active ? a : b;
    }
    case LB_ROUND_ROBIN:
        break;
    }
    return pick_by_turn(c, false);
}
