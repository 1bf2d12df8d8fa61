/* The table of policies: sorted, complete, and what docs/policies.md says. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "xds/policy/policy.h"

static bool is_known(struct slice name)
{
    for (size_t i = 0; i < policy_support_count(); i++) {
        if (slice_eq(slice_of(policy_support_at(i).name), name)) {
            return true;
        }
    }
    return false;
}

static void names_are_sorted_and_each_closed_policy_has_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < policy_support_count(); i++) {
        struct policy_support p = policy_support_at(i);
        assert_true(i == 0 || strcmp(policy_support_at(i - 1).name, p.name) < 0);
        assert_true(p.closed == NULL || *p.closed != '\0');
        assert_non_null(p.sections);
    }
}

/* The rows of the document, as they must be. */
static void add_rows(struct strbuf *out)
{
    strbuf_add_str(out, "| policy | where | |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < policy_support_count(); i++) {
        struct policy_support p = policy_support_at(i);
        strbuf_printf(out, "| `%s` | %s | ", p.name, p.sections);
        if (p.closed != NULL) {
            strbuf_printf(out, "closed: %s |\n", p.closed);
        } else {
            strbuf_printf(out, "**runs**%s%s |\n", *p.note == '\0' ? "" : ": ", p.note);
        }
    }
}

static void the_document_says_what_the_table_says(void **state)
{
    (void)state;
    struct strbuf rows;
    char *text, path[512];
    size_t n;
    struct err err;
    const char *root = getenv("EGRET_ROOT");
    snprintf(path, sizeof path, "%s/docs/policies.md", root == NULL ? "." : root);
    if (!file_read(path, 1 << 20, &text, &n, &err)) {
        print_message("SKIPPED: %s is not here\n", path);
        skip();
    }
    strbuf_init(&rows);
    add_rows(&rows);
    size_t at = slice_search(slice_make(text, n), strbuf_slice(&rows));
    if (at == n) {
        print_error("docs/policies.md must hold these rows:\n");
        for (struct slice rest = strbuf_slice(&rows); rest.n > 0;) { /* cmocka cuts long texts */
            struct slice row = slice_cut(&rest, '\n');
            print_error("%.*s\n", SLICE_ARG(row));
        }
    }
    assert_true(at < n);
    strbuf_fini(&rows);
    mem_free(text);
}

static void every_policy_of_the_reference_is_in_the_table(void **state)
{
    (void)state;
    const char *shared = getenv("EGRET_SHARED");
    char *text, path[512];
    size_t n;
    struct err err;
    snprintf(path, sizeof path, "%s/refs/policy-reference.tsv", shared == NULL ? "../shared" : shared);
    if (!file_read(path, 1 << 20, &text, &n, &err)) {
        print_message("SKIPPED: %s is not there\n", path);
        skip();
    }
    struct slice rest = slice_make(text, n);
    slice_cut(&rest, '\n'); /* the names of the columns */
    while (rest.p != NULL) {
        struct slice line = slice_cut(&rest, '\n');
        struct slice name = slice_cut(&line, '\t');
        if (name.n > 0 && !is_known(name)) {
            fail_msg("%.*s is not in the table", SLICE_ARG(name));
        }
    }
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_sorted_and_each_closed_policy_has_a_reason),
        cmocka_unit_test(the_document_says_what_the_table_says),
        cmocka_unit_test(every_policy_of_the_reference_is_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
