#include <assert.h>
#include <openssl/err.h>
#include <string.h>

#include "base/mem.h"
#include "proxy/net/loop_internal.h"
#include "proxy/net/tls_transport.h"

enum {
    RECORD = 16 << 10,
    READ_MIN = 512,
    REPLIES_MAX = 64 << 10, /* bytes TLS itself may answer to input without the peer reading any of it */
};

static void tls_free(void *obj)
{
    struct tls_transport *s = obj;
    SSL_free(s->ssl);
    tls_context_unref(&s->context);
    mem_free(s->failure);
    mem_free(s->name);
    transport_info_unref(&s->t.info);
    mem_free(s);
}

/* Without a word to the owner; lower is gone or has been closed. */
static void release(struct tls_transport *s)
{
    s->state = TLS_DEAD;
    s->lower = NULL;
    loop_task_cancel(&s->deliver);
    loop_task_cancel(&s->flush);
    buf_fini(&s->plain);
    buf_fini(&s->cipher);
    loop_free_later(s->t.loop, tls_free, s);
}

static void die(struct tls_transport *s, const struct err *why)
{
    if (s->lower != NULL) {
        transport_write(s->lower, &s->cipher); /* the alert, if there is one */
        transport_close(&s->lower, TRANSPORT_FLUSH);
    }
    release(s);
    transport_end(&s->t, why);
}

bool tls_fail(struct tls_transport *s, const char *reason)
{
    if (s->failure == NULL) {
        char at[ADDR_TEXT];
        addr_text(s->t.info->remote, at);
        s->failure = mem_alloc(sizeof *s->failure);
        err_set(s->failure, ERR_TLS, "TLS with %s%s%s%s: %s", at[0] != '\0' ? at : "peer", s->name != NULL ? " (" : "",
                s->name != NULL ? s->name : "", s->name != NULL ? ")" : "", reason);
        bool nothing_sent = !s->t.open || s->t.bytes_out == 0;
        s->failure->retry = s->server ? ERR_RETRY_NEVER : nothing_sent ? ERR_RETRY_ALWAYS : ERR_RETRY_IF_IDEMPOTENT;
    }
    loop_deliver(s->t.loop, &s->deliver);
    return false;
}

/* OpenSSL's own words for what its last call met. */
static bool fail_ssl(struct tls_transport *s)
{
    char text[256];
    long verdict = SSL_get_verify_result(s->ssl);
    unsigned long code = ERR_get_error();
    ERR_clear_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        snprintf(text, sizeof text, "certificate verify failed: %s", X509_verify_cert_error_string(verdict));
    } else {
        snprintf(text, sizeof text, "%s", reason != NULL ? reason : "failed");
    }
    return tls_fail(s, text);
}

static bool input_is_over(const struct tls_transport *s)
{
    return s->lower == NULL || (s->lower->in_eof && s->lower->in.len == 0);
}

static bool is_over(const struct tls_transport *s)
{
    return s->state == TLS_OPEN && s->t.in_eof && s->t.in.len == 0 && s->finished;
}

static bool owes_writable(const struct tls_transport *s)
{
    return s->was_full && transport_queued(&s->t) < s->t.out_high / 2;
}

/* After each call into OpenSSL that may have read or written. */
static void settle(struct tls_transport *s)
{
    if (s->cipher.len > 0) {
        loop_flush(s->t.loop, &s->flush, s->t.level);
    }
    if (s->took && s->lower != NULL) {
        s->took = false;
        transport_taken(s->lower);
    }
}

static bool shake_hands(struct tls_transport *s)
{
    ERR_clear_error();
    int done = SSL_do_handshake(s->ssl);
    int error = done == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, done);
    if (error == SSL_ERROR_NONE) {
        return true;
    }
    if (error != SSL_ERROR_WANT_READ) {
        return fail_ssl(s);
    }
    return input_is_over(s) ? tls_fail(s, "the peer closed during the handshake") : false;
}

/* A peer may make us answer for ever (KeyUpdate with update_requested) and never read the answers. */
static bool answers_too_much(struct tls_transport *s, size_t cipher_before)
{
    s->replies += s->cipher.len - cipher_before;
    if (s->lower == NULL || transport_queued(s->lower) == 0) {
        s->replies = s->cipher.len - cipher_before;
    }
    return s->replies > REPLIES_MAX;
}

/* One SSL_read; false: nothing more for now. */
static bool read_some(struct tls_transport *s)
{
    size_t waiting = (size_t)SSL_pending(s->ssl) + (s->lower != NULL ? s->lower->in.len : 0);
    size_t want = waiting > RECORD ? RECORD : waiting < READ_MIN ? READ_MIN : waiting;
    size_t room, n, cipher_before = s->cipher.len;
    void *to = buf_reserve(&s->t.in, want, &room);
    ERR_clear_error();
    int got = SSL_read_ex(s->ssl, to, room, &n);
    if (answers_too_much(s, cipher_before)) {
        return tls_fail(s, "the peer asks for more answers than it reads");
    }
    if (got == 1) {
        buf_commit(&s->t.in, n);
        s->t.bytes_in += n;
        return true;
    }
    switch (SSL_get_error(s->ssl, got)) {
    case SSL_ERROR_ZERO_RETURN:
        s->t.in_eof = true;
        return false;
    case SSL_ERROR_WANT_READ:
        return false;
    default:
        return fail_ssl(s);
    }
}

/* Decrypts what there is, up to the owner's limit; true: the owner has something to hear. */
static bool read_records(struct tls_transport *s)
{
    size_t before = s->t.in.len;
    if (s->t.in_eof || s->failure != NULL) {
        return false;
    }
    while (s->t.in.len < s->t.in_limit && (SSL_has_pending(s->ssl) || (s->lower != NULL && s->lower->in.len > 0))) {
        if (!read_some(s)) {
            break;
        }
    }
    if (s->t.in.len == 0) {
        buf_fini(&s->t.in); /* a reserved chunk that nothing came into */
    }
    if (s->t.in.len < s->t.in_limit && !s->t.in_eof && s->failure == NULL && input_is_over(s)) {
        s->t.in_eof = s->t.in_truncated = true; /* RFC 8446 section 6.1: an end without close_notify is no end */
    }
    return s->t.in.len > before || s->t.in_eof;
}

static void opened(struct tls_transport *s)
{
    s->state = TLS_OPEN;
    s->t.open = true;
    tls_peer_read(s);
    loop_flush(s->t.loop, &s->flush, s->t.level);
    loop_deliver(s->t.loop, &s->deliver); /* bytes may have come with the last message of the handshake */
    s->t.events->on_open(s->t.ctx);
}

static void told_or_over(struct tls_transport *s)
{
    if (s->failure != NULL) {
        struct err why = *s->failure;
        die(s, &why);
    } else if (owes_writable(s)) {
        s->was_full = false;
        loop_deliver(s->t.loop, &s->deliver);
        s->t.events->on_writable(s->t.ctx);
    } else if (is_over(s)) {
        struct err none;
        err_clear(&none);
        die(s, &none);
    }
}

/* All progress starts here, from a turn. At most one up-call: after it the owner may have closed us. */
static void advance(struct tls_transport *s)
{
    if (s->t.events == NULL) {
        return; /* transport_own comes back to it */
    }
    if (s->state == TLS_WAITING && s->lower != NULL && s->lower->open) {
        s->state = TLS_HANDSHAKE;
    }
    if (s->state == TLS_HANDSHAKE && s->failure == NULL) {
        bool done = shake_hands(s);
        settle(s);
        if (done) {
            opened(s);
            return;
        }
    }
    if (s->state == TLS_OPEN) {
        bool news = read_records(s);
        settle(s);
        if (news) {
            loop_deliver(s->t.loop, &s->deliver);
            s->t.events->on_readable(s->t.ctx);
            return;
        }
    }
    told_or_over(s);
}

static void tls_deliver(struct loop_task *task)
{
    advance(container_of(task, struct tls_transport, deliver));
}

/* The next bytes to encrypt in one piece: pieces that are small are gathered to a full record. */
static struct slice next_piece(struct tls_transport *s)
{
    struct slice piece = buf_front(&s->plain);
    if (piece.n >= RECORD || piece.n == s->plain.len) {
        return piece;
    }
    unsigned char *scratch = loop_scratch(s->t.loop);
    return slice_make(scratch, buf_copy_out(&s->plain, 0, scratch, LOOP_SCRATCH));
}

static void encrypt(struct tls_transport *s)
{
    while (s->plain.len > 0 && s->failure == NULL) {
        struct slice piece = next_piece(s);
        size_t n = 0;
        ERR_clear_error();
        if (SSL_write_ex(s->ssl, piece.p, piece.n, &n) != 1) {
            fail_ssl(s);
            return;
        }
        s->t.bytes_out += n;
        buf_drain(&s->plain, n);
    }
    if (s->finishing && !s->finished && s->failure == NULL) {
        ERR_clear_error();
        SSL_shutdown(s->ssl); /* 0: sent, the peer's is still to come */
        ERR_clear_error();
        s->finished = true;
    }
}

static void tls_flush(struct loop_task *task)
{
    struct tls_transport *s = container_of(task, struct tls_transport, flush);
    bool was_finished = s->finished;
    if (s->state == TLS_OPEN) {
        encrypt(s);
    }
    if (s->lower == NULL) {
        buf_fini(&s->cipher);
    } else {
        if (s->lower->out_high > s->t.out_high) {
            s->lower->out_high = s->t.out_high; /* else its on_writable would not come when ours is due */
        }
        transport_write(s->lower, &s->cipher);
        if (s->finished && !was_finished) {
            transport_finish(s->lower);
        }
    }
    if (is_over(s) || owes_writable(s)) {
        loop_deliver(s->t.loop, &s->deliver);
    }
}

static void on_lower_open(void *ctx)
{
    advance(ctx);
}

static void on_lower_readable(void *ctx)
{
    advance(ctx);
}

static void on_lower_writable(void *ctx)
{
    advance(ctx);
}

static void on_lower_closed(void *ctx, const struct err *why)
{
    struct tls_transport *s = ctx;
    s->lower = NULL;
    buf_fini(&s->cipher);
    bool said_all = is_over(s);
    if (why->kind == ERR_NONE || said_all || s->failure != NULL) {
        loop_deliver(s->t.loop, &s->deliver);
        return;
    }
    struct err mine = *why;
    if (!s->t.open) {
        mine.retry = s->server ? ERR_RETRY_NEVER : ERR_RETRY_ALWAYS;
    }
    if (s->state == TLS_HANDSHAKE) {
        err_prefix(&mine, "TLS handshake");
    }
    die(s, &mine);
}

static const struct transport_events lower_events = {
    .on_open = on_lower_open,
    .on_readable = on_lower_readable,
    .on_writable = on_lower_writable,
    .on_closed = on_lower_closed,
};

static void tls_taken(struct transport *t)
{
    struct tls_transport *s = container_of(t, struct tls_transport, t);
    bool more = s->state != TLS_OPEN || SSL_has_pending(s->ssl) || (s->lower != NULL && s->lower->in.len > 0) ||
                (input_is_over(s) && !t->in_eof);
    if (more || is_over(s) || s->failure != NULL) {
        loop_deliver(t->loop, &s->deliver);
    }
}

static void tls_write(struct transport *t, struct buf *bytes)
{
    struct tls_transport *s = container_of(t, struct tls_transport, t);
    if (s->finishing || s->failure != NULL || (s->lower == NULL && s->state == TLS_OPEN)) {
        buf_fini(bytes);
        return;
    }
    buf_move_all(&s->plain, bytes);
    s->was_full = s->was_full || transport_queued(t) >= t->out_high;
    loop_flush(t->loop, &s->flush, t->level);
}

static size_t tls_queued(const struct transport *t)
{
    const struct tls_transport *s = container_of(t, const struct tls_transport, t);
    return s->plain.len + s->cipher.len + (s->lower != NULL ? transport_queued(s->lower) : 0);
}

static void tls_finish(struct transport *t)
{
    struct tls_transport *s = container_of(t, struct tls_transport, t);
    s->finishing = true;
    loop_flush(t->loop, &s->flush, t->level);
}

static void tls_close(struct transport *t, enum transport_close_mode mode)
{
    struct tls_transport *s = container_of(t, struct tls_transport, t);
    if (mode == TRANSPORT_FLUSH && s->state == TLS_OPEN && s->lower != NULL) {
        s->finishing = true;
        encrypt(s);
        transport_write(s->lower, &s->cipher);
    }
    if (s->lower != NULL) {
        s->lower->linger_ms = t->linger_ms;
    }
    transport_close(&s->lower, mode);
    release(s);
    transport_fini(t);
}

static int tls_raw_fd(const struct transport *t)
{
    (void)t;
    return -1;
}

static bool tls_is_ending(const struct transport *t)
{
    const struct tls_transport *s = (const struct tls_transport *)t;
    return s->lower != NULL && transport_is_ending(s->lower);
}

static const struct transport_ops tls_ops = {
    .taken = tls_taken,
    .write = tls_write,
    .queued = tls_queued,
    .finish = tls_finish,
    .close = tls_close,
    .raw_fd = tls_raw_fd,
    .ending = tls_is_ending,
};

static struct tls_transport *tls_new(struct transport *lower, struct tls_context *context, bool server)
{
    struct tls_transport *s = mem_alloc(sizeof *s);
    transport_init(&s->t, &tls_ops, lower->loop, lower->level + 1);
    s->server = server;
    s->lower = lower;
    s->context = tls_context_ref(context);
    s->state = TLS_WAITING;
    buf_init(&s->plain);
    buf_init(&s->cipher);
    loop_task_init(&s->deliver, tls_deliver);
    loop_task_init(&s->flush, tls_flush);
    s->t.info = lower->info->tls == NULL ? transport_info_ref(lower->info)
                                         : transport_info_create(lower->info->local, lower->info->remote);
    transport_own(lower, &lower_events, s);
    loop_deliver(lower->loop, &s->deliver);
    return s;
}

/* False: the failure is told by the next deliver. */
static bool make_ssl(struct tls_transport *s)
{
    assert(s->context->server == s->server);
    struct err err;
    SSL_CTX *ctx = tls_context_ssl(s->context, &err);
    if (ctx == NULL) {
        return tls_fail(s, err.text);
    }
    ERR_clear_error();
    s->ssl = SSL_new(ctx);
    BIO *bio = s->ssl == NULL ? NULL : BIO_new(tls_bio_method());
    if (bio == NULL) {
        return tls_fail(s, "out of TLS objects");
    }
    BIO_set_data(bio, s);
    BIO_set_init(bio, 1);
    SSL_set_bio(s->ssl, bio, bio);
    return true;
}

struct transport *tls_transport_server(struct transport *lower, struct tls_context *context)
{
    struct tls_transport *s = tls_new(lower, context, true);
    if (make_ssl(s)) {
        SSL_set_accept_state(s->ssl);
    }
    return &s->t;
}

struct transport *tls_transport_client(struct transport *lower, struct tls_context *context, struct slice sni)
{
    struct tls_transport *s = tls_new(lower, context, false);
    if (make_ssl(s)) {
        SSL_set_connect_state(s->ssl);
        tls_peer_name(s, sni.n > 0 ? sni : context->sni);
    }
    return &s->t;
}
