/*
 * delta: what a watch does in incremental xDS. What the client should hold is decided as in state of the world; here
 * stand subscriptions by increments, what it says it holds already, and what it refused. `sent` is what the client was
 * told, and what it says it holds; a resource of which nothing is known in it ("unknown") makes an answer due for that
 * name: its content, or that it is not there. Part of session. One thread.
 */
#pragma once
#include "xds/session/session.h"
#include "xds/session/watch.h"

/* The first request of the type on this stream: what it holds, and the wildcard of an empty list. */
void delta_begin(struct watch *w, const struct session_delta_request *request);
/* Names again, too: whoever asks for one again gets it again. The caller sets the target anew after these two. */
void delta_subscribe(struct watch *w, const struct session_delta_request *request);
void delta_unsubscribe(struct watch *w, const struct session_delta_request *request);
/* shown NULL: accepted; else the reason, taken: text is as the client wrote it. */
void delta_take_verdict(struct watch *w, struct slice text, char *shown);
void delta_note_sent(struct watch *w, struct resource_list *list, struct resource_list *changed,
                     unsigned long long nonce);
/* Those of w that one of the clusters names go out once more. */
void delta_resend_named_in(struct watch *w, const struct resource_list *clusters);
