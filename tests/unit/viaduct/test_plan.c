/* viaduct/plan*.c: what each server's configuration says, with and without a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "tests/support/failing_mem.h"
#include "viaduct/plan.h"

/* A plan from a file's text and a command line. */
struct made {
  struct failing_mem memory;
  struct up_options options;
  struct option_parser parser;
  struct sections sections;
  struct plan_settings settings;
  struct plan plan;
  char text[SERVER_COUNT][8192];
};

static struct addr addr_of(const char *text)
{
  struct addr a;
  assert_int_equal(addr_parse(bytes_of(text), &a), 0);
  return a;
}

static void make(struct made *m, const char *file, const char *const *argv, const char *address)
{
  struct option_error error;
  int argc = 0;
  while (argv[argc] != NULL)
    argc++;
  failing_mem_init(&m->memory);
  struct mem *mem = &m->memory.mem;
  assert_int_equal(option_begin(&m->parser, &up_option_set, mem, &m->options, sizeof(m->options)),
                   0);
  assert_int_equal(sections_split("f", bytes_of(file), mem, &m->sections, &error), 0);
  const struct buf *own = &m->sections.text[SECTION_UP];
  assert_int_equal(option_parse_file(&m->parser, "f", (struct bytes){own->at, own->len}), 0);
  assert_int_equal(option_parse_args(&m->parser, argc, (char *const *)(uintptr_t)argv), 0);
  assert_int_equal(plan_settings_read(&m->settings, &m->sections, mem), 0);
  const char *secret = plan_own_secret(&m->settings);
  struct plan_input in = {.options = &m->options,
                          .parser = &m->parser,
                          .sections = &m->sections,
                          .settings = &m->settings,
                          .address = addr_of(address),
                          .local = addr_of("192.0.2.2"),
                          .has_ipv6 = true,
                          .secret = secret != NULL ? secret : "generated",
                          .certs_dir = "/state/certs"};
  assert_int_equal(plan_make(&in, mem, &m->plan), 0);
  for (size_t i = 0; i < SERVER_COUNT; i++)
    snprintf(m->text[i], sizeof(m->text[i]), "%.*s", (int)m->plan.config[i].len,
             (const char *)m->plan.config[i].at);
}

static void done(struct made *m)
{
  struct mem *mem = &m->memory.mem;
  plan_free(&m->plan, mem);
  plan_settings_free(&m->settings, mem);
  sections_free(&m->sections, mem);
  option_fini(&up_option_set, mem, &m->options);
  assert_int_equal(m->memory.blocks, 0);
}

#define ARGS(...) ((const char *const[]){"up", __VA_ARGS__ NULL})
#define ADDED "# What 'viaduct up' adds. It writes this file anew at each start.\n"

static void test_without_a_file(void **state)
{
  (void)state;
  struct made m;
  make(&m, "", ARGS(), "192.0.2.2");
  assert_string_equal(m.text[SERVER_TURND], "\n" ADDED "listening-port=3478\n"
                                            "tls-listening-port=5349\n"
                                            "cert=/state/certs/server.pem\n"
                                            "pkey=/state/certs/server.key\n"
                                            "min-port=49152\nmax-port=65535\n"
                                            "relay-ip=192.0.2.2\n"
                                            "use-auth-secret\nstatic-auth-secret=generated\n"
                                            "prometheus\nprometheus-port=9641\n");
  assert_string_equal(m.text[SERVER_STUND],
                      "\n" ADDED "listening-port=3479\nmetrics-listen=127.0.0.1:9643\n");
  assert_string_equal(m.text[SERVER_SIGNALD], "\n" ADDED "listen=127.0.0.1:8080\n"
                                              "tls-listen=0.0.0.0:8443\ntls-listen=[::]:8443\n"
                                              "cert=/state/certs/server.pem\n"
                                              "pkey=/state/certs/server.key\n"
                                              "turn-uri=turn:192.0.2.2:3478?transport=udp\n"
                                              "turn-uri=turn:192.0.2.2:3478?transport=tcp\n"
                                              "turn-uri=turns:192.0.2.2:5349?transport=tcp\n"
                                              "turn-uri=stun:192.0.2.2:3479\n"
                                              "turn-secret=generated\n"
                                              "auth=none\n"
                                              "admin-listen=127.0.0.1:9642\n");
  assert_string_equal(m.plan.local_url, "http://localhost:8080/");
  assert_string_equal(m.plan.remote_url, "https://192.0.2.2:8443/");
  assert_true(m.plan.dev_certificate);
  done(&m);
}

static void assert_has(const char *text, const char *piece)
{
  if (strstr(text, piece) == NULL)
    fail_msg("'%s' is not in:\n%s", piece, text);
}

static void assert_lacks(const char *text, const char *piece)
{
  if (strstr(text, piece) != NULL)
    fail_msg("'%s' is in:\n%s", piece, text);
}

static const char file[] = "[up]\n"
                           "http-port=8000\n"
                           "stun-port=4000\n"
                           "[turnd]\n"
                           "listening-port=5000\n"
                           "min-port=20000\n"
                           "static-auth-secret=\"a # b\"\n"
                           "no-tcp\n"
                           "prometheus\n"
                           "[stund]\n"
                           "listening-port=4444\n"
                           "metrics-listen=127.0.0.1:1\n"
                           "[signald]\n"
                           "cert=/real.pem\n"
                           "pkey=/real.key\n"
                           "auth=jwt\n"
                           "tls-listen=[2001:db8::5]:443\n"
                           "listen=0.0.0.0:80\n"
                           "admin-listen=127.0.0.1:2\n";

static void test_a_file_wins_over_defaults(void **state)
{
  (void)state;
  struct made m;
  make(&m, file, ARGS("--max-port=30000", "--http-port=1", ), "192.0.2.2");
  assert_has(m.text[SERVER_TURND], "\n\n\n\nlistening-port=5000\nmin-port=20000\n");
  assert_has(m.text[SERVER_TURND],
             ADDED "listening-port=5000\ntls-listening-port=5349\n"
                   "cert=/real.pem\npkey=/real.key\nmax-port=30000\nrelay-ip=192.0.2.2\n");
  assert_lacks(strstr(m.text[SERVER_TURND], ADDED), "secret");
  assert_lacks(strstr(m.text[SERVER_TURND], ADDED), "prometheus");
  /* [up] says 4000, which it says on purpose */
  assert_has(m.text[SERVER_STUND], ADDED "listening-port=4000\n");
  assert_lacks(strstr(m.text[SERVER_STUND], ADDED), "metrics-listen");
  const char *added = strstr(m.text[SERVER_SIGNALD], ADDED);
  assert_string_equal(added, ADDED "turn-uri=turn:192.0.2.2:5000?transport=udp\n"
                                   "turn-uri=stun:192.0.2.2:4000\n"
                                   "turn-secret=\"a # b\"\n");
  assert_string_equal(m.plan.local_url, "http://localhost:80/");
  assert_string_equal(m.plan.remote_url, "https://[2001:db8::5]:443/");
  assert_false(m.plan.dev_certificate);
  done(&m);
}

static void test_the_command_line_wins_over_a_file(void **state)
{
  (void)state;
  struct made m;
  make(&m, file,
       ARGS("--turn-port=6000", "--turns-port=0", "--min-port", "2", "--metrics-port=0", ),
       "192.0.2.2");
  assert_has(m.text[SERVER_TURND], ADDED "listening-port=6000\nno-tls\nno-dtls\nmin-port=2\n");
  assert_has(m.text[SERVER_SIGNALD], "turn-uri=turn:192.0.2.2:6000?transport=udp\n");
  done(&m);
  make(&m, "", ARGS("--metrics-port=0", ), "192.0.2.2");
  assert_lacks(m.text[SERVER_TURND], "prometheus");
  assert_lacks(m.text[SERVER_STUND], "metrics");
  assert_lacks(m.text[SERVER_SIGNALD], "admin");
  done(&m);
}

static void test_tls_of_the_relay(void **state)
{
  (void)state;
  struct made m;
  make(&m, "[turnd]\ntls-listening-port=443\n", ARGS(), "2001:db8::1");
  assert_has(m.text[SERVER_TURND], "tls-listening-port=443\ncert=/state/certs/server.pem\n");
  assert_has(m.text[SERVER_SIGNALD], "turn-uri=turns:[2001:db8::1]:443?transport=tcp\n");
  assert_int_equal(m.plan.turns_port, 443);
  done(&m);
  make(&m, "[turnd]\ntls-listening-port=443\n", ARGS("--turns-port=444", ), "192.0.2.2");
  assert_has(m.text[SERVER_TURND], ADDED "listening-port=3478\ntls-listening-port=444\n");
  done(&m);
  /* a certificate of its own is for a name that we do not know */
  make(&m, "[turnd]\ncert=/a.pem\npkey=/a.key\n", ARGS(), "192.0.2.2");
  assert_lacks(strstr(m.text[SERVER_TURND], ADDED), "cert=");
  assert_lacks(m.text[SERVER_SIGNALD], "turns:");
  assert_int_equal(m.plan.turns_port, 5349);
  done(&m);
  make(&m, "[signald]\ncert=/real.pem\n", ARGS(), "192.0.2.2"); /* signald says what is missing */
  assert_lacks(m.text[SERVER_TURND], "cert=");
  done(&m);
  make(&m, "[turnd]\nno-tls\n", ARGS(), "192.0.2.2");
  assert_has(m.text[SERVER_TURND], "cert=/state/certs/server.pem\n");
  assert_lacks(m.text[SERVER_SIGNALD], "turns:");
  done(&m);
  make(&m, "[turnd]\nno-tls\nno-dtls\n", ARGS(), "192.0.2.2");
  assert_lacks(m.text[SERVER_TURND], "cert=");
  assert_int_equal(m.plan.turns_port, 0);
  done(&m);
}

static void test_one_secret_for_both(void **state)
{
  (void)state;
  struct made m;
  make(&m, "[signald]\nturn-secret='quo\"te'\n", ARGS(), "192.0.2.2");
  assert_has(m.text[SERVER_TURND], "static-auth-secret=quo\"te\n");
  done(&m);
  make(&m, "[signald]\nturn-secret='\"q'\n", ARGS(), "192.0.2.2");
  assert_has(m.text[SERVER_TURND], "static-auth-secret='\"q'\n");
  done(&m);
  make(&m, "[turnd]\nno-auth\n", ARGS(), "192.0.2.2");
  assert_lacks(m.text[SERVER_TURND], "secret");
  done(&m);
}

static void test_addresses(void **state)
{
  (void)state;
  struct made m;
  make(&m, "", ARGS(), "203.0.113.9"); /* in front of a NAT */
  assert_has(m.text[SERVER_TURND], "relay-ip=192.0.2.2\nexternal-ip=203.0.113.9\n");
  assert_has(m.text[SERVER_SIGNALD], "turn-uri=stun:203.0.113.9:3479\n");
  assert_string_equal(m.plan.remote_url, "https://203.0.113.9:8443/");
  done(&m);
  make(&m, "", ARGS(), "2001:db8::1");
  assert_has(m.text[SERVER_SIGNALD], "turn-uri=turn:[2001:db8::1]:3478?transport=udp\n");
  assert_string_equal(m.plan.remote_url, "https://[2001:db8::1]:8443/");
  done(&m);
  make(&m, "[turnd]\nlistening-ip=0.0.0.0\nlistening-ip=198.51.100.1\n", ARGS(), "192.0.2.2");
  struct addr own = plan_own_address(&m.settings), expected = addr_of("198.51.100.1");
  assert_true(addr_equal(&own, &expected));
  done(&m);
  make(&m, "[turnd]\nlistening-ip=::\nexternal-ip=203.0.113.1/10.0.0.1\n", ARGS(), "192.0.2.2");
  own = plan_own_address(&m.settings);
  expected = addr_of("203.0.113.1");
  assert_true(addr_equal(&own, &expected));
  assert_lacks(m.text[SERVER_TURND], "relay-ip");
  done(&m);
  make(&m, "[turnd]\nlistening-ip=::\n", ARGS(), "192.0.2.2");
  assert_int_equal(plan_own_address(&m.settings).family, ADDR_NONE);
  done(&m);
}

static void test_listening_nowhere(void **state)
{
  (void)state;
  struct made m;
  make(&m, "[signald]\nlisten=none\n", ARGS(), "192.0.2.2");
  assert_string_equal(m.plan.local_url, "https://localhost:8443/");
  assert_string_equal(m.plan.remote_url, "https://192.0.2.2:8443/");
  done(&m);
  make(&m, "[signald]\nlisten=none\ntls-listen=none\n", ARGS(), "192.0.2.2");
  assert_string_equal(m.plan.local_url, "");
  assert_string_equal(m.plan.remote_url, "");
  done(&m);
}

/* What is wrong is left for the server to report, by its line. */
static void test_wrong_lines_go_through(void **state)
{
  (void)state;
  struct made m;
  make(&m, "[turnd]\nmin-prot=5\nlistening-port=x\n=\nrealm=\"open\n", ARGS(), "192.0.2.2");
  assert_has(m.text[SERVER_TURND], "\nmin-prot=5\nlistening-port=x\n=\nrealm=\"open\n\n" ADDED);
  done(&m);
}

static void test_out_of_memory(void **state)
{
  (void)state;
  struct made m;
  make(&m, file, ARGS(), "192.0.2.2");
  struct plan_settings settings;
  struct mem *mem = &m.memory.mem;
  size_t blocks = m.memory.blocks, failed = 0;
  for (size_t n = 1; n < 1000; n++) {
    m.memory.asked = 0;
    m.memory.fail_at = n;
    int r = plan_settings_read(&settings, &m.sections, mem);
    m.memory.fail_at = 0;
    if (r == 0) {
      plan_settings_free(&settings, mem);
      break;
    }
    failed++;
    assert_int_equal(r, -ERR_NOMEM);
    assert_int_equal(m.memory.blocks, blocks);
  }
  assert_true(failed > 5);
  done(&m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_without_a_file),
      cmocka_unit_test(test_a_file_wins_over_defaults),
      cmocka_unit_test(test_the_command_line_wins_over_a_file),
      cmocka_unit_test(test_tls_of_the_relay),
      cmocka_unit_test(test_one_secret_for_both),
      cmocka_unit_test(test_addresses),
      cmocka_unit_test(test_listening_nowhere),
      cmocka_unit_test(test_wrong_lines_go_through),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
