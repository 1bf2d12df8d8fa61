#include "xds/settings.h"

#include <string.h>

#include "base/doc/doc.h"
#include "base/file.h"
#include "base/mem.h"
#include "proto/walk.h"
#include "xds/settings_check.h"

enum { MAC_KEY_MIN = 32, MAC_KEY_MAX = 4096 };

static bool is_empty(const char *s)
{
    return s[0] == '\0';
}

/* The file's exact bytes are the key, on both sides. */
static bool load_mac_key(struct settings *s, size_t i, struct err *err)
{
    const Egret__Control__V1__MacKey *k = s->config->mac_keys[i];
    char *bytes = NULL;
    size_t n = 0;
    if (!file_read(k->file, MAC_KEY_MAX, &bytes, &n, err)) {
        return err_prefix(err, "mac_keys[%zu].file", i);
    }
    bool ok = n >= MAC_KEY_MIN ||
              err_set(err, ERR_INPUT, "mac_keys[%zu].file: %s: shorter than %d bytes", i, k->file, MAC_KEY_MIN);
    if (ok) {
        s->macs[i] = hmac_create(slice_make(bytes, n));
        /* The store's key is another one, so that what is sealed tells nothing about the MACs. */
        hmac_sign(s->macs[i], SLICE("egret-control state folder, version 1"), s->store_keys[i]);
    }
    mem_wipe(bytes, n);
    mem_free(bytes);
    return ok;
}

static void fill_defaults(struct settings *s)
{
    Egret__Control__V1__Config *c = s->config;
    if (is_empty(c->trust_domain)) {
        c->trust_domain = arena_str(s->arena, SLICE("egret"));
    }
    if (c->ads != NULL && is_empty(c->ads->address)) {
        c->ads->address = arena_str(s->arena, SLICE("127.0.0.1"));
    }
    if (is_empty(c->status_socket)) {
        c->status_socket = arena_printf(s->arena, "%s/control.sock", c->state_folder);
    }
}

static bool load(struct settings *s, const char *path, struct err *err)
{
    const struct doc *doc = doc_read(s->arena, path, NULL, err);
    struct walk walk = {.arena = s->arena};
    s->config = doc == NULL ? NULL : walk_message(&walk, doc, &egret__control__v1__config__descriptor, err);
    if (s->config == NULL) {
        return false;
    }
    fill_defaults(s);
    if (!settings_check(s->config, err)) {
        return err_prefix(err, "%s", path);
    }
    s->macs = arena_zalloc(s->arena, (s->config->n_mac_keys + 1) * sizeof s->macs[0]);
    s->store_keys = arena_zalloc(s->arena, (s->config->n_mac_keys + 1) * sizeof s->store_keys[0]);
    for (size_t i = 0; i < s->config->n_mac_keys; i++) {
        if (!load_mac_key(s, i, err)) {
            return err_prefix(err, "%s", path);
        }
    }
    return true;
}

bool settings_load(struct settings *out, const char *path, struct err *err)
{
    *out = (struct settings){.arena = arena_create(0)};
    if (!load(out, path, err)) {
        settings_fini(out);
        return false;
    }
    return true;
}

void settings_fini(struct settings *settings)
{
    for (size_t i = 0; settings->macs != NULL && i < settings->config->n_mac_keys; i++) {
        hmac_destroy(&settings->macs[i]);
        mem_wipe(settings->store_keys[i], AEAD_KEY_BYTES);
    }
    arena_destroy(&settings->arena);
    *settings = (struct settings){NULL, NULL, NULL, NULL};
}
