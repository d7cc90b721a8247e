/* The floor of XDP: what bench-forward has the kernel do for a flow in its place (tx.bpf.c). */
#ifndef VIADUCT_BENCH_FLOOR_TX_H
#define VIADUCT_BENCH_FLOOR_TX_H

#include <stdint.h>

/* Where a datagram that came to one port goes on to. Shared with the program; host order. */
struct tx_way {
  uint16_t from, to; /* the ports it leaves with; `to` 0: there is no such way */
  uint16_t channel;  /* to put on; 0: one comes off */
};

/* Loads and attaches it, for as long as this process lives. `front`: the port of the server; 0: the
 * program that lets everything pass, for the other end of a veth pair. NULL, or one sentence that
 * says why not. */
const char *floor_tx_open(const char *interface, uint16_t front);
/* Both ways of a flow. */
void floor_tx_put(uint16_t client, uint16_t relayed, uint16_t peer, uint16_t channel);

#endif
