#include "tests/unit/proxy/net/net_test.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "proxy/net/listen.h"

struct taker {
    unsigned accepted, errors;
    int fds[64];
    int last_errno;
    struct acceptor **end_after_first;
};

static void take(void *ctx, int fd, const struct addr *peer)
{
    struct taker *t = ctx;
    assert_true(peer->len > 0);
    t->fds[t->accepted++] = fd;
    if (t->end_after_first != NULL) {
        acceptor_destroy(t->end_after_first);
    }
}

static void note(void *ctx, const struct err *err)
{
    struct taker *t = ctx;
    t->errors++;
    t->last_errno = err->os_errno;
}

static const struct acceptor_events events = {take, note};
static const struct listen_options plain;

static int open_loopback(struct addr *at)
{
    struct err err;
    assert_true(addr_parse(at, SLICE("127.0.0.1"), 0, NULL));
    int fd = listen_open(at, &plain, &err);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, &at->sa, &at->len), 0);
    return fd;
}

static int connect_to(const struct addr *at)
{
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &at->sa, at->len), 0);
    return fd;
}

static void drop(struct taker *t)
{
    for (unsigned i = 0; i < t->accepted; i++) {
        close(t->fds[i]);
    }
}

static void connections_are_accepted_a_bounded_number_a_turn(void **state)
{
    struct loop *loop = *state;
    struct addr at;
    int fd = open_loopback(&at);
    struct taker t = {0};
    struct acceptor *a = acceptor_create(loop, fd, &events, &t);
    int clients[40];
    for (unsigned i = 0; i < 40; i++) {
        clients[i] = connect_to(&at);
    }
    loop_turn(loop, true);
    assert_int_equal(t.accepted, 16);
    RUN_UNTIL(loop, t.accepted == 40);
    int on = 0;
    socklen_t n = sizeof on;
    getsockopt(t.fds[0], IPPROTO_TCP, TCP_NODELAY, &on, &n);
    assert_int_equal(on, 1);
    struct addr original;
    assert_false(listen_original_dst(t.fds[0], &original)); /* nothing was redirected */
    acceptor_destroy(&a);
    for (unsigned i = 0; i < 40; i++) {
        close(clients[i]);
    }
    drop(&t);
    close(fd);
}

static void a_paused_acceptor_waits(void **state)
{
    struct loop *loop = *state;
    struct addr at;
    int fd = open_loopback(&at);
    struct taker t = {0};
    struct acceptor *a = acceptor_create(loop, fd, &events, &t);
    acceptor_pause(a, true);
    int client = connect_to(&at);
    run_for_ms(loop, 10);
    assert_int_equal(t.accepted, 0);
    acceptor_pause(a, false);
    RUN_UNTIL(loop, t.accepted == 1);
    acceptor_destroy(&a);
    close(client);
    drop(&t);
    close(fd);
}

static void an_acceptor_may_end_itself(void **state)
{
    struct loop *loop = *state;
    struct addr at;
    int fd = open_loopback(&at);
    struct taker t = {0};
    struct acceptor *a = acceptor_create(loop, fd, &events, &t);
    t.end_after_first = &a;
    int clients[3] = {connect_to(&at), connect_to(&at), connect_to(&at)};
    RUN_UNTIL(loop, t.accepted == 1);
    run_for_ms(loop, 5);
    assert_int_equal(t.accepted, 1); /* the others stay in the queue for whoever has the descriptor */
    for (unsigned i = 0; i < 3; i++) {
        close(clients[i]);
    }
    drop(&t);
    close(fd);
}

static void without_descriptors_accepting_rests_and_recovers(void **state)
{
    struct loop *loop = *state;
    struct addr at;
    int fd = open_loopback(&at);
    struct taker t = {0};
    struct acceptor *a = acceptor_create(loop, fd, &events, &t);
    int client = connect_to(&at);
    struct rlimit old, none;
    getrlimit(RLIMIT_NOFILE, &old);
    none = old;
    none.rlim_cur = (rlim_t)client; /* every lower number is taken */
    setrlimit(RLIMIT_NOFILE, &none);
    RUN_UNTIL(loop, t.errors == 1);
    assert_int_equal(t.last_errno, EMFILE);
    run_for_ms(loop, 30);
    assert_int_equal(t.errors, 1); /* rests */
    setrlimit(RLIMIT_NOFILE, &old);
    RUN_UNTIL(loop, t.accepted == 1);
    acceptor_destroy(&a);
    close(client);
    drop(&t);
    close(fd);
}

static void a_taken_address_is_an_error_with_its_name(void **state)
{
    (void)state;
    struct addr at;
    struct err err;
    int fd = open_loopback(&at);
    assert_int_equal(listen_open(&at, &plain, &err), -1);
    assert_int_equal(err.os_errno, EADDRINUSE);
    assert_non_null(strstr(err.text, "bind to 127.0.0.1:"));
    close(fd);
}

static void a_pipe_has_its_mode_and_a_dead_one_is_replaced(void **state)
{
    struct loop *loop = *state;
    char path[64];
    snprintf(path, sizeof path, "/tmp/egret-listen-%d", (int)getpid());
    struct addr at;
    struct err err;
    assert_true(addr_pipe(&at, slice_of(path), NULL));
    struct listen_options options = {.pipe_mode = 0600};
    int fd = listen_open(&at, &options, &err);
    assert_true(fd >= 0);
    struct stat st;
    stat(path, &st);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(listen_open(&at, &options, &err), -1); /* it lives */
    assert_int_equal(err.os_errno, EADDRINUSE);
    close(fd);
    fd = listen_open(&at, &options, &err); /* the file is still there, its owner is not */
    assert_true(fd >= 0);
    struct taker t = {0};
    struct acceptor *a = acceptor_create(loop, fd, &events, &t);
    int client = connect_to(&at);
    RUN_UNTIL(loop, t.accepted == 1);
    acceptor_destroy(&a);
    close(client);
    drop(&t);
    close(fd);
    unlink(path);
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, given_loop, drop_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOOP(connections_are_accepted_a_bounded_number_a_turn),
        ON_LOOP(a_paused_acceptor_waits),
        ON_LOOP(an_acceptor_may_end_itself),
        ON_LOOP(without_descriptors_accepting_rests_and_recovers),
        cmocka_unit_test(a_taken_address_is_an_error_with_its_name),
        ON_LOOP(a_pipe_has_its_mode_and_a_dead_one_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
