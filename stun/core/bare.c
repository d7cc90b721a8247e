/* See bare.h. turn/xdp/binding.bpf.h says the same again for the kernel. */
#include "stun/core/bare.h"

#include <string.h>

enum { SUCCESS = 0x0100 | STUN_BINDING, XOR_MAPPED_ADDRESS = 0x0020 };

/*  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |0 0 0 0 0 0 0 0|    Family     |         X-Port                |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |                X-Address (Variable)                           |
 * RFC 8489 14.2: the port under the cookie's first half, the address under the cookie and, of
 * IPv6, the transaction ID behind it, which is how they stand in the header. */
static size_t put(const uint8_t *request, const uint8_t *ip, size_t ip_len, uint16_t port,
                  uint8_t *out)
{
  const size_t value_len = 4 + ip_len;
  uint64_t address[2] = {0}, mask[2];
  memcpy(out + 4, request + 4, 16);
  store_be32(out, (uint32_t)SUCCESS << 16 | (uint32_t)(4 + value_len));
  store_be32(out + 20, (uint32_t)XOR_MAPPED_ADDRESS << 16 | (uint32_t)value_len);
  store_be32(out + 24, (ip_len == 4 ? 1u : 2u) << 16 | (port ^ STUN_COOKIE >> 16));
  memcpy(address, ip, ip_len);
  memcpy(mask, request + 4, sizeof(mask));
  address[0] ^= mask[0];
  address[1] ^= mask[1];
  memcpy(out + 28, address, ip_len);
  return STUN_HEADER_LEN + 4 + value_len;
}

size_t stun_bare_answer(const uint8_t request[STUN_HEADER_LEN], const struct addr *source,
                        uint8_t out[STUN_BARE_MAX])
{
  if (source->family == ADDR_V4)
    return put(request, source->ip, 4, source->port, out);
  /* A dual-stack socket shows IPv4 clients as ::ffff:a.b.c.d; they asked for their IPv4 address. */
  const struct addr mapped = addr_unmap(*source);
  const size_t ip_len = addr_ip_len(&mapped);
  return ip_len == 0 ? 0 : put(request, mapped.ip, ip_len, mapped.port, out);
}
