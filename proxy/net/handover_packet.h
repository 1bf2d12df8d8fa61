/* handover: the packets on the wire, for the server and the client side. */
#pragma once
#include <stdint.h>

#include "proxy/net/handover.h"

/*
 * One packet (SOCK_SEQPACKET keeps borders and keeps descriptors with their packet):
 *   head, then `names` NUL-terminated names of the descriptors that ride along, then text.
 * An answer with many descriptors is several packets; `last` marks the end. The kernel allows 253 in one.
 */
enum { PACKET_FDS = 100, PACKET_MAX = 60 << 10 };

struct packet_head {
    char magic[4];
    uint8_t version, last;
    uint16_t names;
};

struct packet {
    size_t n;
    union {
        struct packet_head head;
        char p[PACKET_MAX];
    };
    int fds[PACKET_FDS];
    size_t n_fds;
};

/* 1: a packet; 0: the peer is gone; -1: errno. Descriptors of a packet that is refused are closed. */
int packet_receive(int fd, struct packet *p);
void packet_close_fds(const struct packet *p);
bool bundle_send(int fd, const struct handover_bundle *b); /* false: errno */
/* Adds what a packet carries to b, which owns the descriptors from then on; false: it makes no sense. */
bool bundle_add_packet(struct handover_bundle *b, const struct packet *p);
bool handover_peer_is_us(int fd);
