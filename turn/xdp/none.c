/* A build without the program: xdp.h's functions, of which only the first is ever called. */
#include <string.h>

#include "base/err.h"
#include "turn/xdp/xdp.h"

int turnd_xdp_open(const struct turnd_xdp_setup *s, struct turnd_xdp **out, struct net_error *e)
{
  (void)s;
  (void)out;
  net_error_set(e, "it is not built in; build it where clang, bpftool and libbpf are "
                   "(scripts/setup --xdp)");
  return -ERR_UNSUPPORTED;
}

void turnd_xdp_close(struct turnd_xdp *x)
{
  (void)x;
}

uint32_t turnd_xdp_begin(struct turnd_xdp *x, struct xdp_channel *row, uint64_t until_ns)
{
  (void)x;
  (void)row;
  (void)until_ns;
  return 0;
}

void turnd_xdp_prolong(struct turnd_xdp *x, uint32_t note, uint64_t until_ns)
{
  (void)x;
  (void)note;
  (void)until_ns;
}

void turnd_xdp_end(struct turnd_xdp *x, uint32_t note)
{
  (void)x;
  (void)note;
}

void turnd_xdp_leave(struct turnd_xdp *x, uint32_t note)
{
  (void)x;
  (void)note;
}

const struct xdp_channel *turnd_xdp_row(const struct turnd_xdp *x, uint32_t note)
{
  (void)x;
  (void)note;
  return NULL;
}

uint32_t turnd_xdp_limit_begin(struct turnd_xdp *x, uint64_t bps, const uint64_t paid_ns[2])
{
  (void)x;
  (void)bps;
  (void)paid_ns;
  return 0;
}

void turnd_xdp_limit_end(struct turnd_xdp *x, uint32_t note, uint64_t paid_ns[2])
{
  (void)x;
  (void)note;
  (void)paid_ns;
}

bool turnd_xdp_limit_takes(struct turnd_xdp *x, uint32_t note, unsigned way, size_t len,
                           uint64_t now_ms)
{
  (void)x;
  (void)note;
  (void)way;
  (void)len;
  (void)now_ms;
  return false;
}

const struct xdp_allocation *turnd_xdp_limit(const struct turnd_xdp *x, uint32_t note)
{
  (void)x;
  (void)note;
  return NULL;
}

void turnd_xdp_binding(struct turnd_xdp *x, const struct addr *server, const struct xdp_binding *b)
{
  (void)x;
  (void)server;
  (void)b;
}

void turnd_xdp_stats(const struct turnd_xdp *x, uint64_t out[XDP_STAT_COUNT])
{
  (void)x;
  memset(out, 0, XDP_STAT_COUNT * sizeof(out[0]));
}

uint64_t turnd_xdp_refused(const struct turnd_xdp *x)
{
  (void)x;
  return 0;
}
