/* The kernel program and its maps, for the whole process: server.c opens it before the privileges
 * are dropped, the workers put their channels into it from any thread (turn/carry.c). Where it is
 * not built in, opening says so. Closing, or the end of the process however it comes, takes the
 * program off its interfaces: it hangs on descriptors alone.
 *
 * Numbers of channels and of limits are notes: 0 is none. */
#ifndef VIADUCT_TURN_XDP_XDP_H
#define VIADUCT_TURN_XDP_XDP_H

#include "base/addr.h"
#include "base/log.h"
#include "net/error.h"
#include "turn/xdp/map.h"

enum { TURND_XDP_CHANNELS_MAX = 1 << 20 };

struct turnd_xdp;

struct turnd_xdp_setup {
  const char *interfaces; /* names with commas between them, or "auto" */
  const struct addr *address;
  size_t address_count; /* of listeners and relays, for auto; an unspecified one is all */
  uint32_t channels;    /* that it holds at one time */
  struct log *log;
};

/* Returns owned: loaded, and attached to one interface at least; natively where the driver can,
 * else in the kernel's generic way. Otherwise -ERR_* with what is missing and what to do. */
int turnd_xdp_open(const struct turnd_xdp_setup *s, struct turnd_xdp **out, struct net_error *e);
/* NULL is fine. */
void turnd_xdp_close(struct turnd_xdp *x);

/* A channel begins: a row with its ends, without until_ns; its counters become what they go on
 * from. 0: no room, or the kernel refused it; it stays in user space. */
uint32_t turnd_xdp_begin(struct turnd_xdp *x, struct xdp_channel *row, uint64_t until_ns);
void turnd_xdp_prolong(struct turnd_xdp *x, uint32_t note, uint64_t until_ns);
/* What turnd_xdp_counts gives now is what it has carried; then the row belongs to nobody. */
void turnd_xdp_end(struct turnd_xdp *x, uint32_t note);
void turnd_xdp_leave(struct turnd_xdp *x, uint32_t note);
const struct xdp_channel *turnd_xdp_row(const struct turnd_xdp *x, uint32_t note);

/* What an allocation with a limit has paid, shared by its channels and by user space. 0: no room.
 */
uint32_t turnd_xdp_limit_begin(struct turnd_xdp *x, uint64_t bps, const uint64_t paid_ns[2]);
void turnd_xdp_limit_end(struct turnd_xdp *x, uint32_t note, uint64_t paid_ns[2]);
bool turnd_xdp_limit_takes(struct turnd_xdp *x, uint32_t note, unsigned way, size_t len,
                           uint64_t now_ms);
const struct xdp_allocation *turnd_xdp_limit(const struct turnd_xdp *x, uint32_t note);

/* The tail of answers to Binding requests at that address; NULL: user space answers. */
void turnd_xdp_binding(struct turnd_xdp *x, const struct addr *server, const struct xdp_binding *b);

/* What the program has counted, by enum xdp_stat; zeros for NULL. */
void turnd_xdp_stats(const struct turnd_xdp *x, uint64_t out[XDP_STAT_COUNT]);
/* How many channels found no room. */
uint64_t turnd_xdp_refused(const struct turnd_xdp *x);

#endif
