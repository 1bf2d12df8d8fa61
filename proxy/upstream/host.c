/* One endpoint of a cluster at run time: what it is called, and its end. */
#include <stdio.h>

#include "base/mem.h"
#include "proxy/upstream/internal.h"

static void host_free(void *p)
{
    struct host *h = p;
    endpoint_set_unref(&h->set);
    mem_free(h);
}

/* What is said of it now; its texts live as long as the set. */
void host_describe(struct host *h, const struct endpoint_set *set, const struct endpoint_conf *ep)
{
    struct endpoint_set *before = h->set;
    h->set = endpoint_set_ref(set);
    h->endpoint = *ep;
    endpoint_set_unref(&before);
}

void host_release(struct host *h)
{
    if (--h->holds == 0) {
        loop_free_later(h->cluster->up->loop, host_free, h);
    }
}

void host_retire(struct host *h)
{
    h->gone = true;
    pool_close_all(h);
    host_release(h);
}

static void host_name(struct host *h)
{
    char text[ADDR_TEXT];
    switch (h->endpoint.kind) {
    case ENDPOINT_ADDR:
        snprintf(h->text, sizeof h->text, "%s", addr_text(&h->addr, text));
        break;
    case ENDPOINT_NAME:
        snprintf(h->text, sizeof h->text, "%.*s:%u", SLICE_ARG(h->endpoint.host), h->endpoint.port);
        break;
    case ENDPOINT_INTERNAL: {
        const struct tcp_conf *via = internal_target(h->cluster->up->snapshot, h->endpoint.host);
        struct slice where = via != NULL && via->tunnel_hostname.n > 0 ? via->tunnel_hostname : h->endpoint.host;
        snprintf(h->text, sizeof h->text, "%.*s", SLICE_ARG(where));
        break;
    }
    }
}

struct host *host_create(struct cluster *c, const struct endpoint_set *set, const struct endpoint_conf *ep,
                         const struct addr *addr)
{
    struct host *h = mem_alloc(sizeof *h);
    h->cluster = c;
    host_describe(h, set, ep);
    if (addr != NULL) {
        h->addr = *addr;
    }
    h->holds = 1;
    list_init(&h->idle);
    list_init(&h->busy);
    list_init(&h->dialing);
    list_init(&h->waiters);
    host_name(h);
    return h;
}
