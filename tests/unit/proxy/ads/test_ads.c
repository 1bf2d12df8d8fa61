/* The client over a real loop, with a store, an upstream and a stream made of nothing: each is defined here and takes
 * the place of the room's own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "base/log.h"
#include "base/macros.h"
#include "base/mem.h"
#include "proxy/ads/ads.h"
#include "unit/proxy/ads/ads_test.h"

/* ---- the store ---- */

static struct {
    size_t cds, eds; /* how many names are wanted */
    bool refuses, changes;
    uint64_t generation;
    unsigned applied;
} store;

struct config_store {
    int unused;
};
struct snapshot {
    int unused;
};
static struct config_store the_store;
static struct snapshot the_snapshot;

size_t store_types(const struct config_store *s, const struct slice **type_urls)
{
    static const struct slice types[] = {{CDS, sizeof CDS - 1}, {EDS, sizeof EDS - 1}};
    assert_ptr_equal(s, &the_store);
    *type_urls = types;
    return 2;
}

size_t store_names(const struct config_store *s, struct slice type_url, const struct slice **names)
{
    static const struct slice all = {"*", 1}, endpoints[] = {{"a", 1}, {"b", 1}};
    bool cds = slice_eq(type_url, SLICE(CDS));
    assert_ptr_equal(s, &the_store);
    *names = cds ? &all : endpoints;
    return cds ? store.cds : store.eds;
}

size_t store_versions(const struct config_store *s, struct slice type_url, struct arena *in,
                      const struct store_version **out)
{
    static const struct store_version held[] = {{{"a", 1}, {"v1", 2}}};
    (void)in;
    assert_ptr_equal(s, &the_store);
    *out = held;
    return slice_eq(type_url, SLICE(CDS)) ? 1 : 0;
}

bool store_apply(struct config_store *s, const struct store_update *update, bool *changed, struct err *err)
{
    assert_ptr_equal(s, &the_store);
    assert_true(update->n > 0);
    store.applied++;
    store.eds = 2; /* the clusters now want endpoints */
    *changed = store.changes;
    store.generation += store.changes;
    return store.refuses ? err_set(err, ERR_INPUT, "x: name: empty") : true;
}

struct snapshot *store_snapshot(struct config_store *s)
{
    assert_ptr_equal(s, &the_store);
    return &the_snapshot;
}

uint64_t snapshot_generation(const struct snapshot *s)
{
    assert_ptr_equal(s, &the_snapshot);
    return store.generation;
}

/* ---- the upstream and its stream ---- */

static struct {
    struct acquire_request request;
    const struct acquire_events *events;
    void *ctx;
    unsigned acquired, cancelled, released;
    struct stream stream;
    struct transport_info info;
    struct strbuf sent; /* head, then what requests say */
    size_t taken;
} up;

struct upstream {
    int unused;
};
static struct upstream the_upstream;

struct acquire *upstream_acquire(struct upstream *u, const struct acquire_request *request,
                                 const struct acquire_events *events, void *ctx)
{
    assert_ptr_equal(u, &the_upstream);
    up.request = *request;
    up.events = events;
    up.ctx = ctx;
    up.acquired++;
    return (struct acquire *)&up;
}

void upstream_cancel(struct acquire **a)
{
    up.cancelled += *a != NULL;
    *a = NULL;
}

static void fake_send_head(struct stream *s, const struct head *head, bool end)
{
    (void)s;
    assert_false(end);
    strbuf_printf(&up.sent, "%.*s %.*s te=%.*s %.*s", SLICE_ARG(head->method), SLICE_ARG(head->path),
                  SLICE_ARG(head_value_id(head, FIELD_TE)), SLICE_ARG(head_value_id(head, FIELD_CONTENT_TYPE)));
}

static void fake_send(struct stream *s, struct buf *bytes, bool end)
{
    (void)s;
    char text[1024];
    assert_false(end);
    struct slice message = buf_pullup(bytes, buf_len(bytes));
    assert_int_equal(message.p[0], 0);
    assert_int_equal((uint8_t)message.p[4] | (uint8_t)message.p[3] << 8, message.n - 5);
    strbuf_printf(&up.sent, "; %s", request_text(slice_from(message, 5), text, sizeof text));
    buf_fini(bytes);
}

static void fake_taken(struct stream *s, size_t n)
{
    (void)s;
    up.taken += n;
}

static void fake_release(struct stream *s)
{
    buf_fini(&s->in);
    up.released++;
}

static const struct stream_ops fake_ops = {
    .send_head = fake_send_head, .send = fake_send, .taken = fake_taken, .release = fake_release};

/* ---- the fixture ---- */

static struct loop *loop;
static struct stats *stats;
static struct ads *ads;
static struct arena *arena;
static unsigned published, accepted;
static bool apply_at_once;
static const struct bootstrap_node node = {.id = {"me", 2}, .cluster = {"gw", 2}, .packed = {"\n\001n", 3}};

static void publish(void *ctx, struct snapshot *snapshot)
{
    assert_ptr_equal(ctx, &published);
    assert_ptr_equal(snapshot, &the_snapshot);
    published++;
    if (apply_at_once) {
        ads_applied(ads, store.generation);
    }
}

static void on_accepted(void *ctx)
{
    (void)ctx;
    accepted++;
}

static unsigned attempts;

static void on_attempt(void *ctx)
{
    (void)ctx;
    attempts++;
}

static const struct ads_events events = {publish, on_accepted, on_attempt};

static int setup(void **state)
{
    (void)state;
    memset(&store, 0, sizeof store);
    memset(&up, 0, sizeof up);
    store.cds = 1;
    store.changes = true;
    published = accepted = attempts = 0;
    apply_at_once = true;
    log_set_level(LOG_OFF);
    arena = arena_create(0);
    loop = loop_create(0, NULL);
    stats = stats_create(1);
    struct ads_config config = {.loop = loop,
                                .upstream = &the_upstream,
                                .store = &the_store,
                                .node = &node,
                                .cluster = SLICE("xds"),
                                .stats = stats};
    ads = ads_create(&config, &events, &published);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ads_destroy(&ads);
    loop_turn(loop, false);
    loop_destroy(&loop);
    stats_destroy(&stats);
    arena_destroy(&arena);
    strbuf_fini(&up.sent);
    return 0;
}

/* Turns the loop until another stream is asked for; the first waits are shorter than a second. */
static void wait_for_attempt(unsigned n)
{
    for (unsigned i = 0; i < 400 && up.acquired < n; i++) {
        loop_turn(loop, false);
        usleep(5000);
    }
    assert_int_equal(up.acquired, n);
}

static void give_stream(void)
{
    struct upstream_target target = {.host = "127.0.0.1:1"};
    strbuf_clear(&up.sent);
    up.stream = (struct stream){.ops = &fake_ops,
                                .events = up.request.stream_events,
                                .ctx = up.request.stream_ctx,
                                .loop = loop,
                                .arena = up.request.arena,
                                .version = HTTP_2,
                                .info = &up.info};
    buf_init(&up.stream.in);
    up.events->on_ready(up.ctx, &up.stream, &target);
}

static void open_stream(void)
{
    wait_for_attempt(1);
    give_stream();
    strbuf_clear(&up.sent);
}

static void push_bytes(struct slice bytes)
{
    buf_append_slice(&up.stream.in, bytes);
    up.stream.events->on_readable(up.stream.ctx);
}

static struct slice framed(struct wire w)
{
    struct slice message = wire_pack(arena, w);
    char *p = arena_zalloc(arena, message.n + 5);
    p[3] = (char)(message.n >> 8);
    p[4] = (char)message.n;
    memcpy(p + 5, message.p, message.n);
    return slice_make(p, message.n + 5);
}

static struct slice clusters(const char *version, const char *nonce)
{
    return framed((struct wire){.type = CDS, .version = version, .nonce = nonce, .n = 1});
}

static uint64_t connected(void)
{
    struct stat_handle *gauge = stat_gauge(stats, "control_plane.connected_state", NULL);
    uint64_t value = stat_value(gauge);
    stat_release(&gauge);
    return value;
}

static const char *described(void)
{
    static char text[2048];
    struct strbuf json;
    strbuf_init(&json);
    ads_describe(ads, &json);
    snprintf(text, sizeof text, "%s", json.p);
    strbuf_fini(&json);
    return text;
}

/* ---- tests ---- */

static void the_call_is_grpc_and_the_first_requests_follow_it(void **state)
{
    (void)state;
    wait_for_attempt(1);
    assert_true(slice_eq(up.request.cluster, SLICE("xds")));
    assert_false(up.request.raw);
    give_stream();
    assert_string_equal(up.sent.p, "POST /envoy.service.discovery.v3.AggregatedDiscoveryService/"
                                   "StreamAggregatedResources te=trailers application/grpc; Cluster v= n= node []");
    assert_false(ads_is_connected(ads));
}

static void an_accepted_response_is_published_acknowledged_and_followed_by_new_names(void **state)
{
    (void)state;
    open_stream();
    push_bytes(clusters("1", "a"));
    assert_int_equal(published, 1);
    assert_int_equal(accepted, 1);
    assert_string_equal(up.sent.p, "; Cluster v=1 n=a []; ClusterLoadAssignment v= n= [a,b]");
    assert_true(ads_is_connected(ads));
    assert_int_equal(connected(), 1);
    assert_int_equal(up.stream.in.len, 0);
    assert_true(up.taken > 0);
}

static void a_response_may_arrive_in_any_pieces(void **state)
{
    (void)state;
    open_stream();
    struct slice two[] = {clusters("1", "a"), clusters("2", "b")};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < two[k].n; i++) {
            push_bytes(slice_sub(two[k], i, 1));
        }
    }
    assert_int_equal(published, 2);
    assert_non_null(strstr(up.sent.p, "; Cluster v=2 n=b []"));
}

static void the_acknowledgement_waits_for_the_last_worker_and_so_does_the_next_response(void **state)
{
    (void)state;
    apply_at_once = false;
    open_stream();
    push_bytes(clusters("1", "a"));
    push_bytes(clusters("2", "b"));
    assert_int_equal(published, 1);
    assert_int_equal(up.sent.n, 0);
    assert_true(up.stream.in.len > 0); /* held back by flow control */
    ads_applied(ads, store.generation - 1);
    assert_int_equal(up.sent.n, 0);
    ads_applied(ads, store.generation);
    assert_int_equal(strncmp(up.sent.p, "; Cluster v=1 n=a []", 20), 0);
    loop_turn(loop, false);
    assert_int_equal(published, 2);
    ads_applied(ads, store.generation);
    assert_non_null(strstr(up.sent.p, "; Cluster v=2 n=b []"));
}

static void what_changes_nothing_is_acknowledged_at_once(void **state)
{
    (void)state;
    store.changes = false;
    open_stream();
    push_bytes(clusters("1", "a"));
    assert_int_equal(published, 0);
    assert_int_equal(strncmp(up.sent.p, "; Cluster v=1 n=a []", 20), 0);
}

static void a_refused_response_is_answered_with_the_reason_after_its_good_part_was_published(void **state)
{
    (void)state;
    store.refuses = true;
    open_stream();
    push_bytes(clusters("1", "a"));
    assert_int_equal(published, 1);
    assert_int_equal(accepted, 0);
    assert_int_equal(strncmp(up.sent.p, "; Cluster v= n=a [] error 13: x: name: empty", 44), 0);
    assert_non_null(strstr(described(), "\"last_refusal\":\"x: name: empty\""));
}

static void a_stream_that_ends_keeps_what_was_accepted_and_another_is_tried(void **state)
{
    (void)state;
    open_stream();
    push_bytes(clusters("1", "a"));
    struct err why = {.kind = ERR_RESET, .text = "connection reset"};
    up.stream.events->on_closed(up.stream.ctx, &why);
    assert_int_equal(up.released, 1);
    assert_int_equal(connected(), 0);
    assert_non_null(strstr(described(), "\"last_error\":\"connection reset\""));
    wait_for_attempt(2);
    give_stream();
    assert_non_null(strstr(up.sent.p, "; Cluster v=1 n= node []; ClusterLoadAssignment v= n= [a,b]"));
}

static void new_addresses_make_the_next_attempt_at_once(void **state)
{
    (void)state;
    wait_for_attempt(1);
    ads_addresses_changed(ads); /* the first attempt waits for them by itself */
    assert_int_equal(up.cancelled, 0);
    struct err why = {.kind = ERR_IO, .text = "connection refused"};
    struct upstream_target target = {.host = "127.0.0.1:1"};
    for (unsigned i = 0; i < 9; i++) { /* by now it would wait for many seconds */
        up.events->on_failed(up.ctx, &why, &target);
        ads_addresses_changed(ads);
        wait_for_attempt(i + 2);
    }
    assert_int_equal(attempts, 10); /* each looked for addresses */
    ads_addresses_changed(ads);     /* one that dials the old address is given up */
    assert_int_equal(up.cancelled, 1);
    wait_for_attempt(11);
    give_stream();
    push_bytes(clusters("1", "a"));
    ads_addresses_changed(ads); /* a stream that works goes on */
    assert_true(ads_is_connected(ads));
}

static void a_permission_that_is_denied_is_named(void **state)
{
    (void)state;
    open_stream();
    struct head trailers;
    head_init(&trailers, arena);
    head_add_id(&trailers, FIELD_GRPC_STATUS, SLICE("7"));
    head_add_id(&trailers, FIELD_GRPC_MESSAGE, SLICE("unknown%20gateway"));
    up.stream.trailers = &trailers;
    up.stream.in_end = true;
    up.stream.events->on_readable(up.stream.ctx);
    assert_int_equal(up.released, 1);
    assert_non_null(strstr(described(), "refuses this node (id \\\"me\\\", cluster \\\"gw\\\"): PERMISSION_DENIED: "
                                        "unknown gateway"));
}

static void answers_that_are_not_grpc_are_refused(void **state)
{
    (void)state;
    struct {
        unsigned status;
        const char *type, *grpc, *error;
    } rows[] = {
        {503, "text/plain", NULL, "answered with HTTP status 503"},
        {200, "text/html", NULL, "answered with content-type \\\"text/html\\\" instead of application/grpc"},
        {200, "application/grpc", "14", "gRPC status UNAVAILABLE (14)"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        wait_for_attempt(i + 1);
        give_stream();
        struct head head;
        head_init(&head, arena);
        head.status = rows[i].status;
        head_add_id(&head, FIELD_CONTENT_TYPE, slice_of(rows[i].type));
        if (rows[i].grpc != NULL) {
            head_add_id(&head, FIELD_GRPC_STATUS, slice_of(rows[i].grpc));
            up.stream.in_end = true;
        }
        up.stream.events->on_head(up.stream.ctx, &head);
        assert_int_equal(up.released, i + 1);
        assert_non_null(strstr(described(), rows[i].error));
    }
}

static void messages_that_are_too_long_compressed_or_broken_end_the_stream(void **state)
{
    (void)state;
    struct {
        struct slice bytes;
        const char *error;
    } rows[] = {
        {SLICE("\0\4\0\0\1"), "gRPC message of 67108865 bytes, more than 67108864"},
        {SLICE("\1\0\0\0\1x"), "compression was not offered"},
        {SLICE("\0\0\0\0\1\xff"), "DiscoveryResponse: "},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        wait_for_attempt(i + 1);
        give_stream();
        push_bytes(rows[i].bytes);
        assert_int_equal(up.released, i + 1);
        assert_non_null(strstr(described(), rows[i].error));
    }
}

static void a_failed_acquisition_is_tried_again(void **state)
{
    (void)state;
    wait_for_attempt(1);
    struct err why = {.kind = ERR_IO, .text = "connection refused"};
    struct upstream_target target = {.host = ""};
    up.events->on_failed(up.ctx, &why, &target);
    assert_non_null(strstr(described(), "\"state\":\"WAITING\""));
    wait_for_attempt(2);
    assert_int_equal(up.cancelled, 0);
}

static void a_stream_lost_while_a_response_is_applied_is_replaced_but_not_read_until_then(void **state)
{
    (void)state;
    apply_at_once = false;
    open_stream();
    push_bytes(clusters("1", "a"));
    struct err why = {.kind = ERR_RESET, .text = "gone"};
    up.stream.events->on_closed(up.stream.ctx, &why);
    wait_for_attempt(2);
    give_stream();
    push_bytes(clusters("2", "b"));
    assert_int_equal(published, 1);
    strbuf_clear(&up.sent);
    ads_applied(ads, store.generation);
    assert_null(strstr(strbuf_cstr(&up.sent), "n=a")); /* that nonce died with its stream */
    loop_turn(loop, false);
    assert_int_equal(published, 2);
    ads_applied(ads, store.generation);
    assert_non_null(strstr(up.sent.p, "; Cluster v=2 n=b []"));
}

static void destroying_gives_everything_back(void **state)
{
    (void)state;
    open_stream();
    apply_at_once = false;
    push_bytes(clusters("1", "a"));
    ads_destroy(&ads);
    assert_null(ads);
    assert_int_equal(up.released, 1);
}

#define ADS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADS_TEST(the_call_is_grpc_and_the_first_requests_follow_it),
        ADS_TEST(an_accepted_response_is_published_acknowledged_and_followed_by_new_names),
        ADS_TEST(a_response_may_arrive_in_any_pieces),
        ADS_TEST(the_acknowledgement_waits_for_the_last_worker_and_so_does_the_next_response),
        ADS_TEST(what_changes_nothing_is_acknowledged_at_once),
        ADS_TEST(a_refused_response_is_answered_with_the_reason_after_its_good_part_was_published),
        ADS_TEST(a_stream_that_ends_keeps_what_was_accepted_and_another_is_tried),
        ADS_TEST(new_addresses_make_the_next_attempt_at_once),
        ADS_TEST(a_permission_that_is_denied_is_named),
        ADS_TEST(answers_that_are_not_grpc_are_refused),
        ADS_TEST(messages_that_are_too_long_compressed_or_broken_end_the_stream),
        ADS_TEST(a_failed_acquisition_is_tried_again),
        ADS_TEST(a_stream_lost_while_a_response_is_applied_is_replaced_but_not_read_until_then),
        ADS_TEST(destroying_gives_everything_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
