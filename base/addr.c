/* Text and order of IP addresses: options, logs, STUN attributes and the peer policy call it. The
 * parser is strict where inet_aton is lenient, so that no text means one address here and another
 * one elsewhere. */
#include "base/addr.h"

#include <string.h>

#include "base/err.h"

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
  return (struct addr){.ip = {a, b, c, d}, .port = port, .family = ADDR_V4};
}

struct addr addr_from_ip(const uint8_t *ip, size_t len, uint16_t port)
{
  struct addr a = {.port = port, .family = len == 4 ? ADDR_V4 : ADDR_V6};
  if (len != 4 && len != 16)
    return (struct addr){.family = ADDR_NONE};
  memcpy(a.ip, ip, len);
  return a;
}

size_t addr_ip_len(const struct addr *a)
{
  switch (a->family) {
  case ADDR_V4:
    return 4;
  case ADDR_V6:
    return 16;
  default:
    return 0;
  }
}

/* Cuts `text` at its first `c`: what stands before it is returned, what stands behind stays.
 * Without a `c` the whole is returned, and `text` is left with a NULL view. */
static struct bytes cut(struct bytes *text, char c)
{
  struct bytes head = *text;
  for (size_t i = 0; i < head.len; i++) {
    if (head.at[i] == (uint8_t)c) {
      *text = (struct bytes){head.at + i + 1, head.len - i - 1};
      head.len = i;
      return head;
    }
  }
  *text = (struct bytes){NULL, 0};
  return head;
}

/* A decimal number of at most `digits` digits. */
static int parse_short(struct bytes text, size_t digits, uint64_t max, uint64_t *out)
{
  return text.len <= digits ? parse_uint(text, max, out) : -ERR_BAD;
}

static int parse_v4(struct bytes text, uint8_t out[4])
{
  for (size_t i = 0; i < 4; i++) {
    struct bytes part = cut(&text, '.');
    uint64_t v;
    /* A leading zero would be octal to inet_aton. */
    if ((i < 3) != (text.at != NULL) || parse_short(part, 3, 255, &v) < 0 ||
        (part.len > 1 && part.at[0] == '0'))
      return -ERR_BAD;
    out[i] = (uint8_t)v;
  }
  return 0;
}

static int parse_hex_group(struct bytes text, uint8_t out[2])
{
  uint32_t v = 0;
  if (text.len < 1 || text.len > 4)
    return -ERR_BAD;
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.at[i], letter = c | 0x20;
    if (c >= '0' && c <= '9')
      v = v << 4 | (uint32_t)(c - '0');
    else if (letter >= 'a' && letter <= 'f')
      v = v << 4 | (uint32_t)(letter - 'a' + 10);
    else
      return -ERR_BAD;
  }
  store_be16(out, (uint16_t)v);
  return 0;
}

static bool has_char(struct bytes text, char c)
{
  return text.len > 0 && memchr(text.at, c, text.len) != NULL;
}

/* One side of "::", or all of an address without it: groups with ":" between, the very last of the
 * address perhaps in IPv4's form. Returns the bytes written, at most 16. */
static int parse_groups(struct bytes text, bool is_tail, uint8_t out[16])
{
  size_t len = 0;
  if (text.len == 0)
    return 0;
  do {
    struct bytes part = cut(&text, ':');
    bool is_v4 = is_tail && text.at == NULL && has_char(part, '.');
    size_t need = is_v4 ? 4 : 2;
    if (len + need > 16 || (is_v4 ? parse_v4(part, out + len) : parse_hex_group(part, out + len)))
      return -ERR_BAD;
    len += need;
  } while (text.at);
  return (int)len;
}

/* RFC 4291 section 2.2. */
static int parse_v6(struct bytes text, uint8_t out[16])
{
  size_t gap = 0; /* of the first "::" */
  while (gap + 1 < text.len && !(text.at[gap] == ':' && text.at[gap + 1] == ':'))
    gap++;
  if (gap + 1 >= text.len)
    return parse_groups(text, true, out) == 16 ? 0 : -ERR_BAD;

  uint8_t tail[16];
  int head_len = parse_groups((struct bytes){text.at, gap}, false, out);
  int tail_len = parse_groups((struct bytes){text.at + gap + 2, text.len - gap - 2}, true, tail);
  /* "The use of "::" indicates one or more groups of 16 bits of zeros." */
  if (head_len < 0 || tail_len < 0 || head_len + tail_len > 14)
    return -ERR_BAD;
  memset(out + head_len, 0, (size_t)(16 - head_len - tail_len));
  memcpy(out + 16 - tail_len, tail, (size_t)tail_len);
  return 0;
}

/* Whether an interface index means something: fe80::/10, ff01::/16 and ff02::/16. */
static bool is_scoped(const uint8_t ip[16])
{
  return (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80) ||
         (ip[0] == 0xff && (ip[1] == 0x01 || ip[1] == 0x02));
}

static int parse_v6_scoped(struct bytes text, struct addr *out)
{
  uint64_t scope = 0;
  struct bytes ip = cut(&text, '%');
  if (parse_v6(ip, out->ip) < 0)
    return -ERR_BAD;
  if (text.at && (!is_scoped(out->ip) || parse_short(text, 10, UINT32_MAX, &scope) < 0))
    return -ERR_BAD;
  out->scope = (uint32_t)scope;
  out->family = ADDR_V6;
  return 0;
}

static int parse_port(struct bytes text, struct addr *out)
{
  uint64_t port;
  if (parse_short(text, 5, UINT16_MAX, &port) < 0)
    return -ERR_BAD;
  out->port = (uint16_t)port;
  return 0;
}

static int parse_bracketed(struct bytes text, struct addr *out)
{
  struct bytes rest = {text.at + 1, text.len - 1};
  struct bytes ip = cut(&rest, ']');
  if (!rest.at || parse_v6_scoped(ip, out) < 0)
    return -ERR_BAD;
  if (rest.len == 0)
    return 0;
  return rest.at[0] == ':' ? parse_port((struct bytes){rest.at + 1, rest.len - 1}, out) : -ERR_BAD;
}

static int parse_v4_port(struct bytes text, struct addr *out)
{
  struct bytes ip = cut(&text, ':');
  if (parse_v4(ip, out->ip) < 0)
    return -ERR_BAD;
  out->family = ADDR_V4;
  return text.at ? parse_port(text, out) : 0;
}

int addr_parse(struct bytes text, struct addr *out)
{
  struct addr a = {.family = ADDR_NONE};
  struct bytes rest = text;
  int err;
  if (text.len == 0 || text.len >= ADDR_TEXT_SIZE)
    return -ERR_BAD;
  (void)cut(&rest, ':');
  if (text.at[0] == '[')
    err = parse_bracketed(text, &a);
  else if (has_char(rest, ':'))
    err = parse_v6_scoped(text, &a);
  else
    err = parse_v4_port(text, &a);
  if (err == 0)
    *out = a;
  return err;
}

static void put_v4(struct buf *b, const uint8_t ip[4])
{
  for (int i = 0; i < 4; i++) {
    if (i > 0)
      buf_put_byte(b, '.');
    buf_put_uint(b, ip[i]);
  }
}

/* RFC 5952 section 4.2.3: "the longest run of consecutive 16-bit 0 fields MUST be shortened", the
 * first of equal ones; 4.2.2: "MUST NOT be used to shorten just one 16-bit 0 field". Returns the
 * length of the run, 0 if there is none to shorten. */
static int longest_zeros(const uint8_t ip[16], int *first)
{
  int best = 1, run = 0;
  for (int i = 0; i < 8; i++) {
    run = load_be16(ip + 2 * i) == 0 ? run + 1 : 0;
    if (run > best) {
      best = run;
      *first = i - run + 1;
    }
  }
  return best > 1 ? best : 0;
}

/* Leading zeros are suppressed (4.1), digits are lower-case (4.3). */
static void put_group(struct buf *b, uint16_t v)
{
  int shift = 12;
  while (shift > 0 && v >> shift == 0)
    shift -= 4;
  for (; shift >= 0; shift -= 4)
    buf_put_byte(b, (uint8_t) "0123456789abcdef"[v >> shift & 15]);
}

static void put_v6(struct buf *b, const uint8_t ip[16])
{
  int first = 8, zeros = longest_zeros(ip, &first);
  if (memcmp(ip, mapped_prefix, sizeof(mapped_prefix)) == 0) {
    buf_put_text(b, "::ffff:"); /* section 5: mixed notation where the prefix tells */
    put_v4(b, ip + 12);
    return;
  }
  for (int i = 0; i < 8;) {
    if (i == first) {
      buf_put_text(b, "::");
      i += zeros;
      continue;
    }
    if (i > 0 && i != first + zeros)
      buf_put_byte(b, ':');
    put_group(b, load_be16(ip + 2 * i));
    i++;
  }
}

static void put_ip(struct buf *b, const struct addr *a)
{
  if (a->family == ADDR_V4) {
    put_v4(b, a->ip);
  } else if (a->family == ADDR_V6) {
    put_v6(b, a->ip);
    if (a->scope) {
      buf_put_byte(b, '%');
      buf_put_uint(b, a->scope);
    }
  } else {
    buf_put_text(b, "none");
  }
}

const char *addr_format(const struct addr *a, char out[ADDR_TEXT_SIZE])
{
  struct buf b;
  bool is_bracketed = a->family == ADDR_V6 && a->port;
  buf_init(&b, out, ADDR_TEXT_SIZE);
  if (is_bracketed)
    buf_put_byte(&b, '[');
  put_ip(&b, a);
  if (is_bracketed)
    buf_put_byte(&b, ']');
  if (a->port) {
    buf_put_byte(&b, ':');
    buf_put_uint(&b, a->port);
  }
  buf_put_byte(&b, 0);
  return out;
}

const char *addr_format_ip(const struct addr *a, char out[ADDR_TEXT_SIZE])
{
  struct addr ip = *a;
  ip.port = 0;
  return addr_format(&ip, out);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
  return a->port == b->port && addr_equal_ip(a, b);
}

bool addr_equal_ip(const struct addr *a, const struct addr *b)
{
  return a->family == b->family && a->scope == b->scope && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

struct addr addr_unmap(struct addr a)
{
  if (a.family != ADDR_V6 || memcmp(a.ip, mapped_prefix, sizeof(mapped_prefix)) != 0)
    return a;
  return addr_from_ip(a.ip + 12, 4, a.port);
}

/* The three questions unmap first: the kernel sends ::ffff:127.0.0.1 to the loopback interface. */

struct addr addr_anonymize(struct addr a)
{
  size_t keep = a.family == ADDR_V4 ? 3 : 6;
  if (a.family == ADDR_V6 && a.ip[0] == 0x20 && a.ip[1] == 0x02) /* RFC 3056 section 2 */
    keep = 5;
  memset(a.ip + keep, 0, sizeof(a.ip) - keep);
  return a;
}

bool addr_is_unspecified(const struct addr *a)
{
  static const uint8_t zero[16];
  struct addr u = addr_unmap(*a);
  return u.family != ADDR_NONE && memcmp(u.ip, zero, sizeof(zero)) == 0;
}

bool addr_is_loopback(const struct addr *a)
{
  static const uint8_t one[16] = {[15] = 1};
  struct addr u = addr_unmap(*a);
  return u.family == ADDR_V4 ? u.ip[0] == 127
                             : u.family == ADDR_V6 && memcmp(u.ip, one, sizeof(one)) == 0;
}

bool addr_is_multicast(const struct addr *a)
{
  struct addr u = addr_unmap(*a);
  return u.family == ADDR_V4 ? u.ip[0] >> 4 == 14 : u.family == ADDR_V6 && u.ip[0] == 0xff;
}

static int parse_ip(struct bytes text, struct addr *out)
{
  struct addr a;
  /* Neither port nor brackets nor scope belong to a range. */
  if (has_char(text, '[') || has_char(text, '%') || addr_parse(text, &a) < 0)
    return -ERR_BAD;
  if (a.family == ADDR_V4 && has_char(text, ':'))
    return -ERR_BAD;
  *out = a;
  return 0;
}

static void range_of_prefix(const struct addr *a, unsigned prefix, struct addr_range *out)
{
  out->first = out->last = *a;
  for (unsigned i = 0; i < addr_ip_len(a); i++) {
    unsigned fixed = prefix > 8 * i ? prefix - 8 * i : 0; /* bits of this byte and those behind */
    uint8_t host = (uint8_t)(fixed < 8 ? 0xff >> fixed : 0);
    out->first.ip[i] &= (uint8_t)~host;
    out->last.ip[i] |= host;
  }
}

static int parse_prefix(struct bytes ip, struct bytes digits, struct addr_range *out)
{
  struct addr a;
  uint64_t prefix;
  if (parse_ip(ip, &a) < 0 || parse_short(digits, 3, 8 * addr_ip_len(&a), &prefix) < 0)
    return -ERR_BAD;
  range_of_prefix(&a, (unsigned)prefix, out);
  return 0;
}

int addr_range_parse(struct bytes text, struct addr_range *out)
{
  struct addr_range r;
  struct bytes rest = text, head = cut(&rest, '/');
  if (rest.at)
    return parse_prefix(head, rest, out);

  rest = text;
  head = cut(&rest, '-');
  if (parse_ip(head, &r.first) < 0)
    return -ERR_BAD;
  r.last = r.first;
  if (rest.at && (parse_ip(rest, &r.last) < 0 || r.last.family != r.first.family ||
                  memcmp(r.first.ip, r.last.ip, sizeof(r.first.ip)) > 0))
    return -ERR_BAD;
  *out = r;
  return 0;
}

bool addr_range_has(const struct addr_range *r, const struct addr *a)
{
  return a->family == r->first.family && memcmp(r->first.ip, a->ip, sizeof(a->ip)) <= 0 &&
         memcmp(a->ip, r->last.ip, sizeof(a->ip)) <= 0;
}
