#include "tests/unit/proxy/net/net_test.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "proxy/net/tls.h"

struct bytes {
    unsigned char p[40000];
    size_t n;
};

static void put(struct bytes *b, const void *p, size_t n)
{
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void put_n(struct bytes *b, size_t v, unsigned size)
{
    for (unsigned i = size; i-- > 0;) {
        b->p[b->n++] = (unsigned char)(v >> (8 * i));
    }
}

static void put_ext(struct bytes *b, size_t type, const void *p, size_t n)
{
    put_n(b, type, 2);
    put_n(b, n, 2);
    put(b, p, n);
}

static void put_sni(struct bytes *b, const char *name, size_t n)
{
    put_n(b, 0, 2);
    put_n(b, n + 5, 2);
    put_n(b, n + 3, 2);
    put_n(b, 0, 1);
    put_n(b, n, 2);
    put(b, name, n);
}

/* A hello around the given extensions, in records of at most `record` bytes. */
static struct bytes hello_around(const struct bytes *extensions, size_t record)
{
    static struct bytes body, out;
    body.n = out.n = 0;
    put_n(&body, 0x0303, 2);
    for (unsigned i = 0; i < 32; i++) {
        put_n(&body, i, 1);
    }
    put_n(&body, 0, 1);
    put_n(&body, 2, 2);
    put_n(&body, 0x1301, 2);
    put_n(&body, 1, 1);
    put_n(&body, 0, 1);
    if (extensions != NULL) {
        put_n(&body, extensions->n, 2);
        put(&body, extensions->p, extensions->n);
    }
    static struct bytes message;
    message.n = 0;
    put_n(&message, 1, 1);
    put_n(&message, body.n, 3);
    put(&message, body.p, body.n);
    for (size_t at = 0; at < message.n; at += record) {
        size_t n = message.n - at < record ? message.n - at : record;
        put_n(&out, 22, 1);
        put_n(&out, 0x0301, 2);
        put_n(&out, n, 2);
        put(&out, message.p + at, n);
    }
    return out;
}

static enum sniff_result sniff(const void *p, size_t n, struct sniff_hello *out)
{
    struct buf in;
    buf_init(&in);
    buf_append(&in, p, n);
    enum sniff_result r = sniff_client_hello(&in, out);
    assert_int_equal(in.len, n); /* not consumed */
    buf_fini(&in);
    return r;
}

/* A real one, of OpenSSL. */
static struct bytes real_hello(void)
{
    static struct bytes out;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *to = BIO_new(BIO_s_mem()), *from = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, from, to);
    SSL_set_connect_state(ssl);
    SSL_set_tlsext_host_name(ssl, "Api.Contoso.Example");
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    SSL_do_handshake(ssl);
    out.n = (size_t)BIO_read(to, out.p, sizeof out.p);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    return out;
}

static void a_real_hello_is_read_at_every_split(void **state)
{
    (void)state;
    static struct bytes b;
    b = real_hello();
    struct sniff_hello h;
    for (size_t n = 0; n < b.n; n++) {
        assert_int_equal(sniff(b.p, n, &h), SNIFF_MORE);
    }
    for (size_t cut = 0; cut <= b.n; cut++) {
        struct buf in, tail;
        buf_init(&in);
        buf_init(&tail);
        buf_append(&in, b.p, cut);
        buf_append(&tail, b.p + cut, b.n - cut);
        buf_move_all(&in, &tail);
        assert_int_equal(sniff_client_hello(&in, &h), SNIFF_TLS);
        assert_true(slice_eq(h.sni, SLICE("api.contoso.example")));
        assert_int_equal(h.n_alpn, 2);
        assert_true(slice_eq(h.alpn[0], SLICE("h2")));
        assert_true(slice_eq(h.alpn[1], SLICE("http/1.1")));
        buf_fini(&in);
    }
}

static void a_hello_may_be_cut_into_records(void **state)
{
    (void)state;
    static const size_t sizes[] = {3, 4, 5, 16, 50, 16384};
    static struct bytes ext, b;
    ext.n = 0;
    put_sni(&ext, "a.example", 9);
    struct sniff_hello h;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        b = hello_around(&ext, sizes[i]);
        for (size_t n = 0; n < b.n; n++) {
            assert_int_equal(sniff(b.p, n, &h), SNIFF_MORE);
        }
        assert_int_equal(sniff(b.p, b.n, &h), SNIFF_TLS);
        assert_true(slice_eq(h.sni, SLICE("a.example")));
    }
    b = hello_around(&ext, 1);
    assert_int_equal(sniff(b.p, b.n, &h), SNIFF_BAD); /* more records than anyone honest makes */
}

static void a_hello_without_extensions_or_name_is_tls(void **state)
{
    (void)state;
    struct sniff_hello h;
    static struct bytes b, none;
    b = hello_around(NULL, 16384);
    assert_int_equal(sniff(b.p, b.n, &h), SNIFF_TLS);
    assert_int_equal(h.sni.n, 0);
    none.n = 0;
    b = hello_around(&none, 16384);
    assert_int_equal(sniff(b.p, b.n, &h), SNIFF_TLS);
}

static void other_protocols_are_told_apart_early(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t n;
        enum sniff_result want;
    } cases[] = {
        {"", 0, SNIFF_MORE},
        {"G", 1, SNIFF_NOT_TLS},
        {"PRI * HTTP/2.0", 14, SNIFF_NOT_TLS},
        {"SSH-2.0", 7, SNIFF_NOT_TLS},
        {"\x16", 1, SNIFF_MORE},
        {"\x16\x02", 2, SNIFF_NOT_TLS},
        {"\x16\x03\x01\x00\x00", 5, SNIFF_NOT_TLS},
        {"\x16\x03\x01\x41\x00", 5, SNIFF_NOT_TLS},     /* longer than a record may be */
        {"\x16\x03\x01\x00\x05\x02", 6, SNIFF_NOT_TLS}, /* a ServerHello */
        {"\x15\x03\x01\x00\x02\x01\x00", 7, SNIFF_NOT_TLS},
        {"\x80\x2e\x01\x03\x01", 5, SNIFF_NOT_TLS}, /* SSL 2 */
        {"\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9, SNIFF_BAD},
    };
    struct sniff_hello h;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(sniff(cases[i].p, cases[i].n, &h), cases[i].want);
    }
}

static enum sniff_result sniff_name(const char *name, size_t n, struct sniff_hello *h)
{
    static struct bytes ext, b;
    ext.n = 0;
    put_sni(&ext, name, n);
    b = hello_around(&ext, 16384);
    return sniff(b.p, b.n, h);
}

static void odd_names_are_refused(void **state)
{
    (void)state;
    struct sniff_hello h;
    char longest[300];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(sniff_name("", 0, &h), SNIFF_BAD);
    assert_int_equal(sniff_name("a\0b", 3, &h), SNIFF_BAD);
    assert_int_equal(sniff_name("a b", 3, &h), SNIFF_BAD);
    assert_int_equal(sniff_name("a/b", 3, &h), SNIFF_BAD);
    assert_int_equal(sniff_name("a\r\nb", 4, &h), SNIFF_BAD);
    assert_int_equal(sniff_name(".a", 2, &h), SNIFF_BAD);
    assert_int_equal(sniff_name(longest, 255, &h), SNIFF_TLS);
    assert_int_equal(sniff_name(longest, 256, &h), SNIFF_BAD);
    assert_int_equal(sniff_name("A_b.Example.", 12, &h), SNIFF_TLS);
    assert_true(slice_eq(h.sni, SLICE("a_b.example")));
}

static void lengths_that_lie_are_refused(void **state)
{
    (void)state;
    static struct bytes ext, b;
    ext.n = 0;
    put_sni(&ext, "a.example", 9);
    b = hello_around(&ext, 16384);
    struct sniff_hello h;
    unsigned tls = 0;
    for (size_t at = 5; at < b.n; at++) { /* every byte, made larger: never read outside, seldom still right */
        static struct bytes c;
        c = b;
        c.p[at] = (unsigned char)(c.p[at] + 1);
        enum sniff_result r = sniff(c.p, c.n, &h);
        tls += r == SNIFF_TLS;
    }
    assert_true(tls > 30); /* the random, the name itself */
    static struct bytes twice;
    twice.n = 0;
    put_sni(&twice, "a.example", 9);
    put_sni(&twice, "b.example", 9);
    b = hello_around(&twice, 16384);
    assert_int_equal(sniff(b.p, b.n, &h), SNIFF_BAD);
    ext.n = 0;
    put_ext(&ext, 16, "\x00\x03\x02h2", 5);
    b = hello_around(&ext, 16384);
    assert_int_equal(sniff(b.p, b.n, &h), SNIFF_TLS);
    assert_int_equal(h.n_alpn, 1);
    ext.n = 0;
    put_ext(&ext, 16, "\x00\x04\x03h2", 5);
    b = hello_around(&ext, 16384);
    assert_int_equal(sniff(b.p, b.n, &h), SNIFF_BAD);
}

static void more_protocols_than_fit_are_left_out(void **state)
{
    (void)state;
    static struct bytes ext, list, b;
    ext.n = list.n = 0;
    put_n(&list, 20 * 3, 2);
    for (unsigned i = 0; i < 20; i++) {
        put_n(&list, 2, 1);
        put_n(&list, 'p', 1);
        put_n(&list, 'a' + i, 1);
    }
    put_ext(&ext, 16, list.p, list.n);
    put_sni(&ext, "after.example", 13);
    b = hello_around(&ext, 16384);
    struct sniff_hello h;
    assert_int_equal(sniff(b.p, b.n, &h), SNIFF_TLS);
    assert_int_equal(h.n_alpn, 8);
    assert_true(slice_eq(h.sni, SLICE("after.example")));
}

/* With EGRET_WRITE_CORPUS=folder: the seeds of tests/fuzz/corpus/fuzz_sni. */
static void write_seed(const char *folder, const char *name, const struct bytes *b)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fwrite(b->p, 1, b->n, f);
    fclose(f);
}

static void seeds_can_be_written(void **state)
{
    (void)state;
    const char *folder = getenv("EGRET_WRITE_CORPUS");
    if (folder == NULL) {
        return;
    }
    static struct bytes b, ext;
    b = real_hello();
    write_seed(folder, "openssl", &b);
    ext.n = 0;
    put_sni(&ext, "a.example", 9);
    put_ext(&ext, 16, "\x00\x0c\x02h2\x08http/1.1", 14);
    b = hello_around(&ext, 16384);
    write_seed(folder, "small", &b);
    b = hello_around(&ext, 7);
    write_seed(folder, "records", &b);
    b = hello_around(NULL, 16384);
    write_seed(folder, "bare", &b);
    b.n = 0;
    put(&b, "GET / HTTP/1.1\r\n\r\n", 18);
    write_seed(folder, "http", &b);
    b.n = 0;
    put(&b, "\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9);
    write_seed(folder, "huge", &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_hello_is_read_at_every_split),
        cmocka_unit_test(a_hello_may_be_cut_into_records),
        cmocka_unit_test(a_hello_without_extensions_or_name_is_tls),
        cmocka_unit_test(other_protocols_are_told_apart_early),
        cmocka_unit_test(odd_names_are_refused),
        cmocka_unit_test(lengths_that_lie_are_refused),
        cmocka_unit_test(more_protocols_than_fit_are_left_out),
        cmocka_unit_test(seeds_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
