/* One revision of one API: copied into an arena of its own, checked, compiled. */
#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/macros.h"
#include "proxy/route/apim.h"
#include "proxy/route/apim_trie.h"
#include "proxy/route/canon.h"
#include "proxy/route/fold.h"

enum { PATH_DEPTH_MAX = 32 };

/* What the pointer given out is a part of. */
struct api_box {
    struct apim_api api;
    atomic_uint refs;
    struct arena *arena;
    struct apim_trie trie;
};

static struct slice copy(struct arena *arena, struct slice s)
{
    return s.n == 0 ? SLICE_NONE : arena_slice(arena, s);
}

static struct slice copy_lower(struct arena *arena, struct slice s)
{
    struct slice out = copy(arena, s);
    for (size_t i = 0; i < out.n; i++) {
        ((char *)(uintptr_t)out.p)[i] = ascii_lower(out.p[i]);
    }
    return out;
}

static const struct slice *copy_list(struct arena *arena, const struct slice *list, size_t count, bool lower)
{
    struct slice *out = count == 0 ? NULL : arena_alloc(arena, count * sizeof *out);
    for (size_t i = 0; i < count; i++) {
        out[i] = lower ? copy_lower(arena, list[i]) : copy(arena, list[i]);
    }
    return out;
}

/* The usual methods are not copied for each of many thousand operations. */
static struct slice copy_method(struct arena *arena, struct slice method)
{
    static const struct slice usual[] = {{"GET", 3},   {"POST", 4}, {"PUT", 3},     {"DELETE", 6},
                                         {"PATCH", 5}, {"HEAD", 4}, {"OPTIONS", 7}, {"*", 1}};
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        if (slice_eq(method, usual[i])) {
            return usual[i];
        }
    }
    return copy(arena, method);
}

static void copy_conf(struct api_box *box, const struct apim_api_conf *c)
{
    struct arena *a = box->arena;
    struct apim_api_conf *to = &box->api.conf;
    *to = *c;
    to->name = copy(a, c->name);
    to->api_id = copy(a, c->api_id);
    to->display_name = copy(a, c->display_name);
    to->path = copy(a, c->path);
    to->version_parameter = copy_lower(a, c->version_parameter);
    to->version = copy(a, c->version);
    to->revision = copy(a, c->revision);
    to->hosts = copy_list(a, c->hosts, c->host_count, true);
    to->key_header = copy(a, c->key_header);
    to->key_query = copy(a, c->key_query);
    to->products = copy_list(a, c->products, c->product_count, false);
    to->backend = copy(a, c->backend);
    to->service_program = copy(a, c->service_program);
    to->workspace_program = copy(a, c->workspace_program);
    to->api_program = copy(a, c->api_program);
    to->closed = copy(a, c->closed);
    to->operations = NULL;
    to->operation_count = 0;
}

static struct slice trim_slashes(struct slice s)
{
    while (s.n > 0 && s.p[0] == '/') {
        s = slice_from(s, 1);
    }
    while (s.n > 0 && s.p[s.n - 1] == '/') {
        s.n--;
    }
    return s;
}

static bool check_path_text(struct slice path, struct arena *arena, struct err *err)
{
    const char *with_slash = arena_printf(arena, "/%.*s", SLICE_ARG(path));
    if (canon_is_hostile(slice_of(with_slash)) || slice_find(path, '?') < path.n || slice_find(path, '#') < path.n) {
        return err_set(err, ERR_INPUT, "path: holds a dot segment, %%00, '?' or '#'");
    }
    return true;
}

/* The key that requests are looked up by. */
static bool make_key(struct api_box *box, struct err *err)
{
    struct apim_api *api = &box->api;
    struct canon canon;
    struct slice rest = trim_slashes(api->conf.path);
    if (!check_path_text(rest, box->arena, err)) {
        return false;
    }
    canon_init(&canon);
    while (rest.n > 0) {
        struct slice segment = slice_cut(&rest, '/');
        if (segment.n == 0) {
            return err_set(err, ERR_INPUT, "path: an empty segment");
        }
        if (!canon_add(&canon, segment) || ++api->depth > PATH_DEPTH_MAX) {
            return err_set(err, ERR_LIMIT, "path: more than %d segments or %d bytes", PATH_DEPTH_MAX, CANON_MAX);
        }
    }
    struct slice key = slice_make(canon.p, canon.n);
    if (slice_search(key, SLICE(";rev=")) < key.n) {
        return err_set(err, ERR_INPUT, "path: holds \";rev=\", which names revisions");
    }
    api->key = copy(box->arena, key);
    api->hash = canon.hash;
    return true;
}

static bool make_version(struct api_box *box, struct err *err)
{
    struct apim_api *api = &box->api;
    struct slice version = api->conf.version;
    switch (api->conf.versioning) {
    case APIM_VERSION_NONE:
        return version.n == 0 || err_set(err, ERR_INPUT, "version: \"%.*s\" without a scheme", SLICE_ARG(version));
    case APIM_VERSION_HEADER:
    case APIM_VERSION_QUERY:
        return api->conf.version_parameter.n > 0 || err_set(err, ERR_INPUT, "version_parameter: empty");
    case APIM_VERSION_SEGMENT:
        break;
    }
    struct canon canon;
    canon_init(&canon);
    if (slice_find(version, '/') < version.n || slice_find(version, ';') < version.n || !canon_add(&canon, version)) {
        return err_set(err, ERR_INPUT, "version: \"%.*s\" is not one segment", SLICE_ARG(slice_sub(version, 0, 100)));
    }
    api->version_key = copy(box->arena, slice_make(canon.p, canon.n));
    return true;
}

static bool make_operation(struct api_box *box, const struct apim_operation_conf *c, struct apim_operation *out,
                           struct err *err)
{
    struct arena *a = box->arena;
    out->conf = *c;
    out->conf.id = copy(a, c->id);
    out->conf.method = copy_method(a, c->method);
    out->conf.program = copy(a, c->program);
    out->conf.closed = copy(a, c->closed);
    struct url_template *t = url_template_parse(c->template, a, err);
    if (t == NULL) {
        return err_prefix(err, "operations[%.*s]", SLICE_ARG(c->id));
    }
    out->template = t;
    out->conf.template = t->text;
    if (c->method.n == 0) {
        return err_set(err, ERR_INPUT, "operations[%.*s].method: empty", SLICE_ARG(c->id));
    }
    return true;
}

static bool make_operations(struct api_box *box, const struct apim_api_conf *c, struct err *err)
{
    uint32_t count = (uint32_t)c->operation_count;
    struct apim_operation *list = arena_zalloc(box->arena, count * sizeof *list);
    const struct apim_operation **sorted = arena_alloc(box->arena, count * sizeof(const struct apim_operation *));
    for (uint32_t i = 0; i < count; i++) {
        list[i].index = i;
        sorted[i] = &list[i];
        if (!make_operation(box, &c->operations[i], &list[i], err)) {
            return false;
        }
    }
    box->api.operations = list;
    box->api.operation_count = count;
    box->api.trie = &box->trie;
    return apim_trie_build(&box->trie, sorted, count, box->arena, err);
}

static struct slice identity_of(struct slice name)
{
    return slice_sub(name, 0, slice_search(name, SLICE(";rev=")));
}

static struct api_box *build(const struct apim_api_conf *conf, struct arena *arena, struct err *err)
{
    struct api_box *box = arena_zalloc(arena, sizeof *box);
    atomic_init(&box->refs, 1);
    box->arena = arena;
    copy_conf(box, conf);
    box->api.identity = identity_of(box->api.conf.name);
    if (!make_key(box, err) || !make_version(box, err) || !make_operations(box, conf, err)) {
        err_prefix(err, "%.*s", SLICE_ARG(conf->name));
        arena_destroy(&arena);
        return NULL;
    }
    return box;
}

/* There are thousands and they stay: each is made again in one block that fits. */
struct apim_api *apim_api_create(const struct apim_api_conf *conf, struct err *err)
{
    size_t guess = sizeof(struct api_box) + 512 + conf->operation_count * 512;
    struct api_box *first = build(conf, arena_create(guess > (64 << 10) ? 64 << 10 : guess), err);
    if (first == NULL) {
        return NULL;
    }
    struct arena *arena = first->arena;
    struct api_box *box = build(conf, arena_create_exact(arena_used(arena)), err);
    arena_destroy(&arena);
    return box == NULL ? NULL : &box->api;
}

struct apim_api *apim_api_ref(struct apim_api *api)
{
    struct api_box *box = container_of(api, struct api_box, api);
    atomic_fetch_add_explicit(&box->refs, 1, memory_order_relaxed);
    return api;
}

void apim_api_unref(struct apim_api **api)
{
    if (*api == NULL) {
        return;
    }
    struct api_box *box = container_of(*api, struct api_box, api);
    *api = NULL;
    if (atomic_fetch_sub_explicit(&box->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (box->api.conf.free_user != NULL) {
        box->api.conf.free_user(box->api.conf.user);
    }
    struct arena *arena = box->arena;
    arena_destroy(&arena);
}
