/* limit-concurrency: who is between its two ends, counted over all workers, by key. */
#include "proxy/filter/apim_run.h"

/* In the request's arena: a request that enters nothing pays nothing. */
struct apim_held {
    struct apim_held *outer;
    uint64_t key;
};

static struct apim_counters *counters_of(const struct filter_host *host)
{
    return apim_set_counters(snapshot_apim(host->snapshot));
}

bool apim_enter(struct filter_host *host, const struct apim_enter *enter)
{
    if (apim_counters_enter(counters_of(host), enter->key, enter->most)) {
        struct apim_held *h = arena_alloc(host->arena, sizeof *h);
        *h = (struct apim_held){host->apim.held, enter->key};
        host->apim.held = h;
        return true;
    }
    apim_blame(host, "limit-concurrency", "ConcurrencyLimitExceeded", "Too many requests are under way.");
    struct apim_failure failure = {
        .status = 429,
        .reason = SLICE("Too Many Requests"),
        .body = SLICE("{ \"statusCode\": 429, \"message\": \"Too many requests are under way.\" }"),
    };
    apim_fail(host, &failure);
    return false;
}

void apim_leave(struct filter_host *host)
{
    struct apim_held *h = host->apim.held;
    if (h != NULL) { /* a response has left them all */
        host->apim.held = h->outer;
        apim_counters_leave(counters_of(host), h->key);
    }
}

void apim_leave_all(struct filter_host *host)
{
    while (host->apim.held != NULL) {
        apim_leave(host);
    }
}

void apim_end(struct filter_host *host)
{
    apim_leave_all(host);
    apim_drop_stages(host, true);
    apim_drop_stages(host, false);
}
