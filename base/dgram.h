/* One datagram (or one framed message of a stream) on its way through the server. The receive
 * buffer leaves room before and behind the payload, so that a header is put on or taken off in
 * place and nothing is copied. */
#ifndef VIADUCT_BASE_DGRAM_H
#define VIADUCT_BASE_DGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
  DGRAM_HEADROOM = 64, /* a Data indication's 20 + 4 + 20 + 4 bytes (IPv6 peer) fit, and the payload
                          stays aligned */
  DGRAM_TAILROOM = 4   /* padding to a multiple of four */
};

struct dgram {
  uint8_t *storage; /* borrowed from whoever received it */
  size_t cap;       /* of storage */
  uint8_t *at;      /* the payload, inside storage */
  size_t len;
};

/* Datagrams of one sender that came as one, without a gap between them: each has `each` bytes, the
 * last as many or fewer, and there are two at least. */
struct dgram_run {
  const uint8_t *at;
  size_t len, each;
  size_t skip; /* bytes of each that go no further */
};

static inline size_t dgram_headroom(const struct dgram *d)
{
  return (size_t)(d->at - d->storage);
}

static inline size_t dgram_tailroom(const struct dgram *d)
{
  return d->cap - dgram_headroom(d) - d->len;
}

#endif
