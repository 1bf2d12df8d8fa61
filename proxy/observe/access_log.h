/*
 * access_log: the access loggers, as extensions that config builds from typed_config. A logger is immutable and lives
 * in the resource that names it; record.h has access_log_write. Files are the log sink's (log_sink.h).
 */
#pragma once
#include <stddef.h>

#include "proxy/config/extension.h"

/* FileAccessLog, StdoutAccessLog, StderrAccessLog and GatewayLogs; app registers them all. */
extern const struct extension_type *const access_log_types[];
extern const size_t access_log_type_count;
