/* egret-control: bridges an API management service's artifacts to xDS. */
#include <stdio.h>

#include "xds/app.h"
#include "xds/options.h"
#include "xds/validate.h"

int main(int argc, char **argv)
{
    struct options options;
    int status = 1;
    if (options_parse(argc, argv, &options, &status) == OPTIONS_EXIT) {
        return status;
    }
    log_set_level(options.level);
    if (options.mode == MODE_VALIDATE) {
        return validate_run(&options);
    }
    struct err err = {0};
    struct app *app = app_create(&options, &err);
    if (app == NULL) {
        fprintf(stderr, "egret-control: %s\n", err.text);
        return 1;
    }
    app_run(app);
    app_destroy(&app);
    return 0;
}
