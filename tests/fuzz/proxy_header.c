/* Fuzz target: base/proxy, from any bytes. What must hold: a header is in bounds, what is none
 * never becomes one, cutting it short is "more", and its addresses written out in either version
 * are read alike. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/proxy.h"
#include "tests/fuzz/fuzz.h"

static void check_prefixes(const uint8_t *data, size_t size, int whole, size_t len)
{
  size_t most = size < PROXY_HEADER_MAX ? size : PROXY_HEADER_MAX;
  for (size_t n = 0; n <= most; n += n < 160 ? 1 : 97) {
    struct proxy_header h;
    int r = proxy_parse((struct bytes){data, n}, &h);
    if (whole == 0)
      REQUIRE(r == (n < len ? -ERR_MORE : 0));
    else if (whole == -ERR_MORE)
      REQUIRE(r == -ERR_MORE);
    else
      REQUIRE(r == -ERR_MORE || r == -ERR_BAD);
  }
}

static void require_same(const struct proxy_header *h, struct bytes again)
{
  struct proxy_header other;
  REQUIRE(proxy_parse(again, &other) == 0 && other.len == again.len && other.has_addresses);
  REQUIRE(addr_equal(&h->client, &other.client) && addr_equal(&h->server, &other.server));
}

static void check_text(const struct proxy_header *h)
{
  char line[256], client[ADDR_TEXT_SIZE], server[ADDR_TEXT_SIZE];
  int len = snprintf(line, sizeof(line), "PROXY TCP%d %s %s %u %u\r\n",
                     h->client.family == ADDR_V4 ? 4 : 6, addr_format_ip(&h->client, client),
                     addr_format_ip(&h->server, server), h->client.port, h->server.port);
  REQUIRE(len > 0 && len <= PROXY_V1_MAX);
  require_same(h, (struct bytes){(const uint8_t *)line, (size_t)len});
}

static void check_binary(const struct proxy_header *h)
{
  uint8_t storage[64];
  struct buf b;
  size_t ip_len = addr_ip_len(&h->client);
  buf_init(&b, storage, sizeof(storage));
  buf_put(&b, "\r\n\r\n\0\r\nQUIT\n\x21", 13);
  buf_put_byte(&b, ip_len == 4 ? 0x11 : 0x21);
  buf_put_byte(&b, 0);
  buf_put_byte(&b, (uint8_t)(2 * ip_len + 4));
  buf_put(&b, h->client.ip, ip_len);
  buf_put(&b, h->server.ip, ip_len);
  const uint16_t port[2] = {h->client.port, h->server.port};
  for (size_t i = 0; i < 2; i++) {
    buf_put_byte(&b, (uint8_t)(port[i] >> 8));
    buf_put_byte(&b, (uint8_t)port[i]);
  }
  require_same(h, (struct bytes){b.at, b.len});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct proxy_header h;
  int r = proxy_parse((struct bytes){data, size}, &h);
  REQUIRE(r == 0 || r == -ERR_MORE || r == -ERR_BAD);
  REQUIRE(r != -ERR_MORE || size < PROXY_HEADER_MAX);
  if (r == 0)
    REQUIRE(h.len >= 15 && h.len <= size && h.len <= PROXY_HEADER_MAX);
  check_prefixes(data, size, r, r == 0 ? h.len : 0);
  if (r != 0 || !h.has_addresses)
    return 0;
  REQUIRE(h.client.family != ADDR_NONE && h.server.family != ADDR_NONE);
  /* One of two families may have been an IPv4-mapped address. */
  if (h.client.family == h.server.family) {
    check_text(&h);
    check_binary(&h);
  }
  return 0;
}
