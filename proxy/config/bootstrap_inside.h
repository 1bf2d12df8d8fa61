/* The bootstrap's inside, for the files of this room. Read-only once loaded; the store borrows it. */
#pragma once
#include "base/doc/doc.h"
#include "base/map.h"
#include "proxy/config/apim.h"
#include "proxy/config/read.h"

struct config_bootstrap {
    struct arena *arena; /* the message and everything below */
    pb_bootstrap *message;
    const struct doc *docs[2]; /* the file, --config-yaml; either may be NULL */
    struct support *support;
    struct graveyard yard; /* of every object that is made from this configuration, the store's too */
    const struct extension_registry *extensions;
    struct bootstrap_node node;
    bool has_admin, has_internal, has_ads, ads_delta, wants_lds, wants_cds;
    struct addr admin;
    struct slice ads_cluster;
    struct config_limits limits;
    struct map *secrets; /* name → struct secret: static_resources.secrets */
    struct map *clusters; /* names of static_resources.clusters */
    struct apim_mac_key *mac_keys; /* generic secrets "mac/<id>", in their order */
    size_t n_mac_keys;
};

/* For builders of the bootstrap's own resources; no dynamic secret is held. */
struct build_env bootstrap_env(struct config_bootstrap *b);

/* bootstrap_file.c: the file and --config-yaml → one message. */
bool bootstrap_read(struct config_bootstrap *b, const struct bootstrap_options *options, struct err *err);
/* "file:line:column: " before err->text, which begins with a path into the message. Returns false. */
bool bootstrap_locate(const struct config_bootstrap *b, struct err *err);
/* Like protobuf's own merge: lists are joined, messages merged, everything else replaced. Shares what src points to. */
void message_merge(pb_message *dst, const pb_message *src, struct arena *arena);
