/* What the tables of both kinds of stream are written in: "CDS a=1 b=2; EDS a=1" is a published set. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "xds/session/session.h"

static inline enum xds_type type_of(struct slice name)
{
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        if (slice_eq(name, slice_of(xds_type_name((enum xds_type)t)))) {
            return (enum xds_type)t;
        }
    }
    fail_msg("no type %.*s", SLICE_ARG(name));
    return XDS_CLUSTER;
}

static inline struct resource_set *set_of(const char *text, const struct resource_set *before)
{
    struct set_builder *b = set_builder_create(before);
    struct slice rest = slice_of(text);
    while (rest.n > 0) {
        struct slice part = slice_trim(slice_cut(&rest, ';'));
        enum xds_type type = type_of(slice_cut(&part, ' '));
        while (part.n > 0) {
            struct slice item = slice_cut(&part, ' ');
            struct slice name = slice_cut(&item, '=');
            assert_true(set_builder_add(b, slice_of(xds_type_url(type)), name, item, NULL));
        }
    }
    return set_builder_finish(&b);
}
