/* Transport addresses: an IP address with a port, and ranges of IP addresses. Fixed size, no
 * padding that differs, so that it can be compared, hashed and copied as a value. net/ turns it
 * into a sockaddr. */
#ifndef VIADUCT_BASE_ADDR_H
#define VIADUCT_BASE_ADDR_H

#include "base/bytes.h"

enum addr_family { ADDR_NONE = 0, ADDR_V4 = 4, ADDR_V6 = 6 };

struct addr {
  uint8_t ip[16]; /* network order; an IPv4 address fills the first 4 bytes, the others are 0 */
  uint32_t scope; /* interface index of a link-local IPv6 address, else 0 */
  uint16_t port;  /* host order */
  uint8_t family; /* enum addr_family */
  uint8_t _zero;  /* keeps the struct free of padding */
};

/* The longest text that addr_format writes, NUL included: "[v6%scope]:port". */
enum { ADDR_TEXT_SIZE = 72 };

struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port);
/* `len` is 4 or 16; other lengths give ADDR_NONE. */
struct addr addr_from_ip(const uint8_t *ip, size_t len, uint16_t port);
/* 4, 16, or 0 for ADDR_NONE. */
size_t addr_ip_len(const struct addr *a);

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80", with "%scope" as
 * a number. Without a port, the port is 0. Host names are none. -ERR_BAD. */
int addr_parse(struct bytes text, struct addr *out);
/* The usual text (RFC 5952 for IPv6), with ":port" unless the port is 0; NUL-terminated. Returns
 * `out`. */
const char *addr_format(const struct addr *a, char out[ADDR_TEXT_SIZE]);
/* Without the port, whatever it is. */
const char *addr_format_ip(const struct addr *a, char out[ADDR_TEXT_SIZE]);

bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_equal_ip(const struct addr *a, const struct addr *b);
/* ::ffff:a.b.c.d as the IPv4 address that it is; everything else unchanged (RFC 4291
 * section 2.5.5.2). */
struct addr addr_unmap(struct addr a);
/* The network that an address belongs to, for records that must not name a person: /24 of IPv4, /48
 * of IPv6; of 6to4, whose third to sixth byte are an IPv4 address, /40. The port stays. */
struct addr addr_anonymize(struct addr a);
bool addr_is_unspecified(const struct addr *a);
bool addr_is_loopback(const struct addr *a);
bool addr_is_multicast(const struct addr *a);

/* From `first` to `last`, both included, of one family; ports do not count. */
struct addr_range {
  struct addr first, last;
};

/* "10.0.0.0/8", "10.0.0.1-10.0.0.9" or a single address, IPv4 or IPv6. -ERR_BAD for anything else:
 * host bits set below the prefix are accepted and cleared, a last that is below the first is not.
 */
int addr_range_parse(struct bytes text, struct addr_range *out);
bool addr_range_has(const struct addr_range *r, const struct addr *a);

#endif
