#include "xds/server/gone.h"

#include <string.h>

#include "base/list.h"
#include "base/mem.h"

enum { ROWS_MAX = 1000 };

struct row {
    struct list node;
    struct server_proxy proxy;
    char *node_id, *cluster, *peer, *user_agent;
};

struct gone {
    struct list rows; /* oldest first */
    size_t n;
};

struct gone *gone_create(void)
{
    struct gone *g = mem_alloc(sizeof *g);
    list_init(&g->rows);
    return g;
}

static void free_row(struct gone *g, struct row *r)
{
    list_remove(&r->node);
    g->n--;
    mem_free(r->node_id);
    mem_free(r->cluster);
    mem_free(r->peer);
    mem_free(r->user_agent);
    mem_free(r);
}

void gone_destroy(struct gone **gone)
{
    if (*gone == NULL) {
        return;
    }
    while (!list_is_empty(&(*gone)->rows)) {
        free_row(*gone, container_of((*gone)->rows.next, struct row, node));
    }
    mem_free(*gone);
    *gone = NULL;
}

void gone_add(struct gone *gone, const struct server_proxy *proxy)
{
    gone_remove(gone, proxy->cluster, proxy->node_id);
    struct row *r = mem_alloc(sizeof *r);
    r->node_id = mem_str(proxy->node_id);
    r->cluster = mem_str(proxy->cluster);
    r->peer = mem_str(proxy->peer);
    r->user_agent = mem_str(proxy->user_agent);
    r->proxy = *proxy;
    r->proxy.node_id = r->node_id;
    r->proxy.cluster = r->cluster;
    r->proxy.peer = r->peer;
    r->proxy.user_agent = r->user_agent;
    r->proxy.session = NULL;
    r->proxy.connected = false;
    list_push(&gone->rows, &r->node);
    gone->n++;
    if (gone->n > ROWS_MAX) {
        free_row(gone, container_of(gone->rows.next, struct row, node));
    }
}

void gone_remove(struct gone *gone, const char *cluster, const char *node_id)
{
    for (struct list *i = gone->rows.next; i != &gone->rows;) {
        struct row *r = container_of(i, struct row, node);
        i = i->next;
        if (strcmp(r->cluster, cluster) == 0 && strcmp(r->node_id, node_id) == 0) {
            free_row(gone, r);
        }
    }
}

void gone_each(const struct gone *gone, void (*fn)(void *ctx, const struct server_proxy *proxy), void *ctx)
{
    for (const struct list *i = gone->rows.next; i != &gone->rows; i = i->next) {
        fn(ctx, &container_of(i, struct row, node)->proxy);
    }
}
