/* What changes something. POST only; the dispatcher sees to that. */
#include "base/log.h"
#include "proxy/admin/internal.h"

static void ok(struct admin_reply *reply)
{
    strbuf_add_str(&reply->body, "OK\n");
}

/* One level for the whole process: there are no loggers of their own. */
static void answer_logging(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    struct strbuf name;
    enum log_level level;
    (void)a;
    strbuf_init(&name);
    if (query_has(request, "level", &name)) {
        if (!log_level_parse(strbuf_slice(&name), &level)) {
            strbuf_fini(&name);
            reply_error(reply, 400, "level: one of trace, debug, info, warning, error, critical, off");
            return;
        }
        log_set_level(level);
        LOG(LOG_INFO, "admin", "log level is now %s", log_level_name(level));
    } else if (request->query.n > 0) {
        strbuf_fini(&name);
        reply_error(reply, 400, "only level= is supported: loggers have no levels of their own");
        return;
    }
    strbuf_fini(&name);
    strbuf_printf(&reply->body, "active loggers:\n  all: %s\n", log_level_name(log_level()));
}

static void answer_drain(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    if (query_has(request, "inboundonly", NULL)) {
        reply_error(reply, 400, "inboundonly: listeners have no traffic direction here");
    } else if (query_has(request, "skip_exit", NULL)) {
        reply_error(reply, 400, "skip_exit: draining never ends the process here");
    } else if (a->sources->drain == NULL) {
        reply_error(reply, 501, "not available");
    } else {
        LOG(LOG_INFO, "admin", "listeners are drained");
        a->sources->drain(a->ctx, query_has(request, "graceful", NULL));
        ok(reply);
    }
}

static void answer_quit(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    (void)request;
    if (a->sources->quit == NULL) {
        reply_error(reply, 501, "not available");
        return;
    }
    LOG(LOG_INFO, "admin", "asked to quit");
    ok(reply);
    a->sources->quit(a->ctx);
}

static void set_healthy(struct admin *a, bool healthy, struct admin_reply *reply)
{
    a->failed_by_hand = !healthy;
    if (a->sources->set_healthy != NULL) {
        a->sources->set_healthy(a->ctx, healthy);
    }
    ok(reply);
}

static void answer_fail(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    (void)request;
    set_healthy(a, false, reply);
}

static void answer_heal(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    (void)request;
    set_healthy(a, true, reply);
}

static void answer_reopen(struct admin *a, const struct admin_request *request, struct admin_reply *reply)
{
    (void)request;
    if (a->config.logs == NULL) {
        reply_error(reply, 501, "not available");
        return;
    }
    log_sink_reopen(a->config.logs);
    ok(reply);
}

const struct endpoint endpoints_commands[] = {
    {"/logging", true, "?level=trace, debug, info, warning, error, critical or off", answer_logging},
    {"/drain_listeners", true, "stop accepting and close what is idle; ?graceful: over the drain time", answer_drain},
    {"/healthcheck/fail", true, "answer health checks with a failure from now on", answer_fail},
    {"/healthcheck/ok", true, "undo that", answer_heal},
    {"/reopen_logs", true, "open the access logs again under their names", answer_reopen},
    {"/quitquitquit", true, "end the process", answer_quit},
    {NULL, false, NULL, NULL},
};
