/* The kernel program and the core side by side: the same allocations and channels in the program's
 * maps and in a turn_world, one frame into both, and whether they agree.
 *
 * The maps are filled by hand, as map.h says that it is done; what fills them in turnd has tests of
 * its own. */
#ifndef VIADUCT_TESTS_XDP_RIG_H
#define VIADUCT_TESTS_XDP_RIG_H

#include "tests/support/turn_world.h"
#include "tests/xdp/frame.h"
#include "turn/xdp/map.h"

enum { RIG_SLOTS = 64, RIG_ALLOCATIONS = 16, RIG_FAULT = 256 };

struct xdp_relay; /* the skeleton that bpftool makes */

struct rig_counts {
  uint64_t from_client_packets, from_client_bytes, from_peer_packets, from_peer_bytes;
};

struct rig {
  struct world world;
  struct turn_allocation
      *allocation[RIG_ALLOCATIONS]; /* in the order of the table in places.c; what
                                       is over is gone when a request comes */
  struct addr relay[RIG_ALLOCATIONS], told[RIG_ALLOCATIONS]; /* their relayed addresses */
  struct xdp_relay *program;
  struct xdp_channel *channel;  /* the map's rows */
  struct xdp_allocation *limit; /* of allocation[i], row i */
  size_t channel_count;
  unsigned ifindex; /* where frames come in */
  uint8_t mac[FRAME_MAC], far_mac[FRAME_MAC];
  uint64_t now_ns; /* when it was set up */
};

struct rig_run {
  uint32_t verdict; /* enum xdp_action */
  struct frame out;
};

/* Namespace, program, maps and world. False, and stderr says why. */
bool rig_open(struct rig *r);
void rig_close(struct rig *r);

/* The endpoint of that name (places.c); false: there is none. "a4.relay", "a4.told". */
bool rig_find(const struct rig *r, const char *name, struct addr *out);
/* Whether a client of turnd sends there. */
bool rig_is_listener(const struct addr *a);

/* One frame through the program. False: the kernel would not run it. */
bool rig_run(struct rig *r, const uint8_t *p, size_t len, struct rig_run *out);
/* One frame through both. NULL: they agree; else what is wrong. `*run` is the program's. */
const char *rig_both(struct rig *r, const uint8_t *p, size_t len, struct rig_run *run);
/* How often the program says that it did so, or why it did not. */
uint64_t rig_stat(const struct rig *r, enum xdp_stat which);

/* places.c: who is there. */
struct rig_place {
  const char *name, *at;
};
extern const struct rig_place rig_places[];
struct rig_allocation {
  const char *name, *server; /* the client's place, and the listener's */
  unsigned row;              /* of the relay addresses: RIG_V4, RIG_V6, RIG_BEHIND_NAT */
  uint64_t bps;
  bool over; /* its time is up */
};
enum { RIG_V4, RIG_V6, RIG_BEHIND_NAT };
extern const struct rig_allocation rig_allocations[];
enum rig_until { RIG_LIVES, RIG_CHANNEL_OVER, RIG_PERMISSION_OVER };
struct rig_channel {
  const char *allocation, *peer;
  uint16_t number;
  enum rig_until until;
};
extern const struct rig_channel rig_channels[];
extern const char *const rig_commands[]; /* for ip */

#endif
