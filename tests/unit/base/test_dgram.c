/* base/dgram.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/dgram.h"

static void room_before_and_behind(void **state)
{
  (void)state;
  uint8_t storage[DGRAM_HEADROOM + 100 + DGRAM_TAILROOM];
  struct dgram d = {storage, sizeof(storage), storage + DGRAM_HEADROOM, 100};
  assert_int_equal(dgram_headroom(&d), DGRAM_HEADROOM);
  assert_int_equal(dgram_tailroom(&d), DGRAM_TAILROOM);
  d.at -= 4; /* a ChannelData header in front */
  d.len += 4;
  assert_int_equal(dgram_headroom(&d), DGRAM_HEADROOM - 4);
  assert_int_equal(dgram_tailroom(&d), DGRAM_TAILROOM);
  d.len += DGRAM_TAILROOM;
  assert_int_equal(dgram_tailroom(&d), 0);
}

/* RFC 8656 section 11.5: header, XOR-PEER-ADDRESS of an IPv6 peer, the DATA attribute's head. */
static void a_data_indication_fits_in_front(void **state)
{
  (void)state;
  assert_true(DGRAM_HEADROOM >= 20 + 4 + 20 + 4);
  assert_int_equal(DGRAM_HEADROOM % 16, 0);
  assert_true(DGRAM_TAILROOM >= 3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(room_before_and_behind),
      cmocka_unit_test(a_data_indication_fits_in_front),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
