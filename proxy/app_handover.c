/*
 * Taking over (DATAPLANE 10). The process of epoch N listens for that of epoch N+1 on an abstract socket named after the
 * base id. The new one asks for "sockets", then "admin" (the old one gives up its admin address), and once its workers
 * accept, "drain". A new process that dies before "drain" changes nothing: the old one takes its admin back.
 */
#include <stdio.h>

#include "base/mem.h"
#include "proxy/app_internal.h"
#include "proxy/net/handover.h"

enum { ASK_TIMEOUT_MS = 5000 };

struct app_handover {
    struct handover_server *server;
    struct handover_client *before; /* the process we replace, until it was told to drain */
    bool admin_given;
};

static void path_of(const struct app *a, uint32_t epoch, char *path, size_t size)
{
    snprintf(path, size, "@egret_%u_%u", a->options.base_id, epoch);
}

static struct app_handover *state_of(struct app *a)
{
    if (a->handover == NULL) {
        a->handover = mem_alloc(sizeof *a->handover);
    }
    return a->handover;
}

/* ---- the new process ---- */

static bool ask(struct handover_client *c, const char *what, struct handover_bundle *answer, struct err *err)
{
    return handover_ask(c, slice_of(what), answer, err) || err_prefix(err, "taking over: %s", what);
}

bool app_handover_inherit(struct app *a, struct err *err)
{
    char path[64];
    struct handover_bundle answer;
    if (a->options.restart_epoch == 0 || a->options.disable_hot_restart) {
        return true;
    }
    struct app_handover *h = state_of(a);
    path_of(a, a->options.restart_epoch - 1, path, sizeof path);
    h->before = handover_connect(path, ASK_TIMEOUT_MS, err);
    if (h->before == NULL) {
        return err_prefix(err, "--restart-epoch %u: no process of --base-id %u and the epoch before", a->options.restart_epoch,
                          a->options.base_id);
    }
    if (!ask(h->before, "sockets", &answer, err)) {
        return false;
    }
    for (size_t i = 0; i < answer.n; i++) {
        listen_sockets_adopt(a->sockets, slice_of(answer.fds[i].name), answer.fds[i].fd);
        answer.fds[i].fd = -1;
    }
    LOG(LOG_INFO, "main", "took %zu listening sockets from the process before", answer.n);
    handover_bundle_fini(&answer);
    if (!ask(h->before, "admin", &answer, err)) {
        return false;
    }
    handover_bundle_close(&answer);
    return true;
}

bool app_handover_is_due(const struct app *a)
{
    return a->handover != NULL && a->handover->before != NULL;
}

void app_handover_done(struct app *a)
{
    struct app_handover *h = a->handover;
    struct handover_bundle answer;
    struct err err;
    if (h == NULL || h->before == NULL) {
        return;
    }
    if (ask(h->before, "drain", &answer, &err)) {
        handover_bundle_close(&answer);
    } else {
        LOG(LOG_WARN, "main", "%s", err.text);
    }
    handover_client_destroy(&h->before);
}

/* ---- the old one ---- */

static bool on_ask(void *ctx, struct slice text, struct handover_bundle *answer)
{
    struct app *a = ctx;
    if (slice_eq(text, SLICE("sockets"))) {
        for (size_t i = 0; i < listen_sockets_count(a->sockets); i++) {
            struct slice address;
            int fd = -1;
            listen_sockets_at(a->sockets, i, &address, &fd);
            handover_bundle_add(answer, address, fd);
        }
        return true;
    }
    if (slice_eq(text, SLICE("admin"))) {
        a->handover->admin_given = true;
        app_admin_stop(a);
        return true;
    }
    if (slice_eq(text, SLICE("drain"))) {
        a->handover->admin_given = false;
        app_drain(a, a->options.drain_time_s, true);
        return true;
    }
    return false;
}

static void on_gone(void *ctx)
{
    struct app *a = ctx;
    struct err err;
    if (!a->handover->admin_given || a->state >= APP_DRAINING) {
        return;
    }
    a->handover->admin_given = false;
    LOG(LOG_WARN, "main", "the process that was to take over has gone: serving on");
    if (!app_admin_start(a, &err)) {
        LOG(LOG_ERROR, "main", "%s", err.text);
    }
}

static const struct handover_events events = {.on_ask = on_ask, .on_gone = on_gone};

bool app_handover_serve(struct app *a, struct err *err)
{
    char path[64];
    if (a->options.disable_hot_restart) {
        return true;
    }
    struct app_handover *h = state_of(a);
    path_of(a, a->options.restart_epoch, path, sizeof path);
    h->server = handover_serve(a->workers[0].loop, path, &events, a, err);
    return h->server != NULL ||
           err_prefix(err, "another egret may run with --base-id %u and --restart-epoch %u (choose another --base-id)",
                      a->options.base_id, a->options.restart_epoch);
}

void app_handover_stop(struct app *a)
{
    if (a->handover != NULL) {
        handover_client_destroy(&a->handover->before);
        handover_server_destroy(&a->handover->server);
        mem_free(a->handover);
        a->handover = NULL;
    }
}
