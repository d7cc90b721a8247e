/* One byte for each port of each family: a worker gives a port to one allocation at a time,
 * whatever the address, and no other worker has that port. */
#include "turn/directory.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/err.h"
#include "turn/settings.h"

enum { PORTS = 65536, FAMILIES = 2 };

_Static_assert(TURND_PLACES_MAX < UINT8_MAX, "a row and the lack of one are a byte");

struct turnd_directory {
  struct addr told[TURND_PLACES_MAX];
  size_t told_count;
  atomic_uchar row[FAMILIES][PORTS]; /* of `told`, counted from 1; 0: nobody's */
};

int turnd_directory_new(const struct turn_config *c, struct turnd_directory **out)
{
  struct turnd_directory *d = calloc(1, sizeof(*d));
  if (d == NULL)
    return -ERR_NOMEM;
  for (size_t i = 0; i < c->relay_count && i < TURND_PLACES_MAX; i++)
    d->told[d->told_count++] =
        c->relay[i].external.family != ADDR_NONE ? c->relay[i].external : c->relay[i].local;
  *out = d;
  return 0;
}

void turnd_directory_free(struct turnd_directory *d)
{
  free(d);
}

static unsigned char row_of(const struct turnd_directory *d, const struct addr *a)
{
  for (size_t i = 0; i < d->told_count; i++)
    if (addr_equal_ip(&d->told[i], a))
      return (unsigned char)(i + 1);
  return 0;
}

void turnd_directory_set(struct turnd_directory *d, const struct addr *relayed, bool on)
{
  atomic_store_explicit(&d->row[relayed->family == ADDR_V6][relayed->port],
                        on ? row_of(d, relayed) : 0, memory_order_relaxed);
}

bool turnd_directory_has(const struct turnd_directory *d, const struct addr *relayed)
{
  const unsigned char row = atomic_load_explicit(&d->row[relayed->family == ADDR_V6][relayed->port],
                                                 memory_order_relaxed);
  return row != 0 && row == row_of(d, relayed);
}
