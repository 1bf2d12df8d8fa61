#include "proxy/net/resolve.h"

#include <ares.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/mem.h"

enum {
    TRY_MS = 2000, /* per server and try; c-ares doubles it from the second round on */
    TRIES = 2,
    QUERY_MS = 8000, /* all servers, tries and search domains together */
    ADDRS_MAX = 256,
    NAME_MAX_BYTES = 255,
};

struct resolver {
    struct loop *loop;
    ares_channel channel;
    struct list sockets, queries;
    struct timer timer; /* c-ares' own time-outs */
};

struct resolver_socket {
    struct list link;
    int fd;
    struct event event;
    struct resolver *resolver;
};

/* Ends when c-ares no longer holds it and its owner has been told or has cancelled. */
struct resolve_query {
    struct list link;
    struct resolver *resolver;
    enum resolve_family family;
    char *name;
    void (*on_done)(void *ctx, const struct resolve_answer *answer, const struct err *err); /* NULL: nobody asks */
    void *ctx;
    bool in_ares;
    struct loop_task task;
    struct timer timer;
    struct addr *addrs;
    size_t n;
    uint32_t ttl_s;
    struct err err;
};

static void on_resolver_socket(evutil_socket_t fd, short what, void *arg);

static void plan_timeout(struct resolver *r)
{
    struct timeval tv;
    if (ares_timeout(r->channel, NULL, &tv) == NULL) {
        timer_cancel(&r->timer);
    } else {
        timer_set_in(&r->timer, (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1);
    }
}

static void on_resolver_timer(struct timer *timer)
{
    struct resolver *r = container_of(timer, struct resolver, timer);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    plan_timeout(r);
}

static void on_resolver_socket(evutil_socket_t fd, short what, void *arg)
{
    struct resolver_socket *s = arg;
    struct resolver *r = s->resolver;
    ares_process_fd(r->channel, (what & EV_READ) != 0 ? fd : ARES_SOCKET_BAD,
                    (what & EV_WRITE) != 0 ? fd : ARES_SOCKET_BAD);
    plan_timeout(r);
}

static void drop_socket(struct resolver_socket *s)
{
    event_del(&s->event);
    list_remove(&s->link);
    loop_free_later(s->resolver->loop, mem_free, s); /* it may be its own event that ends it */
}

/* c-ares says what it wants to hear of one of its sockets; neither: it is about to close it. */
static void on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct resolver *r = arg;
    struct resolver_socket *s = NULL;
    for (struct list *l = r->sockets.next; l != &r->sockets; l = l->next) {
        struct resolver_socket *one = container_of(l, struct resolver_socket, link);
        if (one->fd == fd) {
            s = one;
        }
    }
    if (!readable && !writable) {
        if (s != NULL) {
            drop_socket(s);
        }
        return;
    }
    if (s == NULL) {
        s = mem_alloc(sizeof *s);
        s->fd = fd;
        s->resolver = r;
        list_push(&r->sockets, &s->link);
    } else {
        event_del(&s->event);
    }
    short what = (short)((readable ? EV_READ : 0) | (writable ? EV_WRITE : 0) | EV_PERSIST);
    event_assign(&s->event, loop_base(r->loop), fd, what, on_resolver_socket, s);
    event_add(&s->event, NULL);
}

static void query_free(struct resolve_query *q)
{
    list_remove(&q->link);
    loop_task_cancel(&q->task);
    timer_cancel(&q->timer);
    mem_free(q->addrs);
    mem_free(q->name);
    mem_free(q);
}

/* The last thing done with the query: the owner may destroy the resolver in on_done. */
static void query_tell(struct resolve_query *q)
{
    struct resolve_answer answer = {.addrs = q->addrs, .n = q->n, .ttl_s = q->ttl_s};
    struct addr *addrs = q->addrs;
    struct err err = q->err;
    void (*on_done)(void *, const struct resolve_answer *, const struct err *) = q->on_done;
    void *ctx = q->ctx;
    q->addrs = NULL;
    q->on_done = NULL;
    timer_cancel(&q->timer);
    if (!q->in_ares) {
        query_free(q);
    }
    on_done(ctx, &answer, &err);
    mem_free(addrs);
}

static void run_query(struct loop_task *task)
{
    query_tell(container_of(task, struct resolve_query, task));
}

static bool query_fail(struct resolve_query *q, const char *reason)
{
    mem_free(q->addrs);
    q->addrs = NULL;
    q->n = 0;
    err_set(&q->err, ERR_RESOLVE, "resolve %s: %s", q->name, reason);
    q->err.retry = ERR_RETRY_ALWAYS;
    return false;
}

static void on_query_timeout(struct timer *timer)
{
    struct resolve_query *q = container_of(timer, struct resolve_query, timer);
    query_fail(q, "no answer in time");
    query_tell(q); /* c-ares cannot end one query alone; it frees what is left when it is through */
}

/* Asks the routing table, sends nothing. */
static bool has_route(const struct addr *to)
{
    struct addr there = *to;
    addr_set_port(&there, 53);
    int fd = socket(there.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && connect(fd, &there.sa, there.len) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return yes;
}

static size_t keep_family(struct resolve_query *q, sa_family_t family)
{
    size_t kept = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (q->addrs[i].sa.sa_family == family) {
            q->addrs[kept++] = q->addrs[i];
        }
    }
    q->n = kept;
    return kept;
}

static const struct addr *first_of(const struct resolve_query *q, sa_family_t family)
{
    for (size_t i = 0; i < q->n; i++) {
        if (q->addrs[i].sa.sa_family == family) {
            return &q->addrs[i];
        }
    }
    return NULL;
}

static void v6_first(struct resolve_query *q)
{
    size_t at = 0;
    for (size_t i = 0; i < q->n; i++) {
        if (q->addrs[i].sa.sa_family == AF_INET6) {
            struct addr six = q->addrs[i];
            memmove(&q->addrs[at + 1], &q->addrs[at], (i - at) * sizeof six);
            q->addrs[at++] = six;
        }
    }
}

static void choose_family(struct resolve_query *q)
{
    const struct addr *six = first_of(q, AF_INET6), *four = first_of(q, AF_INET);
    switch (q->family) {
    case RESOLVE_V4_ONLY:
        keep_family(q, AF_INET);
        break;
    case RESOLVE_V6_ONLY:
        keep_family(q, AF_INET6);
        break;
    case RESOLVE_V4_PREFERRED:
        keep_family(q, four != NULL ? AF_INET : AF_INET6);
        break;
    case RESOLVE_AUTO:
        keep_family(q, six != NULL && (four == NULL || has_route(six)) ? AF_INET6 : AF_INET);
        break;
    case RESOLVE_ALL:
        v6_first(q);
        break;
    }
    if (q->n == 0) {
        query_fail(q, "no address of the wanted family");
    }
}

static void read_nodes(struct resolve_query *q, const struct ares_addrinfo *info)
{
    q->addrs = mem_alloc(ADDRS_MAX * sizeof *q->addrs);
    int ttl = INT32_MAX;
    for (const struct ares_addrinfo_node *n = info->nodes; n != NULL && q->n < ADDRS_MAX; n = n->ai_next) {
        if (n->ai_addrlen > sizeof q->addrs->in6 || (n->ai_family != AF_INET && n->ai_family != AF_INET6)) {
            continue;
        }
        struct addr *a = &q->addrs[q->n++];
        memcpy(&a->sa, n->ai_addr, n->ai_addrlen);
        a->len = n->ai_addrlen;
        addr_set_port(a, 0);
        ttl = n->ai_ttl < ttl ? n->ai_ttl : ttl;
    }
    for (const struct ares_addrinfo_cname *c = info->cnames; c != NULL; c = c->next) {
        ttl = c->ttl < ttl ? c->ttl : ttl;
    }
    q->ttl_s = ttl > 0 && ttl != INT32_MAX ? (uint32_t)ttl : 0;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct resolve_query *q = arg;
    q->in_ares = false;
    if (q->on_done == NULL || status == ARES_EDESTRUCTION) {
        query_free(q);
    } else {
        if (status != ARES_SUCCESS) {
            query_fail(q, ares_strerror(status));
        } else {
            read_nodes(q, info);
            choose_family(q);
        }
        loop_deliver(q->resolver->loop, &q->task);
    }
    if (info != NULL) {
        ares_freeaddrinfo(info);
    }
}

static void start_query(struct resolve_query *q)
{
    struct resolver *r = q->resolver;
    struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT, .ai_family = AF_UNSPEC};
    if (q->family == RESOLVE_V4_ONLY) {
        hints.ai_family = AF_INET;
    } else if (q->family == RESOLVE_V6_ONLY) {
        hints.ai_family = AF_INET6;
    }
    timer_set_in(&q->timer, QUERY_MS);
    q->in_ares = true;
    ares_getaddrinfo(r->channel, q->name, NULL, &hints, on_answer, q);
    plan_timeout(r);
}

static bool name_is_usable(struct resolve_query *q, struct slice name)
{
    if (name.n == 0 || name.n > NAME_MAX_BYTES) {
        return query_fail(q, "a name has 1 to 255 bytes");
    }
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] <= ' ' || (unsigned char)name.p[i] >= 0x7f) {
            return query_fail(q, "a name has no control or non-ASCII characters");
        }
    }
    return true;
}

static bool answer_literal(struct resolve_query *q, struct slice name)
{
    struct addr a;
    if (!addr_parse(&a, name, 0, NULL)) {
        return false;
    }
    q->addrs = mem_alloc(sizeof a);
    q->addrs[0] = a;
    q->n = 1;
    choose_family(q);
    return true;
}

struct resolve_query *
resolver_query(struct resolver *r, struct slice name, enum resolve_family family,
               void (*on_done)(void *ctx, const struct resolve_answer *answer, const struct err *err), void *ctx)
{
    struct resolve_query *q = mem_alloc(sizeof *q);
    q->resolver = r;
    q->family = family;
    q->name = mem_str_slice(slice_sub(name, 0, NAME_MAX_BYTES));
    q->on_done = on_done;
    q->ctx = ctx;
    list_push(&r->queries, &q->link);
    loop_task_init(&q->task, run_query);
    timer_init(&q->timer, r->loop, on_query_timeout);
    if (!name_is_usable(q, name) || answer_literal(q, name)) {
        loop_deliver(r->loop, &q->task);
    } else {
        start_query(q);
    }
    return q;
}

void resolver_cancel(struct resolve_query **pointer)
{
    struct resolve_query *q = *pointer;
    *pointer = NULL;
    if (q == NULL) {
        return;
    }
    q->on_done = NULL;
    timer_cancel(&q->timer);
    loop_task_cancel(&q->task);
    if (!q->in_ares) {
        query_free(q);
    }
}

struct resolver *resolver_create_with_servers(struct loop *loop, const char *servers, struct err *err)
{
    struct resolver *r = mem_alloc(sizeof *r);
    r->loop = loop;
    list_init(&r->sockets);
    list_init(&r->queries);
    timer_init(&r->timer, loop, on_resolver_timer);
    char lookups[] = "fb"; /* /etc/hosts, then DNS */
    struct ares_options options = {
        .timeout = TRY_MS,
        .tries = TRIES,
        .lookups = lookups,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = r,
    };
    int status = ares_library_init(ARES_LIB_INIT_ALL);
    if (status == ARES_SUCCESS) {
        status = ares_init_options(&r->channel, &options,
                                   ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
    }
    if (status == ARES_SUCCESS && servers != NULL) {
        status = ares_set_servers_ports_csv(r->channel, servers);
    }
    if (status != ARES_SUCCESS) {
        err_set(err, ERR_RESOLVE, "resolver: %s", ares_strerror(status));
        resolver_destroy(&r);
    }
    return r;
}

struct resolver *resolver_create(struct loop *loop, struct err *err)
{
    return resolver_create_with_servers(loop, NULL, err);
}

void resolver_destroy(struct resolver **pointer)
{
    struct resolver *r = *pointer;
    *pointer = NULL;
    if (r == NULL) {
        return;
    }
    if (r->channel != NULL) {
        ares_destroy(r->channel); /* ends its queries and sockets through our callbacks */
    }
    while (!list_is_empty(&r->queries)) {
        query_free(container_of(r->queries.next, struct resolve_query, link));
    }
    while (!list_is_empty(&r->sockets)) {
        drop_socket(container_of(r->sockets.next, struct resolver_socket, link));
    }
    timer_cancel(&r->timer);
    mem_free(r);
}
