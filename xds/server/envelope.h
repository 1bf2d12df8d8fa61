/*
 * envelope: a DiscoveryResponse, or a DeltaDiscoveryResponse, around resources that are already serialised. Large resources are not copied: the
 * message refers to them. Any thread.
 */
#pragma once
#include <grpc/grpc.h>

#include "xds/session/session.h"

/* The caller destroys it. identifier: control_plane.identifier. */
grpc_byte_buffer *envelope_create(const struct session_response *response, const char *identifier);
/* The same for delta: response->removed is there. */
grpc_byte_buffer *envelope_create_delta(const struct session_response *response, const char *identifier);
