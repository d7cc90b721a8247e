/* AES-GCM by OpenSSL's EVP. */
#include "net/aead.h"

#include <limits.h>

#include <openssl/evp.h>

#include "base/err.h"

static int feed(EVP_CIPHER_CTX *ctx, struct bytes in, uint8_t *out)
{
  int len;
  return in.len == 0 || EVP_DecryptUpdate(ctx, out, &len, in.at, (int)in.len) == 1 ? 0 : -ERR_BAD;
}

static int open_in(EVP_CIPHER_CTX *ctx, const struct net_aead *a, uint8_t *out)
{
  const EVP_CIPHER *cipher = a->key.len == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  const struct bytes text = {a->sealed.at, a->sealed.len - NET_AEAD_TAG};
  uint8_t tag[NET_AEAD_TAG], rest[NET_AEAD_TAG];
  int len;
  for (size_t i = 0; i < sizeof(tag); i++) /* OpenSSL wants to write where it only reads */
    tag[i] = a->sealed.at[text.len + i];
  if (EVP_DecryptInit_ex(ctx, cipher, NULL, a->key.at, a->nonce.at) != 1 ||
      feed(ctx, a->associated, NULL) != 0 || feed(ctx, text, out) != 0 ||
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) != 1)
    return -ERR_BAD;
  return EVP_DecryptFinal_ex(ctx, rest, &len) == 1 ? 0 : -ERR_BAD;
}

int net_aead_open(const struct net_aead *a, uint8_t *out)
{
  if ((a->key.len != 16 && a->key.len != 32) || a->nonce.len != NET_AEAD_NONCE ||
      a->sealed.len < NET_AEAD_TAG || a->sealed.len > INT_MAX || a->associated.len > INT_MAX)
    return -ERR_BAD;
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  if (ctx == NULL)
    return -ERR_NOMEM;
  const int rc = open_in(ctx, a, out);
  EVP_CIPHER_CTX_free(ctx);
  return rc;
}
