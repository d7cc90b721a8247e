/* viaduct/address.c: which of a machine's addresses others are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "viaduct/address.h"

#define HEADER                                                                                     \
  "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"

static void assert_interface(const char *table, const char *expected)
{
  char interface[INTERFACE_NAME_SIZE];
  address_default_interface(bytes_of(table), interface);
  assert_string_equal(interface, expected);
}

static void test_default_interface(void **state)
{
  (void)state;
  assert_interface("", "");
  assert_interface(HEADER, "");
  assert_interface(HEADER "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", "");
  assert_interface(HEADER "wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
                          "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
                          "usb0\t00000000\t010200C0\t0003\t0\t0\t700\t00000000\t0\t0\t0",
                   "eth0");
  /* down, a half of the default route (a VPN's 0.0.0.0/1), cut short, a name that is too long */
  assert_interface(HEADER "a0\t00000000\t0100A8C0\t0002\t0\t0\t1\t00000000\t0\t0\t0\n"
                          "b0\t00000000\t0100A8C0\t0003\t0\t0\t1\t00000080\t0\t0\t0\n"
                          "c0\t00000000\t0100A8C0\n"
                          "d0000000000000000\t00000000\t0\t0003\t0\t0\t1\t00000000\n"
                          "e0\t00000000\t0\t000B\t0\t0\t2\t00000000\n",
                   "e0");
}

static struct address_candidate candidate(const char *interface, const char *text)
{
  struct address_candidate c = {.is_up = true};
  snprintf(c.interface, sizeof(c.interface), "%s", interface);
  assert_int_equal(addr_parse(bytes_of(text), &c.addr), 0);
  return c;
}

static void assert_chosen(const struct address_candidate *list, size_t count, const char *interface,
                          const char *expected)
{
  char text[ADDR_TEXT_SIZE];
  struct addr a = address_choose(list, count, interface);
  assert_string_equal(addr_format(&a, text), expected);
}

static void test_choose(void **state)
{
  (void)state;
  struct address_candidate list[] = {
      candidate("lo", "127.0.0.1"),       candidate("lo", "::1"),
      candidate("eth1", "fe80::1%3"),     candidate("eth1", "169.254.3.4"),
      candidate("docker0", "172.17.0.1"), candidate("eth1", "2001:db8::2"),
      candidate("eth1", "198.51.100.7"),  candidate("wg0", "10.9.0.2"),
      candidate("eth0", "192.0.2.2"),     candidate("eth0", "192.0.2.3"),
  };
  list[0].is_loopback = list[1].is_loopback = true;
  assert_chosen(list, 10, "eth0", "192.0.2.2");
  assert_chosen(list, 10, "docker0", "172.17.0.1"); /* who routes through it means it */
  assert_chosen(list, 10, "", "198.51.100.7");
  assert_chosen(list, 10, "nosuch0", "198.51.100.7");
  assert_chosen(list, 6, "", "2001:db8::2");
  assert_chosen(list, 5, "", "172.17.0.1");
  assert_chosen(list, 4, "", "169.254.3.4");
  assert_chosen(list, 3, "", "127.0.0.1");
  assert_chosen(list, 0, "", "127.0.0.1");
  list[8].is_up = false;
  assert_chosen(list, 10, "eth0", "192.0.2.3");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_default_interface),
      cmocka_unit_test(test_choose),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
