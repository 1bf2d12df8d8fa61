/* Policy documents that people published: how many are readable, how many compile, and what closes the others. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "xds/policy/policy.h"

struct reason {
    char text[120];
    unsigned documents;
};

struct tally {
    struct reason reasons[400];
    size_t n;
    unsigned documents, unreadable, open;
};

/* Reasons of one kind count together: what is quoted or named in them is left out. */
static void count(struct tally *t, const char *text)
{
    char short_text[120];
    snprintf(short_text, sizeof short_text, "%s", text);
    char *cut = strstr(short_text, "named value {{");
    if (cut != NULL) {
        strcpy(cut, "a named value");
    }
    for (size_t i = 0; i < t->n; i++) {
        if (strcmp(t->reasons[i].text, short_text) == 0) {
            t->reasons[i].documents++;
            return;
        }
    }
    if (t->n < sizeof t->reasons / sizeof t->reasons[0]) {
        strcpy(t->reasons[t->n].text, short_text);
        t->reasons[t->n++].documents = 1;
    }
}

static const char *any_value(void *ctx, struct slice name, struct slice *value, const char **secret)
{
    (void)ctx, (void)name, (void)secret;
    *value = SLICE("value");
    return NULL;
}

static const char *any_fragment(void *ctx, struct slice id, struct slice *text, const char **file)
{
    (void)ctx, (void)id;
    *text = SLICE("<fragment/>");
    *file = "fragment.xml";
    return NULL;
}

/* Each reason once for a document. */
static void look(struct tally *t, const struct policy_program *p)
{
    struct map *seen = map_create(NULL);
    for (enum policy_section s = POLICY_INBOUND; s <= POLICY_ON_ERROR; s++) {
        for (size_t i = 0; i < p->sections[s].n; i++) {
            const struct policy_instruction *in = &p->sections[s].items[i];
            if (in->op == POLICY_CLOSED && !map_has(seen, slice_of(in->reason))) {
                map_put(seen, slice_of(in->reason), NULL);
                count(t, in->reason);
                t->unreadable += strncmp(in->reason, "not readable", 12) == 0;
            }
        }
    }
    map_destroy(&seen);
    t->open += policy_is_closed(p) ? 0 : 1;
}

static void compile_file(struct tally *t, const char *path)
{
    static const struct policy_sources sources = {any_value, any_fragment, NULL};
    struct strbuf wrapped;
    char *text;
    size_t n;
    struct err err;
    assert_true(file_read(path, 1 << 20, &text, &n, &err));
    strbuf_init(&wrapped);
    struct slice document = slice_make(text, n);
    size_t root = slice_search(document, SLICE("<fragment"));
    if (slice_search(document, SLICE("<policies")) == n && root < n) { /* a fragment: as if it stood in inbound */
        size_t open = slice_find(slice_from(document, root), '>') + root + 1;
        size_t close = slice_search(document, SLICE("</fragment>"));
        strbuf_add_str(&wrapped, "<policies><inbound>");
        strbuf_add(&wrapped, slice_sub(document, open, close - open));
        strbuf_add_str(&wrapped, "</inbound></policies>");
        document = strbuf_slice(&wrapped);
    }
    struct policy_program *p = policy_compile(document, &sources, POLICY_LIMITS_DEFAULT);
    t->documents++;
    look(t, p);
    policy_destroy(&p);
    strbuf_fini(&wrapped);
    mem_free(text);
}

static int by_count(const void *a, const void *b)
{
    const struct reason *x = a, *y = b;
    return x->documents != y->documents ? (x->documents < y->documents ? 1 : -1) : strcmp(x->text, y->text);
}

static void published_documents_are_readable_and_what_closes_them_is_ranked(void **state)
{
    (void)state;
    const char *shared = getenv("EGRET_SHARED");
    char folder[512], path[1024];
    snprintf(folder, sizeof folder, "%s/policy-corpus", shared == NULL ? "../shared" : shared);
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        print_message("SKIPPED: %s is not there\n", folder);
        skip();
    }
    struct tally *t = mem_alloc(sizeof *t);
    memset(t, 0, sizeof *t);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (strstr(e->d_name, ".xml") != NULL) {
            snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
            compile_file(t, path);
        }
    }
    closedir(dir);
    qsort(t->reasons, t->n, sizeof t->reasons[0], by_count);
    print_message("policy-corpus: %u documents, %u readable, %u compile whole\n", t->documents,
                  t->documents - t->unreadable, t->open);
    for (size_t i = 0; i < t->n; i++) {
        print_message("%5u  %s\n", t->reasons[i].documents, t->reasons[i].text);
    }
    assert_true(t->documents >= 166);
    assert_true(t->unreadable <= 2); /* a tag without its end, and "--" in a comment */
    assert_true(t->open >= 27);
    mem_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_documents_are_readable_and_what_closes_them_is_ranked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
