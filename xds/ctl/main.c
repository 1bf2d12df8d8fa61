/* egretctl: asks the control server and shows its answers. Status 0: answered; 1: no answer; 2: wrong usage. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "base/strbuf.h"
#include "xds/ctl/commands.h"

#define DEFAULT_SOCKET "/var/lib/egret-control/control.sock"

enum { OPT_SOCKET = 256, OPT_KEY_ID, OPT_GATEWAY, OPT_VERSION, OPT_HELP };
enum { ANSWERED, NO_ANSWER, WRONG_USAGE };

static const struct option longs[] = {
    {"socket", required_argument, NULL, OPT_SOCKET}, {"output", required_argument, NULL, 'o'},
    {"key-id", required_argument, NULL, OPT_KEY_ID}, {"gateway", required_argument, NULL, OPT_GATEWAY},
    {"header", required_argument, NULL, 'H'},        {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},           {NULL, 0, NULL, 0},
};

static void print_help(void)
{
    puts("usage: egretctl [--socket PATH] [-o table|json] COMMAND\n");
    for (size_t i = 0; command_at(i) != NULL; i++) {
        printf("  %-13s %s\n", command_at(i)->words, command_at(i)->help);
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

/* The command whose words the arguments begin with, and whose number of arguments is what follows them. */
static const struct command *find(char **words, int n)
{
    for (size_t i = 0; command_at(i) != NULL; i++) {
        struct slice rest = slice_of(command_at(i)->words);
        int at = 0;
        while (rest.n > 0 && at < n && slice_eq(slice_cut(&rest, ' '), slice_of(words[at]))) {
            at++;
        }
        unsigned wanted = 1;
        for (const char *p = command_at(i)->words; *p != '\0'; p++) {
            wanted += *p == ' ' ? 1 : 0;
        }
        if ((unsigned)at == wanted && (unsigned)(n - at) == command_at(i)->arguments) {
            return command_at(i);
        }
    }
    return NULL;
}

/* -1: go on; else the exit status. */
static int read_options(int argc, char **argv, struct command_input *in)
{
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":o:H:", longs, NULL)) != -1;) {
        switch (c) {
        case OPT_SOCKET:
            in->socket_path = optarg;
            break;
        case 'o':
            in->json = strcmp(optarg, "json") == 0;
            if (!in->json && strcmp(optarg, "table") != 0) {
                return wrong("no such output format", optarg);
            }
            break;
        case OPT_KEY_ID:
            in->key_id = optarg;
            break;
        case OPT_GATEWAY:
            in->gateway = optarg;
            break;
        case 'H':
            if (in->header_count == ARRAY_LEN(in->headers)) {
                return wrong("too many headers", optarg);
            }
            in->headers[in->header_count++] = optarg;
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
    return -1;
}

int main(int argc, char **argv)
{
    const char *from_environment = getenv("EGRET_CONTROL_SOCKET");
    struct command_input in = {.socket_path = from_environment == NULL ? DEFAULT_SOCKET : from_environment,
                               .arguments = {"", ""},
                               .key_id = "",
                               .gateway = ""};
    int status = read_options(argc, argv, &in);
    if (status >= 0) {
        return status;
    }
    if (optind == argc) {
        return wrong("a command is needed", "status, faults, apis, route explain or egress ips");
    }
    const struct command *command = find(argv + optind, argc - optind);
    if (command == NULL) {
        return wrong("no such command", argv[optind]);
    }
    if ((in.key_id[0] != '\0' || in.gateway[0] != '\0' || in.header_count > 0) && command->arguments == 0) {
        return wrong("--key-id, --gateway and -H belong to route explain, not to", command->words);
    }
    for (unsigned i = 0; i < command->arguments; i++) {
        in.arguments[i] = argv[argc - (int)command->arguments + (int)i];
    }
    struct err err = {0};
    if (!command->run(&in, &err)) {
        fprintf(stderr, "egretctl: %s\n", err.text);
        return NO_ANSWER;
    }
    return ANSWERED;
}
