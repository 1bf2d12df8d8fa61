/* format's inside, for format.c and json_format.c: a format is literals, each followed by an operator or nothing. */
#pragma once
#include "proxy/observe/format.h"
#include "proxy/observe/operator.h"

struct text_piece {
    struct slice literal;
    struct operator* op; /* NULL: the literal alone */
};

struct text_format {
    struct text_piece *pieces;
    size_t n;
    struct slice missing;
};
