/* Listener → listener_conf, with its parts: filter chains (chain_read.c), HTTP connection managers (hcm.c), TCP proxies
 * (tcp.c). */
#pragma once
#include "proxy/config/read.h"
#include "proxy/config/snapshot.h"

/* One reference; r->arena and r->cleanups go over to it. NULL with the reader's error. With r->missing_secret a TLS
 * context is not there: it must not serve. */
struct listener_conf *listener_create(struct reader *r, const pb_listener *m);

/* ---- for the files of this part ---- */

bool chain_read(struct reader *r, const pb_chain *m, struct chain_conf *out);
/* No connection can fit two of them. */
bool chains_check(struct reader *r, const struct chain_conf *chains, size_t n);
bool hcm_read(struct reader *r, const pb_hcm *m, struct hcm_conf *out);
bool tcp_read(struct reader *r, const pb_tcp_proxy *m, struct tcp_conf *out);
bool access_logs_read(struct reader *r, pb_access_log *const *list, size_t n, void *const **out);
