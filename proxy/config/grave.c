#include "proxy/config/grave.h"

void graveyard_init(struct graveyard *y)
{
    atomic_init(&y->dead, NULL);
    y->digging = NULL;
}

void grave_bury(struct grave *g, void (*free)(struct grave *grave))
{
    if (g->yard == NULL) {
        free(g);
        return;
    }
    g->free = free;
    struct grave *head = atomic_load_explicit(&g->yard->dead, memory_order_relaxed);
    do {
        g->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&g->yard->dead, &head, g, memory_order_release,
                                                    memory_order_relaxed));
}

bool graveyard_dig(struct graveyard *y, size_t max)
{
    for (size_t n = 0; n < max; n++) {
        if (y->digging == NULL) {
            y->digging = atomic_exchange_explicit(&y->dead, NULL, memory_order_acquire);
        }
        struct grave *g = y->digging;
        if (g == NULL) {
            return false;
        }
        y->digging = g->next;
        g->free(g);
    }
    return y->digging != NULL || atomic_load_explicit(&y->dead, memory_order_relaxed) != NULL;
}

void cleanup_run(struct cleanup *list)
{
    for (; list != NULL; list = list->next) {
        list->run(list->object);
    }
}
