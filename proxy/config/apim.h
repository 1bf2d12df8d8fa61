/*
 * apim_set: what the proxy holds of the API management service: the matcher over its APIs (proxy/route/apim.h),
 * products, keys, backends, policy programs. Immutable, part of the snapshot, shared where unchanged.
 */
#pragma once
#include <stdint.h>

#include "base/slice.h"
#include "proxy/route/apim.h"

struct apim_set;

enum apim_sub_state { SUB_SUSPENDED, SUB_ACTIVE, SUB_EXPIRED, SUB_SUBMITTED, SUB_REJECTED, SUB_CANCELLED };
enum apim_scope { SCOPE_ALL_APIS, SCOPE_PRODUCT, SCOPE_API };

struct apim_product {
    struct slice name, id;
    bool published, subscription_required;
    struct slice program; /* resource name; empty: none */
    struct slice closed;
};

struct apim_subscription {
    struct slice name, id, owner;
    enum apim_sub_state state;
    enum apim_scope scope;
    struct slice scope_name;
};

struct apim_value_part {
    struct slice text; /* literal, or the secret's name */
    bool secret;
};
struct apim_credential {
    struct slice name;
    const struct apim_value_part *parts;
    size_t n_parts;
};

struct apim_backend {
    struct slice name, cluster, base_path, authority, url, closed;
    const struct apim_credential *headers, *query;
    size_t n_headers, n_query;
};

enum apim_op { APIM_OP_BASE, APIM_OP_FORWARD, APIM_OP_SET_BACKEND };
enum apim_section { APIM_INBOUND, APIM_BACKEND, APIM_OUTBOUND, APIM_ON_ERROR, APIM_SECTIONS };

struct apim_instruction {
    enum apim_op op;
    uint32_t line;
    uint32_t timeout_s;   /* FORWARD */
    struct slice backend; /* SET_BACKEND: resource name */
};
struct apim_program {
    struct slice name;
    struct {
        const struct apim_instruction *code;
        size_t n;
    } sections[APIM_SECTIONS];
};

struct apim_mac_key { /* from static generic secrets "mac/<id>" */
    struct slice id, key;
};

const struct apim_table *apim_set_table(const struct apim_set *s); /* NULL: no API was ever received */
const struct apim_product *apim_set_product(const struct apim_set *s, struct slice name);
const struct apim_backend *apim_set_backend(const struct apim_set *s, struct slice name);
const struct apim_program *apim_set_program(const struct apim_set *s, struct slice name);
size_t apim_set_mac_keys(const struct apim_set *s, const struct apim_mac_key **keys);
/* The subscription one of whose keys has this MAC under MAC key number `key`; compared in constant time. */
const struct apim_subscription *apim_set_by_mac(const struct apim_set *s, size_t key, const uint8_t mac[32]);
