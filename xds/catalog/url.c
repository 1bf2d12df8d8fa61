/* URLs of backends: http(s)://host[:port][/path], or ws(s), and nothing else. RFC 3986 3. */
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "xds/catalog/build.h"

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

static bool check_host(struct slice host, bool v6)
{
    if (host.n == 0 || host.n > 253) {
        return false;
    }
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
        if (v6 ? !hex : !is_host_char(c)) {
            return false;
        }
    }
    return true;
}

static bool check_path(struct slice path)
{
    for (size_t i = 0; i < path.n; i++) {
        unsigned char c = (unsigned char)path.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("?#{}|\\^`<>\"", c) != NULL) {
            return false;
        }
    }
    return true;
}

/* Cuts "host[:port]" or "[v6][:port]"; false when it is neither. */
static bool split_authority(struct slice authority, struct slice *host, struct slice *port, bool *v6)
{
    *v6 = slice_starts_with(authority, SLICE("["));
    if (!*v6) {
        *port = authority;
        *host = slice_cut(port, ':');
        return true;
    }
    size_t end = slice_find(authority, ']');
    *host = slice_sub(authority, 1, end - 1);
    struct slice rest = slice_from(authority, end + 1);
    *port = rest.n > 0 && rest.p[0] == ':' ? slice_from(rest, 1) : SLICE_NONE;
    return end < authority.n && (rest.n == 0 || rest.p[0] == ':');
}

static const struct slice SCHEMES[] = {{"http", 4}, {"https", 5}, {"ws", 2}, {"wss", 3}};

/* Its place in SCHEMES, of which every other one is with TLS; the rest of the text is left. */
static size_t cut_scheme(struct slice *text)
{
    struct slice scheme = slice_sub(*text, 0, slice_search(*text, SLICE("://")));
    size_t i = 0;
    while (i < ARRAY_LEN(SCHEMES) && !slice_eq_nocase(scheme, SCHEMES[i])) {
        i++;
    }
    *text = slice_from(*text, scheme.n + 3);
    return i;
}

bool url_parse(struct arena *arena, struct slice text, struct url *out, const char **why)
{
    struct slice rest = slice_trim(text), host, port;
    size_t scheme = cut_scheme(&rest);
    *out = (struct url){.https = scheme % 2 == 1};
    *why = "the URL does not begin with http:// or https://";
    if (scheme == ARRAY_LEN(SCHEMES)) {
        return false;
    }
    size_t slash = slice_find(rest, '/');
    struct slice path = slice_from(rest, slash);
    bool v6 = false;
    *why = "the URL's host or port cannot be used";
    if (!split_authority(slice_of(lower(arena, slice_sub(rest, 0, slash))), &host, &port, &v6) ||
        !check_host(host, v6)) {
        return false;
    }
    uint64_t number = out->https ? 443 : 80;
    if (port.p != NULL && (!slice_to_u64(port, &number) || number == 0 || number > 65535)) {
        return false;
    }
    *why = "the URL's path holds a query or characters that cannot be used";
    while (path.n > 0 && path.p[path.n - 1] == '/' && (path.n == 1 || path.p[path.n - 2] == '/')) {
        path.n--;
    }
    if (!check_path(path)) {
        return false;
    }
    bool usual = number == (out->https ? 443u : 80u);
    const char *shown = v6 ? arena_printf(arena, "[%.*s]", SLICE_ARG(host)) : arena_str(arena, host);
    out->host = arena_str(arena, host);
    out->port = (uint16_t)number;
    out->authority = usual ? shown : arena_printf(arena, "%s:%u", shown, (unsigned)number);
    out->base_path = arena_str(arena, path);
    out->text = arena_printf(arena, "%.*s://%s%s", SLICE_ARG(SCHEMES[scheme]), out->authority, out->base_path);
    *why = NULL;
    return true;
}
