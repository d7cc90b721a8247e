/* See tx.h: a build without the tools for programs in the kernel. */
#include "bench/floor/tx.h"

const char *floor_tx_open(const char *interface, uint16_t front)
{
  (void)interface;
  (void)front;
  return "this build has no programs for the kernel (scripts/setup --xdp installs what makes them)";
}

void floor_tx_put(uint16_t client, uint16_t relayed, uint16_t peer, uint16_t channel)
{
  (void)client;
  (void)relayed;
  (void)peer;
  (void)channel;
}
