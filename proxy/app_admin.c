/* What the admin interface may ask of the process. */
#include "base/file.h"
#include "base/mem.h"
#include "proxy/admin/admin.h"
#include "proxy/app_internal.h"

enum { QUIT_DELAY_MS = 50 };

struct app_admin {
    struct admin *admin;
    struct strbuf options; /* as JSON */
};

static enum admin_phase phase(void *ctx)
{
    const struct app *a = ctx;
    switch (a->state) {
    case APP_STARTING:
        return ADMIN_STARTING;
    case APP_SERVING:
        return ADMIN_RUNNING;
    case APP_DRAINING:
    case APP_ENDING:
        break;
    }
    return ADMIN_DRAINING;
}

/* The main thread's own view: every worker has the same hosts, and they count together. */
static void hosts(void *ctx, struct strbuf *text)
{
    const struct app *a = ctx;
    upstream_describe(a->workers[0].upstream, text);
}

static void ads(void *ctx, struct strbuf *json)
{
    app_ads_describe(ctx, json);
}

static void drain(void *ctx, bool graceful)
{
    struct app *a = ctx;
    app_drain(a, graceful ? a->options.drain_time_s : 0, true);
}

static void app_end_on_timer(struct timer *timer)
{
    app_end(container_of(timer, struct app, drain));
}

/* After a moment: the answer is to leave first. */
static void quit_later(void *arg)
{
    struct app *a = arg;
    timer_init(&a->drain, a->workers[0].loop, app_end_on_timer);
    timer_set_in(&a->drain, QUIT_DELAY_MS);
}

static void quit(void *ctx)
{
    struct app *a = ctx;
    loop_post(a->workers[0].loop, quit_later, a);
}

static const struct admin_sources sources = {.phase = phase, .hosts = hosts, .ads = ads, .drain = drain, .quit = quit};

static void options_json(const struct options *o, struct strbuf *out)
{
    strbuf_printf(out, "{\"concurrency\":%u,\"mode\":\"Serve\",\"base_id\":%u,\"restart_epoch\":%u,\"drain_time\":\"%us\"",
                  o->concurrency, o->base_id, o->restart_epoch, o->drain_time_s);
    if (o->config_path != NULL) {
        strbuf_add_str(out, ",\"config_path\":");
        strbuf_add_json(out, slice_of(o->config_path));
    }
    strbuf_printf(out, ",\"log_level\":\"%s\"}", log_level_name(o->log_level));
}

static bool write_address(const struct app *a, const struct admin *admin, struct err *err)
{
    char text[ADDR_TEXT];
    struct addr addr = admin_address(admin);
    return a->options.admin_address_path == NULL ||
           file_write(a->options.admin_address_path, slice_of(addr_text(&addr, text)), 0644, err);
}

bool app_admin_start(struct app *a, struct err *err)
{
    struct addr addr;
    if (!bootstrap_admin(a->bootstrap, &addr)) {
        return true;
    }
    struct app_admin *s = mem_alloc(sizeof *s);
    strbuf_init(&s->options);
    options_json(&a->options, &s->options);
    struct admin_config config = {
        .loop = a->workers[0].loop,
        .addr = addr,
        .store = a->store,
        .node = bootstrap_node(a->bootstrap),
        .stats = a->stats,
        .logs = a->sink,
        .sockets = a->sockets,
        .concurrency = a->options.concurrency,
        .command_line = strbuf_slice(&s->options),
    };
    a->admin = s;
    s->admin = admin_create(&config, &sources, a, err);
    if (s->admin == NULL) {
        return err_prefix(err, "admin");
    }
    return write_address(a, s->admin, err);
}

void app_admin_stop(struct app *a)
{
    if (a->admin != NULL) {
        admin_destroy(&a->admin->admin);
        strbuf_fini(&a->admin->options);
        mem_free(a->admin);
        a->admin = NULL;
    }
}
