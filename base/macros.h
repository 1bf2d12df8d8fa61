/* The few macros the project allows itself (STYLE: container_of, ARRAY_LEN). */
#pragma once
#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
