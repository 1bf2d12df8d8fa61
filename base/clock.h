/* Time. The request path is given the loop's cached time instead; this is where that comes from. */
#pragma once
#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_us(void); /* monotonic, microseconds */
int64_t clock_wall_us(void); /* since the epoch, microseconds */
/* "2026-01-02T03:04:05.678Z" into text (at least 32 bytes); returns the length. */
size_t clock_format_iso(int64_t wall_us, char *text);
