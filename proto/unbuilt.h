/* What Envoy has beside our subset, by name (proto/unbuilt.txt), and what is harmless to ignore (proto/ignored.txt). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

const char *unbuilt_name(const char *message, uint32_t number); /* NULL: not a field of Envoy's either */
bool unbuilt_has(const char *message, struct slice field);
bool ignored_has(const char *message, struct slice field);
