/* options: egret-load's command line. Read once; every pointer is argv's own or lives as long as the process. */
#pragma once
#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { OPTIONS_HEADERS_MAX = 16, OPTIONS_EXPECT_MAX = 8 };

struct options {
    bool tls, h2, fresh, insecure;
    char host[256]; /* of the URL: Host, SNI and the name in the certificate */
    uint16_t port;
    char authority[300];
    const char *path;                         /* with its query; at least "/" */
    const char *connect;                      /* ADDR:PORT to dial in place of the URL's; NULL: the URL's */
    const char *ca_file;                      /* NULL: the system's store */
    const char *method, *data;                /* data NULL: no body */
    double rate;                              /* requests a second */
    double duration_s;                        /* 0: until a signal */
    double timeout_s;                         /* of one request, from the moment it was due */
    unsigned connections;                     /* kept ones; fresh ones are as many as the requests in flight */
    const char *headers[OPTIONS_HEADERS_MAX]; /* "name: value" */
    size_t header_count;
    int expect[OPTIONS_EXPECT_MAX]; /* statuses that count as success */
    size_t expect_count;
    bool watch, collect;
    regex_t watch_body;   /* the first answer whose body fits is noted */
    regex_t collect_body; /* what its first group holds is counted by value */
};

enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_BAD };
void options_fini(struct options *o); /* after OPTIONS_RUN */
enum options_result options_parse(struct options *o, int argc, char **argv, struct err *err);
