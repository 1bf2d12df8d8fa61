/* DataSource: bytes from a file, the environment, or the configuration itself. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "proxy/config/read.h"

void file_use_look(struct file_use *use)
{
    struct stat st = {0};
    if (stat(use->path, &st) == 0) {
        use->mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        use->size = (uint64_t)st.st_size;
        use->inode = (uint64_t)st.st_ino;
    }
}

static void note_file(struct reader *r, const char *path)
{
    struct file_use *use = arena_zalloc(r->arena, sizeof *use);
    *use = (struct file_use){.next = r->files, .path = arena_str(r->arena, slice_of(path))};
    file_use_look(use);
    r->files = use;
}

void read_note_files(struct reader *r, const struct file_use *files)
{
    for (; files != NULL; files = files->next) {
        struct file_use *use = arena_alloc(r->arena, sizeof *use);
        *use = *files;
        use->next = r->files;
        use->path = arena_str(r->arena, slice_of(files->path));
        r->files = use;
    }
}

bool file_use_changed(const struct file_use *f)
{
    for (; f != NULL; f = f->next) {
        struct file_use now = {.path = f->path};
        file_use_look(&now);
        if (now.mtime_ns != f->mtime_ns || now.size != f->size || now.inode != f->inode) {
            return true;
        }
    }
    return false;
}

static bool from_file(struct reader *r, const char *path, const struct data_rule *rule, struct secret_pem *out)
{
    if (path[0] == '\0') {
        return read_fail(r, "filename", ERR_INPUT, "must not be empty");
    }
    char *text = NULL;
    size_t n = 0;
    struct err why;
    err_clear(&why);
    note_file(r, path); /* before reading: a change during it is seen later */
    if (!file_read(path, rule->max, &text, &n, &why)) {
        return read_fail(r, "filename", ERR_IO, "%s", why.text);
    }
    *out = (struct secret_pem){arena_slice(r->arena, slice_make(text, n)), arena_str(r->arena, slice_of(path))};
    if (rule->secret) {
        mem_wipe(text, n);
    }
    mem_free(text);
    return true;
}

static bool from_environment(struct reader *r, const char *name, struct secret_pem *out)
{
    const char *value = name[0] == '\0' ? NULL : getenv(name);
    if (value == NULL) {
        return read_fail(r, "environment_variable", ERR_INPUT, "\"%.100s\" is not set", name);
    }
    *out = (struct secret_pem){read_text(r, value), "<environment>"};
    return true;
}

static bool from_any_source(struct reader *r, const pb_data *data, const struct data_rule *rule, struct secret_pem *out)
{
    switch ((int)data->specifier_case) {
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME:
        return from_file(r, data->filename, rule, out);
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_ENVIRONMENT_VARIABLE:
        return from_environment(r, data->environment_variable, out);
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES:
        *out = (struct secret_pem){
            arena_slice(r->arena, slice_make(data->inline_bytes.data, data->inline_bytes.len)), "<inline>"};
        return true;
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING:
        *out = (struct secret_pem){read_text(r, data->inline_string), "<inline>"};
        return true;
    default:
        return read_fail(r, NULL, ERR_INPUT, "one of filename, inline_bytes, inline_string, environment_variable is required");
    }
}

bool read_data(struct reader *r, const char *field, const pb_data *data, struct data_rule rule, struct secret_pem *out)
{
    *out = (struct secret_pem){SLICE_NONE, "<none>"};
    if (data == NULL) {
        return !rule.required || read_required(r, field);
    }
    size_t mark = read_push(r, field);
    if (!from_any_source(r, data, &rule, out)) {
        return false;
    }
    if (out->text.n > rule.max) {
        return read_fail(r, NULL, ERR_LIMIT, "larger than %zu bytes", rule.max);
    }
    if (rule.required && out->text.n == 0) {
        return read_fail(r, NULL, ERR_INPUT, "is empty");
    }
    read_pop(r, mark);
    return true;
}
