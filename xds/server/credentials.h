/*
 * credentials: the ADS port's TLS: server certificate, key, and the CA of the clients, whose certificate is required.
 * Read from files and handed to gRPC; read again on demand, for the next handshakes. Created and reloaded by the
 * owner's thread; gRPC's threads fetch.
 */
#pragma once
#include <grpc/grpc_security.h>

#include "base/err.h"

struct credentials;

struct credentials_files {
    const char *certificate, *private_key, *client_ca;
};

struct credentials *credentials_create(const struct credentials_files *files, struct err *err);
void credentials_destroy(struct credentials **credentials); /* after the gRPC server is gone */
/* Reads the files again. false: they cannot be read or do not look like PEM; what was loaded before goes on serving. */
bool credentials_reload(struct credentials *credentials, struct err *err);
grpc_server_credentials *credentials_for_server(struct credentials *credentials);
