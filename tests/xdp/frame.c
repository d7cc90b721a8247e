/* Frames, byte for byte (RFC 791, RFC 8200, RFC 768). */
#include "tests/xdp/frame.h"

#include <string.h>

enum { TYPE_V4 = 0x0800, TYPE_V6 = 0x86DD, TYPE_VLAN = 0x8100, UDP = 17, UDP_HEADER = 8 };

/* The checksum as its RFC describes it, one word after the other. */
static uint32_t sum(uint32_t start, const uint8_t *p, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    start += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    start = (start & 0xFFFF) + (start >> 16);
  }
  return start;
}

static uint32_t pseudo_sum(const struct addr *from, const struct addr *to, size_t udp_len)
{
  uint32_t s = sum(0, from->ip, addr_ip_len(from));
  s = sum(s, to->ip, addr_ip_len(to));
  const uint8_t rest[4] = {0, UDP, (uint8_t)(udp_len >> 8), (uint8_t)udp_len};
  return sum(s, rest, sizeof(rest));
}

static void put(struct frame *f, const void *p, size_t len)
{
  memcpy(f->at + f->len, p, len);
  f->len += len;
}

static void put16(struct frame *f, size_t value)
{
  const uint8_t two[2] = {(uint8_t)(value >> 8), (uint8_t)value};
  put(f, two, sizeof(two));
}

static void put_fill(struct frame *f, uint8_t value, size_t len)
{
  memset(f->at + f->len, value, len);
  f->len += len;
}

static void put_ethernet(const struct frame_plan *plan, struct frame *f)
{
  static const uint8_t from[FRAME_MAC] = {2, 0, 0, 0, 0, 0xFE};
  put(f, plan->to_mac, FRAME_MAC);
  put(f, from, sizeof(from));
  if (plan->vlan) {
    put16(f, TYPE_VLAN);
    put16(f, 5);
  }
  put16(f, plan->from.family == ADDR_V4 ? TYPE_V4 : TYPE_V6);
}

static void put_v4(const struct frame_plan *plan, struct frame *f, size_t len)
{
  static const uint8_t options[4] = {1, 1, 1, 0}; /* three times nothing, and the end */
  const size_t at = f->len, header = plan->options ? 24 : 20;
  const uint8_t first[2] = {(uint8_t)(0x40 | header / 4), plan->tos};
  put(f, first, sizeof(first));
  put16(f, header + len);
  put16(f, 0x1234);
  put16(f, (plan->more_fragments ? 0x2000U : 0U) | plan->fragment_offset / 8U);
  const uint8_t life[2] = {57, plan->protocol ? plan->protocol : UDP};
  put(f, life, sizeof(life));
  put16(f, 0);
  put(f, plan->from.ip, 4);
  put(f, plan->to.ip, 4);
  if (plan->options)
    put(f, options, sizeof(options));
  const uint32_t check = ~sum(plan->bad_ip_checksum ? 1 : 0, f->at + at, header) & 0xFFFF;
  f->at[at + 10] = (uint8_t)(check >> 8);
  f->at[at + 11] = (uint8_t)check;
}

static uint8_t extension_number(enum frame_extension e)
{
  return e == EXTENSION_HOP_BY_HOP ? 0 : e == EXTENSION_ROUTING ? 43 : 44;
}

static void put_v6(const struct frame_plan *plan, struct frame *f, size_t len)
{
  const uint8_t protocol = plan->protocol ? plan->protocol : UDP;
  const bool extended = plan->extension != EXTENSION_NONE;
  const uint8_t first[4] = {(uint8_t)(0x60 | plan->tos >> 4), (uint8_t)(plan->tos << 4), 0x77, 1};
  put(f, first, sizeof(first));
  put16(f, len + (extended ? 8 : 0));
  const uint8_t next[2] = {extended ? extension_number(plan->extension) : protocol, 57};
  put(f, next, sizeof(next));
  put(f, plan->from.ip, 16);
  put(f, plan->to.ip, 16);
  if (!extended)
    return;
  uint8_t header[8] = {protocol, 0, 1, 4}; /* hop by hop: PadN */
  if (plan->extension == EXTENSION_ROUTING)
    header[2] = header[3] = 0;
  if (plan->extension == EXTENSION_FRAGMENT) {
    header[2] = (uint8_t)(plan->fragment_offset >> 8);
    header[3] = (uint8_t)((plan->fragment_offset & 0xF8) | (plan->more_fragments ? 1 : 0));
  }
  put(f, header, sizeof(header));
}

static uint16_t make_checksum(const struct frame_plan *plan, const uint8_t *udp, size_t field_len)
{
  const uint32_t pseudo = pseudo_sum(&plan->from, &plan->to, field_len);
  const uint32_t right = ~sum(pseudo, udp, UDP_HEADER + plan->len) & 0xFFFF;
  switch (plan->checksum) {
  case CHECKSUM_NONE:
    return 0;
  case CHECKSUM_PARTIAL:
    return (uint16_t)pseudo;
  case CHECKSUM_BAD:
    return (uint16_t)(right ^ 0x0101);
  case CHECKSUM_RIGHT:
  default:
    return (uint16_t)(right ? right : 0xFFFF);
  }
}

void frame_make(const struct frame_plan *plan, struct frame *out)
{
  out->len = 0;
  put_ethernet(plan, out);
  const size_t len = UDP_HEADER + plan->len + plan->surplus;
  if (plan->from.family == ADDR_V4)
    put_v4(plan, out, len);
  else
    put_v6(plan, out, len);
  const size_t at = out->len;
  const size_t field_len = (size_t)((int)(UDP_HEADER + plan->len) + plan->udp_len_off);
  put16(out, plan->from.port);
  put16(out, plan->to.port);
  put16(out, field_len);
  put16(out, 0);
  if (plan->len)
    put(out, plan->payload, plan->len);
  const uint16_t check = make_checksum(plan, out->at + at, field_len);
  out->at[at + 6] = (uint8_t)(check >> 8);
  out->at[at + 7] = (uint8_t)check;
  put_fill(out, 0x5A, plan->surplus);
  put_fill(out, 0xA5, plan->trailer);
}

static bool read_v4(const uint8_t *ip, size_t there, struct frame_view *v, size_t *header,
                    size_t *total)
{
  if (there < 20 || ip[0] >> 4 != 4)
    return false;
  *header = (ip[0] & 15U) * 4U;
  *total = load_be16(ip + 2);
  if (*header < 20 || *total < *header || *total > there || sum(0, ip, *header) != 0xFFFF ||
      load_be16(ip + 6) & 0x3FFF || ip[9] != UDP)
    return false;
  v->tos = ip[1];
  v->ttl = ip[8];
  v->dont_fragment = ip[6] & 0x40;
  v->from = addr_from_ip(ip + 12, 4, 0);
  v->to = addr_from_ip(ip + 16, 4, 0);
  return true;
}

static bool read_v6(const uint8_t *ip, size_t there, struct frame_view *v, size_t *header,
                    size_t *total)
{
  if (there < 40 || ip[0] >> 4 != 6 || ip[6] != UDP)
    return false;
  *header = 40;
  *total = 40 + (size_t)load_be16(ip + 4);
  v->tos = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
  v->flow_label = load_be32(ip) & 0xFFFFF;
  v->ttl = ip[7];
  v->from = addr_from_ip(ip + 8, 16, 0);
  v->to = addr_from_ip(ip + 24, 16, 0);
  return *total <= there;
}

bool frame_read(const uint8_t *p, size_t len, struct frame_view *out)
{
  *out = (struct frame_view){.to_mac = p, .from_mac = p + FRAME_MAC};
  if (len < FRAME_ETHERNET)
    return false;
  const uint8_t *ip = p + FRAME_ETHERNET;
  const size_t there = len - FRAME_ETHERNET;
  const uint16_t type = load_be16(p + 12);
  size_t header, total;
  if (!(type == TYPE_V4 && read_v4(ip, there, out, &header, &total)) &&
      !(type == TYPE_V6 && read_v6(ip, there, out, &header, &total)))
    return false;
  const uint8_t *udp = ip + header;
  if (total - header < UDP_HEADER)
    return false;
  const size_t udp_len = load_be16(udp + 4);
  if (udp_len < UDP_HEADER || udp_len > total - header)
    return false;
  out->from.port = load_be16(udp);
  out->to.port = load_be16(udp + 2);
  out->payload = udp + UDP_HEADER;
  out->len = udp_len - UDP_HEADER;
  out->rest = there - total;
  const uint16_t check = load_be16(udp + 6);
  const uint32_t pseudo = pseudo_sum(&out->from, &out->to, udp_len);
  out->sum_is_none = check == 0;
  out->sum_is_right = check != 0 && sum(pseudo, udp, udp_len) == 0xFFFF;
  out->sum_is_partial = check != 0 && check == pseudo;
  return true;
}

bool frame_is_intact(const struct frame_view *v)
{
  return v->sum_is_right || v->sum_is_partial || (v->sum_is_none && v->from.family == ADDR_V4);
}
