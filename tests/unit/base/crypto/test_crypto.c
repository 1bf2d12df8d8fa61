#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/crypto/crypto.h"
#include "base/macros.h"

static void assert_hex(const uint8_t *bytes, size_t n, const char *expected)
{
    struct strbuf text;
    strbuf_init(&text);
    hex_encode(slice_make(bytes, n), &text);
    assert_string_equal(strbuf_cstr(&text), expected);
    strbuf_fini(&text);
}

static void sha256_gives_the_published_digests(void **state)
{
    (void)state;
    uint8_t out[SHA256_BYTES];
    sha256(SLICE_NONE, out);
    assert_hex(out, sizeof out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256(SLICE("abc"), out);
    assert_hex(out, sizeof out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    struct sha256_state *s = sha256_create();
    for (int round = 0; round < 2; round++) {
        sha256_add(s, SLICE("a"));
        sha256_add(s, SLICE("bc"));
        sha256_end(s, out);
        assert_hex(out, sizeof out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
    sha256_destroy(&s);
    assert_null(s);
}

/* RFC 4231, cases 1, 2 and 6. */
static void hmac_gives_the_published_codes_again_and_again(void **state)
{
    (void)state;
    uint8_t out[HMAC_BYTES];
    struct hmac *h = hmac_create(SLICE("Jefe"));
    for (int round = 0; round < 3; round++) {
        hmac_sign(h, SLICE("what do ya want for nothing?"), out);
        assert_hex(out, sizeof out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
    hmac_destroy(&h);
    char key[20];
    memset(key, 0x0b, sizeof key);
    h = hmac_create(slice_make(key, sizeof key));
    hmac_sign(h, SLICE("Hi There"), out);
    assert_hex(out, sizeof out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    hmac_destroy(&h);
    char large[131];
    memset(large, 0xaa, sizeof large);
    h = hmac_create(slice_make(large, sizeof large));
    hmac_sign(h, SLICE("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, sizeof out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    hmac_sign(h, SLICE_NONE, out);
    hmac_destroy(&h);
}

static void what_was_sealed_opens_only_unchanged_and_under_its_key(void **state)
{
    (void)state;
    uint8_t key[AEAD_KEY_BYTES] = {1}, other[AEAD_KEY_BYTES] = {2};
    struct strbuf sealed, plain;
    strbuf_init(&sealed);
    strbuf_init(&plain);
    struct err err;
    aead_seal(key, SLICE("a secret"), SLICE("node-1"), &sealed);
    assert_int_equal(sealed.n, 8 + AEAD_OVERHEAD);
    assert_true(aead_open(key, strbuf_slice(&sealed), SLICE("node-1"), &plain, &err));
    assert_string_equal(strbuf_cstr(&plain), "a secret");
    strbuf_clear(&plain);
    assert_false(aead_open(other, strbuf_slice(&sealed), SLICE("node-1"), &plain, &err));
    assert_false(aead_open(key, strbuf_slice(&sealed), SLICE("node-2"), &plain, &err));
    for (size_t i = 0; i < sealed.n; i++) {
        sealed.p[i] ^= 1;
        assert_false(aead_open(key, strbuf_slice(&sealed), SLICE("node-1"), &plain, &err));
        sealed.p[i] ^= 1;
        assert_false(aead_open(key, slice_make(sealed.p, i), SLICE("node-1"), &plain, &err));
    }
    assert_int_equal(plain.n, 0);
    strbuf_clear(&sealed);
    aead_seal(key, SLICE_NONE, SLICE_NONE, &sealed);
    assert_true(aead_open(key, strbuf_slice(&sealed), SLICE_NONE, &plain, &err));
    assert_int_equal(plain.n, 0);
    strbuf_fini(&sealed);
    strbuf_fini(&plain);
}

static void two_seals_of_the_same_text_differ(void **state)
{
    (void)state;
    uint8_t key[AEAD_KEY_BYTES] = {7};
    struct strbuf a, b;
    strbuf_init(&a);
    strbuf_init(&b);
    aead_seal(key, SLICE("x"), SLICE_NONE, &a);
    aead_seal(key, SLICE("x"), SLICE_NONE, &b);
    assert_false(slice_eq(strbuf_slice(&a), strbuf_slice(&b)));
    strbuf_fini(&a);
    strbuf_fini(&b);
}

static void equal_compares_lengths_and_bytes(void **state)
{
    (void)state;
    assert_true(crypto_equal(SLICE("abc"), SLICE("abc")));
    assert_false(crypto_equal(SLICE("abc"), SLICE("abd")));
    assert_false(crypto_equal(SLICE("abc"), SLICE("ab")));
    assert_true(crypto_equal(SLICE_NONE, SLICE("")));
}

/* RFC 4648, section 10, and what section 3.5 calls non-canonical. */
static void base64_is_exact_in_both_directions(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/", "-_-_"},
    };
    struct strbuf out;
    strbuf_init(&out);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        base64_encode(slice_of(rows[i][0]), &out);
        assert_string_equal(strbuf_cstr(&out), rows[i][1]);
        strbuf_clear(&out);
        base64url_encode(slice_of(rows[i][0]), &out);
        assert_string_equal(strbuf_cstr(&out), rows[i][2]);
        strbuf_clear(&out);
        assert_true(base64_decode(slice_of(rows[i][1]), &out));
        assert_string_equal(strbuf_cstr(&out), rows[i][0]);
        strbuf_clear(&out);
        assert_true(base64url_decode(slice_of(rows[i][2]), &out));
        assert_string_equal(strbuf_cstr(&out), rows[i][0]);
        strbuf_clear(&out);
    }
    assert_true(base64url_decode(SLICE("Zg=="), &out));
    strbuf_clear(&out);
    static const char *const wrong[] = {"Z",    "Zg",     "Zg=",  "Zg===", "Zh==", "Zm9=", "Zm9v=",   "Zm9v====",
                                        "Zm 9", "Zm9v\n", "-_-_", "=",     "====", "Z===", "Zg==Zg=="};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_false(base64_decode(slice_of(wrong[i]), &out));
        assert_int_equal(out.n, 0);
    }
    static const char *const wrong_url[] = {"Z", "Zg=", "Zh", "+/+/", "Zm9v=", "===="};
    for (size_t i = 0; i < ARRAY_LEN(wrong_url); i++) {
        assert_false(base64url_decode(slice_of(wrong_url[i]), &out));
    }
    strbuf_fini(&out);
}

static void random_bytes_round_trip_through_every_encoding(void **state)
{
    (void)state;
    uint8_t bytes[97];
    struct strbuf text, back;
    strbuf_init(&text);
    strbuf_init(&back);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        crypto_random(bytes, n);
        struct slice data = slice_make(bytes, n);
        base64_encode(data, &text);
        assert_true(base64_decode(strbuf_slice(&text), &back) && slice_eq(strbuf_slice(&back), data));
        strbuf_clear(&text), strbuf_clear(&back);
        base64url_encode(data, &text);
        assert_true(base64url_decode(strbuf_slice(&text), &back) && slice_eq(strbuf_slice(&back), data));
        strbuf_clear(&text), strbuf_clear(&back);
        hex_encode(data, &text);
        assert_true(hex_decode(strbuf_slice(&text), &back) && slice_eq(strbuf_slice(&back), data));
        strbuf_clear(&text), strbuf_clear(&back);
    }
    assert_false(hex_decode(SLICE("abc"), &back));
    assert_false(hex_decode(SLICE("0g"), &back));
    strbuf_fini(&text);
    strbuf_fini(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_published_digests),
        cmocka_unit_test(hmac_gives_the_published_codes_again_and_again),
        cmocka_unit_test(what_was_sealed_opens_only_unchanged_and_under_its_key),
        cmocka_unit_test(two_seals_of_the_same_text_differ),
        cmocka_unit_test(equal_compares_lengths_and_bytes),
        cmocka_unit_test(base64_is_exact_in_both_directions),
        cmocka_unit_test(random_bytes_round_trip_through_every_encoding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
