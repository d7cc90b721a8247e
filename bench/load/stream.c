/* See stream.h. */
#include "bench/load/stream.h"

#include <string.h>

#include "base/err.h"
#include "stun/core/frame.h"

bool load_stream_put(struct load_stream *s, struct bytes message)
{
  const size_t padded = (message.len + 3) / 4 * 4;
  if (padded > LOAD_OUT_MAX - s->out_len && s->out_at > 0) {
    memmove(s->out, s->out + s->out_at, s->out_len - s->out_at);
    s->out_len -= s->out_at;
    s->out_at = 0;
  }
  if (padded > LOAD_OUT_MAX - s->out_len)
    return false;
  memcpy(s->out + s->out_len, message.at, message.len);
  memset(s->out + s->out_len + message.len, 0, padded - message.len);
  s->out_len += padded;
  return true;
}

struct bytes load_stream_waiting(const struct load_stream *s)
{
  return (struct bytes){s->out + s->out_at, s->out_len - s->out_at};
}

void load_stream_wrote(struct load_stream *s, size_t len)
{
  s->out_at += len;
  if (s->out_at == s->out_len)
    s->out_at = s->out_len = 0;
}

int load_stream_cut(struct load_stream *s, struct bytes bytes,
                    void (*each)(void *arg, struct bytes message, uint64_t now_ns), void *arg,
                    uint64_t now_ns)
{
  struct stun_frame f;
  int status, count = 0;
  while ((status = stun_frame_next(bytes, true, &f)) == 0) {
    each(arg, (struct bytes){bytes.at, f.len}, now_ns);
    bytes.at += f.padded;
    bytes.len -= f.padded;
    count++;
  }
  if (status != -ERR_MORE || bytes.len > LOAD_REST_MAX)
    return -ERR_BAD;
  if (bytes.len > 0)
    memcpy(s->rest, bytes.at, bytes.len);
  s->rest_len = bytes.len;
  return count;
}
