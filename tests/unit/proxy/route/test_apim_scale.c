/* Prints what look-ups and edits cost at size, and checks that they answer right; times are never asserted. */
#include "unit/proxy/route/apim_fixture.h"

#include <malloc.h>
#include <time.h>

enum { OPS = 38 };

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct apim_api *make_api(unsigned i, unsigned ops)
{
    static char templates[OPS][96], ids[OPS][32];
    static struct apim_operation_conf list[OPS];
    char name[64], path[64];
    snprintf(name, sizeof name, "apis/service-%05u;rev=1", i);
    snprintf(path, sizeof path, "team%u/service-%05u", i % 40, i);
    for (unsigned k = 0; k < ops; k++) {
        static const char *const methods[] = {"GET", "POST", "PUT", "DELETE"};
        const char *method = methods[k % 4];
        snprintf(ids[k], sizeof ids[k], "operation-%u", k);
        snprintf(templates[k], sizeof templates[k], "/collection%u/{id}/items%s", k / 4, k % 8 < 4 ? "" : "/{item}");
        list[k] = (struct apim_operation_conf){
            .id = slice_of(ids[k]), .method = slice_of(method), .template = slice_of(templates[k])};
    }
    struct apim_api_conf conf = {.name = slice_of(name),
                                 .path = slice_of(path),
                                 .is_current = true,
                                 .is_online = true,
                                 .revision = SLICE("1"),
                                 .https = true,
                                 .operations = list,
                                 .operation_count = ops};
    struct err err;
    struct apim_api *api = apim_api_create(&conf, &err);
    if (api == NULL) {
        fail_msg("%s", err.text);
    }
    return api;
}

/* With table NULL: what making the paths costs. */
static double look_up(const struct apim_table *table, unsigned apis, unsigned ops, unsigned rounds)
{
    struct arena *arena = arena_create(8192);
    uint32_t seed = 5;
    unsigned hits = 0;
    double start = now_us();
    for (unsigned i = 0; i < rounds; i++) {
        char path[128];
        seed = seed * 1664525u + 1013904223u;
        unsigned api = (seed >> 8) % apis, op = ((seed >> 4) % ops) & ~3u;
        int n = snprintf(path, sizeof path, "/team%u/service-%05u/collection%u/4711/items%s?a=b", api % 40, api, op / 4,
                         op % 8 < 4 ? "" : "/12");
        struct route_request req = {.scheme = SLICE("https"),
                                    .method = SLICE("GET"),
                                    .authority = SLICE("api.contoso.com"),
                                    .path = slice_make(path, (size_t)n)};
        struct apim_match m;
        hits += table == NULL || apim_match(table, &req, arena, &m);
        arena_reset(arena);
    }
    double ns = (now_us() - start) * 1000 / rounds;
    assert_int_equal(hits, rounds);
    arena_destroy(&arena);
    return ns;
}

/* One edited API after the other, each a new table over the old one. */
static double edit(struct apim_table **table, struct apim_api **apis, unsigned count, unsigned rounds)
{
    double total = 0;
    for (unsigned i = 0; i < rounds; i++) {
        unsigned at = (i * 7919u) % count;
        double start = now_us();
        apim_api_unref(&apis[at]);
        apis[at] = make_api(at, OPS);
        struct apim_table *next = apim_table_update(*table, apis, count, NULL, NULL);
        apim_table_unref(table);
        total += now_us() - start;
        *table = next;
    }
    return total / rounds;
}

static void run(unsigned count, unsigned ops, unsigned rounds)
{
    struct apim_api **apis = malloc(count * sizeof(struct apim_api *));
    size_t before = mallinfo2().uordblks;
    double start = now_us();
    for (unsigned i = 0; i < count; i++) {
        apis[i] = make_api(i, ops);
    }
    struct apim_table *table = apim_table_update(NULL, apis, count, NULL, NULL);
    double build = now_us() - start;
    assert_non_null(table);
    double memory = ((double)mallinfo2().uordblks - (double)before) / 1e6;
    double ns = look_up(table, count, ops, rounds) - look_up(NULL, count, ops, rounds);
    double us = ops == OPS ? edit(&table, apis, count, 50) : 0;
    printf("%5u APIs, %6u operations: look-up %.0f ns, build %.1f ms, edit of one %.0f us, "
           "%.1f MB\n",
           count, count * ops, ns, build / 1000, us, memory);
    for (unsigned i = 0; i < count; i++) {
        apim_api_unref(&apis[i]);
    }
    apim_table_unref(&table);
    free(apis);
}

static void one_operation_and_many_thousand_answer_alike(void **state)
{
    (void)state;
    run(1, 1, 50000);
    run(1, OPS, 50000);
    run(200, OPS, 50000);
    run(2000, OPS, 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_operation_and_many_thousand_answer_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
