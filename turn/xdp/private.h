/* What the files of turn/xdp share: xdp.c (the maps' rows), attach.c (program and interfaces),
 * pool.c (whose rows are free). Private to them. */
#ifndef VIADUCT_TURN_XDP_PRIVATE_H
#define VIADUCT_TURN_XDP_PRIVATE_H

#include <stdatomic.h>

#include "turn/xdp/pool.h"
#include "turn/xdp/xdp.h"

struct xdp_relay; /* the skeleton that bpftool makes */

struct turnd_xdp {
  struct xdp_relay *program;
  int up_fd, down_fd, binding_fd, stat_fd;
  uint32_t channels;
  struct xdp_channel *channel;  /* the map's rows, in the kernel's memory */
  struct xdp_allocation *limit; /* the same */
  struct turnd_xdp_pool free_channels, free_limits;
  int link[XDP_PORTS_MAX];
  size_t link_count;
  int cpus;
  struct log *log;
  atomic_uint_fast64_t refused;
  atomic_bool told; /* of a first refusal */
};

/* attach.c */
int turnd__xdp_attach(struct turnd_xdp *x, const struct turnd_xdp_setup *s, struct net_error *e);
void turnd__xdp_detach(struct turnd_xdp *x);

#endif
