#include <pthread.h>

#include "base/mem.h"
#include "proxy/upstream/internal.h"

struct upstream_shared {
    pthread_mutex_t lock; /* of the map; taken when a worker meets a cluster, never per request */
    struct map *clusters;
    struct map *hosts; /* "cluster::address" → struct host_shared */
    unsigned slots;
    struct stats *stats;
};

struct upstream_shared *upstream_shared_create(struct stats *stats, unsigned workers)
{
    struct upstream_shared *s = mem_alloc(sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->clusters = map_create(mem_free);
    s->hosts = map_create(NULL);
    s->slots = workers + 1;
    s->stats = stats;
    return s;
}

void upstream_shared_destroy(struct upstream_shared **s)
{
    if (*s == NULL) {
        return;
    }
    map_destroy(&(*s)->hosts);
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

struct host_shared *shared_host(struct upstream_shared *s, struct slice cluster, const char *address)
{
    struct strbuf key;
    strbuf_init(&key);
    strbuf_printf(&key, "%.*s::%s", SLICE_ARG(cluster), address);
    pthread_mutex_lock(&s->lock);
    struct host_shared *h = map_get(s->hosts, strbuf_slice(&key));
    if (h == NULL) {
        size_t size = sizeof *h + s->slots * sizeof h->slots[0];
        h = mem_alloc(size);
        h->key = mem_str_slice(strbuf_slice(&key));
        map_put(s->hosts, strbuf_slice(&key), h);
    }
    h->refs++;
    pthread_mutex_unlock(&s->lock);
    strbuf_fini(&key);
    return h;
}

void shared_host_drop(struct upstream_shared *s, struct host_shared **host)
{
    struct host_shared *h = *host;
    *host = NULL;
    pthread_mutex_lock(&s->lock);
    if (--h->refs == 0) {
        map_del(s->hosts, slice_of(h->key));
        mem_free(h->key);
        mem_free(h);
    }
    pthread_mutex_unlock(&s->lock);
}

uint64_t shared_host_figure(const struct upstream_shared *s, const struct host_shared *host, enum host_figure figure)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < s->slots; i++) {
        sum += atomic_load_explicit(&host->slots[i].n[figure], memory_order_relaxed);
    }
    return sum;
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
