#include "xds/problems.h"

void problem_text(const struct catalog_problem *p, struct strbuf *out)
{
    strbuf_printf(out, "%s:%u", p->file, p->line);
    if (p->column > 0) {
        strbuf_printf(out, ":%u", p->column);
    }
    strbuf_printf(out, ": %s", p->reason);
}

static void member(struct strbuf *out, const char *key, const char *value)
{
    strbuf_printf(out, "\"%s\":", key);
    strbuf_add_json(out, slice_of(value));
}

void problem_json(const struct catalog_problem *p, struct strbuf *out)
{
    strbuf_add_char(out, '{');
    member(out, "kind", catalog_problem_kind_name(p->kind));
    strbuf_add_char(out, ',');
    member(out, "file", p->file);
    strbuf_printf(out, ",\"line\":%u,\"column\":%u,", p->line, p->column);
    member(out, "object", p->object);
    strbuf_add_char(out, ',');
    member(out, "reason", p->reason);
    strbuf_add_char(out, '}');
}

void counts_text(const struct catalog_counts *c, struct strbuf *out)
{
    strbuf_printf(out, "%zu apis, %zu operations, %zu products, %zu subscriptions served, %zu apis left out", c->apis,
                  c->operations, c->products, c->subscriptions, c->left_out);
}

void counts_json(const struct catalog_counts *c, struct strbuf *out)
{
    strbuf_printf(out, "{\"apis\":%zu,\"operations\":%zu,\"products\":%zu,\"subscriptions\":%zu,\"left_out\":%zu}",
                  c->apis, c->operations, c->products, c->subscriptions, c->left_out);
}
