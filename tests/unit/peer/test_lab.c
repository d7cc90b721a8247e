/* peer-demo/lab/core: what a site's description means, and the texts that are made of it. That the
 * texts do what they say is measured by tests/process/test_lab.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "peer-demo/lab/core/lab.h"

static uint8_t ip[LAB_TEXT_SIZE], nft[LAB_TEXT_SIZE], sysctl[LAB_TEXT_SIZE];

static struct lab_site parsed(const char *text)
{
  struct lab_site site;
  char error[LAB_ERROR_SIZE] = "";
  if (lab_site_parse(bytes_of(text), &site, error) != 0)
    fail_msg("%s: %s", text, error);
  return site;
}

static struct lab_text empty(void)
{
  struct lab_text t;
  buf_init(&t.ip, ip, sizeof ip - 1);
  buf_init(&t.nft, nft, sizeof nft - 1);
  buf_init(&t.sysctl, sysctl, sizeof sysctl - 1);
  return t;
}

static const char *text_of(struct buf *b)
{
  assert_false(b->overflow);
  b->at[b->len] = 0;
  return (const char *)b->at;
}

static void assert_has(struct buf *b, const char *want)
{
  if (!strstr(text_of(b), want))
    fail_msg("'%s' is missing in:\n%s", want, text_of(b));
}

static void assert_has_not(struct buf *b, const char *want)
{
  if (strstr(text_of(b), want))
    fail_msg("'%s' stands in:\n%s", want, text_of(b));
}

static void test_all_words(void **state)
{
  (void)state;
  struct lab_site s = parsed("port-restricted");
  assert_int_equal(s.nat, LAB_PORT_RESTRICTED);
  assert_int_equal(s.lifetime_s, LAB_LIFETIME_S);
  assert_false(s.carrier || s.hairpin || s.loss_percent);
  s = parsed("full-cone+carrier+hairpin+dual+no-udp+loss=20+lifetime=30");
  assert_int_equal(s.nat, LAB_FULL_CONE);
  assert_int_equal(s.block, LAB_NO_UDP);
  assert_int_equal(s.families, LAB_DUAL);
  assert_int_equal(s.loss_percent, 20);
  assert_int_equal(s.lifetime_s, 30);
  assert_true(s.carrier && s.hairpin);
  assert_int_equal(parsed("none+v6+only-443").block, LAB_ONLY_443);
  for (int i = 0; i < LAB_NAT_COUNT; i++)
    assert_int_equal(parsed(lab_nat_name((enum lab_nat)i)).nat, i);
}

static void test_bad_words(void **state)
{
  (void)state;
  static const char *const bad[] = {"",
                                    "+",
                                    "nat",
                                    "none+",
                                    "none++v6",
                                    "none+loss",
                                    "none+loss=",
                                    "none+loss=101",
                                    "none+loss=-1",
                                    "none+loss=1x",
                                    "full-cone+lifetime=0",
                                    "full-cone+lifetime=86401",
                                    "none+carrier",
                                    "symmetric+v6+carrier",
                                    "none+hairpin",
                                    "symmetric+hairpin",
                                    "carrier+symmetric"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    struct lab_site site = {.lifetime_s = 4711};
    char error[LAB_ERROR_SIZE] = "";
    assert_int_equal(lab_site_parse(bytes_of(bad[i]), &site, error), -ERR_BAD);
    assert_int_equal(site.lifetime_s, 4711);
    assert_true(strlen(error) > 10);
  }
}

static void test_a_long_word_is_told_in_part(void **state)
{
  (void)state;
  char word[4096], error[LAB_ERROR_SIZE];
  struct lab_site site;
  memset(word, 'x', sizeof word);
  assert_int_equal(lab_site_parse((struct bytes){(uint8_t *)word, sizeof word}, &site, error),
                   -ERR_BAD);
  assert_non_null(strstr(error, "is no kind of NAT"));
}

static void test_names(void **state)
{
  (void)state;
  char name[LAB_WORD_SIZE];
  const struct lab_site plain = {0}, behind = {.carrier = true};
  assert_string_equal(lab_part_name(0, LAB_HOST, name), "a");
  assert_string_equal(lab_part_name(1, LAB_ROUTER, name), "b-nat");
  assert_string_equal(lab_part_name(7, LAB_CARRIER, name), "h-cgn");
  assert_false(lab_has_part(&plain, LAB_CARRIER));
  assert_true(lab_has_part(&behind, LAB_CARRIER));
}

/* One NAT after the other: what makes it that kind, and nothing of the others. */
static void test_what_makes_the_kind(void **state)
{
  (void)state;
  static const char *const open = "iifname \"wan\" meta l4proto udp dnat to udp dport map @inside",
                           *const known = "@spoken dnat to", *const random = "fully-random";
  static const struct {
    const char *site;
    bool open, known, random;
  } rows[] = {{"full-cone", true, false, false},
              {"address-restricted", false, true, false},
              {"port-restricted", false, false, false},
              {"symmetric", false, false, true}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const struct lab_site site = parsed(rows[i].site);
    struct lab_text t = empty();
    lab_put_part(&site, 0, LAB_ROUTER, "p-", &t);
    (rows[i].open ? assert_has : assert_has_not)(&t.nft, open);
    (rows[i].known ? assert_has : assert_has_not)(&t.nft, known);
    (rows[i].random ? assert_has : assert_has_not)(&t.nft, random);
    assert_has(&t.nft, "snat to 198.18.1.1");
    assert_has(&t.nft, "iifname \"wan\" ct state new drop");
    assert_has_not(&t.nft, "numgen");
  }
}

static void test_a_carrier_stands_in_between(void **state)
{
  (void)state;
  const struct lab_site site = parsed("full-cone+carrier+lifetime=7");
  struct lab_text t = empty();
  lab_put_public(&site, 1, "p-", &t);
  assert_has(&t.ip, "link add name a type veth peer name wan netns p-a-cgn\n");
  t = empty();
  lab_put_part(&site, 0, LAB_CARRIER, "p-", &t);
  assert_has(&t.ip, "netns p-a-nat\n");
  assert_has(&t.nft, "snat to 198.18.1.1");
  assert_has_not(&t.nft, "iifname \"wan\" meta l4proto udp dnat");
  assert_has(&t.sysctl, "nf_conntrack_udp_timeout=7\n");
  t = empty();
  lab_put_part(&site, 0, LAB_ROUTER, "p-", &t);
  assert_has(&t.ip, "netns p-a\n");
  assert_has(&t.nft, "snat to 100.64.1.2");
}

static void test_no_nat_translates_nothing(void **state)
{
  (void)state;
  const struct lab_site site = parsed("none+loss=5+only-443");
  struct lab_text t = empty();
  lab_put_public(&site, 1, "p-", &t);
  assert_has(&t.ip, "route add 198.19.1.0/24 via 198.18.1.1\n");
  t = empty();
  lab_put_part(&site, 0, LAB_ROUTER, "p-", &t);
  assert_has_not(&t.nft, "table ip lab");
  assert_has(&t.nft, "numgen random mod 100 < 5 drop");
  assert_has(&t.nft, "tcp dport != 443 drop");
}

static void test_ipv6_has_no_ipv4(void **state)
{
  (void)state;
  const struct lab_site site = parsed("port-restricted+v6");
  struct lab_text t = empty();
  lab_put_part(&site, 0, LAB_HOST, "p-", &t);
  assert_has_not(&t.ip, "192.168");
  assert_has(&t.ip, "2001:2:1::2/64");
  t = empty();
  lab_put_part(&site, 0, LAB_ROUTER, "p-", &t);
  assert_has_not(&t.nft, "table ip lab");
  assert_has(&t.nft, "meta nfproto ipv6 iifname \"wan\" ct state new drop");
}

/* The texts of the largest laboratory fit, and what does not fit is told. */
static void test_room(void **state)
{
  (void)state;
  struct lab_site site[LAB_SITES];
  uint8_t little[64];
  for (size_t i = 0; i < LAB_SITES; i++)
    site[i] = parsed("full-cone+carrier+hairpin+dual+only-443+loss=100+lifetime=86400");
  struct lab_text t = empty();
  lab_put_public(site, LAB_SITES, "vlab-abcdefghijklmnop-", &t);
  assert_false(t.ip.overflow);
  for (int part = 0; part < LAB_PART_COUNT; part++) {
    t = empty();
    lab_put_part(&site[7], 7, (enum lab_part)part, "vlab-abcdefghijklmnop-", &t);
    assert_false(t.ip.overflow || t.nft.overflow || t.sysctl.overflow);
  }
  buf_init(&t.ip, little, sizeof little);
  lab_put_public(site, LAB_SITES, "p-", &t);
  assert_true(t.ip.overflow);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_all_words),
      cmocka_unit_test(test_bad_words),
      cmocka_unit_test(test_a_long_word_is_told_in_part),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_what_makes_the_kind),
      cmocka_unit_test(test_a_carrier_stands_in_between),
      cmocka_unit_test(test_no_nat_translates_nothing),
      cmocka_unit_test(test_ipv6_has_no_ipv4),
      cmocka_unit_test(test_room),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
