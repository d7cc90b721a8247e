/* The attribute table behind the decoder and the encoder; private to stun/core. */
#ifndef VIADUCT_STUN_CORE_ATTR_H
#define VIADUCT_STUN_CORE_ATTR_H

#include "stun/core/types.h"

enum { STUN__ATTR_HEADER_LEN = 4 };

/* The row index of a code, or STUN_ATTR_COUNT for one that attr.def does not have. One load. */
enum stun_attr stun__attr_find(uint16_t code);

/* Whether a value of `len` bytes (unpadded) may stand in this attribute. */
bool stun__attr_fits(enum stun_attr a, size_t len);

/* "Each STUN attribute MUST end on a 32-bit boundary" (RFC 8489 section 14). */
static inline size_t stun__padded(size_t len)
{
  return (len + 3) & ~(size_t)3;
}

/* XORs the 4 or 16 bytes of an IP address with the magic cookie and, for IPv6, the transaction id
 * (RFC 8489 14.2). `message` is at least a header. */
void stun__xor_ip(const uint8_t *message, uint8_t *ip, size_t ip_len);

#endif
