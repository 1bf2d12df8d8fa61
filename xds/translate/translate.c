#include "xds/translate/translate.h"

#include <string.h>

#include "xds/translate/egress.h"
#include "xds/translate/group.h"

static const Egret__Control__V1__Gateway *egress_gateway(const struct translate_input *in, struct slice cluster)
{
    struct slice name = slice_starts_with(cluster, SLICE("egress/")) ? slice_from(cluster, 7) : SLICE_NONE;
    for (size_t i = 0; name.n > 0 && i < in->config->n_gateways; i++) {
        if (slice_eq(name, slice_of(in->config->gateways[i]->name))) {
            return in->config->gateways[i];
        }
    }
    return NULL;
}

bool translate_knows(const struct translate_input *in, struct slice cluster, struct err *err)
{
    if (slice_starts_with(cluster, SLICE("egress/"))) {
        return egress_gateway(in, cluster) != NULL ||
               err_set(err, ERR_DENIED, "\"%.*s\": the settings' gateways: do not name it", SLICE_ARG(cluster));
    }
    if (in->catalog->gateways.n == 0) {
        return true;
    }
    for (size_t i = 0; i < in->catalog->gateways.n; i++) {
        if (slice_eq_nocase(slice_of(in->catalog->gateways.items[i]->id), cluster)) {
            return true;
        }
    }
    return err_set(err, ERR_DENIED, "\"%.*s\": no gateway of this id in the service", SLICE_ARG(cluster));
}

bool translate_group(const struct translate_input *in, const char *cluster, const struct translate_sink *sink,
                     struct err *err)
{
    struct group g = {
        .in = in,
        .cluster = cluster,
        .sink = sink,
        .arena = arena_create(64 * 1024),
        .done = map_create(NULL),
        .err = err,
    };
    const Egret__Control__V1__Gateway *gateway = egress_gateway(in, slice_of(cluster));
    if (gateway != NULL) {
        gateway_resources(&g, gateway);
    } else {
        sidecar_listeners(&g);
        sidecar_routes(&g);
        apim_resources(&g);
    }
    map_destroy(&g.done);
    arena_destroy(&g.arena);
    return !g.failed || err_prefix(err, "%s", cluster);
}

void translate_each_egress(const struct translate_input *in,
                           void (*fn)(void *ctx, const struct translate_egress_row *row), void *ctx)
{
    struct arena *arena = arena_create(0);
    for (size_t i = 0; i < in->config->n_gateways; i++) {
        gateway_each_target(in, in->config->gateways[i], arena, fn, ctx);
    }
    arena_destroy(&arena);
}
