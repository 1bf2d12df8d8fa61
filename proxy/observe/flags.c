#include "proxy/observe/flags.h"

#include <string.h>

#include "base/macros.h"
#include "proxy/observe/record.h"

struct flag_name {
    enum response_flag flag;
    const char *brief, *full;
};

/* In the order in which they are written. */
static const struct flag_name names[] = {
    {FLAG_NO_HEALTHY_UPSTREAM, "UH", "NoHealthyUpstream"},
    {FLAG_UPSTREAM_CONNECTION_FAILURE, "UF", "UpstreamConnectionFailure"},
    {FLAG_UPSTREAM_OVERFLOW, "UO", "UpstreamOverflow"},
    {FLAG_NO_ROUTE, "NR", "NoRouteFound"},
    {FLAG_NO_CLUSTER, "NC", "NoClusterFound"},
    {FLAG_UPSTREAM_REQUEST_TIMEOUT, "UT", "UpstreamRequestTimeout"},
    {FLAG_UPSTREAM_CONNECTION_TERMINATION, "UC", "UpstreamConnectionTermination"},
    {FLAG_UPSTREAM_REMOTE_RESET, "UR", "UpstreamRemoteReset"},
    {FLAG_LOCAL_RESET, "LR", "LocalReset"},
    {FLAG_DOWNSTREAM_CONNECTION_TERMINATION, "DC", "DownstreamConnectionTermination"},
    {FLAG_DOWNSTREAM_PROTOCOL_ERROR, "DPE", "DownstreamProtocolError"},
    {FLAG_UPSTREAM_PROTOCOL_ERROR, "UPE", "UpstreamProtocolError"},
    {FLAG_STREAM_IDLE_TIMEOUT, "SI", "StreamIdleTimeout"},
    {FLAG_UNAUTHORIZED, "UAEX", "UnauthorizedExternalService"},
    {FLAG_DURATION_TIMEOUT, "DT", "DurationTimeout"},
    {FLAG_RETRY_LIMIT, "URX", "UpstreamRetryLimitExceeded"},
    {FLAG_OVERLOAD, "OM", "OverloadManagerTerminated"},
    {FLAG_DNS_FAILURE, "DF", "DnsResolutionFailed"},
};

static struct slice join(uint32_t flags, char text[FLAGS_TEXT], bool full)
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *name = full ? names[i].full : names[i].brief;
        size_t len = strlen(name);
        if ((flags & names[i].flag) == 0 || n + len + 1 > FLAGS_TEXT) {
            continue;
        }
        if (n > 0) {
            text[n++] = ',';
        }
        memcpy(text + n, name, len);
        n += len;
    }
    return slice_make(text, n);
}

struct slice flags_short(uint32_t flags, char text[FLAGS_TEXT])
{
    return join(flags, text, false);
}

struct slice flags_long(uint32_t flags, char text[FLAGS_TEXT])
{
    return join(flags, text, true);
}
