/*
 * The store's inside, for the files of this room.
 *
 * Each resource is an entry with at most two forms: `active` serves; `warming` was accepted and waits for what it
 * names (a listener for its routes and secrets, a cluster for endpoints and secrets, an Api for programs and backends).
 * An update goes through four steps, all on the main thread:
 *   accept  (store_apply.c)   decode and check each resource; a bad one leaves its entry as it was
 *   settle  (store_settle.c)  promote what no longer waits, rebuild what a changed secret touched, drop what is not named
 *   claims  (store_publish.c) APIs and subscriptions that claim the same calls or keys take back their new forms
 *   publish (store_publish.c) a new snapshot out of the old one's indexes and the entries that were touched
 */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "proxy/config/apim_set.h"
#include "proxy/config/bootstrap_inside.h"
#include "proxy/config/read.h"
#include "proxy/config/snapshot_build.h"

struct form { /* one accepted version of a resource, in one block with all that it points to: there may be 100,000 */
    struct slice bytes, version; /* bytes: the object's, where it has them */
    int64_t updated_us;
    void *object; /* one reference; NULL: cannot be built yet */
    const struct need *needs;
    const struct file_use *files;
    char *other_version; /* where a longer one stands that came afterwards; else NULL */
};

struct entry {
    enum resource_type type;
    struct slice name; /* behind the entry */
    struct list link;  /* in its type's warming list while it has a warming form */
    struct form *active, *warming;
    struct form *before;  /* what was active when this update began, if touched */
    void *published;      /* the object that the current snapshot has of it, borrowed */
    bool is_static;
    bool gone;    /* removed by the server, kept while something that serves names it */
    bool stuck;   /* warming, complete, but it cannot be built: until a secret it names changes */
    bool touched; /* in store.touched */
    bool dead;    /* to be freed once published */
    uint8_t seen; /* in the update being applied: how often, 3: refused for that */
    struct refusal { /* the last form that was refused, until one is accepted */
        char *reason, *version;
        int64_t when_us;
    } refusal;
};

struct type_state {
    struct map *entries; /* name → struct entry, owned */
    struct list warming;  /* entries that wait: what an edit has to look at must not grow with the catalogue */
    struct slice version; /* of the last update that was applied without a refusal; own memory */
    bool answered;        /* by a live update */
    bool loaded;          /* from disk, and not answered since */
    bool dirty;           /* differs from what is on disk */
    struct slice *names;  /* to subscribe, sorted, in names_arena */
    size_t n_names;
};

struct config_store {
    struct config_bootstrap *bootstrap;
    struct build_env env; /* of dynamic resources */
    struct type_state types[TYPE_COUNT];
    struct snapshot *current;
    struct slice urls[TYPE_COUNT];
    struct entry **touched;
    size_t n_touched, touched_cap;
    struct map *changed_secrets; /* names, within one update */
    struct strbuf refusals;      /* of the update being applied: one line each */
    size_t n_refusals;
    struct arena *names_arena;
    bool names_stale;
    bool maybe_gone; /* some entry may have been removed and stayed for those who name it */
    bool lenient_backends; /* started from disk: named values may be missing, such calls fail closed */
    bool wants_apim;       /* some virtual host is answered from the API table */
    int64_t disk_since_us;
    size_t unknown_fields;
};

/* How each type is told apart, built and shared. store_types.c. */
struct resource_kind {
    const char *url;
    const pb_type *message;
    bool wildcard; /* subscribed with "*": absence is removal */
    bool lingers;  /* stays after its removal while something that serves names it */
    bool (*build)(struct config_store *s, struct reader *r, const pb_message *m, void **object);
    void (*unref)(void *object);
};
extern const struct resource_kind resource_kinds[TYPE_COUNT];
bool store_find_type(struct slice type_url, enum resource_type *out);

/* store_form.c */
void store_dirty(struct config_store *s, enum resource_type type);
struct entry *entry_create(enum resource_type type, struct slice name);
void entry_free(void *entry);
struct entry *store_entry(struct config_store *s, enum resource_type type, struct slice name); /* NULL: none */
struct entry *store_add_entry(struct config_store *s, enum resource_type type, struct slice name);
void store_touch(struct config_store *s, struct entry *e);
/* Decodes, checks and builds; NULL with err. */
struct form *form_create(struct config_store *s, enum resource_type type, struct slice bytes, struct slice version,
                         bool is_static, struct err *err);
void form_free(enum resource_type type, struct form **f);
/* Makes the form the entry's newest: active, or warming when it waits. */
void entry_take(struct config_store *s, struct entry *e, struct form *f);
void entry_drop_warming(struct entry *e); /* if it has one */
const struct form *entry_latest(const struct entry *e); /* warming, else active */
/* A form came or went (NULL: none): the names to subscribe may be others now. */
void store_names_of(struct config_store *s, const struct form *f);
void form_set_version(struct form *f, struct slice version);
bool form_is_ready(const struct config_store *s, enum resource_type type, const struct form *f);
void store_refuse(struct config_store *s, struct entry *e, struct slice name, struct slice version, const char *reason);

/* store_settle.c */
void store_rebuild(struct config_store *s, struct entry *e); /* from the same bytes: a secret or file changed */
void store_settle(struct config_store *s);
void store_update_names(struct config_store *s);

/* store_disk.c: is anything left that came from disk and was not confirmed since? */
void store_check_live(struct config_store *s);

/* store_publish.c */
bool store_publish(struct config_store *s); /* true: there is a new snapshot */

/* store_apply.c: one type's resources, without settling and publishing. */
struct accept_mode {
    bool from_disk;
};
void store_accept(struct config_store *s, enum resource_type type, const struct store_update *update,
                  const struct accept_mode *mode);
