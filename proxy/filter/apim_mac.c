#include "proxy/filter/apim_mac.h"

#include "base/crypto/crypto.h"
#include "base/mem.h"

struct keyed {
    char *id;
    char *key;
    size_t key_len;
    struct hmac *hmac;
};

struct apim_mac {
    struct keyed *keys;
    size_t n;
};

struct apim_mac *apim_mac_create(void)
{
    return mem_alloc(sizeof(struct apim_mac));
}

static void keyed_fini(struct keyed *k)
{
    hmac_destroy(&k->hmac);
    mem_wipe(k->key, k->key_len);
    mem_free(k->key);
    mem_free(k->id);
}

void apim_mac_destroy(struct apim_mac **m)
{
    if (*m == NULL) {
        return;
    }
    for (size_t i = 0; i < (*m)->n; i++) {
        keyed_fini(&(*m)->keys[i]);
    }
    mem_free((*m)->keys);
    mem_free(*m);
    *m = NULL;
}

static void keyed_init(struct keyed *k, const struct apim_mac_key *key)
{
    k->id = mem_str_slice(key->id);
    k->key = mem_str_slice(key->key);
    k->key_len = key->key.n;
    k->hmac = hmac_create(key->key);
}

/* The context for a MAC key, made again when its file was replaced. */
static struct hmac *context_of(struct apim_mac *m, const struct apim_mac_key *key)
{
    for (size_t i = 0; i < m->n; i++) {
        struct keyed *k = &m->keys[i];
        if (!slice_eq(slice_of(k->id), key->id)) {
            continue;
        }
        if (!crypto_equal(slice_make(k->key, k->key_len), key->key)) {
            keyed_fini(k);
            keyed_init(k, key);
        }
        return k->hmac;
    }
    m->keys = mem_resize(m->keys, (m->n + 1) * sizeof *m->keys);
    keyed_init(&m->keys[m->n], key);
    return m->keys[m->n++].hmac;
}

const struct apim_subscription *apim_mac_find(struct apim_mac *m, const struct apim_set *set, struct slice key)
{
    const struct apim_mac_key *keys;
    size_t n = apim_set_mac_keys(set, &keys);
    for (size_t i = 0; i < n; i++) {
        uint8_t mac[HMAC_BYTES];
        hmac_sign(context_of(m, &keys[i]), key, mac);
        const struct apim_subscription *s = apim_set_by_mac(set, i, mac);
        if (s != NULL) {
            return s;
        }
    }
    return NULL;
}
