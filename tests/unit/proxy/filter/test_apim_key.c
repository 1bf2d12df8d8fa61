/* The key decision, row by row of the table in the API management facts (primary and secondary are equal in effect). */
// wrap: apim_set_product
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "proxy/filter/apim.h"

/* The set is opaque to the decision but for its products: these stand in for it at link time. */
static struct apim_product products[] = {
    {.name = {"products/starter", 16}, .id = {"starter", 7}, .subscription_required = true},
    {.name = {"products/open", 13}, .id = {"open", 4}, .subscription_required = false},
};

const struct apim_product *__wrap_apim_set_product(const struct apim_set *s, struct slice name);
const struct apim_product *__wrap_apim_set_product(const struct apim_set *s, struct slice name)
{
    (void)s;
    for (size_t i = 0; i < 2; i++) {
        if (slice_eq(products[i].name, name)) {
            return &products[i];
        }
    }
    return NULL;
}

enum { IN_NONE = 0, IN_STARTER = 1, IN_OPEN = 2 };

struct row {
    const char *what;
    int in_products;
    bool api_requires;
    bool given;
    bool known;
    enum apim_sub_state state;
    enum apim_scope scope;
    const char *scope_name;
    bool lenient; /* a wrong key on an open API is ignored */
    enum apim_key_verdict verdict;
    const char *product; /* context.Product */
    bool subscription;   /* context.Subscription is set */
};

static const struct row rows[] = {
    {"all-APIs key opens any API", IN_NONE, true, true, true, SUB_ACTIVE, SCOPE_ALL_APIS, "", false, KEY_ALLOWED, NULL, true},
    {"all-APIs key pulls in no product", IN_STARTER, true, true, true, SUB_ACTIVE, SCOPE_ALL_APIS, "", false, KEY_ALLOWED, NULL, true},
    {"product key gives the product context", IN_STARTER, true, true, true, SUB_ACTIVE, SCOPE_PRODUCT, "products/starter", false, KEY_ALLOWED, "starter", true},
    {"key of another product is invalid", IN_STARTER, true, true, true, SUB_ACTIVE, SCOPE_PRODUCT, "products/gold", false, KEY_INVALID, NULL, false},
    {"API key opens its API", IN_STARTER, true, true, true, SUB_ACTIVE, SCOPE_API, "apis/a", false, KEY_ALLOWED, NULL, true},
    {"key of another API is invalid", IN_NONE, true, true, true, SUB_ACTIVE, SCOPE_API, "apis/b", false, KEY_INVALID, NULL, false},
    {"suspended", IN_NONE, true, true, true, SUB_SUSPENDED, SCOPE_ALL_APIS, "", false, KEY_INVALID, NULL, false},
    {"expired", IN_NONE, true, true, true, SUB_EXPIRED, SCOPE_ALL_APIS, "", false, KEY_INVALID, NULL, false},
    {"submitted", IN_NONE, true, true, true, SUB_SUBMITTED, SCOPE_ALL_APIS, "", false, KEY_INVALID, NULL, false},
    {"rejected", IN_NONE, true, true, true, SUB_REJECTED, SCOPE_ALL_APIS, "", false, KEY_INVALID, NULL, false},
    {"cancelled", IN_NONE, true, true, true, SUB_CANCELLED, SCOPE_ALL_APIS, "", false, KEY_INVALID, NULL, false},
    {"unknown key", IN_NONE, true, true, false, SUB_ACTIVE, SCOPE_ALL_APIS, "", false, KEY_INVALID, NULL, false},
    {"unknown key in an open product is served there", IN_OPEN, true, true, false, SUB_ACTIVE, SCOPE_ALL_APIS, "", false, KEY_ALLOWED, "open", false},
    {"suspended key in an open product is served there", IN_OPEN, true, true, true, SUB_SUSPENDED, SCOPE_ALL_APIS, "", false, KEY_ALLOWED, "open", false},
    {"unknown key on an open API is invalid today", IN_NONE, false, true, false, SUB_ACTIVE, SCOPE_ALL_APIS, "", false, KEY_INVALID, NULL, false},
    {"unknown key on an open API, lenient switch", IN_NONE, false, true, false, SUB_ACTIVE, SCOPE_ALL_APIS, "", true, KEY_ALLOWED, NULL, false},
    {"no key", IN_STARTER, true, false, false, SUB_ACTIVE, SCOPE_ALL_APIS, "", false, KEY_MISSING, NULL, false},
    {"no key, open product", IN_STARTER | IN_OPEN, true, false, false, SUB_ACTIVE, SCOPE_ALL_APIS, "", false, KEY_ALLOWED, "open", false},
    {"no key, open API", IN_STARTER, false, false, false, SUB_ACTIVE, SCOPE_ALL_APIS, "", false, KEY_ALLOWED, NULL, false},
};

static void the_decision_is_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        struct slice in[2];
        size_t n = 0;
        if (r->in_products & IN_STARTER) {
            in[n++] = products[0].name;
        }
        if (r->in_products & IN_OPEN) {
            in[n++] = products[1].name;
        }
        struct apim_api api = {.identity = SLICE("apis/a")};
        api.conf.products = in;
        api.conf.product_count = n;
        api.conf.subscription_required = r->api_requires;
        struct apim_subscription sub = {.state = r->state, .scope = r->scope, .scope_name = slice_of(r->scope_name)};
        struct apim_key_input input = {
            .api = &api,
            .given = r->given,
            .subscription = r->known ? &sub : NULL,
            .reject_invalid_key_on_open_api = !r->lenient,
        };
        struct apim_key_output out;
        apim_key_decide(&input, &out);
        if (out.verdict != r->verdict || (out.subscription != NULL) != r->subscription ||
            (r->verdict == KEY_ALLOWED && (out.product != NULL) != (r->product != NULL))) {
            fail_msg("%s: verdict %d, expected %d", r->what, (int)out.verdict, (int)r->verdict);
        }
        if (r->product != NULL) {
            assert_true(slice_eq(out.product->id, slice_of(r->product)));
        }
    }
}

static struct apim_api named_api(const char *header, const char *query)
{
    struct apim_api api = {.identity = SLICE("apis/a")};
    api.conf.key_header = slice_of(header);
    api.conf.key_query = slice_of(query);
    return api;
}

static bool find(const struct apim_api *api, const char *header, const char *value, const char *path, struct slice *key,
                 struct arena *arena)
{
    struct head head;
    head_init(&head, arena);
    head.path = slice_of(path);
    if (header != NULL) {
        head_add(&head, slice_of(header), slice_of(value));
    }
    return apim_key_find(api, &head, arena, key);
}

static void the_header_comes_first_and_hides_the_query(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    struct apim_api api = named_api("Ocp-Apim-Subscription-Key", "subscription-key");
    struct slice key;
    assert_true(find(&api, "ocp-apim-subscription-key", "abc", "/x?subscription-key=def", &key, arena));
    assert_true(slice_eq(key, SLICE("abc")));
    assert_false(find(&api, "ocp-apim-subscription-key", "", "/x?subscription-key=def", &key, arena));
    assert_true(find(&api, NULL, NULL, "/x?a=1&subscription-key=d%65f", &key, arena));
    assert_true(slice_eq(key, SLICE("def")));
    assert_false(find(&api, NULL, NULL, "/x?subscription-key=", &key, arena));
    assert_false(find(&api, NULL, NULL, "/x", &key, arena));
    arena_destroy(&arena);
}

static void names_can_be_changed_per_api(void **state)
{
    (void)state;
    struct arena *arena = arena_create(0);
    struct apim_api api = named_api("X-Key", "key");
    struct slice key;
    assert_true(find(&api, "x-key", "abc", "/", &key, arena));
    assert_true(find(&api, NULL, NULL, "/?key=q", &key, arena));
    assert_true(slice_eq(key, SLICE("q")));
    assert_false(find(&api, "ocp-apim-subscription-key", "abc", "/?subscription-key=q", &key, arena));
    arena_destroy(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_decision_is_the_table),
        cmocka_unit_test(the_header_comes_first_and_hides_the_query),
        cmocka_unit_test(names_can_be_changed_per_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
