/* Clients of the other protocols of this server: no sessions of ours, but counted and limited
 * together with them, by their address and each by itself. */
#include "signal/core/core.h"

int sig_guest_open(struct sig *s, const struct addr *client, uint64_t now_ms, struct sig_guest *out)
{
  struct sig_source *source;
  int err = sig__source_get(s, client, &source);
  if (err != 0) {
    return err;
  }
  uint32_t limit = s->config->limits.links_per_address;
  if (limit != 0 && source->links >= limit) {
    sig__source_settle(s, source, now_ms);
    return -ERR_FULL;
  }
  source->links++;
  sig__source_settle(s, source, now_ms);
  *out = (struct sig_guest){.source = source};
  return 0;
}

int sig_guest_enter(struct sig *s, struct sig_guest *guest)
{
  uint32_t limit = s->config->limits.sessions_per_address;
  if (guest->is_in) {
    return 0;
  }
  if (limit != 0 && guest->source->sessions >= limit) {
    return -ERR_FULL;
  }
  guest->source->sessions++;
  guest->is_in = true;
  return 0;
}

void sig_guest_leave(struct sig_guest *guest)
{
  guest->source->sessions -= guest->is_in;
  guest->is_in = false;
}

void sig_guest_close(struct sig *s, struct sig_guest *guest, uint64_t now_ms)
{
  struct sig_source *source = guest->source;
  sig_guest_leave(guest);
  guest->source = NULL;
  source->links--;
  sig__source_settle(s, source, now_ms);
}

uint32_t sig_guest_take(struct sig *s, struct sig_guest *guest, size_t len, uint64_t now_ms)
{
  const struct sig_limits *l = &s->config->limits;
  const struct sig_own own = {&guest->messages, &guest->bytes, l->message_rate, l->byte_rate};
  return sig__buckets_take(s, guest->source, &own, len, now_ms);
}
