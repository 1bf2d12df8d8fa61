/* validate: reads the folder once, tells every problem on stdout, ends. */
#pragma once
#include "xds/options.h"

/* The exit status: 0 when anything can be served (with --strict: and there is no problem). */
int validate_run(const struct options *options);
