#include "proxy/http/internal.h"

enum { LIMIT_MIN = 16 << 10, LIMIT_MAX = TRANSPORT_OUT_HIGH };

size_t connection_limit(struct transport *t, uint32_t buffer_limit)
{
    size_t limit = buffer_limit == 0 || buffer_limit > LIMIT_MAX ? LIMIT_MAX : buffer_limit;
    if (limit < LIMIT_MIN) {
        limit = LIMIT_MIN;
    }
    t->in_limit = limit;
    t->out_high = limit;
    return limit;
}

size_t inbox_limit(struct loop *loop, size_t limit)
{
    return budget_pressure(loop_inbox(loop)) == BUDGET_FREE || limit < LIMIT_MIN ? limit : LIMIT_MIN;
}

void connection_hold_head(struct transport *t, size_t max_head_bytes)
{
    if (t->in_limit <= max_head_bytes) {
        t->in_limit = max_head_bytes + 1;
    }
}
