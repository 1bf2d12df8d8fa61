#include "xds/settings_check.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/slice.h"

static bool bad(struct err *err, const char *list, size_t i, const char *field, const char *reason)
{
    return err_set(err, ERR_INPUT, "%s[%zu].%s: %s", list, i, field, reason);
}

/* Is a text there? The field's path is said when not. */
struct need {
    const char *field, *value;
};

static bool all_there(struct err *err, const char *list, size_t i, const struct need *needs, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (needs[k].value[0] == '\0') {
            return bad(err, list, i, needs[k].field, "missing");
        }
    }
    return true;
}

static bool is_port(uint32_t port)
{
    return port >= 1 && port <= 65535;
}

/* What may stand in a SPIFFE id's path and in resource names. */
static bool is_name(const char *s)
{
    for (const char *p = s; *p != '\0'; p++) {
        bool ok = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-' ||
                  *p == '_' || *p == '.';
        if (!ok) {
            return false;
        }
    }
    return s[0] != '\0' && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static bool check_ads(const Egret__Control__V1__Config *c, struct err *err)
{
    const Egret__Control__V1__Ads *a = c->ads;
    if (a == NULL) {
        return err_set(err, ERR_INPUT, "ads: missing");
    }
    if (!is_port(a->port)) {
        return err_set(err, ERR_INPUT, "ads.port: 1 to 65535 is needed");
    }
    const char *missing = a->certificate[0] == '\0'   ? "certificate"
                          : a->private_key[0] == '\0' ? "private_key"
                          : a->client_ca[0] == '\0'   ? "client_ca"
                                                      : NULL;
    return missing == NULL || err_set(err, ERR_INPUT, "ads.%s: missing", missing);
}

static bool check_mac_keys(const Egret__Control__V1__Config *c, struct err *err)
{
    for (size_t i = 0; i < c->n_mac_keys; i++) {
        const struct need needs[] = {{"id", c->mac_keys[i]->id}, {"file", c->mac_keys[i]->file}};
        if (!all_there(err, "mac_keys", i, needs, 2)) {
            return false;
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(c->mac_keys[k]->id, c->mac_keys[i]->id) == 0) {
                return bad(err, "mac_keys", i, "id", "used twice");
            }
        }
    }
    return c->n_mac_keys > 0 || err_set(err, ERR_INPUT, "mac_keys: at least one is needed");
}

static bool check_host_names(const Egret__Control__V1__Config *c, struct err *err)
{
    for (size_t i = 0; i < c->n_host_names; i++) {
        const Egret__Control__V1__HostName *h = c->host_names[i];
        const struct need needs[] = {{"name", h->name}};
        if (!all_there(err, "host_names", i, needs, 1)) {
            return false;
        }
        if ((h->certificate[0] == '\0') != (h->private_key[0] == '\0')) {
            return bad(err, "host_names", i, "private_key", "certificate and private_key belong together");
        }
        if (h->is_default && h->certificate[0] == '\0') {
            return bad(err, "host_names", i, "is_default", "needs a certificate");
        }
        if (strchr(h->name, ':') != NULL || strchr(h->name, '/') != NULL) {
            return bad(err, "host_names", i, "name", "a host name, without scheme and port, is needed");
        }
    }
    return true;
}

static bool check_sidecars(const Egret__Control__V1__Config *c, struct err *err)
{
    for (size_t i = 0; i < c->n_sidecars; i++) {
        const Egret__Control__V1__Sidecar *s = c->sidecars[i];
        if (s->http_port > 65535 || s->https_port > 65535) {
            return bad(err, "sidecars", i, s->http_port > 65535 ? "http_port" : "https_port", "at most 65535");
        }
        if (s->access_log_format[0] != '\0' && strcmp(s->access_log_format, "text") != 0 &&
            strcmp(s->access_log_format, "json") != 0) {
            return bad(err, "sidecars", i, "access_log_format", "text or json");
        }
        if (s->concurrency != 0) {
            return bad(err, "sidecars", i, "concurrency", "not supported: give the sidecar --concurrency");
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(c->sidecars[k]->gateway_id, s->gateway_id) == 0) {
                return bad(err, "sidecars", i, "gateway_id", "used twice");
            }
        }
    }
    return true;
}

static bool check_gateways(const Egret__Control__V1__Config *c, struct err *err)
{
    for (size_t i = 0; i < c->n_gateways; i++) {
        const Egret__Control__V1__Gateway *g = c->gateways[i];
        const struct need needs[] = {
            {"name", g->name},
            {"address", g->address},
            {"certificate", g->certificate},
            {"private_key", g->private_key},
            {"client_ca", g->client_ca},
            {"sidecar_certificate", g->sidecar_certificate},
            {"sidecar_private_key", g->sidecar_private_key},
            {"sidecar_ca", g->sidecar_ca},
        };
        if (!all_there(err, "gateways", i, needs, sizeof needs / sizeof needs[0])) {
            return false;
        }
        if (!is_name(g->name)) {
            return bad(err, "gateways", i, "name", "letters, digits, '-', '_' and '.' only");
        }
        if (!is_port(g->port)) {
            return bad(err, "gateways", i, "port", "1 to 65535 is needed");
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(c->gateways[k]->name, g->name) == 0) {
                return bad(err, "gateways", i, "name", "used twice");
            }
        }
    }
    return true;
}

static bool check_pools(const Egret__Control__V1__Config *c, struct err *err)
{
    for (size_t i = 0; i < c->n_pools; i++) {
        const Egret__Control__V1__Pool *p = c->pools[i];
        if (!is_name(p->name)) {
            return bad(err, "pools", i, "name", "letters, digits, '-', '_' and '.' only, not empty");
        }
        if (p->n_addresses == 0) {
            return bad(err, "pools", i, "addresses", "at least one is needed");
        }
        for (size_t k = 0; k < p->n_addresses; k++) {
            unsigned char bytes[16];
            if (inet_pton(AF_INET, p->addresses[k], bytes) != 1 && inet_pton(AF_INET6, p->addresses[k], bytes) != 1) {
                return bad(err, "pools", i, "addresses", "IP addresses only");
            }
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(c->pools[k]->name, p->name) == 0) {
                return bad(err, "pools", i, "name", "used twice");
            }
        }
    }
    return true;
}

static bool gateway_exists(const Egret__Control__V1__Config *c, const char *name)
{
    for (size_t i = 0; i < c->n_gateways; i++) {
        if (strcmp(c->gateways[i]->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static bool pool_exists(const Egret__Control__V1__Config *c, const char *name)
{
    for (size_t i = 0; i < c->n_pools; i++) {
        if (strcmp(c->pools[i]->name, name) == 0) {
            return true;
        }
    }
    return name[0] == '\0'; /* no pool: the gateway's own address */
}

static bool is_pattern(const char *host)
{
    const char *rest = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
    return rest[0] != '\0' && strchr(rest, '*') == NULL && strchr(rest, '/') == NULL;
}

static bool check_egress(const Egret__Control__V1__Config *c, struct err *err)
{
    for (size_t i = 0; i < c->n_egress; i++) {
        const Egret__Control__V1__Egress *e = c->egress[i];
        if (!gateway_exists(c, e->gateway)) {
            return bad(err, "egress", i, "gateway", "none of this name under gateways:");
        }
        if (!pool_exists(c, e->pool)) {
            return bad(err, "egress", i, "pool", "none of this name under pools:");
        }
        for (size_t k = 0; k < e->n_hosts; k++) {
            if (!is_pattern(e->hosts[k])) {
                return bad(err, "egress", i, "hosts", "a host name or *.suffix is needed");
            }
        }
        for (size_t k = 0; k < e->n_ports; k++) {
            if (!is_port(e->ports[k])) {
                return bad(err, "egress", i, "ports", "1 to 65535 is needed");
            }
        }
        if (e->n_hosts == 0) {
            return bad(err, "egress", i, "hosts", "at least one is needed");
        }
    }
    return true;
}

bool settings_check(const Egret__Control__V1__Config *config, struct err *err)
{
    if (config->state_folder[0] == '\0') {
        return err_set(err, ERR_INPUT, "state_folder: missing");
    }
    return check_ads(config, err) && check_mac_keys(config, err) && check_host_names(config, err) &&
           check_sidecars(config, err) && check_gateways(config, err) && check_pools(config, err) &&
           check_egress(config, err);
}
