// rooms: base proxy/route
/*
 * Request targets: the first byte chooses the options. What comes out must be no longer, stay the same when it
 * goes through once more, hold no dot segment after normalisation, and decode without leaving its bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "proxy/route/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_clean(struct slice path)
{
    struct slice query;
    struct slice rest = path_split(path, &query);
    while (rest.n > 0) {
        struct slice segment = slice_cut(&rest, '/');
        require(!slice_eq(segment, SLICE(".")) && !slice_eq(segment, SLICE("..")));
        require(slice_find(segment, '\\') == segment.n);
    }
}

static void check_normalised(struct slice target, const struct path_options *o, struct arena *arena)
{
    struct slice out, again;
    enum path_verdict v = path_normalize(target, o, arena, &out);
    if (v == PATH_REJECTED) {
        return;
    }
    require(out.n <= target.n || slice_eq(out, SLICE("/")));
    require(v != PATH_SAME || slice_eq(out, target));
    if (o->normalize && !slice_eq(out, SLICE("*"))) {
        check_clean(out);
    }
    struct path_options once_more = *o;
    once_more.escaped_slashes = PATH_SLASHES_KEEP;
    require(path_normalize(out, &once_more, arena, &again) == PATH_SAME);
}

static void walk_query(struct slice target, struct arena *arena)
{
    struct slice query, name, value;
    path_split(target, &query);
    while (query_next(&query, &name, &value)) {
        require(query_decode(name, arena).n <= name.n);
        require(query_decode(value, arena).n <= value.n);
    }
    require(path_decode(target, arena).n <= target.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096) {
        return 0;
    }
    struct path_options o = {.normalize = data[0] & 1, .merge_slashes = data[0] & 2};
    o.escaped_slashes = (enum path_slashes)((data[0] >> 2) & 3);
    struct arena *arena = arena_create(0);
    char *exact = malloc(size);
    memcpy(exact, data + 1, size - 1);
    struct slice target = slice_make(exact, size - 1);
    check_normalised(target, &o, arena);
    walk_query(target, arena);
    free(exact);
    arena_destroy(&arena);
    return 0;
}
