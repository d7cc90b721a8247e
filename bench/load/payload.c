/* See payload.h.
 *
 *   4 bytes magic | 4 flow | 8 sequence | 8 made | 8 check of these and of the length | filling
 */
#include "bench/load/payload.h"

#include <string.h>

#include "base/err.h"

enum { MAGIC = 0x564c4431, CHECK_AT = 24 };

/* The filling of every packet is this one, so that a look at it costs one memcmp. */
static void fill(uint8_t *out, size_t len)
{
  for (size_t i = 0; i < len; i++)
    out[i] = (uint8_t)(i * 167 + (i >> 8) * 13);
}

/* Not against forgers: against what networks and bugs do to bytes. */
static uint64_t check_of(const uint8_t *p, size_t len)
{
  uint64_t sum = 0x9e3779b97f4a7c15u ^ len;
  for (size_t i = 0; i < CHECK_AT; i += 8) {
    sum = (sum ^ load_be64(p + i)) * 0xff51afd7ed558ccdu;
    sum ^= sum >> 33;
  }
  return sum;
}

void load_payload_put(uint8_t *out, size_t len, const struct load_payload *p)
{
  store_be32(out, MAGIC);
  store_be32(out + 4, p->flow);
  store_be64(out + 8, p->sequence);
  store_be64(out + 16, p->made_ns);
  store_be64(out + CHECK_AT, check_of(out, len));
  fill(out + LOAD_PAYLOAD_LEAST, len - LOAD_PAYLOAD_LEAST);
}

int load_payload_get(struct bytes in, struct load_payload *out)
{
  if (in.len < LOAD_PAYLOAD_LEAST || in.len > LOAD_PAYLOAD_MOST || load_be32(in.at) != MAGIC ||
      load_be64(in.at + CHECK_AT) != check_of(in.at, in.len))
    return -ERR_BAD;
  const size_t rest = in.len - LOAD_PAYLOAD_LEAST;
  uint8_t expected[LOAD_PAYLOAD_MOST];
  fill(expected, rest);
  if (rest && memcmp(in.at + LOAD_PAYLOAD_LEAST, expected, rest) != 0)
    return -ERR_BAD;
  *out = (struct load_payload){
      .flow = load_be32(in.at + 4),
      .sequence = load_be64(in.at + 8),
      .made_ns = load_be64(in.at + 16),
  };
  return 0;
}
