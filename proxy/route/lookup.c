/* A request against a route table: host, then route, then cluster. */
#include "proxy/route/compiled.h"
#include "proxy/route/path.h"

/* What the routes of one host are tried against. */
struct probe {
    const struct route_request *req;
    struct slice path, query;
    bool is_connect;
    struct regex_scratch scratch;
};

static const struct host_name *find_name(const struct host_names *names, struct slice text)
{
    uint32_t cursor = 0, at = 0;
    uint64_t hash = fold_hash(text);
    while (hash_index_next(&names->index, hash, &cursor, &at)) {
        if (slice_eq_nocase(names->names[at].text, text)) {
            return &names->names[at];
        }
    }
    return NULL;
}

/* The star stands for at least one byte. */
static const struct host_name *find_wildcard(const struct host_names *names, struct slice host, bool suffix)
{
    for (uint32_t i = 0; i < names->length_count; i++) {
        size_t n = names->lengths[i];
        if (n >= host.n) {
            continue;
        }
        const struct host_name *found = find_name(names, suffix ? slice_from(host, host.n - n) : slice_sub(host, 0, n));
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static const struct route_host *find_host(const struct route_table *table, struct slice authority)
{
    struct slice host = table->conf->ignore_port ? route_host_of(authority) : authority;
    const struct host_name *found = table->exact.length_count > 0 ? find_name(&table->exact, host) : NULL;
    if (found == NULL) {
        found = find_wildcard(&table->suffix, host, true);
    }
    if (found == NULL) {
        found = find_wildcard(&table->prefix, host, false);
    }
    return found == NULL ? table->any : &table->hosts[found->host];
}

static bool separated_prefix(struct slice path, struct slice prefix, bool ignore_case)
{
    bool starts = ignore_case ? slice_starts_with_nocase(path, prefix) : slice_starts_with(path, prefix);
    return starts && (path.n == prefix.n || path.p[prefix.n] == '/');
}

static enum match_result test_path(const struct route_entry *e, struct probe *p)
{
    const struct route_rule_conf *c = e->conf;
    if (c->path_kind == ROUTE_PATH_CONNECT) {
        return p->is_connect ? MATCH_YES : MATCH_NO;
    }
    if (p->req->path.n == 0) {
        return MATCH_NO; /* a plain CONNECT has no path, so only connect_matcher fits */
    }
    bool holds = false;
    switch (c->path_kind) {
    case ROUTE_PATH_PREFIX:
        holds = c->ignore_case ? slice_starts_with_nocase(p->path, c->path) : slice_starts_with(p->path, c->path);
        break;
    case ROUTE_PATH_EXACT:
        holds = c->ignore_case ? slice_eq_nocase(p->path, c->path) : slice_eq(p->path, c->path);
        break;
    case ROUTE_PATH_SEPARATED_PREFIX:
        holds = separated_prefix(p->path, c->path, c->ignore_case);
        break;
    case ROUTE_PATH_REGEX: {
        enum regex_result r = regex_match(e->path, p->path, &p->scratch);
        return r == REGEX_YES ? MATCH_YES : r == REGEX_NO ? MATCH_NO : MATCH_LIMIT;
    }
    case ROUTE_PATH_CONNECT:
        break;
    }
    return holds ? MATCH_YES : MATCH_NO;
}

static enum match_result test_entry(const struct route_entry *e, struct probe *p)
{
    enum match_result r = test_path(e, p);
    for (size_t i = 0; r == MATCH_YES && i < e->conf->header_count; i++) {
        r = header_match_test(&e->headers[i], p->req, &p->scratch);
    }
    for (size_t i = 0; r == MATCH_YES && i < e->conf->query_count; i++) {
        r = query_match_test(&e->query[i], p->query, &p->scratch);
    }
    return r;
}

/* Positions still to be tried, ascending. */
struct cursor {
    const uint32_t *at, *end;
};

/* Enough for an exact path, the rest, and this many prefixes of one path; deeper nests are walked as a list. */
enum { CURSORS = 48 };

static void add_group(struct cursor *cursors, uint32_t *count, const struct route_index *ix,
                      const struct hash_index *in, struct slice text, uint64_t hash)
{
    uint32_t cursor = 0, at = 0;
    while (hash_index_next(in, hash, &cursor, &at)) {
        const struct route_group *g = &ix->groups[at];
        if (slice_eq(g->text, text)) {
            if (*count < CURSORS) {
                cursors[*count] = (struct cursor){g->positions, g->positions + g->count};
            }
            (*count)++;
            return;
        }
    }
}

/* Returns how many lists of candidates there are; more than CURSORS: the caller must walk the whole list. */
static uint32_t collect(const struct route_index *ix, struct slice path, struct cursor *cursors)
{
    uint32_t count = 0;
    uint64_t hash = FOLD_START;
    size_t hashed = 0;
    if (ix->other_count > 0) {
        cursors[count++] = (struct cursor){ix->others, ix->others + ix->other_count};
    }
    for (uint32_t i = 0; i < ix->length_count && ix->lengths[i] <= path.n; i++) {
        for (; hashed < ix->lengths[i]; hashed++) {
            hash = fold_byte(hash, (unsigned char)path.p[hashed]);
        }
        add_group(cursors, &count, ix, &ix->prefix, slice_sub(path, 0, hashed), hash);
    }
    for (; hashed < path.n; hashed++) {
        hash = fold_byte(hash, (unsigned char)path.p[hashed]);
    }
    add_group(cursors, &count, ix, &ix->exact, path, hash);
    return count;
}

static struct cursor *lowest(struct cursor *cursors, uint32_t count)
{
    struct cursor *best = NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct cursor *c = &cursors[i];
        if (c->at < c->end && (best == NULL || *c->at < *best->at)) {
            best = c;
        }
    }
    return best;
}

static enum match_result walk_list(const struct route_host *host, struct probe *p, const struct route_entry **found)
{
    for (uint32_t i = 0; i < host->entry_count; i++) {
        enum match_result r = test_entry(&host->entries[i], p);
        if (r != MATCH_NO) {
            *found = &host->entries[i];
            return r;
        }
    }
    return MATCH_NO;
}

static enum match_result find_entry(const struct route_host *host, struct probe *p, const struct route_entry **found)
{
    struct cursor cursors[CURSORS];
    uint32_t count = host->index == NULL ? CURSORS + 1 : collect(host->index, p->path, cursors);
    if (count > CURSORS) {
        return walk_list(host, p, found);
    }
    for (struct cursor *c; (c = lowest(cursors, count)) != NULL; c->at++) {
        enum match_result r = test_entry(&host->entries[*c->at], p);
        if (r != MATCH_NO) {
            *found = &host->entries[*c->at];
            return r;
        }
    }
    return MATCH_NO;
}

static void pick_cluster(const struct route_entry *e, const struct route_request *req, uint64_t random,
                         struct route_match *out)
{
    const struct forward_conf *f = &e->conf->forward;
    bool present = false;
    switch (f->pick) {
    case CLUSTER_NAMED:
        out->cluster = f->cluster;
        return;
    case CLUSTER_FROM_HEADER:
        out->cluster = route_request_header(req, f->cluster, &present);
        return;
    case CLUSTER_WEIGHTED:
        break;
    }
    uint64_t at = random % e->total_weight;
    for (size_t i = 0; i < f->weighted_count; i++) {
        if (at < f->weighted[i].weight) {
            out->weighted = &f->weighted[i];
            out->cluster = f->weighted[i].name;
            return;
        }
        at -= f->weighted[i].weight;
    }
}

static bool is_secure(const struct route_request *req)
{
    return slice_eq_nocase(req->scheme, SLICE("https")) || slice_eq_nocase(req->scheme, SLICE("wss"));
}

static bool must_use_tls(const struct vhost_conf *v, const struct route_request *req)
{
    switch (v->require_tls) {
    case VHOST_TLS_NONE:
        return false;
    case VHOST_TLS_EXTERNAL_ONLY:
        return !req->internal && !is_secure(req);
    case VHOST_TLS_ALL:
        return !is_secure(req);
    }
    return true;
}

static enum route_outcome outcome_of(enum route_action action)
{
    switch (action) {
    case ROUTE_ACTION_FORWARD:
        return ROUTE_FORWARD;
    case ROUTE_ACTION_REDIRECT:
        return ROUTE_REDIRECT;
    case ROUTE_ACTION_DIRECT:
        return ROUTE_DIRECT;
    }
    return ROUTE_NO_MATCH;
}

static void match_in_host(const struct route_host *host, struct probe *p, uint64_t random, struct route_match *out)
{
    const struct route_entry *e = NULL;
    switch (find_entry(host, p, &e)) {
    case MATCH_NO:
        out->outcome = host->conf->apim != NULL ? ROUTE_APIM : ROUTE_NO_MATCH;
        return;
    case MATCH_LIMIT:
        out->outcome = ROUTE_DENIED;
        return;
    case MATCH_YES:
        break;
    }
    out->entry = e;
    out->rule = e->conf;
    out->outcome = outcome_of(e->conf->action);
    if (out->outcome == ROUTE_FORWARD) {
        pick_cluster(e, p->req, random, out);
    }
}

void route_table_match(const struct route_table *table, const struct route_request *req, uint64_t random,
                       struct arena *arena, struct route_match *out)
{
    *out = (struct route_match){.outcome = ROUTE_NO_HOST, .conf = table->conf};
    const struct route_host *host = find_host(table, req->authority);
    if (host == NULL) {
        return;
    }
    out->vhost = host->conf;
    if (must_use_tls(host->conf, req)) {
        out->outcome = ROUTE_REDIRECT;
        return;
    }
    struct probe p = {.req = req, .is_connect = slice_eq(req->method, SLICE("CONNECT")), .scratch = {.arena = arena}};
    p.path = path_split(req->path, &p.query);
    match_in_host(host, &p, random, out);
}

const struct retry_conf *route_retry(const struct route_match *match)
{
    if (match->outcome != ROUTE_FORWARD) {
        return NULL;
    }
    const struct retry_conf *own = match->rule->forward.retry;
    return own != NULL ? own : match->vhost->retry;
}

const struct upgrade_conf *route_upgrade(const struct route_match *match, struct slice type)
{
    if (match->outcome != ROUTE_FORWARD) {
        return NULL;
    }
    const struct forward_conf *f = &match->rule->forward;
    for (size_t i = 0; i < f->upgrade_count; i++) {
        if (f->upgrades[i].enabled && slice_eq_nocase(f->upgrades[i].type, type)) {
            return &f->upgrades[i];
        }
    }
    return NULL;
}
