/* Framing on a stream (TCP, TLS): STUN messages and ChannelData in a row (RFC 8489 6.2.2, RFC
 * 8656 12.5). Pure: bytes in, a length out. */
#ifndef VIADUCT_STUN_CORE_FRAME_H
#define VIADUCT_STUN_CORE_FRAME_H

#include "base/bytes.h"

/* The longest that a length field can say: a STUN header and 65532 bytes of attributes. The longest
 * ChannelData, padded, is shorter. */
enum { STUN_FRAME_MAX = 20 + 65532 };

enum stun_frame_kind { STUN_FRAME_STUN, STUN_FRAME_CHANNEL };

struct stun_frame {
  enum stun_frame_kind kind;
  size_t len;    /* of the message, without padding */
  size_t padded; /* what it takes in the stream: ChannelData is padded to a multiple of four */
};

/* Looks at the first message in `stream`. `channel` says whether ChannelData may come (turnd) or
 * not (stund). 0: a whole message (its padding included) stands at the start; `out` is filled.
 * -ERR_MORE: so far so good, more bytes are needed; `out` says of how long a message, or 0 as long
 * as nobody knows. -ERR_BAD: neither of the two, a wrong cookie, or a length that is no multiple of
 * four: the connection has to be closed. */
int stun_frame_next(struct bytes stream, bool channel, struct stun_frame *out);

#endif
