/* The ways in which a scenario is run: as it is written, then with all its clients moved to each
 * transport, and those with IPv4 addresses moved to IPv6. What a client asks for and gets does not
 * depend on how it came, so nothing in the file changes but the addresses of the clients
 * themselves: each IPv4 one becomes an IPv6 one in a /64 of its own.
 *
 * A file that is bound to what it names says so: ONLY udp dtls "reason". */
#include <string.h>

#include "tests/scenario/turn_script.h"

static const struct variant variants[] = {
    {.name = "as written"},
    {"over udp", true, TURN_UDP, false},
    {"over tcp", true, TURN_TCP, false},
    {"over tls", true, TURN_TLS, false},
    {"over dtls", true, TURN_DTLS, false},
    {"over udp and IPv6", true, TURN_UDP, true},
    {"over tcp and IPv6", true, TURN_TCP, true},
    {"over dtls and IPv6", true, TURN_DTLS, true},
    {"over tls and IPv6", true, TURN_TLS, true},
};

enum { ONLY_FAMILY = 1u << TURN_TRANSPORT_COUNT, ONLY_WRITTEN = ONLY_FAMILY << 1 };

const struct variant *script_variants(size_t *count)
{
  *count = sizeof(variants) / sizeof(variants[0]);
  return variants;
}

/* One bit for each transport that stays; `ipv4` and `as-written` bind more. */
void script_only(struct script *s, const struct word *w, size_t count)
{
  static const struct {
    const char *name;
    uint32_t bit;
  } words[] = {
      {"udp", 1u << TURN_UDP},   {"tcp", 1u << TURN_TCP}, {"tls", 1u << TURN_TLS},
      {"dtls", 1u << TURN_DTLS}, {"family", ONLY_FAMILY}, {"as-written", ONLY_WRITTEN},
  };
  if (count < 2 || !w[count - 1].quoted || w[count - 1].len < 10)
    script_fail(s, "ONLY udp|tcp|tls|dtls|family|as-written \"why\"");
  for (size_t i = 0; i + 1 < count; i++) {
    size_t k = 0;
    while (k < sizeof(words) / sizeof(words[0]) && !word_is(&w[i], words[k].name))
      k++;
    if (k == sizeof(words) / sizeof(words[0]))
      script_fail(s, "unknown word '%s'", w[i].at);
    s->only |= words[k].bit;
  }
}

bool script_excludes(const struct script *s, const struct variant *v)
{
  const uint32_t transports = s->only & (ONLY_FAMILY - 1u);
  if (s->only & ONLY_WRITTEN || (s->only & ONLY_FAMILY && v->v6))
    return true;
  return transports && !(transports & 1u << v->transport);
}

struct addr script_client_addr(const struct script *s, const struct addr *written)
{
  if (!s->variant->v6 || written->family != ADDR_V4)
    return *written;
  uint8_t ip[16] = {0x2a, 0x01, written->ip[0], written->ip[1], written->ip[2], written->ip[3]};
  ip[15] = 1;
  return addr_from_ip(ip, sizeof(ip), written->port);
}
