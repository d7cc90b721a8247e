/* How often one address is told that it has to prove itself. Whoever forges a source address makes
 * us answer somebody else, and whoever guesses passwords wants to hear whether he was right: both
 * want many answers. reply.c asks for every answer to a request that proved nothing.
 *
 * A row of times, and nothing for each address: a flood from any number of addresses costs no
 * memory. Addresses whose keyed hashes meet share their allowance, which an attacker cannot aim.
 */
#include <string.h>

#include "turn/core/internal.h"

enum {
  SECOND_US = 1000 * 1000,
  BURST_S = 10, /* the allowance of so many seconds may be used at once */
  PREFIX_LEN = 8
};

/* IPv6: by /64, which is what one customer gets at the least. A stream proves its address by its
 * handshake; it has an allowance of its own, which nobody can use up with a forged one. */
static uint64_t *row_of(struct turn *t, const struct turn_flow *flow)
{
  uint8_t who[1 + PREFIX_LEN] = {0};
  who[0] = (uint8_t)(flow->client.family << 1 | (flow->transport != TURN_UDP));
  memcpy(who + 1, flow->client.ip, flow->client.family == ADDR_V6 ? PREFIX_LEN : 4);
  return &t->challenge_us[hash_bytes(&t->hash_key, who, sizeof(who)) % TURN__CHALLENGE_ROWS];
}

/* The generic cell rate algorithm: a row holds when its allowance will be whole again. */
bool turn__challenge_may(struct turn *t, const struct turn_flow *flow, uint64_t now_ms)
{
  const uint32_t per_s = t->config->unauthorized_per_s;
  const uint64_t now_us = now_ms * 1000;
  uint64_t *whole_us = row_of(t, flow);
  if (per_s == 0)
    return true;
  if (*whole_us < now_us)
    *whole_us = now_us;
  /* The workers count apart, and the kernel spreads an address's ports over them; but each has one
   * to give. */
  const uint64_t burst_us = (uint64_t)BURST_S * SECOND_US;
  const uint64_t share_us = (uint64_t)SECOND_US * t->share_count / per_s;
  const uint64_t cost_us = share_us < burst_us ? share_us : burst_us;
  if (*whole_us + cost_us > now_us + burst_us) {
    t->counters.unauthorized_unanswered++;
    return false;
  }
  *whole_us += cost_us;
  return true;
}
