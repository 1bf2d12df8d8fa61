/* Policies that turn a call away: ip-filter, check-header, rate-limit, quota. */
#include <string.h>

#include "proxy/filter/apim_run.h"

static struct slice scope_name(struct slice program)
{
    struct slice rest = program;
    if (slice_starts_with(program, SLICE("workspaces/"))) {
        slice_cut(&rest, '/');
        slice_cut(&rest, '/');
        program = slice_eq(rest, SLICE("policy")) ? program : rest;
    }
    if (slice_starts_with(program, SLICE("products/"))) {
        return SLICE("product");
    }
    if (!slice_starts_with(program, SLICE("apis/"))) {
        return slice_eq(program, SLICE("policy")) ? SLICE("global") : SLICE("workspace");
    }
    return slice_search(program, SLICE("/operations/")) < program.n ? SLICE("operation") : SLICE("api");
}

static bool refuse(struct filter_host *host, const char *source, const char *reason, char *message)
{
    static const char *const sections[] = {"inbound", "backend", "outbound", "on-error"};
    const struct apim_call *call = &host->apim;
    host->error = (struct filter_error){
        .source = slice_of(source),
        .reason = slice_of(reason),
        .message = slice_of(message),
        .section = slice_of(sections[call->section]),
        .path = slice_of(source),
        .scope = scope_name(call->scopes[call->scope]->name),
    };
    return false;
}

/* IPv4 as IPv4-mapped IPv6. */
static bool caller_ip(const struct filter_host *host, struct apim_ip *ip)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const struct addr *a = host->downstream->remote;
    if (a->len > 0 && a->sa.sa_family == AF_INET) {
        memcpy(ip->bytes, mapped, sizeof mapped);
        memcpy(ip->bytes + sizeof mapped, &a->in4.sin_addr, 4);
        return true;
    }
    if (a->len > 0 && a->sa.sa_family == AF_INET6) {
        memcpy(ip->bytes, &a->in6.sin6_addr, 16);
        return true;
    }
    return false;
}

static bool is_listed(const struct apim_ip_filter *f, const struct apim_ip *ip)
{
    for (size_t i = 0; i < f->n; i++) {
        if (memcmp(ip->bytes, f->ranges[i][0].bytes, 16) >= 0 && memcmp(ip->bytes, f->ranges[i][1].bytes, 16) <= 0) {
            return true;
        }
    }
    return false;
}

bool apim_check_ip(struct filter_host *host, const struct apim_ip_filter *f)
{
    struct apim_ip ip;
    char text[ADDR_TEXT];
    if (!caller_ip(host, &ip)) {
        refuse(host, "ip-filter", "FailedToParseCallerIP",
               arena_printf(host->arena, "Failed to establish IP address for the caller. Access denied."));
    } else if (is_listed(f, &ip) == f->allow) {
        return true;
    } else if (f->allow) {
        refuse(host, "ip-filter", "CallerIpNotAllowed",
               arena_printf(host->arena, "Caller IP address %s is not allowed. Access denied.",
                            addr_ip_text(host->downstream->remote, text)));
    } else {
        refuse(host, "ip-filter", "CallerIpBlocked",
               arena_printf(host->arena, "Caller IP address is blocked. Access denied."));
    }
    apim_reply_policy(host, 403, host->error.message);
    return false;
}

bool apim_check_header(struct filter_host *host, const struct apim_check_header *h)
{
    bool present = false, fits = h->n == 0;
    struct slice value = slice_eq(h->name, SLICE("host")) ? host->request->authority : SLICE_NONE;
    if (value.n > 0) {
        present = true;
    } else {
        value = head_joined(host->request, h->name, &present);
    }
    for (size_t i = 0; i < h->n && present && !fits; i++) {
        struct slice wanted;
        bool secret = false;
        if (!apim_value_text(host, &h->values[i], &wanted, &secret)) {
            apim_reply_closed(host, SLICE("a secret of its policies is not available"));
            return false;
        }
        fits = h->ignore_case ? slice_eq_nocase(wanted, value) : slice_eq(wanted, value);
    }
    if (present && fits) {
        return true;
    }
    if (!present) {
        refuse(host, "check-header", "HeaderNotFound",
               arena_printf(host->arena, "Header %.*s was not found in the request. Access denied.", SLICE_ARG(h->name)));
    } else { /* a wrong value may be a mistyped secret: it is not repeated */
        refuse(host, "check-header", "HeaderValueNotAllowed",
               arena_printf(host->arena, "Header %.*s value is not allowed. Access denied.", SLICE_ARG(h->name)));
    }
    apim_reply_policy(host, h->code, h->message);
    return false;
}

/* ---- rate-limit, quota ---- */

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

static void reply_rate(struct filter_host *host, const struct apim_limit *l, uint32_t again_s)
{
    refuse(host, "rate-limit", "RateLimitExceeded", arena_printf(host->arena, "Rate limit is exceeded"));
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

static void reply_quota(struct filter_host *host, const struct apim_limit *l, uint32_t again_s)
{
    char *message = l->period_s == 0
                        ? arena_printf(host->arena, "Out of call volume quota.")
                        : arena_printf(host->arena, "Out of call volume quota. Quota will be replenished in %s.",
                                       span(host->arena, again_s));
    refuse(host, "quota", "QuotaExceeded", message);
    struct field after = {.name = SLICE("retry-after"), .value = slice_of(arena_printf(host->arena, "%u", again_s))};
    struct apim_failure failure = {
        .status = 403,
        .reason = SLICE("Quota Exceeded"),
        .body = slice_of(arena_printf(host->arena, "{ \"statusCode\": 403, \"message\": \"%s\" }", message)),
        .field = l->period_s == 0 ? NULL : &after,
    };
    apim_fail(host, &failure);
}

bool apim_check_limit(struct filter_host *host, const struct apim_limit *l)
{
    struct apim_call *call = &host->apim;
    struct apim_used used;
    if (call->subscription == NULL) {
        return true; /* it counts by subscription */
    }
    struct apim_use use = {
        .key = slice_hash(call->subscription->name, l->hash),
        .calls = l->calls,
        .period_s = l->period_s,
        .now_s = host->now_s,
    };
    bool passed = apim_counters_use(apim_set_counters(snapshot_apim(host->snapshot)), &use, &used);
    if ((l->remaining.n > 0 || l->total.n > 0) && call->n_limited < APIM_SCOPES) {
        call->limited[call->n_limited++] = (struct apim_limited){l, used.left};
    }
    if (!passed) {
        (l->quota ? reply_quota : reply_rate)(host, l, used.again_s);
    }
    return passed;
}
