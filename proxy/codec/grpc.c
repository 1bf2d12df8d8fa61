#include "proxy/codec/grpc.h"

void grpc_reader_init(struct grpc_reader *r, size_t max_message)
{
    *r = (struct grpc_reader){.max = max_message};
    buf_init(&r->message);
}

void grpc_reader_fini(struct grpc_reader *r)
{
    buf_fini(&r->message);
}

bool grpc_reader_is_clean(const struct grpc_reader *r)
{
    return !r->in_message && r->message.len == 0;
}

/* The prefix may come in pieces: it is gathered in `message`. */
static enum grpc_result read_prefix(struct grpc_reader *r, struct buf *in, struct err *err)
{
    unsigned char p[GRPC_PREFIX];
    buf_move(&r->message, in, GRPC_PREFIX - r->message.len);
    if (r->message.len < GRPC_PREFIX) {
        return GRPC_MORE;
    }
    buf_copy_out(&r->message, 0, p, sizeof p);
    buf_fini(&r->message);
    r->left = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (p[0] != 0) {
        err_set(err, ERR_PROTOCOL, "gRPC message with flags 0x%02x: compression was not offered", p[0]);
        return GRPC_BAD;
    }
    if (r->left > r->max) {
        err_set(err, ERR_LIMIT, "gRPC message of %zu bytes, more than %zu", r->left, r->max);
        return GRPC_BAD;
    }
    r->in_message = true;
    return GRPC_MESSAGE;
}

enum grpc_result grpc_read(struct grpc_reader *r, struct buf *in, struct buf *out, struct err *err)
{
    if (!r->in_message) {
        enum grpc_result prefix = read_prefix(r, in, err);
        if (prefix != GRPC_MESSAGE) {
            return prefix;
        }
    }
    r->left -= buf_move(&r->message, in, r->left);
    if (r->left > 0) {
        return GRPC_MORE;
    }
    r->in_message = false;
    buf_move_all(out, &r->message);
    return GRPC_MESSAGE;
}

void grpc_write(struct buf *out, struct buf *message)
{
    size_t n = message->len;
    unsigned char p[GRPC_PREFIX] = {0, (unsigned char)(n >> 24), (unsigned char)(n >> 16), (unsigned char)(n >> 8),
                                    (unsigned char)n};
    buf_append(out, p, sizeof p);
    buf_move_all(out, message);
}

const char *grpc_status_name(uint64_t code, bool camel)
{
    static const char *const names[GRPC_STATUS_CODES][2] = {
        {"OK", "OK"},
        {"CANCELLED", "Canceled"},
        {"UNKNOWN", "Unknown"},
        {"INVALID_ARGUMENT", "InvalidArgument"},
        {"DEADLINE_EXCEEDED", "DeadlineExceeded"},
        {"NOT_FOUND", "NotFound"},
        {"ALREADY_EXISTS", "AlreadyExists"},
        {"PERMISSION_DENIED", "PermissionDenied"},
        {"RESOURCE_EXHAUSTED", "ResourceExhausted"},
        {"FAILED_PRECONDITION", "FailedPrecondition"},
        {"ABORTED", "Aborted"},
        {"OUT_OF_RANGE", "OutOfRange"},
        {"UNIMPLEMENTED", "Unimplemented"},
        {"INTERNAL", "Internal"},
        {"UNAVAILABLE", "Unavailable"},
        {"DATA_LOSS", "DataLoss"},
        {"UNAUTHENTICATED", "Unauthenticated"},
    };
    return code < GRPC_STATUS_CODES ? names[code][camel] : NULL;
}
