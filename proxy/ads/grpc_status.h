/* grpc_status: how a gRPC call ended, from its heads and trailers (gRPC over HTTP/2, "Responses"). Pure. */
#pragma once
#include "base/err.h"
#include "proxy/codec/head.h"

enum { GRPC_OK = 0, GRPC_UNKNOWN = 2, GRPC_PERMISSION_DENIED = 7, GRPC_UNAUTHENTICATED = 16 };

struct grpc_status {
    bool given;
    unsigned code;
    char message[256]; /* percent-decoded, control characters replaced */
};

const char *grpc_code_name(unsigned code); /* "UNKNOWN" for what has no name */
/* grpc-status and grpc-message of a head or of trailers. */
struct grpc_status grpc_status_read(const struct head *head);
/* The first head of an answer must be 200 and application/grpc. */
bool grpc_check_head(const struct head *head, struct err *err);
