#include "xds/catalog/build.h"

void version_set_read(struct build *b, struct version_set *v, struct props p, const char *file)
{
    struct slice scheme = props_text(p, "versioningScheme");
    const struct doc *at = props_get(p, "versioningScheme");
    v->parameter = "";
    if (slice_eq_nocase(scheme, SLICE("Segment"))) {
        v->scheme = CATALOG_VERSION_SEGMENT;
        return;
    }
    bool header = slice_eq_nocase(scheme, SLICE("Header"));
    if (!header && !slice_eq_nocase(scheme, SLICE("Query"))) {
        v->closed = closure_at(b, at, file, "the version set's versioningScheme is not Segment, Header or Query");
        return;
    }
    v->scheme = header ? CATALOG_VERSION_HEADER : CATALOG_VERSION_QUERY;
    struct slice name = props_text(p, header ? "versionHeaderName" : "versionQueryName");
    v->parameter = arena_str(b->arena, name);
    if (header ? !is_api_token(name) : name.n == 0) {
        v->closed =
            closure_at(b, at, file, "the version set does not name its %s", header ? "header" : "query parameter");
    }
}

void build_version_sets(struct build *b)
{
    for (size_t i = 0; i < b->snap->other_count; i++) {
        const struct artifact *a = b->snap->others[i];
        if (a->kind != ARTIFACT_VERSION_SET) {
            continue;
        }
        const struct override *o = override_of(b, a);
        const char *name = resource_name(b, a->workspace, "versionsets", slice_of(a->id));
        if (map_has(b->version_sets, slice_of(name))) {
            struct closure at = {a->path, 1, 0, NULL};
            build_problem(b, CATALOG_WARNING, at, name, "another file says this version set too; that one counts");
            continue;
        }
        struct version_set *v = arena_zalloc(b->arena, sizeof *v);
        v->name = name;
        v->parameter = "";
        v->closed = closure_of_override(b, o);
        v->inputs = inputs_of(a, o);
        if (a->state == ARTIFACT_BROKEN) {
            v->closed = closure_of_artifact(a);
        } else if (v->closed.text == NULL) {
            version_set_read(b, v, props_of(a, o), a->path);
        }
        map_put(b->version_sets, slice_of(name), v);
    }
}
