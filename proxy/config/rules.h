/* rules: which fields this room builds, message by message; everything else that is set is refused (DATAPLANE 9). */
#pragma once
#include "proto/support.h"

struct support *rules_create(void); /* the caller frees with support_destroy */
