/* rate-limit and quota: calls of a subscription in a window. */
#include "proxy/filter/apim_run.h"

void apim_limit_headers(struct filter_host *host, struct head *response)
{
    const struct apim_call *call = &host->apim;
    for (unsigned i = 0; i < call->n_limited; i++) {
        const struct apim_limited *l = &call->limited[i];
        if (l->limit->remaining.n > 0) {
            head_set(response, arena_slice(host->arena, l->limit->remaining),
                     slice_of(arena_printf(host->arena, "%u", l->left)));
        }
        if (l->limit->total.n > 0) {
            head_set(response, arena_slice(host->arena, l->limit->total),
                     slice_of(arena_printf(host->arena, "%u", l->limit->calls)));
        }
    }
}

/* ---- refusing ---- */

static void reply_rate(struct filter_host *host, const struct apim_limit *l, uint32_t again_s)
{
    apim_blame(host, "rate-limit", "RateLimitExceeded", "Rate limit is exceeded");
    struct field after = {.name = arena_slice(host->arena, l->retry_after),
                          .value = slice_of(arena_printf(host->arena, "%u", again_s))};
    struct apim_failure failure = {
        .status = 429,
        .reason = SLICE("Too Many Requests"),
        .body = slice_of(arena_printf(
            host->arena, "{ \"statusCode\": 429, \"message\": \"Rate limit is exceeded. Try again in %u seconds.\" }",
            again_s)),
        .field = &after,
    };
    apim_fail(host, &failure);
}

/* "[d.]hh:mm:ss" */
static const char *span(struct arena *arena, uint32_t s)
{
    uint32_t days = s / 86400, hours = s / 3600 % 24, minutes = s / 60 % 60;
    return days > 0 ? arena_printf(arena, "%u.%02u:%02u:%02u", days, hours, minutes, s % 60)
                    : arena_printf(arena, "%02u:%02u:%02u", hours, minutes, s % 60);
}

/* again_s 0: never. */
static void reply_quota(struct filter_host *host, uint32_t again_s)
{
    char *message = again_s == 0
                        ? arena_printf(host->arena, "Out of call volume quota.")
                        : arena_printf(host->arena, "Out of call volume quota. Quota will be replenished in %s.",
                                       span(host->arena, again_s));
    apim_blame(host, "quota", "QuotaExceeded", message);
    struct field after = {.name = SLICE("retry-after"), .value = slice_of(arena_printf(host->arena, "%u", again_s))};
    struct apim_failure failure = {
        .status = 403,
        .reason = SLICE("Quota Exceeded"),
        .body = slice_of(arena_printf(host->arena, "{ \"statusCode\": 403, \"message\": \"%s\" }", message)),
        .field = again_s == 0 ? NULL : &after,
    };
    apim_fail(host, &failure);
}

static void reply(struct filter_host *host, const struct apim_limit *l, uint32_t again_s)
{
    if (l->quota) {
        reply_quota(host, again_s);
    } else {
        reply_rate(host, l, again_s);
    }
}

/* ---- counting ---- */

static bool use(struct filter_host *host, struct apim_use use, struct apim_used *used)
{
    use.key = slice_hash(host->apim.subscription->name, use.key);
    use.now_s = host->now_s;
    return apim_counters_use(apim_set_counters(snapshot_apim(host->snapshot)), &use, used);
}

static bool concerns(const struct apim_narrow *n, const struct apim_match *m)
{
    const struct apim_api_conf *api = &m->api->conf;
    return (n->api_id.n == 0 || slice_eq_nocase(n->api_id, api->api_id)) &&
           (n->api_name.n == 0 || slice_eq_nocase(n->api_name, api->display_name)) &&
           (n->operation_id.n == 0 ||
            (m->operation != NULL && slice_eq_nocase(n->operation_id, m->operation->conf.id)));
}

/* Those for one API or operation count by themselves: all must let the call through. */
static bool use_narrower(struct filter_host *host, const struct apim_limit *l, struct apim_used *used)
{
    for (size_t i = 0; i < l->n_narrower; i++) {
        const struct apim_narrow *n = &l->narrower[i];
        uint64_t place = l->hash ^ (0x9e3779b97f4a7c15u * (i + 1)) ^ ((uint64_t)n->calls << 32 | n->period_s);
        struct apim_use one = {.key = place, .calls = n->calls, .period_s = n->period_s};
        if (concerns(n, host->apim.match) && !use(host, one, used)) {
            return false;
        }
    }
    return true;
}

bool apim_check_limit(struct filter_host *host, const struct apim_limit *l)
{
    struct apim_call *call = &host->apim;
    struct apim_used used;
    if (call->subscription == NULL) {
        return true; /* it counts by subscription */
    }
    bool passed = use(host, (struct apim_use){.key = l->hash, .calls = l->calls, .period_s = l->period_s}, &used);
    if ((l->remaining.n > 0 || l->total.n > 0) && call->n_limited < APIM_SCOPES) {
        call->limited[call->n_limited++] = (struct apim_limited){l, used.left};
    }
    passed = passed && use_narrower(host, l, &used);
    if (!passed) {
        reply(host, l, used.again_s);
    }
    return passed;
}
