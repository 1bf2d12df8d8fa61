/* Certificates, keys and secrets in files that change under us. */
#include "base/mem.h"
#include "proxy/config/store_inside.h"

/* Seen: the next look compares with what is there now. */
static void acknowledge(const struct file_use *files)
{
    for (; files != NULL; files = files->next) {
        file_use_look((struct file_use *)(uintptr_t)files);
    }
}

/* ---- static secrets that hold a certificate or authorities; MAC keys and values are read once ---- */

static void renew_static(struct config_store *s, const pb_secret *m, struct secret *old)
{
    struct build_env env = s->env;
    struct reader r;
    struct err err;
    err_clear(&err);
    env.is_static = true;
    reader_init(&r, &env, &err);
    struct secret *now = secret_create(&r, m);
    if (now == NULL) {
        store_refuse(s, NULL, old->name, SLICE_NONE, err.text);
        acknowledge(old->files);
        reader_abandon(&r);
        return;
    }
    reader_done(&r);
    map_put(s->bootstrap->secrets, now->name, now);
}

static void renew_static_secrets(struct config_store *s)
{
    const Envoy__Config__Bootstrap__V3__Bootstrap__StaticResources *m = s->bootstrap->message->static_resources;
    for (size_t i = 0; m != NULL && i < m->n_secrets; i++) {
        struct secret *old = map_get(s->bootstrap->secrets, slice_of(m->secrets[i]->name));
        if (old != NULL && old->kind != SECRET_GENERIC && file_use_changed(old->files)) {
            renew_static(s, m->secrets[i], old);
        }
    }
}

/* ---- resources ---- */

static void renew(struct config_store *s, struct entry *e)
{
    const struct form *before = e->active;
    if (before == NULL || e->dead || !file_use_changed(before->files)) {
        return;
    }
    store_rebuild(s, e);
    if (e->active == before) {
        acknowledge(before->files);
    } else if (e->type == TYPE_SECRET) {
        map_put(s->changed_secrets, e->name, e);
    }
}

bool store_check_files(struct config_store *s, bool *changed, struct err *err)
{
    static const enum resource_type readers[] = {TYPE_SECRET, TYPE_CLUSTER, TYPE_LISTENER};
    strbuf_clear(&s->refusals);
    s->n_refusals = 0;
    renew_static_secrets(s);
    for (size_t t = 0; t < sizeof readers / sizeof readers[0]; t++) {
        for (struct map_item *i = map_first(s->types[readers[t]].entries); i != NULL; i = map_next(i)) {
            renew(s, map_value(i));
        }
    }
    store_settle(s);
    *changed = store_publish(s);
    return s->n_refusals == 0 || err_set(err, ERR_INPUT, "%.*s", SLICE_ARG(strbuf_slice(&s->refusals)));
}
