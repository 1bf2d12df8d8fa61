/* google.protobuf.Duration as text ("1.5s") and in milliseconds. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "pb/google/protobuf/duration.pb-c.h"

/* False: not one, or beyond 315,576,000,000 seconds either way (the standard's range). */
bool duration_parse(struct slice text, int64_t *seconds, int32_t *nanos);
/* In range, and both parts of one sign. */
bool duration_is_valid(const Google__Protobuf__Duration *d);
/* Milliseconds rounded up, so that 1 us is not "never"; saturates. NULL gives the fallback. */
int64_t duration_ms(const Google__Protobuf__Duration *d, int64_t fallback);
void duration_format(int64_t seconds, int32_t nanos, char out[32]);
