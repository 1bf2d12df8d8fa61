/*
 * watch: what one stream wants of one resource type, what it was sent and what it accepted. Part of session; a plain
 * value in it (watch_init / watch_fini). One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "xds/cache/cache.h"

struct watch {
    enum xds_type type;
    bool delta;
    bool subscribed; /* a request for this type came */
    bool wildcard;
    bool ever_named; /* from then on an empty list of names means "nothing" */
    char **names;    /* sorted, no doubles, without "*" */
    size_t name_count;

    struct resource_list *target;   /* what the set published last holds for this subscription; NULL: no set yet */
    struct resource_list *sent;     /* what the client was last told, narrowed to its subscription; NULL: nothing */
    struct resource_list *accepted; /* the last such list it acknowledged */
    struct resource_list *joined;   /* target and what only sent has, made when asked for; NULL: not made */
    bool owed;                      /* an answer is due even if its content is known to the client */
    bool awaiting;                  /* the response with this nonce is not acknowledged yet */
    char nonce[24];                 /* of the last response; "" before the first */
    char version[40];               /* of the last response */
    char *rejected;                 /* why the client refused what was sent last; NULL: it did not */
    struct resource_list *changing; /* delta: what the last response changed */
    struct resource_list *refused;  /* delta: what the client was told and did not take; NULL: it took all */
    uint64_t responses, resources_sent, bytes_sent;
};

void watch_init(struct watch *w, enum xds_type type, bool delta);
void watch_fini(struct watch *w);

/* Takes the names of a request. true: something was added that exists, so an answer is due. */
bool watch_set_names(struct watch *w, const struct slice *names, size_t n, const struct resource_set *set);
void watch_set_target(struct watch *w, const struct resource_set *set);
bool watch_wants_anything(const struct watch *w);
struct resource_list *watch_joined(struct watch *w); /* borrowed: target, and from sent what must not go yet */

/* Everything that should be there was sent and accepted (more may have been kept). */
bool watch_is_made(const struct watch *w);
/* Exactly what should be there was sent and accepted. */
bool watch_is_settled(const struct watch *w);
/* Does sending `list` tell the client anything, or is an answer due? */
bool watch_needs(const struct watch *w, const struct resource_list *list);
void watch_note_sent(struct watch *w, struct resource_list *list, unsigned long long nonce);
void watch_count(struct watch *w, const struct resource_list *list); /* what went out, for the status */

/* For delta.c. */
void watch_replace(struct resource_list **at, struct resource_list *list); /* takes the reference */
struct resource_list *watch_narrow(const struct watch *w, struct resource_list *list);
