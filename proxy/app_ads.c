/* The ADS client and the last good configuration on disk. */
#include <malloc.h>

#include "base/mem.h"
#include "proxy/ads/ads.h"
#include "proxy/app_internal.h"

enum { SAVE_MS = 1000, LARGE = 1 << 20 };

struct app_ads {
    struct app *app;
    struct ads *ads; /* NULL: static configuration only */
    struct timer save;
};

static struct store_disk_options disk_of(const struct app *a)
{
    return (struct store_disk_options){.dir = a->options.state_dir, .key_file = a->options.state_key_file};
}

static void save(struct app *a)
{
    struct store_disk_options disk = disk_of(a);
    struct err err;
    if (disk.dir != NULL && store_needs_save(a->store) && !store_save(a->store, &disk, &err)) {
        LOG(LOG_WARN, "config", "state: %s", err.text);
    }
}

static void on_save(struct timer *timer)
{
    save(container_of(timer, struct app_ads, save)->app);
}

/* At most once a second: what comes within it waits for the timer. */
static void on_accepted(void *ctx)
{
    struct app_ads *s = ctx;
    if (!timer_is_set(&s->save)) {
        timer_set_in(&s->save, SAVE_MS);
    }
}

static void publish(void *ctx, struct snapshot *snapshot)
{
    struct app_ads *s = ctx;
    if (s->app->published == snapshot_generation(snapshot)) {
        ads_applied(s->ads, s->app->published);
        return;
    }
    app_publish(s->app);
}

static void on_attempt(void *ctx)
{
    struct app *a = ((struct app_ads *)ctx)->app;
    dns_refresh(a->dns, store_snapshot(a->store), bootstrap_ads_cluster(a->bootstrap));
}

static const struct ads_events events = {.publish = publish, .on_accepted = on_accepted, .on_attempt = on_attempt};

void app_ads_resolved(struct app *a, struct slice name, uint16_t port)
{
    const struct snapshot *s = store_snapshot(a->store);
    const struct cluster_conf *conf = snapshot_cluster(s, bootstrap_ads_cluster(a->bootstrap));
    const struct endpoint_set *set = conf == NULL ? NULL : snapshot_endpoints(s, conf);
    for (size_t i = 0; a->ads != NULL && a->ads->ads != NULL && set != NULL && i < set->n; i++) {
        const struct endpoint_conf *e = &set->endpoints[i];
        if (e->kind == ENDPOINT_NAME && e->port == port && slice_eq(e->host, name)) {
            ads_addresses_changed(a->ads->ads);
            return;
        }
    }
}

static void load(struct app *a)
{
    struct store_disk_options disk = disk_of(a);
    struct err err = {.kind = ERR_NONE};
    bool changed = false;
    if (disk.dir == NULL) {
        return;
    }
    if (!store_load(a->store, &disk, &changed, &err) || err.kind != ERR_NONE) {
        LOG(LOG_WARN, "config", "state: %s", err.text);
    }
    if (changed) {
        LOG(LOG_INFO, "config", "serving the last good configuration from %s", disk.dir);
    }
}

bool app_ads_start(struct app *a, struct err *err)
{
    struct app_ads *s = mem_alloc(sizeof *s);
    (void)err;
    a->ads = s;
    s->app = a;
    timer_init(&s->save, a->workers[0].loop, on_save);
    if (bootstrap_ads_cluster(a->bootstrap).n == 0) {
        return true;
    }
    load(a);
    struct ads_config config = {
        .loop = a->workers[0].loop,
        .upstream = a->workers[0].upstream,
        .store = a->store,
        .node = bootstrap_node(a->bootstrap),
        .cluster = bootstrap_ads_cluster(a->bootstrap),
        .delta = bootstrap_ads_is_delta(a->bootstrap),
        .stats = a->stats,
    };
    s->ads = ads_create(&config, &events, s);
    return true;
}

void app_ads_applied(struct app *a, uint64_t generation)
{
    if (a->ads != NULL && a->ads->ads != NULL) {
        ads_applied(a->ads->ads, generation);
    }
}

void app_ads_describe(const struct app *a, struct strbuf *json)
{
    if (a->ads != NULL && a->ads->ads != NULL) {
        ads_describe(a->ads->ads, json);
    } else {
        strbuf_add_str(json, "null");
    }
}

/* A large update is decoded beside what it becomes: twice its size, which the edits that follow do not need. */
void app_ads_trim(struct app *a)
{
    if (a->ads != NULL && a->ads->ads != NULL && ads_take_bytes(a->ads->ads) >= LARGE) {
        pool_trim();
        malloc_trim(0);
    }
}

void app_ads_stop(struct app *a)
{
    if (a->ads != NULL) {
        timer_cancel(&a->ads->save);
        ads_destroy(&a->ads->ads);
        if (a->state >= APP_SERVING) {
            save(a);
        }
        mem_free(a->ads);
        a->ads = NULL;
    }
}
