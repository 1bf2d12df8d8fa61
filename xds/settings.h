/*
 * settings: the control server's own configuration, read from --config and checked in full, with the MAC keys it
 * names. Immutable once loaded. Main thread.
 */
#pragma once
#include "base/arena.h"
#include "base/crypto/crypto.h"
#include "base/err.h"
#include "pb/egret/control/v1/config.pb-c.h"

struct settings {
    struct arena *arena;
    Egret__Control__V1__Config *config;    /* defaults filled in */
    struct hmac **macs;                    /* one for each of config->mac_keys */
    uint8_t (*store_keys)[AEAD_KEY_BYTES]; /* likewise: what is stored is sealed with the first; any may open */
};

bool settings_load(struct settings *out, const char *path, struct err *err); /* "file:line:column: field: reason" */
void settings_fini(struct settings *settings);
