/* flags: the names of response flags, Envoy's short and long ones. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* "UF,URX" or "UpstreamConnectionFailure,…" into text, which has room for every name; empty without flags. */
enum { FLAGS_TEXT = 560 };
struct slice flags_short(uint32_t flags, char text[FLAGS_TEXT]);
struct slice flags_long(uint32_t flags, char text[FLAGS_TEXT]);
