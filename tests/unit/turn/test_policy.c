/* turn/core/policy.c: which peers may be reached. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "turn/core/internal.h"

static struct addr at(const char *text)
{
  struct addr a;
  assert_int_equal(addr_parse(bytes_of(text), &a), 0);
  return a;
}

static struct turn turn;
static const struct turn_realm realms[] = {{.name = {(const uint8_t *)"first", 5}},
                                           {.name = {(const uint8_t *)"second", 6}}};

/* Somebody who is let in without a name. */
static bool allows(const struct turn_config *c, const struct addr *peer, uint16_t port)
{
  struct turn_config with_realm = *c;
  with_realm.realm = realms;
  with_realm.realm_count = 2;
  turn.config = &with_realm;
  static const struct turn_allocation anybody = {.turn = &turn};
  return turn__peer_is_allowed(&anybody, peer, port);
}

static bool open_to(const struct turn_config *c, const char *text)
{
  const struct addr a = at(text);
  return allows(c, &a, a.port);
}

/* First and last of each range are in it, and what stands beside them is not. */
static void test_edges_of_the_registry(void **state)
{
  (void)state;
  static const char *const row[][4] = {
      /* before, first, last, behind; NULL: special too, or no address */
      {NULL, "0.0.0.0", "0.255.255.255", "1.0.0.0"},
      {"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"},
      {"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"},
      {"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"},
      {"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"},
      {"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"},
      {"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"},
      {"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"},
      {"192.31.195.255", "192.31.196.0", "192.31.196.255", "192.31.197.0"},
      {"192.52.192.255", "192.52.193.0", "192.52.193.255", "192.52.194.0"},
      {"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"},
      {"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"},
      {"192.175.47.255", "192.175.48.0", "192.175.48.255", "192.175.49.0"},
      {"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"},
      {"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"},
      {"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"},
      {"223.255.255.255", "224.0.0.0", "255.255.255.255", NULL},
      {NULL, "::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"},
      {"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"},
      {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
       "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"},
      {"2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"},
      {"2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
       "2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", "2620:4f:8001::"},
      {"3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"},
      {"3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
       "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", NULL},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
    for (size_t k = 0; k < 4; k++) {
      if (!row[i][k])
        continue;
      const struct addr a = at(row[i][k]);
      const bool special = turn_special_purpose(&a) != NULL;
      if (special != (k == 1 || k == 2))
        fail_msg("%s is %s", row[i][k], special ? "special" : "not special");
    }
}

static void test_names_of_ranges(void **state)
{
  (void)state;
  static const char *const row[][2] = {
      {"127.0.0.1", "loopback"},
      {"::1", "loopback"},
      {"::", "unspecified"},
      {"169.254.0.1", "link-local"},
      {"fe80::1", "link-local"},
      {"fd00::1", "unique local"},
      {"ff02::1", "multicast"},
      {"2001::1", "Teredo"},
      {"2002::1", "6to4"},
      {"::ffff:1.2.3.4", "IPv4-mapped"},
      {"2001:10::1", "IETF protocol assignments"},
      {"fec0::1", "not global unicast"},
      {"100::1", "discard only"},
  };
  for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
    const struct addr a = at(row[i][0]);
    assert_non_null(turn_special_purpose(&a));
    assert_string_equal(turn_special_purpose(&a), row[i][1]);
  }
}

static struct turn_peer_rule rule_of(bool allowed, const char *range, const char *realm,
                                     const char *user)
{
  struct turn_peer_rule r = {.allowed = allowed, .realm = bytes_of(realm), .user = bytes_of(user)};
  assert_int_equal(addr_range_parse(bytes_of(range), &r.range), 0);
  return r;
}

static void test_allowed_wins_over_denied(void **state)
{
  (void)state;
  const struct turn_peer_rule rules[] = {rule_of(true, "10.0.0.0/8", "", ""),
                                         rule_of(false, "0.0.0.0/0", "", "")};
  const struct turn_config c = {.peer_rule = rules, .peer_rule_count = 2};
  assert_true(open_to(&c, "10.1.1.1"));
  assert_false(open_to(&c, "8.8.8.8"));
  assert_true(open_to(&c, "2a00::1"));
}

/* Whether a user of a realm may reach the peer under these rules, in whatever order. */
static bool user_may(size_t realm, const char *name, const char *to,
                     const struct turn_peer_rule *rules, size_t count)
{
  static uint8_t space[sizeof(struct turn_account) + 3];
  struct turn_domain domain = {.realm = &realms[realm]};
  struct turn_account *user = (struct turn_account *)(void *)space;
  struct turn_config c = {.realm = realms, .realm_count = 2, .peer_rule_count = count};
  const struct turn_allocation a = {.turn = &turn, .domain = &domain, .share = {.account = user}};
  const struct addr peer = at(to);
  bool may[2];
  user->name_len = 3;
  memcpy(user->name, name, 3);
  turn.config = &c;
  for (size_t backwards = 0; backwards < 2; backwards++) {
    struct turn_peer_rule turned[16];
    assert_in_range(count, 0, 16);
    for (size_t i = 0; i < count; i++)
      turned[i] = rules[backwards ? count - 1 - i : i];
    c.peer_rule = turned;
    may[backwards] = turn__peer_is_allowed(&a, &peer, 9);
  }
  assert_int_equal(may[0], may[1]);
  return may[0];
}

static bool bob_may(size_t realm, const struct turn_peer_rule *rules, size_t count)
{
  return user_may(realm, "bob", "8.8.8.8", rules, count);
}

static void test_user_before_realm_before_everybody(void **state)
{
  (void)state;
  const char *all = "0.0.0.0/0";
  const struct turn_peer_rule rules[] = {
      rule_of(false, all, "", ""), rule_of(true, all, "second", ""),
      rule_of(false, all, "second", "bob"), rule_of(true, "8.8.8.8", "", "bob")};
  assert_false(bob_may(0, rules, 1));
  assert_false(bob_may(1, rules, 1));
  assert_false(bob_may(0, rules, 2)); /* another realm's exception */
  assert_true(bob_may(1, rules, 2));
  assert_false(bob_may(0, rules, 3));
  assert_false(bob_may(1, rules, 3)); /* an exception of the exception */
  assert_true(bob_may(0, rules, 4));
  assert_true(bob_may(1, rules, 4)); /* within a level, allowed wins */
  const struct turn_peer_rule eve[] = {rule_of(false, all, "", "eve"),
                                       rule_of(false, all, "", "bo"),
                                       rule_of(false, all, "", "bobby")};
  assert_true(bob_may(0, eve, 3));
}

/* ---- seeded random rules against a model that compares numbers ---- */

enum { RULES = 12, ROUNDS = 400, PEERS = 40 };

/* An address as a number: the value of its last two bytes behind one of two public prefixes. */
struct spot {
  bool v6;
  uint32_t at; /* 16 bits */
};

struct model {
  bool v6, allowed;
  uint32_t first, last;
  int realm, user; /* -1: whichever; else the row of `realms`, and 0 bob, 1 eve */
};

static const char *spot_text(struct spot s, char out[40])
{
  if (s.v6)
    snprintf(out, 40, "2a00:1::%x", s.at);
  else
    snprintf(out, 40, "8.8.%u.%u", s.at >> 8, s.at & 0xff);
  return out;
}

/* Small numbers are common, so that ranges meet. */
static uint32_t draw(struct random *random)
{
  return random_below(random, 1 + (1u << random_below(random, 17))) & 0xffff;
}

static struct model draw_rule(struct random *random, struct turn_peer_rule *rule)
{
  char text[100], first[40], last[40];
  struct model m = {.v6 = random_below(random, 2), .allowed = random_below(random, 2)};
  m.realm = (int)random_below(random, 3) - 1;
  m.user = (int)random_below(random, 3) - 1;
  const uint32_t a = draw(random), b = draw(random), bits = random_below(random, 17);
  switch (random_below(random, 3)) {
  case 0:
    m.first = a < b ? a : b;
    m.last = a < b ? b : a;
    snprintf(text, sizeof(text), "%s-%s", spot_text((struct spot){m.v6, m.first}, first),
             spot_text((struct spot){m.v6, m.last}, last));
    break;
  case 1:
    m.first = a >> bits << bits;
    m.last = m.first + (1u << bits) - 1;
    snprintf(text, sizeof(text), "%s/%u", spot_text((struct spot){m.v6, a}, first),
             (m.v6 ? 128 : 32) - bits);
    break;
  default:
    m.first = m.last = a;
    snprintf(text, sizeof(text), "%s", spot_text((struct spot){m.v6, a}, first));
  }
  static const char *const users[] = {"", "bob", "eve"};
  *rule = rule_of(m.allowed, text,
                  m.realm < 0 ? ""
                  : m.realm   ? "second"
                              : "first",
                  users[m.user + 1]);
  return m;
}

/* Level by level, as policy.c's head has it. */
static bool model_allows(const struct model *m, size_t count, struct spot peer, int realm, int user)
{
  for (int level = 2; level >= 0; level--) {
    bool said = false, allowed = false;
    for (size_t i = 0; i < count; i++) {
      if (m[i].v6 != peer.v6 || peer.at < m[i].first || peer.at > m[i].last)
        continue;
      if ((m[i].realm >= 0 && m[i].realm != realm) || (m[i].user >= 0 && m[i].user != user))
        continue;
      if (level != (m[i].user >= 0 ? 2 : m[i].realm >= 0 ? 1 : 0))
        continue;
      said = true;
      allowed = allowed || m[i].allowed;
    }
    if (said)
      return allowed;
  }
  return true; /* public addresses */
}

/* Where rules begin and end, one beside it, and anywhere. */
static struct spot draw_peer(struct random *random, const struct model *m, size_t count)
{
  struct spot s = {.v6 = random_below(random, 2), .at = draw(random)};
  if (count && random_below(random, 4)) {
    const struct model *near = &m[random_below(random, (uint32_t)count)];
    s.v6 = near->v6;
    s.at = random_below(random, 2) ? near->first : near->last;
    s.at = (s.at + random_below(random, 3) - 1) & 0xffff;
  }
  return s;
}

static void test_random_rules_against_a_model(void **state)
{
  (void)state;
  struct random_seed seed;
  struct random random = random_seeded(&seed, 7635);
  size_t allowed = 0;
  for (int round = 0; round < ROUNDS; round++) {
    struct turn_peer_rule rules[RULES];
    struct model m[RULES];
    const size_t count = random_below(&random, RULES + 1);
    for (size_t i = 0; i < count; i++)
      m[i] = draw_rule(&random, &rules[i]);
    for (int k = 0; k < PEERS; k++) {
      char text[40];
      const struct spot peer = draw_peer(&random, m, count);
      const int realm = (int)random_below(&random, 2), user = (int)random_below(&random, 2);
      const bool expected = model_allows(m, count, peer, realm, user);
      allowed += expected;
      if (user_may((size_t)realm, user ? "eve" : "bob", spot_text(peer, text), rules, count) !=
          expected)
        fail_msg("round %d: %s, realm %d, user %d", round, text, realm, user);
    }
  }
  assert_in_range(allowed, ROUNDS * PEERS / 4, ROUNDS * PEERS * 9 / 10);
}

/* Whatever is opened outside, what is wrapped inside has to pass on its own. */
static void test_every_wrapping_of_a_denied_address(void **state)
{
  (void)state;
  const struct turn_peer_rule all[] = {rule_of(true, "::/0", "", "")};
  const struct turn_config c = {.peer_rule = all, .peer_rule_count = 1};
  static const uint8_t inner[][4] = {
      {127, 0, 0, 1}, {10, 1, 2, 3}, {169, 254, 169, 254}, {224, 0, 0, 1}, {8, 8, 8, 8}};
  for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) {
    const uint8_t *v = inner[i];
    const bool public = v[0] == 8;
    uint8_t ip[7][16] = {
        {[10] = 0xff, 0xff, v[0], v[1], v[2], v[3]},
        {[8] = 0xff, 0xff, [12] = v[0], v[1], v[2], v[3]},
        {[12] = v[0], v[1], v[2], v[3]},
        {0, 0x64, 0xff, 0x9b, [12] = v[0], v[1], v[2], v[3]},
        {0x20, 2, v[0], v[1], v[2], v[3], [15] = 1},
        {0x20, 1, 0, 0, v[0], v[1], v[2], v[3], [12] = 0xf7, 0xf7, 0xf7, 0xf7},
        {0x20, 1, 0, 0, 8, 8, 8, 8},
    };
    for (size_t k = 0; k < 4; k++)
      ip[6][12 + k] = v[k] ^ 0xff;
    for (size_t k = 0; k < 7; k++) {
      const struct addr a = addr_from_ip(ip[k], 16, 9);
      if (allows(&c, &a, 9) != public)
        fail_msg("wrapping %zu of address %zu", k, i);
    }
  }
}

static void test_own_relay(void **state)
{
  (void)state;
  const struct turn_relay_address relay[] = {{.local = at("10.0.0.5"), .external = at("192.0.2.5")},
                                             {.local = at("fd00::5")}};
  const struct turn_config c = {
      .relay = relay, .relay_count = 2, .min_port = 50000, .max_port = 50009};
  static const char *const address[] = {"10.0.0.5", "192.0.2.5", "fd00::5"};
  for (size_t i = 0; i < 3; i++) {
    const struct addr a = at(address[i]);
    assert_true(allows(&c, &a, 0));
    assert_true(allows(&c, &a, 50000));
    assert_true(allows(&c, &a, 50009));
    assert_false(allows(&c, &a, 49999));
    assert_false(allows(&c, &a, 50010));
    assert_false(allows(&c, &a, 22));
  }
  assert_false(open_to(&c, "10.0.0.6"));
}

static void test_loopback_has_a_switch_of_its_own(void **state)
{
  (void)state;
  const struct turn_config closed = {0}, open = {.allow_loopback_peers = true};
  assert_false(open_to(&closed, "127.0.0.1"));
  assert_false(open_to(&closed, "::1"));
  assert_true(open_to(&open, "127.0.0.1"));
  assert_true(open_to(&open, "127.8.8.8"));
  assert_true(open_to(&open, "::1"));
  assert_false(open_to(&open, "10.0.0.1"));
  assert_false(open_to(&open, "::ffff:127.0.0.1"));
}

/* A relay that itself is at a loopback address (a test on one machine): the switch wins. */
static void test_loopback_relay(void **state)
{
  (void)state;
  const struct addr a = addr_v4(127, 0, 0, 1, 0);
  const struct turn_relay_address relay = {.local = a};
  struct turn_config c = {.relay = &relay, .relay_count = 1, .min_port = 50000, .max_port = 50009};
  assert_true(allows(&c, &a, 50000));
  assert_false(allows(&c, &a, 9));
  c.allow_loopback_peers = true;
  assert_true(allows(&c, &a, 9));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_edges_of_the_registry),
      cmocka_unit_test(test_names_of_ranges),
      cmocka_unit_test(test_allowed_wins_over_denied),
      cmocka_unit_test(test_user_before_realm_before_everybody),
      cmocka_unit_test(test_random_rules_against_a_model),
      cmocka_unit_test(test_every_wrapping_of_a_denied_address),
      cmocka_unit_test(test_own_relay),
      cmocka_unit_test(test_loopback_has_a_switch_of_its_own),
      cmocka_unit_test(test_loopback_relay),
  };
  return cmocka_run_group_tests_name("turn-policy", tests, NULL, NULL);
}
