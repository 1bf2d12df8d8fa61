/*
 * app: the control server put together: folder → catalog → publish → streams; state folder, status socket, signals.
 * Main thread.
 */
#pragma once
#include "base/err.h"
#include "xds/options.h"

struct app;

struct app *app_create(const struct options *options, struct err *err);
void app_run(struct app *app); /* until SIGTERM or SIGINT */
void app_destroy(struct app **app);
