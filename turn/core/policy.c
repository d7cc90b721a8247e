/* Which peers a client may reach through us. Without it a relay is a way into the operator's own
 * network: a client asks for a permission for 127.0.0.1 or 169.254.169.254 and talks to what
 * listens there. CreatePermission, ChannelBind, Send and Connect all ask here.
 *
 * In this order:
 *   0. What this server itself listens at is closed, whatever opens it.
 *   1. allowed-peer-ip and denied-peer-ip whose range holds the address. Those for the user count
 *      before those for his realm, and these before those for everybody: the first of the three
 *      levels that says anything decides, so that an exception can be made of every rule. Within a
 *      level allowed wins over denied, as in coturn, and their order in the file means nothing.
 *   2. Loopback is opened by its own switch.
 *   3. Our own relayed addresses are open within the port range. With relay-mode=virtual all other
 *      peers are closed before any rule is asked: there is no way to them.
 *   4. IANA's special-purpose ranges are closed (the registries of RFC 6890, as of 2025).
 * An IPv6 address that carries an IPv4 address has to pass twice, as what it is and as what it
 * carries.
 */
#include <string.h>

#include "turn/core/internal.h"

struct special {
  uint8_t family, bits;
  uint8_t ip[16];
  const char *name;
};

/* clang-format off */
static const struct special registry[] = {
  {ADDR_V4, 8,  {0},                "this network"},
  {ADDR_V4, 8,  {10},               "private use"},
  {ADDR_V4, 10, {100, 64},          "shared address space"},
  {ADDR_V4, 8,  {127},              "loopback"},
  {ADDR_V4, 16, {169, 254},         "link-local"},
  {ADDR_V4, 12, {172, 16},          "private use"},
  {ADDR_V4, 24, {192, 0, 0},        "IETF protocol assignments"},
  {ADDR_V4, 24, {192, 0, 2},        "documentation"},
  {ADDR_V4, 24, {192, 31, 196},     "AS112"},
  {ADDR_V4, 24, {192, 52, 193},     "AMT"},
  {ADDR_V4, 24, {192, 88, 99},      "6to4 relay anycast"},
  {ADDR_V4, 16, {192, 168},         "private use"},
  {ADDR_V4, 24, {192, 175, 48},     "AS112"},
  {ADDR_V4, 15, {198, 18},          "benchmarking"},
  {ADDR_V4, 24, {198, 51, 100},     "documentation"},
  {ADDR_V4, 24, {203, 0, 113},      "documentation"},
  {ADDR_V4, 4,  {224},              "multicast"},
  {ADDR_V4, 4,  {240},              "reserved and limited broadcast"},

  {ADDR_V6, 128, {0},                                     "unspecified"},
  {ADDR_V6, 128, {[15] = 1},                              "loopback"},
  {ADDR_V6, 96,  {[10] = 0xff, 0xff},                     "IPv4-mapped"},
  {ADDR_V6, 96,  {0, 0x64, 0xff, 0x9b},                   "IPv4-IPv6 translation"},
  {ADDR_V6, 48,  {0, 0x64, 0xff, 0x9b, 0, 1},             "IPv4-IPv6 translation"},
  {ADDR_V6, 64,  {1},                                     "discard only"},
  {ADDR_V6, 32,  {0x20, 1},                               "Teredo"},
  {ADDR_V6, 23,  {0x20, 1},                               "IETF protocol assignments"},
  {ADDR_V6, 32,  {0x20, 1, 0x0d, 0xb8},                   "documentation"},
  {ADDR_V6, 16,  {0x20, 2},                               "6to4"},
  {ADDR_V6, 48,  {0x26, 0x20, 0, 0x4f, 0x80},             "AS112"},
  {ADDR_V6, 20,  {0x3f, 0xff},                            "documentation"},
  {ADDR_V6, 16,  {0x5f},                                  "segment routing"},
  {ADDR_V6, 7,   {0xfc},                                  "unique local"},
  {ADDR_V6, 10,  {0xfe, 0x80},                            "link-local"},
  {ADDR_V6, 8,   {0xff},                                  "multicast"},
  /* Global unicast is 2000::/3; IANA has given out nothing else (site-local, IPv4-compatible). */
  {ADDR_V6, 3,   {0},                                     "not global unicast"},
  {ADDR_V6, 2,   {0x40},                                  "not global unicast"},
  {ADDR_V6, 1,   {0x80},                                  "not global unicast"},
};

/* Where an IPv4 address stands in an IPv6 address of a transition mechanism. */
static const struct embedding {
  uint8_t bits, offset;
  bool inverted;
  uint8_t ip[16];
} embeddings[] = {
  {96, 12, false, {[10] = 0xff, 0xff}},       /* mapped, RFC 4291 2.5.5.2 */
  {96, 12, false, {[8] = 0xff, 0xff}},        /* translated, RFC 2765 */
  {96, 12, false, {0}},                       /* compatible, RFC 4291 2.5.5.1 */
  {96, 12, false, {0, 0x64, 0xff, 0x9b}},     /* NAT64, RFC 6052 */
  {16, 2,  false, {0x20, 2}},                 /* 6to4, RFC 3056 */
  {32, 4,  false, {0x20, 1}},                 /* Teredo: the server, RFC 4380 section 4 */
  {32, 12, true,  {0x20, 1}},                 /* Teredo: the client */
};
/* clang-format on */

static bool has_prefix(const uint8_t *ip, const uint8_t *prefix, unsigned bits)
{
  const unsigned whole = bits / 8, rest = bits % 8;
  if (memcmp(ip, prefix, whole) != 0)
    return false;
  return rest == 0 || (ip[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

const char *turn_special_purpose(const struct addr *a)
{
  for (size_t i = 0; i < sizeof(registry) / sizeof(registry[0]); i++) {
    const struct special *s = &registry[i];
    if (s->family == a->family && has_prefix(a->ip, s->ip, s->bits))
      return s->name;
  }
  return NULL;
}

const char *turn_special_purpose_in(const struct addr_range *r)
{
  for (size_t i = 0; i < sizeof(registry) / sizeof(registry[0]); i++) {
    const struct special *s = &registry[i];
    const struct addr first = addr_from_ip(s->ip, s->family == ADDR_V4 ? 4 : 16, 0);
    if (s->family == r->first.family &&
        (addr_range_has(r, &first) || has_prefix(r->first.ip, s->ip, s->bits)))
      return s->name;
  }
  return NULL;
}

bool turn__is_tunnelled(const struct addr *a)
{
  static const uint8_t sixto4[] = {0x20, 2}, teredo[] = {0x20, 1, 0, 0};
  return a->family == ADDR_V6 && (has_prefix(a->ip, sixto4, 16) || has_prefix(a->ip, teredo, 32));
}

/* For whom a rule is. UNSAID is below them all. */
enum level { UNSAID, EVERYBODY, REALM, USER };

/* UNSAID: for somebody else. */
static enum level level_of(const struct turn_peer_rule *rule, const struct turn_allocation *a)
{
  const struct turn_account *who = a->share.account;
  if (rule->realm.len && !bytes_equal(rule->realm, turn__realm(a)->name))
    return UNSAID;
  if (rule->user.len)
    return who && bytes_equal(rule->user, (struct bytes){who->name, who->name_len}) ? USER : UNSAID;
  return rule->realm.len ? REALM : EVERYBODY;
}

/* The level that decides, and what it says in *allowed. */
static enum level ask_rules(const struct turn_allocation *a, const struct addr *peer, bool *allowed)
{
  const struct turn_config *c = a->turn->config;
  enum level most = UNSAID;
  *allowed = false;
  for (size_t i = 0; i < c->peer_rule_count; i++) {
    const struct turn_peer_rule *rule = &c->peer_rule[i];
    if (!addr_range_has(&rule->range, peer))
      continue;
    const enum level level = level_of(rule, a);
    if (level < most || level == UNSAID)
      continue;
    *allowed = rule->allowed || (level == most && *allowed);
    most = level;
  }
  return most;
}

static bool is_own_relay(const struct turn_config *c, const struct addr *a)
{
  for (size_t i = 0; i < c->relay_count; i++)
    if (addr_equal_ip(&c->relay[i].local, a) || addr_equal_ip(&c->relay[i].external, a))
      return true;
  return false;
}

/* :: and ::1 have the form of a compatible address and carry none. */
static bool is_below_two(const struct addr *a)
{
  static const uint8_t zero[16] = {0};
  return a->family == ADDR_V6 && has_prefix(a->ip, zero, 127);
}

/* Of the family's own kind: a mapped 127.0.0.1 is IPv4-mapped first of all. */
static bool is_loopback(const struct addr *a)
{
  return a->family == ADDR_V4 ? addr_is_loopback(a) : is_below_two(a) && a->ip[15] == 1;
}

static bool is_local(const struct turn_config *c, const struct addr *a)
{
  if (addr_is_loopback(a) || addr_is_unspecified(a) || is_own_relay(c, a))
    return true;
  for (size_t i = 0; i < c->local_count; i++)
    if (addr_equal_ip(&c->local[i], a))
      return true;
  return false;
}

/* The address that clients know one of ours by. */
static bool is_told_as(const struct turn_config *c, const struct addr *ours, const struct addr *a)
{
  for (size_t i = 0; i < c->relay_count; i++)
    if (addr_equal_ip(&c->relay[i].local, ours) && addr_equal_ip(&c->relay[i].external, a))
      return true;
  return false;
}

/* Where this very server listens. Through it a client would come in again as one of this machine's
 * own addresses, past the limits for strangers, or reach the metrics. No peer of anybody's is
 * there, so no rule opens it, and neither does a port that lies within min-port and max-port. */
bool turn__is_own_listener(const struct turn_config *c, const struct addr *a, uint16_t port)
{
  for (size_t i = 0; i < c->listener_count && port != 0; i++) {
    const struct addr *l = &c->listener[i];
    if (l->port != port || l->family != a->family)
      continue;
    if (addr_equal_ip(l, a) || is_told_as(c, l, a) || (addr_is_unspecified(l) && is_local(c, a)) ||
        (addr_is_unspecified(a) && is_local(c, l)))
      return true;
  }
  return false;
}

static bool is_relayed_port(const struct turn_config *c, uint16_t port)
{
  return port == 0 || (port >= c->min_port && port <= c->max_port);
}

const char *turn__closed_because(const struct turn_config *c, const struct addr *peer)
{
  if (c->relay_virtual && !turn__is_relay_ip(c, peer))
    return "no relayed address of this server";
  return turn_special_purpose(peer);
}

static bool is_open(const struct turn_allocation *who, const struct addr *a, uint16_t port)
{
  const struct turn_config *c = who->turn->config;
  bool allowed;
  if (turn__is_own_listener(c, a, port))
    return false;
  if (c->relay_virtual && !(turn__is_relay_ip(c, a) && is_relayed_port(c, port)))
    return false;
  if (ask_rules(who, a, &allowed) != UNSAID)
    return allowed;
  if (c->allow_loopback_peers && is_loopback(a))
    return true;
  /* Two clients of this server reach each other through their relayed addresses, and those lie
   * within the range; whatever else listens on this machine does not. */
  if (is_own_relay(c, a))
    return is_relayed_port(c, port);
  return turn_special_purpose(a) == NULL;
}

bool turn__peer_is_allowed(const struct turn_allocation *a, const struct addr *peer, uint16_t port)
{
  if (!is_open(a, peer, port))
    return false;
  /* What has no socket goes nowhere, whatever its address carries. */
  if (peer->family != ADDR_V6 || is_below_two(peer) || a->turn->config->relay_virtual)
    return true;
  for (size_t i = 0; i < sizeof(embeddings) / sizeof(embeddings[0]); i++) {
    const struct embedding *e = &embeddings[i];
    if (!has_prefix(peer->ip, e->ip, e->bits))
      continue;
    uint8_t inner[4];
    for (size_t k = 0; k < sizeof(inner); k++)
      inner[k] = (uint8_t)(peer->ip[e->offset + k] ^ (e->inverted ? 0xff : 0));
    const struct addr v4 = addr_from_ip(inner, sizeof(inner), peer->port);
    if (!is_open(a, &v4, port))
      return false;
  }
  return true;
}
