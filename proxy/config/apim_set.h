/* The APIM set's inside, for the files of this room: how one is made from resources and shared by snapshots. */
#pragma once
#include <stddef.h>

#include "proxy/config/apim.h"
#include "proxy/config/index.h"
#include "proxy/config/read.h"

enum { MAC_BYTES = 32, MAC_KEY_TEXT = 12 };

/*
 * One resource other than an Api: immutable; references are counted on the main thread only. Of subscriptions there may
 * be a hundred thousand: such an object is one block that ends with its member of the union, its keys and the resource's
 * bytes behind it, in which its texts stand.
 */
struct apim_object {
    unsigned refs;
    uint32_t n_macs;
    struct arena *arena; /* holds this too; NULL: a block by itself */
    struct slice bytes;  /* of a subscription: the resource as it came */
    struct apim_mac *macs;
    struct slice name;
    union {
        struct apim_product product;
        struct apim_subscription subscription;
        struct apim_backend backend;
        struct apim_program program;
    };
};

struct apim_mac { /* one key of a subscription under one MAC key */
    const struct apim_object *owner;
    uint32_t number; /* of the MAC key; with the first 8 bytes of the MAC what it is filed under */
    uint8_t mac[MAC_BYTES];
};
_Static_assert(offsetof(struct apim_mac, mac) == offsetof(struct apim_mac, number) + 4, "they are one key");

struct apim_set {
    unsigned refs; /* counted on the main thread only */
    struct apim_table *table; /* NULL: no API was ever received */
    struct index *products, *subscriptions, *backends, *programs, *macs;
    struct apim_counters *counters;
    const struct apim_mac_key *keys; /* of the bootstrap, which outlives every set */
    size_t n_keys;
};

/* Empty. counters NULL: new ones. */
struct apim_set *apim_set_create(const struct apim_mac_key *keys, size_t n, struct apim_counters *counters);
struct apim_set *apim_set_ref(struct apim_set *s);
void apim_set_unref(struct apim_set **s);

void apim_object_unref(struct apim_object **o);
extern const struct index_kind apim_object_index, apim_mac_index;
/* Another subscription than `owner` that has this very MAC; NULL: none. */
const struct apim_object *apim_mac_other(const struct index *macs, const struct apim_mac *mac);

/* apim_build.c: each takes r->arena over, one reference; NULL with the reader's error. What the object refers to is
 * noted with read_need. */
struct apim_object *apim_product_create(struct reader *r, const Egret__Apim__V1__Product *m);
struct apim_object *apim_backend_create(struct reader *r, const Egret__Apim__V1__Backend *m);
struct apim_object *apim_program_create(struct reader *r, const Egret__Apim__V1__PolicyProgram *m); /* apim_program.c */
/* What they share: an object with that name; a value, for a header if one_line. */
struct apim_object *apim_object_create(struct reader *r, const char *name);
bool apim_value_read(struct reader *r, const Egret__Apim__V1__Value *m, bool one_line, struct apim_value *out);
/* A list of values; apim_program.c. */
bool apim_values_read(struct reader *r, Egret__Apim__V1__Value *const *list, size_t n, bool one_line,
                      const struct apim_value **out);
/* apim_steps.c: instructions without a place in apim_program.c. false also for one that is not known at all. */
bool apim_step_read(struct reader *r, const Egret__Apim__V1__Instruction *m, struct apim_instruction *out);
bool apim_limit_read(struct reader *r, const Egret__Apim__V1__Instruction *m, struct apim_instruction *out);
void apim_forward_read(const Egret__Apim__V1__ForwardRequest *m, struct apim_forward *out);
/* These keep nothing of r->arena. keys: those that this proxy holds. */
struct apim_object *apim_subscription_create(struct reader *r, const Egret__Apim__V1__Subscription *m,
                                             const struct apim_mac_key *keys, size_t n_keys);
struct apim_api *apim_api_read(struct reader *r, const Egret__Apim__V1__Api *m);
