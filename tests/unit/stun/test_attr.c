/* stun/core/attr.c: the table and its index. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "stun/core/attr.h"
#include "stun/core/decode.h"

static void test_every_code_leads_to_its_row_and_no_other_does(void **state)
{
  (void)state;
  size_t found = 0;
  for (uint32_t code = 0; code <= 0xFFFF; code++) {
    enum stun_attr a = stun__attr_find((uint16_t)code);
    if (a == STUN_ATTR_COUNT)
      continue;
    assert_int_equal(stun_attr_row(a)->code, code);
    found++;
  }
  assert_int_equal(found, STUN_ATTR_COUNT);
}

static void test_names_are_those_on_paper(void **state)
{
  (void)state;
  static const char *const id[] = {
#define ATTR(code, name, text, kind, least, most, rfc) #name,
#include "stun/core/attr.def"
#undef ATTR
  };
  for (int i = 0; i < STUN_ATTR_COUNT; i++) {
    const char *name = stun_attr_row((enum stun_attr)i)->name;
    assert_int_equal(strlen(name), strlen(id[i]));
    for (size_t k = 0; name[k]; k++)
      assert_int_equal(name[k], id[i][k] == '_' ? '-' : id[i][k]);
    /* ORIGIN came no further than a draft. */
    assert_memory_equal(stun_attr_row((enum stun_attr)i)->rfc,
                        i == STUN_ATTR_ORIGIN ? "draft" : "RFC ", 4);
  }
}

static void test_lengths(void **state)
{
  (void)state;
  static const struct {
    enum stun_attr a;
    size_t len;
    bool fits;
  } row[] = {
      {STUN_ATTR_LIFETIME, 4, true},
      {STUN_ATTR_LIFETIME, 3, false},
      {STUN_ATTR_LIFETIME, 5, false},
      {STUN_ATTR_USERNAME, 0, true},
      {STUN_ATTR_USERNAME, 763, true},
      {STUN_ATTR_USERNAME, 764, false},
      {STUN_ATTR_XOR_PEER_ADDRESS, 8, true},
      {STUN_ATTR_XOR_PEER_ADDRESS, 20, true},
      {STUN_ATTR_XOR_PEER_ADDRESS, 12, false},
      {STUN_ATTR_MAPPED_ADDRESS, 19, false},
      {STUN_ATTR_MESSAGE_INTEGRITY, 20, true},
      {STUN_ATTR_MESSAGE_INTEGRITY, 16, false},
      {STUN_ATTR_MESSAGE_INTEGRITY_SHA256, 12, false},
      {STUN_ATTR_MESSAGE_INTEGRITY_SHA256, 16, true},
      {STUN_ATTR_MESSAGE_INTEGRITY_SHA256, 18, false},
      {STUN_ATTR_MESSAGE_INTEGRITY_SHA256, 28, true},
      {STUN_ATTR_MESSAGE_INTEGRITY_SHA256, 32, true},
      {STUN_ATTR_MESSAGE_INTEGRITY_SHA256, 36, false},
      {STUN_ATTR_UNKNOWN_ATTRIBUTES, 6, true},
      {STUN_ATTR_UNKNOWN_ATTRIBUTES, 5, false},
      {STUN_ATTR_DONT_FRAGMENT, 0, true},
      {STUN_ATTR_DONT_FRAGMENT, 1, false},
      {STUN_ATTR_DATA, 65535, true},
      {STUN_ATTR_EVEN_PORT, 1, true},
  };
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    if (stun__attr_fits(row[i].a, row[i].len) != row[i].fits)
      fail_msg("%s with %zu bytes", stun_attr_row(row[i].a)->name, row[i].len);
  }
}

static void test_padding(void **state)
{
  (void)state;
  assert_int_equal(stun__padded(0), 0);
  assert_int_equal(stun__padded(1), 4);
  assert_int_equal(stun__padded(4), 4);
  assert_int_equal(stun__padded(65535), 65536);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_code_leads_to_its_row_and_no_other_does),
      cmocka_unit_test(test_names_are_those_on_paper),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_padding),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
