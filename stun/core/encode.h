/* From values to bytes, in the caller's buffer. What does not fit sets `overflow`, and the end
 * reports it once. */
#ifndef VIADUCT_STUN_CORE_ENCODE_H
#define VIADUCT_STUN_CORE_ENCODE_H

#include "stun/core/types.h"

struct stun_encoder {
  uint8_t *at; /* the caller's */
  size_t len, cap;
  bool overflow;
};

/* `txid` is STUN_TXID_LEN bytes. */
void stun_begin(struct stun_encoder *e, void *out, size_t cap, enum stun_class class,
                uint16_t method, const uint8_t *txid);
/* A response to `request`: its method and transaction id (all 16 bytes for a classic one). `class`
 * is STUN_SUCCESS or STUN_ERROR. */
void stun_begin_response(struct stun_encoder *e, void *out, size_t cap, enum stun_class class,
                         const struct stun_view *request);

/* Padding is always zero. */
void stun_put_bytes(struct stun_encoder *e, enum stun_attr a, const void *value, size_t len);
void stun_put_text(struct stun_encoder *e, enum stun_attr a, const char *text);
/* U32, U8X and U16X by the attribute's kind. */
void stun_put_uint(struct stun_encoder *e, enum stun_attr a, uint32_t value);
/* Plain or XORed by the attribute's kind. */
void stun_put_addr(struct stun_encoder *e, enum stun_attr a, const struct addr *addr);
/* ERROR-CODE with the standard's reason phrase. It and UNKNOWN-ATTRIBUTES are put as RFC 3489 wants
 * them where the message answers one of its clients. */
void stun_put_error(struct stun_encoder *e, int code);
/* The same without a phrase, where bytes count. */
void stun_put_error_alone(struct stun_encoder *e, int code);
/* UNKNOWN-ATTRIBUTES from what the decoder found. */
void stun_put_unknown(struct stun_encoder *e, const struct stun_view *request);

/* The length of the message, or -ERR_FULL. Integrity and fingerprint (integrity.h) are put before
 * it, in that order. */
int stun_end(struct stun_encoder *e);

/* The reason phrase of RFC 8489 14.8, RFC 8656 19 and their kin; "Error" for a code without one. */
const char *stun_reason(int code);

#endif
