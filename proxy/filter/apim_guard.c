/* Policies that turn a call away: ip-filter, check-header. */
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

bool apim_blame(struct filter_host *host, const char *source, const char *reason, const char *message)
{
    static const char *const sections[] = {"inbound", "backend", "outbound", "on-error"};
    const struct apim_call *call = &host->apim;
    host->error = (struct filter_error){
        .source = slice_of(source),
        .reason = slice_of(reason),
        .message = slice_of(message),
        .section = slice_of(sections[call->section]),
        .path = call->at != NULL && call->at->path.n > 0 ? arena_slice(host->arena, call->at->path) : slice_of(source),
        .policy_id = call->at == NULL ? SLICE_NONE : arena_slice(host->arena, call->at->policy_id),
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
        apim_blame(host, "ip-filter", "FailedToParseCallerIP",
               arena_printf(host->arena, "Failed to establish IP address for the caller. Access denied."));
    } else if (is_listed(f, &ip) == f->allow) {
        return true;
    } else if (f->allow) {
        apim_blame(host, "ip-filter", "CallerIpNotAllowed",
               arena_printf(host->arena, "Caller IP address %s is not allowed. Access denied.",
                            addr_ip_text(host->downstream->remote, text)));
    } else {
        apim_blame(host, "ip-filter", "CallerIpBlocked",
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
        apim_blame(host, "check-header", "HeaderNotFound",
               arena_printf(host->arena, "Header %.*s was not found in the request. Access denied.", SLICE_ARG(h->name)));
    } else { /* a wrong value may be a mistyped secret: it is not repeated */
        apim_blame(host, "check-header", "HeaderValueNotAllowed",
               arena_printf(host->arena, "Header %.*s value is not allowed. Access denied.", SLICE_ARG(h->name)));
    }
    apim_reply_policy(host, h->code, h->message);
    return false;
}
