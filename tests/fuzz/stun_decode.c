/* Fuzz target: stun/core, from any bytes. What must hold: framing and decoding agree, every view
 * lies inside the message, walks end, and what decodes can be encoded again and decodes alike. */
#include <string.h>

#include "base/err.h"
#include "stun/core/decode.h"
#include "stun/core/encode.h"
#include "stun/core/frame.h"
#include "stun/core/integrity.h"
#include "stun/core/respond.h"
#include "tests/fuzz/fuzz.h"

enum { OUT_MAX = 70000 };

static void check_frame(const uint8_t *data, size_t size, bool channel)
{
  struct stun_frame f;
  int err = stun_frame_next((struct bytes){data, size}, channel, &f);
  REQUIRE(err == 0 || err == -ERR_MORE || err == -ERR_BAD);
  /* What is no message yet may become one; what is bad stays bad; what is whole was "more" before.
   */
  for (size_t n = 0; n < size && n < 24; n++) {
    struct stun_frame part;
    int before = stun_frame_next((struct bytes){data, n}, channel, &part);
    REQUIRE(before != -ERR_BAD || err == -ERR_BAD);
    REQUIRE(before != 0 || (err == 0 && part.padded == f.padded));
  }
  if (err)
    return;
  REQUIRE(f.len <= f.padded && f.padded <= size && f.padded <= STUN_FRAME_MAX);
  REQUIRE(f.padded % 4 == 0 && f.padded - f.len < 4);
  if (f.kind == STUN_FRAME_STUN)
    REQUIRE(stun_is_message(data, f.len));
}

static void check_attr(const struct stun_view *v, enum stun_attr a)
{
  const struct stun_attr_row *row = stun_attr_row(a);
  if (!stun_has(v, a)) {
    REQUIRE(stun_get_bytes(v, a).len == 0);
    return;
  }
  size_t at = v->offset[a], len = v->value_len[a];
  REQUIRE(at >= STUN_HEADER_LEN + 4 && at % 4 == 0 && at + len <= v->len);
  REQUIRE(load_be16(v->at + at - 4) == row->code && load_be16(v->at + at - 2) == len);
  REQUIRE(len >= row->least && len <= row->most);
}

static void check_unknown(const struct stun_view *v)
{
  REQUIRE(v->unknown_count <= STUN_UNKNOWN_MAX);
  for (size_t i = 0; i < v->unknown_count; i++) {
    REQUIRE(v->unknown[i] < 0x8000);
    for (size_t k = 0; k < i; k++)
      REQUIRE(v->unknown[k] != v->unknown[i]);
    for (int a = 0; a < STUN_ATTR_COUNT; a++)
      REQUIRE(stun_attr_row((enum stun_attr)a)->code != v->unknown[i]);
  }
}

static void check_walk(const struct stun_view *v, enum stun_attr a)
{
  struct addr first = {0}, got;
  size_t cursor = 0, steps = 0;
  int err = stun_next_addr(v, a, &cursor, &first);
  /* The walk begins with what the getter gives. */
  REQUIRE(err == stun_get_addr(v, a, &got));
  if (err == 0)
    REQUIRE(addr_equal(&first, &got));
  while (err != -ERR_MISSING) {
    size_t before = cursor;
    REQUIRE(cursor >= STUN_HEADER_LEN + 4 && cursor <= v->len && ++steps <= v->len / 4);
    err = stun_next_addr(v, a, &cursor, &got);
    REQUIRE(cursor > before || err == -ERR_MISSING);
  }
}

/* One value through its own kind's encoder, alone in a message with the same transaction id. */
static void check_value(const struct stun_view *v, enum stun_attr a)
{
  uint8_t out[STUN_MESSAGE_MAX];
  struct stun_encoder e;
  struct stun_view again;
  struct addr addr, addr_again;
  uint32_t n, n_again;
  stun_begin(&e, out, sizeof out, v->class, v->method, stun_txid(v));
  bool is_addr = stun_get_addr(v, a, &addr) == 0, is_uint = stun_get_uint(v, a, &n);
  if (is_addr)
    stun_put_addr(&e, a, &addr);
  if (is_uint)
    stun_put_uint(&e, a, n);
  int len = stun_end(&e);
  REQUIRE(len > 0 && stun_decode(out, (size_t)len, &again) == 0);
  if (is_addr)
    REQUIRE(stun_get_addr(&again, a, &addr_again) == 0 && addr_equal(&addr, &addr_again));
  if (is_uint)
    REQUIRE(stun_get_uint(&again, a, &n_again) && n == n_again);
}

/* The attribute whose value stands first behind `at`, or STUN_ATTR_COUNT. */
static enum stun_attr attr_behind(const struct stun_view *v, size_t at)
{
  enum stun_attr found = STUN_ATTR_COUNT;
  for (int a = 0; a < STUN_ATTR_COUNT; a++) {
    if (v->offset[a] > at && (found == STUN_ATTR_COUNT || v->offset[a] < v->offset[found]))
      found = (enum stun_attr)a;
  }
  return found;
}

static void check_alike(const struct stun_view *a, const struct stun_view *b)
{
  REQUIRE(a->method == b->method && a->class == b->class);
  for (int i = 0; i < STUN_ATTR_COUNT; i++) {
    enum stun_attr attr = (enum stun_attr)i;
    REQUIRE(stun_has(a, attr) == stun_has(b, attr));
    REQUIRE(bytes_equal(stun_get_bytes(a, attr), stun_get_bytes(b, attr)));
  }
}

/* RFC 8489 section 14: "The padding bits MUST be set to zero on sending". */
static void check_padding(const struct stun_view *v)
{
  for (int i = 0; i < STUN_ATTR_COUNT; i++) {
    struct bytes value = stun_get_bytes(v, (enum stun_attr)i);
    for (size_t at = value.len; at % 4; at++)
      REQUIRE(value.at[at] == 0);
  }
}

static void check_encodes_again(const struct stun_view *v)
{
  static uint8_t out[OUT_MAX];
  struct stun_encoder e;
  struct stun_view again;
  memset(out, 0xEE, v->len);
  stun_begin(&e, out, sizeof out, v->class, v->method, stun_txid(v));
  for (size_t at = STUN_HEADER_LEN;;) {
    enum stun_attr a = attr_behind(v, at);
    if (a == STUN_ATTR_COUNT)
      break;
    struct bytes value = stun_get_bytes(v, a);
    stun_put_bytes(&e, a, value.at, value.len);
    at = v->offset[a];
  }
  int len = stun_end(&e);
  REQUIRE(len > 0 && (size_t)len <= v->len);
  REQUIRE(stun_decode(out, (size_t)len, &again) == 0);
  check_alike(v, &again);
  check_padding(&again);
  if (stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY) || stun_has(v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256) ||
      stun_has(v, STUN_ATTR_FINGERPRINT) || len > 60000)
    return;
  const struct stun_key key = {.bytes = "key", .len = 3};
  stun_put_integrity(&e, STUN_INTEGRITY_SHA1, &key);
  stun_put_integrity(&e, STUN_INTEGRITY_SHA256, &key);
  stun_put_fingerprint(&e);
  len = stun_end(&e);
  REQUIRE(len > 0 && stun_decode(out, (size_t)len, &again) == 0);
  REQUIRE(stun_check_integrity(&again, STUN_INTEGRITY_SHA1, &key));
  REQUIRE(stun_check_integrity(&again, STUN_INTEGRITY_SHA256, &key));
  REQUIRE(stun_check_fingerprint(&again));
}

/* A server and a path that the message's own bytes choose, so that a fuzzer can turn every switch
 * and a replayed file always meets the same. */
static struct stun_path choose_path(const struct stun_view *v, struct stun_respond_config *config,
                                    struct stun_quad *quad)
{
  uint8_t by = 0;
  for (size_t i = 0; i < v->len; i++)
    by ^= v->at[i];
  static const uint8_t ip[3][16] = {{0x20, 1, [15] = 1}, {0x20, 1, [15] = 2}, {0x20, 1, [15] = 3}};
  size_t ip_len = by & 1 ? 16 : 4;
  *config = (struct stun_respond_config){
      .software = by & 2 ? "fuzz" : NULL, .fingerprint = by & 4, .classic = true};
  *quad = (struct stun_quad){.ip = {addr_from_ip(ip[0], ip_len, 0),
                                    addr_from_ip(ip[1] + (ip_len == 4 ? 12 : 0), ip_len, 0)},
                             .port = {3478, 3479}};
  return (struct stun_path){.source = addr_from_ip(ip[2], ip_len, 5000),
                            .local = addr_from_ip(ip[0], ip_len, by & 8 ? 3478 : 3479),
                            .stream = by & 16,
                            .quad = by & 32 ? NULL : quad};
}

static void check_respond(const struct stun_view *v, int decoded)
{
  struct stun_respond_config config;
  struct stun_quad quad;
  const struct stun_path path = choose_path(v, &config, &quad);
  uint8_t out[STUN_RESPOND_MAX];
  struct stun_answer a = {.at = out, .cap = sizeof out};
  struct stun_view answer;
  int len = stun_respond(&config, &path, decoded, v, &a);
  if (len == -ERR_DROP)
    return;
  REQUIRE(v->class == STUN_REQUEST && v->method == STUN_BINDING);
  REQUIRE(len > 0 && len <= (int)sizeof out && (size_t)len <= STUN_GAIN_MAX * v->len);
  REQUIRE(stun_decode(out, (size_t)len, &answer) == 0);
  REQUIRE(answer.class == (a.code ? STUN_ERROR : STUN_SUCCESS));
  REQUIRE(stun_get_error(&answer) == a.code);
  REQUIRE(memcmp(out + 4, v->at + 4, 16) == 0);
  REQUIRE(stun_check_fingerprint(&answer));
  REQUIRE(addr_equal_ip(&a.to, &path.source) && a.to.port != 0);
  REQUIRE(addr_equal(&a.from, &path.local) || (path.quad && stun_quad_has(&quad, &a.from)));
  REQUIRE(addr_equal(&a.from, &path.local) || (!path.stream && !a.code));
  REQUIRE(!stun_has(&answer, STUN_ATTR_OTHER_ADDRESS) || path.quad);
  REQUIRE(stun_get_bytes(&answer, STUN_ATTR_PADDING).len == 0 || (size_t)len <= v->len);
  /* What has no attributes is answered by a shorter way, as by the long one. */
  uint8_t other[STUN_RESPOND_MAX];
  struct stun_answer b = {.at = other, .cap = sizeof other};
  REQUIRE(stun_respond_bytes(&config, &path, v->at, v->len, &b) == len);
  REQUIRE(memcmp(out, other, (size_t)len) == 0 && a.code == b.code);
  REQUIRE(addr_equal(&a.from, &b.from) && addr_equal(&a.to, &b.to));
  /* An answer to an answer would never end. */
  REQUIRE(stun_respond_bytes(&config, &path, out, (size_t)len, &a) == -ERR_DROP);
}

/* A request without attributes, out of whatever came: few inputs are one. */
static void check_bare(const uint8_t *data, size_t size)
{
  static const uint8_t header[] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42};
  uint8_t request[STUN_HEADER_LEN] = {0};
  struct stun_view v;
  memcpy(request, data, size < sizeof request ? size : sizeof request);
  memcpy(request, header, sizeof header);
  REQUIRE(stun_decode(request, sizeof request, &v) == 0);
  check_respond(&v, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct stun_view v;
  if (size > 0)
    check_bare(data, size);
  check_frame(data, size, true);
  check_frame(data, size, false);
  int decoded = stun_decode(data, size, &v);
  REQUIRE(decoded == 0 || decoded == 400 || decoded == -ERR_BAD);
  REQUIRE((decoded == -ERR_BAD) == !stun_is_message(data, size));
  if (decoded < 0)
    return 0;

  REQUIRE(v.at == data && v.len == size && v.method <= 0xFFF);
  for (int a = 0; a < STUN_ATTR_COUNT; a++)
    check_attr(&v, (enum stun_attr)a);
  check_unknown(&v);
  check_respond(&v, decoded);
  if (decoded)
    return 0;

  int error = stun_get_error(&v);
  REQUIRE(error == 0 || (error >= 300 && error <= 699));
  const struct stun_key key = {.bytes = "VOkJxbRl1RmTxUk/WvJxBt", .len = 22};
  (void)stun_check_integrity(&v, STUN_INTEGRITY_SHA1, &key);
  (void)stun_check_integrity(&v, STUN_INTEGRITY_SHA256, &key);
  for (int i = 0; i < STUN_ATTR_COUNT; i++) {
    enum stun_attr a = (enum stun_attr)i;
    enum stun_kind kind = stun_attr_row(a)->kind;
    if (kind == STUN_KIND_ADDR || kind == STUN_KIND_XADDR)
      check_walk(&v, a);
    check_value(&v, a);
  }
  check_encodes_again(&v);
  return 0;
}
