#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/egret-test-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void what_is_written_is_read_again_whole(void **state)
{
    (void)state;
    char *path = mem_printf("%s/a", folder);
    struct err err;
    for (size_t n = 0; n < 20000; n = n * 2 + 1) {
        char *bytes = mem_alloc(n + 1), *again = NULL;
        memset(bytes, 'x', n);
        size_t got = 0;
        assert_true(file_write(path, slice_make(bytes, n), 0600, &err));
        assert_true(file_read(path, n, &again, &got, &err));
        assert_int_equal(got, n);
        assert_string_equal(again, bytes);
        mem_free(again);
        if (n > 0) {
            assert_false(file_read(path, n - 1, &again, &got, &err));
            assert_int_equal(err.kind, ERR_LIMIT);
        }
        mem_free(bytes);
    }
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    unlink(path);
    assert_false(file_write("/nonexistent/a", SLICE("x"), 0600, &err));
    assert_int_equal(err.kind, ERR_IO);
    mem_free(path);
}

static void making_a_folder_twice_is_fine(void **state)
{
    (void)state;
    char *path = mem_printf("%s/d", folder);
    struct err err;
    assert_true(file_make_dir(path, 0700, &err));
    assert_true(file_make_dir(path, 0700, &err));
    assert_false(file_make_dir("/nonexistent/a/b", 0700, &err));
    rmdir(path);
    mem_free(path);
}

static void the_log_writes_one_line_a_record_above_its_level(void **state)
{
    (void)state;
    char *path = mem_printf("%s/log", folder), *text = NULL;
    size_t n = 0;
    struct err err;
    assert_true(log_open(path));
    enum log_level before = log_level(), level = LOG_OFF;
    assert_true(log_level_parse(SLICE("warn"), &level));
    assert_int_equal(level, LOG_WARN);
    assert_true(log_level_parse(slice_of(log_level_name(LOG_ERROR)), &level));
    assert_false(log_level_parse(SLICE("loud"), &level));
    log_set_level(LOG_WARN);
    LOG(LOG_INFO, "test", "not this");
    LOG(LOG_WARN, "test", "this %d", 7);
    char large[4000];
    memset(large, 'y', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    LOG(LOG_ERROR, "test", "%s", large);
    log_set_level(before);
    assert_true(log_open(NULL));
    assert_true(file_read(path, 10000, &text, &n, &err));
    assert_null(strstr(text, "not this"));
    assert_non_null(strstr(text, "][test][warning] this 7\n["));
    assert_int_equal(text[n - 1], '\n');
    assert_false(log_open("/nonexistent/log"));
    mem_free(text);
    unlink(path);
    mem_free(path);
}

static void time_runs_and_is_formatted_in_utc(void **state)
{
    (void)state;
    char text[32];
    assert_int_equal(clock_format_iso(1767323045678000, text), 24);
    assert_string_equal(text, "2026-01-02T03:04:05.678Z");
    int64_t before = clock_mono_us();
    assert_true(clock_mono_us() >= before);
    assert_true(clock_wall_us() > 1700000000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read_again_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(making_a_folder_twice_is_fine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_log_writes_one_line_a_record_above_its_level, set_up, tear_down),
        cmocka_unit_test(time_runs_and_is_formatted_in_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
