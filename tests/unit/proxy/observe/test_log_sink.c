#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "pb/egret/config/v1/access_log.pb-c.h"
#include "pb/envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "pb/envoy/extensions/access_loggers/stream/v3/stream.pb-c.h"
#include "proxy/observe/access_log.h"
#include "proxy/observe/log_ring.h"
#include "proxy/observe/log_sink.h"
#include "unit/proxy/observe/observe_test.h"

/* ---- the ring ---- */

static void records_come_out_in_order_and_the_ring_wraps(void **state)
{
    (void)state;
    struct log_ring *ring = log_ring_create(4096);
    struct log_record out[8];
    char owner;
    for (unsigned i = 0; i < 2000; i++) {
        char text[200];
        size_t n = i % sizeof text;
        memset(text, 'a' + (int)(i % 26), sizeof text);
        assert_true(log_ring_add(ring, &owner, slice_make(text, n)));
        if (i % 3 == 2) {
            assert_int_equal(log_ring_peek(ring, out, 8), 3);
            for (unsigned k = 0; k < 3; k++) {
                unsigned at = i - 2 + k;
                assert_int_equal(out[k].bytes.n, at % sizeof text);
                assert_true(out[k].bytes.n == 0 || out[k].bytes.p[out[k].bytes.n - 1] == 'a' + (char)(at % 26));
            }
            log_ring_drop(ring);
        }
    }
    log_ring_destroy(&ring);
}

static void a_full_ring_refuses_and_takes_again_once_there_is_room(void **state)
{
    (void)state;
    struct log_ring *ring = log_ring_create(4096);
    struct log_record out[64];
    char owner, text[1000];
    memset(text, 'x', sizeof text);
    unsigned taken = 0;
    while (log_ring_add(ring, &owner, slice_make(text, sizeof text))) {
        taken++;
    }
    assert_int_equal(taken, 4);
    assert_int_equal(log_ring_peek(ring, out, 1), 1);
    log_ring_drop(ring);
    assert_true(log_ring_add(ring, &owner, slice_make(text, 900)));
    assert_false(log_ring_add(ring, &owner, slice_make(text, 900)));
    assert_int_equal(log_ring_peek(ring, out, 64), 4);
    assert_int_equal(out[3].bytes.n, 900);
    log_ring_drop(ring);
    assert_int_equal(log_ring_head(ring), log_ring_tail(ring));
    log_ring_destroy(&ring);
}

struct adder {
    struct log_ring *ring;
    pthread_t thread;
    unsigned refused;
};

static void *add_records(void *arg)
{
    struct adder *a = arg;
    for (unsigned i = 0; i < 20000; i++) {
        a->refused += !log_ring_add(a->ring, a, SLICE("sixteen bytes..."));
    }
    return NULL;
}

/* An adder that is overtaken by others and by the reader must try again, not give up. */
static void a_ring_with_room_refuses_nobody(void **state)
{
    (void)state;
    enum { ADDERS = 3 };
    struct log_ring *ring = log_ring_create(ADDERS * 20000 * 32 + 4096);
    struct log_record out[16];
    struct adder adders[ADDERS];
    for (unsigned i = 0; i < ADDERS; i++) {
        adders[i] = (struct adder){.ring = ring};
        pthread_create(&adders[i].thread, NULL, add_records, &adders[i]);
    }
    unsigned seen = 0, refused = 0;
    for (unsigned i = 0; i < ADDERS; i++) {
        while (pthread_tryjoin_np(adders[i].thread, NULL) != 0) {
            seen += (unsigned)log_ring_peek(ring, out, 16);
            log_ring_drop(ring);
        }
        refused += adders[i].refused;
    }
    for (size_t n; (n = log_ring_peek(ring, out, 16)) > 0; log_ring_drop(ring)) {
        seen += (unsigned)n;
    }
    assert_int_equal(refused, 0);
    assert_int_equal(seen, ADDERS * 20000);
    log_ring_destroy(&ring);
}

/* Lengths vary, so that the end of the ring is met at every distance; whoever is refused tries again. */
static void *add_numbers(void *arg)
{
    struct adder *a = arg;
    char text[64];
    for (unsigned i = 0; i < 20000; i++) {
        int n = snprintf(text, sizeof text, "%u%.*s", i, (int)(i % 40), " .......................................");
        while (!log_ring_add(a->ring, a, slice_make(text, (size_t)n))) {
            sched_yield();
        }
    }
    return NULL;
}

static void a_small_ring_under_contention_loses_and_mixes_nothing(void **state)
{
    (void)state;
    enum { ADDERS = 3 };
    struct log_ring *ring = log_ring_create(4096);
    struct log_record out[16];
    struct adder adders[ADDERS];
    unsigned next[ADDERS] = {0};
    for (unsigned i = 0; i < ADDERS; i++) {
        adders[i] = (struct adder){.ring = ring};
        pthread_create(&adders[i].thread, NULL, add_numbers, &adders[i]);
    }
    for (unsigned seen = 0; seen < ADDERS * 20000;) {
        size_t n = log_ring_peek(ring, out, 16);
        for (size_t i = 0; i < n; i++) {
            size_t who = (size_t)((struct adder *)out[i].owner - adders);
            uint64_t number;
            assert_true(who < ADDERS);
            assert_true(slice_to_u64(slice_sub(out[i].bytes, 0, slice_find(out[i].bytes, ' ')), &number));
            assert_int_equal(number, next[who]++);
        }
        seen += (unsigned)n;
        log_ring_drop(ring);
    }
    for (unsigned i = 0; i < ADDERS; i++) {
        pthread_join(adders[i].thread, NULL);
    }
    log_ring_destroy(&ring);
}

static void a_record_longer_than_a_quarter_is_refused(void **state)
{
    (void)state;
    struct log_ring *ring = log_ring_create(4096);
    char owner, text[2048] = "";
    assert_int_equal(log_ring_record_max(ring), 1024);
    assert_true(log_ring_add(ring, &owner, slice_make(text, 1024)));
    assert_false(log_ring_add(ring, &owner, slice_make(text, 1025)));
    log_ring_destroy(&ring);
}

/* ---- the sink ---- */

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/egret-log-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"a.log", "b.log", "a.log.1"};
    for (size_t i = 0; i < 3; i++) {
        char *path = mem_printf("%s/%s", folder, names[i]);
        unlink(path);
        mem_free(path);
    }
    return rmdir(folder);
}

static char *path_of(const char *name)
{
    return mem_printf("%s/%s", folder, name);
}

static char *content(const char *name)
{
    char *path = path_of(name), *text = NULL;
    size_t n;
    struct err err;
    if (!file_read(path, 64 << 20, &text, &n, &err)) {
        fail_msg("%s", err.text);
    }
    mem_free(path);
    return text;
}

struct writer {
    struct log_file *file;
    unsigned id, lines;
    pthread_t thread;
};

static void *write_lines(void *arg)
{
    struct writer *w = arg;
    for (unsigned i = 0; i < w->lines; i++) {
        char line[64];
        int n = snprintf(line, sizeof line, "%u %u\n", w->id, i);
        log_file_write(w->file, slice_make(line, (size_t)n));
    }
    return NULL;
}

static void lines_of_several_threads_all_arrive_each_thread_in_order(void **state)
{
    (void)state;
    enum { THREADS = 4, LINES = 5000 };
    struct log_sink *sink = log_sink_create(LOG_SINK_QUEUE, NULL);
    char *path = path_of("a.log");
    struct writer writers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.file = log_file_open(slice_of(path), NULL), .id = i, .lines = LINES};
        assert_ptr_equal(writers[i].file, writers[0].file);
        pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(writers[i].thread, NULL);
        log_file_close(&writers[i].file);
    }
    struct log_sink_counts counts = log_sink_counts(sink);
    assert_int_equal(counts.lines, THREADS * LINES);
    assert_int_equal(counts.dropped, 0);
    log_sink_destroy(&sink);
    char *text = content("a.log");
    unsigned next[THREADS] = {0}, id, number, total = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"), total++) {
        assert_int_equal(sscanf(line, "%u %u", &id, &number), 2);
        assert_true(id < THREADS);
        assert_int_equal(number, next[id]++);
    }
    assert_int_equal(total, THREADS * LINES);
    mem_free(text);
    mem_free(path);
}

static void wait_for(const char *name, const char *wanted)
{
    for (unsigned i = 0; i < 500; i++) {
        char *path = path_of(name);
        struct stat st;
        bool there = stat(path, &st) == 0;
        mem_free(path);
        char *text = there ? content(name) : NULL;
        bool same = there && strcmp(text, wanted) == 0;
        mem_free(text);
        if (same) {
            return;
        }
        usleep(10000);
    }
    fail_msg("%s never held \"%s\"", name, wanted);
}

static void reopening_follows_a_file_that_was_moved_away(void **state)
{
    (void)state;
    struct log_sink *sink = log_sink_create(LOG_SINK_QUEUE, NULL);
    char *path = path_of("a.log"), *old = path_of("a.log.1");
    struct log_file *file = log_file_open(slice_of(path), NULL);
    log_file_write(file, SLICE("one\n"));
    wait_for("a.log", "one\n");
    assert_int_equal(rename(path, old), 0);
    log_sink_reopen(sink);
    wait_for("a.log", "");
    log_file_write(file, SLICE("two\n"));
    wait_for("a.log", "two\n");
    wait_for("a.log.1", "one\n");
    log_file_close(&file);
    log_sink_destroy(&sink);
    mem_free(path);
    mem_free(old);
}

static void what_was_written_before_the_last_logger_went_still_arrives(void **state)
{
    (void)state;
    struct log_sink *sink = log_sink_create(LOG_SINK_QUEUE, NULL);
    char *path = path_of("a.log");
    for (unsigned i = 0; i < 50; i++) {
        struct log_file *file = log_file_open(slice_of(path), NULL);
        log_file_write(file, SLICE("x"));
        log_file_close(&file);
        assert_null(file);
    }
    log_sink_destroy(&sink);
    char *text = content("a.log");
    assert_int_equal(strlen(text), 50);
    mem_free(text);
    mem_free(path);
}

static void a_path_that_cannot_be_opened_is_refused(void **state)
{
    (void)state;
    struct log_sink *sink = log_sink_create(LOG_SINK_QUEUE, NULL);
    struct err err = {.kind = ERR_NONE};
    assert_null(log_file_open(SLICE("/nowhere/at/all.log"), &err));
    assert_int_equal(err.kind, ERR_IO);
    assert_non_null(strstr(err.text, "/nowhere/at/all.log"));
    assert_null(log_file_open(SLICE_NONE, &err));
    log_sink_destroy(&sink);
}

static void a_write_that_fails_is_counted(void **state)
{
    (void)state;
    struct log_sink *sink = log_sink_create(LOG_SINK_QUEUE, NULL);
    struct log_file *file = log_file_open(SLICE("/dev/full"), NULL);
    assert_non_null(file);
    log_file_write(file, SLICE("lost\n"));
    for (unsigned i = 0; i < 500 && log_sink_counts(sink).failed == 0; i++) {
        usleep(10000);
    }
    assert_int_equal(log_sink_counts(sink).failed, 1);
    log_file_close(&file);
    log_sink_destroy(&sink);
}

/* ---- the extensions ---- */

static const struct extension_type *type_of(const char *message)
{
    for (size_t i = 0; i < access_log_type_count; i++) {
        if (strcmp(access_log_types[i]->message, message) == 0) {
            return access_log_types[i];
        }
    }
    return NULL;
}

static void loggers_built_from_messages_write_their_files(void **state)
{
    (void)state;
    struct log_sink *sink = log_sink_create(LOG_SINK_QUEUE, NULL);
    struct sample s;
    sample_init(&s);
    char *a = path_of("a.log"), *b = path_of("b.log");
    Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog file =
        ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__INIT;
    file.path = a;
    file.access_log_format_case =
        ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_FORMAT;
    file.format = (char *)(uintptr_t) "%REQ(:METHOD)% %RESPONSE_CODE%\n";
    Egret__Config__V1__GatewayLogs gateway = EGRET__CONFIG__V1__GATEWAY_LOGS__INIT;
    gateway.path = b;
    gateway.format = EGRET__CONFIG__V1__GATEWAY_LOGS__FORMAT__JSON;
    const struct extension_type *types[] = {type_of("envoy.extensions.access_loggers.file.v3.FileAccessLog"),
                                            type_of("egret.config.v1.GatewayLogs")};
    struct access_log *logs[] = {types[0]->build(&file, s.arena, NULL), types[1]->build(&gateway, s.arena, NULL)};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(types[i]->kind, EXTENSION_ACCESS_LOG);
        assert_non_null(logs[i]);
        access_log_write(logs[i], &s.record);
        types[i]->destroy(logs[i]);
    }
    log_sink_destroy(&sink);
    char *text = content("a.log"), *json = content("b.log");
    assert_string_equal(text, "GET 200\n");
    assert_int_equal(strncmp(json, "{\"isRequestSuccess\":true,", 25), 0);
    mem_free(text);
    mem_free(json);
    mem_free(a);
    mem_free(b);
    sample_fini(&s);
}

static void a_refused_format_says_where_and_leaves_no_file(void **state)
{
    (void)state;
    struct log_sink *sink = log_sink_create(LOG_SINK_QUEUE, NULL);
    struct arena *arena = arena_create(0);
    char *a = path_of("a.log");
    Envoy__Config__Core__V3__SubstitutionFormatString format =
        ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__INIT;
    Envoy__Config__Core__V3__DataSource source = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__INIT;
    source.specifier_case = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING;
    source.inline_string = (char *)(uintptr_t) "%WHAT%";
    format.format_case = ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT_SOURCE;
    format.text_format_source = &source;
    Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog file =
        ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__INIT;
    file.path = a;
    file.access_log_format_case =
        ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_LOG_FORMAT;
    file.log_format = &format;
    struct err err;
    const struct extension_type *type = type_of("envoy.extensions.access_loggers.file.v3.FileAccessLog");
    assert_null(type->build(&file, arena, &err));
    assert_string_equal(err.text, "log_format: text_format_source: unknown operator %WHAT%");
    assert_int_not_equal(access(a, F_OK), 0);
    source.specifier_case = ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER__NOT_SET;
    assert_null(type->build(&file, arena, &err));
    assert_int_equal(strncmp(err.text, "log_format: text_format_source: one of filename", 47), 0);
    mem_free(a);
    arena_destroy(&arena);
    log_sink_destroy(&sink);
}

static void without_a_sink_loggers_are_checked_and_stay_silent(void **state)
{
    (void)state;
    struct sample s;
    sample_init(&s);
    Envoy__Extensions__AccessLoggers__Stream__V3__StdoutAccessLog m =
        ENVOY__EXTENSIONS__ACCESS_LOGGERS__STREAM__V3__STDOUT_ACCESS_LOG__INIT;
    const struct extension_type *type = type_of("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog");
    struct access_log *log = type->build(&m, s.arena, NULL);
    assert_non_null(log);
    access_log_write(log, &s.record);
    type->destroy(log);
    assert_non_null(type_of("envoy.extensions.access_loggers.stream.v3.StderrAccessLog"));
    sample_fini(&s);
}

#define SINK_TEST(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_out_in_order_and_the_ring_wraps),
        cmocka_unit_test(a_full_ring_refuses_and_takes_again_once_there_is_room),
        cmocka_unit_test(a_ring_with_room_refuses_nobody),
        cmocka_unit_test(a_small_ring_under_contention_loses_and_mixes_nothing),
        cmocka_unit_test(a_record_longer_than_a_quarter_is_refused),
        SINK_TEST(lines_of_several_threads_all_arrive_each_thread_in_order),
        SINK_TEST(reopening_follows_a_file_that_was_moved_away),
        SINK_TEST(what_was_written_before_the_last_logger_went_still_arrives),
        SINK_TEST(a_path_that_cannot_be_opened_is_refused),
        SINK_TEST(a_write_that_fails_is_counted),
        SINK_TEST(loggers_built_from_messages_write_their_files),
        SINK_TEST(a_refused_format_says_where_and_leaves_no_file),
        cmocka_unit_test(without_a_sink_loggers_are_checked_and_stay_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
