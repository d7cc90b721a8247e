/* The nouns of STUN: read this first. Types only; the verbs are in the headers beside it.
 *
 *  0                   1                   2                   3
 *  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * |0 0|     message type          |         message length        |
 * |                         magic cookie                          |
 * |                  transaction id (96 bits)                     |
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
 * RFC 8489 section 5: the header; attributes follow, each a multiple of four bytes.
 */
#ifndef VIADUCT_STUN_CORE_TYPES_H
#define VIADUCT_STUN_CORE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/bytes.h"

enum {
  STUN_HEADER_LEN = 20,
  STUN_TXID_LEN = 12,
  STUN_UNKNOWN_MAX = 16, /* unknown comprehension-required attributes that a 420 lists at most */
  STUN_MESSAGE_MAX =
      1500, /* what the project's own encoders produce at most, Data indications aside */
  STUN_NONCE_MAX = 128,
  STUN_USERNAME_MAX = 763 /* bytes to take; an agent sends fewer than 509 (RFC 8489 14.3) */
};

#define STUN_COOKIE 0x2112A442u

enum stun_class { STUN_REQUEST = 0, STUN_INDICATION = 1, STUN_SUCCESS = 2, STUN_ERROR = 3 };

enum stun_method {
  STUN_BINDING = 0x001,
  STUN_ALLOCATE = 0x003,
  STUN_REFRESH = 0x004,
  STUN_SEND = 0x006,
  STUN_DATA = 0x007,
  STUN_CREATE_PERMISSION = 0x008,
  STUN_CHANNEL_BIND = 0x009,
  STUN_CONNECT = 0x00A,
  STUN_CONNECTION_BIND = 0x00B,
  STUN_CONNECTION_ATTEMPT = 0x00C
};

/* The rows of attr.def by index: STUN_ATTR_USERNAME and so on. The wire code is
 * stun_attr_row(i)->code. */
enum stun_attr {
#define ATTR(code, name, text, kind, least, most, rfc) STUN_ATTR_##name,
#include "stun/core/attr.def"
#undef ATTR
  STUN_ATTR_COUNT
};

enum stun_kind {
  STUN_KIND_BYTES,
  STUN_KIND_TEXT,
  STUN_KIND_U32,
  STUN_KIND_U8X,
  STUN_KIND_U16X,
  STUN_KIND_ADDR,
  STUN_KIND_XADDR,
  STUN_KIND_ERROR,
  STUN_KIND_LIST16,
  STUN_KIND_FLAG,
  STUN_KIND_MAC
};

struct stun_attr_row {
  uint16_t code;
  const char *name; /* "XOR-MAPPED-ADDRESS" */
  enum stun_kind kind;
  uint16_t least, most; /* bytes of the value */
  const char *rfc;
};

/* A decoded message: a view into the bytes that it was decoded from. */
struct stun_view {
  const uint8_t *at; /* the whole message, header included */
  size_t len;
  uint16_t method;
  enum stun_class class;
  bool classic; /* no magic cookie: an RFC 3489 client, whose transaction id is all 16 bytes behind
                   the length */
  uint16_t offset[STUN_ATTR_COUNT];    /* of the first occurrence's value, from `at`; 0: absent */
  uint16_t value_len[STUN_ATTR_COUNT]; /* unpadded */
  uint16_t unknown[STUN_UNKNOWN_MAX];  /* codes below 0x8000 that attr.def does not have */
  uint8_t unknown_count;
};

#endif
