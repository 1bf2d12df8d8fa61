#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"
#include "unit/xds/source/tree.h"
#include "xds/source/folder.h"

#define INFO "apis/x/apiInformation.json"
#define GOOD "{\"properties\": {\"path\": \"one\"}}"
#define OTHER "{\"properties\": {\"path\": \"two\"}}"

struct fixture {
    struct tree tree;
    char overrides[128];
    struct folder *folder;
    struct folder_snapshot *snapshot;
};

static void start(struct fixture *f, bool with_overrides)
{
    memset(f, 0, sizeof *f);
    tree_init(&f->tree);
    snprintf(f->overrides, sizeof f->overrides, "%s.yaml", f->tree.root);
    f->folder = folder_create(f->tree.root, with_overrides ? f->overrides : NULL);
}

static void stop(struct fixture *f)
{
    folder_snapshot_unref(&f->snapshot);
    folder_destroy(&f->folder);
    tree_fini(&f->tree);
    unlink(f->overrides);
}

static bool rescan(struct fixture *f)
{
    bool changed = false;
    struct err err;
    assert_true(folder_rescan(f->folder, &changed, &err));
    folder_snapshot_unref(&f->snapshot);
    f->snapshot = folder_snapshot(f->folder);
    return changed;
}

static struct slice path_of(const struct fixture *f)
{
    const struct artifact *a = folder_snapshot_find(f->snapshot, INFO);
    return a == NULL ? SLICE_NONE : doc_get_string(doc_get(a->doc, "properties"), "path");
}

static void write_overrides(const struct fixture *f, const char *text)
{
    FILE *out = fopen(f->overrides, "wb");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void a_snapshot_holds_the_files_sorted_by_path(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, false);
    tree_write(&f.tree, "policy.xml", "<policies/>");
    tree_write(&f.tree, INFO, GOOD);
    tree_write(&f.tree, "apis/x/notes.txt", "not read");
    tree_write(&f.tree, ".git/apis/y/apiInformation.json", "not read");
    assert_true(rescan(&f));
    assert_int_equal(f.snapshot->n, 2);
    assert_string_equal(f.snapshot->artifacts[0]->path, INFO);
    assert_string_equal(f.snapshot->artifacts[1]->path, "policy.xml");
    assert_false(rescan(&f));
    stop(&f);
}

static void only_what_changed_becomes_a_new_artifact(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, false);
    tree_write(&f.tree, INFO, GOOD);
    tree_write(&f.tree, "policy.xml", "<policies/>");
    rescan(&f);
    struct folder_snapshot *before = folder_snapshot_ref(f.snapshot);
    tree_write(&f.tree, INFO, OTHER);
    assert_true(rescan(&f));
    assert_true(slice_eq(path_of(&f), SLICE("two")));
    assert_ptr_equal(folder_snapshot_find(before, "policy.xml"), folder_snapshot_find(f.snapshot, "policy.xml"));
    assert_ptr_not_equal(folder_snapshot_find(before, INFO), folder_snapshot_find(f.snapshot, INFO));
    tree_write(&f.tree, INFO, OTHER); /* touched, not changed */
    assert_false(rescan(&f));
    tree_remove(&f.tree, "apis");
    assert_true(rescan(&f));
    assert_int_equal(f.snapshot->n, 1);
    folder_snapshot_unref(&before);
    stop(&f);
}

static void a_broken_file_serves_its_last_good_form_until_it_is_mended_or_removed(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, false);
    tree_write(&f.tree, INFO, GOOD);
    rescan(&f);
    tree_write(&f.tree, INFO, "{\"properties\": {\"path\": ");
    assert_true(rescan(&f));
    assert_int_equal(folder_snapshot_find(f.snapshot, INFO)->state, ARTIFACT_STALE);
    assert_true(slice_eq(path_of(&f), SLICE("one")));
    assert_false(rescan(&f));
    tree_write(&f.tree, INFO, OTHER);
    assert_true(rescan(&f));
    assert_int_equal(folder_snapshot_find(f.snapshot, INFO)->state, ARTIFACT_GOOD);
    assert_true(slice_eq(path_of(&f), SLICE("two")));
    stop(&f);
}

static void put(void *ctx, const char *path, struct slice bytes, bool secret)
{
    map_put(ctx, slice_of(path), mem_str_slice(bytes));
    assert_int_equal(secret, strcmp(path, FOLDER_OVERRIDES) == 0);
}

static void del(void *ctx, const char *path)
{
    assert_true(map_del(ctx, slice_of(path)));
}

static void last_good_forms_survive_a_restart(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, true);
    struct map *store = map_create(mem_free);
    const struct folder_store to = {put, del, store};
    tree_write(&f.tree, INFO, GOOD);
    tree_write(&f.tree, "policy.xml", "<policies/>");
    tree_write(&f.tree, "products/p/productInformation.json", "{\"properties\": {}}");
    write_overrides(&f, "apis: []\n");
    rescan(&f);
    folder_export(f.folder, &to);
    folder_exported(f.folder, true);
    assert_int_equal(map_count(store), 3);
    tree_write(&f.tree, INFO, "{");
    tree_remove(&f.tree, "products");
    write_overrides(&f, "apis: [\n");
    rescan(&f);
    folder_export(f.folder, &to);
    folder_exported(f.folder, true);
    assert_int_equal(map_count(store), 2);

    folder_destroy(&f.folder);
    f.folder = folder_create(f.tree.root, f.overrides);
    for (struct map_item *i = map_first(store); i != NULL; i = map_next(i)) {
        char *path = mem_str_slice(map_key(i));
        folder_import(f.folder, path, slice_of(map_value(i)));
        mem_free(path);
    }
    rescan(&f);
    assert_int_equal(folder_snapshot_find(f.snapshot, INFO)->state, ARTIFACT_STALE);
    assert_true(slice_eq(path_of(&f), SLICE("one")));
    assert_int_equal(f.snapshot->overrides_state, ARTIFACT_STALE);
    assert_non_null(f.snapshot->overrides);
    tree_remove(&f.tree, INFO);
    rescan(&f);
    folder_export(f.folder, &to);
    folder_exported(f.folder, true);
    assert_int_equal(map_count(store), 1);
    map_destroy(&store);
    stop(&f);
}

static void overrides_are_followed_and_kept_when_they_break(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, true);
    tree_write(&f.tree, INFO, GOOD);
    assert_true(rescan(&f));
    assert_int_equal(f.snapshot->overrides_state, ARTIFACT_BROKEN);
    write_overrides(&f, "apis:\n  - name: x\n");
    assert_true(rescan(&f));
    assert_int_equal(f.snapshot->overrides_state, ARTIFACT_GOOD);
    assert_non_null(overrides_find(f.snapshot->overrides, SLICE("apis/x")));
    write_overrides(&f, "apis:\n  - name: [\n");
    assert_true(rescan(&f));
    assert_int_equal(f.snapshot->overrides_state, ARTIFACT_STALE);
    assert_true(f.snapshot->overrides_error.line >= 2);
    assert_non_null(overrides_find(f.snapshot->overrides, SLICE("apis/x")));
    assert_false(rescan(&f));
    unlink(f.overrides);
    assert_true(rescan(&f));
    assert_int_equal(f.snapshot->overrides_state, ARTIFACT_STALE);
    write_overrides(&f, "apis:\n  - name: x\n");
    assert_true(rescan(&f));
    assert_int_equal(f.snapshot->overrides_state, ARTIFACT_GOOD);
    stop(&f);
}

static void a_symbolic_link_that_is_swapped_is_followed(void **state)
{
    (void)state;
    struct tree t;
    tree_init(&t);
    tree_write(&t, "1/" INFO, GOOD);
    tree_write(&t, "2/" INFO, OTHER);
    tree_write(&t, "2/policy.xml", "<policies/>");
    char link[256], next[256];
    tree_path(&t, "now", link, sizeof link);
    tree_path(&t, "next", next, sizeof next);
    assert_int_equal(symlink("1", link), 0);
    struct fixture f = {.folder = folder_create(link, NULL)};
    assert_true(rescan(&f));
    assert_int_equal(f.snapshot->n, 1);
    assert_int_equal(symlink("2", next), 0);
    assert_int_equal(rename(next, link), 0);
    assert_true(rescan(&f));
    assert_int_equal(f.snapshot->n, 2);
    assert_true(slice_eq(path_of(&f), SLICE("two")));
    folder_snapshot_unref(&f.snapshot);
    folder_destroy(&f.folder);
    tree_fini(&t);
}

static void a_root_that_is_gone_is_an_error_and_the_snapshot_stays(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, false);
    tree_write(&f.tree, INFO, GOOD);
    rescan(&f);
    tree_fini(&f.tree);
    bool changed = true;
    struct err err;
    assert_false(folder_rescan(f.folder, &changed, &err));
    assert_false(changed);
    struct folder_snapshot *s = folder_snapshot(f.folder);
    assert_int_equal(s->n, 1);
    folder_snapshot_unref(&s);
    stop(&f);
}

static void what_is_not_a_file_is_named_and_does_not_block(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, false);
    tree_write(&f.tree, "apis/x/policy.xml", "<policies/>");
    char path[256];
    tree_path(&f.tree, INFO, path, sizeof path);
    assert_int_equal(mkfifo(path, 0600), 0);
    rescan(&f);
    const struct artifact *a = folder_snapshot_find(f.snapshot, INFO);
    assert_int_equal(a->state, ARTIFACT_BROKEN);
    assert_non_null(strstr(a->error.text, "not a regular file"));
    stop(&f);
}

static void files_in_a_folder_that_cannot_be_listed_are_not_gone(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        print_message("SKIPPED: root may list every folder\n");
        skip();
    }
    struct fixture f;
    start(&f, false);
    tree_write(&f.tree, INFO, GOOD);
    rescan(&f);
    char path[256];
    tree_path(&f.tree, "apis", path, sizeof path);
    chmod(path, 0);
    assert_true(rescan(&f));
    assert_int_equal(folder_snapshot_find(f.snapshot, INFO)->state, ARTIFACT_STALE);
    assert_int_equal(f.snapshot->problem_count, 1);
    assert_false(rescan(&f));
    chmod(path, 0700);
    assert_true(rescan(&f));
    assert_int_equal(folder_snapshot_find(f.snapshot, INFO)->state, ARTIFACT_GOOD);
    stop(&f);
}

/* An update told of these paths; then a whole scan must find nothing that it missed. */
static bool update(struct fixture *f, const char *const *below, size_t n)
{
    char full[8][600];
    const char *paths[8];
    bool changed = false;
    struct err err;
    for (size_t i = 0; i < n; i++) {
        tree_path(&f->tree, below[i], full[i], sizeof full[i]);
        paths[i] = full[i];
    }
    assert_true(folder_update(f->folder, paths, n, &changed, &err));
    folder_snapshot_unref(&f->snapshot);
    f->snapshot = folder_snapshot(f->folder);
    return changed;
}

#define UPDATE(f, ...) \
    update(f, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void an_update_finds_what_a_whole_scan_would(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, true);
    write_overrides(&f, "apis: []\n");
    tree_write(&f.tree, INFO, GOOD);
    tree_write(&f.tree, "apis/y/apiInformation.json", GOOD);
    tree_write(&f.tree, "policy.xml", "<policies/>");
    rescan(&f);
    struct artifact *y = artifact_ref(folder_snapshot_find(f.snapshot, "apis/y/apiInformation.json"));
    assert_false(UPDATE(&f, INFO, "apis/x", "README.md", "apis/x/.hidden"));
    tree_write(&f.tree, INFO, OTHER);
    assert_true(UPDATE(&f, INFO));
    assert_true(slice_eq(path_of(&f), SLICE("two")));
    assert_ptr_equal(folder_snapshot_find(f.snapshot, "apis/y/apiInformation.json"), y);
    tree_write(&f.tree, "apis/a/apiInformation.json", GOOD);
    tree_write(&f.tree, "apis/z/operations/get/policy.xml", "<policies/>");
    tree_remove(&f.tree, "policy.xml");
    assert_true(UPDATE(&f, "apis/z", "apis/a", "policy.xml"));
    assert_int_equal(f.snapshot->n, 4);
    for (size_t i = 1; i < f.snapshot->n; i++) {
        assert_true(strcmp(f.snapshot->artifacts[i - 1]->path, f.snapshot->artifacts[i]->path) < 0);
    }
    tree_remove(&f.tree, "apis/z");
    tree_write(&f.tree, INFO, "{");
    assert_true(UPDATE(&f, "apis/z", INFO));
    assert_int_equal(f.snapshot->n, 3);
    assert_int_equal(folder_snapshot_find(f.snapshot, INFO)->state, ARTIFACT_STALE);
    assert_true(slice_eq(path_of(&f), SLICE("two")));
    write_overrides(&f, "apis: [{name: x}]\n");
    assert_true(UPDATE(&f, INFO));
    assert_int_equal(f.snapshot->overrides->n, 1);
    assert_false(rescan(&f));
    artifact_unref(&y);
    stop(&f);
}

static void count_put(void *ctx, const char *path, struct slice bytes, bool secret)
{
    (void)secret;
    struct strbuf *seen = ctx;
    strbuf_printf(seen, "+%s:%zu ", path, bytes.n);
}

static void count_del(void *ctx, const char *path)
{
    strbuf_printf(ctx, "-%s ", path);
}

static void after_an_update_only_what_changed_is_exported(void **state)
{
    (void)state;
    struct fixture f;
    struct strbuf seen;
    start(&f, false);
    strbuf_init(&seen);
    const struct folder_store to = {count_put, count_del, &seen};
    tree_write(&f.tree, INFO, GOOD);
    tree_write(&f.tree, "apis/x/specification.json", "{\"openapi\": \"3.0.0\", \"paths\": {}}");
    rescan(&f);
    folder_export(f.folder, &to);
    folder_exported(f.folder, true);
    assert_non_null(strstr(strbuf_cstr(&seen), "+apis/x/specification.json:33"));
    strbuf_clear(&seen);
    tree_write(&f.tree, "apis/y/apiInformation.json", GOOD);
    tree_remove(&f.tree, "apis/x/specification.json");
    UPDATE(&f, "apis/y", "apis/x/specification.json");
    folder_export(f.folder, &to);
    folder_exported(f.folder, true);
    assert_non_null(strstr(strbuf_cstr(&seen), "+apis/y/apiInformation.json"));
    assert_non_null(strstr(strbuf_cstr(&seen), "-apis/x/specification.json"));
    assert_null(strstr(strbuf_cstr(&seen), INFO));
    strbuf_clear(&seen);
    folder_export(f.folder, &to);
    folder_exported(f.folder, true);
    assert_int_equal(seen.n, 0);
    strbuf_fini(&seen);
    stop(&f);
}

/* The owner's transaction failed: nothing of it is in the store. */
static void what_was_rolled_back_is_exported_again(void **state)
{
    (void)state;
    struct fixture f;
    struct strbuf first, seen;
    start(&f, true);
    strbuf_init(&first);
    strbuf_init(&seen);
    const struct folder_store to = {count_put, count_del, &first}, again = {count_put, count_del, &seen};
    tree_write(&f.tree, INFO, GOOD);
    tree_write(&f.tree, "apis/x/specification.json", "{\"openapi\": \"3.0.0\", \"paths\": {}}");
    write_overrides(&f, "apis: []\n");
    rescan(&f);
    for (int i = 0; i < 2; i++) { /* the first one whole, then by increments */
        folder_export(f.folder, &to);
        folder_exported(f.folder, false);
        folder_export(f.folder, &again);
        assert_string_equal(strbuf_cstr(&seen), strbuf_cstr(&first));
        assert_true(seen.n > 0);
        folder_exported(f.folder, true);
        strbuf_clear(&first);
        strbuf_clear(&seen);
        if (i == 0) {
            tree_write(&f.tree, "apis/y/apiInformation.json", GOOD);
            tree_remove(&f.tree, "apis/x/specification.json");
            UPDATE(&f, "apis/y", "apis/x/specification.json");
        }
    }
    folder_export(f.folder, &to);
    assert_int_equal(first.n, 0);
    strbuf_fini(&first);
    strbuf_fini(&seen);
    stop(&f);
}

static void a_broken_specification_serves_the_operations_of_its_last_good_form(void **state)
{
    (void)state;
    struct fixture f;
    const char *path = "apis/x/specification.json";
    start(&f, false);
    tree_write(&f.tree, path, "{\"openapi\": \"3.0.0\", \"paths\": {\"/a\": {\"get\": {\"operationId\": \"one\"}}}}");
    rescan(&f);
    for (int i = 0; i < 2; i++) { /* broken, and broken in another way */
        tree_write(&f.tree, path, i == 0 ? "{" : "\n[");
        assert_true(UPDATE(&f, path));
        const struct artifact *a = folder_snapshot_find(f.snapshot, path);
        assert_int_equal(a->state, ARTIFACT_STALE);
        assert_int_equal(a->spec->n, 1);
        assert_string_equal(a->spec->operations[0].id, "one");
    }
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_holds_the_files_sorted_by_path),
        cmocka_unit_test(only_what_changed_becomes_a_new_artifact),
        cmocka_unit_test(a_broken_file_serves_its_last_good_form_until_it_is_mended_or_removed),
        cmocka_unit_test(last_good_forms_survive_a_restart),
        cmocka_unit_test(overrides_are_followed_and_kept_when_they_break),
        cmocka_unit_test(a_symbolic_link_that_is_swapped_is_followed),
        cmocka_unit_test(a_root_that_is_gone_is_an_error_and_the_snapshot_stays),
        cmocka_unit_test(what_is_not_a_file_is_named_and_does_not_block),
        cmocka_unit_test(files_in_a_folder_that_cannot_be_listed_are_not_gone),
        cmocka_unit_test(an_update_finds_what_a_whole_scan_would),
        cmocka_unit_test(after_an_update_only_what_changed_is_exported),
        cmocka_unit_test(what_was_rolled_back_is_exported_again),
        cmocka_unit_test(a_broken_specification_serves_the_operations_of_its_last_good_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
