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
