/* egretctl: asks the control server and shows its answers. Status 0: answered; 1: no answer; 2: wrong usage. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "xds/ctl/commands.h"

#define DEFAULT_SOCKET "/var/lib/egret-control/control.sock"

enum { OPT_SOCKET = 256, OPT_VERSION, OPT_HELP };
enum { ANSWERED, NO_ANSWER, WRONG_USAGE };

static const struct option longs[] = {
    {"socket", required_argument, NULL, OPT_SOCKET},
    {"output", required_argument, NULL, 'o'},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static void print_help(void)
{
    puts("usage: egretctl [--socket PATH] [-o table|json] COMMAND\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        printf("  %-12s %s\n", command_at(i)->words, command_at(i)->help);
    }
    puts("\n  --socket PATH  the control server's status socket (or EGRET_CONTROL_SOCKET; default " DEFAULT_SOCKET ")\n"
         "  -o, --output   table (default) or json\n"
         "  --version, --help\n\n"
         "Exit status: 0 answered, 1 no answer, 2 wrong usage.");
}

static int wrong(const char *what, const char *value)
{
    fprintf(stderr, "egretctl: %s: %s (see --help)\n", what, value);
    return WRONG_USAGE;
}

static const struct command *find(char **words, int n)
{
    struct strbuf joined;
    strbuf_init(&joined);
    for (int i = 0; i < n; i++) {
        strbuf_printf(&joined, "%s%s", i == 0 ? "" : " ", words[i]);
    }
    const struct command *found = NULL;
    for (size_t i = 0; command_at(i) != NULL; i++) {
        if (strcmp(command_at(i)->words, strbuf_cstr(&joined)) == 0) {
            found = command_at(i);
        }
    }
    strbuf_fini(&joined);
    return found;
}

int main(int argc, char **argv)
{
    const char *socket_path = getenv("EGRET_CONTROL_SOCKET");
    bool json = false;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:", longs, NULL)) != -1;) {
        switch (c) {
        case OPT_SOCKET:
            socket_path = optarg;
            break;
        case 'o':
            json = strcmp(optarg, "json") == 0;
            if (!json && strcmp(optarg, "table") != 0) {
                return wrong("no such output format", optarg);
            }
            break;
        case OPT_VERSION:
            puts("egretctl " EGRET_VERSION);
            return ANSWERED;
        case OPT_HELP:
            print_help();
            return ANSWERED;
        default:
            return wrong(c == ':' ? "this option needs a value" : "unknown option", argv[optind - 1]);
        }
    }
    if (optind == argc) {
        return wrong("a command is needed", "status, faults or egress ips");
    }
    const struct command *command = find(argv + optind, argc - optind);
    if (command == NULL) {
        return wrong("no such command", argv[optind]);
    }
    struct err err = {0};
    if (!command->run(socket_path == NULL ? DEFAULT_SOCKET : socket_path, json, &err)) {
        fprintf(stderr, "egretctl: %s\n", err.text);
        return NO_ANSWER;
    }
    return ANSWERED;
}
