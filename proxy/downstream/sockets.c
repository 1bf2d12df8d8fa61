/* The process's listening descriptors, by address text: main thread only. */
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "proxy/downstream/downstream.h"
#include "proxy/net/listen.h"

struct open_socket {
    int fd;
};

struct listen_sockets {
    struct map *by_address;
};

static void socket_close(void *p)
{
    struct open_socket *s = p;
    close(s->fd);
    mem_free(s);
}

struct listen_sockets *listen_sockets_create(void)
{
    struct listen_sockets *l = mem_alloc(sizeof *l);
    l->by_address = map_create(socket_close);
    return l;
}

void listen_sockets_destroy(struct listen_sockets **l)
{
    if (*l != NULL) {
        map_destroy(&(*l)->by_address);
        mem_free(*l);
        *l = NULL;
    }
}

void listen_sockets_adopt(struct listen_sockets *l, struct slice address, int fd)
{
    struct open_socket *s = mem_alloc(sizeof *s);
    s->fd = fd;
    map_put(l->by_address, address, s);
}

static bool wants_socket(const struct listener_conf *c)
{
    return !c->internal && c->bind_to_port && c->addr.len > 0;
}

bool listen_sockets_update(struct listen_sockets *l, const struct snapshot *snapshot, struct err *err)
{
    struct strbuf problems;
    strbuf_init(&problems);
    for (size_t i = 0; i < snapshot_listener_count(snapshot); i++) {
        const struct listener_conf *c = snapshot_listener_at(snapshot, i);
        char text[ADDR_TEXT];
        if (!wants_socket(c) || listen_sockets_fd(l, &c->addr) >= 0) {
            continue;
        }
        struct listen_options options = {.backlog = c->backlog, .transparent = c->transparent, .freebind = c->freebind};
        struct err why;
        int fd = listen_open(&c->addr, &options, &why);
        if (fd >= 0) {
            listen_sockets_adopt(l, slice_of(addr_text(&c->addr, text)), fd);
        } else {
            strbuf_printf(&problems, "%slistener %.*s: %s", problems.n > 0 ? "\n" : "", SLICE_ARG(c->name), why.text);
        }
    }
    bool ok = problems.n == 0;
    if (!ok) {
        err_set(err, ERR_IO, "%s", strbuf_cstr(&problems));
    }
    strbuf_fini(&problems);
    return ok;
}

void listen_sockets_trim(struct listen_sockets *l, const struct snapshot *snapshot)
{
    struct map_item *next;
    for (struct map_item *i = map_first(l->by_address); i != NULL; i = next) {
        bool wanted = false;
        next = map_next(i);
        for (size_t n = 0; n < snapshot_listener_count(snapshot); n++) {
            const struct listener_conf *c = snapshot_listener_at(snapshot, n);
            char text[ADDR_TEXT];
            wanted |= wants_socket(c) && slice_eq(slice_of(addr_text(&c->addr, text)), map_key(i));
        }
        if (!wanted) {
            map_del(l->by_address, map_key(i));
        }
    }
}

int listen_sockets_fd(const struct listen_sockets *l, const struct addr *address)
{
    char text[ADDR_TEXT];
    const struct open_socket *s = map_get(l->by_address, slice_of(addr_text(address, text)));
    return s == NULL ? -1 : s->fd;
}

size_t listen_sockets_count(const struct listen_sockets *l)
{
    return map_count(l->by_address);
}

void listen_sockets_at(const struct listen_sockets *l, size_t i, struct slice *address, int *fd)
{
    struct map_item *item = map_first(l->by_address);
    while (i-- > 0) {
        item = map_next(item);
    }
    *address = map_key(item);
    *fd = ((const struct open_socket *)map_value(item))->fd;
}
