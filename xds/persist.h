/*
 * persist: the folder's last good forms across restarts. Everything is sealed before it reaches the store: artifacts
 * may hold credentials, the overrides file holds keys. Trouble is told and remembered, never fatal. Main thread.
 */
#pragma once
#include "xds/settings.h"
#include "xds/source/folder.h"
#include "xds/store/store.h"

struct persist;

/* settings and store stay the caller's. */
struct persist *persist_create(const struct settings *settings, struct store *store);
void persist_destroy(struct persist **persist);
void persist_load(struct persist *persist, struct folder *folder); /* before the first rescan */
void persist_save(struct persist *persist, struct folder *folder); /* what changed since the last call */
const char *persist_trouble(const struct persist *persist);        /* NULL: all is well */
