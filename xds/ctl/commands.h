/* commands: what egretctl can ask, and how the answers look to people. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct command_input {
    const char *socket_path;
    bool json;
    const char *arguments[2]; /* as many as the command takes */
    const char *key_id, *gateway; /* "": not given */
    const char *headers[16];      /* "name: value" */
    size_t header_count;
};

struct command {
    const char *words; /* "egress ips" */
    const char *help;
    unsigned arguments;
    bool (*run)(const struct command_input *in, struct err *err);
};

/* NULL beyond the end. */
const struct command *command_at(size_t i);
