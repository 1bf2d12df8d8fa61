#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slice.h"

static const char help[] =
    "egret-load: sends requests at a fixed rate, whatever the answers do (open loop), and never sends one twice.\n\n"
    "  --url URL              http://host[:port]/path or https://…\n"
    "  --connect ADDR:PORT    dial this instead of the URL's host\n"
    "  --rate N               requests a second (default 50)\n"
    "  --duration S           seconds; default: until SIGINT or SIGTERM\n"
    "  --kept | --fresh       keep connections (default), or one connection a request\n"
    "  --connections N        kept connections at most (default 8)\n"
    "  --h2                   HTTP/2: by ALPN over TLS, else from the first byte\n"
    "  --method M, --data TEXT\n"
    "  --header 'Name: value' may be repeated\n"
    "  --cacert FILE | --insecure\n"
    "  --expect 200[,401…]    statuses that count as success (default 200)\n"
    "  --timeout S            of one request (default 10)\n"
    "  --watch-body REGEX     when did the first answer come whose body fits (POSIX extended)\n"
    "  --mark TEXT            the same for a plain text\n"
    "  --collect REGEX        count the values of the first group over all bodies\n\n"
    "At the end one line of JSON. Status 0 when no request failed, 2 when some did, 1 for wrong use.\n";

enum {
    URL = 1000,
    CONNECT,
    RATE,
    DURATION,
    KEPT,
    FRESH,
    CONNECTIONS,
    H2,
    METHOD,
    DATA,
    HEADER,
    CACERT,
    INSECURE,
    EXPECT,
    TIMEOUT,
    WATCH,
    MARK,
    COLLECT,
    HELP
};

static const struct option longs[] = {
    {"url", required_argument, NULL, URL},
    {"connect", required_argument, NULL, CONNECT},
    {"rate", required_argument, NULL, RATE},
    {"duration", required_argument, NULL, DURATION},
    {"kept", no_argument, NULL, KEPT},
    {"fresh", no_argument, NULL, FRESH},
    {"connections", required_argument, NULL, CONNECTIONS},
    {"h2", no_argument, NULL, H2},
    {"method", required_argument, NULL, METHOD},
    {"data", required_argument, NULL, DATA},
    {"header", required_argument, NULL, HEADER},
    {"cacert", required_argument, NULL, CACERT},
    {"insecure", no_argument, NULL, INSECURE},
    {"expect", required_argument, NULL, EXPECT},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"watch-body", required_argument, NULL, WATCH},
    {"mark", required_argument, NULL, MARK},
    {"collect", required_argument, NULL, COLLECT},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static bool take_url(struct options *o, const char *url, struct err *err)
{
    struct slice rest = slice_of(url);
    o->tls = slice_starts_with(rest, SLICE("https://"));
    if (!o->tls && !slice_starts_with(rest, SLICE("http://"))) {
        return err_set(err, ERR_INPUT, "--url: %s: http:// or https:// is needed", url);
    }
    rest = slice_from(rest, o->tls ? 8 : 7);
    size_t slash = slice_find(rest, '/');
    struct slice authority = slice_sub(rest, 0, slash), host = authority;
    size_t colon = slice_find(authority, ':');
    uint64_t port = o->tls ? 443 : 80;
    if (colon < authority.n) {
        host = slice_sub(authority, 0, colon);
        if (!slice_to_u64(slice_from(authority, colon + 1), &port) || port == 0 || port > 65535) {
            return err_set(err, ERR_INPUT, "--url: %s: not a port", url);
        }
    }
    if (host.n == 0 || host.n >= sizeof o->host) {
        return err_set(err, ERR_INPUT, "--url: %s: a host is needed", url);
    }
    snprintf(o->host, sizeof o->host, "%.*s", SLICE_ARG(host));
    snprintf(o->authority, sizeof o->authority, "%.*s", SLICE_ARG(authority));
    o->port = (uint16_t)port;
    o->path = slash < rest.n ? rest.p + slash : "/";
    return true;
}

static bool take_number(const char *flag, const char *text, double *out, struct err *err)
{
    char *end;
    *out = strtod(text, &end);
    return (*end == '\0' && end != text && *out > 0) ||
           err_set(err, ERR_INPUT, "--%s: %s: not a number above 0", flag, text);
}

static bool take_expect(struct options *o, const char *text, struct err *err)
{
    struct slice rest = slice_of(text);
    o->expect_count = 0;
    while (rest.p != NULL) {
        uint64_t status;
        struct slice one = slice_cut(&rest, ',');
        if (!slice_to_u64(one, &status) || status < 200 || status > 599 || o->expect_count == OPTIONS_EXPECT_MAX) {
            return err_set(err, ERR_INPUT, "--expect: %s: statuses from 200 to 599, at most %d", text,
                           OPTIONS_EXPECT_MAX);
        }
        o->expect[o->expect_count++] = (int)status;
    }
    return true;
}

static bool take_regex(const char *flag, regex_t *out, const char *text, struct err *err)
{
    int code = regcomp(out, text, REG_EXTENDED);
    char why[120];
    if (code == 0) {
        return true;
    }
    regerror(code, out, why, sizeof why);
    return err_set(err, ERR_INPUT, "--%s: %s", flag, why);
}

/* A plain text is a regular expression whose special characters stand for themselves. */
static bool take_mark(struct options *o, const char *text, struct err *err)
{
    char quoted[512];
    size_t n = 0;
    for (const char *p = text; *p != '\0' && n + 3 < sizeof quoted; p++) {
        if (strchr("\\.[](){}*+?^$|", *p) != NULL) {
            quoted[n++] = '\\';
        }
        quoted[n++] = *p;
    }
    quoted[n] = '\0';
    return take_regex("mark", &o->watch_body, quoted, err);
}

static bool take_header(struct options *o, const char *text, struct err *err)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text) {
        return err_set(err, ERR_INPUT, "--header: 'Name: value' is needed");
    }
    if (o->header_count == OPTIONS_HEADERS_MAX) {
        return err_set(err, ERR_INPUT, "--header: at most %d", OPTIONS_HEADERS_MAX);
    }
    o->headers[o->header_count++] = text;
    return true;
}

static bool take_value(struct options *o, int opt, const char *value, struct err *err)
{
    double number;
    switch (opt) {
    case URL:
        return take_url(o, value, err);
    case RATE:
        return take_number("rate", value, &o->rate, err);
    case DURATION:
        return take_number("duration", value, &o->duration_s, err);
    case TIMEOUT:
        return take_number("timeout", value, &o->timeout_s, err);
    case CONNECTIONS:
        if (!take_number("connections", value, &number, err)) {
            return false;
        }
        o->connections = (unsigned)number;
        return true;
    case HEADER:
        return take_header(o, value, err);
    case EXPECT:
        return take_expect(o, value, err);
    case WATCH:
        o->watch = true;
        return take_regex("watch-body", &o->watch_body, value, err);
    case MARK:
        o->watch = true;
        return take_mark(o, value, err);
    case COLLECT:
        o->collect = true;
        return take_regex("collect", &o->collect_body, value, err);
    default:
        return err_set(err, ERR_INPUT, "unknown option");
    }
}

static bool take_plain(struct options *o, int opt, const char *value)
{
    o->fresh = opt == FRESH || (o->fresh && opt != KEPT);
    o->h2 = o->h2 || opt == H2;
    o->insecure = o->insecure || opt == INSECURE;
    const char **text = opt == CONNECT  ? &o->connect
                        : opt == METHOD ? &o->method
                        : opt == DATA   ? &o->data
                        : opt == CACERT ? &o->ca_file
                                        : NULL;
    if (text != NULL) {
        *text = value;
    }
    return text != NULL || opt == FRESH || opt == KEPT || opt == H2 || opt == INSECURE;
}

void options_fini(struct options *o)
{
    if (o->watch) {
        regfree(&o->watch_body);
    }
    if (o->collect) {
        regfree(&o->collect_body);
    }
}

enum options_result options_parse(struct options *o, int argc, char **argv, struct err *err)
{
    *o = (struct options){
        .rate = 50, .timeout_s = 10, .connections = 8, .method = "GET", .expect = {200}, .expect_count = 1};
    opterr = 0;
    for (int opt; (opt = getopt_long(argc, argv, ":", longs, NULL)) != -1;) {
        if (opt == HELP) {
            fputs(help, stdout);
            return OPTIONS_DONE;
        }
        if (opt == '?' || opt == ':') {
            err_set(err, ERR_INPUT, "%s: unknown, or its value is missing (see --help)", argv[optind - 1]);
            return OPTIONS_BAD;
        }
        if (!take_plain(o, opt, optarg) && !take_value(o, opt, optarg, err)) {
            return OPTIONS_BAD;
        }
    }
    if (optind < argc || o->host[0] == '\0') {
        err_set(err, ERR_INPUT, optind < argc ? "flags only (see --help)" : "--url is needed (see --help)");
        return OPTIONS_BAD;
    }
    return OPTIONS_RUN;
}
