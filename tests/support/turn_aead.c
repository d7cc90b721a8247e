/* The stand-in, and tokens sealed with it. */
#include "tests/support/turn_aead.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/err.h"

static void crypt(const struct turn_sealed *box, struct bytes in, uint8_t *out)
{
  for (size_t at = 0; at < in.len; at++) {
    uint8_t stream[SHA256_SIZE];
    const uint8_t block = (uint8_t)(at / sizeof(stream));
    const struct bytes piece[] = {bytes_of("stream"), box->nonce, {&block, 1}};
    hmac_sha256(box->key, piece, 3, stream);
    out[at] = in.at[at] ^ stream[at % sizeof(stream)];
  }
}

static void make_tag(const struct turn_sealed *box, struct bytes text, uint8_t out[FAKE_AEAD_TAG])
{
  uint8_t mac[SHA256_SIZE], len[2];
  store_be16(len, (uint16_t)box->associated.len);
  const struct bytes piece[] = {
      bytes_of("tag"), box->nonce, {len, sizeof(len)}, box->associated, text};
  hmac_sha256(box->key, piece, 5, mac);
  memcpy(out, mac, FAKE_AEAD_TAG);
}

void fake_aead_seal(const struct turn_sealed *box, uint8_t *out)
{
  crypt(box, box->sealed, out);
  make_tag(box, (struct bytes){out, box->sealed.len}, out + box->sealed.len);
}

int fake_aead_open(void *arg, const struct turn_sealed *box, uint8_t *out)
{
  (void)arg;
  uint8_t tag[FAKE_AEAD_TAG];
  if (box->nonce.len != FAKE_AEAD_NONCE || box->sealed.len < FAKE_AEAD_TAG)
    return -ERR_BAD;
  const struct bytes text = {box->sealed.at, box->sealed.len - FAKE_AEAD_TAG};
  make_tag(box, text, tag);
  if (memcmp(tag, text.at + text.len, sizeof(tag)) != 0)
    return -ERR_BAD;
  crypt(box, text, out);
  return 0;
}

size_t fake_token_make(const struct fake_token *token, uint8_t *out, size_t cap)
{
  uint8_t block[256];
  struct buf b;
  uint8_t number[8];
  buf_init(&b, block, sizeof(block));
  store_be16(number, (uint16_t)token->mac_key.len);
  buf_put(&b, number, 2);
  buf_put(&b, token->mac_key.at, token->mac_key.len);
  store_be64(number, token->made_s << 16);
  buf_put(&b, number, 8);
  store_be32(number, token->lifetime_s);
  buf_put(&b, number, 4);
  if (b.overflow || cap < 2 + FAKE_AEAD_NONCE + b.len + FAKE_AEAD_TAG)
    abort();
  store_be16(out, FAKE_AEAD_NONCE);
  memset(out + 2, 'n', FAKE_AEAD_NONCE);
  const struct turn_sealed box = {
      .key = token->key,
      .nonce = {out + 2, FAKE_AEAD_NONCE},
      .associated = token->server_name,
      .sealed = {block, b.len},
  };
  fake_aead_seal(&box, out + 2 + FAKE_AEAD_NONCE);
  return 2 + FAKE_AEAD_NONCE + b.len + FAKE_AEAD_TAG;
}
