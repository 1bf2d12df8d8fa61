#include "proxy/config/apim.h"

#include <string.h>

#include "base/crypto/crypto.h"
#include "base/mem.h"
#include "proxy/config/apim_set.h"

/* ---- objects and their indexes ---- */

static struct slice object_key(const void *object)
{
    return ((const struct apim_object *)object)->name;
}

static void object_ref(const void *object)
{
    ((struct apim_object *)(uintptr_t)object)->refs++;
}

static void object_unref(const void *object)
{
    struct apim_object *o = (struct apim_object *)(uintptr_t)object;
    apim_object_unref(&o);
}

void apim_object_unref(struct apim_object **o)
{
    struct apim_object *old = *o;
    *o = NULL;
    if (old != NULL && --old->refs == 0) {
        struct arena *arena = old->arena;
        if (arena == NULL) {
            mem_free(old);
        }
        arena_destroy(&arena);
    }
}

static struct slice mac_key(const void *object)
{
    return slice_make((const char *)object + offsetof(struct apim_mac, number), MAC_KEY_TEXT);
}

static void mac_ref(const void *object)
{
    object_ref(((const struct apim_mac *)object)->owner);
}

static void mac_unref(const void *object)
{
    object_unref(((const struct apim_mac *)object)->owner);
}

const struct index_kind apim_object_index = {object_key, object_ref, object_unref};
const struct index_kind apim_mac_index = {mac_key, mac_ref, mac_unref};

/* ---- the set ---- */

struct apim_set *apim_set_create(const struct apim_mac_key *keys, size_t n, struct apim_counters *counters)
{
    struct apim_set *s = mem_alloc(sizeof *s);
    *s = (struct apim_set){.refs = 1, .keys = keys, .n_keys = n};
    s->counters = counters == NULL ? apim_counters_create() : apim_counters_ref(counters);
    return s;
}

struct apim_set *apim_set_ref(struct apim_set *s)
{
    s->refs++;
    return s;
}

void apim_set_unref(struct apim_set **s)
{
    struct apim_set *old = *s;
    *s = NULL;
    if (old == NULL || --old->refs > 0) {
        return;
    }
    apim_table_unref(&old->table);
    index_unref(&old->products);
    index_unref(&old->subscriptions);
    index_unref(&old->backends);
    index_unref(&old->programs);
    index_unref(&old->macs);
    apim_counters_unref(&old->counters);
    mem_free(old);
}

const struct apim_table *apim_set_table(const struct apim_set *s)
{
    return s->table;
}

const struct apim_product *apim_set_product(const struct apim_set *s, struct slice name)
{
    const struct apim_object *o = index_find(s->products, name);
    return o == NULL ? NULL : &o->product;
}

const struct apim_backend *apim_set_backend(const struct apim_set *s, struct slice name)
{
    const struct apim_object *o = index_find(s->backends, name);
    return o == NULL ? NULL : &o->backend;
}

const struct apim_program *apim_set_program(const struct apim_set *s, struct slice name)
{
    const struct apim_object *o = index_find(s->programs, name);
    return o == NULL ? NULL : &o->program;
}

struct apim_counters *apim_set_counters(const struct apim_set *s)
{
    return s->counters;
}

size_t apim_set_mac_keys(const struct apim_set *s, const struct apim_mac_key **keys)
{
    *keys = s->keys;
    return s->n_keys;
}

/* ---- keys ---- */

static void file_under(char key[MAC_KEY_TEXT], size_t number, const uint8_t mac[MAC_BYTES])
{
    uint32_t n = (uint32_t)number;
    memcpy(key, &n, 4);
    memcpy(key + 4, mac, 8);
}

static bool same_mac(const struct apim_mac *m, const uint8_t mac[MAC_BYTES])
{
    return crypto_equal(slice_make(m->mac, MAC_BYTES), slice_make(mac, MAC_BYTES));
}

const struct apim_subscription *apim_set_by_mac(const struct apim_set *s, size_t key, const uint8_t mac[MAC_BYTES])
{
    char text[MAC_KEY_TEXT];
    file_under(text, key, mac);
    uint32_t cursor = 0;
    const struct apim_subscription *found = NULL;
    for (const struct apim_mac *m = NULL;
         (m = index_next(s->macs, slice_make(text, MAC_KEY_TEXT), &cursor)) != NULL;) {
        if (same_mac(m, mac)) {
            found = &m->owner->subscription;
        }
    }
    return found;
}

const struct apim_object *apim_mac_other(const struct index *macs, const struct apim_mac *mac)
{
    uint32_t cursor = 0;
    for (const struct apim_mac *m = NULL;
         (m = index_next(macs, mac_key(mac), &cursor)) != NULL;) {
        if (m->owner != mac->owner && same_mac(m, mac->mac)) {
            return m->owner;
        }
    }
    return NULL;
}
