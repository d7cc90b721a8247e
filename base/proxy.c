/* HAProxy's PROXY protocol: a header is read whole or not at all. Section numbers are those of its
 * specification (proxy-protocol.txt). */
#include "base/proxy.h"

#include <string.h>

#include "base/err.h"

/* ---- version 1: "PROXY TCP4 192.0.2.1 198.51.100.1 5000 3478\r\n" ---- */

static const char v1_start[] = "PROXY ";

/* Cuts off and returns what stands before the next space; all of it where there is none. */
static struct bytes next_word(struct bytes *line)
{
  const uint8_t *space = line->len > 0 ? memchr(line->at, ' ', line->len) : NULL;
  struct bytes word = {line->at, space != NULL ? (size_t)(space - line->at) : line->len};
  size_t used = word.len + (space != NULL ? 1 : 0);
  *line = (struct bytes){line->at + used, line->len - used};
  return word;
}

static bool is_word(struct bytes word, const char *text)
{
  return bytes_equal(word, bytes_of(text));
}

/* An address of this family and nothing else: no brackets, no port, no scope. An IPv4-mapped one
 * counts as IPv6, as it was written, and comes out as IPv4. */
static int read_ip(struct bytes word, bool v6, struct addr *out)
{
  bool colon = false;
  for (size_t i = 0; i < word.len; i++) {
    uint8_t c = word.at[i];
    bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (!hex && c != '.' && c != ':')
      return -ERR_BAD;
    colon = colon || c == ':';
  }
  if (colon != v6 || addr_parse(word, out) != 0 || out->port != 0 ||
      out->family != (v6 ? ADDR_V6 : ADDR_V4))
    return -ERR_BAD;
  *out = addr_unmap(*out);
  return 0;
}

/* Section 2.1: "Heading zeroes are not permitted in front of numbers". */
static int read_port(struct bytes word, uint16_t *out)
{
  uint64_t port;
  bool padded = word.len > 1 && word.at[0] == '0';
  if (padded || parse_uint(word, UINT16_MAX, &port) != 0)
    return -ERR_BAD;
  *out = (uint16_t)port;
  return 0;
}

static int read_addresses(struct bytes line, bool v6, struct proxy_header *h)
{
  if (read_ip(next_word(&line), v6, &h->client) != 0 ||
      read_ip(next_word(&line), v6, &h->server) != 0 ||
      read_port(next_word(&line), &h->client.port) != 0)
    return -ERR_BAD;
  /* What is left must be the last number: a space would be one too many. */
  return read_port(line, &h->server.port);
}

static int parse_v1(struct bytes stream, struct proxy_header *h)
{
  size_t most = stream.len < PROXY_V1_MAX ? stream.len : PROXY_V1_MAX;
  const uint8_t *end = memchr(stream.at, '\r', most);
  size_t len = end != NULL ? (size_t)(end - stream.at) : most;
  if (len + 2 > PROXY_V1_MAX)
    return -ERR_BAD;
  if (end == NULL || len + 2 > stream.len)
    return -ERR_MORE;
  if (end[1] != '\n')
    return -ERR_BAD;
  struct bytes line = {stream.at + sizeof(v1_start) - 1, len - (sizeof(v1_start) - 1)};
  h->len = len + 2;
  struct bytes family = next_word(&line);
  /* "the receiver must ignore anything presented before the CRLF is found" (2.1). */
  if (is_word(family, "UNKNOWN"))
    return 0;
  h->has_addresses = true;
  if (is_word(family, "TCP4") || is_word(family, "TCP6"))
    return read_addresses(line, family.at[3] == '6', h);
  return -ERR_BAD;
}

/* ---- version 2 ---- */

static const uint8_t v2_start[12] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                     0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};

/*  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +                   signature, 12 bytes                         +
 * |version|command| family|transp.|      bytes that follow        |
 * |  source address, destination address, two ports, then TLVs    | */
enum { V2_VERSION = 12, V2_FAMILY = 13, V2_LENGTH = 14, V2_HEAD = 16 };
enum { V2_LOCAL = 0x20, V2_PROXY = 0x21 };
enum { V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

static void take_addresses(const uint8_t *p, size_t ip_len, struct proxy_header *h)
{
  h->has_addresses = true;
  h->client = addr_unmap(addr_from_ip(p, ip_len, load_be16(p + 2 * ip_len)));
  h->server = addr_unmap(addr_from_ip(p + ip_len, ip_len, load_be16(p + 2 * ip_len + 2)));
}

static int parse_v2(struct bytes stream, struct proxy_header *h)
{
  if (stream.len <= V2_VERSION)
    return -ERR_MORE;
  uint8_t command = stream.at[V2_VERSION];
  if (command != V2_LOCAL && command != V2_PROXY)
    return -ERR_BAD;
  if (stream.len < V2_HEAD)
    return -ERR_MORE;
  uint8_t family = stream.at[V2_FAMILY];
  size_t follows = load_be16(stream.at + V2_LENGTH);
  size_t ip_len = family == V2_TCP4 ? 4 : family == V2_TCP6 ? 16 : 0;
  if (V2_HEAD + follows > PROXY_HEADER_MAX)
    return -ERR_BAD;
  /* LOCAL: "must use the real connection endpoints and discard the protocol block including the
   * family which is ignored" (2.2). Datagrams and Unix sockets cannot be what is behind TCP. */
  if (command == V2_PROXY &&
      (follows < 2 * ip_len + (ip_len > 0 ? 4 : 0) || (ip_len == 0 && family != V2_UNSPEC)))
    return -ERR_BAD;
  if (stream.len < V2_HEAD + follows)
    return -ERR_MORE;
  h->len = V2_HEAD + follows;
  if (command == V2_PROXY && ip_len > 0)
    take_addresses(stream.at + V2_HEAD, ip_len, h);
  return 0;
}

/* ---- either ---- */

/* 1: begins with it; -ERR_MORE: all that is there does; 0: no. */
static int begins(struct bytes stream, const void *start, size_t start_len)
{
  size_t have = stream.len < start_len ? stream.len : start_len;
  if (have > 0 && memcmp(stream.at, start, have) != 0)
    return 0;
  return have == start_len ? 1 : -ERR_MORE;
}

int proxy_parse(struct bytes stream, struct proxy_header *out)
{
  struct proxy_header h = {0};
  int v1 = begins(stream, v1_start, sizeof(v1_start) - 1);
  int v2 = begins(stream, v2_start, sizeof(v2_start));
  int r = v1 == 1 ? parse_v1(stream, &h) : v2 == 1 ? parse_v2(stream, &h) : -ERR_MORE;
  if (v1 == 0 && v2 == 0)
    r = -ERR_BAD;
  if (r == 0)
    *out = h;
  return r;
}
