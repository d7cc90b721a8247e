/* peer-demo/doctor/core: facts in, causes out. Each cause of the table is named by at least one row
 * here; that the facts of a network are those is for tests/process/test_doctor.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "peer-demo/doctor/core/report.h"

static struct doctor_facts facts;
static struct doctor_verdict v;
static bool named[DOCTOR_CAUSE_COUNT];

/* A way on which all is well. */
static struct doctor_probe *way(const char *uri)
{
  struct doctor_probe *p = &facts.probe[facts.count++];
  const char *why = NULL;
  *p = (struct doctor_probe){.family = ADDR_V4,
                             .server = addr_v4(203, 0, 113, 1, 3478),
                             .mapped = addr_v4(192, 0, 2, 9, 40000),
                             .relayed = addr_v4(203, 0, 113, 1, 50000),
                             .step = DOCTOR_DONE,
                             .outside_tried = true,
                             .outside_came = true,
                             .sent = 100,
                             .received = 100};
  assert_int_equal(uri_parse(bytes_of(uri), &p->uri, &why), 0);
  if (p->uri.transport == URI_TLS || p->uri.transport == URI_DTLS)
    p->certificate = (struct doctor_certificate){
        .seen = true, .trusted = true, .named = true, .left_s = 1 << 30};
  return p;
}

static struct doctor_probe *ends(struct doctor_probe *p, enum doctor_step step,
                                 enum doctor_fault fault, int code)
{
  p->step = step;
  p->fault = fault;
  p->code = code;
  return p;
}

static int setup(void **state)
{
  (void)state;
  facts = (struct doctor_facts){.now_s = 1700000000};
  return 0;
}

static void judge(void)
{
  doctor_judge(&facts, &v);
  for (size_t i = 0; i < v.count; i++)
    named[v.finding[i].cause] = true;
}

/* That one finding and no other. */
static void finds(enum doctor_cause cause, int probe)
{
  judge();
  assert_int_equal(v.count, 1);
  assert_string_equal(doctor_row(v.finding[0].cause)->name, doctor_row(cause)->name);
  assert_int_equal(v.finding[0].probe, probe);
}

static void test_all_is_well(void **state)
{
  (void)state;
  way("stun:a");
  way("turn:a");
  way("turn:a?transport=tcp");
  way("turns:a");
  judge();
  assert_int_equal(v.count, 0);
  assert_true(v.works && v.works_udp);
}

static void test_nothing_to_try_does_not_work(void **state)
{
  (void)state;
  judge();
  assert_false(v.works);
  way("stun:a"); /* no relay */
  judge();
  assert_false(v.works);
}

static void test_one_step_one_cause(void **state)
{
  (void)state;
  static const struct {
    const char *uri;
    enum doctor_step step;
    enum doctor_fault fault;
    int code;
    enum doctor_cause cause;
  } rows[] = {
      {"turn:a", DOCTOR_RESOLVE, DOCTOR_NO_ADDRESS, 0, DOCTOR_CAUSE_NO_NAME},
      {"turn:a", DOCTOR_BIND, DOCTOR_UNREACHABLE, 0, DOCTOR_CAUSE_NO_ROUTE},
      {"turn:a", DOCTOR_BIND, DOCTOR_REFUSED, 0, DOCTOR_CAUSE_NO_SUCH_PORT},
      {"turn:a", DOCTOR_BIND, DOCTOR_TIMEOUT, 0, DOCTOR_CAUSE_SILENT},
      {"turn:a?transport=tcp", DOCTOR_CONNECT, DOCTOR_REFUSED, 0, DOCTOR_CAUSE_NO_SUCH_PORT},
      {"turn:a?transport=tcp", DOCTOR_CONNECT, DOCTOR_TIMEOUT, 0, DOCTOR_CAUSE_SILENT},
      {"turn:a?transport=tcp", DOCTOR_BIND, DOCTOR_BROKEN, 0, DOCTOR_CAUSE_SILENT},
      {"turn:a", DOCTOR_ALLOCATE, DOCTOR_TIMEOUT, 0, DOCTOR_CAUSE_NO_TURN},
      {"turn:a", DOCTOR_ALLOCATE, DOCTOR_ERROR, 400, DOCTOR_CAUSE_NO_TURN},
      {"turn:a", DOCTOR_ALLOCATE, DOCTOR_ERROR, 401, DOCTOR_CAUSE_WRONG_PASSWORD},
      {"turn:a", DOCTOR_ALLOCATE, DOCTOR_ERROR, 441, DOCTOR_CAUSE_WRONG_PASSWORD},
      {"turn:a", DOCTOR_ALLOCATE, DOCTOR_ERROR, 403, DOCTOR_CAUSE_FORBIDDEN},
      {"turn:a", DOCTOR_ALLOCATE, DOCTOR_ERROR, 486, DOCTOR_CAUSE_QUOTA},
      {"turn:a", DOCTOR_ALLOCATE, DOCTOR_ERROR, 508, DOCTOR_CAUSE_CAPACITY},
      {"turn:a", DOCTOR_ALLOCATE, DOCTOR_ERROR, 442, DOCTOR_CAUSE_REFUSED},
      {"turn:a", DOCTOR_PERMIT, DOCTOR_ERROR, 403, DOCTOR_CAUSE_PEER_DENIED},
      {"turn:a", DOCTOR_PERMIT, DOCTOR_ERROR, 508, DOCTOR_CAUSE_REFUSED},
      {"turn:a", DOCTOR_PERMIT, DOCTOR_TIMEOUT, 0, DOCTOR_CAUSE_STOPPED},
      {"turn:a", DOCTOR_ECHO, DOCTOR_TIMEOUT, 0, DOCTOR_CAUSE_RELAY_DEAD},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    setup(NULL);
    ends(way(rows[i].uri), rows[i].step, rows[i].fault, rows[i].code);
    finds(rows[i].cause, 0);
    assert_false(v.works);
  }
}

static void test_udp_blocked_is_silence_beside_tcp_that_passes(void **state)
{
  (void)state;
  ends(way("turn:a"), DOCTOR_BIND, DOCTOR_TIMEOUT, 0);
  way("turn:a?transport=tcp");
  judge();
  assert_int_equal(v.count, 2);
  assert_int_equal(v.finding[0].cause, DOCTOR_CAUSE_UDP_BLOCKED);
  assert_int_equal(v.finding[1].cause, DOCTOR_CAUSE_ONLY_TCP);
  assert_int_equal(v.finding[1].probe, -1);
  assert_true(v.works);
  assert_false(v.works_udp);
  /* Another way over UDP that passes: then it is this port alone. */
  way("stun:b");
  judge();
  assert_int_equal(v.finding[0].cause, DOCTOR_CAUSE_SILENT);
}

static void test_a_dtls_way_that_is_silent_is_udp_too(void **state)
{
  (void)state;
  struct doctor_probe *p = way("turns:a?transport=udp");
  p->certificate = (struct doctor_certificate){0};
  ends(p, DOCTOR_SECURE, DOCTOR_TIMEOUT, 0);
  way("turns:a");
  judge();
  assert_int_equal(v.finding[0].cause, DOCTOR_CAUSE_UDP_BLOCKED);
}

static void test_certificates(void **state)
{
  (void)state;
  struct doctor_probe *p = way("turns:a");
  p->certificate.left_s = DOCTOR_SOON_S - 1;
  judge();
  assert_true(v.works);
  assert_int_equal(v.finding[0].cause, DOCTOR_CAUSE_CERT_SOON);
  p->certificate.named = false;
  judge();
  assert_false(v.works);
  assert_int_equal(v.finding[0].cause, DOCTOR_CAUSE_CERT_NAME);
  p->certificate.trusted = false;
  finds(DOCTOR_CAUSE_CERT_UNTRUSTED, 0);
  p->certificate.left_s = -1;
  finds(DOCTOR_CAUSE_CERT_EXPIRED, 0);
  setup(NULL);
  p = way("turns:a");
  p->certificate = (struct doctor_certificate){0};
  ends(p, DOCTOR_SECURE, DOCTOR_BROKEN, 0);
  finds(DOCTOR_CAUSE_TLS_FAILED, 0);
}

static void test_why_credentials_are_refused(void **state)
{
  (void)state;
  ends(way("turn:a"), DOCTOR_ALLOCATE, DOCTOR_ERROR, 401);
  facts.has_secret = true;
  facts.expires_s = facts.now_s + 3600;
  finds(DOCTOR_CAUSE_WRONG_SECRET, 0);
  facts.server_s = facts.now_s + 3599; /* wrong, but not so wrong */
  finds(DOCTOR_CAUSE_WRONG_SECRET, 0);
  facts.server_s = facts.now_s + 3600;
  finds(DOCTOR_CAUSE_CLOCK, 0);
  facts.expires_s = facts.now_s;
  finds(DOCTOR_CAUSE_EXPIRED, 0);
}

static void test_relayed_addresses(void **state)
{
  (void)state;
  struct doctor_probe *p = ends(way("turn:a"), DOCTOR_ECHO, DOCTOR_TIMEOUT, 0);
  p->outside_came = false;
  finds(DOCTOR_CAUSE_RELAY_BLOCKED, 0);
  p->relayed = addr_v4(172, 31, 255, 255, 50000);
  finds(DOCTOR_CAUSE_RELAY_PRIVATE, 0);
  p->server = addr_v4(10, 0, 0, 1, 3478); /* a private network that is all of it */
  finds(DOCTOR_CAUSE_RELAY_BLOCKED, 0);
}

static void test_loss(void **state)
{
  (void)state;
  struct doctor_probe *p = way("turn:a");
  p->received = 98;
  judge();
  assert_int_equal(v.count, 0);
  p->received = 97;
  finds(DOCTOR_CAUSE_LOSS, 0);
  assert_true(v.works);
}

static void test_expiry(void **state)
{
  (void)state;
  assert_int_equal(doctor_expiry(bytes_of("1700000000:alice")), 1700000000);
  assert_int_equal(doctor_expiry(bytes_of("1700000000")), 1700000000);
  assert_int_equal(doctor_expiry(bytes_of("alice")), 0);
  assert_int_equal(doctor_expiry(bytes_of("")), 0);
  assert_int_equal(doctor_expiry(bytes_of("99999999999999999999999:x")), 0);
}

static void test_as_many_as_there_may_be(void **state)
{
  (void)state;
  while (facts.count < DOCTOR_PROBES)
    way("turns:a")->certificate.left_s = -1;
  for (size_t i = 0; i < facts.count; i++)
    ends(&facts.probe[i], DOCTOR_ECHO, DOCTOR_TIMEOUT, 0);
  judge();
  assert_int_equal(v.count, 2 * DOCTOR_PROBES);
}

static uint8_t report[REPORT_SIZE];

static const char *said(void (*put)(const struct doctor_facts *, const struct doctor_verdict *,
                                    struct buf *))
{
  struct buf b;
  buf_init(&b, report, sizeof report - 1);
  judge();
  put(&facts, &v, &b);
  assert_false(b.overflow);
  report[b.len] = 0;
  return (const char *)report;
}

static void put_plain(const struct doctor_facts *f, const struct doctor_verdict *verdict,
                      struct buf *out)
{
  report_put_text(f, verdict, false, out);
}

static void test_reports_escape_what_others_said(void **state)
{
  (void)state;
  struct doctor_probe *p = ends(way("turn:a"), DOCTOR_BIND, DOCTOR_TIMEOUT, 0);
  snprintf(p->said, sizeof p->said, "%s", "<script>\"&\n");
  assert_non_null(strstr(said(report_put_html), "&lt;script>\"&amp;"));
  assert_null(strstr((const char *)report, "<script>"));
  assert_non_null(strstr(said(report_put_json), "<script>\\\"&\\n"));
}

static void test_text_has_colours_on_a_terminal_alone(void **state)
{
  (void)state;
  struct buf b;
  way("turn:a");
  assert_null(strchr(said(put_plain), '\033'));
  assert_non_null(strstr((const char *)report, "works  turn:a:3478?transport=udp"));
  buf_init(&b, report, sizeof report - 1);
  report_put_text(&facts, &v, true, &b);
  assert_non_null(memchr(report, '\033', b.len));
}

/* The longest that there can be. */
static void test_reports_have_room(void **state)
{
  (void)state;
  char uri[URI_TEXT_SIZE] = "turns:";
  memset(uri + 6, 'a', 255);
  while (facts.count < DOCTOR_PROBES) {
    struct doctor_probe *p = ends(way(uri), DOCTOR_ECHO, DOCTOR_TIMEOUT, 0);
    p->certificate.left_s = -1;
    memset(p->said, '<', sizeof p->said - 1);
  }
  said(put_plain);
  said(report_put_json);
  said(report_put_html);
}

/* Last. */
static void test_every_cause_was_named(void **state)
{
  (void)state;
  for (int i = 0; i < DOCTOR_CAUSE_COUNT; i++) {
    const struct doctor_row *row = doctor_row((enum doctor_cause)i);
    assert_true(strlen(row->name) > 3 && strlen(row->what) > 5 && strlen(row->mend) > 5);
    if (!named[i])
      fail_msg("no test finds %s", row->name);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_all_is_well, setup),
      cmocka_unit_test_setup(test_nothing_to_try_does_not_work, setup),
      cmocka_unit_test_setup(test_one_step_one_cause, setup),
      cmocka_unit_test_setup(test_udp_blocked_is_silence_beside_tcp_that_passes, setup),
      cmocka_unit_test_setup(test_a_dtls_way_that_is_silent_is_udp_too, setup),
      cmocka_unit_test_setup(test_certificates, setup),
      cmocka_unit_test_setup(test_why_credentials_are_refused, setup),
      cmocka_unit_test_setup(test_relayed_addresses, setup),
      cmocka_unit_test_setup(test_loss, setup),
      cmocka_unit_test_setup(test_expiry, setup),
      cmocka_unit_test_setup(test_as_many_as_there_may_be, setup),
      cmocka_unit_test_setup(test_reports_escape_what_others_said, setup),
      cmocka_unit_test_setup(test_text_has_colours_on_a_terminal_alone, setup),
      cmocka_unit_test_setup(test_reports_have_room, setup),
      cmocka_unit_test_setup(test_every_cause_was_named, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
