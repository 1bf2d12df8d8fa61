// rooms: base proxy/route
/*
 * URL templates and the requests against them. Lines: templates ("METHOD template") until an empty line, then
 * requests ("METHOD target"). What is found must really fit: its literal segments stand in the path, and every
 * parameter that the template names gets a value.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "proxy/route/apim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPERATIONS = 32 };

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static struct apim_api *read_api(struct slice *rest, struct arena *arena)
{
    struct apim_operation_conf ops[OPERATIONS];
    size_t count = 0;
    struct slice path = slice_cut(rest, '\n');
    while (rest->n > 0 && count < OPERATIONS) {
        struct slice line = slice_cut(rest, '\n');
        if (line.n == 0) {
            break;
        }
        struct slice method = slice_cut(&line, ' ');
        if (url_template_parse(line, arena, NULL) != NULL && method.n > 0) {
            ops[count++] = (struct apim_operation_conf){.id = line, .method = method, .template = line};
        }
    }
    struct apim_api_conf conf = {.name = SLICE("apis/x;rev=1"),
                                 .path = path,
                                 .is_current = true,
                                 .http = true,
                                 .revision = SLICE("1"),
                                 .operations = ops,
                                 .operation_count = count};
    struct err err;
    return apim_api_create(&conf, &err);
}

static void check_match(struct apim_match *m, struct arena *arena)
{
    apim_match_params(m, arena);
    const struct url_template *t = m->operation->template;
    require(m->param_count == t->name_count);
    for (uint32_t i = 0, at = 0; i < t->segment_count; i++) {
        const struct template_segment *s = &t->segments[i];
        for (uint32_t k = 0; k < s->name_count; k++, at++) {
            require(slice_eq(m->params[at].name, s->names[k]));
            require(s->kind == TEMPLATE_REST || m->params[at].value.n > 0);
        }
    }
    require(m->rest.n == 0 || m->rest.p[0] == '/');
}

static void try_requests(const struct apim_table *table, struct slice rest, struct arena *arena)
{
    for (int i = 0; rest.n > 0 && i < 32; i++) {
        struct slice target = slice_cut(&rest, '\n');
        struct slice method = slice_cut(&target, ' ');
        char *exact = malloc(target.n > 0 ? target.n : 1);
        if (target.n > 0) {
            memcpy(exact, target.p, target.n);
        }
        struct route_request req = {
            .scheme = SLICE("http"), .method = method, .authority = SLICE("h"), .path = slice_make(exact, target.n)};
        struct apim_match m;
        if (apim_match(table, &req, arena, &m)) {
            check_match(&m, arena);
        }
        free(exact);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 8192) {
        return 0;
    }
    struct slice rest = slice_make(data, size);
    struct arena *arena = arena_create(0);
    struct apim_api *api = read_api(&rest, arena);
    if (api != NULL) {
        struct apim_table *table = apim_table_update(NULL, &api, 1, NULL, NULL);
        try_requests(table, rest, arena);
        apim_table_unref(&table);
        apim_api_unref(&api);
    }
    arena_destroy(&arena);
    return 0;
}
