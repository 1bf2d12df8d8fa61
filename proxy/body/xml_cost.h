/*
 * xml_cost: whether a document could keep a thread busy for longer than its size allows, told before libxml2 sees it. Pure.
 */
#pragma once
#include "base/err.h"
#include "base/slice.h"

bool xml_cost_check(struct slice body, struct err *err); /* body: not empty. false: it would, or nobody can tell */
bool xml_cost_is_wide(struct slice body);                /* in characters of two or four bytes */
