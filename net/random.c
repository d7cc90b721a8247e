/* getrandom(2) behind a pool. The kernel does not refuse once its generator is seeded; if it ever
 * does (a filter on system calls, say), HMAC-SHA256 under a key from the kernel goes on in its
 * place: as hard to guess, and no reason to stop a relay. */
#include "net/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/err.h"

static int kernel_fill(void *out, size_t len)
{
  uint8_t *at = out;
  while (len > 0) {
    ssize_t n = getrandom(at, len, 0);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return -ERR_IO;
    at += n;
    len -= (size_t)n;
  }
  return 0;
}

static void keyed_fill(struct net_random *r, uint8_t *out, size_t len)
{
  while (len > 0) {
    uint8_t block[SHA256_SIZE];
    r->counter++;
    const struct bytes piece = {(const uint8_t *)&r->counter, sizeof(r->counter)};
    hmac_sha256((struct bytes){r->key, sizeof(r->key)}, &piece, 1, block);
    size_t n = len < sizeof(block) ? len : sizeof(block);
    memcpy(out, block, n);
    bytes_wipe(block, sizeof(block));
    out += n;
    len -= n;
  }
}

static void refill(struct net_random *r)
{
  if (kernel_fill(r->pool, sizeof(r->pool)) != 0)
    keyed_fill(r, r->pool, sizeof(r->pool));
  r->left = sizeof(r->pool);
}

static void fill(void *arg, void *out, size_t len)
{
  struct net_random *r = arg;
  uint8_t *at = out;
  while (len > 0) {
    if (r->left == 0)
      refill(r);
    size_t n = len < r->left ? len : r->left;
    uint8_t *from = r->pool + sizeof(r->pool) - r->left;
    memcpy(at, from, n);
    bytes_wipe(from, n); /* what was given out is nowhere else */
    r->left -= n;
    at += n;
    len -= n;
  }
}

int net_random_init(struct net_random *r)
{
  memset(r, 0, sizeof(*r));
  r->random = (struct random){.fill = fill, .arg = r};
  return kernel_fill(r->key, sizeof(r->key));
}

void net_random_fini(struct net_random *r)
{
  bytes_wipe(r, sizeof(*r));
}
