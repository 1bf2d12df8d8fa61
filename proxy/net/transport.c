#include "proxy/net/transport.h"

#include <string.h>

static void notify_owner(struct loop_task *task)
{
    struct transport *t = container_of(task, struct transport, notify);
    if (t->events != NULL && (t->in.len > 0 || t->in_eof)) {
        t->events->on_readable(t->ctx);
    }
}

void transport_init(struct transport *t, const struct transport_ops *ops, struct loop *loop, unsigned level)
{
    *t = (struct transport){
        .ops = ops,
        .loop = loop,
        .level = level,
        .in_limit = TRANSPORT_IN_LIMIT,
        .linger_ms = TRANSPORT_LINGER_MS,
        .out_high = TRANSPORT_OUT_HIGH,
    };
    buf_init(&t->in);
    loop_task_init(&t->notify, notify_owner);
}

void transport_fini(struct transport *t)
{
    t->events = NULL;
    loop_task_cancel(&t->notify);
    buf_fini(&t->in);
}

void transport_end(struct transport *t, const struct err *why)
{
    const struct transport_events *events = t->events;
    transport_fini(t);
    if (events != NULL) {
        events->on_closed(t->ctx, why);
    }
}

void transport_own(struct transport *t, const struct transport_events *events, void *ctx)
{
    t->events = events;
    t->ctx = ctx;
    if (t->in.len > 0 || t->in_eof) {
        if (t->notify.run == NULL) {
            loop_task_init(&t->notify, notify_owner);
        }
        loop_deliver(t->loop, &t->notify);
    }
    t->ops->taken(t); /* an end that came while there was no owner is looked at again */
}
