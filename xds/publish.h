/*
 * publish: from catalogs to connected streams. It knows the newest catalog, translates it for each group that is
 * connected, puts the result into the cache and tells the server. Main thread.
 */
#pragma once
#include "base/strbuf.h"
#include "xds/cache/cache.h"
#include "xds/catalog/catalog.h"
#include "xds/server/server.h"
#include "xds/settings.h"
#include "xds/translate/translate.h"

struct publish;

struct publish *publish_create(const struct settings *settings);
void publish_destroy(struct publish **publish);
/* For server_hooks.admit. */
bool publish_admit(void *publish, struct slice cluster, struct resource_set **set, struct err *err);
/* Takes its own reference. Every connected group gets what changed for it; server may be NULL. */
void publish_catalog(struct publish *publish, struct catalog *catalog, struct server *server);
const struct catalog *publish_newest(const struct publish *publish); /* NULL before the first */
int64_t publish_time_us(const struct publish *publish);              /* of the newest one, wall clock; 0: none */
/* What could not be translated: "group: reason"; NULL for none. */
void publish_each_trouble(const struct publish *publish, void (*fn)(void *ctx, const char *group, const char *text),
                          void *ctx);
