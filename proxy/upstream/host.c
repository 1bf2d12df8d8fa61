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
        shared_host_drop(h->cluster->up->shared, &h->shared);
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

/* As /clusters calls it. */
static const char *host_address(const struct host *h, char text[ADDR_TEXT])
{
    return h->endpoint.kind == ENDPOINT_INTERNAL ? h->text : addr_text(&h->addr, text);
}

void host_add(struct host *h, enum host_figure figure, int diff)
{
    unsigned slot = upstream_slot(h->cluster->up);
    atomic_fetch_add_explicit(&h->shared->slots[slot].n[figure], (uint64_t)(int64_t)diff, memory_order_relaxed);
}

/* The stream's last event may come after its connection, and with it an endpoint that is none any more, has ended. */
void upstream_report(const struct upstream_target *target, enum upstream_outcome outcome)
{
    static const enum host_figure figures[] = {[UPSTREAM_ANSWERED] = HOST_rq_success,
                                               [UPSTREAM_ANSWERED_5XX] = HOST_rq_error,
                                               [UPSTREAM_BROKEN] = HOST_rq_error,
                                               [UPSTREAM_TIMED_OUT] = HOST_rq_timeout};
    if (target->endpoint != NULL && target->endpoint->shared != NULL) {
        host_add(target->endpoint, figures[outcome], 1);
    }
}

void host_print(const struct host *h, struct strbuf *text)
{
    char address[ADDR_TEXT];
    const struct cluster *c = h->cluster;
    struct strbuf name;
    strbuf_init(&name);
    strbuf_printf(&name, "%.*s::%s", SLICE_ARG(c->conf->name), host_address(h, address));
#define X(figure)                                                                                                      \
    strbuf_printf(text, "%s::" #figure "::%llu\n", strbuf_cstr(&name),                                                 \
                  (unsigned long long)shared_host_figure(c->up->shared, h->shared, HOST_##figure));
    HOST_FIGURES(X)
#undef X
    strbuf_printf(text, "%s::hostname::%.*s\n", strbuf_cstr(&name),
                  SLICE_ARG(h->endpoint.kind == ENDPOINT_NAME ? h->endpoint.host : h->endpoint.hostname));
    strbuf_printf(text, "%s::health_flags::healthy\n", strbuf_cstr(&name));
    strbuf_printf(text, "%s::weight::%u\n", strbuf_cstr(&name), h->endpoint.weight);
    strbuf_fini(&name);
}

struct host *host_create(struct cluster *c, const struct endpoint_set *set, const struct endpoint_conf *ep,
                         const struct addr *addr)
{
    struct host *h = mem_alloc(sizeof *h);
    char text[ADDR_TEXT];
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
    h->shared = shared_host(c->up->shared, c->conf->name, host_address(h, text));
    return h;
}
