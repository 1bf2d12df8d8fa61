#include "xds/ctl/table.h"

#include "base/mem.h"

struct table {
    size_t columns, rows, cap;
    char **cells; /* row by row; the first row holds the heads */
    size_t *widths;
};

/* Code points, not bytes: a column must line up with names that are not ASCII. */
static size_t width_of(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++) {
        n += ((unsigned char)*s & 0xc0) != 0x80;
    }
    return n;
}

struct table *table_create(const char *const *heads, size_t columns)
{
    struct table *t = mem_alloc(sizeof *t);
    t->columns = columns;
    t->widths = mem_alloc((columns + 1) * sizeof t->widths[0]);
    struct slice *row = mem_alloc((columns + 1) * sizeof row[0]);
    for (size_t i = 0; i < columns; i++) {
        row[i] = slice_of(heads[i]);
    }
    table_add(t, row);
    mem_free(row);
    return t;
}

void table_destroy(struct table **table)
{
    struct table *t = *table;
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->rows * t->columns; i++) {
        mem_free(t->cells[i]);
    }
    mem_free(t->cells);
    mem_free(t->widths);
    mem_free(t);
    *table = NULL;
}

void table_add(struct table *table, const struct slice *cells)
{
    if (table->rows == table->cap) {
        table->cap = table->cap == 0 ? 16 : table->cap * 2;
        table->cells = mem_resize(table->cells, table->cap * table->columns * sizeof table->cells[0]);
    }
    for (size_t i = 0; i < table->columns; i++) {
        char *cell = mem_str_slice(slice_is_empty(cells[i]) ? SLICE("-") : cells[i]);
        size_t width = width_of(cell);
        table->widths[i] = width > table->widths[i] ? width : table->widths[i];
        table->cells[table->rows * table->columns + i] = cell;
    }
    table->rows++;
}

size_t table_rows(const struct table *table)
{
    return table->rows - 1;
}

void table_print(const struct table *table, FILE *out)
{
    for (size_t r = 0; r < table->rows; r++) {
        for (size_t c = 0; c < table->columns; c++) {
            const char *cell = table->cells[r * table->columns + c];
            fputs(cell, out);
            size_t pad = c + 1 < table->columns ? table->widths[c] - width_of(cell) + 2 : 0;
            fprintf(out, "%*s", (int)pad, "");
        }
        fputc('\n', out);
    }
}
