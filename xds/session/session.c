#include "xds/session/session.h"

#include <string.h>

#include "base/mem.h"
#include "xds/session/delta.h"
#include "xds/session/watch.h"

enum { REASON_MAX = 1000 };

struct session {
    bool egret_types, delta;
    struct resource_set *set;                       /* published last; NULL: nothing yet */
    struct resource_list *last_list, *last_removed; /* of the last response: the caller may still read them */
    unsigned long long last_nonce;
    struct watch watches[XDS_TYPES];
};

struct session *session_create(enum session_kind kind, bool egret_types)
{
    struct session *s = mem_alloc(sizeof *s);
    s->egret_types = egret_types;
    s->delta = kind == SESSION_DELTA;
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        watch_init(&s->watches[t], (enum xds_type)t, s->delta);
    }
    return s;
}

void session_destroy(struct session **session)
{
    if (*session == NULL) {
        return;
    }
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        watch_fini(&(*session)->watches[t]);
    }
    resource_list_unref((*session)->last_list);
    resource_list_unref((*session)->last_removed);
    resource_set_unref((*session)->set);
    mem_free(*session);
    *session = NULL;
}

/* The reason is shown in tables and logs: one line, bounded. */
static char *clean_reason(struct slice reason)
{
    char *text = mem_str_slice(slice_is_empty(reason) ? SLICE("no reason given") : slice_sub(reason, 0, REASON_MAX));
    for (char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
    return text;
}

/* The answer to our last response of this type. */
static void take_verdict(struct watch *w, const struct session_request *request)
{
    if (!w->awaiting) {
        return; /* answered before: now it is only a statement about names */
    }
    w->awaiting = false;
    if (request->refused) {
        mem_free(w->rejected);
        w->rejected = clean_reason(request->reason);
    } else if (slice_eq(request->version, slice_of(w->version))) {
        resource_list_unref(w->accepted);
        w->accepted = resource_list_ref(w->sent);
    } /* else: it echoed the nonce with another version, so it kept what it had */
}

/* A request without a nonce after the first: a new start on the same stream, unless an answer is on its way. */
static bool asks_again(const struct watch *w, const struct session_request *request)
{
    return !w->awaiting && !request->refused && !slice_eq(request->version, slice_of(w->version));
}

/* false: err says that the stream must end. *w NULL: a type that this stream does not get. */
static bool find_watch(struct session *s, struct slice type_url, struct watch **w, struct err *err)
{
    enum xds_type type;
    *w = NULL;
    if (slice_is_empty(type_url)) {
        return err_set(err, ERR_PROTOCOL, "type_url: missing, it is needed on an aggregated stream");
    }
    if (xds_type_find(type_url, &type) && (s->egret_types || !xds_type_is_egret(type))) {
        *w = &s->watches[type];
    }
    return true;
}

bool session_on_request(struct session *session, const struct session_request *request, struct err *err)
{
    struct watch *w;
    if (!find_watch(session, request->type_url, &w, err)) {
        return false;
    }
    if (w == NULL) {
        return true;
    }
    bool first = !w->subscribed;
    bool answers = !first && w->nonce[0] != '\0' && slice_eq(request->nonce, slice_of(w->nonce));
    if (!first && !answers && !slice_is_empty(request->nonce) && w->nonce[0] != '\0') {
        return true; /* stale: the client will send another */
    }
    w->subscribed = true;
    if (answers) {
        take_verdict(w, request);
    } else if (!first && asks_again(w, request)) {
        w->owed = true;
    }
    if (watch_set_names(w, request->names, request->name_count, session->set) || first) {
        w->owed = true;
    }
    return true;
}

/* Changes of the subscription count in any case: they are never repeated. Only the verdict may be out of date. */
bool session_on_delta_request(struct session *session, const struct session_delta_request *request, struct err *err)
{
    struct watch *w;
    if (!find_watch(session, request->type_url, &w, err)) {
        return false;
    }
    if (w == NULL) {
        return true;
    }
    if (!w->subscribed) {
        delta_begin(w, request);
    } else if (w->awaiting && slice_eq(request->nonce, slice_of(w->nonce))) {
        char *reason = request->refused ? clean_reason(request->reason) : NULL;
        delta_take_verdict(w, request->reason, reason);
    }
    delta_subscribe(w, request);
    delta_unsubscribe(w, request);
    watch_set_target(w, session->set);
    return true;
}

void session_on_set(struct session *session, struct resource_set *set)
{
    resource_set_ref(set);
    resource_set_unref(session->set);
    session->set = set;
    for (unsigned t = 0; t < XDS_TYPES; t++) {
        watch_set_target(&session->watches[t], set);
    }
}

/*
 * May what is gone from the set be withdrawn from the client? Only when whoever could refer to it has accepted the new
 * state. The chain has no circle: Subscription, Api, routes → Product → PolicyProgram → Backend → clusters → tunnels.
 */
static bool may_withdraw(const struct session *s, enum xds_type type)
{
    const struct watch *w = s->watches;
    switch (type) {
    case XDS_CLUSTER:
        return watch_is_made(&w[XDS_LISTENER]) && watch_is_settled(&w[XDS_ROUTE]) &&
               watch_is_settled(&w[XDS_BACKEND]) && watch_is_settled(&w[XDS_API]);
    case XDS_LISTENER:
        return watch_is_settled(&w[XDS_CLUSTER]);
    case XDS_BACKEND:
        return watch_is_settled(&w[XDS_PROGRAM]) && watch_is_settled(&w[XDS_API]);
    case XDS_PROGRAM:
        return watch_is_settled(&w[XDS_PRODUCT]) && watch_is_settled(&w[XDS_API]);
    case XDS_PRODUCT:
        return watch_is_settled(&w[XDS_API]) && watch_is_settled(&w[XDS_SUBSCRIPTION]);
    case XDS_ENDPOINT:
    case XDS_ROUTE:
    case XDS_SECRET:
    case XDS_API:
    case XDS_SUBSCRIPTION:
        break;
    }
    return true;
}

/* What a response of this type would hold now. Borrowed. */
static struct resource_list *content(const struct session *s, struct watch *w)
{
    if (w->sent == NULL || !(w->delta || xds_type_is_full_set(w->type)) || resource_list_equal(w->sent, w->target) ||
        may_withdraw(s, w->type)) {
        return w->target;
    }
    return watch_joined(w);
}

/* A changed cluster stays in warming until endpoints come after it, even if they are the same. */
static void follow_clusters(struct session *s, const struct resource_list *clusters)
{
    struct watch *endpoints = &s->watches[XDS_ENDPOINT];
    if (s->delta) {
        delta_resend_named_in(endpoints, clusters);
    } else if (endpoints->subscribed && endpoints->sent != NULL) {
        endpoints->owed = true;
    }
}

static void keep(struct resource_list **at, struct resource_list *list)
{
    resource_list_unref(*at);
    *at = list;
}

static void send(struct session *s, struct watch *w, struct resource_list *list, struct session_response *out)
{
    struct resource_list *changed = list, *removed = NULL;
    if (s->delta) {
        resource_list_diff(w->sent, list, &changed, &removed);
    } else {
        resource_list_ref(list);
    }
    keep(&s->last_list, changed);
    keep(&s->last_removed, removed);
    if (s->delta) {
        delta_note_sent(w, list, changed, ++s->last_nonce);
    } else {
        watch_note_sent(w, list, ++s->last_nonce);
    }
    watch_count(w, changed);
    if (w->type == XDS_CLUSTER) {
        follow_clusters(s, changed);
    }
    *out = (struct session_response){
        .type = w->type, .version = w->version, .nonce = w->nonce, .resources = changed, .removed = removed};
}

bool session_next(struct session *session, struct session_response *out)
{
    bool blocked = false; /* an earlier type has news that wait for an acknowledgement */
    for (unsigned t = 0; session->set != NULL && t < XDS_TYPES; t++) {
        struct watch *w = &session->watches[t];
        if (!w->subscribed || (blocked && t != XDS_SUBSCRIPTION)) {
            continue; /* keys never wait: a withdrawn one must stop working */
        }
        struct resource_list *list = content(session, w);
        if (!watch_needs(w, list)) {
            continue;
        }
        if (!w->awaiting) {
            send(session, w, list, out);
            return true;
        }
        blocked = true;
    }
    return false;
}

struct session_status session_status(const struct session *session, enum xds_type type)
{
    const struct watch *w = &session->watches[type];
    struct session_status out = {
        .version = w->version,
        .resources = resource_list_count(w->target),
        .responses = w->responses,
        .resources_sent = w->resources_sent,
        .bytes_sent = w->bytes_sent,
    };
    if (w->sent == NULL || session->set == NULL || !watch_wants_anything(w)) {
        out.state = SESSION_NOT_SENT;
    } else if (w->rejected != NULL) {
        out.state = SESSION_REJECTED;
        out.reason = w->rejected;
    } else {
        out.state = watch_is_made(w) ? SESSION_SYNCED : SESSION_STALE;
    }
    return out;
}

const char *session_state_name(enum session_state state)
{
    static const char *const names[] = {
        [SESSION_NOT_SENT] = "NOT SENT",
        [SESSION_STALE] = "STALE",
        [SESSION_SYNCED] = "SYNCED",
        [SESSION_REJECTED] = "REJECTED",
    };
    return names[state];
}
