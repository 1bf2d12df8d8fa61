/* problems: a catalog's problems for people and programs, as egret-control --mode validate and /faults tell them. */
#pragma once
#include "base/strbuf.h"
#include "xds/catalog/catalog.h"

void problem_text(const struct catalog_problem *problem, struct strbuf *out); /* "file:line:column: reason" */
void problem_json(const struct catalog_problem *problem, struct strbuf *out);
/* "N apis, N operations, N products, N subscriptions served, N apis left out" */
void counts_text(const struct catalog_counts *counts, struct strbuf *out);
void counts_json(const struct catalog_counts *counts, struct strbuf *out);
