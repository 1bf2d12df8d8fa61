#include "xds/server/credentials.h"

#include <pthread.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { FILE_MAX = 1024 * 1024 };

struct pem {
    char *certificate, *private_key, *client_ca;
};

struct credentials {
    struct pem paths;
    pthread_mutex_t lock; /* guards what follows */
    struct pem now;
    bool fresh; /* gRPC did not fetch `now` yet */
};

static void pem_fini(struct pem *p)
{
    if (p->private_key != NULL) {
        mem_wipe(p->private_key, strlen(p->private_key));
    }
    mem_free(p->certificate);
    mem_free(p->private_key);
    mem_free(p->client_ca);
    *p = (struct pem){NULL, NULL, NULL};
}

static bool read_pem(const char *field, const char *path, const char *kind, char **out, struct err *err)
{
    size_t n;
    if (!file_read(path, FILE_MAX, out, &n, err)) {
        return err_prefix(err, "ads.%s", field);
    }
    const char *begin = strstr(*out, "-----BEGIN ");
    if (begin == NULL || strstr(begin, kind) == NULL || strstr(begin, "-----END ") == NULL) {
        return err_set(err, ERR_INPUT, "ads.%s: %s: no %s in PEM", field, path, kind);
    }
    return true;
}

static bool read_all(const struct credentials *c, struct pem *out, struct err *err)
{
    bool ok = read_pem("certificate", c->paths.certificate, "CERTIFICATE", &out->certificate, err) &&
              read_pem("private_key", c->paths.private_key, "PRIVATE KEY", &out->private_key, err) &&
              read_pem("client_ca", c->paths.client_ca, "CERTIFICATE", &out->client_ca, err);
    if (!ok) {
        pem_fini(out);
    }
    return ok;
}

struct credentials *credentials_create(const struct credentials_files *files, struct err *err)
{
    struct credentials *c = mem_alloc(sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
    c->paths.certificate = mem_str(files->certificate);
    c->paths.private_key = mem_str(files->private_key);
    c->paths.client_ca = mem_str(files->client_ca);
    c->fresh = true;
    if (!read_all(c, &c->now, err)) {
        credentials_destroy(&c);
    }
    return c;
}

void credentials_destroy(struct credentials **credentials)
{
    if (*credentials == NULL) {
        return;
    }
    pem_fini(&(*credentials)->paths);
    pem_fini(&(*credentials)->now);
    pthread_mutex_destroy(&(*credentials)->lock);
    mem_free(*credentials);
    *credentials = NULL;
}

static bool pem_equal(const struct pem *a, const struct pem *b)
{
    return strcmp(a->certificate, b->certificate) == 0 && strcmp(a->private_key, b->private_key) == 0 &&
           strcmp(a->client_ca, b->client_ca) == 0;
}

bool credentials_reload(struct credentials *credentials, struct err *err)
{
    struct pem next = {NULL, NULL, NULL};
    if (!read_all(credentials, &next, err)) {
        return false;
    }
    pthread_mutex_lock(&credentials->lock);
    if (!pem_equal(&next, &credentials->now)) {
        struct pem old = credentials->now;
        credentials->now = next;
        credentials->fresh = true;
        next = old;
    }
    pthread_mutex_unlock(&credentials->lock);
    pem_fini(&next);
    return true;
}

/* Called by gRPC at its start and before every handshake, from its own threads. */
static grpc_ssl_certificate_config_reload_status fetch(void *ctx, grpc_ssl_server_certificate_config **config)
{
    struct credentials *c = ctx;
    pthread_mutex_lock(&c->lock);
    bool fresh = c->fresh;
    if (fresh) {
        grpc_ssl_pem_key_cert_pair pair = {.private_key = c->now.private_key, .cert_chain = c->now.certificate};
        *config = grpc_ssl_server_certificate_config_create(c->now.client_ca, &pair, 1);
        c->fresh = false;
    }
    pthread_mutex_unlock(&c->lock);
    return fresh ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
}

grpc_server_credentials *credentials_for_server(struct credentials *credentials)
{
    return grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch, credentials));
}
