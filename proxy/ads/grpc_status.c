#include "proxy/ads/grpc_status.h"

#include "proxy/codec/grpc.h"

const char *grpc_code_name(unsigned code)
{
    const char *name = grpc_status_name(code, false);
    return name != NULL ? name : "UNKNOWN";
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static void decode_message(struct slice text, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n && n + 1 < cap; i++) {
        char c = text.p[i];
        int high = c == '%' && i + 2 < text.n ? hex_digit(text.p[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.p[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[n++] = (unsigned char)c < ' ' || c == 0x7f ? ' ' : c;
    }
    out[n] = '\0';
}

struct grpc_status grpc_status_read(const struct head *head)
{
    struct grpc_status status = {.given = false};
    struct slice code = head == NULL ? SLICE_NONE : head_value_id(head, FIELD_GRPC_STATUS);
    if (code.n == 0) {
        return status;
    }
    uint64_t number;
    status.given = true;
    status.code = slice_to_u64(code, &number) && number <= 1000 ? (unsigned)number : GRPC_UNKNOWN;
    decode_message(head_value_id(head, FIELD_GRPC_MESSAGE), status.message, sizeof status.message);
    return status;
}

bool grpc_check_head(const struct head *head, struct err *err)
{
    if (head->status != 200) {
        return err_set(err, ERR_PROTOCOL, "answered with HTTP status %u", head->status);
    }
    struct slice type = head_value_id(head, FIELD_CONTENT_TYPE);
    if (!slice_starts_with_nocase(type, SLICE("application/grpc"))) {
        struct slice shown = slice_sub(type, 0, 80);
        return err_set(err, ERR_PROTOCOL, "answered with content-type \"%.*s\" instead of application/grpc",
                       SLICE_ARG(shown));
    }
    return true;
}
