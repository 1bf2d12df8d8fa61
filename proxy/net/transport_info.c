/* What is known about a peer: addresses no longer than they are, TLS facts only where there is TLS. */
#include <string.h>

#include "base/mem.h"
#include "proxy/net/transport.h"

static const struct addr no_addr = {.len = 0};

enum { ADDR_ALIGN = 8 };

/* Fills room at *at and moves it on. The copy has no bytes behind its len: it is read through pointers only. */
static const struct addr *place_addr(char **at, const struct addr *from)
{
    if (from == NULL || from->len == 0) {
        return &no_addr;
    }
    void *to = *at;
    memcpy(to, from, addr_size(from));
    *at += (addr_size(from) + ADDR_ALIGN - 1) & ~(size_t)(ADDR_ALIGN - 1);
    return to;
}

struct transport_info *transport_info_create(const struct addr *local, const struct addr *remote)
{
    size_t n = sizeof(struct transport_info) + (local == NULL ? 0 : addr_size(local) + ADDR_ALIGN) +
               (remote == NULL ? 0 : addr_size(remote));
    struct transport_info *info = mem_alloc(n);
    char *at = (char *)(info + 1);
    info->refs = 1;
    info->local = place_addr(&at, local);
    info->remote = place_addr(&at, remote);
    return info;
}

void transport_info_set_local(struct transport_info *info, const struct addr *local)
{
    mem_free(info->late_local);
    info->late_local = mem_alloc(addr_size(local));
    memcpy(info->late_local, local, addr_size(local));
    info->local = info->late_local;
}

struct transport_info *transport_info_ref(const struct transport_info *info)
{
    struct transport_info *mine = (struct transport_info *)(uintptr_t)info;
    mine->refs++;
    return mine;
}

void transport_info_unref(struct transport_info **pointer)
{
    struct transport_info *info = *pointer;
    *pointer = NULL;
    if (info != NULL && --info->refs == 0) {
        mem_free(info->late_local);
        mem_free((void *)(uintptr_t)info->tls);
        mem_free(info);
    }
}

void transport_info_set_tls(struct transport_info *info, const struct transport_tls *tls)
{
    const struct slice *from[] = {&tls->alpn,          &tls->sni,           &tls->peer_uri_san,
                                  &tls->peer_dns_san,  &tls->peer_subject,  &tls->peer_uri_sans,
                                  &tls->peer_dns_sans, &tls->local_uri_sans, &tls->peer_sha256};
    size_t n = sizeof *tls;
    for (size_t i = 0; i < ARRAY_LEN(from); i++) {
        n += from[i]->n;
    }
    struct transport_tls *copy = mem_alloc(n);
    *copy = *tls;
    struct slice *to[] = {&copy->alpn,          &copy->sni,           &copy->peer_uri_san,
                          &copy->peer_dns_san,  &copy->peer_subject,  &copy->peer_uri_sans,
                          &copy->peer_dns_sans, &copy->local_uri_sans, &copy->peer_sha256};
    char *at = (char *)(copy + 1);
    for (size_t i = 0; i < ARRAY_LEN(to); i++) {
        if (from[i]->n > 0) {
            memcpy(at, from[i]->p, from[i]->n);
            to[i]->p = at;
            at += from[i]->n;
        }
    }
    mem_free((void *)(uintptr_t)info->tls);
    info->tls = copy;
}

const struct transport_tls *transport_info_tls(const struct transport_info *info)
{
    static const struct transport_tls none = {.resumed = false};
    return info == NULL || info->tls == NULL ? &none : info->tls;
}
