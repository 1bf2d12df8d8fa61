/* whole: a stage that needs the body from its first byte to its last. For the files of this room. */
#pragma once
#include "base/strbuf.h"
#include "proxy/body/stage.h"

struct body_whole {
    struct body_stage stage; /* first */
    struct buf held;
    size_t max_bytes;
    /* body: not empty. What was added to out does not matter when it says false. */
    bool (*convert)(const struct body_whole *w, struct slice body, struct strbuf *out, struct err *err);
};

void body_whole_init(struct body_whole *w, size_t max_bytes, const char *policy);
