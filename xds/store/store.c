#include "xds/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum { SCHEMA = 1 };

struct store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *put, *del;
};

static bool fail(struct store *s, struct err *err)
{
    return err_set(err, ERR_IO, "%s: %s", s->path, s->db == NULL ? "cannot be opened" : sqlite3_errmsg(s->db));
}

static bool run(struct store *s, const char *sql, struct err *err)
{
    return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK || fail(s, err);
}

static void close_db(struct store *s)
{
    sqlite3_finalize(s->put);
    sqlite3_finalize(s->del);
    s->put = s->del = NULL;
    sqlite3_close(s->db);
    s->db = NULL;
}

/* The first column of the first row as a number; -1 when there is none. */
static int64_t number(struct store *s, const char *sql)
{
    sqlite3_stmt *q = NULL;
    int64_t out = -1;
    if (sqlite3_prepare_v2(s->db, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW) {
        out = sqlite3_column_int64(q, 0);
    }
    sqlite3_finalize(q);
    return out;
}

static bool is_sound(struct store *s)
{
    sqlite3_stmt *q = NULL;
    bool ok = sqlite3_prepare_v2(s->db, "PRAGMA quick_check(1)", -1, &q, NULL) == SQLITE_OK &&
              sqlite3_step(q) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(q, 0), "ok") == 0;
    sqlite3_finalize(q);
    return ok;
}

static bool prepare(struct store *s)
{
    return sqlite3_prepare_v2(s->db, "INSERT OR REPLACE INTO artifacts(path, hash, bytes) VALUES(?1, ?2, ?3)", -1,
                              &s->put, NULL) == SQLITE_OK &&
           sqlite3_prepare_v2(s->db, "DELETE FROM artifacts WHERE path = ?1", -1, &s->del, NULL) == SQLITE_OK;
}

/* true: usable. *aside: what is there cannot be used, but a fresh one could be. */
static bool open_db(struct store *s, const char **aside, struct err *err)
{
    int fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* SQLite gives its other files the same mode */
    if (fd < 0) {
        return err_errno(err, errno, "%s", s->path);
    }
    close(fd);
    if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        return fail(s, err);
    }
    sqlite3_busy_timeout(s->db, 2000);
    int64_t version = number(s, "PRAGMA user_version");
    if (version < 0 || !is_sound(s)) {
        *aside = "damaged";
        return fail(s, err);
    }
    if (version > SCHEMA) {
        *aside = "newer";
        return err_set(err, ERR_UNSUPPORTED, "%s: schema %lld, this program knows %d", s->path, (long long)version,
                       SCHEMA);
    }
    bool ok = run(s, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;", err) &&
              run(s,
                  "CREATE TABLE IF NOT EXISTS artifacts(path TEXT PRIMARY KEY, hash INTEGER NOT NULL, bytes BLOB NOT "
                  "NULL) WITHOUT ROWID; PRAGMA user_version = 1;",
                  err) &&
              (prepare(s) || fail(s, err));
    if (!ok && (sqlite3_errcode(s->db) == SQLITE_CORRUPT || sqlite3_errcode(s->db) == SQLITE_ERROR)) {
        *aside = "damaged"; /* sound pages, but not our table */
    }
    return ok;
}

static bool set_aside(struct store *s, const char *how, char notice[256], struct err *err)
{
    struct err why = *err;
    char *away = mem_printf("%s.%s-%lld", s->path, how, (long long)(clock_wall_us() / 1000));
    bool ok = rename(s->path, away) == 0;
    int code = errno;
    static const char *const others[] = {"-wal", "-shm"}; /* they belong to the old one: a new one must not read them */
    for (unsigned i = 0; ok && i < 2; i++) {
        char *from = mem_printf("%s%s", s->path, others[i]), *to = mem_printf("%s%s", away, others[i]);
        if (rename(from, to) != 0 && errno != ENOENT) {
            unlink(from);
        }
        mem_free(from);
        mem_free(to);
    }
    if (ok) {
        snprintf(notice, 256, "%.120s; it was renamed to %.110s", why.text, away);
    } else {
        err_errno(err, code, "%s: cannot be renamed aside", s->path);
    }
    mem_free(away);
    return ok;
}

struct store *store_open(const char *folder, char notice[256], struct err *err)
{
    notice[0] = '\0';
    if (!file_make_dir(folder, 0700, err)) {
        return NULL;
    }
    struct store *s = mem_alloc(sizeof *s);
    s->path = mem_printf("%s/control.db", folder);
    const char *aside = NULL;
    struct err why = {0};
    bool ok = chmod(folder, 0700) == 0 || err_errno(&why, errno, "%s", folder);
    ok = ok && open_db(s, &aside, &why);
    if (!ok && aside != NULL) {
        close_db(s);
        ok = set_aside(s, aside, notice, &why) && open_db(s, &aside, &why);
    }
    if (!ok) {
        if (err != NULL) {
            *err = why;
        }
        store_close(&s);
    }
    return s;
}

void store_close(struct store **store)
{
    if (*store == NULL) {
        return;
    }
    close_db(*store);
    mem_free((*store)->path);
    mem_free(*store);
    *store = NULL;
}

bool store_each(struct store *store, void (*fn)(void *ctx, const struct store_item *item), void *ctx, struct err *err)
{
    sqlite3_stmt *q = NULL;
    if (sqlite3_prepare_v2(store->db, "SELECT path, hash, bytes FROM artifacts ORDER BY path", -1, &q, NULL) !=
        SQLITE_OK) {
        return fail(store, err);
    }
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        const struct store_item item = {
            .path = slice_make(sqlite3_column_text(q, 0), (size_t)sqlite3_column_bytes(q, 0)),
            .hash = (uint64_t)sqlite3_column_int64(q, 1),
            .bytes = slice_make(sqlite3_column_blob(q, 2), (size_t)sqlite3_column_bytes(q, 2)),
        };
        fn(ctx, &item);
    }
    bool ok = rc == SQLITE_DONE || fail(store, err);
    sqlite3_finalize(q);
    return ok;
}

static bool step(struct store *s, sqlite3_stmt *q, struct err *err)
{
    bool ok = sqlite3_step(q) == SQLITE_DONE || fail(s, err);
    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return ok;
}

static void bind_path(sqlite3_stmt *q, struct slice path)
{
    sqlite3_bind_text(q, 1, path.n == 0 ? "" : path.p, (int)path.n, SQLITE_STATIC);
}

bool store_begin(struct store *store, struct err *err)
{
    return run(store, "BEGIN IMMEDIATE", err);
}

bool store_put(struct store *store, const struct store_item *item, struct err *err)
{
    bind_path(store->put, item->path);
    sqlite3_bind_int64(store->put, 2, (sqlite3_int64)item->hash);
    sqlite3_bind_blob64(store->put, 3, item->bytes.n == 0 ? "" : item->bytes.p, item->bytes.n, SQLITE_STATIC);
    return step(store, store->put, err);
}

bool store_delete(struct store *store, struct slice path, struct err *err)
{
    bind_path(store->del, path);
    return step(store, store->del, err);
}

bool store_commit(struct store *store, struct err *err)
{
    return run(store, "COMMIT", err);
}

void store_rollback(struct store *store)
{
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}
