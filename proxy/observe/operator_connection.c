/* Operators about the connections on both sides, and about this process. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/observe/operator.h"

static const struct addr no_addr = {.len = 0};

static const struct addr *local(const struct record *r)
{
    return r->downstream == NULL ? &no_addr : r->downstream->local;
}

static const struct addr *direct(const struct record *r)
{
    return r->downstream == NULL ? &no_addr : r->downstream->remote;
}

/* Behind a trusted proxy the client is another than the peer. */
static const struct addr *client(const struct record *r)
{
    return r->client.len > 0 ? &r->client : direct(r);
}

static void eval_local(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr(v, local(r));
}

static void eval_local_ip(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr_ip(v, local(r));
}

static void eval_local_port(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr_port(v, local(r));
}

static void eval_client(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr(v, client(r));
}

static void eval_client_ip(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr_ip(v, client(r));
}

static void eval_client_port(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr_port(v, client(r));
}

static void eval_direct(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr(v, direct(r));
}

static void eval_direct_ip(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr_ip(v, direct(r));
}

static void eval_direct_port(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr_port(v, direct(r));
}

static void eval_upstream_local(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr(v, &r->upstream_local);
}

static void eval_upstream_local_ip(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr_ip(v, &r->upstream_local);
}

static void eval_upstream_local_port(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_addr_port(v, &r->upstream_local);
}

/* The upstream host is kept as text: behind a tunnel it may be a name. Its last colon begins the port. */
static size_t host_colon(struct slice host)
{
    size_t at = host.n;
    while (at > 0 && host.p[at - 1] != ':' && host.p[at - 1] != ']') {
        at--;
    }
    return at > 0 && host.p[at - 1] == ':' ? at - 1 : host.n;
}

static void eval_host(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, r->upstream_host);
}

static void eval_host_without_port(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    struct slice host = slice_sub(r->upstream_host, 0, host_colon(r->upstream_host));
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    value_text(v, bracketed ? slice_sub(host, 1, host.n - 2) : host);
}

static void eval_host_port(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    uint64_t port;
    if (slice_to_u64(slice_from(r->upstream_host, host_colon(r->upstream_host) + 1), &port) && port <= 65535) {
        value_number(v, (int64_t)port);
    }
}

static void eval_sni(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, transport_info_tls(r->downstream)->sni);
}

/* Envoy prints OpenSSL's name of the version. */
static void eval_tls_version(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    struct slice version = transport_info_tls(r->downstream)->version;
    if (version.n > 0) {
        int n = snprintf(v->scratch, sizeof v->scratch, "TLSv%.*s", SLICE_ARG(version));
        value_text(v, slice_make(v->scratch, (size_t)n));
    }
}

static void eval_tls_cipher(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, transport_info_tls(r->downstream)->cipher);
}

static void eval_uri_san(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, transport_info_tls(r->downstream)->peer_uri_san);
}

static void eval_dns_san(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, transport_info_tls(r->downstream)->peer_dns_san);
}

static void eval_subject(const struct operator* op, const struct record *r, struct value *v)
{
    (void)op;
    value_text(v, transport_info_tls(r->downstream)->peer_subject);
}

/* What cannot change while the process runs is read once; `argument` then holds the value. */
static bool prepare_hostname(struct operator* op, struct arena *arena, struct err *err)
{
    char name[256] = "";
    (void)err;
    gethostname(name, sizeof name - 1);
    op->argument = arena_slice(arena, slice_of(name));
    return true;
}

static bool prepare_environment(struct operator* op, struct arena *arena, struct err *err)
{
    if (op->argument.n == 0) {
        return err_set(err, ERR_INPUT, "the name of a variable is needed");
    }
    op->argument = arena_slice(arena, slice_of(getenv(arena_str(arena, op->argument))));
    return true;
}

static void eval_prepared(const struct operator* op, const struct record *r, struct value *v)
{
    (void)r;
    value_text(v, op->argument);
}

const struct operator_type operator_connection_table[] = {
    {"DOWNSTREAM_LOCAL_ADDRESS", ARGUMENT_NONE, NULL, eval_local},
    {"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", ARGUMENT_NONE, NULL, eval_local_ip},
    {"DOWNSTREAM_LOCAL_PORT", ARGUMENT_NONE, NULL, eval_local_port},
    {"DOWNSTREAM_REMOTE_ADDRESS", ARGUMENT_NONE, NULL, eval_client},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", ARGUMENT_NONE, NULL, eval_client_ip},
    {"DOWNSTREAM_REMOTE_PORT", ARGUMENT_NONE, NULL, eval_client_port},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", ARGUMENT_NONE, NULL, eval_direct},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", ARGUMENT_NONE, NULL, eval_direct_ip},
    {"DOWNSTREAM_DIRECT_REMOTE_PORT", ARGUMENT_NONE, NULL, eval_direct_port},
    {"UPSTREAM_LOCAL_ADDRESS", ARGUMENT_NONE, NULL, eval_upstream_local},
    {"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", ARGUMENT_NONE, NULL, eval_upstream_local_ip},
    {"UPSTREAM_LOCAL_PORT", ARGUMENT_NONE, NULL, eval_upstream_local_port},
    {"UPSTREAM_HOST", ARGUMENT_NONE, NULL, eval_host},
    {"UPSTREAM_REMOTE_ADDRESS", ARGUMENT_NONE, NULL, eval_host},
    {"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", ARGUMENT_NONE, NULL, eval_host_without_port},
    {"UPSTREAM_REMOTE_PORT", ARGUMENT_NONE, NULL, eval_host_port},
    {"REQUESTED_SERVER_NAME", ARGUMENT_NONE, NULL, eval_sni},
    {"DOWNSTREAM_TLS_VERSION", ARGUMENT_NONE, NULL, eval_tls_version},
    {"DOWNSTREAM_TLS_CIPHER", ARGUMENT_NONE, NULL, eval_tls_cipher},
    {"DOWNSTREAM_PEER_URI_SAN", ARGUMENT_NONE, NULL, eval_uri_san},
    {"DOWNSTREAM_PEER_DNS_SAN", ARGUMENT_NONE, NULL, eval_dns_san},
    {"DOWNSTREAM_PEER_SUBJECT", ARGUMENT_NONE, NULL, eval_subject},
    {"HOSTNAME", ARGUMENT_NONE, prepare_hostname, eval_prepared},
    {"ENVIRONMENT", ARGUMENT_NEEDED, prepare_environment, eval_prepared},
    {NULL, ARGUMENT_NONE, NULL, NULL},
};
