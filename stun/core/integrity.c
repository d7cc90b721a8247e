/* What proves that a message is whole and from whom it says: MACs, the checksum, and the keys.
 * MACs are computed over pieces, so that the header's length is adjusted without a copy. */
#include "stun/core/integrity.h"

#include <string.h>

#include "base/digest.h"
#include "stun/core/attr.h"
#include "stun/core/decode.h"

/* RFC 8489 14.7: the CRC-32 is "XOR'ed with the 32-bit value 0x5354554e". */
#define FINGERPRINT_XOR 0x5354554Eu

static const struct bytes colon = {(const uint8_t *)":", 1};

struct stun_key stun_key_md5(struct bytes username, struct bytes realm, struct bytes password)
{
  const struct bytes piece[] = {username, colon, realm, colon, password};
  struct stun_key key = {.len = MD5_SIZE};
  digest_md5(piece, sizeof piece / sizeof piece[0], key.bytes);
  return key;
}

struct stun_key stun_key_sha256(struct bytes username, struct bytes realm, struct bytes password)
{
  const struct bytes piece[] = {username, colon, realm, colon, password};
  struct stun_key key = {.len = SHA256_SIZE};
  digest_sha256(piece, sizeof piece / sizeof piece[0], key.bytes);
  return key;
}

void stun_userhash(struct bytes username, struct bytes realm, uint8_t out[32])
{
  const struct bytes piece[] = {username, colon, realm};
  digest_sha256(piece, sizeof piece / sizeof piece[0], out);
}

static enum stun_attr attr_of(enum stun_integrity kind)
{
  return kind == STUN_INTEGRITY_SHA256 ? STUN_ATTR_MESSAGE_INTEGRITY_SHA256
                                       : STUN_ATTR_MESSAGE_INTEGRITY;
}

/* The MAC of the `covered` bytes from `message`, as if the header's length ended with the integrity
 * attribute, whose value ends at `mac_end`. RFC 8489 14.5: "The Length field of the STUN message
 * header is adjusted to point to the end of the MESSAGE-INTEGRITY attribute." */
static void mac_of(enum stun_integrity kind, const struct stun_key *key, const uint8_t *message,
                   size_t covered, size_t mac_end, uint8_t out[SHA256_SIZE])
{
  uint8_t head[4];
  memcpy(head, message, 2);
  store_be16(head + 2, (uint16_t)(mac_end - STUN_HEADER_LEN));
  const struct bytes piece[] = {{head, sizeof head},
                                {message + sizeof head, covered - sizeof head}};
  const struct bytes secret = {key->bytes, key->len};
  if (kind == STUN_INTEGRITY_SHA256)
    hmac_sha256(secret, piece, 2, out);
  else
    hmac_sha1(secret, piece, 2, out);
}

void stun_put_integrity(struct stun_encoder *e, enum stun_integrity kind,
                        const struct stun_key *key)
{
  if (kind == STUN_INTEGRITY_NONE)
    return;
  size_t covered = e->len;
  size_t mac_len = kind == STUN_INTEGRITY_SHA256 ? SHA256_SIZE : SHA1_SIZE;
  uint8_t mac[SHA256_SIZE] = {0};
  if (!e->overflow)
    mac_of(kind, key, e->at, covered, covered + STUN__ATTR_HEADER_LEN + mac_len, mac);
  stun_put_bytes(e, attr_of(kind), mac, mac_len);
}

static bool mac_fits(const struct stun_view *v, enum stun_integrity kind,
                     const struct stun_key *key)
{
  size_t value = v->offset[attr_of(kind)];
  struct bytes got = stun_get_bytes(v, attr_of(kind));
  uint8_t want[SHA256_SIZE];
  mac_of(kind, key, v->at, value - STUN__ATTR_HEADER_LEN, value + got.len, want);
  bool right = bytes_equal_ct(got.at, want, got.len);
  bytes_wipe(want, sizeof want);
  return right;
}

bool stun_check_integrity(const struct stun_view *v, enum stun_integrity kind,
                          const struct stun_key *key)
{
  if (kind == STUN_INTEGRITY_NONE || !stun_has(v, attr_of(kind)))
    return false;
  /* RFC 8489 14.6: "The value must be the full 32 bytes unless the STUN Usage explicitly specifies
   * that truncation is allowed." */
  if (kind == STUN_INTEGRITY_SHA256 &&
      v->value_len[STUN_ATTR_MESSAGE_INTEGRITY_SHA256] != SHA256_SIZE)
    return false;
  return mac_fits(v, kind, key);
}

bool stun_check_truncated(const struct stun_view *v, size_t least, const struct stun_key *key)
{
  struct bytes got = stun_get_bytes(v, STUN_ATTR_MESSAGE_INTEGRITY_SHA256);
  return got.len && got.len >= least && mac_fits(v, STUN_INTEGRITY_SHA256, key);
}

static uint32_t fingerprint_of(const uint8_t *head, const uint8_t *rest, size_t rest_len)
{
  const struct bytes piece[] = {{head, 4}, {rest, rest_len}};
  return digest_crc32(piece, 2) ^ FINGERPRINT_XOR;
}

void stun_put_fingerprint(struct stun_encoder *e)
{
  size_t covered = e->len;
  uint8_t value[4] = {0}, head[4];
  if (!e->overflow) {
    /* 14.7: "prior to computation of the CRC, this value must be correct and include the CRC
     * attribute as part of the message length". */
    memcpy(head, e->at, 2);
    store_be16(head + 2, (uint16_t)(covered + STUN__ATTR_HEADER_LEN + 4 - STUN_HEADER_LEN));
    store_be32(value, fingerprint_of(head, e->at + 4, covered - 4));
  }
  stun_put_bytes(e, STUN_ATTR_FINGERPRINT, value, sizeof value);
}

bool stun_check_fingerprint(const struct stun_view *v)
{
  if (!stun_has(v, STUN_ATTR_FINGERPRINT))
    return true;
  /* RFC 8489 14.7: "When present, the FINGERPRINT attribute MUST be the last attribute in the
   * message and thus will appear after MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256." */
  struct bytes got = stun_get_bytes(v, STUN_ATTR_FINGERPRINT);
  if (got.at + got.len != v->at + v->len)
    return false;
  size_t covered = (size_t)(got.at - v->at) - STUN__ATTR_HEADER_LEN;
  return load_be32(got.at) == fingerprint_of(v->at, v->at + 4, covered - 4);
}
