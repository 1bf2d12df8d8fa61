#include "xds/persist.h"

#include "base/log.h"
#include "base/mem.h"

struct persist {
    const struct settings *settings;
    struct store *store;
    char *trouble;
    bool failed; /* in the transaction under way */
};

struct loading {
    struct persist *persist;
    struct folder *folder;
    size_t loaded, unreadable;
};

struct persist *persist_create(const struct settings *settings, struct store *store)
{
    struct persist *p = mem_alloc(sizeof *p);
    p->settings = settings;
    p->store = store;
    return p;
}

void persist_destroy(struct persist **persist)
{
    if (*persist == NULL) {
        return;
    }
    mem_free((*persist)->trouble);
    mem_free(*persist);
    *persist = NULL;
}

static void tell(struct persist *p, const char *what, const struct err *err)
{
    mem_free(p->trouble);
    p->trouble = mem_printf("%s: %s", what, err->text);
    LOG(LOG_ERROR, "control", "%s", p->trouble);
}

/* Any MAC key of the settings may have been the first one when this was sealed. */
static bool open_sealed(const struct persist *p, const struct store_item *item, struct strbuf *plain)
{
    for (size_t i = 0; i < p->settings->config->n_mac_keys; i++) {
        if (aead_open(p->settings->store_keys[i], item->bytes, item->path, plain, NULL)) {
            return true;
        }
    }
    return false;
}

static void load_item(void *ctx, const struct store_item *item)
{
    struct loading *l = ctx;
    struct strbuf plain;
    strbuf_init(&plain);
    if (open_sealed(l->persist, item, &plain)) {
        char *path = mem_str_slice(item->path);
        folder_import(l->folder, path, strbuf_slice(&plain));
        mem_free(path);
        l->loaded++;
    } else {
        l->unreadable++;
    }
    if (plain.p != NULL) {
        mem_wipe(plain.p, plain.cap);
    }
    strbuf_fini(&plain);
}

void persist_load(struct persist *persist, struct folder *folder)
{
    struct loading l = {.persist = persist, .folder = folder};
    struct err err = {0};
    if (!store_each(persist->store, load_item, &l, &err)) {
        tell(persist, "state folder cannot be read", &err);
    }
    if (l.unreadable > 0) {
        err_set(&err, ERR_INPUT, "%zu stored forms were sealed under a MAC key that the settings no longer name",
                l.unreadable);
        tell(persist, "state folder", &err);
    }
    LOG(LOG_INFO, "control", "%zu last good forms of an earlier run", l.loaded);
}

static void put(void *ctx, const char *path, struct slice bytes, bool secret)
{
    (void)secret; /* all are sealed */
    struct persist *p = ctx;
    struct strbuf sealed;
    strbuf_init(&sealed);
    aead_seal(p->settings->store_keys[0], bytes, slice_of(path), &sealed);
    const struct store_item item = {
        .path = slice_of(path), .hash = slice_hash(strbuf_slice(&sealed), 0), .bytes = strbuf_slice(&sealed)};
    struct err err = {0};
    if (!p->failed && !store_put(p->store, &item, &err)) {
        p->failed = true;
        tell(p, "state folder cannot be written", &err);
    }
    strbuf_fini(&sealed);
}

static void del(void *ctx, const char *path)
{
    struct persist *p = ctx;
    struct err err = {0};
    if (!p->failed && !store_delete(p->store, slice_of(path), &err)) {
        p->failed = true;
        tell(p, "state folder cannot be written", &err);
    }
}

void persist_save(struct persist *persist, struct folder *folder)
{
    struct err err = {0};
    persist->failed = false;
    if (!store_begin(persist->store, &err)) {
        tell(persist, "state folder cannot be written", &err);
        return; /* what was not exported now is exported by the next call */
    }
    const struct folder_store to = {.put = put, .del = del, .ctx = persist};
    folder_export(folder, &to);
    bool stored = !persist->failed && store_commit(persist->store, &err);
    if (stored) {
        mem_free(persist->trouble);
        persist->trouble = NULL;
    } else {
        if (!persist->failed) {
            tell(persist, "state folder cannot be written", &err);
        }
        store_rollback(persist->store);
    }
    folder_exported(folder, stored); /* else all of it is exported again by the next call */
}

const char *persist_trouble(const struct persist *persist)
{
    return persist->trouble;
}
