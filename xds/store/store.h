/*
 * store: the control server's memory across restarts: the last good form of each artifact, in SQLite under the state
 * folder (0700; the database 0600, WAL). What is secret is sealed by the caller before it comes here. One thread.
 *
 * A damaged database, or one of a newer schema, is never fatal: it is renamed aside, named in `notice`, and an empty
 * one takes its place.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct store;

struct store_item {
    struct slice path;
    uint64_t hash; /* the caller's, of the form it stored */
    struct slice bytes;
};

/* notice gets a text when a database was set aside; it stays "" otherwise. */
struct store *store_open(const char *folder, char notice[256], struct err *err);
void store_close(struct store **store);

/* Everything in order of path; fn must not call the store. */
bool store_each(struct store *store, void (*fn)(void *ctx, const struct store_item *item), void *ctx, struct err *err);

/* Changes between begin and commit become durable together or not at all. */
bool store_begin(struct store *store, struct err *err);
bool store_put(struct store *store, const struct store_item *item, struct err *err);
bool store_delete(struct store *store, struct slice path, struct err *err);
bool store_commit(struct store *store, struct err *err);
void store_rollback(struct store *store);
