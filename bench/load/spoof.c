/* See spoof.h. RFC 791 3.1 and RFC 768. */
#include "bench/load/spoof.h"

#include <string.h>

enum { IP_HEADER = 20, UDP_HEADER = 8, UDP = 17, HOPS = 64 };

static uint32_t sum_of(const uint8_t *p, size_t len, uint32_t sum)
{
  for (size_t i = 0; i + 1 < len; i += 2)
    sum += load_be16(p + i);
  return len % 2 ? sum + ((uint32_t)p[len - 1] << 8) : sum;
}

static uint16_t folded(uint32_t sum)
{
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

void load_spoof_put(uint8_t *out, size_t len, const struct addr *from, const struct addr *to)
{
  uint8_t *udp = out + IP_HEADER;
  const uint16_t udp_len = (uint16_t)(UDP_HEADER + len);
  memset(out, 0, LOAD_SPOOF_HEADERS);
  out[0] = 0x45; /* version 4, five words */
  store_be16(out + 2, (uint16_t)(IP_HEADER + udp_len));
  out[8] = HOPS;
  out[9] = UDP;
  memcpy(out + 12, from->ip, 4);
  memcpy(out + 16, to->ip, 4);
  store_be16(out + 10, folded(sum_of(out, IP_HEADER, 0)));
  store_be16(udp, from->port);
  store_be16(udp + 2, to->port);
  store_be16(udp + 4, udp_len);
  /* Over the pseudo header too; one that comes out as 0 is sent as all ones. */
  const uint16_t check = folded(sum_of(udp, udp_len, sum_of(out + 12, 8, (uint32_t)UDP + udp_len)));
  store_be16(udp + 6, check ? check : 0xffff);
}
