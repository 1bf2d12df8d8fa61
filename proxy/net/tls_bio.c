/* The BIO between OpenSSL and the transport below: reads from its `in`, writes to our `cipher`. Writing never blocks,
 * so that WANT_WRITE does not exist; the end of input is not told here, the transport judges it by what was read. */
#include <openssl/bio.h>

#include "proxy/net/tls_transport.h"

static int bio_read(BIO *bio, char *to, size_t n, size_t *got)
{
    struct tls_transport *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (s->lower == NULL || s->lower->in.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = buf_copy_out(&s->lower->in, 0, to, n);
    buf_drain(&s->lower->in, *got);
    s->took = true;
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t n, size_t *written)
{
    struct tls_transport *s = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    buf_append(&s->cipher, from, n);
    *written = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p)
{
    (void)bio;
    (void)number;
    (void)p;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "egret transport");
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
}

const BIO_METHOD *tls_bio_method(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT; /* one for the process, never changed afterwards */
    pthread_once(&once, make_method);
    return method;
}
