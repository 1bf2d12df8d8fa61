#include "proxy/observe/access_log.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/macros.h"
#include "base/mem.h"
#include "pb/egret/config/v1/access_log.pb-c.h"
#include "pb/envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "pb/envoy/extensions/access_loggers/stream/v3/stream.pb-c.h"
#include "proxy/observe/format.h"
#include "proxy/observe/gateway_log.h"
#include "proxy/observe/log_sink.h"

enum { FORMAT_FILE_MAX = 64 << 10 };

struct access_log {
    struct log_file *file;
    void (*render)(const struct access_log *log, const struct record *r, struct line *out);
    const struct text_format *text;
    const struct json_format *json;
};

void access_log_write(const struct access_log *log, const struct record *r)
{
    struct line line;
    line_init(&line);
    log->render(log, r, &line);
    log_file_write(log->file, line_slice(&line));
    line_fini(&line);
}

static void render_text(const struct access_log *log, const struct record *r, struct line *out)
{
    text_format_render(log->text, r, out);
}

static void render_json(const struct access_log *log, const struct record *r, struct line *out)
{
    json_format_render(log->json, r, out);
}

static void render_gateway_text(const struct access_log *log, const struct record *r, struct line *out)
{
    (void)log;
    gateway_log_text(r, out);
}

static void render_gateway_json(const struct access_log *log, const struct record *r, struct line *out)
{
    (void)log;
    gateway_log_json(r, out);
}

/* ---- formats ---- */

static bool use_text(struct access_log *log, struct slice text, bool omit, struct arena *arena, struct err *err)
{
    log->render = render_text;
    log->text = text_format_compile(text, omit, arena, err);
    return log->text != NULL;
}

static bool use_json(struct access_log *log, const Google__Protobuf__Struct *fields, struct json_options options,
                     struct arena *arena, struct err *err)
{
    log->render = render_json;
    log->json = json_format_compile(fields, options, arena, err);
    return log->json != NULL;
}

static bool use_file(struct access_log *log, const char *path, bool omit, struct arena *arena, struct err *err)
{
    char *text;
    size_t n;
    if (!file_read(path, FORMAT_FILE_MAX, &text, &n, err)) {
        return err_prefix(err, "filename");
    }
    bool ok = use_text(log, slice_make(text, n), omit, arena, err);
    mem_free(text);
    return ok;
}

static bool use_source(struct access_log *log, const Envoy__Config__Core__V3__DataSource *source, bool omit,
                       struct arena *arena, struct err *err)
{
    if (source->watched_directory != NULL) {
        return err_set(err, ERR_UNSUPPORTED, "watched_directory: a format is read once, when it is configured");
    }
    const char *variable;
    switch (source->specifier_case) {
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_FILENAME:
        return use_file(log, source->filename, omit, arena, err);
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_BYTES:
        return use_text(log, slice_make(source->inline_bytes.data, source->inline_bytes.len), omit, arena, err);
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_INLINE_STRING:
        return use_text(log, slice_of(source->inline_string), omit, arena, err);
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER_ENVIRONMENT_VARIABLE:
        variable = getenv(source->environment_variable);
        return variable == NULL
                   ? err_set(err, ERR_INPUT, "environment_variable: %s is not set", source->environment_variable)
                   : use_text(log, slice_of(variable), omit, arena, err);
    case ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER__NOT_SET:
    case _ENVOY__CONFIG__CORE__V3__DATA_SOURCE__SPECIFIER__CASE_IS_INT_SIZE:
        break;
    }
    return err_set(err, ERR_INPUT, "one of filename, inline_bytes, inline_string, environment_variable is needed");
}

/* json_format_options only asks for sorted members, which ours always are; content_type is of no use to a file. */
static bool use_format(struct access_log *log, const Envoy__Config__Core__V3__SubstitutionFormatString *format,
                       struct arena *arena, struct err *err)
{
    bool omit = format->omit_empty_values, ok = false;
    const char *field = "";
    if (format->n_formatters > 0) {
        return err_set(err, ERR_UNSUPPORTED, "log_format: formatters: not built");
    }
    switch (format->format_case) {
    case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT:
        field = "text_format";
        ok = use_text(log, slice_of(format->text_format), omit, arena, err);
        break;
    case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_JSON_FORMAT:
        field = "json_format";
        ok = use_json(log, format->json_format, (struct json_options){.omit_empty = omit}, arena, err);
        break;
    case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT_TEXT_FORMAT_SOURCE:
        field = "text_format_source";
        ok = use_source(log, format->text_format_source, omit, arena, err);
        break;
    case ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT__NOT_SET:
    case _ENVOY__CONFIG__CORE__V3__SUBSTITUTION_FORMAT_STRING__FORMAT__CASE_IS_INT_SIZE:
        return err_set(err, ERR_INPUT, "log_format: one of text_format_source, text_format, json_format is needed");
    }
    return ok || err_prefix(err, "log_format: %s", field);
}

/* ---- the extensions ---- */

/* Opens the file last, so that a refused logger leaves none behind. Takes `log` apart again when it cannot. */
static void *finish(struct access_log *log, bool ok, struct slice path, struct err *err)
{
    if (!ok) {
        return NULL;
    }
    log->file = log_file_open(path, err);
    return log->file == NULL ? NULL : log;
}

static void destroy(void *object)
{
    struct access_log *log = object;
    log_file_close(&log->file);
}

static void *build_file(const void *message, struct arena *arena, struct err *err)
{
    const Envoy__Extensions__AccessLoggers__File__V3__FileAccessLog *m = message;
    struct access_log *log = arena_zalloc(arena, sizeof *log);
    bool ok = false;
    switch (m->access_log_format_case) {
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT__NOT_SET:
        ok = use_text(log, slice_of(FORMAT_DEFAULT), false, arena, err);
        break;
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_FORMAT:
        ok = use_text(log, slice_of(m->format[0] == '\0' ? FORMAT_DEFAULT : m->format), false, arena, err) ||
             err_prefix(err, "format");
        break;
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_JSON_FORMAT:
        ok = use_json(log, m->json_format, (struct json_options){.strings = true}, arena, err) ||
             err_prefix(err, "json_format");
        break;
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_TYPED_JSON_FORMAT:
        ok = use_json(log, m->typed_json_format, (struct json_options){.strings = false}, arena, err) ||
             err_prefix(err, "typed_json_format");
        break;
    case ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT_LOG_FORMAT:
        ok = use_format(log, m->log_format, arena, err);
        break;
    case _ENVOY__EXTENSIONS__ACCESS_LOGGERS__FILE__V3__FILE_ACCESS_LOG__ACCESS_LOG_FORMAT__CASE_IS_INT_SIZE:
        break;
    }
    return finish(log, ok, slice_of(m->path), err);
}

static void *build_stream(const Envoy__Config__Core__V3__SubstitutionFormatString *format, struct slice path,
                          struct arena *arena, struct err *err)
{
    struct access_log *log = arena_zalloc(arena, sizeof *log);
    bool ok = format == NULL ? use_text(log, slice_of(FORMAT_DEFAULT), false, arena, err)
                             : use_format(log, format, arena, err);
    return finish(log, ok, path, err);
}

static void *build_stdout(const void *message, struct arena *arena, struct err *err)
{
    const Envoy__Extensions__AccessLoggers__Stream__V3__StdoutAccessLog *m = message;
    bool given = m->access_log_format_case ==
                 ENVOY__EXTENSIONS__ACCESS_LOGGERS__STREAM__V3__STDOUT_ACCESS_LOG__ACCESS_LOG_FORMAT_LOG_FORMAT;
    return build_stream(given ? m->log_format : NULL, SLICE("/dev/stdout"), arena, err);
}

static void *build_stderr(const void *message, struct arena *arena, struct err *err)
{
    const Envoy__Extensions__AccessLoggers__Stream__V3__StderrAccessLog *m = message;
    bool given = m->access_log_format_case ==
                 ENVOY__EXTENSIONS__ACCESS_LOGGERS__STREAM__V3__STDERR_ACCESS_LOG__ACCESS_LOG_FORMAT_LOG_FORMAT;
    return build_stream(given ? m->log_format : NULL, SLICE("/dev/stderr"), arena, err);
}

static void *build_gateway(const void *message, struct arena *arena, struct err *err)
{
    const Egret__Config__V1__GatewayLogs *m = message;
    struct access_log *log = arena_zalloc(arena, sizeof *log);
    if (m->format == EGRET__CONFIG__V1__GATEWAY_LOGS__FORMAT__TEXT) {
        log->render = render_gateway_text;
    } else if (m->format == EGRET__CONFIG__V1__GATEWAY_LOGS__FORMAT__JSON) {
        log->render = render_gateway_json;
    } else {
        err_set(err, ERR_INPUT, "format: %d is not one of TEXT, JSON", (int)m->format);
        return NULL;
    }
    return finish(log, true, slice_of(m->path), err);
}

static const struct extension_type file_type = {
    EXTENSION_ACCESS_LOG, "envoy.extensions.access_loggers.file.v3.FileAccessLog", build_file, destroy};
static const struct extension_type stdout_type = {
    EXTENSION_ACCESS_LOG, "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", build_stdout, destroy};
static const struct extension_type stderr_type = {
    EXTENSION_ACCESS_LOG, "envoy.extensions.access_loggers.stream.v3.StderrAccessLog", build_stderr, destroy};
static const struct extension_type gateway_type = {EXTENSION_ACCESS_LOG, "egret.config.v1.GatewayLogs", build_gateway,
                                                   destroy};

const struct extension_type *const access_log_types[] = {&file_type, &stdout_type, &stderr_type, &gateway_type};
const size_t access_log_type_count = ARRAY_LEN(access_log_types);
