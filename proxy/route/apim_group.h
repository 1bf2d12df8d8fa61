/*
 * apim_group: the APIs that share one path (versions, revisions, hosts), immutable, shared by tables through a
 * reference count; it holds a reference to each of its APIs. Private to the room.
 */
#pragma once
#include <stdatomic.h>

#include "proxy/route/apim_trie.h"

/* One API and what most look-ups ask of it, so that they need not touch the API itself. */
enum apim_scheme { APIM_HTTP, APIM_HTTPS, APIM_WS, APIM_WSS, APIM_SCHEMES };

struct apim_member {
    struct apim_api *api;
    struct apim_trie trie;
    bool schemes[APIM_SCHEMES], closed;
};

struct apim_group {
    atomic_uint refs;
    uint32_t count;
    bool plain;                   /* one API, current, for every host, without versions */
    struct slice key;             /* behind the members */
    struct apim_member members[]; /* in name order */
};

/* NULL and err, *clash when two of them claim the same calls. References are taken. */
struct apim_group *apim_group_create(struct apim_api *const *apis, uint32_t count, struct apim_clash *clash,
                                     struct err *err);
struct apim_group *apim_group_ref(struct apim_group *group);
void apim_group_unref(struct apim_group **group);

/* Is the API there for this host (of a request, without port) ? */
bool apim_group_serves(const struct apim_api *api, struct slice host);
