/* What the tests of the compiler share: named values, fragments, one policy at a time. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "base/strbuf.h"
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "proto/dump.h"
#include "xds/policy/policy.h"

static inline const char *find_value(void *ctx, struct slice name, struct slice *value, const char **secret)
{
    (void)ctx;
    if (slice_eq(name, SLICE("secret"))) {
        *secret = "namedvalues/secret";
        return NULL;
    }
    if (slice_eq(name, SLICE("url"))) {
        *value = SLICE("https://third.example/base");
        return NULL;
    }
    if (slice_eq(name, SLICE("nested"))) {
        *value = SLICE("{{url}}");
        return NULL;
    }
    if (slice_eq(name, SLICE("expr"))) {
        *value = SLICE("@(context.Api.Id)");
        return NULL;
    }
    return "no named value has this displayName";
}

struct fragment {
    const char *id, *text;
};

static const struct fragment FRAGMENTS[] = {
    {"plain", "<fragment>\n<set-method>GET</set-method></fragment>"},
    {"outer", "<fragment><include-fragment fragment-id='plain'/><set-method>PUT</set-method></fragment>"},
    {"loop", "<fragment>\n<include-fragment fragment-id='pool'/></fragment>"},
    {"pool", "<fragment><include-fragment fragment-id='Loop'/></fragment>"},
    {"broken", "<fragment>\n<set-method"},
    {"wrong", "<policies/>"},
};

static inline const char *find_fragment(void *ctx, struct slice id, struct slice *text, const char **file)
{
    (void)ctx;
    for (size_t i = 0; i < ARRAY_LEN(FRAGMENTS); i++) {
        if (slice_eq_nocase(id, slice_of(FRAGMENTS[i].id))) {
            *text = slice_of(FRAGMENTS[i].text);
            *file = FRAGMENTS[i].id;
            return NULL;
        }
    }
    return "there is no such fragment";
}

static const struct policy_sources VALUES = {find_value, find_fragment, NULL};

static inline struct policy_program *compile(const char *text)
{
    return policy_compile(slice_of(text), &VALUES, POLICY_LIMITS_DEFAULT);
}

/* As JSON without blanks, line and path left out. */
static inline void add_message(struct strbuf *out, const struct policy_instruction *in)
{
    struct strbuf text;
    strbuf_init(&text);
    Egret__Apim__V1__Instruction m = *in->message;
    static char none[] = "";
    m.line = 0;
    m.path = none; /* test_steps.c */
    dump_json(&m.base, 0, &text);
    strbuf_add(out, strbuf_slice(&text));
    strbuf_fini(&text);
}

/* One policy in a section, and the instructions it becomes (line and place left out). */
struct step {
    enum policy_section section;
    const char *text, *expected;
};

static inline void check_steps(const struct step *steps, size_t n)
{
    static const char *const names[] = {"inbound", "backend", "outbound", "on-error"};
    for (size_t i = 0; i < n; i++) {
        struct strbuf text, got;
        strbuf_init(&text);
        strbuf_init(&got);
        const char *name = names[steps[i].section];
        strbuf_printf(&text, "<policies><%s>%s</%s></policies>", name, steps[i].text, name);
        struct policy_program *p = compile(strbuf_cstr(&text));
        const struct policy_list *list = &p->sections[steps[i].section];
        for (size_t k = 0; k < list->n; k++) {
            const struct policy_instruction *in = &list->items[k];
            strbuf_add_str(&got, k == 0 ? "" : " ");
            if (in->message != NULL) {
                add_message(&got, in);
            } else {
                strbuf_printf(&got, "closed[%s]@%s:%u", in->reason, in->file == NULL ? "" : in->file, in->line);
            }
        }
        if (strcmp(strbuf_cstr(&got), steps[i].expected) != 0) {
            print_error("%s\n  gives %s\n  not   %s\n", steps[i].text, strbuf_cstr(&got), steps[i].expected);
        }
        assert_string_equal(strbuf_cstr(&got), steps[i].expected);
        strbuf_fini(&text);
        strbuf_fini(&got);
        policy_destroy(&p);
    }
}
