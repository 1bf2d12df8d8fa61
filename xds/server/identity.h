/* identity: may the holder of this certificate speak for this node? Pure, any thread. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

/*
 * spiffe_id: the only URI name of the client certificate; empty when there is none or several. It must be
 * spiffe://<trust_domain>/gateway/<cluster>, perhaps with more segments behind. cluster is node.cluster: the id of an
 * API management gateway (one segment, not "egress") or "egress/<name>". false: ERR_DENIED.
 */
bool identity_check(struct slice spiffe_id, struct slice trust_domain, struct slice cluster, struct err *err);

/* For an egress gateway's cluster ("egress/<name>"): its name; else the empty slice. */
struct slice identity_egress_name(struct slice cluster);
