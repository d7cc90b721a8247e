/* From bytes to a view. No allocation, no copy, no state: the view points into the bytes. */
#ifndef VIADUCT_STUN_CORE_DECODE_H
#define VIADUCT_STUN_CORE_DECODE_H

#include "stun/core/types.h"

/* Whether a datagram may be STUN: the two top bits clear, at least a header, a length that is a
 * multiple of four and that fills the datagram exactly (RFC 8489 section 5 and 6.3). Cheap; for
 * demultiplexing (RFC 7983: first byte 0 to 3). */
bool stun_is_message(const uint8_t *p, size_t len);

/* Decodes one whole message of `len` bytes.
 *   0         `out` is filled. Unknown comprehension-required attributes stand in out->unknown: the
 * caller answers 420 (after it has checked integrity, RFC 8489 6.3). -ERR_BAD  not STUN at all
 * (header, length), to be dropped without an answer; `out` is not touched 400       the header is
 * sound but an attribute overruns the message or has a length that its row does not allow; out's
 * header fields (method, class, transaction id) are good for an error response Attributes behind
 * MESSAGE-INTEGRITY are ignored but for MESSAGE-INTEGRITY-SHA256 and FINGERPRINT, those behind
 * MESSAGE-INTEGRITY-SHA256 but for FINGERPRINT (14.5, 14.6); the first of several of one type
 * counts (section 14). */
int stun_decode(const uint8_t *p, size_t len, struct stun_view *out);

const struct stun_attr_row *stun_attr_row(enum stun_attr a);
/* Transaction id: STUN_TXID_LEN bytes inside the view. */
const uint8_t *stun_txid(const struct stun_view *v);

bool stun_has(const struct stun_view *v, enum stun_attr a);
/* The value, unpadded; an empty view when it is absent. */
struct bytes stun_get_bytes(const struct stun_view *v, enum stun_attr a);
/* U32: the number. U8X: the first byte. U16X: the first two. false when absent. */
bool stun_get_uint(const struct stun_view *v, enum stun_attr a, uint32_t *out);
/* ADDR and XADDR: 0, -ERR_MISSING, or 400 when the family is none or does not fit the length. */
int stun_get_addr(const struct stun_view *v, enum stun_attr a, struct addr *out);
/* ERROR: 300 to 699, or 0 when absent or malformed. */
int stun_get_error(const struct stun_view *v);

/* Walks all occurrences of one address attribute (XOR-PEER-ADDRESS may stand several times):
 * *cursor starts at 0. 0, -ERR_MISSING at the end, 400 for one that is malformed. */
int stun_next_addr(const struct stun_view *v, enum stun_attr a, size_t *cursor, struct addr *out);

#endif
