/* options: egret-control's command line. Texts point into argv. */
#pragma once
#include <stdbool.h>

#include "base/log.h"

enum options_mode { MODE_SERVE, MODE_VALIDATE };
enum options_next { OPTIONS_RUN, OPTIONS_EXIT }; /* EXIT: everything was said; *status is the exit status */

struct options {
    const char *config, *folder, *overrides; /* overrides may be NULL; config in MODE_VALIDATE as well */
    enum log_level level;
    enum options_mode mode;
    bool strict, json;
};

enum options_next options_parse(int argc, char **argv, struct options *out, int *status);
