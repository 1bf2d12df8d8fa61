/* options: egret's command line. Envoy's flag names; what is not supported fails with a clear message. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/log.h"

enum run_mode { MODE_SERVE, MODE_VALIDATE };

struct options {
    enum run_mode mode;
    const char *config_path, *config_yaml;
    unsigned concurrency; /* worker threads, at least 1 */
    enum log_level log_level;
    const char *log_path;
    const char *service_cluster, *service_node, *service_zone;
    uint32_t drain_time_s, parent_shutdown_time_s;
    bool drain_immediate;
    uint32_t restart_epoch, base_id;
    bool disable_hot_restart;
    const char *admin_address_path;
    const char *state_dir, *state_key_file;
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE /* --help, --version: text was printed */, OPTIONS_BAD };
enum options_result options_parse(struct options *o, int argc, char **argv, struct err *err);
