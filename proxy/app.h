/*
 * app: the composition root of egret: what exists, in which order it starts, how a configuration reaches the workers, how
 * the process drains and hands over. Main thread.
 */
#pragma once
#include "proxy/options.h"

struct app;

/* Reads and checks the bootstrap, opens what it needs. NULL: err says why (file:line:column where a file is at fault). */
struct app *app_create(const struct options *options, struct err *err);
bool app_run(struct app *app, struct err *err); /* until it is told to end */
void app_destroy(struct app **app);
