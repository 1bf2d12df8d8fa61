/* ask: one GET over the control server's unix socket, answered with a JSON document. Blocks, ten seconds at most. */
#pragma once
#include "base/doc/doc.h"

/* NULL: nobody answers there, or not as expected; err says it. *body: the text itself, in the arena. */
const struct doc *ask_control(struct arena *arena, const char *socket_path, const char *path, struct slice *body,
                              struct err *err);
