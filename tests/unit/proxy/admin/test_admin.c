/* The interface over a real socket, with a store made of nothing: its functions are defined here. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/doc/doc.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/mem.h"
#include "proxy/admin/admin.h"

/* ---- the store ---- */

static struct {
    bool ready;
    struct cluster_conf clusters[2];
    struct listener_conf listeners[2];
} conf;

static struct snapshot *const the_snapshot = (struct snapshot *)&conf;

struct snapshot *store_snapshot(struct config_store *s)
{
    (void)s;
    return the_snapshot;
}

bool store_is_ready(const struct config_store *s, struct strbuf *why)
{
    (void)s;
    if (!conf.ready) {
        strbuf_add_str(why, "listener in: route configuration r is missing\n");
    }
    return conf.ready;
}

void store_dump(const struct config_store *s, struct strbuf *json)
{
    (void)s;
    strbuf_add_str(json, "{\"configs\":[]}");
}

int64_t store_disk_since_us(const struct config_store *s)
{
    (void)s;
    return 1767323045678000;
}

uint64_t snapshot_generation(const struct snapshot *s)
{
    (void)s;
    return 3;
}

size_t snapshot_cluster_count(const struct snapshot *s)
{
    (void)s;
    return 2;
}

const struct cluster_conf *snapshot_cluster_at(const struct snapshot *s, size_t i)
{
    (void)s;
    return &conf.clusters[i];
}

size_t snapshot_listener_count(const struct snapshot *s)
{
    (void)s;
    return 2;
}

const struct listener_conf *snapshot_listener_at(const struct snapshot *s, size_t i)
{
    (void)s;
    return &conf.listeners[i];
}

int listen_sockets_fd(const struct listen_sockets *l, const struct addr *address)
{
    (void)l;
    (void)address;
    return -1;
}

/* ---- what app would give ---- */

static struct {
    enum admin_phase phase;
    unsigned drained, graceful, quits;
    bool healthy;
} app;

static enum admin_phase phase(void *ctx)
{
    assert_ptr_equal(ctx, &app);
    return app.phase;
}

/* Two workers. */
static void hosts(void *ctx, struct strbuf *text)
{
    assert_ptr_equal(ctx, &app);
    strbuf_add_str(text, "shop::10.0.0.1:80::rq_active::2\nshop::10.0.0.1:80::hostname::a.test\n"
                         "shop::10.0.0.1:80::health_flags::healthy\nshop::10.0.0.1:80::weight::1\n"
                         "third::[::1]:443::rq_total::5\n");
    strbuf_add_str(text, "shop::10.0.0.1:80::rq_active::3\nshop::10.0.0.1:80::hostname::a.test\n"
                         "shop::10.0.0.1:80::health_flags::healthy\nshop::10.0.0.1:80::weight::1\n"
                         "shop::10.0.0.2:80::rq_active::1\nthird::[::1]:443::rq_total::6\nnonsense\n");
}

static void ads(void *ctx, struct strbuf *json)
{
    (void)ctx;
    strbuf_add_str(json, "{\"connected\":true}");
}

static void drain(void *ctx, bool graceful)
{
    (void)ctx;
    app.drained++;
    app.graceful += graceful;
}

static void quit(void *ctx)
{
    (void)ctx;
    app.quits++;
}

static void set_healthy(void *ctx, bool healthy)
{
    (void)ctx;
    app.healthy = healthy;
}

static const struct admin_sources sources = {phase, hosts, ads, drain, quit, set_healthy};

/* ---- the fixture ---- */

static struct loop *loop;
static struct stats *stats;
static struct admin *admin;
static char answer[65536];
static const struct bootstrap_node node = {.id = {"me", 2}, .cluster = {"gw", 2}, .zone = {"z", 1}};

static void configure(void)
{
    memset(&conf, 0, sizeof conf);
    conf.ready = true;
    conf.clusters[0] = (struct cluster_conf){.name = SLICE("shop"),
                                             .type = CLUSTER_EDS,
                                             .eds_name = SLICE("shop-hosts"),
                                             .breakers = {{1, 2, 3, 4}, {5, 6, 7, 8}}};
    conf.clusters[1] = (struct cluster_conf){.name = SLICE("third"), .alt_stat_name = SLICE("3rd"), .is_static = true};
    conf.listeners[0] = (struct listener_conf){.name = SLICE("in")};
    addr_parse(&conf.listeners[0].addr, SLICE("0.0.0.0"), 8080, NULL);
    conf.listeners[1] = (struct listener_conf){.name = SLICE("tunnel"), .internal = true};
}

static int setup(void **state)
{
    (void)state;
    struct err err;
    configure();
    memset(&app, 0, sizeof app);
    app.phase = ADMIN_RUNNING;
    app.healthy = true;
    log_set_level(LOG_OFF);
    loop = loop_create(0, NULL);
    stats = stats_create(1);
    struct admin_config config = {
        .loop = loop, .node = &node, .stats = stats, .concurrency = 2, .command_line = SLICE("{\"concurrency\":2}")};
    addr_parse(&config.addr, SLICE("127.0.0.1"), 0, NULL);
    admin = admin_create(&config, &sources, &app, &err);
    assert_non_null(admin);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    admin_destroy(&admin);
    assert_null(admin);
    loop_turn(loop, false);
    loop_destroy(&loop);
    stats_destroy(&stats);
    return 0;
}

/* One request; returns the body, the whole answer stays in `answer`. */
static const char *ask(const char *method, const char *target)
{
    struct addr addr = admin_address(admin);
    int fd = socket(addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(connect(fd, &addr.sa, addr.len) == 0 || errno == EINPROGRESS);
    char request[512];
    int length =
        snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                 method, target);
    size_t n = 0;
    bool sent = false;
    for (unsigned i = 0; i < 1000; i++) {
        sent = sent || send(fd, request, (size_t)length, MSG_NOSIGNAL) == length;
        loop_turn(loop, false);
        ssize_t got = recv(fd, answer + n, sizeof answer - 1 - n, 0);
        if (got == 0) {
            break;
        }
        n += got > 0 ? (size_t)got : 0;
        usleep(got < 0 ? 1000 : 0);
    }
    close(fd);
    answer[n] = '\0';
    char *body = strstr(answer, "\r\n\r\n");
    assert_non_null(body);
    return body + 4;
}

static unsigned status(void)
{
    return (unsigned)strtoul(answer + sizeof "HTTP/1.1", NULL, 10);
}

static void assert_json(const char *body)
{
    struct arena *arena = arena_create(0);
    struct err err;
    if (doc_parse(arena, (struct doc_source){.name = "answer", .bytes = slice_of(body), .format = DOC_JSON}, NULL,
                  &err) == NULL) {
        fail_msg("%s in %s", err.text, body);
    }
    arena_destroy(&arena);
    assert_non_null(strstr(answer, "application/json"));
}

/* ---- tests ---- */

static void ready_says_live_or_what_is_missing(void **state)
{
    (void)state;
    assert_string_equal(ask("GET", "/ready"), "LIVE\n");
    assert_int_equal(status(), 200);
    conf.ready = false;
    assert_string_equal(ask("GET", "/ready"), "INITIALIZING\nlistener in: route configuration r is missing\n");
    assert_int_equal(status(), 503);
    app.phase = ADMIN_STARTING;
    ask("GET", "/ready");
    assert_non_null(strstr(answer, "\r\n\r\nPRE_INITIALIZING\n"));
    conf.ready = true;
    app.phase = ADMIN_DRAINING;
    assert_string_equal(ask("GET", "/ready"), "DRAINING\n");
    assert_int_equal(status(), 503);
}

static void a_health_check_failed_by_hand_is_not_ready_until_it_is_undone(void **state)
{
    (void)state;
    assert_string_equal(ask("POST", "/healthcheck/fail"), "OK\n");
    assert_false(app.healthy);
    assert_string_equal(ask("GET", "/ready"), "DRAINING\n");
    ask("POST", "/healthcheck/ok");
    assert_true(app.healthy);
    assert_string_equal(ask("GET", "/ready"), "LIVE\n");
}

static void commands_take_post_only(void **state)
{
    (void)state;
    static const char *const paths[] = {"/logging?level=info", "/drain_listeners", "/quitquitquit",
                                        "/healthcheck/fail",   "/healthcheck/ok",  "/reopen_logs"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        ask("GET", paths[i]);
        assert_int_equal(status(), 405);
    }
    assert_int_equal(app.quits + app.drained, 0);
    ask("PUT", "/stats");
    assert_int_equal(status(), 405);
}

static void draining_and_quitting_reach_the_process(void **state)
{
    (void)state;
    assert_string_equal(ask("POST", "/drain_listeners"), "OK\n");
    assert_string_equal(ask("POST", "/drain_listeners?graceful"), "OK\n");
    assert_int_equal(app.drained, 2);
    assert_int_equal(app.graceful, 1);
    ask("POST", "/drain_listeners?inboundonly");
    assert_int_equal(status(), 400);
    assert_string_equal(ask("POST", "/quitquitquit"), "OK\n");
    assert_int_equal(app.quits, 1);
    ask("POST", "/reopen_logs");
    assert_int_equal(status(), 501);
}

static void the_log_level_can_be_set(void **state)
{
    (void)state;
    assert_string_equal(ask("POST", "/logging?level=error"), "active loggers:\n  all: error\n");
    assert_int_equal(log_level(), LOG_ERROR);
    ask("POST", "/logging?level=loud");
    assert_int_equal(status(), 400);
    ask("POST", "/logging?http=debug");
    assert_int_equal(status(), 400);
    assert_int_equal(log_level(), LOG_ERROR);
    assert_string_equal(ask("POST", "/logging"), "active loggers:\n  all: error\n");
}

static void statistics_come_in_three_shapes(void **state)
{
    (void)state;
    struct slice shop = SLICE("shop");
    struct stat_handle *rq = stat_counter(stats, "cluster.{envoy_cluster_name}.upstream_rq_total", &shop);
    stat_add(rq, 0, 4);
    assert_string_equal(ask("GET", "/stats?filter=%5Ecluster"), "cluster.shop.upstream_rq_total: 4\n");
    assert_non_null(strstr(ask("GET", "/stats"), "server.live: 1\n"));
    assert_non_null(strstr(ask("GET", "/stats"), "server.days_until_first_cert_expiring: 4294967295\n"));
    assert_null(strstr(ask("GET", "/stats?usedonly"), "server.state"));
    assert_non_null(
        strstr(ask("GET", "/stats/prometheus"), "envoy_cluster_upstream_rq_total{envoy_cluster_name=\"shop\"} 4\n"));
    assert_non_null(strstr(answer, "version=0.0.4"));
    assert_non_null(strstr(ask("GET", "/stats?format=prometheus"), "# TYPE envoy_server_live gauge\n"));
    assert_json(ask("GET", "/stats?format=json"));
    ask("GET", "/stats?format=xml");
    assert_int_equal(status(), 400);
    ask("GET", "/stats?filter=(");
    assert_int_equal(status(), 400);
}

static void clusters_add_up_what_workers_count(void **state)
{
    (void)state;
    assert_string_equal(ask("GET", "/clusters"), "shop::observability_name::shop\n"
                                                 "shop::default_priority::max_connections::1\n"
                                                 "shop::default_priority::max_pending_requests::2\n"
                                                 "shop::default_priority::max_requests::3\n"
                                                 "shop::default_priority::max_retries::4\n"
                                                 "shop::high_priority::max_connections::5\n"
                                                 "shop::high_priority::max_pending_requests::6\n"
                                                 "shop::high_priority::max_requests::7\n"
                                                 "shop::high_priority::max_retries::8\n"
                                                 "shop::added_via_api::true\n"
                                                 "shop::eds_service_name::shop-hosts\n"
                                                 "shop::10.0.0.1:80::rq_active::5\n"
                                                 "shop::10.0.0.1:80::hostname::a.test\n"
                                                 "shop::10.0.0.1:80::health_flags::healthy\n"
                                                 "shop::10.0.0.1:80::weight::1\n"
                                                 "shop::10.0.0.2:80::rq_active::1\n"
                                                 "third::observability_name::3rd\n"
                                                 "third::default_priority::max_connections::0\n"
                                                 "third::default_priority::max_pending_requests::0\n"
                                                 "third::default_priority::max_requests::0\n"
                                                 "third::default_priority::max_retries::0\n"
                                                 "third::high_priority::max_connections::0\n"
                                                 "third::high_priority::max_pending_requests::0\n"
                                                 "third::high_priority::max_requests::0\n"
                                                 "third::high_priority::max_retries::0\n"
                                                 "third::added_via_api::false\n"
                                                 "third::[::1]:443::rq_total::11\n");
    const char *json = ask("GET", "/clusters?format=json");
    assert_json(json);
    assert_non_null(strstr(json, "{\"address\":{\"socket_address\":{\"address\":\"::1\",\"port_value\":443}},\"stats\":"
                                 "[{\"name\":\"rq_total\",\"type\":\"COUNTER\",\"value\":\"11\"}]}"));
    assert_non_null(strstr(json, "\"health_status\":{\"eds_health_status\":\"HEALTHY\"},\"weight\":1"));
}

static void listeners_are_listed_with_their_addresses(void **state)
{
    (void)state;
    assert_string_equal(ask("GET", "/listeners"), "in::0.0.0.0:8080\ntunnel::envoy://tunnel\n");
    const char *json = ask("GET", "/listeners?format=json");
    assert_json(json);
    assert_non_null(strstr(json, "{\"socket_address\":{\"address\":\"0.0.0.0\",\"port_value\":8080}}"));
}

static void the_rest_is_json(void **state)
{
    (void)state;
    static const char *const paths[] = {"/server_info", "/status", "/memory", "/certs", "/config_dump"};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_json(ask("GET", paths[i]));
        assert_int_equal(status(), 200);
    }
    assert_string_equal(ask("GET", "/certs"), "{\"certificates\":[]}\n");
    assert_non_null(strstr(ask("GET", "/server_info"), "\"command_line_options\":{\"concurrency\":2}"));
    assert_non_null(strstr(ask("GET", "/status"), "\"serving_from_disk_since\":\"2026-01-02T03:04:05.678Z\""));
    assert_non_null(strstr(answer, "\"xds\":{\"connected\":true}"));
    ask("GET", "/config_dump?resource=x");
    assert_int_equal(status(), 400);
}

static void an_unknown_path_is_answered_with_the_list(void **state)
{
    (void)state;
    assert_int_equal(strncmp(ask("GET", "/nothing"), "invalid path. admin commands are:\n", 34), 0);
    assert_int_equal(status(), 404);
    assert_non_null(strstr(ask("GET", "/help"), "  /quitquitquit (POST): end the process\n"));
    assert_non_null(strstr(ask("GET", "/"), "<a href=\"stats\">stats</a>"));
    assert_non_null(strstr(answer, "text/html"));
    assert_string_equal(ask("HEAD", "/ready"), "");
    assert_int_equal(status(), 200);
}

#define ADMIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADMIN_TEST(ready_says_live_or_what_is_missing),
        ADMIN_TEST(a_health_check_failed_by_hand_is_not_ready_until_it_is_undone),
        ADMIN_TEST(commands_take_post_only),
        ADMIN_TEST(draining_and_quitting_reach_the_process),
        ADMIN_TEST(the_log_level_can_be_set),
        ADMIN_TEST(statistics_come_in_three_shapes),
        ADMIN_TEST(clusters_add_up_what_workers_count),
        ADMIN_TEST(listeners_are_listed_with_their_addresses),
        ADMIN_TEST(the_rest_is_json),
        ADMIN_TEST(an_unknown_path_is_answered_with_the_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
