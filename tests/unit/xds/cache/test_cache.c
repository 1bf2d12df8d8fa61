#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "xds/cache/cache.h"

static void add(struct set_builder *b, enum xds_type type, const char *name, const char *bytes)
{
    assert_true(set_builder_add(b, slice_of(xds_type_url(type)), slice_of(name), slice_of(bytes), NULL));
}

/* text: "name=bytes name=bytes", all clusters. */
static struct resource_set *set_of(const char *text, const struct resource_set *previous)
{
    struct set_builder *b = set_builder_create(previous);
    struct slice rest = slice_of(text);
    while (rest.n > 0) {
        struct slice item = slice_cut(&rest, ' ');
        struct slice name = slice_cut(&item, '=');
        assert_true(set_builder_add(b, slice_of(xds_type_url(XDS_CLUSTER)), name, item, NULL));
    }
    return set_builder_finish(&b);
}

static struct resource_list *clusters(const struct resource_set *set)
{
    return resource_set_list(set, XDS_CLUSTER);
}

static void the_version_depends_on_content_and_not_on_order(void **state)
{
    (void)state;
    struct resource_set *a = set_of("x=1 y=2 z=3", NULL), *b = set_of("z=3 x=1 y=2", NULL);
    struct resource_set *renamed = set_of("x=1 y=2 w=3", NULL), *changed = set_of("x=1 y=2 z=4", NULL);
    struct resource_set *swapped = set_of("x=2 y=1 z=3", NULL);
    assert_string_equal(resource_list_version(clusters(a)), resource_list_version(clusters(b)));
    assert_string_not_equal(resource_list_version(clusters(a)), resource_list_version(clusters(renamed)));
    assert_string_not_equal(resource_list_version(clusters(a)), resource_list_version(clusters(changed)));
    assert_string_not_equal(resource_list_version(clusters(a)), resource_list_version(clusters(swapped)));
    assert_true(resource_set_equal(a, b));
    struct resource_set *all[] = {a, b, renamed, changed, swapped};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        resource_set_unref(all[i]);
    }
}

static void what_did_not_change_is_the_same_object_in_the_next_set(void **state)
{
    (void)state;
    struct resource_set *one = set_of("x=1 y=2", NULL);
    struct resource_set *two = set_of("x=1 y=3", one);
    struct resource_set *same = set_of("y=2 x=1", one);
    assert_ptr_equal(resource_list_find(clusters(one), SLICE("x")), resource_list_find(clusters(two), SLICE("x")));
    assert_ptr_not_equal(resource_list_find(clusters(one), SLICE("y")), resource_list_find(clusters(two), SLICE("y")));
    assert_ptr_equal(clusters(one), clusters(same));
    resource_set_unref(one);
    assert_true(slice_eq(resource_bytes(resource_list_find(clusters(two), SLICE("x"))), SLICE("1")));
    resource_set_unref(two);
    resource_set_unref(same);
}

static void a_name_twice_and_an_unknown_type_are_refused(void **state)
{
    (void)state;
    struct set_builder *b = set_builder_create(NULL);
    struct err err;
    add(b, XDS_LISTENER, "l", "1");
    add(b, XDS_ROUTE, "l", "1");
    assert_false(set_builder_add(b, slice_of(xds_type_url(XDS_LISTENER)), SLICE("l"), SLICE("2"), &err));
    assert_string_equal(err.text, "LDS l: named twice");
    assert_false(set_builder_add(b, SLICE("type.googleapis.com/x.Y"), SLICE("l"), SLICE("2"), &err));
    struct resource_set *set = set_builder_finish(&b);
    assert_int_equal(resource_list_count(resource_set_list(set, XDS_LISTENER)), 1);
    resource_set_unref(set);
}

static void publishing_the_same_content_again_is_no_news(void **state)
{
    (void)state;
    struct cache *c = cache_create();
    assert_null(cache_get(c, "g"));
    struct resource_set *one = set_of("x=1", NULL), *again = set_of("x=1", NULL), *two = set_of("", one);
    assert_true(cache_publish(c, "g", one));
    assert_false(cache_publish(c, "g", again));
    assert_true(cache_publish(c, "h", again));
    assert_true(cache_publish(c, "g", two));
    struct resource_set *got = cache_get(c, "g");
    assert_ptr_equal(got, two);
    cache_drop(c, "g");
    assert_null(cache_get(c, "g"));
    struct resource_set *all[] = {one, again, two, got};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        resource_set_unref(all[i]);
    }
    cache_destroy(&c);
}

static void lists_can_be_narrowed_and_joined(void **state)
{
    (void)state;
    struct resource_set *old = set_of("a=1 b=2 c=3", NULL), *fresh = set_of("b=9 d=4", NULL);
    const char *const names[] = {"a", "c", "nowhere"};
    struct resource_list *some = resource_list_subset(clusters(old), names, 3);
    assert_int_equal(resource_list_count(some), 2);
    struct resource_list *both = resource_list_union(clusters(fresh), clusters(old));
    assert_int_equal(resource_list_count(both), 4);
    assert_true(slice_eq(resource_bytes(resource_list_find(both, SLICE("b"))), SLICE("9")));
    struct resource_list *nothing_more = resource_list_union(clusters(old), some);
    assert_ptr_equal(nothing_more, clusters(old));
    resource_list_unref(some);
    resource_list_unref(both);
    resource_list_unref(nothing_more);
    resource_set_unref(old);
    resource_set_unref(fresh);
}

static void *read_for_a_while(void *ctx)
{
    for (int i = 0; i < 2000; i++) {
        struct resource_set *set = cache_get(ctx, "g");
        if (set != NULL && resource_list_count(clusters(set)) != 2) {
            return "a set was seen half made";
        }
        resource_set_unref(set);
    }
    return NULL;
}

static void a_reader_in_another_thread_sees_whole_sets_only(void **state)
{
    (void)state;
    struct cache *c = cache_create();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_for_a_while, c), 0);
    for (int i = 0; i < 500; i++) {
        char *text = mem_printf("x=%d y=%d", i, i + 1);
        struct resource_set *before = cache_get(c, "g");
        struct resource_set *set = set_of(text, before);
        cache_publish(c, "g", set);
        resource_set_unref(set);
        resource_set_unref(before);
        mem_free(text);
    }
    void *trouble;
    pthread_join(thread, &trouble);
    assert_null(trouble);
    cache_destroy(&c);
}

static void what_was_made_from_the_same_source_is_not_made_again(void **state)
{
    (void)state;
    struct slice url = slice_of(xds_type_url(XDS_CLUSTER)), all = slice_of(xds_type_url(XDS_LISTENER));
    struct set_builder *b = set_builder_create(NULL);
    assert_false(set_builder_reuse(b, url, SLICE("x"), 7));
    add(b, XDS_CLUSTER, "x", "1");
    add(b, XDS_CLUSTER, "y", "1"); /* its source is not said */
    assert_false(set_builder_reuse_all(b, all, 9));
    add(b, XDS_LISTENER, "l", "1");
    struct resource_set *one = set_builder_finish(&b);
    b = set_builder_create(one);
    assert_true(set_builder_reuse(b, url, SLICE("x"), 7));
    assert_false(set_builder_reuse(b, url, SLICE("x"), 7)); /* named twice: adding it fails */
    assert_false(set_builder_add(b, url, SLICE("x"), SLICE("1"), NULL));
    assert_false(set_builder_reuse(b, url, SLICE("y"), 7));
    add(b, XDS_CLUSTER, "y", "2");
    assert_true(set_builder_reuse_all(b, all, 9));
    struct resource_set *two = set_builder_finish(&b);
    assert_ptr_equal(resource_list_find(clusters(one), SLICE("x")), resource_list_find(clusters(two), SLICE("x")));
    assert_ptr_equal(resource_set_list(one, XDS_LISTENER), resource_set_list(two, XDS_LISTENER));
    b = set_builder_create(two);
    assert_false(set_builder_reuse(b, url, SLICE("x"), 8));
    add(b, XDS_CLUSTER, "x", "3");
    assert_false(set_builder_reuse_all(b, all, 10));
    struct resource_set *three = set_builder_finish(&b);
    assert_int_equal(resource_list_count(clusters(three)), 1);
    assert_int_equal(resource_list_count(resource_set_list(three, XDS_LISTENER)), 0);
    resource_set_unref(one);
    resource_set_unref(two);
    resource_set_unref(three);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_depends_on_content_and_not_on_order),
        cmocka_unit_test(what_did_not_change_is_the_same_object_in_the_next_set),
        cmocka_unit_test(a_name_twice_and_an_unknown_type_are_refused),
        cmocka_unit_test(publishing_the_same_content_again_is_no_news),
        cmocka_unit_test(what_was_made_from_the_same_source_is_not_made_again),
        cmocka_unit_test(lists_can_be_narrowed_and_joined),
        cmocka_unit_test(a_reader_in_another_thread_sees_whole_sets_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
