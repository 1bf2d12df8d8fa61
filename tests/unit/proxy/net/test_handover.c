#include "tests/unit/proxy/net/net_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "proxy/net/handover.h"

struct old_process {
    unsigned asked, gone;
    char last[64];
    unsigned give; /* descriptors */
    bool refuse, mute;
};

static bool on_ask(void *ctx, struct slice text, struct handover_bundle *answer)
{
    struct old_process *p = ctx;
    p->asked++;
    snprintf(p->last, sizeof p->last, "%.*s", SLICE_ARG(text));
    if (p->refuse) {
        return false;
    }
    for (unsigned i = 0; i < p->give; i++) {
        char name[32];
        snprintf(name, sizeof name, "tcp:127.0.0.1:%u", i);
        handover_bundle_add(answer, slice_of(name), (int)i % 3); /* 0, 1, 2: everyone has them */
    }
    strbuf_add_str(&answer->text, "take them");
    return true;
}

static void on_gone(void *ctx)
{
    ((struct old_process *)ctx)->gone++;
}

static const struct handover_events events = {on_ask, on_gone};

/* The new process: a thread that blocks. */
struct new_process {
    pthread_t thread;
    const char *path;
    bool connected, answered, done;
    unsigned questions;
    struct handover_bundle answer;
    struct err err;
};

static void *take_over(void *arg)
{
    struct new_process *n = arg;
    struct handover_client *c = handover_connect(n->path, 2000, &n->err);
    n->connected = c != NULL;
    for (unsigned i = 0; c != NULL && i < n->questions; i++) {
        if (i > 0) {
            handover_bundle_close(&n->answer);
        }
        n->answered = handover_ask(c, SLICE("listeners"), &n->answer, &n->err);
    }
    handover_client_destroy(&c);
    __atomic_store_n(&n->done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void run_both(struct loop *loop, struct new_process *n)
{
    pthread_create(&n->thread, NULL, take_over, n);
    RUN_UNTIL(loop, __atomic_load_n(&n->done, __ATOMIC_ACQUIRE));
    pthread_join(n->thread, NULL);
}

static const char *a_path(void)
{
    static char path[64];
    static unsigned n;
    snprintf(path, sizeof path, "@egret-handover-%d-%u", (int)getpid(), n++);
    return path;
}

static void descriptors_and_words_are_handed_over(void **state)
{
    struct loop *loop = *state;
    struct old_process old = {.give = 3};
    struct new_process new = {.path = a_path(), .questions = 2};
    struct handover_server *s = handover_serve(loop, new.path, &events, &old, NULL);
    assert_non_null(s);
    run_both(loop, &new);
    assert_true(new.answered);
    assert_string_equal(old.last, "listeners");
    assert_int_equal(old.asked, 2);
    assert_string_equal(strbuf_cstr(&new.answer.text), "take them");
    assert_int_equal(new.answer.n, 3);
    int fd = handover_bundle_take(&new.answer, SLICE("tcp:127.0.0.1:1"));
    assert_true(fd > 2);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    struct stat a, b;
    fstat(fd, &a);
    fstat(1, &b);
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(handover_bundle_take(&new.answer, SLICE("tcp:127.0.0.1:1")), -1);
    assert_int_equal(handover_bundle_take(&new.answer, SLICE("nothing")), -1);
    close(fd);
    handover_bundle_close(&new.answer);
    RUN_UNTIL(loop, old.gone == 1);
    handover_server_destroy(&s);
}

static void many_descriptors_take_several_packets(void **state)
{
    struct loop *loop = *state;
    struct old_process old = {.give = 350};
    struct new_process new = {.path = a_path(), .questions = 1};
    struct handover_server *s = handover_serve(loop, new.path, &events, &old, NULL);
    run_both(loop, &new);
    assert_true(new.answered);
    assert_int_equal(new.answer.n, 350);
    for (unsigned i = 0; i < 350; i++) {
        char name[32];
        snprintf(name, sizeof name, "tcp:127.0.0.1:%u", i);
        assert_string_equal(new.answer.fds[i].name, name);
    }
    handover_bundle_close(&new.answer);
    handover_server_destroy(&s);
}

static void a_refusal_and_an_absent_server_are_told(void **state)
{
    struct loop *loop = *state;
    struct old_process old = {.refuse = true};
    struct new_process new = {.path = a_path(), .questions = 1};
    struct handover_server *s = handover_serve(loop, new.path, &events, &old, NULL);
    run_both(loop, &new);
    assert_true(new.connected);
    assert_false(new.answered);
    assert_int_equal(new.err.kind, ERR_RESET);
    assert_int_equal(old.gone, 1);
    handover_server_destroy(&s);
    loop_turn(loop, false);
    assert_null(handover_connect(new.path, 100, &new.err));
    assert_int_equal(new.err.kind, ERR_NOT_FOUND);
}

static void a_server_that_does_not_answer_is_given_up(void **state)
{
    (void)state;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const char *path = a_path();
    struct addr at;
    addr_pipe(&at, slice_of(path), NULL);
    assert_int_equal(bind(fd, &at.sa, at.len), 0);
    listen(fd, 1);
    struct err err;
    struct handover_client *c = handover_connect(path, 30, &err);
    assert_non_null(c);
    struct handover_bundle answer;
    assert_false(handover_ask(c, SLICE("hello?"), &answer, &err));
    assert_int_equal(err.kind, ERR_TIMEOUT);
    handover_client_destroy(&c);
    close(fd);
}

static void what_is_no_question_is_hung_up_on(void **state)
{
    struct loop *loop = *state;
    struct old_process old = {0};
    const char *path = a_path();
    struct handover_server *s = handover_serve(loop, path, &events, &old, NULL);
    struct addr at;
    addr_pipe(&at, slice_of(path), NULL);
    static const struct {
        const char *p;
        size_t n;
    } bad[] = {
        {"x", 1}, {"EGRT", 4}, {"EGRT\x02\x01\0\0hi", 10}, {"EGRT\x01\x01\x05\0hi", 10}, {"EGRT\x01\0\0\0hi", 10}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(connect(fd, &at.sa, at.len), 0);
        assert_int_equal(send(fd, bad[i].p, bad[i].n, 0), bad[i].n);
        char c;
        ssize_t n = -1;
        RUN_UNTIL(loop, n >= 0 || (n = recv(fd, &c, 1, 0)) >= 0);
        assert_int_equal(n, 0);
        close(fd);
    }
    assert_int_equal(old.asked, 0);
    assert_int_equal(old.gone, 0);
    handover_server_destroy(&s);
}

static void a_file_has_mode_0600_and_a_successor_replaces_it(void **state)
{
    struct loop *loop = *state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/egret-handover-%d", (int)getpid());
    struct old_process first = {0}, second = {0};
    struct handover_server *a = handover_serve(loop, path, &events, &first, NULL);
    struct stat st;
    stat(path, &st);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct handover_server *b = handover_serve(loop, path, &events, &second, NULL);
    assert_non_null(b);
    struct new_process new = {.path = path, .questions = 1};
    run_both(loop, &new);
    assert_int_equal(second.asked, 1);
    assert_int_equal(first.asked, 0);
    handover_bundle_close(&new.answer);
    handover_server_destroy(&a);
    assert_int_equal(stat(path, &st), 0);
    handover_server_destroy(&b);
    unlink(path);
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, given_loop, drop_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOOP(descriptors_and_words_are_handed_over),   ON_LOOP(many_descriptors_take_several_packets),
        ON_LOOP(a_refusal_and_an_absent_server_are_told), cmocka_unit_test(a_server_that_does_not_answer_is_given_up),
        ON_LOOP(what_is_no_question_is_hung_up_on),       ON_LOOP(a_file_has_mode_0600_and_a_successor_replaces_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
