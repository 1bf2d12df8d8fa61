/* URLs of backends: http(s)://host[:port][/path], and nothing else. RFC 3986 3. */
#include <stdio.h>
#include <string.h>

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

bool url_parse(struct arena *arena, struct slice text, struct url *out, const char **why)
{
    text = slice_trim(text);
    bool http = slice_starts_with_nocase(text, SLICE("http://"));
    *out = (struct url){.https = slice_starts_with_nocase(text, SLICE("https://"))};
    *why = "the URL does not begin with http:// or https://";
    if (!http && !out->https) {
        return false;
    }
    struct slice rest = slice_from(text, out->https ? 8 : 7), host, port;
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
    while (path.n > 0 && path.p[path.n - 1] == '/') {
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
    out->text = arena_printf(arena, "%s://%s%s", out->https ? "https" : "http", out->authority, out->base_path);
    *why = NULL;
    return true;
}
