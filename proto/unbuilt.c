#include "proto/unbuilt.h"

#include <string.h>

#include "base/macros.h"

static const struct {
    const char *message, *number, *field;
} unbuilt[] = {
#include "pb/unbuilt.inc"
};

static const struct {
    const char *message, *field;
} ignored[] = {
#include "pb/ignored.inc"
};

const char *unbuilt_name(const char *message, uint32_t number)
{
    for (size_t i = 0; i < ARRAY_LEN(unbuilt); i++) {
        uint64_t its = 0;
        if (strcmp(unbuilt[i].message, message) == 0 && slice_to_u64(slice_of(unbuilt[i].number), &its) &&
            its == number) {
            return unbuilt[i].field;
        }
    }
    return NULL;
}

bool unbuilt_has(const char *message, struct slice field)
{
    for (size_t i = 0; i < ARRAY_LEN(unbuilt); i++) {
        if (strcmp(unbuilt[i].message, message) == 0 && slice_eq(slice_of(unbuilt[i].field), field)) {
            return true;
        }
    }
    return false;
}

bool ignored_has(const char *message, struct slice field)
{
    for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
        if (strcmp(ignored[i].message, message) == 0 && slice_eq(slice_of(ignored[i].field), field)) {
            return true;
        }
    }
    return false;
}
