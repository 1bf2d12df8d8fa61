/*
 * The last good resources on disk (PROTOCOL 5): one file a type. A file is
 *   "egret-state 1\n", SHA-256 of all that follows (32 bytes), then as length (4 bytes, little-endian) and bytes: node
 *   id, node cluster, "plain" or "sealed", and a serialised DiscoveryResponse, sealed with AES-256-GCM if so said.
 * A file of another node is ignored, a damaged one skipped and named. A private key or a generic secret is never
 * written in the clear: without a key file such resources are left out.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto/crypto.h"
#include "base/file.h"
#include "base/mem.h"
#include "proto/guard.h"
#include "proto/pack.h"
#include "proxy/config/store_inside.h"

enum { MAX_FILE = 512 << 20, KEY_FILE_MAX = 4096 };
static const char MAGIC[] = "egret-state 1\n";

static const char *const file_names[TYPE_COUNT] = {
    [TYPE_CLUSTER] = "clusters",         [TYPE_ENDPOINTS] = "endpoints", [TYPE_SECRET] = "secrets",
    [TYPE_PROGRAM] = "programs",         [TYPE_BACKEND] = "backends",    [TYPE_PRODUCT] = "products",
    [TYPE_SUBSCRIPTION] = "subscriptions", [TYPE_API] = "apis",          [TYPE_LISTENER] = "listeners",
    [TYPE_ROUTES] = "routes",
};

struct seal {
    bool has_key;
    uint8_t key[AEAD_KEY_BYTES];
};

/* ---- the key ---- */

static bool parse_key(struct slice text, uint8_t key[AEAD_KEY_BYTES])
{
    struct strbuf bytes;
    strbuf_init(&bytes);
    while (text.n > AEAD_KEY_BYTES && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) {
        text.n--;
    }
    if (text.n == AEAD_KEY_BYTES) {
        strbuf_add(&bytes, text);
    } else if (!hex_decode(text, &bytes)) {
        strbuf_clear(&bytes);
    }
    bool ok = bytes.n == AEAD_KEY_BYTES;
    if (ok) {
        memcpy(key, bytes.p, AEAD_KEY_BYTES);
    }
    mem_wipe(bytes.p, bytes.n);
    strbuf_fini(&bytes);
    return ok;
}

static bool read_key(const char *path, struct seal *out, struct err *err)
{
    char *text = NULL;
    size_t n = 0;
    *out = (struct seal){.has_key = path != NULL};
    if (path == NULL) {
        return true;
    }
    if (!file_read(path, KEY_FILE_MAX, &text, &n, err)) {
        return false;
    }
    bool ok = parse_key(slice_make(text, n), out->key);
    mem_wipe(text, n);
    mem_free(text);
    return ok || err_set(err, ERR_INPUT, "%s: a state key has 32 bytes, or 64 hexadecimal digits", path);
}

/* ---- what is a secret ---- */

static bool holds_inline(const pb_data *d)
{
    return d != NULL && (d->specifier_case == ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES ||
                         d->specifier_case == ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING);
}

static bool is_inline_secret(struct slice bytes)
{
    struct arena *arena = arena_create(0);
    const pb_secret *m = guard_unpack(NULL, resource_kinds[TYPE_SECRET].message, bytes, arena, NULL);
    bool secret = m == NULL;
    if (m != NULL && m->type_case == ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_GENERIC_SECRET) {
        secret = holds_inline(m->generic_secret->secret);
    } else if (m != NULL && m->type_case == ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_TLS_CERTIFICATE) {
        secret = holds_inline(m->tls_certificate->private_key);
    }
    arena_destroy(&arena);
    return secret;
}

/* Listeners and clusters may carry a key too, in an Any of an Any: PEM's own words give it away. */
static bool is_secret(enum resource_type type, struct slice bytes)
{
    return type == TYPE_SECRET ? is_inline_secret(bytes)
                               : slice_search(bytes, SLICE("PRIVATE KEY-----")) != bytes.n;
}

/* ---- writing ---- */

static void add_block(struct strbuf *out, struct slice bytes)
{
    uint32_t n = (uint32_t)bytes.n;
    char length[4] = {(char)(n & 0xff), (char)(n >> 8 & 0xff), (char)(n >> 16 & 0xff), (char)(n >> 24 & 0xff)};
    strbuf_add(out, slice_make(length, 4));
    strbuf_add(out, bytes);
}

/* In delta each resource has a version of its own, which a new stream has to say: it stands in the wrapper that xDS has
 * for that. */
static pb_any *pack_form(const struct config_store *s, const struct entry *e, const struct form *f, char *url,
                         struct arena *arena)
{
    pb_any *any = arena_alloc(arena, sizeof *any);
    google__protobuf__any__init(any);
    any->type_url = url;
    any->value = (ProtobufCBinaryData){f->bytes.n, (uint8_t *)(uintptr_t)f->bytes.p};
    if (!s->bootstrap->ads_delta) {
        return any;
    }
    Envoy__Service__Discovery__V3__Resource wrapper = ENVOY__SERVICE__DISCOVERY__V3__RESOURCE__INIT;
    wrapper.name = arena_str(arena, e->name);
    wrapper.version = arena_str(arena, f->version);
    wrapper.resource = any;
    return pack_any(&wrapper.base, arena);
}

/* The type's resources as one DiscoveryResponse; *sealed: it holds what must not be read. */
static struct slice pack_type(const struct config_store *s, enum resource_type type, const struct seal *seal,
                              struct arena *arena, bool *sealed)
{
    const struct type_state *t = &s->types[type];
    Envoy__Service__Discovery__V3__DiscoveryResponse m = ENVOY__SERVICE__DISCOVERY__V3__DISCOVERY_RESPONSE__INIT;
    char *url = arena_str(arena, slice_of(resource_kinds[type].url));
    m.type_url = url;
    m.version_info = arena_str(arena, t->version);
    m.resources = arena_alloc(arena, (map_count(t->entries) + 1) * sizeof *m.resources);
    *sealed = false;
    for (struct map_item *i = map_first(t->entries); i != NULL; i = map_next(i)) {
        const struct entry *e = map_value(i);
        const struct form *f = e->is_static || e->gone || e->dead ? NULL : entry_latest(e);
        bool secret = f != NULL && is_secret(type, f->bytes);
        if (f == NULL || (secret && !seal->has_key)) {
            continue;
        }
        *sealed = *sealed || secret;
        m.resources[m.n_resources++] = pack_form(s, e, f, url, arena);
    }
    return pack_message(&m.base, arena);
}

static struct slice bound_of(const struct config_store *s, enum resource_type type, struct arena *arena)
{
    return slice_of(arena_printf(arena, "%s %.*s", resource_kinds[type].url, SLICE_ARG(s->bootstrap->node.id)));
}

static void add_file(struct strbuf *out, struct slice body)
{
    uint8_t digest[SHA256_BYTES];
    sha256(body, digest);
    strbuf_add_str(out, MAGIC);
    strbuf_add(out, slice_make(digest, sizeof digest));
    strbuf_add(out, body);
}

static bool save_type(const struct config_store *s, enum resource_type type, const char *path, const struct seal *seal,
                      struct err *err)
{
    struct arena *arena = arena_create(0);
    struct strbuf body, file, cipher;
    bool sealed = false;
    strbuf_init(&body);
    strbuf_init(&file);
    strbuf_init(&cipher);
    struct slice packed = pack_type(s, type, seal, arena, &sealed);
    add_block(&body, s->bootstrap->node.id);
    add_block(&body, s->bootstrap->node.cluster);
    add_block(&body, sealed ? SLICE("sealed") : SLICE("plain"));
    if (sealed) {
        aead_seal(seal->key, packed, bound_of(s, type, arena), &cipher);
        mem_wipe((void *)(uintptr_t)packed.p, packed.n);
    }
    add_block(&body, sealed ? strbuf_slice(&cipher) : packed);
    add_file(&file, strbuf_slice(&body));
    bool ok = file_write(path, strbuf_slice(&file), 0600, err);
    strbuf_fini(&cipher);
    strbuf_fini(&file);
    strbuf_fini(&body);
    arena_destroy(&arena);
    return ok;
}

bool store_needs_save(const struct config_store *s)
{
    for (int t = 0; t < TYPE_COUNT; t++) {
        if (s->types[t].dirty) {
            return true;
        }
    }
    return false;
}

bool store_save(struct config_store *s, const struct store_disk_options *disk, struct err *err)
{
    struct seal seal;
    if (!read_key(disk->key_file, &seal, err) || !file_make_dir(disk->dir, 0700, err)) {
        return false;
    }
    bool ok = true;
    for (int t = 0; t < TYPE_COUNT && ok; t++) {
        if (!s->types[t].dirty) {
            continue;
        }
        char *path = mem_printf("%s/%s.state", disk->dir, file_names[t]);
        ok = save_type(s, (enum resource_type)t, path, &seal, err);
        s->types[t].dirty = !ok;
        mem_free(path);
    }
    mem_wipe(&seal, sizeof seal);
    return ok;
}

/* ---- reading ---- */

static bool take_block(struct slice *in, struct slice *out)
{
    if (in->n < 4) {
        return false;
    }
    const uint8_t *p = (const uint8_t *)in->p;
    size_t n = (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
    if (in->n - 4 < n) {
        return false;
    }
    *out = slice_sub(*in, 4, n);
    *in = slice_from(*in, 4 + n);
    return true;
}

struct state_file {
    struct slice id, cluster, mode, content;
};

static bool parse_file(struct slice bytes, struct state_file *out, struct err *err)
{
    struct slice magic = {MAGIC, sizeof MAGIC - 1};
    if (!slice_starts_with(bytes, magic) || bytes.n < magic.n + SHA256_BYTES) {
        return err_set(err, ERR_INPUT, "not a state file of this version");
    }
    struct slice digest = slice_sub(bytes, magic.n, SHA256_BYTES), body = slice_from(bytes, magic.n + SHA256_BYTES);
    uint8_t actual[SHA256_BYTES];
    sha256(body, actual);
    if (!slice_eq(digest, slice_make(actual, sizeof actual))) {
        return err_set(err, ERR_INPUT, "damaged: the digest does not fit");
    }
    return (take_block(&body, &out->id) && take_block(&body, &out->cluster) && take_block(&body, &out->mode) &&
            take_block(&body, &out->content) && body.n == 0) ||
           err_set(err, ERR_INPUT, "damaged");
}

static bool check_node(const struct config_store *s, const struct state_file *f, struct err *err)
{
    return (slice_eq(f->id, s->bootstrap->node.id) && slice_eq(f->cluster, s->bootstrap->node.cluster)) ||
           err_set(err, ERR_DENIED, "of node \"%.*s\" in cluster \"%.*s\": ignored", SLICE_ARG(slice_sub(f->id, 0, 100)),
                   SLICE_ARG(slice_sub(f->cluster, 0, 100)));
}

static void accept_response(struct config_store *s, enum resource_type type,
                            const Envoy__Service__Discovery__V3__DiscoveryResponse *m)
{
    struct store_resource *list = mem_alloc((m->n_resources + 1) * sizeof *list);
    for (size_t i = 0; i < m->n_resources; i++) {
        const pb_any *any = m->resources[i];
        list[i] = (struct store_resource){
            .type_url = slice_of(any->type_url), .bytes = slice_make(any->value.data, any->value.len)};
    }
    struct store_update update = {.type_url = slice_of(resource_kinds[type].url),
                                  .version = slice_of(m->version_info),
                                  .resources = list,
                                  .n = m->n_resources};
    struct accept_mode mode = {.from_disk = true};
    store_accept(s, type, &update, &mode);
    mem_free(list);
}

static bool load_content(struct config_store *s, enum resource_type type, const struct state_file *f,
                         const struct seal *seal, struct err *err)
{
    struct arena *arena = arena_create(0);
    struct strbuf plain;
    strbuf_init(&plain);
    struct slice packed = f->content;
    bool ok = true;
    if (slice_eq(f->mode, SLICE("sealed"))) {
        ok = seal->has_key ? aead_open(seal->key, f->content, bound_of(s, type, arena), &plain, err)
                           : err_set(err, ERR_DENIED, "is sealed, and there is no state key");
        packed = strbuf_slice(&plain);
    }
    const Envoy__Service__Discovery__V3__DiscoveryResponse *m = NULL;
    if (ok) {
        m = guard_unpack(NULL, &envoy__service__discovery__v3__discovery_response__descriptor, packed, arena, err);
    }
    if (m != NULL) {
        accept_response(s, type, m);
    }
    if (plain.n > 0) {
        mem_wipe(plain.p, plain.n);
    }
    strbuf_fini(&plain);
    arena_destroy(&arena);
    return m != NULL;
}

/* false: err says what is wrong with it; a missing file is nothing wrong. */
static bool load_type(struct config_store *s, enum resource_type type, const char *path, const struct seal *seal,
                      struct err *err)
{
    char *text = NULL;
    size_t n = 0;
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        return true;
    }
    if (!file_read(path, MAX_FILE, &text, &n, err)) {
        return false;
    }
    struct state_file f;
    bool ok = (parse_file(slice_make(text, n), &f, err) && check_node(s, &f, err) &&
               load_content(s, type, &f, seal, err)) ||
              err_prefix(err, "%s", path);
    mem_free(text);
    return ok;
}

static void load_all(struct config_store *s, const struct store_disk_options *disk, const struct seal *seal,
                     struct strbuf *warnings)
{
    /* Named resources are taken only when somebody names them, so those who name come first. */
    for (int pass = 0; pass < 2; pass++) {
        for (int t = 0; t < TYPE_COUNT; t++) {
            struct err why;
            err_clear(&why);
            char *path = mem_printf("%s/%s.state", disk->dir, file_names[t]);
            if (resource_kinds[t].wildcard == (pass == 0) &&
                !load_type(s, (enum resource_type)t, path, seal, &why)) {
                strbuf_printf(warnings, "%s%s", warnings->n == 0 ? "" : "\n", why.text);
            }
            mem_free(path);
        }
    }
}

bool store_load(struct config_store *s, const struct store_disk_options *disk, bool *changed, struct err *err)
{
    struct seal seal;
    *changed = false;
    if (!read_key(disk->key_file, &seal, err)) {
        return false;
    }
    struct strbuf warnings;
    strbuf_init(&warnings);
    strbuf_clear(&s->refusals);
    s->n_refusals = 0;
    load_all(s, disk, &seal, &warnings);
    mem_wipe(&seal, sizeof seal);
    s->lenient_backends = true;
    store_settle(s);
    *changed = store_publish(s);
    s->disk_since_us = *changed ? clock_wall_us() : 0;
    for (int t = 0; t < TYPE_COUNT; t++) {
        s->types[t].dirty = false;
    }
    if (s->n_refusals > 0) {
        strbuf_printf(&warnings, "%s%.*s", warnings.n == 0 ? "" : "\n", SLICE_ARG(strbuf_slice(&s->refusals)));
    }
    if (warnings.n > 0) {
        err_set(err, ERR_INPUT, "%s", strbuf_cstr(&warnings));
    }
    strbuf_fini(&warnings);
    return true;
}

void store_check_live(struct config_store *s)
{
    bool left = false;
    for (int t = 0; t < TYPE_COUNT; t++) {
        left = left || (s->types[t].loaded && (resource_kinds[t].wildcard || s->types[t].n_names > 0));
    }
    s->disk_since_us = left ? s->disk_since_us : 0;
}

int64_t store_disk_since_us(const struct config_store *s)
{
    return s->disk_since_us;
}
