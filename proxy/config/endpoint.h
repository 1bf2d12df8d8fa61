/* ClusterLoadAssignment → endpoint_set. */
#pragma once
#include "proxy/config/read.h"
#include "proxy/config/snapshot.h"

/* One reference, in an arena of its own: what r->arena holds is not part of it. NULL with the reader's error. dns: host
 * names are allowed (STRICT_DNS, LOGICAL_DNS). */
struct endpoint_set *endpoints_create(struct reader *r, const pb_assignment *a, bool dns);
