/*
 * reader: what every builder of this room is given: where it is in the resource (for errors), where the result's memory
 * comes from, what it may look up, and the notes it leaves: what the object needs from other resources, and what dies
 * with it. One resource, one reader; on the main thread.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "proxy/config/extension.h"
#include "proxy/config/grave.h"
#include "proxy/config/pb.h"
#include "proxy/config/secret.h"
#include "proxy/config/store.h"
#include "proto/support.h"

/* Resource types in the order they are subscribed and applied (make before break). */
enum resource_type {
    TYPE_CLUSTER,
    TYPE_ENDPOINTS,
    TYPE_SECRET,
    TYPE_PROGRAM,
    TYPE_BACKEND,
    TYPE_PRODUCT,
    TYPE_SUBSCRIPTION,
    TYPE_API,
    TYPE_LISTENER,
    TYPE_ROUTES,
    TYPE_COUNT
};

struct need { /* something by name that must be held before the object may serve */
    struct need *next;
    enum resource_type type;
    struct slice name;
};

struct file_use { /* a file the object was built from */
    struct file_use *next;
    const char *path;
    int64_t mtime_ns;
    uint64_t size, inode;
};

struct build_env { /* what builders may look up; outlives them */
    const struct extension_registry *extensions;
    const struct support *support; /* rules.h */
    struct config_limits limits;
    struct graveyard *yard;
    /* The secret of that name as held now, borrowed; NULL: not (yet). */
    const struct secret *(*find_secret)(void *ctx, bool from_bootstrap, struct slice name);
    bool (*has_cluster)(void *ctx, struct slice name); /* NULL: not known, nothing is checked */
    void *ctx;
    bool has_ads;       /* dynamic resources are configured */
    bool has_internal;  /* envoy.bootstrap.internal_listener is there */
    bool is_static;     /* the resource stands in the bootstrap */
    size_t *unknown_fields; /* counted there; may be NULL */
};

struct reader {
    const struct build_env *env;
    struct arena *arena;   /* of the object */
    struct arena *scratch; /* of unpacked messages; lives until the reader ends */
    struct err *err;
    struct slice bytes;    /* of the resource */
    struct need *needs;
    bool missing_secret; /* a secret is not held yet: no TLS context was made */
    struct file_use *files;
    struct cleanup *cleanups;
    size_t path_n;
    char path[512];
};

/* Makes both arenas. */
void reader_init(struct reader *r, const struct build_env *env, struct err *err);
/* The object took arena and cleanups over; needs and files live in the arena. */
void reader_done(struct reader *r);
/* Nothing came of it: undoes everything. */
void reader_abandon(struct reader *r);

/* Steps into a field; returns what read_pop wants. */
size_t read_push(struct reader *r, const char *field);
size_t read_push_at(struct reader *r, const char *field, size_t index);
size_t read_push_key(struct reader *r, const char *field, const char *key);
void read_pop(struct reader *r, size_t mark);

/* "path.field: text"; field NULL: the path itself. Returns false. */
bool read_fail(struct reader *r, const char *field, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
bool read_required(struct reader *r, const char *field); /* "is required" */
/* An error that a lower room filled: puts the path before it; the text is a path and a reason (wrap), or a reason. */
bool read_wrap(struct reader *r, const char *field);
bool read_reason(struct reader *r, const char *field);

void read_need(struct reader *r, enum resource_type type, struct slice name); /* once, whatever how often named */
void read_own(struct reader *r, void (*run)(void *object), void *object);     /* dies with the object */

struct slice read_text(struct reader *r, const char *text); /* copy in the arena */
void *read_list(struct reader *r, size_t n, size_t size);   /* zeroed; NULL for n == 0 */
/* A name or value of a header. */
bool read_header_name(struct reader *r, const char *field, const char *text, struct slice *lower);
bool read_header_value(struct reader *r, const char *field, const char *text, struct slice *out);

uint32_t read_u32(const pb_u32 *value, uint32_t otherwise);
bool read_bool(const pb_bool *value, bool otherwise);
/* Milliseconds, rounded up; at least `least`; more than 49 days is refused. NULL gives `otherwise`. */
struct ms_rule {
    uint32_t otherwise, least;
};
bool read_ms(struct reader *r, const char *field, const pb_duration *d, struct ms_rule rule, uint32_t *out);

/* Bytes to a message in r->scratch: guarded, every field one that we build, every enum value a known one. */
bool read_message(struct reader *r, const pb_type *type, struct slice bytes, const pb_message **out);
/* The same for what an Any carries, which must be of a type that the registry knows. */
bool read_any(struct reader *r, const char *field, const pb_any *any, const pb_message **out);
/* A message that was made from a file: the same checks. */
bool read_check(struct reader *r, const pb_message *message);
/* An extension's object from its Any: *type is NULL when no such extension is registered (no error then). */
bool read_extension(struct reader *r, enum extension_kind kind, const pb_any *any, const struct extension_type **type,
                    void **object);
bool pb_is(const pb_message *m, const pb_type *type);
struct slice any_type_name(const pb_any *any); /* behind the last slash */
/* A ConfigSource must be `ads: {}` of version 3. */
bool read_ads(struct reader *r, const char *field, const pb_config_source *source);

/* A file that something else was read from counts as this object's too. */
void read_note_files(struct reader *r, const struct file_use *files);
void file_use_look(struct file_use *f); /* one: as it is now */
bool file_use_changed(const struct file_use *f); /* any in the list is not what it was */
/* Bytes of a DataSource in the arena; name is for error texts. Files are noted in r->files. */
struct data_rule {
    bool required, secret;
    size_t max;
};
bool read_data(struct reader *r, const char *field, const pb_data *data, struct data_rule rule, struct secret_pem *out);
