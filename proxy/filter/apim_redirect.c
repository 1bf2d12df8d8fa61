/* Redirects that forward-request follows by itself: within the backend's origin, in the way HTTP clients do. */
#include "proxy/filter/apim_run.h"
#include "proxy/route/path.h"

/* RFC 9110 15.4: 303, and by long custom 301 and 302 to a POST, turn into a GET. */
static bool becomes_get(unsigned status, struct slice method)
{
    bool safe = slice_eq(method, SLICE("GET")) || slice_eq(method, SLICE("HEAD"));
    return status == 303 ? !safe : status < 303 && slice_eq(method, SLICE("POST"));
}

static bool is_redirect(unsigned status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* "scheme://host[:port]" of the backend's URL. */
static struct slice origin_of(struct slice url)
{
    size_t host = slice_search(url, SLICE("://")) + 3;
    return slice_sub(url, 0, host + slice_find(slice_from(url, host), '/'));
}

static bool has_scheme(struct slice location)
{
    size_t at = slice_search(location, SLICE("://"));
    return at < location.n && slice_find(location, '/') > at && slice_find(location, '?') > at;
}

/* The part of an absolute location behind the origin; false: it is another's. */
static bool inside_origin(const struct filter_host *host, struct slice location, struct slice *rest)
{
    struct slice origin = origin_of(host->apim.backend->url);
    struct slice theirs = origin_of(location);
    theirs.n = slice_find(slice_from(theirs, 0), '?') < theirs.n ? slice_find(theirs, '?') : theirs.n;
    if (!slice_eq_nocase(apim_plain_origin(theirs), apim_plain_origin(origin))) {
        return false;
    }
    *rest = slice_from(location, theirs.n);
    return true;
}

/* RFC 3986 5.2, without dot segments: the backend sees the path as it was written. */
static struct slice resolve(struct filter_host *host, struct slice location)
{
    struct slice query, path = path_split(host->request->path, &query);
    if (location.n == 0 || location.p[0] == '?') {
        return slice_of(arena_printf(host->arena, "%.*s%.*s", SLICE_ARG(path), SLICE_ARG(location)));
    }
    if (location.p[0] == '/') {
        return arena_slice(host->arena, location);
    }
    size_t folder = path.n;
    while (folder > 0 && path.p[folder - 1] != '/') {
        folder--;
    }
    return slice_of(arena_printf(host->arena, "%.*s%.*s", SLICE_ARG(slice_sub(path, 0, folder)), SLICE_ARG(location)));
}

static bool is_plain(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

/* A backend that repeats what it was asked would have it logged under whatever name it chooses. */
static bool has_secret_query(const struct apim_backend *backend)
{
    for (size_t i = 0; i < backend->n_query; i++) {
        for (size_t k = 0; k < backend->query[i].value.n; k++) {
            if (backend->query[i].value.parts[k].secret) {
                return true;
            }
        }
    }
    return false;
}

enum apim_redirect apim_redirect(struct filter_host *host, const struct head *response)
{
    struct slice location = slice_trim(head_value_id(response, FIELD_LOCATION));
    const struct apim_call *call = &host->apim;
    if (!is_redirect(response->status) || location.n == 0 || call->forward == NULL || !call->forward->follows_redirects) {
        return APIM_REDIRECT_NONE;
    }
    location = slice_sub(location, 0, slice_find(location, '#'));
    struct slice scheme = slice_sub(call->backend->url, 0, slice_find(call->backend->url, ':') + 1);
    if (slice_starts_with(location, SLICE("//"))) {
        location = slice_of(arena_printf(host->arena, "%.*s%.*s", SLICE_ARG(scheme), SLICE_ARG(location)));
    }
    bool absolute = has_scheme(location);
    if (!is_plain(location) || (absolute && !inside_origin(host, location, &location))) {
        return APIM_REDIRECT_AWAY;
    }
    bool whole = absolute && location.n > 0 && location.p[0] == '/';
    host->request->path = absolute && !whole ? slice_of(arena_printf(host->arena, "/%.*s", SLICE_ARG(location)))
                                             : resolve(host, location);
    host->secret_url |= has_secret_query(call->backend);
    if (!becomes_get(response->status, host->request->method)) {
        return APIM_REDIRECT_FOLLOW;
    }
    host->request->method = SLICE("GET");
    head_remove_id(host->request, FIELD_CONTENT_TYPE);
    head_remove_id(host->request, FIELD_CONTENT_ENCODING);
    return APIM_REDIRECT_NO_BODY;
}
