#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "xds/store/store.h"

struct world {
    char top[64], folder[96], db[128];
};

static int set_up(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    strcpy(w->top, "/tmp/egret-store-XXXXXX");
    assert_non_null(mkdtemp(w->top));
    snprintf(w->folder, sizeof w->folder, "%s/state", w->top);
    snprintf(w->db, sizeof w->db, "%s/control.db", w->folder);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", w->top);
    mem_free(w);
    return system(command);
}

static void collect(void *ctx, const struct store_item *item)
{
    strbuf_printf(ctx, "%.*s:%llu:%.*s;", SLICE_ARG(item->path), (unsigned long long)item->hash,
                  SLICE_ARG(item->bytes));
}

static void put(struct store *s, const char *path, uint64_t hash, const char *bytes)
{
    struct store_item item = {slice_of(path), hash, slice_of(bytes)};
    assert_true(store_put(s, &item, NULL));
}

static void expect_content(struct store *s, const char *expected)
{
    struct strbuf got;
    strbuf_init(&got);
    assert_true(store_each(s, collect, &got, NULL));
    assert_string_equal(strbuf_cstr(&got), expected);
    strbuf_fini(&got);
}

static void what_was_committed_is_there_after_reopening(void **state)
{
    struct world *w = *state;
    char notice[256];
    struct store *s = store_open(w->folder, notice, NULL);
    assert_non_null(s);
    assert_string_equal(notice, "");
    assert_true(store_begin(s, NULL));
    put(s, "b", 2, "two");
    put(s, "a", UINT64_MAX, "");
    put(s, "c", 3, "three");
    assert_true(store_delete(s, SLICE("c"), NULL));
    assert_true(store_commit(s, NULL));
    assert_true(store_begin(s, NULL));
    put(s, "b", 9, "undone");
    store_rollback(s);
    store_close(&s);
    s = store_open(w->folder, notice, NULL);
    expect_content(s, "a:18446744073709551615:;b:2:two;");
    store_close(&s);
}

static void nobody_else_may_read_the_state_folder(void **state)
{
    struct world *w = *state;
    char notice[256];
    assert_int_equal(mkdir(w->folder, 0755), 0);
    struct store *s = store_open(w->folder, notice, NULL);
    assert_true(store_begin(s, NULL));
    put(s, "a", 1, "x");
    assert_true(store_commit(s, NULL));
    struct stat st;
    assert_int_equal(stat(w->folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    static const char *const endings[] = {"", "-wal", "-shm"};
    for (unsigned i = 0; i < 3; i++) {
        char path[160];
        snprintf(path, sizeof path, "%s%s", w->db, endings[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    store_close(&s);
}

static int count_files(const char *pattern)
{
    char command[256], answer[16] = "";
    snprintf(command, sizeof command, "ls -d %s 2>/dev/null | wc -l", pattern);
    FILE *p = popen(command, "r");
    assert_non_null(fgets(answer, sizeof answer, p));
    pclose(p);
    return atoi(answer);
}

static void a_damaged_database_is_set_aside_and_named(void **state)
{
    struct world *w = *state;
    static const char *const damages[] = {
        "printf 'this is no database, not at all, only text of some length' > %s",
        "dd if=/dev/urandom of=%s bs=1024 seek=1 count=6 conv=notrunc 2>/dev/null",
    };
    for (int i = 0; i < 2; i++) {
        char notice[256], command[256];
        struct store *s = store_open(w->folder, notice, NULL);
        assert_non_null(s);
        assert_true(store_begin(s, NULL));
        for (int k = 0; k < 40; k++) {
            char path[16];
            snprintf(path, sizeof path, "p%d", k);
            put(s, path, 1, "some bytes that fill more than a single page of the database, more or less, some day");
        }
        assert_true(store_commit(s, NULL));
        store_close(&s);
        snprintf(command, sizeof command, damages[i], w->db);
        assert_int_equal(system(command), 0);
        s = store_open(w->folder, notice, NULL);
        assert_non_null(s);
        assert_non_null(strstr(notice, "renamed to"));
        expect_content(s, "");
        store_close(&s);
        char pattern[160];
        snprintf(pattern, sizeof pattern, "%s.damaged-*[0-9]", w->db);
        assert_int_equal(count_files(pattern), i + 1);
    }
}

static void a_database_of_a_newer_schema_is_set_aside(void **state)
{
    struct world *w = *state;
    char notice[256], command[256];
    struct store *s = store_open(w->folder, notice, NULL);
    store_close(&s);
    snprintf(command, sizeof command,
             "python3 -c \"import sqlite3; c = sqlite3.connect('%s'); c.execute('PRAGMA user_version = 7')\"", w->db);
    assert_int_equal(system(command), 0);
    s = store_open(w->folder, notice, NULL);
    assert_non_null(s);
    assert_non_null(strstr(notice, "schema 7"));
    store_close(&s);
}

static void a_folder_that_cannot_be_made_is_an_error(void **state)
{
    struct world *w = *state;
    char notice[256], path[160];
    struct err err;
    assert_true(file_write(w->folder, SLICE("a file"), 0600, NULL));
    snprintf(path, sizeof path, "%s/below", w->folder);
    assert_null(store_open(path, notice, &err));
    assert_non_null(strstr(err.text, "below"));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_was_committed_is_there_after_reopening), TEST(nobody_else_may_read_the_state_folder),
        TEST(a_damaged_database_is_set_aside_and_named),   TEST(a_database_of_a_newer_schema_is_set_aside),
        TEST(a_folder_that_cannot_be_made_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
