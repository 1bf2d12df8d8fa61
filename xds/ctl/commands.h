/* commands: what egretctl can ask, and how the answers look to people. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct command {
    const char *words; /* "egress ips" */
    const char *help;
    bool (*run)(const char *socket_path, bool json, struct err *err);
};

/* NULL beyond the end. */
const struct command *command_at(size_t i);
