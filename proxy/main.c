#include <signal.h>
#include <stdio.h>

#include "proxy/app.h"

static int fail(const struct err *err)
{
    fprintf(stderr, "egret: %s\n", err->text);
    return 1;
}

int main(int argc, char **argv)
{
    struct options options;
    struct err err = {.kind = ERR_NONE};
    switch (options_parse(&options, argc, argv, &err)) {
    case OPTIONS_DONE:
        return 0;
    case OPTIONS_BAD:
        return fail(&err);
    case OPTIONS_RUN:
        break;
    }
    log_set_level(options.log_level);
    if (options.log_path != NULL && !log_open(options.log_path)) {
        err_set(&err, ERR_IO, "--log-path %s cannot be opened", options.log_path);
        return fail(&err);
    }
    signal(SIGPIPE, SIG_IGN);
    struct app *app = app_create(&options, &err);
    if (app == NULL) {
        return fail(&err);
    }
    bool ok = true;
    if (options.mode == MODE_VALIDATE) {
        printf("configuration '%s' OK\n", options.config_path == NULL ? "" : options.config_path);
    } else {
        ok = app_run(app, &err);
    }
    app_destroy(&app);
    return ok ? 0 : fail(&err);
}
