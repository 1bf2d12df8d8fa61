/*
 * What the files of net share of a loop: the read chunk, a scratch buffer, hang-up watches, and closers, which end
 * what still lingers when the loop goes. All from the loop's own thread.
 */
#pragma once
#include "base/buf.h"
#include "proxy/net/hangup.h"
#include "proxy/net/loop.h"

/*
 * Room to receive into: at least 32 KB, at offset *off of the returned chunk (borrowed). What was received and is
 * shared from there is reported by loop_read_done; the chunk is used again from its start once nobody shares it.
 */
struct chunk *loop_read_space(struct loop *loop, size_t *off, size_t *room);
void loop_read_done(struct loop *loop, size_t end);

enum { LOOP_SCRATCH = 16 << 10 };
unsigned char *loop_scratch(struct loop *loop); /* LOOP_SCRATCH bytes, for the length of one call */

struct hangup_set *loop_hangups(struct loop *loop);

/* Linked while an object has no owner but the loop. */
struct loop_closer {
    struct list link;
    void (*close)(struct loop_closer *closer);
};
void loop_adopt(struct loop *loop, struct loop_closer *closer);
