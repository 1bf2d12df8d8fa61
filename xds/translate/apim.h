/* apim: what the files that make Egret's own resources share. */
#pragma once
#include "xds/translate/group.h"

/* Names that were reached so far; each step adds to what later steps make. */
struct apim {
    struct group *g;
    struct map *apis; /* without revision */
    struct map *products, *programs, *backends, *secrets;
    struct map *proxies; /* "host:port" that some program reaches its backend through */
    bool http2, http2_or_1; /* some program speaks to its backend so */
};

void apim_programs(struct apim *m);      /* reaches backends */
void apim_backends(struct apim *m);      /* and the secrets they need */
void apim_subscriptions(struct apim *m); /* those that can reach the Apis */
