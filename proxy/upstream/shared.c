#include <pthread.h>

#include "base/mem.h"
#include "proxy/upstream/internal.h"

struct upstream_shared {
    pthread_mutex_t lock; /* of the map; taken when a worker meets a cluster, never per request */
    struct map *clusters;
    struct stats *stats;
};

struct upstream_shared *upstream_shared_create(struct stats *stats, unsigned workers)
{
    (void)workers;
    struct upstream_shared *s = mem_alloc(sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->clusters = map_create(mem_free);
    s->stats = stats;
    return s;
}

void upstream_shared_destroy(struct upstream_shared **s)
{
    if (*s == NULL) {
        return;
    }
    map_destroy(&(*s)->clusters);
    pthread_mutex_destroy(&(*s)->lock);
    mem_free(*s);
    *s = NULL;
}

struct cluster_shared *shared_cluster(struct upstream_shared *s, struct slice name)
{
    pthread_mutex_lock(&s->lock);
    struct cluster_shared *c = map_get(s->clusters, name);
    if (c == NULL) {
        c = mem_alloc(sizeof *c);
        map_put(s->clusters, name, c);
    }
    pthread_mutex_unlock(&s->lock);
    return c;
}

static struct slice stat_name(const struct cluster_conf *conf)
{
    return conf->alt_stat_name.n > 0 ? conf->alt_stat_name : conf->name;
}

void shared_cluster_stats(struct upstream_shared *s, const struct cluster_conf *conf, struct cluster_stats *out)
{
    struct slice tag = stat_name(conf);
#define X(field, name) out->field = stat_counter(s->stats, "cluster.{envoy_cluster_name}." name, &tag);
    CLUSTER_COUNTERS(X)
#undef X
    out->cx_active = stat_gauge(s->stats, "cluster.{envoy_cluster_name}.upstream_cx_active", &tag);
    out->rq_active = stat_gauge(s->stats, "cluster.{envoy_cluster_name}.upstream_rq_active", &tag);
}

void shared_cluster_stats_drop(struct upstream_shared *s, struct cluster_stats *stats)
{
    (void)s;
#define X(field, name) stat_release(&stats->field);
    CLUSTER_COUNTERS(X)
#undef X
    stat_release(&stats->cx_active);
    stat_release(&stats->rq_active);
}
