#include "xds/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: egret-control --config FILE --folder DIR [--overrides FILE] [-l LEVEL]\n"
    "       egret-control --mode validate --folder DIR [--overrides FILE] [--config FILE] [--strict] [-o json]\n"
    "\n"
    "  --config FILE      the control server's settings (YAML or JSON, egret.control.v1.Config)\n"
    "  --folder DIR       APIOps artifacts: what the API management service holds\n"
    "  --overrides FILE   configuration.<env>.yaml: values of one environment, keys and secrets\n"
    "  -l, --log-level L  trace, debug, info (default), warning, error, critical, off\n"
    "  --mode MODE        serve (default); validate: read, tell every problem, end\n"
    "  --strict           with validate: status 1 on any problem\n"
    "  -o, --output FMT   with validate: text (default) or json\n"
    "  --version, --help\n";

enum { OPT_CONFIG = 256, OPT_FOLDER, OPT_OVERRIDES, OPT_MODE, OPT_STRICT, OPT_VERSION, OPT_HELP };

static const struct option longs[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"folder", required_argument, NULL, OPT_FOLDER},
    {"overrides", required_argument, NULL, OPT_OVERRIDES},
    {"log-level", required_argument, NULL, 'l'},
    {"mode", required_argument, NULL, OPT_MODE},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"output", required_argument, NULL, 'o'},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static enum options_next wrong(int *status, const char *what, const char *value)
{
    fprintf(stderr, "egret-control: %s%s%s (see --help)\n", what, value == NULL ? "" : ": ",
            value == NULL ? "" : value);
    *status = 1;
    return OPTIONS_EXIT;
}

static bool parse_mode(const char *text, enum options_mode *out)
{
    *out = strcmp(text, "validate") == 0 ? MODE_VALIDATE : MODE_SERVE;
    return *out == MODE_VALIDATE || strcmp(text, "serve") == 0;
}

/* 0: go on; else the message for what is wrong. */
static const char *take(int c, struct options *o)
{
    switch (c) {
    case OPT_CONFIG:
        o->config = optarg;
        return NULL;
    case OPT_FOLDER:
        o->folder = optarg;
        return NULL;
    case OPT_OVERRIDES:
        o->overrides = optarg;
        return NULL;
    case OPT_STRICT:
        o->strict = true;
        return NULL;
    case 'l':
        return log_level_parse(slice_of(optarg), &o->level) ? NULL : "no such log level";
    case OPT_MODE:
        return parse_mode(optarg, &o->mode) ? NULL : "no such mode";
    case 'o':
        o->json = strcmp(optarg, "json") == 0;
        return o->json || strcmp(optarg, "text") == 0 ? NULL : "no such output format";
    default:
        return "unknown option";
    }
}

static enum options_next check(const struct options *o, int *status)
{
    if (o->folder == NULL) {
        return wrong(status, "--folder is needed", NULL);
    }
    if (o->mode == MODE_SERVE && o->config == NULL) {
        return wrong(status, "--config is needed", NULL);
    }
    if (o->mode == MODE_SERVE && (o->strict || o->json)) {
        return wrong(status, "--strict and --output belong to --mode validate", NULL);
    }
    return OPTIONS_RUN;
}

enum options_next options_parse(int argc, char **argv, struct options *out, int *status)
{
    *out = (struct options){.level = LOG_INFO};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":l:o:", longs, NULL)) != -1;) {
        if (c == OPT_VERSION || c == OPT_HELP) {
            fputs(c == OPT_HELP ? usage : "egret-control " EGRET_VERSION "\n", stdout);
            *status = 0;
            return OPTIONS_EXIT;
        }
        if (c == ':' || c == '?') {
            return wrong(status, c == ':' ? "this option needs a value" : "unknown option", argv[optind - 1]);
        }
        const char *trouble = take(c, out);
        if (trouble != NULL) {
            return wrong(status, trouble, optarg);
        }
    }
    if (optind < argc) {
        return wrong(status, "unexpected argument", argv[optind]);
    }
    return check(out, status);
}
