#include "xds/app.h"

#include <malloc.h>
#include <signal.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "xds/catalog/catalog_build.h"
#include "xds/loop/loop.h"
#include "xds/loop/status_http.h"
#include "xds/loop/tree_watch.h"
#include "xds/persist.h"
#include "xds/publish.h"
#include "xds/server/server.h"
#include "xds/settings.h"
#include "xds/source/folder.h"
#include "xds/status.h"
#include "xds/store/store.h"

struct app {
    struct options options;
    struct settings settings;
    int64_t since_us;
    struct loop *loop;
    struct loop_signal *terminate, *interrupt, *hangup;
    struct loop_fd *server_ready;
    struct tree_watch *folder_watch, *certificate_watch;
    struct status_http *http;
    struct store *store;
    char store_notice[256];
    struct persist *persist;
    struct folder *folder;
    struct publish *publish;
    struct server *server;
    struct err folder_err, certificate_err; /* text "" while all is well */
};

/* The folder as it is now, to every proxy that it concerns. */
static void publish_folder(struct app *app, int64_t start)
{
    struct folder_snapshot *snapshot = folder_snapshot(app->folder);
    struct catalog *catalog = catalog_build(publish_newest(app->publish), snapshot);
    folder_snapshot_unref(&snapshot);
    publish_catalog(app->publish, catalog, app->server);
    struct catalog_counts n = catalog_count(catalog);
    LOG(LOG_INFO, "control",
        "%zu apis, %zu operations, %zu products, %zu subscriptions served, %zu apis left out, "
        "%zu problems (%lld ms)",
        n.apis, n.operations, n.products, n.subscriptions, n.left_out, catalog->problem_count,
        (long long)((clock_mono_us() - start) / 1000));
    catalog_unref(&catalog);
    persist_save(app->persist, app->folder);
}

static void after_scan(struct app *app, bool ok, bool changed, const struct err *err, int64_t start)
{
    app->folder_err = *err;
    if (!ok) {
        LOG(LOG_ERROR, "control", "the folder cannot be read, what was read before stays: %s", err->text);
    } else if (changed) {
        publish_folder(app, start);
    }
}

static void rescan(struct app *app)
{
    bool changed = false;
    struct err err = {0};
    int64_t start = clock_mono_us();
    bool ok = folder_rescan(app->folder, &changed, &err);
    after_scan(app, ok, changed, &err, start);
    pool_trim(); /* what a whole pass needed meanwhile is not needed for the edits that follow */
    malloc_trim(0);
}

struct paths {
    char **items;
    size_t n;
};

static void add_path(void *ctx, const char *path)
{
    struct paths *p = ctx;
    p->items = mem_resize(p->items, (p->n + 1) * sizeof p->items[0]);
    p->items[p->n++] = mem_str(path);
}

/* Only what the watch says has changed is looked at, as far as it can say. */
static void on_folder(void *ctx)
{
    struct app *app = ctx;
    struct paths paths = {NULL, 0};
    if (!tree_watch_take(app->folder_watch, add_path, &paths)) {
        rescan(app);
        return;
    }
    bool changed = false;
    struct err err = {0};
    int64_t start = clock_mono_us();
    bool ok = folder_update(app->folder, (const char *const *)paths.items, paths.n, &changed, &err);
    after_scan(app, ok, changed, &err, start);
    for (size_t i = 0; i < paths.n; i++) {
        mem_free(paths.items[i]);
    }
    mem_free(paths.items);
}

static void reload_certificates(void *ctx)
{
    struct app *app = ctx;
    struct err err = {0};
    if (server_reload_certificates(app->server, &err)) {
        LOG(LOG_INFO, "control", "certificates read again");
    } else {
        LOG(LOG_ERROR, "control", "certificates cannot be read, those before stay: %s", err.text);
    }
    app->certificate_err = err;
}

static void on_hangup(void *ctx)
{
    rescan(ctx);
    reload_certificates(ctx);
}

static void on_end(void *ctx)
{
    struct app *app = ctx;
    LOG(LOG_INFO, "control", "ends");
    loop_stop(app->loop);
}

static void on_server(void *ctx)
{
    struct app *app = ctx;
    server_run(app->server);
}

static void watch_path(void *ctx, const char *path)
{
    tree_watch_add(ctx, path);
}

static int answer(void *ctx, const char *path, struct strbuf *body)
{
    const struct app *app = ctx;
    struct status_trouble troubles[4];
    size_t n = 0;
    if (app->folder_err.text[0] != '\0') {
        troubles[n++] = (struct status_trouble){app->options.folder, app->folder_err.text};
    }
    if (app->certificate_err.text[0] != '\0') {
        troubles[n++] = (struct status_trouble){app->options.config, app->certificate_err.text};
    }
    if (app->store_notice[0] != '\0') {
        troubles[n++] = (struct status_trouble){app->settings.config->state_folder, app->store_notice};
    }
    if (persist_trouble(app->persist) != NULL) {
        troubles[n++] = (struct status_trouble){app->settings.config->state_folder, persist_trouble(app->persist)};
    }
    const struct status_view view = {
        .settings = &app->settings,
        .publish = app->publish,
        .server = app->server,
        .folder = app->options.folder,
        .since_us = app->since_us,
        .polling = tree_watch_is_polling(app->folder_watch),
        .troubles = troubles,
        .trouble_count = n,
    };
    return status_answer(&view, path, body);
}

static bool open_state(struct app *app, struct err *err)
{
    app->store = store_open(app->settings.config->state_folder, app->store_notice, err);
    if (app->store == NULL) {
        return err_prefix(err, "state_folder");
    }
    if (app->store_notice[0] != '\0') {
        LOG(LOG_ERROR, "control", "state folder: %s", app->store_notice);
    }
    app->persist = persist_create(&app->settings, app->store);
    app->folder = folder_create(app->options.folder, app->options.overrides);
    persist_load(app->persist, app->folder);
    return true;
}

static bool open_server(struct app *app, struct err *err)
{
    const Egret__Control__V1__Ads *ads = app->settings.config->ads;
    const struct server_params params = {
        .address = ads->address,
        .port = (uint16_t)ads->port,
        .certificate = ads->certificate,
        .private_key = ads->private_key,
        .client_ca = ads->client_ca,
        .trust_domain = app->settings.config->trust_domain,
        .identifier = "egret-control",
    };
    const struct server_hooks hooks = {.admit = publish_admit, .ctx = app->publish};
    app->server = server_create(&params, &hooks, err);
    if (app->server == NULL) {
        return false;
    }
    app->server_ready = loop_fd_create(app->loop, server_fd(app->server), on_server, app);
    LOG(LOG_INFO, "control", "ADS on %s:%u", ads->address, (unsigned)server_port(app->server));
    return true;
}

/* Watches come before the first scan: what changes in between is seen. */
static void open_watches(struct app *app)
{
    const struct tree_watch_params params = {.quiet_ms = 100, .busy_ms = 500, .poll_ms = 500};
    app->folder_watch = tree_watch_create(app->loop, &params, on_folder, app);
    folder_watch_paths(app->folder, watch_path, app->folder_watch);
    app->certificate_watch = tree_watch_create(app->loop, &params, reload_certificates, app);
    const Egret__Control__V1__Ads *ads = app->settings.config->ads;
    tree_watch_add(app->certificate_watch, ads->certificate);
    tree_watch_add(app->certificate_watch, ads->private_key);
    tree_watch_add(app->certificate_watch, ads->client_ca);
}

static void open_signals(struct app *app)
{
    signal(SIGPIPE, SIG_IGN);
    app->terminate = loop_signal_create(app->loop, SIGTERM, on_end, app);
    app->interrupt = loop_signal_create(app->loop, SIGINT, on_end, app);
    app->hangup = loop_signal_create(app->loop, SIGHUP, on_hangup, app);
}

static bool open_all(struct app *app, struct err *err)
{
    app->loop = loop_create(err);
    if (app->loop == NULL) {
        return false;
    }
    open_signals(app);
    if (!settings_load(&app->settings, app->options.config, err) || !open_state(app, err)) {
        return false;
    }
    app->publish = publish_create(&app->settings);
    open_watches(app);
    rescan(app);
    if (!open_server(app, err)) {
        return false;
    }
    app->http = status_http_create(app->loop, app->settings.config->status_socket, answer, app, err);
    return app->http != NULL;
}

struct app *app_create(const struct options *options, struct err *err)
{
    struct app *app = mem_alloc(sizeof *app);
    app->options = *options;
    app->since_us = clock_wall_us();
    if (!open_all(app, err)) {
        app_destroy(&app);
    }
    return app;
}

void app_run(struct app *app)
{
    loop_run(app->loop);
}

void app_destroy(struct app **app)
{
    struct app *a = *app;
    if (a == NULL) {
        return;
    }
    status_http_destroy(&a->http);
    loop_fd_destroy(&a->server_ready);
    server_destroy(&a->server);
    tree_watch_destroy(&a->folder_watch);
    tree_watch_destroy(&a->certificate_watch);
    publish_destroy(&a->publish);
    persist_destroy(&a->persist);
    store_close(&a->store);
    if (a->folder != NULL) {
        folder_destroy(&a->folder);
    }
    loop_signal_destroy(&a->terminate);
    loop_signal_destroy(&a->interrupt);
    loop_signal_destroy(&a->hangup);
    loop_destroy(&a->loop);
    if (a->settings.arena != NULL) {
        settings_fini(&a->settings);
    }
    mem_free(a);
    *app = NULL;
}
