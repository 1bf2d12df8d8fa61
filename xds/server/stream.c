#include "xds/server/stream.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/grpc_security_constants.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "xds/server/completions.h"
#include "xds/server/envelope.h"
#include "xds/server/identity.h"
#include "xds/server/request.h"

struct stream {
    struct list node; /* in the server's list */
    struct stream_host host;
    grpc_call *call;
    unsigned under_way; /* operations whose completion is still to come */
    struct completion closed, received, wrote, ended;
    int cancelled;         /* filled by gRPC for `closed` */
    grpc_byte_buffer *in;  /* filled by gRPC for `received` */
    bool writing, ending;  /* ending: the status is decided */
    grpc_status_code code; /* of the end */
    char *text;

    char *spiffe_id, *peer;
    enum session_kind kind;
    struct session *session; /* NULL until the node is admitted */
    char *node_id, *cluster, *user_agent;
    bool egret;
    int64_t since_us;
};

struct list *stream_node(struct stream *stream)
{
    return &stream->node;
}

struct stream *stream_of(struct list *node)
{
    return container_of(node, struct stream, node);
}

static void start_batch(struct stream *s, const grpc_op *ops, size_t n, struct completion *done)
{
    grpc_call_error code = grpc_call_start_batch(s->call, ops, n, done, NULL);
    if (code == GRPC_CALL_OK) {
        s->under_way++;
    } else {
        LOG(LOG_ERROR, "ads", "%s: gRPC refused an operation: %s", s->peer, grpc_call_error_to_string(code));
    }
}

static void receive(struct stream *s)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &s->in;
    start_batch(s, &op, 1, &s->received);
}

static void send_status(struct stream *s)
{
    grpc_slice text = grpc_slice_from_copied_string(s->text);
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    op.data.send_status_from_server.status = s->code;
    op.data.send_status_from_server.status_details = &text;
    start_batch(s, &op, 1, &s->ended);
    grpc_slice_unref(text);
}

void stream_end(struct stream *stream, grpc_status_code code, const char *text)
{
    if (stream->ending) {
        return;
    }
    stream->ending = true;
    stream->code = code;
    stream->text = mem_str(text);
    if (!stream->writing) {
        send_status(stream);
    }
}

/* One message at a time: a reader that is slow gets fewer and newer ones. */
static void pump(struct stream *s)
{
    struct session_response response;
    if (s->writing || s->ending || s->session == NULL || !session_next(s->session, &response)) {
        return;
    }
    LOG(LOG_DEBUG, "ads", "%s: %s: %zu resources, %zu removed, version %s, nonce %s", s->node_id,
        xds_type_name(response.type), resource_list_count(response.resources), resource_list_count(response.removed),
        response.version, response.nonce);
    grpc_byte_buffer *message = s->kind == SESSION_DELTA ? envelope_create_delta(&response, s->host.identifier)
                                                         : envelope_create(&response, s->host.identifier);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = message;
    s->writing = true;
    start_batch(s, &op, 1, &s->wrote);
    grpc_byte_buffer_destroy(message);
}

static void end_with(struct stream *s, const struct err *err)
{
    grpc_status_code code = err->kind == ERR_DENIED                     ? GRPC_STATUS_PERMISSION_DENIED
                            : err->kind == ERR_LIMIT                    ? GRPC_STATUS_RESOURCE_EXHAUSTED
                            : s->session == NULL && err->kind == ERR_IO ? GRPC_STATUS_UNAVAILABLE
                                                                        : GRPC_STATUS_INVALID_ARGUMENT;
    LOG(LOG_WARN, "ads", "%s %s: %s", s->peer, s->node_id == NULL ? "-" : s->node_id, err->text);
    stream_end(s, code, err->text);
}

static bool admit(struct stream *s, const struct request *r, struct err *err)
{
    if (!r->has_node || r->node.id.n == 0) {
        return err_set(err, ERR_PROTOCOL, "node.id: missing in the first request of the stream");
    }
    struct slice spiffe = slice_of(s->spiffe_id);
    if (!identity_check(spiffe, slice_of(s->host.trust_domain), r->node.cluster, err)) {
        return false;
    }
    struct resource_set *set = NULL;
    if (!s->host.hooks.admit(s->host.hooks.ctx, r->node.cluster, &set, err)) {
        return false;
    }
    s->node_id = mem_str_slice(r->node.id);
    s->cluster = mem_str_slice(r->node.cluster);
    s->user_agent = mem_str_slice(r->node.user_agent);
    s->egret = r->node.egret;
    s->since_us = clock_wall_us();
    s->session = session_create(s->kind, s->egret);
    if (set != NULL) {
        session_on_set(s->session, set);
        resource_set_unref(set);
    }
    struct server_proxy proxy;
    stream_proxy(s, &proxy);
    s->host.on_admitted(s->host.ctx, &proxy);
    return true;
}

static void log_verdict(const struct stream *s, const struct request *r)
{
    if (r->refused) {
        LOG(LOG_WARN, "ads", "%s: refused %.*s: %.*s", s->node_id, SLICE_ARG(r->type_url),
            SLICE_ARG(slice_sub(r->reason, 0, 1000)));
    }
}

/* A node may repeat itself in later requests; it may not become another. */
static bool same_node(const struct stream *s, const struct request *r, struct err *err)
{
    if (r->has_node && r->node.cluster.n > 0 && !slice_eq(r->node.cluster, slice_of(s->cluster))) {
        return err_set(err, ERR_DENIED, "node.cluster: may not change on one stream");
    }
    return true;
}

static void on_message(struct stream *s, struct slice bytes)
{
    struct request r;
    struct err err = {0};
    bool delta = s->kind == SESSION_DELTA;
    bool ok = delta ? request_init_delta(&r, bytes, &err) : request_init(&r, bytes, &err);
    if (ok) {
        ok = s->session != NULL ? same_node(s, &r, &err) : admit(s, &r, &err);
        ok = ok && (delta ? session_on_delta_request(s->session, &r.change, &err)
                          : session_on_request(s->session, &r.session, &err));
        if (ok) {
            log_verdict(s, &r);
        }
        request_fini(&r);
    }
    if (!ok) {
        end_with(s, &err);
    }
}

static void free_if_done(struct stream *s)
{
    if (s->under_way > 0) {
        return;
    }
    s->host.on_gone(s->host.ctx, s);
    grpc_call_unref(s->call);
    session_destroy(&s->session);
    mem_free(s->text);
    mem_free(s->spiffe_id);
    mem_free(s->peer);
    mem_free(s->node_id);
    mem_free(s->cluster);
    mem_free(s->user_agent);
    mem_free(s);
}

static void on_received(void *owner, bool ok)
{
    struct stream *s = owner;
    s->under_way--;
    if (!ok || s->in == NULL) {
        stream_end(s, GRPC_STATUS_OK, ""); /* the client closed its side */
        free_if_done(s);
        return;
    }
    grpc_byte_buffer_reader reader;
    if (!s->ending && grpc_byte_buffer_reader_init(&reader, s->in)) {
        grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
        on_message(s, slice_make(GRPC_SLICE_START_PTR(all), GRPC_SLICE_LENGTH(all)));
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
    }
    grpc_byte_buffer_destroy(s->in);
    s->in = NULL;
    if (!s->ending) {
        pump(s);
        receive(s);
    }
    free_if_done(s);
}

static void on_wrote(void *owner, bool ok)
{
    struct stream *s = owner;
    (void)ok; /* a failed write is followed by `closed` */
    s->under_way--;
    s->writing = false;
    if (s->ending) {
        send_status(s);
    }
    pump(s);
    free_if_done(s);
}

static void on_closed(void *owner, bool ok)
{
    struct stream *s = owner;
    (void)ok;
    s->under_way--;
    stream_end(s, GRPC_STATUS_CANCELLED, "");
    free_if_done(s);
}

static void on_ended(void *owner, bool ok)
{
    struct stream *s = owner;
    (void)ok;
    s->under_way--;
    free_if_done(s);
}

/* The certificate's only URI name, as gRPC checked it; "" when there is none. */
static char *read_spiffe_id(grpc_call *call)
{
    grpc_auth_context *auth = grpc_call_auth_context(call);
    if (auth == NULL) {
        return mem_str("");
    }
    grpc_auth_property_iterator i = grpc_auth_context_find_properties_by_name(auth, GRPC_PEER_SPIFFE_ID_PROPERTY_NAME);
    const grpc_auth_property *p = grpc_auth_property_iterator_next(&i);
    char *id = p == NULL ? mem_str("") : mem_str_slice(slice_make(p->value, p->value_length));
    grpc_auth_context_release(auth);
    return id;
}

static struct stream *create(const struct stream_host *host, grpc_call *call)
{
    struct stream *s = mem_alloc(sizeof *s);
    list_init(&s->node);
    s->host = *host;
    s->call = call;
    s->closed = (struct completion){.fn = on_closed, .owner = s};
    s->received = (struct completion){.fn = on_received, .owner = s};
    s->wrote = (struct completion){.fn = on_wrote, .owner = s};
    s->ended = (struct completion){.fn = on_ended, .owner = s};
    s->spiffe_id = read_spiffe_id(call);
    char *peer = grpc_call_get_peer(call);
    s->peer = mem_str(peer);
    gpr_free(peer);
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    close.data.recv_close_on_server.cancelled = &s->cancelled;
    start_batch(s, &close, 1, &s->closed);
    grpc_op head = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    s->writing = true;
    start_batch(s, &head, 1, &s->wrote);
    return s;
}

struct stream *stream_start(const struct stream_host *host, grpc_call *call, enum session_kind kind)
{
    struct stream *s = create(host, call);
    s->kind = kind;
    receive(s);
    return s;
}

struct stream *stream_refuse(const struct stream_host *host, grpc_call *call, grpc_status_code code, const char *text)
{
    struct stream *s = create(host, call);
    stream_end(s, code, text);
    return s;
}

void stream_cut(struct stream *stream)
{
    grpc_call_cancel_with_status(stream->call, GRPC_STATUS_UNAVAILABLE, "the control server ends", NULL);
}

void stream_publish(struct stream *stream, struct resource_set *set)
{
    if (stream->session != NULL) {
        session_on_set(stream->session, set);
        pump(stream);
    }
}

const char *stream_cluster(const struct stream *stream)
{
    return stream->cluster == NULL ? "" : stream->cluster;
}

bool stream_proxy(const struct stream *stream, struct server_proxy *out)
{
    if (stream->session == NULL) {
        return false;
    }
    *out = (struct server_proxy){
        .node_id = stream->node_id,
        .cluster = stream->cluster,
        .peer = stream->peer,
        .user_agent = stream->user_agent,
        .connected = !stream->ending,
        .egret = stream->egret,
        .since_us = stream->since_us,
        .delta = stream->kind == SESSION_DELTA,
        .session = stream->session,
    };
    return true;
}
