/*
 * operator: one %OPERATOR(…)% of an access log format: a row in a table, looked up and prepared when the format is
 * compiled, evaluated for each record. Immutable; any thread. For the files of this room.
 */
#pragma once
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "proxy/observe/record.h"

enum value_kind { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER };

struct value {
    enum value_kind kind;
    struct slice text; /* in the record, the operator or scratch */
    int64_t number;
    char scratch[640];
};

/* A field of a head by name, or one of the pseudo fields. */
struct operator_field {
    struct slice name; /* lower case; empty: none */
    enum head_field id;
};

struct operator_type;

struct operator
{
    const struct operator_type *type;
    struct slice argument;
    struct operator_field fields[2]; /* X?Y */
    size_t max;                      /* :Z, bytes of a text; SIZE_MAX: all */
    void *prepared;                  /* the type's own, in the arena */
};

struct operator_type {
    const char *name;
    enum { ARGUMENT_NONE, ARGUMENT_OPTIONAL, ARGUMENT_NEEDED } argument;
    bool (*prepare)(struct operator* op, struct arena *arena, struct err *err); /* NULL: nothing to do */
    void (*eval)(const struct operator* op, const struct record *r, struct value *v);
};

/* The operator tables, one a file: what of the request, of time, of the connection and of the response. Each ends with
 * a row without name. */
extern const struct operator_type operator_request_table[];
extern const struct operator_type operator_time_table[];
extern const struct operator_type operator_connection_table[];
extern const struct operator_type operator_response_table[];

struct operator_text { /* as written between the percent signs */
    struct slice name, argument;
    bool has_argument;
    size_t max;
};
/* The texts live as long as the operator. False: unknown operator, or an argument it does not take. */
bool operator_init(struct operator* op, const struct operator_text *text, struct arena *arena, struct err *err);
void operator_eval(const struct operator* op, const struct record *r, struct value *v);

/* For the tables. */
void value_text(struct value *v, struct slice text); /* empty: none */
void value_number(struct value *v, int64_t number);
void value_addr(struct value *v, const struct addr *a);    /* len 0: none */
void value_addr_ip(struct value *v, const struct addr *a); /* without port */
void value_addr_port(struct value *v, const struct addr *a);
bool operator_prepare_fields(struct operator* op, struct arena *arena, struct err *err); /* X?Y */
void operator_eval_fields(const struct operator* op, const struct head *head, struct value *v);
