/* The face of an upstream connection: HTTP/1 and HTTP/2 behind one set of calls. */
#include "proxy/http/internal.h"

/* struct http_client is whatever starts with a struct client_side. */
static struct client_side *side(const struct http_client *c)
{
    return (struct client_side *)(uintptr_t)c;
}

struct http_client *http_client_create(struct transport **t, bool h2, const struct http_client_config *config,
                                       const struct http_client_events *events, void *ctx)
{
    struct transport *taken = *t;
    *t = NULL;
    struct client_side *c =
        h2 ? h2_client_create(taken, config, events, ctx) : h1_client_create(taken, config, events, ctx);
    c->h2 = h2;
    return (struct http_client *)(void *)c;
}

struct stream *http_client_open(struct http_client *c, struct arena *arena, const struct stream_events *events,
                                void *ctx)
{
    if (!http_client_can_open(c)) {
        return NULL;
    }
    side(c)->opened++;
    return side(c)->ops->open(side(c), arena, events, ctx);
}

bool http_client_can_open(const struct http_client *c)
{
    return side(c)->ops->can_open(side(c));
}

bool http_client_is_ending(const struct http_client *c)
{
    return side(c)->ops->is_ending(side(c));
}

bool http_client_is_h2(const struct http_client *c)
{
    return side(c)->h2;
}

unsigned http_client_streams(const struct http_client *c)
{
    return side(c)->ops->streams(side(c));
}

bool http_client_extended_connect(const struct http_client *c)
{
    return side(c)->ops->extended_connect(side(c));
}

uint64_t http_client_opened(const struct http_client *c)
{
    return side(c)->opened;
}

const struct transport_info *http_client_info(const struct http_client *c)
{
    return side(c)->ops->info(side(c));
}

void http_client_close(struct http_client **c)
{
    if (*c != NULL) {
        struct client_side *old = side(*c);
        *c = NULL;
        old->ops->close(old);
    }
}

void http_client_drain(struct http_client *c)
{
    side(c)->ops->drain(side(c));
}
