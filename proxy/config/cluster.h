/* Cluster → cluster_conf. */
#pragma once
#include "proxy/config/read.h"
#include "proxy/config/snapshot.h"

/* One reference; r->arena and r->cleanups go over to it. NULL with the reader's error. With r->missing_secret it is
 * checked as far as possible, but its TLS context is not there: it must not serve. */
struct cluster_conf *cluster_create(struct reader *r, const pb_cluster *m);
