/*
 * status: what the control server says about itself, as JSON: /status, /faults, /proxies, /egress-ips, /apis,
 * /explain/<method>/<URL>[/<subscription>]. Read by egretctl. Main thread.
 */
#pragma once
#include "base/strbuf.h"
#include "xds/persist.h"
#include "xds/publish.h"
#include "xds/server/server.h"
#include "xds/settings.h"

/* A fault that is not the catalog's: a file or folder, and what is wrong. */
struct status_trouble {
    const char *file; /* "" when no file is concerned */
    const char *reason;
};

struct status_view {
    const struct settings *settings;
    const struct publish *publish;
    const struct server *server;
    const char *folder;
    int64_t since_us;
    bool polling;
    const struct status_trouble *troubles;
    size_t trouble_count;
};

int status_answer(const struct status_view *view, const char *path, struct strbuf *body); /* 200 or 404 */
