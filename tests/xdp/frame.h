/* Ethernet frames for the tests of the kernel program: made by hand with whatever is wrong about
 * them, and taken apart again by rules of their own, not the program's. */
#ifndef VIADUCT_TESTS_XDP_FRAME_H
#define VIADUCT_TESTS_XDP_FRAME_H

#include "base/addr.h"

enum { FRAME_MAX = 3000, FRAME_ETHERNET = 14, FRAME_MAC = 6 };

enum frame_checksum { CHECKSUM_RIGHT, CHECKSUM_NONE, CHECKSUM_PARTIAL, CHECKSUM_BAD };

/* Of the headers between IPv6's and UDP's. */
enum frame_extension {
  EXTENSION_NONE,
  EXTENSION_HOP_BY_HOP,
  EXTENSION_ROUTING,
  EXTENSION_FRAGMENT
};

struct frame_plan {
  uint8_t to_mac[FRAME_MAC];
  struct addr from, to;
  const uint8_t *payload;
  size_t len;
  enum frame_checksum checksum;
  enum frame_extension extension;
  bool vlan, options, more_fragments, bad_ip_checksum;
  uint16_t fragment_offset; /* bytes */
  uint8_t tos, protocol;    /* protocol 0: UDP */
  size_t trailer;           /* bytes behind the IP packet */
  size_t surplus;           /* bytes of the IP packet behind the UDP datagram */
  int udp_len_off;          /* what its length field is wrong by */
};

struct frame {
  uint8_t at[FRAME_MAX];
  size_t len;
};

void frame_make(const struct frame_plan *plan, struct frame *out);

/* What a host's stack makes of a frame. */
struct frame_view {
  const uint8_t *to_mac, *from_mac;
  struct addr from, to;
  const uint8_t *payload;
  size_t len;
  size_t rest;         /* bytes of the frame behind the IP packet */
  uint8_t ttl, tos;    /* of IPv6: hop limit, traffic class */
  bool dont_fragment;  /* IPv4 */
  uint32_t flow_label; /* IPv6 */
  bool sum_is_none, sum_is_right, sum_is_partial;
};

/* False: no whole UDP datagram that a socket would get to see, its checksum aside. */
bool frame_read(const uint8_t *p, size_t len, struct frame_view *out);
/* A socket gets it: the checksum is right, or none in IPv4, or the sender's kernel left it out. */
bool frame_is_intact(const struct frame_view *v);

#endif
