// rooms: base proxy/net
/*
 * The ClientHello parser: no bytes make it read outside, and how they are cut into chunks does not change its answer.
 * More bytes never turn a verdict back into "more".
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_slice(const struct sniff_hello *h, struct slice s)
{
    if (s.n > 0 && (s.p < h->text || s.p + s.n > h->text + sizeof h->text)) {
        abort();
    }
}

static enum sniff_result sniff_pieces(const uint8_t *data, size_t size, size_t piece, struct sniff_hello *out)
{
    struct buf in;
    buf_init(&in);
    for (size_t at = 0; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        struct chunk *c = chunk_create(n);
        memcpy(chunk_data(c), data + at, n);
        buf_append_chunk(&in, c, 0, n);
        chunk_unref(c);
    }
    enum sniff_result result = sniff_client_hello(&in, out);
    buf_fini(&in);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sniff_hello whole, cut;
    enum sniff_result a = sniff_pieces(data, size, size + 1, &whole);
    enum sniff_result b = sniff_pieces(data, size, 7, &cut);
    if (a != b || !slice_eq(whole.sni, cut.sni) || whole.n_alpn != cut.n_alpn) {
        abort();
    }
    check_slice(&whole, whole.sni);
    for (unsigned i = 0; i < whole.n_alpn; i++) {
        check_slice(&whole, whole.alpn[i]);
    }
    enum sniff_result half = sniff_pieces(data, size / 2, size + 1, &cut);
    if (half != SNIFF_MORE && half != a) {
        abort();
    }
    return 0;
}
