/* Messages put together by hand, so that the decoder is not tested against the encoder alone. */
#ifndef VIADUCT_TESTS_UNIT_STUN_MESSAGE_H
#define VIADUCT_TESTS_UNIT_STUN_MESSAGE_H

#include <string.h>

#include "base/bytes.h"

struct message {
  uint8_t at[2048];
  size_t len;
};

static inline void message_begin(struct message *m, uint16_t type)
{
  memset(m, 0, sizeof *m);
  store_be16(m->at, type);
  store_be32(m->at + 4, 0x2112A442);
  for (uint8_t i = 0; i < 12; i++)
    m->at[8 + i] = (uint8_t)(0xA0 + i);
  m->len = 20;
}

/* Padded with zeroes; the header's length follows. */
static inline void message_attr(struct message *m, uint16_t code, const void *value, size_t len)
{
  store_be16(m->at + m->len, code);
  store_be16(m->at + m->len + 2, (uint16_t)len);
  if (len)
    memcpy(m->at + m->len + 4, value, len);
  m->len += 4 + ((len + 3) & ~(size_t)3);
  store_be16(m->at + 2, (uint16_t)(m->len - 20));
}

#endif
