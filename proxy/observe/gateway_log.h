/*
 * gateway_log: one record in the two layouts of API Management's self-hosted gateway: text (its version 2, where
 * lastError and errors are indented JSON over several lines) and JSON (one line). Same fields, same order; a field
 * without value is left out. Both end with a line break. Pure.
 */
#pragma once
#include "proxy/observe/line.h"
#include "proxy/observe/record.h"

void gateway_log_text(const struct record *r, struct line *out);
void gateway_log_json(const struct record *r, struct line *out);
