#include "proxy/options.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/slice.h"

enum {
    OPT_CONFIG_YAML = 1000,
    OPT_MODE,
    OPT_CONCURRENCY,
    OPT_LOG_PATH,
    OPT_SERVICE_CLUSTER,
    OPT_SERVICE_NODE,
    OPT_SERVICE_ZONE,
    OPT_DRAIN_TIME,
    OPT_DRAIN_STRATEGY,
    OPT_PARENT_SHUTDOWN,
    OPT_RESTART_EPOCH,
    OPT_BASE_ID,
    OPT_DISABLE_HOT_RESTART,
    OPT_ADMIN_ADDRESS_PATH,
    OPT_STATE_DIR,
    OPT_STATE_KEY_FILE,
    OPT_VERSION,
};

static const struct option long_options[] = {
    {"config-path", required_argument, NULL, 'c'},
    {"config-yaml", required_argument, NULL, OPT_CONFIG_YAML},
    {"mode", required_argument, NULL, OPT_MODE},
    {"concurrency", required_argument, NULL, OPT_CONCURRENCY},
    {"log-level", required_argument, NULL, 'l'},
    {"log-path", required_argument, NULL, OPT_LOG_PATH},
    {"service-cluster", required_argument, NULL, OPT_SERVICE_CLUSTER},
    {"service-node", required_argument, NULL, OPT_SERVICE_NODE},
    {"service-zone", required_argument, NULL, OPT_SERVICE_ZONE},
    {"drain-time-s", required_argument, NULL, OPT_DRAIN_TIME},
    {"drain-strategy", required_argument, NULL, OPT_DRAIN_STRATEGY},
    {"parent-shutdown-time-s", required_argument, NULL, OPT_PARENT_SHUTDOWN},
    {"restart-epoch", required_argument, NULL, OPT_RESTART_EPOCH},
    {"base-id", required_argument, NULL, OPT_BASE_ID},
    {"disable-hot-restart", no_argument, NULL, OPT_DISABLE_HOT_RESTART},
    {"admin-address-path", required_argument, NULL, OPT_ADMIN_ADDRESS_PATH},
    {"state-dir", required_argument, NULL, OPT_STATE_DIR},
    {"state-key-file", required_argument, NULL, OPT_STATE_KEY_FILE},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static const char help[] =
    "egret " EGRET_VERSION ": sidecar proxy and egress gateway\n\n"
    "  -c, --config-path FILE        bootstrap, .yaml .yml or .json (Envoy's)\n"
    "      --config-yaml TEXT        YAML merged over the file\n"
    "      --mode serve|validate     validate: check the bootstrap and end\n"
    "      --concurrency N           worker threads (default: CPUs this process may use)\n"
    "  -l, --log-level LEVEL         trace debug info warning error critical off\n"
    "      --log-path FILE           default: standard error; opened again on SIGUSR1\n"
    "      --service-cluster NAME    node.cluster, --service-node NAME  node.id, --service-zone NAME\n"
    "      --drain-time-s N          how long connections may take to end (default 600)\n"
    "      --drain-strategy gradual|immediate\n"
    "      --parent-shutdown-time-s N  when the process before this one must be gone (default 900)\n"
    "      --restart-epoch N         take over from the process of epoch N-1 with the same --base-id\n"
    "      --base-id N, --disable-hot-restart\n"
    "      --admin-address-path FILE where to write the admin address\n"
    "      --state-dir DIR           last good configuration, to start from when the control server is away\n"
    "      --state-key-file FILE     32 bytes that seal secrets in there; without it they are left out\n"
    "      --version, -h, --help\n";

static unsigned cpu_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static bool number(const char *flag, const char *text, uint64_t max, uint32_t *out, struct err *err)
{
    uint64_t value;
    if (!slice_to_u64(slice_of(text), &value) || value > max) {
        return err_set(err, ERR_INPUT, "--%s: '%s' is not a number from 0 to %llu", flag, text, (unsigned long long)max);
    }
    *out = (uint32_t)value;
    return true;
}

static bool word(const char *flag, const char *text, const char *first, const char *second, bool *is_second, struct err *err)
{
    *is_second = strcmp(text, second) == 0;
    if (!*is_second && strcmp(text, first) != 0) {
        return err_set(err, ERR_INPUT, "--%s: '%s' is neither %s nor %s", flag, text, first, second);
    }
    return true;
}

static bool take_text(struct options *o, int opt, const char *value)
{
    const struct {
        int opt;
        const char **field;
    } texts[] = {
        {'c', &o->config_path},
        {OPT_CONFIG_YAML, &o->config_yaml},
        {OPT_LOG_PATH, &o->log_path},
        {OPT_SERVICE_CLUSTER, &o->service_cluster},
        {OPT_SERVICE_NODE, &o->service_node},
        {OPT_SERVICE_ZONE, &o->service_zone},
        {OPT_ADMIN_ADDRESS_PATH, &o->admin_address_path},
        {OPT_STATE_DIR, &o->state_dir},
        {OPT_STATE_KEY_FILE, &o->state_key_file},
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i].opt == opt) {
            *texts[i].field = value;
            return true;
        }
    }
    return false;
}

static bool take(struct options *o, int opt, const char *value, struct err *err)
{
    bool second = false, ok = true;
    switch (opt) {
    case OPT_MODE:
        ok = word("mode", value, "serve", "validate", &second, err);
        o->mode = second ? MODE_VALIDATE : MODE_SERVE;
        return ok;
    case OPT_DRAIN_STRATEGY:
        return word("drain-strategy", value, "gradual", "immediate", &o->drain_immediate, err);
    case OPT_CONCURRENCY:
        return number("concurrency", value, 256, &o->concurrency, err);
    case OPT_DRAIN_TIME:
        return number("drain-time-s", value, 1u << 20, &o->drain_time_s, err);
    case OPT_PARENT_SHUTDOWN:
        return number("parent-shutdown-time-s", value, 1u << 20, &o->parent_shutdown_time_s, err);
    case OPT_RESTART_EPOCH:
        return number("restart-epoch", value, UINT32_MAX, &o->restart_epoch, err);
    case OPT_BASE_ID:
        return number("base-id", value, UINT32_MAX, &o->base_id, err);
    case OPT_DISABLE_HOT_RESTART:
        o->disable_hot_restart = true;
        return true;
    case 'l':
        return log_level_parse(slice_of(value), &o->log_level) ||
               err_set(err, ERR_INPUT, "--log-level: '%s' is not a level", value);
    default:
        return take_text(o, opt, value);
    }
}

enum options_result options_parse(struct options *o, int argc, char **argv, struct err *err)
{
    *o = (struct options){
        .concurrency = cpu_count(), .log_level = LOG_INFO, .drain_time_s = 600, .parent_shutdown_time_s = 900};
    opterr = 0;
    for (int opt; (opt = getopt_long(argc, argv, ":c:l:h", long_options, NULL)) != -1;) {
        if (opt == 'h') {
            fputs(help, stdout);
            return OPTIONS_DONE;
        }
        if (opt == OPT_VERSION) {
            puts("egret " EGRET_VERSION);
            return OPTIONS_DONE;
        }
        if (opt == '?' || opt == ':') {
            err_set(err, ERR_INPUT, opt == ':' ? "%s: a value is missing" : "%s: not a flag of egret (see --help)", argv[optind - 1]);
            return OPTIONS_BAD;
        }
        if (!take(o, opt, optarg, err)) {
            return OPTIONS_BAD;
        }
    }
    if (optind < argc) {
        err_set(err, ERR_INPUT, "%s: egret takes flags only", argv[optind]);
        return OPTIONS_BAD;
    }
    if (o->config_path == NULL && o->config_yaml == NULL) {
        err_set(err, ERR_INPUT, "--config-path or --config-yaml is needed");
        return OPTIONS_BAD;
    }
    o->concurrency = o->concurrency == 0 ? 1 : o->concurrency;
    return OPTIONS_RUN;
}
