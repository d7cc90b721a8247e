/* Finds the end of the first message in a stream. Says "bad" as early as the bytes allow, so that
 * a connection that speaks something else is closed at once rather than at its time limit. */
#include "stun/core/frame.h"

#include "base/err.h"
#include "stun/core/types.h"

enum { CHANNEL_HEADER_LEN = 4 };

static int frame_stun(struct bytes s, struct stun_frame *out)
{
  /* RFC 8489 section 5 on the length: "the last 2 bits of this field are always zero. This provides
   * another way to distinguish STUN packets from packets of other protocols." */
  if (s.len >= 4 && s.at[3] % 4)
    return -ERR_BAD;
  /* "The Magic Cookie field MUST contain the fixed value 0x2112A442 in network byte order." RFC
   * 3489 knew no streams. */
  uint8_t cookie[4];
  store_be32(cookie, STUN_COOKIE);
  for (size_t i = 0; i < sizeof cookie && 4 + i < s.len; i++) {
    if (s.at[4 + i] != cookie[i])
      return -ERR_BAD;
  }
  if (s.len < 4)
    return -ERR_MORE;
  size_t len = STUN_HEADER_LEN + (size_t)load_be16(s.at + 2);
  *out = (struct stun_frame){STUN_FRAME_STUN, len, len};
  return s.len < len ? -ERR_MORE : 0;
}

static int frame_channel(struct bytes s, struct stun_frame *out)
{
  if (s.len < CHANNEL_HEADER_LEN)
    return -ERR_MORE;
  size_t len = CHANNEL_HEADER_LEN + (size_t)load_be16(s.at + 2);
  /* RFC 8656 12.5: "Over TCP and TLS-over-TCP, the ChannelData message MUST be padded to a multiple
   * of four bytes in order to ensure the alignment of subsequent messages. The padding is not
   * reflected in the length field". */
  size_t padded = (len + 3) & ~(size_t)3;
  *out = (struct stun_frame){STUN_FRAME_CHANNEL, len, padded};
  return s.len < padded ? -ERR_MORE : 0;
}

int stun_frame_next(struct bytes stream, bool channel, struct stun_frame *out)
{
  *out = (struct stun_frame){.len = 0};
  if (!stream.len)
    return -ERR_MORE;
  uint8_t first = stream.at[0];
  if ((first & 0xC0) == 0)
    return frame_stun(stream, out);
  /* RFC 8656 section 12: channel numbers are 0x4000 to 0x4FFF. */
  if (channel && (first & 0xF0) == 0x40)
    return frame_channel(stream, out);
  return -ERR_BAD;
}
