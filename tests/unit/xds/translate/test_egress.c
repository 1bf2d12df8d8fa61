#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "xds/translate/egress.h"

static Egret__Control__V1__Gateway eu = EGRET__CONTROL__V1__GATEWAY__INIT, us = EGRET__CONTROL__V1__GATEWAY__INIT;
static Egret__Control__V1__Pool blue = EGRET__CONTROL__V1__POOL__INIT;

static char blue_name[] = "blue";

static Egret__Control__V1__Egress entry(char **hosts, size_t n, char *gateway)
{
    Egret__Control__V1__Egress e = EGRET__CONTROL__V1__EGRESS__INIT;
    e.hosts = hosts;
    e.n_hosts = n;
    e.gateway = gateway;
    e.pool = blue_name;
    return e;
}

static void the_best_entry_for_host_and_port_wins(void **state)
{
    (void)state;
    eu.name = (char[]){"eu"};
    us.name = (char[]){"us"};
    blue.name = blue_name;
    char *wide[] = {(char[]){"*.test"}}, *narrow[] = {(char[]){"*.partner.test"}},
         *exact[] = {(char[]){"a.partner.test"}};
    Egret__Control__V1__Egress e[] = {entry(wide, 1, (char[]){"us"}), entry(narrow, 1, (char[]){"eu"}),
                                      entry(exact, 1, (char[]){"us"}), entry(wide, 1, (char[]){"eu"})};
    e[2].ports = (uint32_t[]){8443};
    e[2].n_ports = 1;
    Egret__Control__V1__Egress *entries[] = {&e[0], &e[1], &e[2], &e[3]};
    Egret__Control__V1__Gateway *gateways[] = {&eu, &us};
    Egret__Control__V1__Pool *pools[] = {&blue};
    Egret__Control__V1__Config c = EGRET__CONTROL__V1__CONFIG__INIT;
    c.egress = entries;
    c.n_egress = ARRAY_LEN(entries);
    c.gateways = gateways;
    c.n_gateways = ARRAY_LEN(gateways);
    c.pools = pools;
    c.n_pools = ARRAY_LEN(pools);
    static const struct {
        const char *host;
        uint32_t port;
        const char *gateway; /* NULL: direct */
    } rows[] = {
        {"x.test", 443, "us"},          {"x.test", 80, "us"},
        {"x.test", 8080, NULL},         {"a.partner.test", 443, "eu"},
        {"a.partner.test", 8443, "us"}, {"b.partner.test", 8443, NULL},
        {"partner.test", 443, "us"},    {"test", 443, NULL},
        {"xtest", 443, NULL},           {"A.Partner.TEST", 8443, "us"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct egress_route r = egress_find(&c, rows[i].host, rows[i].port);
        const char *got = r.gateway == NULL ? "direct" : r.gateway->name;
        if (strcmp(got, rows[i].gateway == NULL ? "direct" : rows[i].gateway) != 0) {
            fail_msg("row %zu: %s:%u goes %s", i, rows[i].host, rows[i].port, got);
        }
        assert_true(r.gateway == NULL || r.pool == &blue);
    }
}

static void an_address_added_or_removed_moves_only_hosts_that_must_move(void **state)
{
    (void)state;
    char *four[] = {(char[]){"192.0.2.1"}, (char[]){"192.0.2.2"}, (char[]){"192.0.2.3"}, (char[]){"192.0.2.4"}};
    char *turned[] = {four[2], four[0], four[1]};
    Egret__Control__V1__Pool three = EGRET__CONTROL__V1__POOL__INIT, more = three, other_order = three;
    three.addresses = more.addresses = four;
    three.n_addresses = 3;
    more.n_addresses = 4;
    other_order.addresses = turned;
    other_order.n_addresses = 3;
    unsigned moved = 0, used[3] = {0, 0, 0};
    for (int i = 0; i < 1000; i++) {
        char host[32];
        snprintf(host, sizeof host, "host%d.test", i);
        const char *before = egress_source(&three, host), *after = egress_source(&more, host);
        assert_string_equal(before, egress_source(&other_order, host));
        used[before[8] - '1']++;
        if (strcmp(before, after) != 0) {
            assert_string_equal(after, "192.0.2.4");
            moved++;
        }
    }
    assert_in_range(moved, 150, 350);
    assert_true(used[0] > 200 && used[1] > 200 && used[2] > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_entry_for_host_and_port_wins),
        cmocka_unit_test(an_address_added_or_removed_moves_only_hosts_that_must_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
