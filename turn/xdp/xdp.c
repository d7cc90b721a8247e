/* The rows of the maps: what map.h says of their order, kept from several threads. A channel is one
 * worker's, and so are its row and its keys; the list of free rows has a lock, asked when a channel
 * begins or ends. Maps are changed through descriptors that were opened with the privileges: Linux
 * asks for none again since 5.19. */
#include "turn/xdp/xdp.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "net/clock.h"
#include "turn/core/turn.h"
#include "turn/xdp/private.h"
#include "xdp_relay.skel.h"

static void store(__u64 *at, uint64_t value)
{
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* ---- open and close ---- */

static void *map_rows(const struct bpf_map *map, size_t size, uint32_t count)
{
  const size_t page = (size_t)sysconf(_SC_PAGESIZE);
  const size_t len = (size * count + page - 1) / page * page;
  void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
  return at == MAP_FAILED ? NULL : at;
}

static int open_rows(struct turnd_xdp *x, struct net_error *e)
{
  x->up_fd = bpf_map__fd(x->program->maps.xdp_up);
  x->down_fd = bpf_map__fd(x->program->maps.xdp_down);
  x->binding_fd = bpf_map__fd(x->program->maps.xdp_binding);
  x->stat_fd = bpf_map__fd(x->program->maps.xdp_stat);
  x->cpus = libbpf_num_possible_cpus();
  x->channel = map_rows(x->program->maps.xdp_channel, sizeof(*x->channel), x->channels);
  x->limit = map_rows(x->program->maps.xdp_allocation, sizeof(*x->limit), x->channels);
  if (x->channel != NULL && x->limit != NULL && x->cpus > 0 &&
      turnd_xdp_pool_init(&x->free_channels, x->channels) == 0 &&
      turnd_xdp_pool_init(&x->free_limits, x->channels) == 0)
    return 0;
  net_error_set(e, "there is no memory for %u channels; lower xdp-channels", x->channels);
  return -ERR_NOMEM;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
  (void)level;
  (void)format;
  (void)args;
  return 0; /* what went wrong is said by an error, in one line */
}

int turnd_xdp_open(const struct turnd_xdp_setup *s, struct turnd_xdp **out, struct net_error *e)
{
  struct turnd_xdp *x = calloc(1, sizeof(*x));
  if (x == NULL)
    return -ERR_NOMEM;
  libbpf_set_print(quiet);
  x->log = s->log;
  x->channels = s->channels;
  int r = turnd__xdp_attach(x, s, e);
  if (r == 0)
    r = open_rows(x, e);
  if (r != 0) {
    turnd_xdp_close(x);
    return r;
  }
  *out = x;
  return 0;
}

void turnd_xdp_close(struct turnd_xdp *x)
{
  if (x == NULL)
    return;
  turnd__xdp_detach(x); /* the mappings end with the process, or with the maps' last user */
  if (x->channel != NULL)
    munmap(x->channel, sizeof(*x->channel) * x->channels);
  if (x->limit != NULL)
    munmap(x->limit, sizeof(*x->limit) * x->channels);
  turnd_xdp_pool_fini(&x->free_channels);
  turnd_xdp_pool_fini(&x->free_limits);
  free(x);
}

/* ---- channels ---- */

const struct xdp_channel *turnd_xdp_row(const struct turnd_xdp *x, uint32_t note)
{
  return &x->channel[note - 1];
}

static uint32_t refuse(struct turnd_xdp *x, const char *why, const char *mend)
{
  atomic_fetch_add_explicit(&x->refused, 1, memory_order_relaxed);
  if (!atomic_exchange(&x->told, true))
    log_event(x->log, LOG_LEVEL_WARN, "xdp-full", LOG_TEXT("why", why), LOG_TEXT("mend", mend),
              LOG_TEXT("now", "such channels are relayed in user space"));
  return 0;
}

/* Where another channel of this server's leads here, it does so by what clients are told. */
static bool is_told_as_bound(const struct xdp_channel *c)
{
  return memcmp(&c->told, &c->relay, sizeof(c->told)) == 0;
}

/* Another's key stays. */
static void drop(int fd, const void *key, uint32_t slot)
{
  uint32_t found;
  if (bpf_map_lookup_elem(fd, key, &found) == 0 && found == slot)
    (void)bpf_map_delete_elem(fd, key);
}

static void drop_keys(const struct turnd_xdp *x, uint32_t slot)
{
  const struct xdp_channel *c = &x->channel[slot];
  struct xdp_up_key up;
  struct xdp_down_key down;
  xdp_up_key_put(&up, c);
  drop(x->up_fd, &up, slot);
  xdp_down_key_put(&down, c, &c->relay);
  drop(x->down_fd, &down, slot);
  if (!is_told_as_bound(c)) {
    xdp_down_key_put(&down, c, &c->told);
    drop(x->down_fd, &down, slot);
  }
}

static int put_keys(const struct turnd_xdp *x, uint32_t slot)
{
  const struct xdp_channel *c = &x->channel[slot];
  struct xdp_up_key up;
  struct xdp_down_key down;
  xdp_up_key_put(&up, c);
  xdp_down_key_put(&down, c, &c->relay);
  int r = bpf_map_update_elem(x->up_fd, &up, &slot, BPF_ANY);
  if (r == 0)
    r = bpf_map_update_elem(x->down_fd, &down, &slot, BPF_ANY);
  if (r == 0 && !is_told_as_bound(c)) {
    xdp_down_key_put(&down, c, &c->told);
    r = bpf_map_update_elem(x->down_fd, &down, &slot, BPF_ANY);
  }
  return r;
}

uint32_t turnd_xdp_begin(struct turnd_xdp *x, struct xdp_channel *row, uint64_t until_ns)
{
  const size_t ends = offsetof(struct xdp_channel, from_client); /* the counters go on */
  uint32_t slot;
  if (!turnd_xdp_pool_take(&x->free_channels, net_clock_ms(), &slot))
    return refuse(x, "all its channels are taken", "raise xdp-channels");
  struct xdp_channel *c = &x->channel[slot];
  memcpy((char *)c + sizeof(c->until_ns), (const char *)row + sizeof(c->until_ns),
         ends - sizeof(c->until_ns));
  row->from_client = c->from_client; /* nobody counts there before it has keys */
  row->from_peer = c->from_peer;
  xdp_channel_seal(c);
  store(&c->until_ns, until_ns);
  if (put_keys(x, slot) == 0)
    return slot + 1;
  const bool denied = errno == EPERM;
  turnd_xdp_end(x, slot + 1);
  turnd_xdp_leave(x, slot + 1);
  return denied ? refuse(x, "the kernel wants CAP_BPF for each channel",
                         "take Linux 5.19 or newer, or stay root: leave proc-user out")
                : refuse(x, "the kernel takes no more channels", "raise xdp-channels");
}

void turnd_xdp_prolong(struct turnd_xdp *x, uint32_t note, uint64_t until_ns)
{
  store(&x->channel[note - 1].until_ns, until_ns);
}

void turnd_xdp_end(struct turnd_xdp *x, uint32_t note)
{
  drop_keys(x, note - 1);
  store(&x->channel[note - 1].until_ns, 0);
}

void turnd_xdp_leave(struct turnd_xdp *x, uint32_t note)
{
  turnd_xdp_pool_give(&x->free_channels, net_clock_ms(), note - 1);
}

/* ---- limits ---- */

const struct xdp_allocation *turnd_xdp_limit(const struct turnd_xdp *x, uint32_t note)
{
  return &x->limit[note - 1];
}

uint32_t turnd_xdp_limit_begin(struct turnd_xdp *x, uint64_t bps, const uint64_t paid_ns[2])
{
  uint32_t row;
  if (!turnd_xdp_pool_take(&x->free_limits, net_clock_ms(), &row))
    return refuse(x, "all its allocations with a limit are taken", "raise xdp-channels");
  struct xdp_allocation *a = &x->limit[row];
  store(&a->paid_ns[0], paid_ns[0]);
  store(&a->paid_ns[1], paid_ns[1]);
  store(&a->bps, bps);
  return row + 1;
}

void turnd_xdp_limit_end(struct turnd_xdp *x, uint32_t note, uint64_t paid_ns[2])
{
  for (size_t way = 0; way < 2; way++)
    paid_ns[way] = __atomic_load_n(&x->limit[note - 1].paid_ns[way], __ATOMIC_ACQUIRE);
  turnd_xdp_pool_give(&x->free_limits, net_clock_ms(), note - 1);
}

/* The kernel may have let something through in the meantime: then it is reckoned anew. */
bool turnd_xdp_limit_takes(struct turnd_xdp *x, uint32_t note, unsigned way, size_t len,
                           uint64_t now_ms)
{
  struct xdp_allocation *a = &x->limit[note - 1];
  __u64 *at = &a->paid_ns[way];
  __u64 before = __atomic_load_n(at, __ATOMIC_ACQUIRE);
  for (;;) {
    uint64_t paid_ns = before;
    if (!turn_fast_takes(&paid_ns, a->bps, len, now_ms * 1000000))
      return false;
    if (__atomic_compare_exchange_n(at, &before, paid_ns, false, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE))
      return true;
  }
}

/* ---- Binding requests, and figures ---- */

void turnd_xdp_binding(struct turnd_xdp *x, const struct addr *server, const struct xdp_binding *b)
{
  struct xdp_binding_key k = {.server_port_be = htons(server->port), .family = server->family};
  memcpy(k.server, server->ip, sizeof(k.server));
  if (b != NULL)
    (void)bpf_map_update_elem(x->binding_fd, &k, b, BPF_ANY); /* else user space answers */
  else
    (void)bpf_map_delete_elem(x->binding_fd, &k);
}

void turnd_xdp_stats(const struct turnd_xdp *x, uint64_t out[XDP_STAT_COUNT])
{
  memset(out, 0, XDP_STAT_COUNT * sizeof(out[0]));
  uint64_t *each = x != NULL ? calloc((size_t)x->cpus, sizeof(*each)) : NULL;
  for (uint32_t i = 0; each != NULL && i < XDP_STAT_COUNT; i++)
    if (bpf_map_lookup_elem(x->stat_fd, &i, each) == 0)
      for (int cpu = 0; cpu < x->cpus; cpu++)
        out[i] += each[cpu];
  free(each);
}

uint64_t turnd_xdp_refused(const struct turnd_xdp *x)
{
  return x != NULL ? atomic_load_explicit(&x->refused, memory_order_relaxed) : 0;
}
