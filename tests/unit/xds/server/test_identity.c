#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "xds/server/identity.h"

static void a_certificate_speaks_for_its_own_cluster_only(void **state)
{
    (void)state;
    static const struct {
        const char *spiffe, *domain, *cluster;
        bool allowed;
    } rows[] = {
        {"spiffe://egret/gateway/shop", "egret", "shop", true},
        {"spiffe://egret/gateway/shop/pod-1", "egret", "shop", true},
        {"spiffe://egret/gateway/shop/a/b", "egret", "shop", true},
        {"spiffe://egret/gateway/shopping", "egret", "shop", false},
        {"spiffe://egret/gateway/shop", "egret", "shopping", false},
        {"spiffe://egret/gateway/Shop", "egret", "shop", false},
        {"spiffe://other/gateway/shop", "egret", "shop", false},
        {"spiffe://egret.org/gateway/shop", "egret", "shop", false},
        {"spiffe://egret/ns/gateway/shop", "egret", "shop", false},
        {"https://egret/gateway/shop", "egret", "shop", false},
        {"", "egret", "shop", false},
        {"spiffe://egret/gateway/egress/eu", "egret", "egress/eu", true},
        {"spiffe://egret/gateway/egress/eu/0", "egret", "egress/eu", true},
        {"spiffe://egret/gateway/egress/eu", "egret", "egress/us", false},
        {"spiffe://egret/gateway/egress/eu", "egret", "egress", false},
        {"spiffe://egret/gateway/egress/eu", "egret", "egress/", false},
        {"spiffe://egret/gateway/egress/eu/0", "egret", "egress/eu/0", false},
        {"spiffe://egret/gateway/shop/a", "egret", "shop/a", false},
        {"spiffe://egret/gateway/", "egret", "", false},
        {"spiffe://egret/gateway/..", "egret", "..", false},
        {"spiffe://egret/gateway/EGRESS", "egret", "EGRESS", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = {0};
        bool got = identity_check(slice_of(rows[i].spiffe), slice_of(rows[i].domain), slice_of(rows[i].cluster), &err);
        if (got != rows[i].allowed || (!got && err.kind != ERR_DENIED)) {
            fail_msg("row %zu: %s for %s: %s", i, rows[i].spiffe, rows[i].cluster, err.text);
        }
    }
}

static void an_egress_cluster_names_its_gateway(void **state)
{
    (void)state;
    assert_true(slice_eq(identity_egress_name(SLICE("egress/eu")), SLICE("eu")));
    assert_true(slice_is_empty(identity_egress_name(SLICE("shop"))));
    assert_true(slice_is_empty(identity_egress_name(SLICE("egress/a/b"))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_speaks_for_its_own_cluster_only),
        cmocka_unit_test(an_egress_cluster_names_its_gateway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
