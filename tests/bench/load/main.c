/* egret-load: an open-loop load generator for the demo and the benchmarks. See --help. */
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "options.h"
#include "run.h"

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

int main(int argc, char **argv)
{
    struct options options;
    struct err err = {0};
    enum options_result parsed = options_parse(&options, argc, argv, &err);
    if (parsed != OPTIONS_RUN) {
        if (parsed == OPTIONS_BAD) {
            fprintf(stderr, "egret-load: %s\n", err.text);
        }
        return parsed == OPTIONS_BAD;
    }
    catch_signals();
    struct result result = {0};
    int64_t start = clock_mono_us();
    bool ran = run_all(&options, &result, &stopped, &err);
    if (ran) {
        result_print(&result, stdout, (double)(clock_mono_us() - start) / 1e6);
    } else {
        fprintf(stderr, "egret-load: %s\n", err.text);
    }
    bool clean = result.failed == 0;
    result_fini(&result);
    options_fini(&options);
    return !ran ? 1 : clean ? 0 : 2;
}
