#include "xds/server/identity.h"

struct slice identity_egress_name(struct slice cluster)
{
    struct slice name = slice_starts_with(cluster, SLICE("egress/")) ? slice_from(cluster, 7) : SLICE_NONE;
    return slice_find(name, '/') == name.n ? name : SLICE_NONE;
}

/* One segment of a path: characters that a SPIFFE id may hold there, and no "." or "..". */
static bool is_segment(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == '.';
        if (!ok) {
            return false;
        }
    }
    return s.n > 0 && !slice_eq(s, SLICE(".")) && !slice_eq(s, SLICE(".."));
}

static bool is_cluster(struct slice cluster)
{
    if (slice_starts_with(cluster, SLICE("egress/"))) {
        return is_segment(identity_egress_name(cluster));
    }
    return is_segment(cluster) && !slice_eq_nocase(cluster, SLICE("egress"));
}

/* Drops `part` from the front. */
static bool eat(struct slice *s, struct slice part)
{
    if (!slice_starts_with(*s, part)) {
        return false;
    }
    *s = slice_from(*s, part.n);
    return true;
}

bool identity_check(struct slice spiffe_id, struct slice trust_domain, struct slice cluster, struct err *err)
{
    if (!is_cluster(cluster)) {
        return err_set(err, ERR_DENIED, "node.cluster \"%.*s\": a gateway id or egress/<name> is needed",
                       SLICE_ARG(slice_sub(cluster, 0, 100)));
    }
    struct slice rest = spiffe_id;
    bool same = eat(&rest, SLICE("spiffe://")) && eat(&rest, trust_domain) && eat(&rest, SLICE("/gateway/")) &&
                eat(&rest, cluster) && (rest.n == 0 || rest.p[0] == '/');
    if (!same) {
        return err_set(err, ERR_DENIED,
                       "the client certificate's name \"%.*s\" does not allow node.cluster \"%.*s\": "
                       "spiffe://%.*s/gateway/%.*s is needed",
                       SLICE_ARG(slice_sub(spiffe_id, 0, 120)), SLICE_ARG(slice_sub(cluster, 0, 100)),
                       SLICE_ARG(slice_sub(trust_domain, 0, 60)), SLICE_ARG(slice_sub(cluster, 0, 100)));
    }
    return true;
}
