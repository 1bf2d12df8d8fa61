/* Pages, cut from regions that are never unmapped; those that were given back wait in a list of their thread. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

enum { REGION_PAGES = 64 };

struct free_page {
    struct free_page *next;
};

static _Thread_local struct {
    struct free_page *free;
    char *fresh; /* of the latest region; zeroed, not resident yet */
    unsigned n_fresh;
} pages;

static void *fresh_page(void)
{
    if (pages.n_fresh == 0) {
        size_t n = (size_t)REGION_PAGES * PAGE_BYTES;
        pages.fresh = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages.fresh == MAP_FAILED) {
            fprintf(stderr, "out of memory: %zu bytes\n", n);
            abort();
        }
        pages.n_fresh = REGION_PAGES;
    }
    char *p = pages.fresh;
    pages.fresh += PAGE_BYTES;
    pages.n_fresh--;
    return p;
}

void *page_take(void)
{
    struct free_page *p = pages.free;
    if (p == NULL) {
        return fresh_page();
    }
    pages.free = p->next;
    return memset(p, 0, PAGE_BYTES);
}

bool page_rest(void *page)
{
    const uint64_t *words = page;
    for (size_t i = 0; i < PAGE_BYTES / sizeof *words; i++) {
        if (words[i] != 0) {
            return false;
        }
    }
    return madvise(page, PAGE_BYTES, MADV_DONTNEED) == 0;
}

void page_give(void *page)
{
    struct free_page *p = page;
    p->next = pages.free;
    pages.free = p;
}
