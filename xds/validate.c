#include "xds/validate.h"

#include <stdio.h>

#include "base/strbuf.h"
#include "xds/catalog/catalog_build.h"
#include "xds/problems.h"
#include "xds/settings.h"
#include "xds/source/folder.h"

static void tell_text(const struct catalog *c, const struct catalog_counts *counts)
{
    struct strbuf out;
    strbuf_init(&out);
    for (size_t i = 0, last = 0; i < c->problem_count; i++) {
        size_t begin = out.n;
        problem_text(&c->problems[i], &out);
        strbuf_add_char(&out, '\n');
        struct slice line = slice_from(strbuf_slice(&out), begin);
        if (begin > 0 && slice_eq(line, slice_sub(strbuf_slice(&out), last, begin - last))) {
            out.n = begin; /* several objects have it: the place and the reason are one */
        } else {
            last = begin;
        }
    }
    if (c->closed != NULL) {
        strbuf_printf(&out, "%s\n", c->closed);
    }
    counts_text(counts, &out);
    strbuf_add_char(&out, '\n');
    fwrite(strbuf_cstr(&out), 1, out.n, stdout);
    strbuf_fini(&out);
}

static void tell_json(const struct catalog *c, const struct catalog_counts *counts)
{
    struct strbuf out;
    strbuf_init(&out);
    strbuf_add_str(&out, "{\"problems\":[");
    for (size_t i = 0; i < c->problem_count; i++) {
        strbuf_add_str(&out, i == 0 ? "" : ",");
        problem_json(&c->problems[i], &out);
    }
    strbuf_add_str(&out, "],\"closed\":");
    if (c->closed == NULL) {
        strbuf_add_str(&out, "null");
    } else {
        strbuf_add_json(&out, slice_of(c->closed));
    }
    strbuf_add_str(&out, ",\"counts\":");
    counts_json(counts, &out);
    strbuf_add_str(&out, "}\n");
    fwrite(strbuf_cstr(&out), 1, out.n, stdout);
    strbuf_fini(&out);
}

static bool check_settings(const char *path)
{
    struct settings settings;
    struct err err = {0};
    if (path == NULL) {
        return true;
    }
    if (!settings_load(&settings, path, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    settings_fini(&settings);
    return true;
}

int validate_run(const struct options *options)
{
    struct err err = {0};
    bool changed;
    if (!check_settings(options->config)) {
        return 1;
    }
    struct folder *folder = folder_create(options->folder, options->overrides);
    if (!folder_rescan(folder, &changed, &err)) {
        fprintf(stderr, "%s\n", err.text);
        folder_destroy(&folder);
        return 1;
    }
    struct folder_snapshot *snapshot = folder_snapshot(folder);
    struct catalog *catalog = catalog_build(NULL, snapshot);
    struct catalog_counts counts = catalog_count(catalog);
    (options->json ? tell_json : tell_text)(catalog, &counts);
    bool good = counts.operations > 0 && catalog->closed == NULL && !(options->strict && catalog->problem_count > 0);
    catalog_unref(&catalog);
    folder_snapshot_unref(&snapshot);
    folder_destroy(&folder);
    return good ? 0 : 1;
}
