/* gone: the nodes that were connected and are not any more, for status. The newest thousand. One thread. */
#pragma once
#include "xds/server/server.h"

struct gone;

struct gone *gone_create(void);
void gone_destroy(struct gone **gone);
/* Copies the texts. An older row of the same node is replaced. */
void gone_add(struct gone *gone, const struct server_proxy *proxy);
void gone_remove(struct gone *gone, const char *cluster, const char *node_id); /* it is back */
void gone_each(const struct gone *gone, void (*fn)(void *ctx, const struct server_proxy *proxy), void *ctx);
