/* RetryPolicy → retry_conf. */
#include "base/macros.h"
#include "proxy/config/routes.h"

/* Words that are not here mean nothing, as Envoy has it: a policy may name what only a newer proxy knows. */
static unsigned read_words(struct slice rest)
{
    static const struct {
        const char *word;
        enum retry_on on;
    } words[] = {
        {"5xx", RETRY_ON_5XX},
        {"gateway-error", RETRY_ON_GATEWAY_ERROR},
        {"reset", RETRY_ON_RESET},
        {"reset-before-request", RETRY_ON_RESET_BEFORE_REQUEST},
        {"connect-failure", RETRY_ON_CONNECT_FAILURE},
        {"refused-stream", RETRY_ON_REFUSED_STREAM},
        {"retriable-4xx", RETRY_ON_RETRIABLE_4XX},
        {"retriable-status-codes", RETRY_ON_STATUS_CODES},
        {"envoy-ratelimited", RETRY_ON_RATE_LIMITED},
        {"cancelled", RETRY_ON_GRPC_CANCELLED},
        {"deadline-exceeded", RETRY_ON_GRPC_DEADLINE_EXCEEDED},
        {"internal", RETRY_ON_GRPC_INTERNAL},
        {"resource-exhausted", RETRY_ON_GRPC_RESOURCE_EXHAUSTED},
        {"unavailable", RETRY_ON_GRPC_UNAVAILABLE},
    };
    unsigned on = 0;
    while (rest.p != NULL) {
        struct slice word = slice_trim(slice_cut(&rest, ','));
        for (size_t i = 0; i < ARRAY_LEN(words); i++) {
            on |= slice_eq(word, slice_of(words[i].word)) ? words[i].on : 0U;
        }
    }
    return on;
}

static bool read_back_off(struct reader *r, const Envoy__Config__Route__V3__RetryPolicy__RetryBackOff *b,
                          struct retry_conf *out)
{
    out->base_interval_ms = 25;
    out->max_interval_ms = 250;
    if (b == NULL) {
        return true;
    }
    size_t mark = read_push(r, "retry_back_off");
    uint32_t base = 0, max = 0;
    if (b->base_interval == NULL) {
        return read_required(r, "base_interval");
    }
    if (!read_ms(r, "base_interval", b->base_interval, (struct ms_rule){0, 1}, &base) ||
        !read_ms(r, "max_interval", b->max_interval, (struct ms_rule){base > UINT32_MAX / 10 ? base : base * 10, 1},
                 &max)) {
        return false;
    }
    if (max < base) {
        return read_fail(r, "max_interval", ERR_INPUT, "is below base_interval");
    }
    out->base_interval_ms = base;
    out->max_interval_ms = max;
    read_pop(r, mark);
    return true;
}

static bool read_predicates(struct reader *r, const pb_retry *m, struct retry_conf *out)
{
    for (size_t i = 0; i < m->n_retry_host_predicate; i++) {
        const pb_any *any = m->retry_host_predicate[i]->typed_config;
        const pb_type *known = &envoy__extensions__retry__host__previous_hosts__v3__previous_hosts_predicate__descriptor;
        if (any == NULL || !slice_eq(any_type_name(any), slice_of(known->name))) {
            size_t mark = read_push_at(r, "retry_host_predicate", i);
            read_fail(r, NULL, ERR_UNSUPPORTED, "only %s is supported by Egret", known->name);
            read_pop(r, mark);
            return false;
        }
        out->avoid_previous_hosts = true;
    }
    if (m->host_selection_retry_max_attempts < 0 || m->host_selection_retry_max_attempts > 1000) {
        return read_fail(r, "host_selection_retry_max_attempts", ERR_INPUT, "must be from 0 to 1000");
    }
    out->host_selection_attempts =
        m->host_selection_retry_max_attempts == 0 ? 1 : (uint32_t)m->host_selection_retry_max_attempts;
    return true;
}

bool retry_read(struct reader *r, const char *field, const pb_retry *m, const struct retry_conf **out)
{
    if (m == NULL) {
        return true;
    }
    size_t mark = read_push(r, field);
    struct retry_conf *c = arena_zalloc(r->arena, sizeof *c);
    c->on = read_words(slice_of(m->retry_on));
    c->num_retries = read_u32(m->num_retries, 1);
    uint32_t *codes = read_list(r, m->n_retriable_status_codes, sizeof *codes);
    for (size_t i = 0; i < m->n_retriable_status_codes; i++) {
        codes[i] = m->retriable_status_codes[i];
    }
    c->status_codes = codes;
    c->status_code_count = m->n_retriable_status_codes;
    uint32_t per_try_ms = 0;
    if (!read_ms(r, "per_try_timeout", m->per_try_timeout, (struct ms_rule){0, 0}, &per_try_ms) ||
        !read_back_off(r, m->retry_back_off, c) || !read_predicates(r, m, c)) {
        return false;
    }
    c->per_try_timeout_ms = per_try_ms;
    read_pop(r, mark);
    *out = c;
    return true;
}
