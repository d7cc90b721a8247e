/* See signal_ws.h. */
#include "bench/load/signal_ws.h"

#include <string.h>

#include "base/err.h"

enum { FINAL = 0x80, MASKED = 0x80, SHORT_MOST = 125, LEN_16 = 126, LEN_64 = 127 };

static bool is_known(uint8_t opcode)
{
  return opcode == LOAD_WS_TEXT || (opcode >= LOAD_WS_CLOSE && opcode <= LOAD_WS_PONG);
}

int load_ws_decode(struct bytes in, struct load_ws_frame *out)
{
  if (in.len < 2)
    return -ERR_MORE;
  const uint8_t opcode = in.at[0] & 0x7f; /* with the bits of extensions */
  /* RFC 6455 section 5.1: "A server MUST NOT mask any frames that it sends to the client." */
  if (!(in.at[0] & FINAL) || !is_known(opcode) || in.at[1] & MASKED)
    return -ERR_BAD;
  uint64_t len = in.at[1];
  size_t head = 2;
  if (len == LEN_16 || len == LEN_64) {
    const size_t more = len == LEN_16 ? 2 : 8;
    if (in.len < head + more)
      return -ERR_MORE;
    len = len == LEN_16 ? load_be16(in.at + head) : load_be64(in.at + head);
    head += more;
  }
  if (len > LOAD_WS_PAYLOAD_MOST)
    return -ERR_BAD;
  if (in.len - head < len)
    return -ERR_MORE;
  *out = (struct load_ws_frame){.opcode = opcode, .payload = {in.at + head, (size_t)len}};
  return (int)(head + (size_t)len);
}

size_t load_ws_head(uint8_t *out, uint8_t opcode, size_t len, uint32_t mask)
{
  size_t head = 2;
  out[0] = (uint8_t)(FINAL | opcode);
  if (len <= SHORT_MOST) {
    out[1] = (uint8_t)(MASKED | len);
  } else if (len <= UINT16_MAX) {
    out[1] = MASKED | LEN_16;
    store_be16(out + 2, (uint16_t)len);
    head += 2;
  } else {
    out[1] = MASKED | LEN_64;
    store_be64(out + 2, len);
    head += 8;
  }
  store_be32(out + head, mask);
  return head + 4;
}

void load_ws_mask(uint8_t *at, size_t len, uint32_t mask)
{
  uint8_t key[8];
  uint64_t wide, word;
  store_be32(key, mask);
  store_be32(key + 4, mask);
  memcpy(&wide, key, sizeof(wide));
  size_t i = 0;
  for (; i + 8 <= len; i += 8) {
    memcpy(&word, at + i, 8);
    word ^= wide;
    memcpy(at + i, &word, 8);
  }
  for (; i < len; i++)
    at[i] ^= key[i % 8];
}
