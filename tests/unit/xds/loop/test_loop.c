#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "xds/loop/loop.h"
#include "xds/loop/status_http.h"
#include "xds/loop/tree_watch.h"

struct world {
    struct loop *loop;
    struct loop_timer *limit; /* no test waits for ever */
    char dir[64];
    int calls;
    int64_t called_us;
};

static void give_up(void *ctx)
{
    (void)ctx;
    fail_msg("nothing happened for ten seconds");
}

static int set_up(void **state)
{
    struct world *w = mem_alloc(sizeof *w);
    w->loop = loop_create(NULL);
    w->limit = loop_timer_create(w->loop, give_up, w);
    loop_timer_start(w->limit, 10000);
    strcpy(w->dir, "/tmp/egret-loop-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    loop_timer_destroy(&w->limit);
    loop_destroy(&w->loop);
    char *command = mem_printf("rm -rf %s", w->dir);
    int rc = system(command);
    mem_free(command);
    mem_free(w);
    return rc;
}

static void count_and_stop(void *ctx)
{
    struct world *w = ctx;
    w->calls++;
    w->called_us = clock_mono_us();
    loop_stop(w->loop);
}

static void *post_from_elsewhere(void *ctx)
{
    struct world *w = ctx;
    loop_post(w->loop, count_and_stop, w);
    return NULL;
}

static void what_another_thread_posts_runs_in_the_loop(void **state)
{
    struct world *w = *state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, post_from_elsewhere, w), 0);
    loop_run(w->loop);
    pthread_join(thread, NULL);
    assert_int_equal(w->calls, 1);
}

static void a_timer_runs_once_and_can_be_moved(void **state)
{
    struct world *w = *state;
    struct loop_timer *t = loop_timer_create(w->loop, count_and_stop, w);
    int64_t start = clock_mono_us();
    loop_timer_start(t, 5000);
    loop_timer_start(t, 20);
    loop_run(w->loop);
    assert_int_equal(w->calls, 1);
    assert_true(w->called_us - start < 3000000);
    assert_false(loop_timer_is_running(t));
    loop_timer_destroy(&t);
}

static void write_file(const struct world *w, const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", w->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    mem_free(path);
}

static void make_folder(const struct world *w, const char *name)
{
    char *path = mem_printf("%s/%s", w->dir, name);
    assert_int_equal(mkdir(path, 0755), 0);
    mem_free(path);
}

static struct tree_watch *watch(struct world *w, const char *name, bool polling)
{
    struct tree_watch_params params = {.quiet_ms = 50, .busy_ms = 200, .poll_ms = 50, .polling_only = polling};
    struct tree_watch *t = tree_watch_create(w->loop, &params, count_and_stop, w);
    char *path = mem_printf("%s/%s", w->dir, name);
    tree_watch_add(t, path);
    mem_free(path);
    return t;
}

static void a_file_written_in_a_folder_made_after_the_watch_is_heard(void **state)
{
    struct world *w = *state;
    for (int polling = 0; polling < 2; polling++) {
        char *root = mem_printf("root%d", polling);
        make_folder(w, root);
        struct tree_watch *t = watch(w, root, polling == 1);
        char *deep = mem_printf("%s/new", root);
        make_folder(w, deep);
        w->calls = 0;
        loop_run(w->loop);
        assert_int_equal(w->calls, 1);
        char *file = mem_printf("%s/file", deep);
        write_file(w, file, "x");
        loop_run(w->loop);
        assert_int_equal(w->calls, 2);
        assert_int_equal(tree_watch_is_polling(t), polling == 1);
        tree_watch_destroy(&t);
        mem_free(root);
        mem_free(deep);
        mem_free(file);
    }
}

static void many_changes_are_one_call_and_a_neighbour_of_the_root_is_none(void **state)
{
    struct world *w = *state;
    make_folder(w, "root");
    struct tree_watch *t = watch(w, "root", false);
    for (int i = 0; i < 20; i++) {
        write_file(w, "root/a", "text");
        write_file(w, "root/b", "text");
    }
    loop_run(w->loop);
    assert_int_equal(w->calls, 1);
    write_file(w, "neighbour", "x");
    struct loop_timer *later = loop_timer_create(w->loop, count_and_stop, w);
    loop_timer_start(later, 300);
    loop_run(w->loop);
    assert_int_equal(w->calls, 2); /* the timer's */
    loop_timer_destroy(&later);
    tree_watch_destroy(&t);
}

static void a_root_that_is_a_swapped_link_or_a_single_file_is_followed(void **state)
{
    struct world *w = *state;
    make_folder(w, "one");
    make_folder(w, "two");
    char *link_path = mem_printf("%s/current", w->dir), *swap = mem_printf("%s/swap", w->dir);
    assert_int_equal(symlink("one", link_path), 0);
    struct tree_watch *t = watch(w, "current", false);
    assert_int_equal(symlink("two", swap), 0);
    assert_int_equal(rename(swap, link_path), 0);
    loop_run(w->loop);
    assert_int_equal(w->calls, 1);
    write_file(w, "two/inside", "x");
    loop_run(w->loop);
    assert_int_equal(w->calls, 2);
    tree_watch_destroy(&t);
    t = watch(w, "single", false);
    write_file(w, "single", "x");
    loop_run(w->loop);
    assert_int_equal(w->calls, 3);
    tree_watch_destroy(&t);
    mem_free(link_path);
    mem_free(swap);
}

static void a_folder_moved_into_the_tree_is_followed_with_all_below_it(void **state)
{
    struct world *w = *state;
    make_folder(w, "root");
    make_folder(w, "outside");
    make_folder(w, "outside/deep");
    struct tree_watch *t = watch(w, "root", false);
    char *from = mem_printf("%s/outside", w->dir), *to = mem_printf("%s/root/inside", w->dir);
    char *later = mem_printf("%s/root/renamed", w->dir);
    assert_int_equal(rename(from, to), 0);
    loop_run(w->loop);
    write_file(w, "root/inside/deep/a", "x");
    loop_run(w->loop);
    assert_int_equal(w->calls, 2);
    assert_int_equal(rename(to, later), 0);
    loop_run(w->loop);
    make_folder(w, "root/renamed/deep/new");
    loop_run(w->loop);
    write_file(w, "root/renamed/deep/new/a", "x");
    loop_run(w->loop);
    assert_int_equal(w->calls, 5);
    tree_watch_destroy(&t);
    mem_free(from);
    mem_free(to);
    mem_free(later);
}

static void a_steady_stream_of_changes_is_still_reported_in_time(void **state)
{
    struct world *w = *state;
    make_folder(w, "root");
    struct tree_watch_params params = {.quiet_ms = 100, .busy_ms = 150};
    struct tree_watch *t = tree_watch_create(w->loop, &params, count_and_stop, w);
    char *path = mem_printf("%s/root", w->dir);
    tree_watch_add(t, path);
    mem_free(path);
    char *command = mem_printf("for i in $(seq 60); do echo x > %s/root/f; sleep 0.02; done &", w->dir);
    int64_t start = clock_mono_us();
    assert_int_equal(system(command), 0);
    loop_run(w->loop);
    assert_true(w->called_us - start < 1000000);
    tree_watch_destroy(&t);
    mem_free(command);
    usleep(1400 * 1000); /* the writer ends before its folder goes */
}

static void join_path(void *ctx, const char *path)
{
    strcat(ctx, strrchr(path, '/'));
}

static void what_changed_is_said_until_a_link_makes_it_unsure(void **state)
{
    struct world *w = *state;
    char seen[512] = "";
    make_folder(w, "root");
    make_folder(w, "root/deep");
    struct tree_watch *t = watch(w, "root", false);
    write_file(w, "root/deep/a", "x");
    write_file(w, "root/deep/a", "y");
    loop_run(w->loop);
    assert_true(tree_watch_take(t, join_path, seen));
    assert_string_equal(seen, "/a");
    seen[0] = '\0';
    assert_true(tree_watch_take(t, join_path, seen));
    assert_string_equal(seen, "");
    char *link = mem_printf("%s/root/link", w->dir);
    assert_int_equal(symlink("deep", link), 0);
    loop_run(w->loop);
    assert_false(tree_watch_take(t, join_path, seen));
    write_file(w, "root/deep/a", "z");
    loop_run(w->loop);
    assert_false(tree_watch_take(t, join_path, seen));
    assert_string_equal(seen, "");
    tree_watch_destroy(&t);
    t = watch(w, "root", true);
    assert_false(tree_watch_take(t, join_path, seen));
    tree_watch_destroy(&t);
    mem_free(link);
}

static int answer(void *ctx, const char *path, struct strbuf *body)
{
    struct world *w = ctx;
    w->calls++;
    strbuf_add_str(body, strcmp(path, "/status") == 0 ? "{\"ok\":true}" : "{}");
    return strcmp(path, "/status") == 0 ? 200 : 404;
}

struct client {
    struct world *world;
    const char *socket_path, *request;
    char reply[1024];
};

static void *ask(void *ctx)
{
    struct client *c = ctx;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    strcpy(a.sun_path, c->socket_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0 &&
        write(fd, c->request, strlen(c->request)) == (ssize_t)strlen(c->request)) {
        size_t n = 0;
        for (ssize_t got; n < sizeof c->reply - 1 && (got = read(fd, c->reply + n, sizeof c->reply - 1 - n)) > 0;) {
            n += (size_t)got;
        }
    }
    close(fd);
    loop_stop(c->world->loop);
    return NULL;
}

static void request(struct world *w, struct client *c, const char *text)
{
    memset(c->reply, 0, sizeof c->reply);
    c->world = w;
    c->request = text;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask, c), 0);
    loop_run(w->loop);
    pthread_join(thread, NULL);
}

static void status_is_answered_on_a_socket_only_the_group_may_use(void **state)
{
    struct world *w = *state;
    char *path = mem_printf("%s/control.sock", w->dir);
    struct err err = {0};
    struct status_http *h = status_http_create(w->loop, path, answer, w, &err);
    assert_non_null(h);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    struct client c = {.socket_path = path};
    request(w, &c, "GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(c.reply, "200 OK"));
    assert_non_null(strstr(c.reply, "{\"ok\":true}"));
    request(w, &c, "GET /other?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_non_null(strstr(c.reply, "404"));
    request(w, &c, "POST /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_non_null(strstr(c.reply, "405"));
    assert_null(status_http_create(w->loop, path, answer, w, &err));
    assert_non_null(strstr(err.text, "another process"));
    status_http_destroy(&h);
    assert_int_not_equal(access(path, F_OK), 0);
    mem_free(path);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_another_thread_posts_runs_in_the_loop),
        TEST(a_timer_runs_once_and_can_be_moved),
        TEST(a_file_written_in_a_folder_made_after_the_watch_is_heard),
        TEST(many_changes_are_one_call_and_a_neighbour_of_the_root_is_none),
        TEST(a_root_that_is_a_swapped_link_or_a_single_file_is_followed),
        TEST(a_folder_moved_into_the_tree_is_followed_with_all_below_it),
        TEST(a_steady_stream_of_changes_is_still_reported_in_time),
        TEST(what_changed_is_said_until_a_link_makes_it_unsure),
        TEST(status_is_answered_on_a_socket_only_the_group_may_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
